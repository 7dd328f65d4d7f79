/// Reads CBOR (RFC 8949) into a tree. Hostile input is expected: depth, number of values and every
/// length are checked before anything is made.
#include "api/wire_cbor.h"

#include <cmath>
#include <cstring>

#include "api/json_text.h"
#include "api/wire_value.h"

namespace millrace {

std::optional<cbor_head> cbor_reader::head() {
  if (at_ == bytes_.size()) return std::nullopt;
  const auto first = static_cast<std::uint8_t>(bytes_[at_++]);
  cbor_head out{.major = static_cast<std::uint8_t>(first >> 5),
                .info = static_cast<std::uint8_t>(first & 31),
                .value = static_cast<std::uint64_t>(first & 31)};
  if (out.info < 24) return out;
  if (out.info == cbor_indefinite) {
    // Integers and tags have no indefinite form.
    const bool allowed = out.major >= 2 && out.major != 6;
    return allowed ? std::optional(out) : std::nullopt;
  }
  if (out.info > 27) return std::nullopt;
  const std::size_t width = std::size_t{1} << (out.info - 24);
  if (bytes_.size() - at_ < width) return std::nullopt;
  out.value = 0;
  for (std::size_t i = 0; i < width; ++i)
    out.value = out.value << 8 | static_cast<std::uint8_t>(bytes_[at_++]);
  return out;
}

std::optional<cbor_head> cbor_reader::value_head() {
  auto found = head();
  // Tags say how a value is meant; what Kinesis' clients tag is known from where it stands.
  for (int tags = 0; found && found->major == cbor_tag; ++tags) {
    if (tags == wire_depth_max) return std::nullopt;
    found = head();
  }
  return found;
}

std::optional<std::string_view> cbor_reader::string(const cbor_head& of) {
  if (of.info != cbor_indefinite) {
    if (of.value > bytes_.size() - at_) return std::nullopt;
    const auto* const from = reinterpret_cast<const char*>(bytes_.data()) + at_;
    at_ += of.value;
    return std::string_view(from, of.value);
  }
  joined_.clear();
  while (true) {
    const auto piece = head();
    if (!piece) return std::nullopt;
    if (piece->is_break()) return joined_;
    if (piece->major != of.major || piece->info == cbor_indefinite) return std::nullopt;
    const auto text = string(*piece);
    if (!text) return std::nullopt;
    joined_ += *text;
  }
}

bool cbor_reader::skip(const cbor_head& of, int depth) {
  if (depth > wire_depth_max) return false;
  switch (of.major) {
    case cbor_bytes:
    case cbor_text:
      return string(of).has_value();
    case cbor_list:
    case cbor_map: {
      const std::uint64_t each = of.major == cbor_map ? 2 : 1;
      for (std::uint64_t i = 0; of.info == cbor_indefinite || i < of.value; ++i) {
        for (std::uint64_t k = 0; k < each; ++k) {
          const auto inner = value_head();
          if (!inner) return false;
          if (inner->is_break()) return of.info == cbor_indefinite && k == 0;
          if (!skip(*inner, depth + 1)) return false;
        }
      }
      return true;
    }
    default:
      return !of.is_break();
  }
}

namespace {

error not_cbor() {
  return {error_code::invalid_argument, "not CBOR"};
}

double half_to_double(std::uint64_t half) {
  const int exponent = static_cast<int>(half >> 10 & 31);
  const auto mantissa = static_cast<double>(half & 0x3ff);
  const double size = exponent == 0    ? std::ldexp(mantissa, -24)
                      : exponent == 31 ? (mantissa == 0 ? INFINITY : NAN)
                                       : std::ldexp(mantissa + 1024, exponent - 25);
  return (half & 0x8000) != 0 ? -size : size;
}

class tree_builder {
 public:
  explicit tree_builder(byte_view bytes) : in_(bytes) {}

  result<wire_value> run() {
    wire_value root;
    const auto head = in_.value_head();
    if (!head || head->is_break() || !build(*head, root, 0) || !in_.at_end()) return not_cbor();
    return root;
  }

 private:
  bool build(const cbor_head& head, wire_value& into, int depth) {
    if (depth > wire_depth_max || ++values_ > wire_values_max) return false;
    switch (head.major) {
      case cbor_unsigned:
      case cbor_negative:
        if (head.value > INT64_MAX) return false;
        into.is = wire_value::kind::integer;
        into.integer = head.major == cbor_unsigned ? static_cast<std::int64_t>(head.value)
                                                   : -1 - static_cast<std::int64_t>(head.value);
        into.real = static_cast<double>(into.integer);
        return true;
      case cbor_bytes:
      case cbor_text: {
        const auto text = in_.string(head);
        if (!text || (head.major == cbor_text && !is_utf8(*text))) return false;
        into.is = head.major == cbor_text ? wire_value::kind::text : wire_value::kind::blob;
        into.text = *text;
        return true;
      }
      case cbor_list:
      case cbor_map:
        return build_items(head, into, depth);
      default:
        return build_simple(head, into);
    }
  }

  bool build_items(const cbor_head& head, wire_value& into, int depth) {
    const bool is_map = head.major == cbor_map;
    into.is = is_map ? wire_value::kind::map : wire_value::kind::list;
    for (std::uint64_t i = 0; head.info == cbor_indefinite || i < head.value; ++i) {
      auto inner = in_.value_head();
      if (!inner) return false;
      if (inner->is_break()) return head.info == cbor_indefinite;
      if (is_map) {
        if (inner->major != cbor_text) return false;
        const auto name = in_.string(*inner);
        if (!name) return false;
        into.names.emplace_back(*name);
        inner = in_.value_head();
        if (!inner || inner->is_break()) return false;
      }
      into.items.emplace_back();
      if (!build(*inner, into.items.back(), depth + 1)) return false;
    }
    return true;
  }

  static bool build_simple(const cbor_head& head, wire_value& into) {
    switch (head.info) {
      case 20:
      case 21:
        into.is = wire_value::kind::boolean;
        into.boolean = head.info == 21;
        return true;
      case 22:
      case 23:
        return true;  // null, undefined
      case 25:
        into.real = half_to_double(head.value);
        break;
      case 26: {
        const auto bits = static_cast<std::uint32_t>(head.value);
        float value = 0;
        std::memcpy(&value, &bits, sizeof value);
        into.real = value;
        break;
      }
      case 27:
        std::memcpy(&into.real, &head.value, sizeof into.real);
        break;
      default:
        return false;
    }
    into.is = wire_value::kind::real;
    return true;
  }

  cbor_reader in_;
  std::size_t values_ = 0;
};

}  // namespace

result<wire_value> parse_cbor(byte_view bytes) {
  return tree_builder(bytes).run();
}

}  // namespace millrace
