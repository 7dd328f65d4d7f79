#include <algorithm>
#include <charconv>
#include <filesystem>
#include <future>
#include <utility>

#include "base/clock.h"
#include "shards/pipeline_core.h"
#include "shards/retention.h"
#include "shards/run_cipher.h"
#include "shards/shard_lineage.h"

namespace millrace {
namespace {

/// How long a change of shards waits for what the stream has under way: far beyond any write that
/// ends at all.
constexpr std::chrono::seconds quiet_patience{30};
/// The attribute of a stream that is encrypted at rest: the number of its key.
constexpr std::string_view encryption_attribute = "encryption_key";

}  // namespace

// --- start-up ------------------------------------------------------------------------------------

result<std::unique_ptr<pipeline>> pipeline::open(const pipeline_options& options,
                                                 std::vector<recovered_stream>& recovered) {
  MILLRACE_ASSIGN(data_lock lock, data_lock::acquire(options.data_directory));
  MILLRACE_ASSIGN(auto streams, catalog::open(options.data_directory + "/catalog.db"));
  // To send records to a device for routing alone costs more than it saves (docs/gpu_pipeline.md).
  const bool is_folded = !options.folded_streams.empty();
  const std::string choice = options.backend == "auto" && !is_folded ? "cpu" : options.backend;
  MILLRACE_ASSIGN(auto compute, make_backend(choice, options.record_memory));
  auto made = std::make_unique<pipeline_core>(options, std::move(lock), std::move(streams),
                                              std::move(compute));
  MILLRACE_TRY(made->recover(recovered));
  return std::unique_ptr<pipeline>(std::move(made));
}

status pipeline_core::recover(std::vector<recovered_stream>& recovered) {
  file_system& files = *ground_->files;
  const std::string root = options_.data_directory + "/streams";
  MILLRACE_TRY(files.create_directory(root));
  MILLRACE_ASSIGN(std::vector<std::string> directories, files.list(root));
  MILLRACE_ASSIGN(const std::vector<stream_description> known, catalog_->list());
  for (const stream_description& stream : known) {
    // A stream is in the catalog only after its directory is there, so its absence is a loss (a
    // disk that is not mounted, say) and never a new stream.
    const auto found =
        std::find(directories.begin(), directories.end(), std::to_string(stream.id.value));
    if (found == directories.end()) {
      return error(error_code::corrupt, "stream '" + stream.name + "': its directory " +
                                            directory_of(stream.id) + " is missing");
    }
    directories.erase(found);
    recovered.push_back({.name = stream.name, .report = {}});
    auto log = open_log(stream, recovered.back().report);
    if (!log.ok()) return std::move(log).failure().with_context("stream '" + stream.name + "'");
    MILLRACE_TRY(restore_encryption(stream.id, **log));
    adopt(stream, std::move(*log));
  }
  // What is left belongs to streams that were deleted, or whose creation was not finished.
  for (const std::string& name : directories) {
    MILLRACE_TRY(files.remove_directory(root + "/" + name));
  }
  return {};
}

std::string pipeline_core::directory_of(stream_id id) const {
  return options_.data_directory + "/streams/" + std::to_string(id.value);
}

result<std::shared_ptr<stream_log>> pipeline_core::open_log(const stream_description& stream,
                                                            recovery_report& report) {
  struct kept_log {
    std::shared_ptr<ground> below;  // goes last
    std::unique_ptr<stream_log> log;
  };
  log_options wanted = options_.log;
  wanted.segment_bytes = segment_bytes_for(stream.retention, wanted.segment_bytes);
  MILLRACE_ASSIGN(auto log, stream_log::open(*ground_->files, directory_of(stream.id), stream.id,
                                             wanted, ground_->counters, report));
  auto kept = std::make_shared<kept_log>(kept_log{.below = ground_, .log = std::move(log)});
  stream_log* const inside = kept->log.get();
  return std::shared_ptr<stream_log>(std::move(kept), inside);
}

void pipeline_core::adopt(const stream_description& stream, std::shared_ptr<stream_log> log) {
  std::unique_lock lock(names_mutex_);
  stream_port& port = ports_.add(stream.id, options_.batches_max);
  const std::vector<std::string>& folded = options_.folded_streams;
  const agent_tools tools{
      .compute = *compute_,
      .counters = ground_->counters,
      .free_slots = free_slots_,
      .keep_on_device = std::find(folded.begin(), folded.end(), stream.name) != folded.end()};
  auto agent = std::make_shared<stream_agent>(stream, std::move(log), port, tools);
  by_name_.emplace(stream.name, agent);
  by_id_.emplace(stream.id, agent);
  lock.unlock();
  on_agent([&] { agents_.emplace(stream.id, tended_stream{.agent = agent, .active = false}); });
  // Doors may have found the stream, and filled its queue, before the agent knew of it.
  on_agent([&] { activate(stream.id); });
}

// --- changes -------------------------------------------------------------------------------------

void pipeline_core::on_agent(const std::function<void()>& command) {
  if (!running_) return command();
  std::promise<void> ran;
  {
    std::lock_guard lock(inbox_mutex_);
    commands_.push_back([&] {
      command();
      ran.set_value();
    });
  }
  signal();
  ran.get_future().wait();
}

status pipeline_core::check_not_stopped() const {
  if (!stopping_) return {};
  return error(error_code::unavailable, "shutting down");
}

result<pipeline_core::agent_pointer> pipeline_core::find(std::string_view name) const {
  std::shared_lock lock(names_mutex_);
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) return found->second;
  return error(error_code::not_found, "stream '" + std::string(name) + "' does not exist");
}

result<stream_description> pipeline_core::create_stream(const std::string& name,
                                                        std::uint32_t shards,
                                                        const retention_policy& retention) {
  std::lock_guard lock(admin_mutex_);
  MILLRACE_TRY(check_not_stopped());
  std::shared_ptr<stream_log> log;
  std::string directory;
  const auto prepare = [&](const stream_description& stream) -> status {
    if (stream.id.value >= port_table::streams_ever_max) {
      return error(error_code::exhausted, "stream '" + name +
                                              "': " + std::to_string(port_table::streams_ever_max) +
                                              " streams have been created, the limit");
    }
    directory = directory_of(stream.id);
    MILLRACE_TRY(ground_->files->create_directory(directory));
    recovery_report report;
    MILLRACE_ASSIGN(log, open_log(stream, report));
    return {};
  };
  auto made = catalog_->create_stream(name, shards, retention, wall_us(), prepare);
  if (made.ok()) {
    adopt(*made, std::move(log));
  } else if (!directory.empty()) {
    // Also when this fails: what the catalog does not know is removed at the next start.
    log.reset();
    [[maybe_unused]] const status removed = ground_->files->remove_directory(directory);
  }
  return made;
}

status pipeline_core::delete_stream(const std::string& name) {
  std::lock_guard lock(admin_mutex_);
  MILLRACE_TRY(check_not_stopped());
  MILLRACE_ASSIGN(agent_pointer agent, find(name));
  MILLRACE_TRY(catalog_->delete_stream(agent->id()));
  {
    std::unique_lock names(names_mutex_);
    by_name_.erase(name);
    by_id_.erase(agent->id());
  }
  const std::string directory = directory_of(agent->id());
  on_agent([&] {
    agent->abandon(outcome::stream_not_found);
    const auto found = agents_.find(agent->id());
    std::erase(active_, &found->second);
    agents_.erase(found);
  });
  agent.reset();
  status removed = ground_->files->remove_directory(directory);
  if (removed.ok()) return {};
  return std::move(removed).failure().with_context(
      "stream '" + name + "' is deleted, but its files stay until the next start");
}

status pipeline_core::wait_until_quiet(std::future<status>& quiet) {
  const std::uint64_t until_us =
      monotonic_us() +
      static_cast<std::uint64_t>(std::chrono::microseconds(quiet_patience).count());
  while (!running_ && monotonic_us() < until_us &&
         quiet.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    do_work();
  }
  if (quiet.wait_for(running_ ? quiet_patience : std::chrono::seconds(0)) !=
      std::future_status::ready) {
    return error(error_code::timed_out, "what is under way does not end");
  }
  return quiet.get();
}

status pipeline_core::change_shards(const std::string& name, const shard_change& change) {
  std::lock_guard lock(admin_mutex_);
  MILLRACE_TRY(check_not_stopped());
  MILLRACE_ASSIGN(const agent_pointer agent, find(name));
  std::promise<status> promise;
  std::future<status> quiet = promise.get_future();
  on_agent([&] {
    agent->hold(std::move(promise));
    activate(agent->id());
  });
  std::optional<stream_description> installed;
  const auto make_change = [&]() -> status {
    MILLRACE_TRY(wait_until_quiet(quiet));
    const auto now_s = static_cast<std::uint32_t>(wall_us() / 1'000'000);
    MILLRACE_ASSIGN(stream_description after, change(agent->description(), now_s));
    MILLRACE_TRY(catalog_->replace_shards(after));
    installed = std::move(after);
    return {};
  };
  status made = make_change();
  on_agent([&] {
    if (installed.has_value()) agent->install(*installed);
    agent->release();
    activate(agent->id());
  });
  if (made.ok()) return {};
  return std::move(made).failure().with_context("stream '" + name + "'");
}

status pipeline_core::split(const std::string& name, shard_index shard, uint128 new_start) {
  return change_shards(name, [&](const stream_description& before, std::uint32_t now_s) {
    return split_shard(before, shard, new_start, now_s);
  });
}

status pipeline_core::merge(const std::string& name, shard_index shard, shard_index adjacent) {
  return change_shards(name, [&](const stream_description& before, std::uint32_t now_s) {
    return merge_shards(before, shard, adjacent, now_s);
  });
}

status pipeline_core::reshard(const std::string& name, std::uint32_t shards) {
  return change_shards(name, [&](const stream_description& before, std::uint32_t now_s) {
    return reshard_evenly(before, shards, now_s);
  });
}

status pipeline_core::set_retention(const std::string& name, const retention_policy& retention) {
  std::lock_guard lock(admin_mutex_);
  MILLRACE_TRY(check_not_stopped());
  MILLRACE_ASSIGN(const agent_pointer agent, find(name));
  MILLRACE_TRY(catalog_->set_retention(agent->id(), retention));
  agent->set_retention(retention);
  on_agent([this] { next_tend_us_ = 0; });
  return {};
}

/// A key that is not there blocks the stream, visibly, and no other.
status pipeline_core::restore_encryption(stream_id id, stream_log& log) {
  MILLRACE_ASSIGN(const stream_attributes known, catalog_->attributes(id));
  const auto found = known.find(std::string(encryption_attribute));
  if (found == known.end()) return {};
  std::uint32_t key_id = 0;
  const std::string& text = found->second;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), key_id);
  if (failure != std::errc() || end != text.data() + text.size())
    return error(error_code::corrupt, "catalog: encryption_key '" + text + "' is no key's number");
  [[maybe_unused]] const status usable = log.use_key(key_id);
  return {};
}

status pipeline_core::set_encryption(const std::string& name, std::uint32_t key_id) {
  std::lock_guard lock(admin_mutex_);
  MILLRACE_TRY(check_not_stopped());
  MILLRACE_ASSIGN(const agent_pointer agent, find(name));
  const log_keyring* const keys = keyring();
  if (key_id != 0) MILLRACE_TRY(check_key(keys != nullptr ? keys->find(key_id) : nullptr, key_id));
  const std::string text = std::to_string(key_id);
  MILLRACE_TRY(
      catalog_->set_attribute(agent->id(), encryption_attribute,
                              key_id != 0 ? std::optional<std::string_view>(text) : std::nullopt));
  status used;
  on_agent([&] { used = agent->log()->use_key(key_id); });
  return used;
}

status pipeline_core::set_attribute(stream_id id, std::string_view name,
                                    std::optional<std::string_view> value) {
  std::lock_guard lock(admin_mutex_);
  MILLRACE_TRY(check_not_stopped());
  {
    std::shared_lock names(names_mutex_);
    if (id.value != 0 && !by_id_.contains(id))
      return error(error_code::not_found, "the stream does not exist any more");
  }
  return catalog_->set_attribute(id, name, value);
}

// --- looking -------------------------------------------------------------------------------------

result<std::vector<stream_status>> pipeline_core::list() {
  std::vector<agent_pointer> agents;
  {
    std::shared_lock lock(names_mutex_);
    for (const auto& [name, agent] : by_name_)
      agents.push_back(agent);
  }
  std::vector<stream_status> found;
  for (const agent_pointer& agent : agents)
    found.push_back(agent->describe());
  return found;
}

result<stream_status> pipeline_core::describe(const std::string& name) {
  MILLRACE_ASSIGN(const agent_pointer agent, find(name));
  return agent->describe();
}

result<std::shared_ptr<const stream_log>> pipeline_core::log_of(const std::string& name) {
  MILLRACE_ASSIGN(const agent_pointer agent, find(name));
  return std::shared_ptr<const stream_log>(agent->log());
}

result<stream_handle> pipeline_core::open_stream(std::string_view name) {
  MILLRACE_ASSIGN(const agent_pointer agent, find(name));
  return stream_handle{.description = agent->shared_description(), .log = agent->log()};
}

result<stream_handle> pipeline_core::open_stream(stream_id id) {
  std::shared_lock lock(names_mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return error(error_code::not_found, "the stream does not exist");
  return stream_handle{.description = found->second->shared_description(),
                       .log = found->second->log()};
}

}  // namespace millrace
