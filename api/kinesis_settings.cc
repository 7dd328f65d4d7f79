/// What else can be set of a stream, and of the account.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "api/kinesis_service.h"
#include "api/quota_book.h"
#include "base/clock.h"
#include "base/limits.h"

namespace millrace {
namespace {

constexpr std::array<std::string_view, 7> metric_names{"IncomingBytes",
                                                       "IncomingRecords",
                                                       "IteratorAgeMilliseconds",
                                                       "OutgoingBytes",
                                                       "OutgoingRecords",
                                                       "ReadProvisionedThroughputExceeded",
                                                       "WriteProvisionedThroughputExceeded"};

kinesis_outcome set_retention(action_call& call, bool increase) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_active_stream(call, stream));
  const std::int64_t hours = call.integer("RetentionPeriodHours", 0);
  retention_policy policy = stream.at.description->retention;
  if (hours < limits::retention_hours_min)
    return invalid_argument(
        fmt::format("Minimum allowed retention period is {} hours. Requested retention period ({} "
                    "hours) is too short.",
                    limits::retention_hours_min, hours));
  if (hours > limits::retention_hours_max)
    return invalid_argument(
        fmt::format("Maximum allowed retention period is {} hours. Requested retention period ({} "
                    "hours) is too long.",
                    limits::retention_hours_max, hours));
  if (increase ? hours < policy.hours : hours > policy.hours)
    return invalid_argument(
        fmt::format("Requested retention period ({} hours) for stream {} can not be {} than "
                    "existing retention period ({} hours). Use {}RetentionPeriod API.",
                    hours, stream.name(), increase ? "shorter" : "longer", policy.hours,
                    increase ? "Decrease" : "Increase"));
  if (hours == policy.hours) return std::nullopt;
  policy.hours = static_cast<std::uint32_t>(hours);
  const status made = call.service.streams.set_retention(stream.name(), policy);
  if (!made.ok()) return translate(made.failure());
  show_state(call, stream.id(), stream_state::updating);
  return std::nullopt;
}

kinesis_outcome set_monitoring(action_call& call, bool enable) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_active_stream(call, stream));
  std::set<std::string> named;
  for (const wire_value& one : call.find("ShardLevelMetrics")->items) {
    if (one.text == "ALL")
      named.insert(metric_names.begin(), metric_names.end());
    else
      named.insert(one.text);
  }
  std::set<std::string> before;
  std::set<std::string> after;
  MILLRACE_KINESIS_TRY(
      call.service.registry.change(stream.id(), [&](kinesis_stream& into) -> kinesis_outcome {
        before = into.metrics;
        for (const std::string& one : named) {
          if (enable)
            into.metrics.insert(one);
          else
            into.metrics.erase(one);
        }
        after = into.metrics;
        return std::nullopt;
      }));
  wire_writer& out = call.out;
  const auto write = [&](std::string_view name, const std::set<std::string>& metrics) {
    out.name(name);
    out.begin_list();
    for (const std::string& one : metrics)
      out.plain(one);
    out.end_list();
  };
  out.begin_map();
  out.plain("StreamName", stream.name());
  out.plain("StreamARN", stream_arn(call.service.options, stream.name()));
  write("CurrentShardLevelMetrics", before);
  write("DesiredShardLevelMetrics", after);
  out.end_map();
  return std::nullopt;
}

void write_commitment(wire_writer& out) {
  out.begin_map();
  out.name("MinimumThroughputBillingCommitment");
  out.begin_map();
  out.plain("Status", "DISABLED");
  out.end_map();
  out.end_map();
}

}  // namespace

kinesis_outcome increase_retention(action_call& call) {
  return set_retention(call, true);
}

kinesis_outcome decrease_retention(action_call& call) {
  return set_retention(call, false);
}

kinesis_outcome update_stream_mode(action_call& call) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_active_stream(call, stream));
  const bool on_demand = call.find("StreamModeDetails")->find("StreamMode")->text == "ON_DEMAND";
  quota_book* const quotas = call.service.quotas;
  if (quotas != nullptr && on_demand != stream.extra->on_demand &&
      !quotas->take_mode_change(stream.id(), monotonic_us()))
    return limit_exceeded(
        fmt::format("The mode of stream {} under account {} has been changed twice in the last 24 "
                    "hours.",
                    stream.name(), call.service.options.account));
  MILLRACE_KINESIS_TRY(
      call.service.registry.change(stream.id(), [&](kinesis_stream& into) -> kinesis_outcome {
        into.on_demand = on_demand;
        return std::nullopt;
      }));
  show_state(call, stream.id(), stream_state::updating);
  return std::nullopt;
}

kinesis_outcome enable_enhanced_monitoring(action_call& call) {
  return set_monitoring(call, true);
}

kinesis_outcome disable_enhanced_monitoring(action_call& call) {
  return set_monitoring(call, false);
}

kinesis_outcome update_max_record_size(action_call& call) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_active_stream(call, stream));
  return call.service.registry.change(stream.id(), [&](kinesis_stream& into) -> kinesis_outcome {
    into.record_kib_max =
        static_cast<std::uint32_t>(call.integer("MaxRecordSizeInKiB", into.record_kib_max));
    return std::nullopt;
  });
}

kinesis_outcome update_warm_throughput(action_call& call) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_active_stream(call, stream));
  const auto wanted = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(call.integer("WarmThroughputMiBps", 0), 0, 10'240));
  if (!stream.extra->on_demand)
    return kinesis_error{"ValidationException",
                         "Warm throughput can only be set of a stream in ON_DEMAND mode."};
  MILLRACE_KINESIS_TRY(
      call.service.registry.change(stream.id(), [&](kinesis_stream& into) -> kinesis_outcome {
        into.warm_mib = wanted;
        return std::nullopt;
      }));
  wire_writer& out = call.out;
  out.begin_map();
  out.plain("StreamARN", stream_arn(call.service.options, stream.name()));
  out.plain("StreamName", stream.name());
  out.name("WarmThroughput");
  out.begin_map();
  out.integer("TargetMiBps", wanted);
  out.integer("CurrentMiBps", wanted);
  out.end_map();
  out.end_map();
  return std::nullopt;
}

kinesis_outcome describe_account_settings(action_call& call) {
  write_commitment(call.out);
  return std::nullopt;
}

/// A matter of billing, which there is none of here.
kinesis_outcome update_account_settings(action_call& call) {
  if (call.find("MinimumThroughputBillingCommitment")->find("Status")->text == "ENABLED")
    return kinesis_error{"ValidationException",
                         "This server has no billing to commit to: the status stays DISABLED."};
  write_commitment(call.out);
  return std::nullopt;
}

}  // namespace millrace
