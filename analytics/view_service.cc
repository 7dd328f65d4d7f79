#include "analytics/view_service.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "analytics/rows_codec.h"
#include "analytics/stream_worker.h"
#include "analytics/view_keeper.h"
#include "base/limits.h"

namespace millrace {
namespace {

/// Stored emissions that one wait() returns.
constexpr std::uint64_t replay_bytes_max = 8 * limits::mib;

class view_service_impl final : public view_service {
 public:
  ~view_service_impl() override = default;

  void add(pipeline& streams, const options& wanted, const std::string& stream,
           const std::vector<view_plan>& plans);

  void start() override {
    for (const auto& worker : workers_)
      worker->start();
  }
  void stop() override {
    for (const auto& worker : workers_)
      worker->stop();
  }

  std::vector<view_status> list() const override;
  result<view_status> describe(const std::string& name) const override;
  result<window_rows> read(const std::string& name, const view_query& query) const override;
  result<std::vector<late_record>> read_late(const std::string& name,
                                             std::uint32_t rows_max) const override;
  result<std::vector<emission>> wait(const std::string& name, std::uint64_t ordinal,
                                     std::uint64_t timeout_us) const override;
  const counter_set& counters() const override { return counters_.set; }

 private:
  /// A view, or why there is only its plan.
  struct known_view {
    const view_keeper* keeper = nullptr;
    stream_worker* worker = nullptr;
    view_status resting;
  };
  void rest(const view_plan& plan, const error& why);
  result<const known_view*> find(const std::string& name) const;
  result<const known_view*> find_running(const std::string& name) const;
  static view_status status_of(const known_view& one) {
    return one.keeper != nullptr ? one.keeper->feed().status() : one.resting;
  }

  shared_counters counters_;
  std::vector<std::unique_ptr<stream_worker>> workers_;
  std::map<std::string, known_view> views_;
};

void view_service_impl::rest(const view_plan& plan, const error& why) {
  known_view one;
  one.resting.plan = plan;
  one.resting.fault = why.message();
  views_[plan.name] = std::move(one);
}

/// The views of one stream. Those that cannot run now rest.
void view_service_impl::add(pipeline& streams, const options& wanted, const std::string& stream,
                            const std::vector<view_plan>& plans) {
  const auto found = streams.describe(stream);
  std::vector<std::unique_ptr<view_keeper>> keepers;
  std::vector<const view_keeper*> added;
  for (const view_plan& plan : plans) {
    if (!found.ok()) {
      rest(plan, found.failure());
      continue;
    }
    auto store = view_store::open(wanted.directory + "/" + plan.name + ".view");
    if (!store.ok()) {
      rest(plan, store.failure());
      continue;
    }
    auto keeper = std::make_unique<view_keeper>(plan, *std::move(store), wanted.rows_kept_bytes);
    const status adopted = keeper->adopt(found->description.id.value);
    if (!adopted.ok()) {
      rest(plan, adopted.failure());
      continue;
    }
    added.push_back(keeper.get());
    keepers.push_back(std::move(keeper));
  }
  if (keepers.empty()) return;
  auto worker = stream_worker::open(streams,
                                    {.stream = stream,
                                     .backend = wanted.backend,
                                     .checkpoints = {.interval_us = wanted.checkpoint_interval_us,
                                                     .bytes = wanted.checkpoint_bytes},
                                     .make_fold = wanted.make_fold},
                                    std::move(keepers), counters_);
  if (!worker.ok()) {
    for (const view_plan& plan : plans) {
      if (!views_.contains(plan.name)) rest(plan, worker.failure());
    }
    return;
  }
  workers_.push_back(*std::move(worker));
  for (const view_keeper* const one : added)
    views_[one->plan().name] = {one, workers_.back().get(), {}};
}

std::vector<view_status> view_service_impl::list() const {
  std::vector<view_status> all;
  for (const auto& [name, one] : views_)
    all.push_back(status_of(one));
  return all;
}

result<const view_service_impl::known_view*> view_service_impl::find(
    const std::string& name) const {
  const auto found = views_.find(name);
  if (found != views_.end()) return &found->second;
  return error(error_code::not_found, "view '" + name + "' does not exist");
}

result<const view_service_impl::known_view*> view_service_impl::find_running(
    const std::string& name) const {
  MILLRACE_ASSIGN(const known_view* const found, find(name));
  if (found->keeper != nullptr) return found;
  return error(error_code::unavailable, "view '" + name + "': " + found->resting.fault);
}

result<view_status> view_service_impl::describe(const std::string& name) const {
  MILLRACE_ASSIGN(const known_view* const found, find(name));
  return status_of(*found);
}

result<window_rows> view_service_impl::read(const std::string& name,
                                            const view_query& query) const {
  MILLRACE_ASSIGN(const known_view* const found, find_running(name));
  if (!query.open) return found->keeper->store().read_closed(query);
  MILLRACE_ASSIGN(const window_rows rows,
                  found->worker->read_open(*found->keeper, {.from_us = query.from_us,
                                                            .to_us = query.to_us,
                                                            .rows_max = query.rows_max}));
  window_rows reversed;
  for (std::size_t i = rows.rows.size(); i-- > 0;)
    append_row(rows, i, reversed);
  return newest_first(reversed);
}

result<std::vector<late_record>> view_service_impl::read_late(const std::string& name,
                                                              std::uint32_t rows_max) const {
  MILLRACE_ASSIGN(const known_view* const found, find_running(name));
  return found->keeper->store().read_late(rows_max);
}

result<std::vector<emission>> view_service_impl::wait(const std::string& name,
                                                      std::uint64_t ordinal,
                                                      std::uint64_t timeout_us) const {
  MILLRACE_ASSIGN(const known_view* const found, find_running(name));
  auto newest = found->keeper->feed().wait(ordinal, timeout_us);
  if (newest) return *std::move(newest);
  return found->keeper->store().read_emissions(ordinal, replay_bytes_max);
}

}  // namespace

result<std::unique_ptr<view_service>> view_service::open(pipeline& streams, const options& wanted) {
  std::error_code failed;
  std::filesystem::create_directories(wanted.directory, failed);
  if (failed) return error::from_errno(failed.value(), "views' directory " + wanted.directory);
  std::map<std::string, std::vector<view_plan>> by_stream;
  for (const view_plan& plan : wanted.plans)
    by_stream[plan.stream].push_back(plan);
  options complete = wanted;
  if (!complete.make_fold) complete.make_fold = make_fold;
  auto made = std::make_unique<view_service_impl>();
  for (const auto& [stream, plans] : by_stream)
    made->add(streams, complete, stream, plans);
  return std::unique_ptr<view_service>(std::move(made));
}

}  // namespace millrace
