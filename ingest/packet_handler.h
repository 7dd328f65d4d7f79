#pragma once
/// What a door does with the packets of one of its source's local ports: the record server, or a
/// raw listener.
#include "ingest/packet_source.h"

namespace millrace {

/// On its door's thread.
class packet_handler {
 public:
  virtual ~packet_handler() = default;

  /// Takes one packet. `buffer` is the handle for batch_filler::append(). True: the reference to
  /// the buffer was kept (a batch has it now, or the handler will see to it); false: the door
  /// releases it.
  [[nodiscard]] virtual bool handle(const received_packet& packet, std::uint64_t buffer,
                                    std::uint64_t now_us) = 0;
};

}  // namespace millrace
