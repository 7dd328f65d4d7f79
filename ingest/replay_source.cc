#include <algorithm>
#include <array>
#include <cstring>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "ingest/memory_source.h"
#include "ingest/wire_codec.h"

namespace millrace {
namespace {

/// CRC32C of A|B from those of A and B: moving A's over B's length is linear, so a table a byte of
/// A's CRC gives it in four loads.
class crc_shift {
 public:
  explicit crc_shift(byte_view zeros) {
    const std::uint32_t of_zeros = crc32c(zeros);
    std::array<std::uint32_t, 32> basis;
    for (std::uint32_t bit = 0; bit < 32; ++bit) {
      basis[bit] = crc32c(zeros, std::uint32_t{1} << bit) ^ of_zeros;
    }
    for (std::uint32_t byte = 0; byte < 4; ++byte) {
      for (std::uint32_t value = 0; value < 256; ++value) {
        std::uint32_t sum = 0;
        for (std::uint32_t bit = 0; bit < 8; ++bit) {
          if ((value >> bit & 1) != 0) sum ^= basis[8 * byte + bit];
        }
        table_[byte][value] = sum;
      }
    }
  }
  std::uint32_t operator()(std::uint32_t crc) const {
    return table_[0][crc & 0xff] ^ table_[1][crc >> 8 & 0xff] ^ table_[2][crc >> 16 & 0xff] ^
           table_[3][crc >> 24];
  }

 private:
  std::array<std::array<std::uint32_t, 256>, 4> table_;
};

struct prepared {
  std::byte* bytes = nullptr;
  std::uint32_t datagram_bytes = 0;
  std::uint32_t payload_bytes = 0;
  std::uint32_t payload_crc = 0;
  std::uint32_t shift = 0;  ///< index of its length's crc_shift
  std::uint16_t record_count = 0;
  std::uint64_t first_record = 0;  ///< within one round
  std::uint64_t first_byte = 0;    ///< record bytes before it within one round
};

class replayer final : public replay_source {
 public:
  replayer(std::vector<prepared> all, std::vector<crc_shift> shifts, const replay_options& options)
      : all_(std::move(all)), shifts_(std::move(shifts)), options_(options) {
    round_records_ = all_.back().first_record + all_.back().record_count;
    round_bytes_ = all_.back().first_byte + all_.back().payload_bytes;
  }

  std::uint32_t receive(std::span<received_packet> out) override {
    if (session_ == 0) return 0;
    const std::size_t burst = std::min(out.size(), all_.size() / 2);
    const std::uint64_t end = std::min(options_.records_max, paced_end());
    std::uint32_t count = 0;
    while (count < burst && outstanding_ < options_.outstanding_max && record_ < end) {
      const prepared& one = all_[at_];
      if (sent_bytes_ + one.payload_bytes > credit_limit_) break;
      renew(one);
      out[count++] = {.bytes = mutable_byte_view(one.bytes, one.datagram_bytes),
                      .from = {},
                      .buffer = at_,
                      .buffer_bytes = one.datagram_bytes};
      ++outstanding_;
      record_ += one.record_count;
      sent_bytes_ += one.payload_bytes;
      at_ = at_ + 1 < all_.size() ? at_ + 1 : 0;
    }
    if (count == 0 && outstanding_ >= options_.outstanding_max) ++stalled_;
    return count;
  }
  void release(std::uint64_t) override { --outstanding_; }

  std::uint32_t send(std::span<const outgoing_packet> packets) override {
    for (const outgoing_packet& packet : packets)
      take_reply(packet.bytes);
    return static_cast<std::uint32_t>(packets.size());
  }
  int poll_fd() const override { return -1; }
  std::uint32_t datagram_bytes_max() const override { return limits::datagram_bytes_max; }
  source_counters counters() const override {
    return {.dropped = 0,
            .stalled = stalled_,
            .buffers = options_.outstanding_max,
            .buffers_free = options_.outstanding_max - outstanding_};
  }
  std::string describe() const override {
    return "replay of " + std::to_string(all_.size()) + " datagrams in memory";
  }

  std::uint64_t records_sent() const override { return record_ - start_; }
  std::uint64_t records_durable() const override { return durable_ - start_; }
  std::uint64_t record_bytes_durable() const override { return bytes_before(durable_ - start_); }
  bool is_finished() const override {
    return record_ >= options_.records_max && durable_ == record_;
  }

 private:
  /// The record before which it stops for now, to keep to its rate.
  std::uint64_t paced_end() {
    if (options_.records_per_s == 0) return UINT64_MAX;
    const std::uint64_t now_us = monotonic_us();
    if (began_us_ == 0) began_us_ = now_us;
    const double due = static_cast<double>(now_us - began_us_) * 1e-6 * options_.records_per_s;
    return start_ + static_cast<std::uint64_t>(due);
  }

  std::uint64_t bytes_before(std::uint64_t records) const {
    const std::uint64_t within = records % round_records_;
    const auto after = std::ranges::upper_bound(all_, within, {}, &prepared::first_record);
    return records / round_records_ * round_bytes_ + (after - 1)->first_byte;
  }

  void renew(const prepared& one) {
    wire::datagram_header header{};
    header.magic = wire::magic;
    header.type = static_cast<std::uint8_t>(wire::datagram_type::data);
    header.record_count = one.record_count;
    header.session = session_;
    header.session_slot = slot_;
    header.packet_number = next_packet_++;
    header.first_record = record_;
    header.payload_bytes = one.payload_bytes;
    store(one.bytes, header);
    const std::uint32_t head = crc32c(byte_view(one.bytes, sizeof header));
    store(one.bytes + sizeof header + one.payload_bytes,
          shifts_[one.shift](head) ^ one.payload_crc);
  }

  /// Back to the datagram that starts with `record`; the server releases whole datagrams, so that
  /// it always names such a one.
  void go_back_to(std::uint64_t record) {
    if (record >= record_ || record < start_) return;
    const std::uint64_t within = (record - start_) % round_records_;
    const auto after = std::ranges::upper_bound(all_, within, {}, &prepared::first_record);
    at_ = static_cast<std::size_t>(after - all_.begin()) - 1;
    record_ = record - (within - all_[at_].first_record);
    sent_bytes_ = bytes_before(record_ - start_);
  }

  void take_reply(byte_view bytes) {
    std::array<std::byte, limits::datagram_bytes_min> copy;
    if (bytes.size() > copy.size()) return;
    std::memcpy(copy.data(), bytes.data(), bytes.size());
    wire::datagram from;
    if (wire::parse_datagram(mutable_byte_view(copy.data(), bytes.size()), from) !=
            wire::datagram_fault::none ||
        wire::verify_plain(from) != wire::datagram_fault::none) {
      return;
    }
    const bool is_opening = from.type() == wire::datagram_type::open_ack;
    if (!is_opening && from.header.session != session_) return;  // of an earlier session
    if (is_opening) {
      const auto ack = from.as<wire::open_ack_payload>();
      session_ = from.header.session;
      slot_ = from.header.session_slot;
      start_ = record_ = durable_ = ack.next_record;
      credit_limit_ = ack.credit_limit;
      sent_bytes_ = 0;
      at_ = 0;
      next_packet_ = 1;
    } else if (from.type() == wire::datagram_type::ack) {
      const auto ack = from.as<wire::ack_payload>();
      durable_ = std::max(durable_, ack.durable_record);
      credit_limit_ = std::max(credit_limit_, ack.credit_limit);
    } else if (from.type() == wire::datagram_type::nak) {
      go_back_to(from.header.first_record);
    } else if (from.type() == wire::datagram_type::reset) {
      session_ = 0;
    }
  }

  std::vector<prepared> all_;
  std::vector<crc_shift> shifts_;
  replay_options options_;
  std::uint64_t round_records_ = 0;
  std::uint64_t round_bytes_ = 0;
  std::uint64_t session_ = 0;
  std::uint32_t slot_ = 0;
  std::uint32_t outstanding_ = 0;
  std::size_t at_ = 0;
  std::uint64_t next_packet_ = 1;
  std::uint64_t began_us_ = 0;
  std::uint64_t start_ = 0;
  std::uint64_t record_ = 0;
  std::uint64_t durable_ = 0;
  std::uint64_t sent_bytes_ = 0;
  std::uint64_t credit_limit_ = 0;
  std::uint64_t stalled_ = 0;
};

}  // namespace

result<std::unique_ptr<replay_source>> replay_source::create(
    arena& from, const std::vector<std::vector<std::byte>>& payloads,
    const replay_options& options) {
  if (payloads.size() < 2) {
    return error(error_code::invalid_argument, "a replay needs two datagrams or more");
  }
  std::vector<prepared> all;
  std::vector<crc_shift> shifts;
  std::vector<std::uint32_t> shift_bytes;
  std::uint64_t record = 0;
  std::uint64_t byte = 0;
  for (const std::vector<std::byte>& payload : payloads) {
    prepared one;
    one.payload_bytes = static_cast<std::uint32_t>(payload.size());
    one.datagram_bytes = wire::datagram_bytes(one.payload_bytes, false);
    if (one.datagram_bytes > limits::datagram_bytes_max) {
      return error(error_code::invalid_argument,
                   "a datagram of " + std::to_string(one.datagram_bytes) + " bytes is over " +
                       std::to_string(limits::datagram_bytes_max));
    }
    MILLRACE_ASSIGN(const mutable_byte_view room,
                    from.carve(align_up(one.datagram_bytes, 64), 64, "replayed datagrams"));
    one.bytes = room.data();
    std::memcpy(one.bytes + sizeof(wire::datagram_header), payload.data(), payload.size());
    one.payload_crc = crc32c(payload);
    for (std::size_t at = 0; at + sizeof(record_header) <= payload.size(); ++one.record_count) {
      at += record_view(payload.data() + at).stride();
    }
    one.first_record = record;
    one.first_byte = byte;
    record += one.record_count;
    byte += one.payload_bytes;
    const auto known = std::ranges::find(shift_bytes, one.payload_bytes);
    one.shift = static_cast<std::uint32_t>(known - shift_bytes.begin());
    if (known == shift_bytes.end()) {
      shift_bytes.push_back(one.payload_bytes);
      shifts.emplace_back(std::vector<std::byte>(payload.size()));
    }
    all.push_back(one);
  }
  return std::unique_ptr<replay_source>(
      std::make_unique<replayer>(std::move(all), std::move(shifts), options));
}

}  // namespace millrace
