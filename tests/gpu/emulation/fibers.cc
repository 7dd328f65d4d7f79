#include "tests/gpu/emulation/fibers.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include <sys/mman.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

// Shared memory of the kernels that are no templates: the linker names its bounds.
extern "C" {
extern char __start_millrace_shared[] __attribute__((weak));
extern char __stop_millrace_shared[] __attribute__((weak));
}

namespace millrace::emulation {
namespace {

constexpr std::size_t stack_bytes = 64 * 1024;
constexpr unsigned threads_max = 1024;

enum class state : std::uint8_t { ready, at_barrier, at_warp, done };

struct fiber {
  ucontext_t context;
  state now = state::done;
  const void* barrier_place = nullptr;
  unsigned mask = 0;           // at_warp: who takes part
  const char* operation = "";  // at_warp
  std::uint64_t value = 0;
  lane_values received{};
  std::uint32_t warp_epoch = 0;
};

struct grid_state {
  std::vector<fiber> fibers;
  char* stacks = nullptr;
  ucontext_t scheduler;
  const std::function<void()>* kernel = nullptr;
  unsigned threads = 0;
  unsigned block = 0;
  unsigned current = 0;
  std::uint32_t block_epoch = 0;
  bool running = false;
  std::string failure;
  std::mt19937_64 random{1};
  std::uint32_t stop_one_in = 64;
  std::uint32_t until_stop = 64;
  bool find_races = false;
  const void* scheduler_stack = nullptr;
  std::size_t scheduler_stack_bytes = 0;
};
grid_state grid;

// The address sanitizer wants to know whose stack it is on.
void leaving([[maybe_unused]] void** keep, [[maybe_unused]] const void* stack,
             [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(keep, stack, bytes);
#endif
}
void arrived([[maybe_unused]] void* kept, [[maybe_unused]] const void** from,
             [[maybe_unused]] std::size_t* bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(kept, from, bytes);
#endif
}

void* stack_of(unsigned thread) {
  return grid.stacks + std::size_t{thread} * stack_bytes;
}

void to_scheduler(bool for_good) {
  void* kept = nullptr;
  leaving(for_good ? nullptr : &kept, grid.scheduler_stack, grid.scheduler_stack_bytes);
  swapcontext(&grid.fibers[grid.current].context, &grid.scheduler);
  arrived(kept, nullptr, nullptr);
}

void run_thread() {
  arrived(nullptr, &grid.scheduler_stack, &grid.scheduler_stack_bytes);
  (*grid.kernel)();
  grid.fibers[grid.current].now = state::done;
  to_scheduler(true);
}

void switch_to(unsigned thread) {
  grid.current = thread;
  threadIdx.x = thread;
  void* kept = nullptr;
  leaving(&kept, stack_of(thread), stack_bytes);
  swapcontext(&grid.scheduler, &grid.fibers[thread].context);
  arrived(kept, nullptr, nullptr);
}

std::string place_text() {
  return "block " + std::to_string(grid.block) + ": ";
}

/// Lets the lanes go whose whole mask has come; false if none could.
bool release_warps() {
  bool any = false;
  for (unsigned first = 0; first < grid.threads; first += 32) {
    const unsigned lanes = std::min(32u, grid.threads - first);
    for (unsigned lane = 0; lane < lanes; ++lane) {
      fiber& one = grid.fibers[first + lane];
      if (one.now != state::at_warp) continue;
      unsigned come = 0;
      for (unsigned other = 0; other < lanes; ++other) {
        const fiber& peer = grid.fibers[first + other];
        if ((one.mask >> other & 1) != 0 && peer.now == state::at_warp && peer.mask == one.mask &&
            std::strcmp(peer.operation, one.operation) == 0)
          come |= 1u << other;
      }
      if (come != one.mask) continue;
      const unsigned mask = one.mask;
      lane_values all{};
      for (unsigned other = 0; other < lanes; ++other)
        if ((mask >> other & 1) != 0) all.of[other] = grid.fibers[first + other].value;
      for (unsigned other = 0; other < lanes; ++other) {
        if ((mask >> other & 1) == 0) continue;
        fiber& peer = grid.fibers[first + other];
        peer.received = all;
        peer.now = state::ready;
        // Only this one orders memory.
        if (std::strcmp(peer.operation, "__syncwarp") == 0) ++peer.warp_epoch;
      }
      any = true;
    }
  }
  return any;
}

/// Everybody who is left stands at the barrier.
bool release_barrier() {
  const void* place = nullptr;
  bool any = false;
  for (unsigned i = 0; i < grid.threads; ++i) {
    fiber& one = grid.fibers[i];
    if (one.now == state::done) continue;
    if (one.now != state::at_barrier) return false;
    if (any && one.barrier_place != place) {
      grid.failure = place_text() + "threads wait at different barriers";
      return false;
    }
    place = one.barrier_place;
    any = true;
  }
  if (!any) return false;
  for (unsigned i = 0; i < grid.threads; ++i) {
    fiber& one = grid.fibers[i];
    if (one.now == state::done) {
      grid.failure = place_text() + "thread " + std::to_string(i) +
                     " ended without the barrier that others wait at";
      return false;
    }
    one.now = state::ready;
  }
  ++grid.block_epoch;
  return true;
}

void schedule() {
  std::vector<unsigned> ready;
  while (grid.failure.empty()) {
    ready.clear();
    bool all_done = true;
    for (unsigned i = 0; i < grid.threads; ++i) {
      if (grid.fibers[i].now == state::ready) ready.push_back(i);
      all_done = all_done && grid.fibers[i].now == state::done;
    }
    if (all_done) return;
    if (ready.empty()) {
      if (release_warps() || release_barrier()) continue;
      if (grid.failure.empty()) {
        std::string who;
        for (unsigned i = 0; i < grid.threads && who.size() < 200; ++i) {
          const fiber& one = grid.fibers[i];
          if (one.now == state::at_warp)
            who += " thread " + std::to_string(i) + " at " + one.operation + ",";
        }
        grid.failure = place_text() + "nobody can go on:" +
                       (who.empty() ? " some threads wait at a barrier" : who);
      }
      return;
    }
    // All that are ready run once, in an order of chance, before anybody is asked again.
    std::shuffle(ready.begin(), ready.end(), grid.random);
    for (const unsigned thread : ready) {
      switch_to(thread);
      if (!grid.failure.empty()) return;
    }
  }
}

void fill_with_noise(char* from, char* to) {
  while (from < to) {
    const std::uint64_t noise = grid.random();
    const auto bytes = std::min<std::size_t>(sizeof noise, static_cast<std::size_t>(to - from));
    std::memcpy(from, &noise, bytes);
    from += bytes;
  }
}

}  // namespace

void seed_fibers(std::uint64_t seed, std::uint32_t stop_one_in, bool find_races) {
  grid.random.seed(seed);
  grid.stop_one_in = stop_one_in;
  grid.until_stop = stop_one_in;
  grid.find_races = find_races;
}

std::uint64_t draw() {
  return grid.random();
}

bool in_kernel() {
  return grid.running;
}

void may_stop() {
#if defined(__SANITIZE_ADDRESS__)
  // Reads and writes are not marked in this build: who waits for a word that a stopped thread will
  // change would read it for ever. So threads stop at barriers and warp operations alone.
  return;
#endif
  if (!grid.running || grid.stop_one_in == 0) return;
  if (--grid.until_stop != 0) return;
  grid.until_stop = static_cast<std::uint32_t>(1 + grid.random() % (2ull * grid.stop_one_in));
  to_scheduler(false);
}

void fail_kernel(const std::string& what) {
  grid.failure = place_text() + what;
  to_scheduler(true);
  std::abort();
}

void block_barrier(const void* place) {
  fiber& self = grid.fibers[grid.current];
  self.now = state::at_barrier;
  self.barrier_place = place;
  to_scheduler(false);
}

lane_values exchange(unsigned mask, std::uint64_t value, const char* operation) {
  fiber& self = grid.fibers[grid.current];
  if ((mask >> (grid.current % 32) & 1) == 0) {
    fail_kernel(std::string(operation) + " by a lane that its own mask does not name");
  }
  self.now = state::at_warp;
  self.mask = mask;
  self.operation = operation;
  self.value = value;
  to_scheduler(false);
  return self.received;
}

unsigned lanes_alive() {
  const unsigned first = grid.current / 32 * 32;
  unsigned alive = 0;
  for (unsigned lane = 0; lane < 32 && first + lane < grid.threads; ++lane)
    if (grid.fibers[first + lane].now != state::done) alive |= 1u << lane;
  return alive;
}

thread_place here() {
  const unsigned warps = (grid.threads + 31) / 32;
  return {.thread = grid.block * grid.threads + grid.current,
          .block = grid.block,
          .warp = grid.block * warps + grid.current / 32,
          .block_epoch = grid.block_epoch,
          .warp_epoch = grid.fibers[grid.current].warp_epoch};
}

bool on_own_stack(const void* at) {
  const auto* const byte = static_cast<const char*>(at);
  return byte >= grid.stacks && byte < grid.stacks + stack_bytes * threads_max;
}

bool is_shared(const void* at) {
  return at >= __start_millrace_shared && at < __stop_millrace_shared;
}

/// A thread of the next block, at its kernel's beginning.
static void make_ready(unsigned thread) {
  fiber& one = grid.fibers[thread];
  one.now = state::ready;
  one.warp_epoch = 0;
  getcontext(&one.context);
  one.context.uc_stack.ss_sp = stack_of(thread);
  one.context.uc_stack.ss_size = stack_bytes;
  one.context.uc_link = nullptr;
  makecontext(&one.context, run_thread, 0);
}

std::string run_grid(unsigned blocks, unsigned threads, const std::function<void()>& kernel) {
  if (threads == 0 || threads > threads_max || blocks == 0) return "bad launch shape";
  if (grid.stacks == nullptr) {
    void* const region = mmap(nullptr, stack_bytes * threads_max, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED) return "no memory for fibers";
    grid.stacks = static_cast<char*>(region);
    grid.fibers.resize(threads_max);
  }
  grid.kernel = &kernel;
  grid.threads = threads;
  grid.failure.clear();
  blockDim = {threads, 1, 1};
  gridDim = {blocks, 1, 1};
  forget_accesses();
  for (unsigned block = 0; block < blocks && grid.failure.empty(); ++block) {
    grid.block = block;
    grid.block_epoch = 0;
    blockIdx = {block, 0, 0};
    fill_with_noise(__start_millrace_shared, __stop_millrace_shared);
    for (unsigned i = 0; i < threads; ++i)
      make_ready(i);
    grid.running = true;
    schedule();
    grid.running = false;
  }
  return grid.failure;
}

void note_races(const void* at, std::size_t bytes, access kind);

void note_access(const void* at, std::size_t bytes, access kind) {
  if (!grid.running || on_own_stack(at)) return;
  if (grid.find_races) note_races(at, bytes, kind);
  may_stop();
}

}  // namespace millrace::emulation
