#include "api/event_stream.h"

#include <cstdint>

#include <zlib.h>

namespace millrace {
namespace {

constexpr char text_value = 7;

void put_u32(std::string& out, std::size_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>(value >> shift);
}

std::size_t crc_of(std::string_view bytes) {
  return crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size()));
}

}  // namespace

std::string event_frame(event_headers headers, std::string_view payload) {
  std::size_t header_bytes = 0;
  for (const auto& [name, value] : headers)
    header_bytes += 1 + name.size() + 1 + 2 + value.size();
  std::string out;
  out.reserve(16 + header_bytes + payload.size());
  put_u32(out, 16 + header_bytes + payload.size());
  put_u32(out, header_bytes);
  put_u32(out, crc_of(out));
  for (const auto& [name, value] : headers) {
    out += static_cast<char>(name.size());
    out += name;
    out += text_value;
    out += static_cast<char>(value.size() >> 8);
    out += static_cast<char>(value.size());
    out += value;
  }
  out += payload;
  put_u32(out, crc_of(out));
  return out;
}

}  // namespace millrace
