#include "shards/thread_write_queue.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <sys/eventfd.h>
#include <unistd.h>

#include "shards/posix_file.h"

namespace millrace {
namespace {

class thread_write_queue;

struct write_order {
  thread_write_queue* queue = nullptr;
  posix_file* to = nullptr;
  std::uint64_t offset = 0;
  byte_view from;
  durability wanted = durability::durable;
  std::uint64_t token = 0;
};

}  // namespace

class write_threads {
 public:
  explicit write_threads(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i)
      threads_.emplace_back([this] { run(); });
  }
  ~write_threads() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& one : threads_)
      one.join();
  }
  write_threads(const write_threads&) = delete;
  write_threads& operator=(const write_threads&) = delete;

  void add(const write_order& order) {
    {
      std::lock_guard lock(mutex_);
      orders_.push_back(order);
    }
    wake_.notify_one();
  }

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<write_order> orders_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

namespace {

class thread_write_queue : public write_queue {
 public:
  thread_write_queue(std::shared_ptr<write_threads> threads, std::uint32_t in_flight_max)
      : threads_(std::move(threads)),
        in_flight_max_(in_flight_max),
        fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    MILLRACE_CHECK(fd_ >= 0, "eventfd");
  }
  ~thread_write_queue() override {
    std::unique_lock lock(mutex_);
    all_ended_.wait(lock, [this] { return running_ == 0; });
    lock.unlock();
    ::close(fd_);
  }
  thread_write_queue(const thread_write_queue&) = delete;
  thread_write_queue& operator=(const thread_write_queue&) = delete;

  bool submit(file& to, std::uint64_t offset, byte_view from, durability wanted,
              std::uint64_t token) override {
    auto* target = dynamic_cast<posix_file*>(&to);
    MILLRACE_CHECK(target != nullptr, "a write queue takes files of its own file system");
    {
      std::lock_guard lock(mutex_);
      if (running_ + ended_.size() >= in_flight_max_) return false;
      ++running_;
    }
    threads_->add({this, target, offset, from, wanted, token});
    return true;
  }

  void poll(std::vector<finished_write>& out) override {
    std::uint64_t ignored = 0;
    while (::read(fd_, &ignored, sizeof ignored) > 0) {
    }
    std::lock_guard lock(mutex_);
    for (finished_write& one : ended_)
      out.push_back(std::move(one));
    ended_.clear();
  }

  void finished(std::uint64_t token, status outcome) {
    // Everything under the lock: the destructor may go on the moment it is free.
    std::lock_guard lock(mutex_);
    ended_.push_back({token, std::move(outcome)});
    const std::uint64_t one = 1;
    MILLRACE_CHECK(::write(fd_, &one, sizeof one) == sizeof one, "eventfd write");
    if (--running_ == 0) all_ended_.notify_all();
  }

  int poll_fd() const override { return fd_; }
  std::string describe() const override { return "threads"; }

 private:
  std::shared_ptr<write_threads> threads_;
  const std::uint32_t in_flight_max_;
  const int fd_;
  std::mutex mutex_;
  std::condition_variable all_ended_;
  std::uint32_t running_ = 0;
  std::vector<finished_write> ended_;
};

}  // namespace

void write_threads::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !orders_.empty(); });
    if (orders_.empty()) return;
    const write_order order = orders_.front();
    orders_.pop_front();
    lock.unlock();
    order.queue->finished(order.token,
                          write_fully(*order.to, order.offset, order.from, order.wanted));
    lock.lock();
  }
}

std::shared_ptr<write_threads> make_write_threads(std::uint32_t count) {
  return std::make_shared<write_threads>(count);
}

std::unique_ptr<write_queue> make_thread_write_queue(std::shared_ptr<write_threads> threads,
                                                     std::uint32_t in_flight_max) {
  return std::make_unique<thread_write_queue>(std::move(threads), in_flight_max);
}

}  // namespace millrace
