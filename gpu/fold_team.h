#pragma once
/// Threads that work on a fold's job together with the one that has it. They sleep between jobs.
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace millrace {

class fold_team {
 public:
  /// `members`: the caller's thread and that many less one of the team's own.
  explicit fold_team(unsigned members);
  ~fold_team();
  fold_team(const fold_team&) = delete;
  fold_team& operator=(const fold_team&) = delete;

  unsigned members() const { return static_cast<unsigned>(threads_.size()) + 1; }
  /// Has `work` called with a member's number: by the caller as 0, and by those of the others that
  /// wake before the caller is through. Returns when no call is under way.
  void run(const std::function<void(unsigned)>& work);

 private:
  void help(unsigned member);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  const std::function<void(unsigned)>* work_ = nullptr;
  std::uint64_t jobs_ = 0;
  unsigned working_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace millrace
