#include "api/kinesis_token.h"

#include <cstring>

#include "api/json_text.h"
#include "ingest/aead.h"

namespace millrace {
namespace {

constexpr std::size_t mac_bytes = 16;
constexpr char iterator_mark = 'I';
constexpr char page_mark = 'P';
constexpr const char* key_attribute = "kinesis_token_key";

byte_view bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

template <class Number>
void put(std::string& out, Number value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class Number>
bool get(std::string_view& from, Number& value) {
  if (from.size() < sizeof value) return false;
  std::memcpy(&value, from.data(), sizeof value);
  from.remove_prefix(sizeof value);
  return true;
}

bool get_text(std::string_view& from, std::string& text) {
  std::uint32_t size = 0;
  if (!get(from, size) || from.size() < size) return false;
  text = from.substr(0, size);
  from.remove_prefix(size);
  return true;
}

error not_ours() {
  return {error_code::invalid_argument, "not a token of this server"};
}

}  // namespace

result<token_maker> token_maker::open(pipeline& streams) {
  MILLRACE_ASSIGN(const stream_attributes stored, streams.attributes(stream_id(0)));
  std::array<std::byte, 32> key;
  if (const auto found = stored.find(key_attribute); found != stored.end()) {
    std::string text;
    if (!decode_base64(found->second, text) || text.size() != key.size())
      return error(error_code::corrupt, "catalog: the key of Kinesis' tokens does not parse");
    std::memcpy(key.data(), text.data(), key.size());
    return token_maker(key);
  }
  fill_random(key);
  std::string text;
  append_base64(text, key);
  MILLRACE_TRY(streams.set_attribute(stream_id(0), key_attribute, text));
  return token_maker(key);
}

std::string token_maker::seal(const std::string& what) const {
  const auto mac = hmac_sha256(key_, bytes_of(what));
  std::string sealed(reinterpret_cast<const char*>(mac.data()), mac_bytes);
  sealed += what;
  std::string out;
  append_base64(out, bytes_of(sealed));
  return out;
}

bool token_maker::unseal(std::string_view text, std::string& what) const {
  std::string sealed;
  if (!decode_base64(text, sealed) || sealed.size() < mac_bytes) return false;
  what.assign(sealed, mac_bytes);
  const auto mac = hmac_sha256(key_, bytes_of(what));
  return same_bytes(byte_view(mac).first(mac_bytes), bytes_of(sealed).first(mac_bytes));
}

std::string token_maker::make(const shard_position& position) const {
  std::string what(1, iterator_mark);
  put(what, position.created_ms);
  put(what, position.stream.value);
  put(what, position.shard.value);
  put(what, position.next.value);
  return seal(what);
}

std::string token_maker::make(const page_position& position) const {
  std::string what(1, page_mark);
  put(what, position.created_ms);
  put(what, position.listing);
  put(what, position.stream.value);
  for (const std::string* text : {&position.last, &position.filter}) {
    put(what, static_cast<std::uint32_t>(text->size()));
    what += *text;
  }
  return seal(what);
}

result<shard_position> token_maker::read_iterator(std::string_view text) const {
  std::string what;
  if (!unseal(text, what)) return not_ours();
  std::string_view rest = what;
  char mark = 0;
  shard_position out;
  if (!get(rest, mark) || mark != iterator_mark || !get(rest, out.created_ms) ||
      !get(rest, out.stream.value) || !get(rest, out.shard.value) || !get(rest, out.next.value))
    return not_ours();
  return out;
}

result<page_position> token_maker::read_page(std::string_view text) const {
  std::string what;
  if (!unseal(text, what)) return not_ours();
  std::string_view rest = what;
  char mark = 0;
  page_position out;
  if (!get(rest, mark) || mark != page_mark || !get(rest, out.created_ms) ||
      !get(rest, out.listing) || !get(rest, out.stream.value) || !get_text(rest, out.last) ||
      !get_text(rest, out.filter))
    return not_ours();
  return out;
}

}  // namespace millrace
