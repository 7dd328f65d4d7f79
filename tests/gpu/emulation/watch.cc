// Races: who touched which byte since which barrier. And the hooks that the compiler calls at each
// access of what is compiled with -fsanitize=thread (this file is not, and the sanitizer's own
// library is not linked).
#include <string>
#include <unordered_map>

#include "tests/gpu/emulation/fibers.h"

namespace millrace::emulation {
namespace {

struct mark {
  thread_place who{};
  access kind = access::read;
  bool set = false;
};
/// Of one byte: its last write, and one reader since (two readers never conflict; of several, the
/// last one stands for all).
struct byte_marks {
  mark written;
  mark touched;  // read, or atomic
};
std::unordered_map<const char*, byte_marks> marks;

/// Nothing orders `earlier` before what happens now at `now`.
bool unordered(const mark& earlier, const thread_place& now, bool shared) {
  if (!earlier.set || earlier.who.thread == now.thread) return false;
  if (earlier.who.block != now.block) return !shared;
  if (earlier.who.block_epoch != now.block_epoch) return false;
  return earlier.who.warp != now.warp || earlier.who.warp_epoch >= now.warp_epoch;
}

std::string text(const mark& one) {
  const char* const what = one.kind == access::read    ? "read"
                           : one.kind == access::write ? "written"
                                                       : "changed atomically";
  return std::string(what) + " by thread " + std::to_string(one.who.thread);
}

}  // namespace

void forget_accesses() {
  marks.clear();
}

void note_races(const void* at, std::size_t bytes, access kind) {
  const thread_place now = here();
  const mark own{.who = now, .kind = kind, .set = true};
  const bool shared = is_shared(at);
  for (std::size_t i = 0; i < bytes; ++i) {
    byte_marks& byte = marks[static_cast<const char*>(at) + i];
    const mark* other = nullptr;
    if (unordered(byte.written, now, shared)) other = &byte.written;
    if (kind != access::read && unordered(byte.touched, now, shared) &&
        !(kind == access::atomic && byte.touched.kind == access::atomic))
      other = &byte.touched;
    if (kind == access::read && byte.touched.kind == access::atomic &&
        unordered(byte.touched, now, shared))
      other = &byte.touched;
    if (other != nullptr) {
      fail_kernel("race: a byte " + text(*other) + " is " + text(own) +
                  " with no barrier between them");
    }
    if (kind == access::write) {
      byte.written = own;
      byte.touched = {};
    } else if (byte.touched.kind != access::atomic || kind == access::atomic ||
               !unordered(byte.touched, now, shared)) {
      byte.touched = own;
    }
  }
}

}  // namespace millrace::emulation

using millrace::emulation::access;
using millrace::emulation::note_access;

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
#define MILLRACE_HOOK(size)                     \
  void __tsan_read##size(void* at) {            \
    note_access(at, size, access::read);        \
  }                                             \
  void __tsan_write##size(void* at) {           \
    note_access(at, size, access::write);       \
  }                                             \
  void __tsan_unaligned_read##size(void* at) {  \
    note_access(at, size, access::read);        \
  }                                             \
  void __tsan_unaligned_write##size(void* at) { \
    note_access(at, size, access::write);       \
  }                                             \
  void __tsan_volatile_read##size(void* at) {   \
    note_access(at, size, access::atomic);      \
  }                                             \
  void __tsan_volatile_write##size(void* at) {  \
    note_access(at, size, access::atomic);      \
  }
MILLRACE_HOOK(1)
MILLRACE_HOOK(2)
MILLRACE_HOOK(4)
MILLRACE_HOOK(8)
MILLRACE_HOOK(16)
#undef MILLRACE_HOOK
void __tsan_read_range(void* at, unsigned long bytes) {
  note_access(at, bytes, access::read);
}
void __tsan_write_range(void* at, unsigned long bytes) {
  note_access(at, bytes, access::write);
}

// Host code's own atomics (shared_ptr, counters) in files compiled that way.
#define MILLRACE_ATOMIC(bits, type)                                                                \
  type __tsan_atomic##bits##_load(const volatile type* at, int) {                                  \
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                                  \
  }                                                                                                \
  void __tsan_atomic##bits##_store(volatile type* at, type value, int) {                           \
    __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                                 \
  }                                                                                                \
  type __tsan_atomic##bits##_exchange(volatile type* at, type value, int) {                        \
    return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);                                       \
  }                                                                                                \
  type __tsan_atomic##bits##_fetch_add(volatile type* at, type value, int) {                       \
    return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);                                        \
  }                                                                                                \
  type __tsan_atomic##bits##_fetch_sub(volatile type* at, type value, int) {                       \
    return __atomic_fetch_sub(at, value, __ATOMIC_SEQ_CST);                                        \
  }                                                                                                \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile type* at, type* expected, type value, \
                                                    int, int) {                                    \
    return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_SEQ_CST,               \
                                       __ATOMIC_SEQ_CST);                                          \
  }                                                                                                \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile type* at, type* expected, type value,   \
                                                  int, int) {                                      \
    return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_SEQ_CST,               \
                                       __ATOMIC_SEQ_CST);                                          \
  }
MILLRACE_ATOMIC(8, unsigned char)
MILLRACE_ATOMIC(32, unsigned int)
MILLRACE_ATOMIC(64, unsigned long)
#undef MILLRACE_ATOMIC
void __tsan_atomic_thread_fence(int) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
}
