#include "api/kinesis_waits.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace millrace {
namespace {

/// Between two looks at whether a shard was closed; news come at once, and so does the end of time.
constexpr std::uint64_t look_period_us = 500'000;

bool is_open(const stream_handle& stream, shard_index shard) {
  for (const shard_info& one : stream.description->shards) {
    if (one.shard == shard) return one.is_open();
  }
  return false;
}

}  // namespace

kinesis_outcome parse_wait(std::string_view text, std::uint64_t& into_ms) {
  into_ms = 0;
  if (text.empty()) return std::nullopt;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), into_ms);
  if (problem == std::errc() && end == text.data() + text.size() && into_ms <= wait_ms_max)
    return std::nullopt;
  return invalid_argument(fmt::format("{} '{}' is not a number of milliseconds from 0 to {}",
                                      wait_header, text.substr(0, 32), wait_ms_max));
}

bool kinesis_waits::add(std::uint64_t call, const read_end& at, std::uint64_t until_us) {
  if (size_ >= calls_max_) return false;
  news_.follow(at.stream, at.log);
  ++size_;
  next_tick_us_ = std::min(next_tick_us_, until_us);
  by_stream_[at.stream].push_back({.call = call, .at = at, .until_us = until_us});
  on_news(at.stream);  // what came between the read and now
  return true;
}

template <class IsOver>
void kinesis_waits::release(std::vector<waiting>& all, IsOver is_over) {
  std::erase_if(all, [&](const waiting& one) {
    if (!is_over(one)) return false;
    ready_.push_back(one.call);
    news_.unfollow(one.at.stream);
    --size_;
    return true;
  });
}

void kinesis_waits::on_news(stream_id stream) {
  const auto found = by_stream_.find(stream);
  if (found == by_stream_.end()) return;
  release(found->second,
          [](const waiting& one) { return one.at.log->durable_end(one.at.shard) > one.at.next; });
  if (found->second.empty()) by_stream_.erase(found);
}

void kinesis_waits::tick(std::uint64_t now_us) {
  if (now_us < next_tick_us_) return;
  next_tick_us_ = size_ == 0 ? UINT64_MAX : now_us + look_period_us;
  for (auto& [stream, all] : by_stream_) {
    const auto now = streams_.open_stream(stream);
    release(all, [&](const waiting& one) {
      return now_us >= one.until_us || !now.ok() || !is_open(*now, one.at.shard);
    });
    for (const waiting& one : all)
      next_tick_us_ = std::min(next_tick_us_, one.until_us);
  }
  std::erase_if(by_stream_, [](const auto& one) { return one.second.empty(); });
}

void kinesis_waits::end_all() {
  for (auto& [stream, all] : by_stream_)
    release(all, [](const waiting&) { return true; });
  by_stream_.clear();
}

void kinesis_waits::clear() {
  for (const auto& [stream, all] : by_stream_) {
    for (std::size_t i = 0; i < all.size(); ++i)
      news_.unfollow(stream);
  }
  by_stream_.clear();
  ready_.clear();
  size_ = 0;
}

}  // namespace millrace
