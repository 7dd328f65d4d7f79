#pragma once
/// Shard iterators and page tokens: the server keeps nothing of them. What they say is
/// authenticated under a key of the data directory, so that they stay good over a restart, and
/// nobody else can make one.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/ids.h"
#include "shards/pipeline.h"

namespace millrace {

/// Both expire after five minutes, as Kinesis' do.
inline constexpr std::uint64_t token_lifetime_ms = 300'000;

struct shard_position {
  std::uint64_t created_ms = 0;  ///< of the token
  stream_id stream{};
  shard_index shard{};
  record_index next{};
};

/// Where a listing goes on: after `last`.
struct page_position {
  std::uint64_t created_ms = 0;
  char listing = 0;  ///< which action's; a token is good for no other
  stream_id stream{};
  std::string last;
  std::string filter;  ///< what else the first request said
};

class token_maker {
 public:
  /// The key is made when there is none yet.
  static result<token_maker> open(pipeline& streams);
  explicit token_maker(const std::array<std::byte, 32>& key) : key_(key) {}

  std::string make(const shard_position& position) const;
  std::string make(const page_position& position) const;
  /// `invalid_argument` when the text is not a token of this kind that this server made.
  result<shard_position> read_iterator(std::string_view text) const;
  result<page_position> read_page(std::string_view text) const;

 private:
  std::string seal(const std::string& what) const;
  bool unseal(std::string_view text, std::string& what) const;
  std::array<std::byte, 32> key_;
};

}  // namespace millrace
