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

struct view_run {
  double records_per_s = 0;
  double lag_us = 0;        ///< of the slowest view when the load ended
  double catch_up_us = 0;   ///< from then until it had folded everything
  double folded_per_s = 0;  ///< records from the first to the last fold, catching up included
};

/// `records_per_s` 0: as many as go.
result<view_run> run(bench_context& context, bool with_views, double records_per_s = 0) {
  MILLRACE_ASSIGN(const scratch_directory folder,
                  scratch_directory::create(context.options().data));
  MILLRACE_ASSIGN(auto path, memory_path::create({.data_of = click_json,
                                                  .records_per_s = records_per_s,
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
  const std::uint64_t began = monotonic_us();
  MILLRACE_ASSIGN(const path_rates rates, path->run_for(context.options().seconds));
  view_run out{.records_per_s = rates.records_per_s};
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
  const std::uint64_t folded = monotonic_us();
  out.catch_up_us = static_cast<double>(folded - ended);
  out.folded_per_s = static_cast<double>(path->streams().counters().get(counter::records_durable)) *
                     1e6 / static_cast<double>(folded - began);
  for (const view_status& view : views->list()) {
    if (!view.fault.empty()) return error(error_code::io, view.fault);
    if (view.counts.left_out > 0)
      return error(error_code::exhausted, "view " + view.plan.name + " left records out");
  }
  views->stop();
  return out;
}

/// Runs with views at one rate, and what became of them.
struct view_figures {
  std::vector<double> lags;
  std::vector<double> catch_ups;
  std::vector<double> folds;

  double take(const view_run& one) {
    lags.push_back(one.lag_us);
    catch_ups.push_back(one.catch_up_us);
    folds.push_back(one.folded_per_s);
    return one.records_per_s;
  }
  void add_to(bench_context& context, const std::string& group, const std::string& what) {
    const auto add = [&](const std::string& name, const char* unit, std::vector<double>& values) {
      const bench_rounds rounds = rounds_of(std::move(values));
      context.add({.group = group,
                   .name = what + ": " + name,
                   .unit = unit,
                   .median = rounds.median,
                   .low = rounds.low,
                   .high = rounds.high});
    };
    add("the slowest view's lag when the load ends", "µs", lags);
    add("from then until every record is folded", "µs", catch_ups);
    add("durable and folded, catching up included", "records/s", folds);
  }
};

}  // namespace

status bench_views(bench_context& context) {
  const std::string group = "spine with views";
  const auto size = click_json(0).size();
  const std::string without = fmt::format("{}-byte JSON made durable, no view", size);
  MILLRACE_TRY(context.measure({.group = group, .name = without, .unit = "records/s"},
                               [&]() -> result<double> {
                                 MILLRACE_ASSIGN(const view_run one, run(context, false));
                                 return one.records_per_s;
                               }));
  const double ceiling = context.median_of(group, without);
  const auto with_views = [&](const std::string& what, double share) -> status {
    view_figures figures;
    MILLRACE_TRY(context.measure({.group = group,
                                  .name = what,
                                  .unit = "records/s",
                                  .ceiling = ceiling,
                                  .ceiling_name = "without views"},
                                 [&]() -> result<double> {
                                   MILLRACE_ASSIGN(const view_run one,
                                                   run(context, true, share * ceiling));
                                   return figures.take(one);
                                 }));
    figures.add_to(context, group, what);
    return {};
  };
  // Producers do not wait for views. At a rate that views keep up with, they read from memory what
  // was just written; past it they are behind, and read it from the disk that is being written.
  MILLRACE_TRY(with_views("three views, half the rate", 0.5));
  MILLRACE_TRY(with_views("three views, 70 % of the rate", 0.7));
  return with_views("three views, full rate", 0);
}

}  // namespace millrace
