#include "gpu/fold_team.h"

namespace millrace {

fold_team::fold_team(unsigned members) {
  for (unsigned member = 1; member < members; ++member)
    threads_.emplace_back([this, member] { help(member); });
}

fold_team::~fold_team() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  for (std::thread& one : threads_)
    one.join();
}

void fold_team::run(const std::function<void(unsigned)>& work) {
  if (threads_.empty()) return work(0);
  {
    std::lock_guard lock(mutex_);
    work_ = &work;
    ++jobs_;
  }
  wake_.notify_all();
  work(0);
  std::unique_lock lock(mutex_);
  work_ = nullptr;  // who wakes from now on finds nothing
  idle_.wait(lock, [this] { return working_ == 0; });
}

void fold_team::help(unsigned member) {
  std::uint64_t done = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return ending_ || (work_ != nullptr && jobs_ != done); });
    if (ending_) return;
    done = jobs_;
    const auto& work = *work_;
    ++working_;
    lock.unlock();
    work(member);
    lock.lock();
    if (--working_ == 0) idle_.notify_one();
  }
}

}  // namespace millrace
