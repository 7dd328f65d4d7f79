#pragma once
/// JSON that is written by hand, where a document tree would cost more than it gives.
#include <string>
#include <string_view>

#include "base/types.h"

namespace millrace {

/// Appends `text` as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD, so
/// that the outcome is always valid.
void append_json_string(std::string& out, std::string_view text);

/// Length of the well-formed UTF-8 sequence at the start of `text` (1 to 4), or 0.
std::size_t utf8_sequence_bytes(std::string_view text);
bool is_utf8(std::string_view text);

/// Appends a record's data as a member of a JSON object: "data":"…", or "data_base64":"…" when it
/// is not UTF-8.
void append_data_member(std::string& out, byte_view data);

void append_base64(std::string& out, byte_view bytes);
/// False when `text` is not base64 with padding.
[[nodiscard]] bool decode_base64(std::string_view text, std::string& out);

}  // namespace millrace
