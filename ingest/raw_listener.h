#pragma once
/// Raw datagrams: for senders that cannot speak the record protocol (syslog, GELF, statsd,
/// NetFlow). Each datagram, or each line of it, becomes a record. Lossy by nature: there is no ack,
/// so what finds no room is dropped, and every drop is counted with its reason (raw_dropped_*
/// counters).
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/counters.h"
#include "ingest/batch_filler.h"
#include "ingest/key_finder.h"
#include "ingest/packet_handler.h"

namespace millrace {

/// Where a raw record's partition key comes from.
enum class raw_key : std::uint8_t {
  source_address,  ///< the sender's address as text, without the port
  token,           ///< the N-th whitespace-separated token of the record, from 1
  json_field,      ///< a field of the record, which is a JSON object
};

struct raw_listener_options {
  std::string host;
  std::uint16_t port = 0;
  std::string stream;
  bool lines = false;  ///< each line of a datagram is a record, without its line end
  raw_key key = raw_key::source_address;
  std::uint32_t key_token = 0;  ///< for raw_key::token
  std::string key_path;         ///< for raw_key::json_field: dotted, "user.id"
};

/// "127.0.0.1:5514=logs", "[::]:5514=logs,lines,key-field=3",
/// "0.0.0.0:12201=gelf,key-json=host". The error names what is wrong.
result<raw_listener_options> parse_raw_listener(std::string_view text);
std::string to_string(const raw_listener_options& options);

/// A buffer holds the records of several datagrams.
inline constexpr std::uint32_t raw_slab_bytes = 256 * limits::kib;
inline constexpr std::uint32_t raw_slabs_default = 64;

/// One of a door's local ports. On the door's thread; the filler and the sink outlive it, and its
/// batches have come back before it goes.
class raw_listener : public packet_handler, public buffer_owner, public batch_observer {
 public:
  /// Carves `slabs` buffers; looks the stream up. `not_found` when there is none of that name.
  static result<std::unique_ptr<raw_listener>> create(const raw_listener_options& options,
                                                      std::uint32_t slabs, arena& memory,
                                                      batch_sink& sink, batch_filler& filler,
                                                      counter_set& counters);
  ~raw_listener();

  /// Copies the packet's records into its own buffers; never keeps the packet's.
  bool handle(const received_packet& packet, std::uint64_t buffer, std::uint64_t now_us) override;

  void release(std::uint64_t value) override;
  void batch_finished(const record_batch& batch, std::uint64_t now_us) override;

  const raw_listener_options& options() const { return options_; }

 private:
  raw_listener(const raw_listener_options& options, slab_pool slabs, stream_lane lane,
               batch_sink& sink, batch_filler& filler, counter_set& counters);

  bool may_take(std::uint64_t now_us);
  void add(std::string_view record, std::string_view address, std::uint64_t now_us);
  void append_pending(std::uint64_t now_us);
  std::string_view key_of(std::string_view record, std::string_view address);
  std::string_view address_of(const endpoint& from);

  raw_listener_options options_;
  batch_sink& sink_;
  batch_filler& filler_;
  counter_set& counters_;
  slab_pool slabs_;
  stream_lane lane_;
  std::uint32_t owner_ = 0;
  bool stream_is_gone_ = false;
  std::uint64_t next_lookup_us_ = 0;

  slab* current_ = nullptr;         ///< one reference is ours while it is being filled
  std::uint32_t used_ = 0;          ///< bytes of it that appended or pending records use
  std::uint32_t pending_from_ = 0;  ///< where the records in pending_ start
  std::vector<record_ref> pending_;

  std::unique_ptr<key_finder> json_;
  std::vector<char> json_text_;  ///< a copy with room behind it, which the JSON reader wants

  endpoint address_from_;  ///< whom address_text_ is of
  std::array<char, 64> address_text_{};
  std::size_t address_chars_ = 0;
};

}  // namespace millrace
