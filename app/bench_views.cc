// Records into durable logs while three views fold them, against the same without.
#include <algorithm>
#include <string>
#include <thread>

#include <fmt/format.h>

#include "analytics/view_service.h"
#include "app/bench_clicks.h"
#include "app/bench_load.h"
#include "base/clock.h"

namespace millrace {
namespace {

constexpr std::uint64_t patience_us = 60'000'000;

/// Three questions that a user could have: by status, one number over all, and by user.
std::vector<view_plan> three_views() {
  std::vector<view_plan> out{click_plan("by_status"), click_plan("all"), click_plan("by_page")};
  out[1].group_by.clear();
  out[2].fields.push_back(
      {.name = "page", .type = field_type::string, .source = json_source{"page"}});
  out[2].group_by = {3};
  return out;
}

struct outcome {
  double records_per_s = 0;
  double lag_us = 0;       ///< of the slowest view when the load ended
  double catch_up_us = 0;  ///< from then until it had folded everything
};

result<outcome> run(bench_context& context, bool with_views) {
  MILLRACE_ASSIGN(const scratch_directory folder,
                  scratch_directory::create(context.options().data));
  MILLRACE_ASSIGN(auto path, memory_path::create({.data_of = click_json,
                                                  .discard = false,
                                                  .directory = folder.path()},
                                                 true));
  std::unique_ptr<view_service> views;
  if (with_views) {
    view_service::options wanted;
    wanted.directory = folder.path() + "/views";
    wanted.backend = "cpu";
    wanted.plans = three_views();
    MILLRACE_ASSIGN(views, view_service::open(path->streams(), wanted));
    views->start();
  }
  MILLRACE_ASSIGN(const path_rates rates, path->run_for(context.options().seconds));
  outcome out{.records_per_s = rates.records_per_s};
  if (!views) return out;
  const auto behind = [&] {
    std::uint64_t worst = 0;
    for (const view_status& view : views->list())
      worst = std::max(worst, view.behind_us);
    return worst;
  };
  out.lag_us = static_cast<double>(behind());
  path->stop_load();
  const std::uint64_t ended = monotonic_us();
  const auto is_all_folded = [&] {
    const std::uint64_t durable = path->streams().counters().get(counter::records_durable);
    const auto list = views->list();
    return std::all_of(list.begin(), list.end(), [&](const view_status& view) {
      return view.counts.folded + view.counts.late + view.counts.left_out == durable;
    });
  };
  while (!is_all_folded()) {
    if (monotonic_us() - ended > patience_us)
      return error(error_code::timed_out, "the views have not caught up after a minute");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  out.catch_up_us = static_cast<double>(monotonic_us() - ended);
  for (const view_status& view : views->list()) {
    if (!view.fault.empty()) return error(error_code::io, view.fault);
    if (view.counts.left_out > 0)
      return error(error_code::exhausted, "view " + view.plan.name + " left records out");
  }
  views->stop();
  return out;
}

}  // namespace

status bench_views(bench_context& context) {
  const std::string group = "spine with views";
  const auto size = click_json(0).size();
  const std::string without = fmt::format("{}-byte JSON made durable, no view", size);
  MILLRACE_TRY(context.measure({.group = group, .name = without, .unit = "records/s"},
                               [&]() -> result<double> {
                                 MILLRACE_ASSIGN(const outcome one, run(context, false));
                                 return one.records_per_s;
                               }));
  std::vector<double> lags;
  std::vector<double> catch_ups;
  MILLRACE_TRY(context.measure({.group = group,
                                .name = "the same, with three views",
                                .unit = "records/s",
                                .ceiling = context.median_of(group, without),
                                .ceiling_name = "without views",
                                .note = "wanted: at least 50 %"},
                               [&]() -> result<double> {
                                 MILLRACE_ASSIGN(const outcome one, run(context, true));
                                 lags.push_back(one.lag_us);
                                 catch_ups.push_back(one.catch_up_us);
                                 return one.records_per_s;
                               }));
  const auto add = [&](const char* name, std::vector<double> values) {
    const bench_rounds rounds = rounds_of(std::move(values));
    context.add({.group = group,
                 .name = name,
                 .unit = "µs",
                 .median = rounds.median,
                 .low = rounds.low,
                 .high = rounds.high});
  };
  add("the slowest view's lag when the load ends", std::move(lags));
  add("from then until every record is folded", std::move(catch_ups));
  return {};
}

}  // namespace millrace
