#include "api/kinesis_actions.h"

#include <algorithm>
#include <array>

#include "api/http_gate.h"

namespace millrace {
namespace {

using enum action_kind;

constexpr std::array actions{
    kinesis_action{"AddTagsToStream", call, add_tags_to_stream},
    kinesis_action{"CreateChannel"},
    kinesis_action{"CreateStream", call, create_stream},
    kinesis_action{"DecreaseStreamRetentionPeriod", call, decrease_retention},
    kinesis_action{"DeleteChannel"},
    kinesis_action{"DeleteResourcePolicy", call, delete_resource_policy},
    kinesis_action{"DeleteStream", call, delete_stream},
    kinesis_action{"DeregisterStreamConsumer", call, deregister_stream_consumer},
    kinesis_action{"DescribeAccountSettings", call, describe_account_settings},
    kinesis_action{"DescribeChannel"},
    kinesis_action{"DescribeLimits", call, describe_limits},
    kinesis_action{"DescribeStream", call, describe_stream},
    kinesis_action{"DescribeStreamConsumer", call, describe_stream_consumer},
    kinesis_action{"DescribeStreamSummary", call, describe_stream_summary},
    kinesis_action{"DisableEnhancedMonitoring", call, disable_enhanced_monitoring},
    kinesis_action{"EnableEnhancedMonitoring", call, enable_enhanced_monitoring},
    kinesis_action{"GetRecords", call, get_records},
    kinesis_action{"GetResourcePolicy", call, get_resource_policy},
    kinesis_action{"GetShardIterator", call, get_shard_iterator},
    kinesis_action{"IncreaseStreamRetentionPeriod", call, increase_retention},
    kinesis_action{"ListChannels"},
    kinesis_action{"ListShards", call, list_shards},
    kinesis_action{"ListStreamConsumers", call, list_stream_consumers},
    kinesis_action{"ListStreams", call, list_streams},
    kinesis_action{"ListTagsForResource", call, list_tags_for_resource},
    kinesis_action{"ListTagsForStream", call, list_tags_for_stream},
    kinesis_action{"MergeShards", call, merge_shards},
    kinesis_action{"PutRecord", put_record},
    kinesis_action{"PutRecords", put_records},
    kinesis_action{"PutResourcePolicy", call, put_resource_policy},
    kinesis_action{"RegisterStreamConsumer", call, register_stream_consumer},
    kinesis_action{"RemoveTagsFromStream", call, remove_tags_from_stream},
    kinesis_action{"SplitShard", call, split_shard},
    kinesis_action{"StartStreamEncryption", call, start_stream_encryption},
    kinesis_action{"StopStreamEncryption", call, stop_stream_encryption},
    kinesis_action{"SubscribeToShard", subscribe},
    kinesis_action{"TagResource", call, tag_resource},
    kinesis_action{"UntagResource", call, untag_resource},
    kinesis_action{"UpdateAccountSettings", call, update_account_settings},
    kinesis_action{"UpdateChannel"},
    kinesis_action{"UpdateMaxRecordSize", call, update_max_record_size},
    kinesis_action{"UpdateShardCount", call, update_shard_count},
    kinesis_action{"UpdateStreamMode", call, update_stream_mode},
    kinesis_action{"UpdateStreamRecordDistributionStrategy"},
    kinesis_action{"UpdateStreamWarmThroughput", call, update_warm_throughput},
};

static_assert(actions.size() < http_exchange::labels_max);

}  // namespace

std::uint8_t label_of(const kinesis_action& action) {
  return static_cast<std::uint8_t>(&action - actions.data() + 1);
}

std::string_view action_name_of(std::uint8_t label) {
  return label == 0 || label > actions.size() ? "none" : actions[label - 1].name;
}

const kinesis_action* find_action(std::string_view name) {
  const auto found = std::lower_bound(
      actions.begin(), actions.end(), name,
      [](const kinesis_action& one, std::string_view wanted) { return one.name < wanted; });
  return found != actions.end() && found->name == name ? &*found : nullptr;
}

}  // namespace millrace
