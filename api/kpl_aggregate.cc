#include "api/kpl_aggregate.h"

#include <algorithm>
#include <array>

#include "gpu/md5.h"

namespace millrace {
namespace {

// The format is of https://github.com/awslabs/amazon-kinesis-producer, aggregation-format.md:
//   message AggregatedRecord {
//     repeated string partition_key_table = 1;
//     repeated string explicit_hash_key_table = 2;
//     repeated Record records = 3; }
//   message Record {
//     required uint64 partition_key_index = 1;
//     optional uint64 explicit_hash_key_index = 2;
//     required bytes data = 3;
//     repeated Tag tags = 4; }
constexpr std::array<std::byte, 4> magic{std::byte{0xf3}, std::byte{0x89}, std::byte{0x9a},
                                         std::byte{0xc2}};
constexpr std::size_t digest_bytes = 16;

/// A field of a protobuf message.
struct field {
  enum class kind : std::uint8_t { number, bytes, other };
  std::uint64_t id = 0;
  kind is = kind::other;
  std::uint64_t number = 0;
  byte_view bytes{};

  bool is_number(std::uint64_t wanted) const { return is == kind::number && id == wanted; }
  bool is_bytes(std::uint64_t wanted) const { return is == kind::bytes && id == wanted; }
};

/// Fields of a message one after the other.
class field_reader {
 public:
  explicit field_reader(byte_view message) : rest_(message) {}

  /// False at the end, and at what is no field; is_good() tells which.
  bool next(field& out) {
    if (rest_.empty()) return false;
    is_good_ = take(out);
    return is_good_;
  }
  bool is_good() const { return is_good_; }

 private:
  bool take(field& out) {
    std::uint64_t tag = 0;
    if (!take_number(tag)) return false;
    out = {.id = tag >> 3};
    if (out.id == 0) return false;
    std::uint64_t bytes = 0;
    switch (tag & 7) {
      case 0:
        out.is = field::kind::number;
        return take_number(out.number);
      case 1:
        return take_bytes(8, out.bytes);
      case 2:
        out.is = field::kind::bytes;
        return take_number(bytes) && take_bytes(bytes, out.bytes);
      case 5:
        return take_bytes(4, out.bytes);
      default:
        return false;  // groups, which this format never had, and numbers without a meaning
    }
  }

  bool take_number(std::uint64_t& out) {
    out = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = std::to_integer<std::uint64_t>(rest_.front());
      rest_ = rest_.subspan(1);
      out |= (byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  bool take_bytes(std::uint64_t count, byte_view& out) {
    if (count > rest_.size()) return false;
    out = rest_.first(count);
    rest_ = rest_.subspan(count);
    return true;
  }

  byte_view rest_;
  bool is_good_ = true;
};

using table = std::vector<std::string_view>;

std::string_view text_of(byte_view bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool read_record(byte_view message, const table& keys, const table& hash_keys, kpl_record& out) {
  field_reader fields(message);
  bool has_key = false;
  bool has_data = false;
  for (field one; fields.next(one);) {
    if (one.is_number(1)) {
      if (one.number >= keys.size()) return false;
      out.key = keys[one.number];
      has_key = true;
    } else if (one.is_number(2)) {
      if (one.number >= hash_keys.size()) return false;
      out.explicit_hash_key = hash_keys[one.number];
    } else if (one.is_bytes(3)) {
      out.data = one.bytes;
      has_data = true;
    }
  }
  return fields.is_good() && has_key && has_data;
}

/// Calls `take` with the bytes of each field `id`; false when it is no message.
template <class Take>
bool for_each_field(byte_view message, std::uint64_t id, Take&& take) {
  field_reader fields(message);
  for (field one; fields.next(one);) {
    if (one.is_bytes(id) && !take(one.bytes)) return false;
  }
  return fields.is_good();
}

bool has_digest(byte_view message, byte_view digest) {
  const uint128 wanted = md5(message.data(), static_cast<std::uint32_t>(message.size()));
  for (std::size_t i = 0; i < digest_bytes; ++i) {
    if (digest[i] != static_cast<std::byte>(wanted >> (8 * (digest_bytes - 1 - i)))) return false;
  }
  return true;
}

}  // namespace

std::optional<std::vector<kpl_record>> split_kpl_aggregate(byte_view data) {
  if (data.size() < magic.size() + digest_bytes || data.size() > UINT32_MAX ||
      !std::equal(magic.begin(), magic.end(), data.begin()))
    return std::nullopt;
  const byte_view message = data.subspan(magic.size(), data.size() - magic.size() - digest_bytes);
  if (!has_digest(message, data.last(digest_bytes))) return std::nullopt;

  // The tables first: a message may have its fields in any order.
  table keys;
  table hash_keys;
  const auto into = [](table& list) {
    return [&list](byte_view bytes) {
      list.push_back(text_of(bytes));
      return true;
    };
  };
  std::vector<kpl_record> records;
  if (!for_each_field(message, 1, into(keys)) || !for_each_field(message, 2, into(hash_keys)) ||
      !for_each_field(message, 3, [&](byte_view one) {
        return read_record(one, keys, hash_keys, records.emplace_back());
      }))
    return std::nullopt;
  if (records.empty()) return std::nullopt;
  return records;
}

}  // namespace millrace
