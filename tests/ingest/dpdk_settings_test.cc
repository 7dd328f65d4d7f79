#include "ingest/dpdk_settings.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

using strings = std::vector<std::string>;

TEST(dpdk_settings, arguments_are_split_as_a_shell_splits_them) {
  struct {
    const char* text;
    strings words;
  } const cases[] = {{"", {}},
                     {"  a  b\tc\n", {"a", "b", "c"}},
                     {"--vdev='net_pcap0,rx_pcap=/a b.pcap' -m 64",
                      {"--vdev=net_pcap0,rx_pcap=/a b.pcap", "-m", "64"}},
                     {"\"a 'b' \\\" c\"", {"a 'b' \" c"}},
                     {"a\\ b ''", {"a b", ""}},
                     {"'\\'", {"\\"}}};
  for (const auto& [text, words] : cases) {
    const auto split = split_arguments(text);
    ASSERT_TRUE(split.ok()) << text;
    EXPECT_EQ(*split, words) << text;
  }
  EXPECT_FALSE(split_arguments("'open").ok());
  EXPECT_FALSE(split_arguments("open\\").ok());
}

TEST(dpdk_settings, virtual_addresses_are_asked_for_unless_the_user_said) {
  EXPECT_EQ(*eal_command_line("-m 64"), (strings{"millrace", "-m", "64", "--iova-mode=va"}));
  EXPECT_EQ(*eal_command_line("--iova-mode=pa"), (strings{"millrace", "--iova-mode=pa"}));
  EXPECT_TRUE(names_lcores(*eal_command_line("-l 2-5")));
  EXPECT_TRUE(names_lcores(*eal_command_line("--lcores=1@2")));
  EXPECT_FALSE(names_lcores(*eal_command_line("--log-level=error --no-huge")));
}

TEST(dpdk_settings, each_port_gets_its_addresses) {
  const strings texts{"192.0.2.1/24", "2001:db8::1/64@0", "198.51.100.1/24@1"};
  ASSERT_TRUE(addresses_of_port(texts, 0).ok());
  EXPECT_EQ(addresses_of_port(texts, 0)->size(), 2u);
  EXPECT_EQ(to_string(addresses_of_port(texts, 1)->front()), "198.51.100.1/24");
  EXPECT_FALSE(addresses_of_port(texts, 2).ok()) << "one forgotten port would listen to all";
  EXPECT_TRUE(addresses_of_port({}, 2).ok());
  EXPECT_FALSE(addresses_of_port(strings{"192.0.2.1/24@x"}, 0).ok());
  EXPECT_FALSE(addresses_of_port(strings{"192.0.2.1"}, 0).ok());
}

TEST(dpdk_settings, errors_name_setting_value_and_limit) {
  struct {
    dpdk_options options;
    const char* says;
  } const cases[] = {{{.listen_ports = {1}, .mtu = 1279}, "mtu 1279 is not from 1280 to 9000"},
                     {{.listen_ports = {1}, .mtu = 9001}, "mtu 9001"},
                     {{.listen_ports = {1}, .queues = 0}, "queues 0"},
                     {{.listen_ports = {1}, .buffers = 2047}, "buffers 2047 is not from 2048"},
                     {{}, "listen ports 0"}};
  for (const auto& [options, says] : cases) {
    const status checked = check_dpdk_options(options);
    ASSERT_FALSE(checked.ok()) << says;
    EXPECT_NE(checked.failure().message().find(says), std::string::npos)
        << checked.failure().message();
  }
  EXPECT_TRUE(check_dpdk_options(dpdk_options{.listen_ports = {4567}}).ok());
  EXPECT_FALSE(check_dpdk_options(dpdk_ring_options{.ring_frames = 100}).ok());
}

TEST(dpdk_settings, a_buffer_holds_the_largest_frame_with_its_tag) {
  for (const std::uint32_t mtu : {mtu_min, 1500u, 2030u, 2031u, 4000u, mtu_max}) {
    EXPECT_GE(buffer_data_bytes(mtu), 128 + mtu + 18) << mtu;
    EXPECT_EQ(buffer_data_bytes(mtu) % 1024, 128u) << mtu;
  }
}

}  // namespace
}  // namespace millrace
