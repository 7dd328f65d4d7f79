// What `--backend` gives on the emulated machine: with a device, without one, without a driver.
#include <gtest/gtest.h>

#include "gpu/backend.h"
#include "gpu/device_facts.h"
#include "tests/gpu/emulation/control.h"

namespace millrace {
namespace {

TEST(backend_choice, auto_and_cuda_take_a_device_that_is_there) {
  for (const char* const choice : {"auto", "cuda"}) {
    emulation::reset();
    const auto made = make_backend(choice);
    ASSERT_TRUE(made.ok()) << made.failure().message();
    EXPECT_EQ((*made)->describe(), "cuda (emulated device 0)");
    EXPECT_EQ((*made)->health().fault, "");
  }
}

TEST(backend_choice, cpu_leaves_it_alone) {
  emulation::reset();
  const auto made = make_backend("cpu");
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE((*made)->describe().starts_with("cpu (")) << (*made)->describe();
  EXPECT_EQ(emulation::count().allocations, 0u);
}

TEST(backend_choice, auto_falls_back_to_the_cpu_and_says_why) {
  emulation::reset({.devices = 0, .driver = "CUDA driver version is insufficient"});
  const auto made = make_backend("auto");
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE((*made)->describe().starts_with("cpu ("));
  EXPECT_TRUE((*made)->describe().ends_with("; no CUDA: CUDA driver version is insufficient"))
      << (*made)->describe();
  const auto cuda = make_backend("cuda");
  ASSERT_FALSE(cuda.ok());
  EXPECT_EQ(cuda.failure().code(), error_code::unsupported);
  EXPECT_EQ(cuda.failure().message(), "backend 'cuda': CUDA driver version is insufficient");
}

TEST(backend_choice, a_device_without_memory_is_no_device) {
  emulation::reset({.device_bytes = 1 << 20});
  const auto made = make_backend("auto");
  ASSERT_TRUE(made.ok());
  EXPECT_NE((*made)->describe().find("out of memory"), std::string::npos) << (*made)->describe();
}

TEST(read_devices, names_what_is_there_and_why_there_is_nothing) {
  emulation::reset({.devices = 2});
  const auto found = read_devices();
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ((*found)[1].name, "emulated device 1");
  EXPECT_EQ((*found)[1].driver, "13.0");
  EXPECT_EQ((*found)[1].capability, "9.0");
  EXPECT_EQ((*found)[1].link, "") << "no such device on the bus";
  emulation::reset({.devices = 0});
  const auto none = read_devices();
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.failure().message(), "no CUDA-capable device is detected");
}

}  // namespace
}  // namespace millrace
