#pragma once
/// The pipeline's one implementation: one agent's thread drives every stream. Administration runs
/// on its caller's thread and hands the agent small commands, so that a transaction of the catalog
/// never holds up the batches of other streams.
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <poll.h>

#include "base/waker.h"
#include "gpu/backend.h"
#include "shards/data_lock.h"
#include "shards/pipeline.h"
#include "shards/result_service.h"
#include "shards/stream_agent.h"
#include "shards/stream_port.h"

namespace millrace {

class pipeline_core final : public pipeline {
 public:
  pipeline_core(const pipeline_options& options, data_lock lock, std::unique_ptr<catalog> streams,
                std::unique_ptr<backend> compute);
  ~pipeline_core() override;

  /// Before anything else: opens the log of every stream.
  status recover(std::vector<recovered_stream>& recovered);

  // pipeline.cc
  void start() override;
  void stop() override;
  int do_work() override;
  result<stream_target> find_stream(std::string_view name) override;
  bool submit(record_batch& batch) override;
  bool is_idle(stream_id stream) const override;
  bool is_blocked(stream_id stream) const override;
  result_lookup& results() override { return *results_; }
  const counter_set& counters() const override { return ground_->counters; }
  std::string describe_backend() const override { return compute_->describe(); }
  backend_health health_of_backend() const override { return compute_->health(); }

  // stream_admin.cc
  result<stream_description> create_stream(const std::string& name, std::uint32_t shards,
                                           const retention_policy& retention) override;
  status delete_stream(const std::string& name) override;
  status split(const std::string& name, shard_index shard, uint128 new_start) override;
  status merge(const std::string& name, shard_index shard, shard_index adjacent) override;
  status reshard(const std::string& name, std::uint32_t shards) override;
  status set_retention(const std::string& name, const retention_policy& retention) override;
  status set_encryption(const std::string& name, std::uint32_t key_id) override;
  const log_keyring* keyring() const override { return options_.log.keyring.get(); }
  result<std::vector<stream_status>> list() override;
  result<stream_status> describe(const std::string& name) override;
  result<stream_attributes> attributes(stream_id id) override { return catalog_->attributes(id); }
  status set_attribute(stream_id id, std::string_view name,
                       std::optional<std::string_view> value) override;
  result<std::shared_ptr<const stream_log>> log_of(const std::string& name) override;
  result<stream_handle> open_stream(std::string_view name) override;
  result<stream_handle> open_stream(stream_id id) override;

 private:
  /// What logs need, and readers may keep beyond the pipeline.
  struct ground {
    std::shared_ptr<file_system> files;
    counter_set counters;
  };
  struct tended_stream {
    std::shared_ptr<stream_agent> agent;
    bool active = false;  // in active_
  };
  using agent_pointer = std::shared_ptr<stream_agent>;
  using shard_change =
      std::function<result<stream_description>(const stream_description&, std::uint32_t now_s)>;

  // pipeline.cc
  void run();
  void sleep(std::uint64_t seen_signals, std::uint64_t timeout_us_max);
  void drain();
  int take_inbox();
  void activate(stream_id stream);
  void tend_streams(std::uint64_t wall_us);
  void set_gauges(const agent_times& now);
  void signal();
  /// Gives a batch back on the caller's thread.
  void refuse(record_batch& batch, outcome why);

  // stream_admin.cc
  std::string directory_of(stream_id id) const;
  result<std::shared_ptr<stream_log>> open_log(const stream_description& stream,
                                               recovery_report& report);
  status restore_encryption(stream_id id, stream_log& log);
  /// Makes the stream known to doors and to the agent.
  void adopt(const stream_description& stream, std::shared_ptr<stream_log> log);
  result<agent_pointer> find(std::string_view name) const;
  status check_not_stopped() const;
  /// Runs `command` on the agent's thread and returns when it is done; without a thread, here.
  void on_agent(const std::function<void()>& command);
  /// Between two batches of the stream, in one transaction.
  status change_shards(const std::string& name, const shard_change& change);
  status wait_until_quiet(std::future<status>& quiet);

  const pipeline_options options_;
  data_lock lock_;
  std::shared_ptr<ground> ground_;
  std::unique_ptr<catalog> catalog_;
  std::unique_ptr<backend> compute_;
  std::vector<route_slot> slots_;
  std::vector<route_slot*> free_slots_;

  // Doors and administration.
  port_table ports_;
  mutable std::shared_mutex names_mutex_;
  std::map<std::string, agent_pointer, std::less<>> by_name_;
  std::unordered_map<stream_id, agent_pointer> by_id_;
  std::mutex admin_mutex_;  // one change at a time
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> refused_at_once_{0};

  // The way to the agent's thread.
  waker waker_;
  std::atomic<std::uint64_t> signals_{0};
  std::mutex inbox_mutex_;
  std::vector<stream_id> ready_;
  std::vector<std::function<void()>> commands_;
  std::thread thread_;
  std::atomic<bool> running_{false};
  std::atomic<bool> ending_{false};

  // The agent's thread alone.
  std::unordered_map<stream_id, tended_stream> agents_;
  std::vector<tended_stream*> active_;
  std::vector<pollfd> wait_on_;
  std::vector<stream_id> ready_taken_;
  std::vector<std::function<void()>> commands_taken_;
  std::uint64_t signals_taken_ = 0;
  std::uint64_t refused_counted_ = 0;
  std::uint64_t next_tend_us_ = 0;

  std::unique_ptr<result_service> results_;  // goes first: its thread looks at the streams
};

}  // namespace millrace
