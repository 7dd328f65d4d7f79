#pragma once
/// Views as JSON and CSV. Numbers are JSON numbers (int64 in full: clients that read doubles lose
/// digits beyond 2^53), times RFC 3339 in UTC, NaN and infinities null.
#include <string>
#include <string_view>
#include <vector>

#include "analytics/view_rows.h"
#include "analytics/view_service.h"
#include "base/error.h"
#include "gpu/fold.h"

namespace millrace {

/// {"name":…,"stream":…,"watermark":…,…}
std::string view_json(const view_status& view);

/// Appends {"window_start":…,"window_end":…,KEY:…,VALUE:…} of each row of [from, to), with commas
/// between.
void append_rows_json(std::string& out, const view_columns& columns, const window_rows& rows,
                      std::size_t from, std::size_t to);
/// A header line and a line a row; RFC 4180.
std::string rows_csv(const view_columns& columns, const window_rows& rows);

/// "status", "503" of each group key of a row, as labels or a person want them.
std::vector<std::string> key_texts(const view_columns& columns, const window_rows& rows,
                                   std::size_t row);
/// Null is empty.
std::string value_text(const view_value& value, field_type type);

}  // namespace millrace
