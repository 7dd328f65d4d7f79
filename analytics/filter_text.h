#pragma once
/// What a `[[view]]` says in words: filters and aggregate calls. docs/views.md has their grammar.
///
///   status >= 500 and (path like '/api/%' or method in ('PUT', 'POST')) and user is not null
///   percentile(latency, 0.99)
#include <string>
#include <string_view>

#include "analytics/view_fields.h"
#include "base/error.h"
#include "gpu/view_plan.h"

namespace millrace {

/// Parentheses and `not` may be nested so deep.
inline constexpr std::uint32_t filter_depth_max = 32;

/// Names are looked up in `fields`, which grows by those that are implied. `invalid_argument` says
/// what is wrong and at which column, from 1.
result<filter_plan> parse_filter(std::string_view text, field_scope& fields);
/// count, count(field), sum(field), …; the outcome has no name yet.
result<aggregate_plan> parse_aggregate(std::string_view text, field_scope& fields);

/// Text that is read back as the same plan.
std::string filter_text(const filter_plan& filter, const view_plan& plan);
std::string aggregate_text(const aggregate_plan& aggregate, const view_plan& plan);

}  // namespace millrace
