/// A gate's thread and the waker of its agent.
#include <gtest/gtest.h>
#include <unistd.h>

#include "api/http_client.h"
#include "api/http_gate.h"
#include "base/arena.h"

namespace millrace {
namespace {

class greeter final : public http_agent {
 public:
  bool admit(http_exchange&, std::uint64_t) override { return true; }
  void handle(std::shared_ptr<http_exchange> exchange) override {
    exchange->answer({.status = 200, .content_type = "text/plain", .headers = {}, .body = "hello"});
  }
  int do_work(std::uint64_t) override { return 0; }
  std::uint64_t next_due_us() const override { return UINT64_MAX; }
  bool has_work() const override { return false; }
  waker& wake() override { return waker_; }
  bool drain(std::uint64_t) override { return true; }
  void abandon() override {}

 private:
  waker waker_;
};

TEST(gate_waker, a_notification_that_comes_late_does_not_keep_the_thread_busy_for_ever) {
  arena memory = *arena::create({.bytes = 4 * limits::mib, .try_hugetlb = false});
  auto bodies = body_pool::create(memory, 2 * limits::mib);
  ASSERT_TRUE(bodies.ok());
  greeter agent;
  auto gate = http_gate::start({}, {&agent}, **bodies);
  ASSERT_TRUE(gate.ok());
  // What notify() does when it was overtaken between its look at the flag and its write.
  const std::uint64_t one = 1;
  ASSERT_EQ(write(agent.wake().fd(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  auto client = http_client::create("127.0.0.1", (*gate)->port());
  for (int i = 0; i < 3; ++i) {
    auto reply = client->call({.method = "POST", .target = "/"});
    ASSERT_TRUE(reply.ok()) << reply.failure().message();
    EXPECT_EQ(reply->body, "hello");
  }
  // A thread that spins cannot be joined: this would wait until the test's time is over.
  (*gate)->stop();
}

}  // namespace
}  // namespace millrace
