#include "ingest/raw_listener.h"

#include <algorithm>

#include <arpa/inet.h>

#include "base/record_format.h"
#include "ingest/record_input.h"

namespace millrace {
namespace {

/// So that a hash of many keys at once may read past the last key's end (gpu/md5.h does).
constexpr std::uint32_t slab_tail_bytes = 64;
constexpr std::uint32_t slab_usable_bytes = raw_slab_bytes - slab_tail_bytes;
/// The smallest record: header, a key of one byte and one of data.
constexpr std::uint32_t smallest_stride = 16;
/// How often a stream that was deleted is looked for again.
constexpr std::uint64_t lookup_interval_us = 1'000'000;

static_assert(slab_usable_bytes >=
                  limits::datagram_bytes_max + limits::partition_key_bytes_max + 64,
              "any datagram's record fits in an empty buffer");
static_assert(raw_slab_bytes <= limits::batch_bytes_default, "a buffer's records fit in a batch");

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/// The number-th whitespace-separated token, from 1; empty when there are fewer.
std::string_view token_of(std::string_view text, std::uint32_t number) {
  const auto* at = text.data();
  const auto* const end = at + text.size();
  while (true) {
    at = std::find_if_not(at, end, is_space);
    const auto* const stop = std::find_if(at, end, is_space);
    if (at == end || --number == 0) return {at, static_cast<std::size_t>(stop - at)};
    at = stop;
  }
}

std::string_view as_text(byte_view bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

result<std::unique_ptr<raw_listener>> raw_listener::create(const raw_listener_options& options,
                                                           std::uint32_t slabs, arena& memory,
                                                           batch_sink& sink, batch_filler& filler,
                                                           counter_set& counters) {
  auto stream = sink.find_stream(options.stream);
  if (!stream.ok()) {
    return std::move(stream).failure().with_context("raw listener " + to_string(options));
  }
  MILLRACE_ASSIGN(slab_pool pool,
                  slab_pool::create(memory, raw_slab_bytes, slabs, "raw datagram buffers"));
  return std::unique_ptr<raw_listener>(
      new raw_listener(options, std::move(pool), filler.attach(*stream), sink, filler, counters));
}

raw_listener::raw_listener(const raw_listener_options& options, slab_pool slabs, stream_lane lane,
                           batch_sink& sink, batch_filler& filler, counter_set& counters)
    : options_(options),
      sink_(sink),
      filler_(filler),
      counters_(counters),
      slabs_(std::move(slabs)),
      lane_(lane) {
  pending_.reserve(raw_slab_bytes / smallest_stride);
  if (options_.key == raw_key::json_field) {
    json_ = make_json_finder(options_.key_path);
    json_text_.resize(limits::datagram_bytes_max + record_input::padding_bytes);
  }
  owner_ = filler_.register_owner(*this);
  filler_.register_observer(*this);
}

raw_listener::~raw_listener() = default;

bool raw_listener::handle(const received_packet& packet, std::uint64_t, std::uint64_t now_us) {
  const std::string_view text = as_text(packet.bytes);
  if (text.empty()) {
    counters_.add(counter::raw_dropped_empty);
    return false;
  }
  const std::string_view address =
      options_.key == raw_key::source_address ? address_of(packet.from) : std::string_view();
  if (!options_.lines) {
    add(text, address, now_us);
  } else {
    for (std::size_t from = 0; from < text.size();) {
      const std::size_t end = std::min(text.find('\n', from), text.size());
      std::string_view line = text.substr(from, end - from);
      if (line.ends_with('\r')) line.remove_suffix(1);
      add(line, address, now_us);
      from = end + 1;
    }
  }
  append_pending(now_us);
  return false;
}

void raw_listener::add(std::string_view record, std::string_view address, std::uint64_t now_us) {
  if (record.empty()) {
    counters_.add(counter::raw_dropped_empty);
    return;
  }
  const std::string_view key = key_of(record, address);
  if (check_partition_key(key) != record_fault::none) {
    counters_.add(counter::raw_dropped_key);
    return;
  }
  const std::uint32_t stride = record_stride(key.size(), record.size(), false);
  if (current_ != nullptr && used_ + stride > slab_usable_bytes) {
    append_pending(now_us);
    slabs_.release(current_);
    current_ = nullptr;
  }
  if (current_ == nullptr) {
    current_ = slabs_.acquire();
    used_ = 0;
    pending_from_ = 0;
    if (current_ == nullptr) {
      counters_.add(counter::raw_dropped_no_room);
      return;
    }
  }
  std::byte* const to = current_->data + used_;
  write_record(to, key, {reinterpret_cast<const std::byte*>(record.data()), record.size()},
               nullptr);
  counters_.add(counter::decode_bytes_copied, key.size() + record.size());
  used_ += stride;
  pending_.push_back(
      {.bytes = to, .stride = stride, .key_bytes = static_cast<std::uint16_t>(key.size())});
}

void raw_listener::append_pending(std::uint64_t now_us) {
  if (pending_.empty()) return;
  const run_owner owner{.kind = entry_kind::raw, .owner_tag = owner_};
  const std::uint64_t handle =
      batch_filler::buffer_handle(owner_, reinterpret_cast<std::uintptr_t>(current_));
  ++current_->references;  // before the batch, which may come back, has it
  if (may_take(now_us) && filler_.append(lane_, owner, pending_, handle, now_us)) {
    counters_.add(counter::raw_records_received, pending_.size());
  } else {
    slabs_.release(current_);
    used_ = pending_from_;  // nobody refers to these bytes: the next records may have them
    counters_.add(stream_is_gone_ ? counter::raw_dropped_storage : counter::raw_dropped_no_room,
                  pending_.size());
  }
  pending_from_ = used_;
  pending_.clear();
}

/// Raw records give way to the record protocol, which shares the door's batches with them: they
/// leave a quarter for it. Also finds a stream again that was deleted and made anew.
bool raw_listener::may_take(std::uint64_t now_us) {
  if (stream_is_gone_) {
    if (now_us < next_lookup_us_) return false;
    next_lookup_us_ = now_us + lookup_interval_us;
    const auto stream = sink_.find_stream(options_.stream);
    if (!stream.ok()) return false;
    lane_ = filler_.attach(*stream);
    stream_is_gone_ = false;
  }
  return std::uint64_t{filler_.in_use()} * 4 <= std::uint64_t{filler_.capacity()} * 3;
}

void raw_listener::release(std::uint64_t value) {
  slabs_.release(reinterpret_cast<slab*>(value));
}

void raw_listener::batch_finished(const record_batch& batch, std::uint64_t) {
  for (const batch_entry& entry : batch.entries) {
    if (entry.kind != entry_kind::raw || entry.owner_tag != owner_) continue;
    if (entry.result == outcome::committed) continue;
    counters_.add(counter::raw_dropped_storage, entry.record_count);
    if (batch.stream == filler_.target(lane_).id &&
        (entry.result == outcome::stream_not_found || batch.result == outcome::stream_not_found)) {
      stream_is_gone_ = true;
    }
  }
}

/// Empty when the record has none.
std::string_view raw_listener::key_of(std::string_view record, std::string_view address) {
  switch (options_.key) {
    case raw_key::source_address:
      return address;
    case raw_key::token:
      return token_of(record, options_.key_token);
    case raw_key::json_field: {
      std::ranges::copy(record, json_text_.begin());
      const auto found = json_->find({json_text_.data(), record.size()});
      return found.ok() ? *found : std::string_view();
    }
  }
  return {};
}

std::string_view raw_listener::address_of(const endpoint& from) {
  if (address_chars_ == 0 || from.address != address_from_.address ||
      from.family != address_from_.family) {
    address_from_ = from;
    const int family = from.family == 6 ? AF_INET6 : AF_INET;
    inet_ntop(family, from.address.data(), address_text_.data(),
              static_cast<socklen_t>(address_text_.size()));
    address_chars_ = std::string_view(address_text_.data()).size();
  }
  return {address_text_.data(), address_chars_};
}

}  // namespace millrace
