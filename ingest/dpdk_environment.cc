#include "ingest/dpdk_environment.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <signal.h>

#include "ingest/dpdk_settings.h"

namespace millrace {
namespace {

/// The last lines that the EAL logged: its own words for what it did not like.
std::string last_words(std::string_view log) {
  while (log.ends_with('\n'))
    log.remove_suffix(1);
  std::size_t from = log.size();
  for (int lines = 0; lines < 2 && from != std::string_view::npos; ++lines) {
    from = from == 0 ? std::string_view::npos : log.rfind('\n', from - 1);
  }
  std::string out(from == std::string_view::npos ? log : log.substr(from + 1));
  std::ranges::replace(out, '\n', ' ');
  return out;
}

/// On a thread of its own: the EAL binds its caller to one CPU, and its threads inherit the
/// caller's signal mask.
int init_on_this_thread(std::vector<std::string>& words, std::string& log) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::vector<char*> argv;
  for (std::string& word : words)
    argv.push_back(word.data());
  char* text = nullptr;
  std::size_t bytes = 0;
  FILE* stream = open_memstream(&text, &bytes);
  if (stream) rte_openlog_stream(stream);
  const int done = rte_eal_init(static_cast<int>(argv.size()), argv.data());
  const int failure = rte_errno;
  rte_openlog_stream(nullptr);
  if (stream) {
    std::fclose(stream);
    log.assign(text, bytes);
    std::free(text);
  }
  return done < 0 ? (failure == 0 ? EINVAL : failure) : 0;
}

/// Takes DPDK's files and huge pages away with the process.
void clean_up_at_exit() {
  std::lock_guard lock(eal().mutex);
  if (eal().open_ports.empty()) rte_eal_cleanup();
}

status init_environment(std::string_view arguments) {
  dpdk_environment& one = eal();
  MILLRACE_ASSIGN(one.words, eal_command_line(arguments));
  one.pins_threads = names_lcores(one.words);
  int failure = 0;
  std::string log;
  std::thread([&] { failure = init_on_this_thread(one.words, log); }).join();
  if (failure != 0) {
    return dpdk_error(
        error_code::invalid_argument,
        "DPDK does not start with '" + std::string(arguments) + "': " + last_words(log), failure);
  }
  std::atexit(clean_up_at_exit);
  if (rte_eal_iova_mode() != RTE_IOVA_VA) {
    return error(error_code::unsupported,
                 "DPDK uses physical addresses, Millrace's arena has only virtual ones: enable the "
                 "IOMMU and give --iova-mode=va");
  }
  return {};
}

/// Joins the thread to DPDK's lcores, so that pools cache for it; leaves with the thread.
class thread_membership {
 public:
  thread_membership() {
    if (rte_lcore_id() == LCORE_ID_ANY) joined_ = rte_thread_register() == 0;
  }
  ~thread_membership() {
    if (joined_) rte_thread_unregister();
  }
  thread_membership(const thread_membership&) = delete;
  thread_membership& operator=(const thread_membership&) = delete;

 private:
  bool joined_ = false;
};

/// Binds the thread to the CPUs of the index-th lcore that the user named.
void pin_thread(std::uint32_t index) {
  std::uint32_t lcore = 0;
  RTE_LCORE_FOREACH(lcore) {
    if (index-- > 0) continue;
    const rte_cpuset_t cpus = rte_lcore_cpuset(lcore);
    pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
    return;
  }
}

}  // namespace

error dpdk_error(error_code code, const std::string& what, int errno_value) {
  return error(code, what + ": " + rte_strerror(errno_value < 0 ? -errno_value : errno_value));
}

dpdk_environment& eal() {
  static auto* const one = new dpdk_environment;
  return *one;
}

std::string unique_dpdk_name(const char* what) {
  return "millrace_" + std::string(what) + std::to_string(eal().names++);
}

status start_eal(std::string_view arguments) {
  dpdk_environment& one = eal();
  if (!one.started) {
    one.arguments = arguments;
    one.started = init_environment(arguments);
  } else if (one.arguments != arguments) {
    return error(error_code::already_exists, "DPDK was started with '" + one.arguments +
                                                 "' already; it starts once in a process");
  }
  return *one.started;
}

void join_eal(std::uint32_t index) {
  thread_local const thread_membership membership;
  if (eal().pins_threads) pin_thread(index);
}

}  // namespace millrace
