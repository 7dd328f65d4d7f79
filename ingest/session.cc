#include "ingest/session.h"

#include "base/check.h"

namespace millrace {

session* session_table::allocate(std::uint64_t now_us) {
  std::uint32_t slot = 0;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else {
    if (used_ == sessions_max_) return nullptr;
    if (used_ == blocks_.size() * block_sessions) {
      blocks_.push_back(std::make_unique<session[]>(block_sessions));
      heard_s_.resize(blocks_.size() * block_sessions, never);
    }
    slot = used_++;
  }
  session& one = blocks_[slot / block_sessions][slot % block_sessions];
  one.state = session_state::opening;
  one.slot = slot;
  touch(one, now_us);
  return &one;
}

void session_table::free(session& one) {
  MILLRACE_CHECK(one.state != session_state::free, "a session was freed twice");
  const std::uint32_t slot = one.slot;
  // The whole of it, so that nothing of one session, keys least of all, is seen in the next.
  one = session{};
  heard_s_[slot] = never;
  free_.push_back(slot);
}

}  // namespace millrace
