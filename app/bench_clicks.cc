#include "app/bench_clicks.h"

#include <fmt/format.h>

namespace millrace {

std::string click_json(std::uint32_t number) {
  const std::uint32_t dice = number * 2654435761u;
  const char* const status = dice % 100 < 94 ? "200" : dice % 100 < 99 ? "404" : "503";
  return fmt::format(
      "{{\"ts\":1750000000{:03},\"user\":\"user-{:09}\",\"status\":{},\"page\":\"/search/{}\","
      "\"referrer\":\"/product\",\"bytes\":{},\"agent\":\"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) "
      "Gecko/20100101 Firefox/127.0\",\"session\":\"{:016x}{:016x}\",\"region\":\"eu-central\","
      "\"timing\":{{\"queue\":{},\"total\":{}.{}}}}}",
      number % 1000, dice % 1'000'000, status, dice % 10'000, 200 + dice % 60'000, dice * 3ull,
      dice * 7ull, dice % 5, 5 + dice % 250, dice % 10);
}

view_plan click_plan(std::string_view name) {
  view_plan plan;
  plan.name = name;
  plan.stream = "bench";
  plan.layout = record_layout::json;
  plan.fields = {{.name = "status", .type = field_type::int64, .source = json_source{"status"}},
                 {.name = "bytes", .type = field_type::int64, .source = json_source{"bytes"}},
                 {.name = "ms", .type = field_type::float64, .source = json_source{"timing.total"}}};
  plan.group_by = {0};
  plan.window = {.kind = window_kind::tumbling, .size_us = 1'000'000, .hop_us = 1'000'000};
  plan.aggregates = {{.name = "n", .kind = aggregate_kind::count, .field = {}},
                     {.name = "bytes", .kind = aggregate_kind::sum, .field = 1},
                     {.name = "p99", .kind = aggregate_kind::approx_percentile, .field = 2, .quantile = 0.99}};
  return plan;
}

}  // namespace millrace
