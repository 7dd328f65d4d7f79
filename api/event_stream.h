#pragma once
/// Frames of application/vnd.amazon.eventstream: u32 length, u32 header bytes, CRC-32 of those
/// eight, headers, payload, CRC-32 of all before; big-endian. A header is u8 length, name, 7
/// (text), u16 length, value. Source: "Event stream encoding", AWS documentation.
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

using event_headers = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// One frame. Names are below 256 bytes, values below 64 KiB.
std::string event_frame(event_headers headers, std::string_view payload);

}  // namespace millrace
