/// The table of input shapes. A fact sheet: see kinesis_shapes.h for where it comes from.
#include <array>

#include "api/kinesis_shapes.h"

namespace millrace {
namespace {

using enum member_kind;
constexpr bool needed = true;

constexpr shape_member stream_name{"StreamName",       text, false,  1, 128,
                                   text_pattern::name, {},   nullptr};
constexpr shape_member stream_arn{"StreamARN", text,   false, 1, 2048, text_pattern::stream_arn,
                                  {},          nullptr};
constexpr shape_member consumer_arn{
    "ConsumerARN", text, false, 1, 2048, text_pattern::consumer_arn, {}, nullptr};
/// "Not implemented, reserved": taken and ignored.
constexpr shape_member stream_id{"StreamId", text, false, 1, 24, text_pattern::any, {}, nullptr};
constexpr shape_member dry_run{"DryRun",  boolean,           false, INT64_MIN,
                               INT64_MAX, text_pattern::any, {},    nullptr};

constexpr shape_member required(shape_member member) {
  member.required = true;
  return member;
}
constexpr shape_member name_text(std::string_view name, bool is_needed = false) {
  return {name, text, is_needed, 1, 128, text_pattern::name, {}, nullptr};
}
constexpr shape_member number(std::string_view name, bool is_needed = false,
                              std::int64_t min = INT64_MIN, std::int64_t max = INT64_MAX) {
  return {name, integer, is_needed, min, max, text_pattern::any, {}, nullptr};
}
constexpr shape_member truth(std::string_view name) {
  return {name, boolean, false, INT64_MIN, INT64_MAX, text_pattern::any, {}, nullptr};
}
constexpr shape_member when(std::string_view name) {
  return {name, time, false, INT64_MIN, INT64_MAX, text_pattern::any, {}, nullptr};
}
constexpr shape_member one_of(std::string_view name, std::string_view choices, bool is_needed) {
  return {name, text, is_needed, INT64_MIN, INT64_MAX, text_pattern::any, choices, nullptr};
}
constexpr shape_member structured(std::string_view name, const shape& inner, bool is_needed) {
  return {name, structure, is_needed, INT64_MIN, INT64_MAX, text_pattern::any, {}, &inner};
}
constexpr shape_member pattern_text(std::string_view name, text_pattern pattern,
                                    bool is_needed = false) {
  return {name, text, is_needed, INT64_MIN, INT64_MAX, pattern, {}, nullptr};
}
constexpr shape_member sized(std::string_view name, std::int64_t min, std::int64_t max,
                             bool is_needed = false) {
  return {name, text, is_needed, min, max, text_pattern::any, {}, nullptr};
}

constexpr std::string_view iterator_types =
    "AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON";
constexpr std::string_view metric_names =
    "IncomingBytes, IncomingRecords, OutgoingBytes, OutgoingRecords, "
    "WriteProvisionedThroughputExceeded, ReadProvisionedThroughputExceeded, "
    "IteratorAgeMilliseconds, ALL";
constexpr std::string_view filter_types =
    "AFTER_SHARD_ID, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, AT_LATEST, AT_TIMESTAMP, FROM_TIMESTAMP";

// --- inner shapes --------------------------------------------------------------------------------

constexpr std::array tag_members{sized("Key", 1, 128), sized("Value", 0, 256)};
constexpr shape tag_shape{tag_members};
constexpr std::array tag_key_members{sized("member", 1, 128)};
constexpr shape tag_key_shape{tag_key_members};
constexpr std::array metric_members{one_of("member", metric_names, false)};
constexpr shape metric_shape{metric_members};
constexpr std::array mode_members{one_of("StreamMode", "PROVISIONED, ON_DEMAND", needed)};
constexpr shape mode_shape{mode_members};
constexpr std::array filter_members{one_of("Type", filter_types, needed), name_text("ShardId"),
                                    when("Timestamp")};
constexpr shape filter_shape{filter_members};
constexpr std::array position_members{one_of("Type", iterator_types, needed),
                                      pattern_text("SequenceNumber", text_pattern::sequence),
                                      when("Timestamp")};
constexpr shape position_shape{position_members};
constexpr std::array commitment_members{one_of("Status", "ENABLED, DISABLED", needed)};
constexpr shape commitment_shape{commitment_members};

constexpr shape_member tags(bool is_needed, std::int64_t most) {
  return {"Tags", map, is_needed, is_needed ? 1 : 0, most, text_pattern::any, {}, &tag_shape};
}
constexpr shape_member tag_keys{"TagKeys",         list, needed,        1, 50,
                                text_pattern::any, {},   &tag_key_shape};
constexpr shape_member metrics{"ShardLevelMetrics", list, needed,       1, 7,
                               text_pattern::any,   {},   &metric_shape};
constexpr shape_member encryption_type = one_of("EncryptionType", "NONE, KMS", needed);
constexpr shape_member key_id = sized("KeyId", 1, 2048, needed);
constexpr shape_member resource_arn = sized("ResourceARN", 1, 2048, needed);
constexpr shape_member strategy(bool is_needed) {
  return one_of("RecordDistributionStrategy", "USER_PARTITION_KEY, AUTO", is_needed);
}
constexpr shape_member record_size(bool is_needed) {
  return number("MaxRecordSizeInKiB", is_needed, 1024, 10240);
}
constexpr shape_member next_token = sized("NextToken", 1, 1048576);

// --- actions -------------------------------------------------------------------------------------

constexpr std::array add_tags{tags(needed, 200), stream_name, stream_arn, stream_id};
constexpr std::array create_stream{required(stream_name),
                                   number("ShardCount", false, 1),
                                   structured("StreamModeDetails", mode_shape, false),
                                   tags(false, 200),
                                   number("WarmThroughputMiBps", false, 0),
                                   record_size(false),
                                   strategy(false)};
constexpr std::array retention{number("RetentionPeriodHours", needed), stream_name, stream_arn,
                               stream_id};
constexpr std::array delete_stream{stream_name, truth("EnforceConsumerDeletion"), stream_arn,
                                   stream_id};
constexpr std::array one_consumer{stream_arn, name_text("ConsumerName"), consumer_arn, stream_id};
constexpr std::array one_stream{stream_name, stream_arn, stream_id};
constexpr std::array describe_stream{stream_name, number("Limit", false, 1, 10000),
                                     name_text("ExclusiveStartShardId"), stream_arn, stream_id};
constexpr std::array monitoring{metrics, stream_name, stream_arn, stream_id};
constexpr std::array get_records{sized("ShardIterator", 1, 512, needed),
                                 number("Limit", false, 1, 10000), stream_arn, stream_id, dry_run};
constexpr std::array get_iterator{name_text("ShardId", needed),
                                  one_of("ShardIteratorType", iterator_types, needed),
                                  stream_name,
                                  pattern_text("StartingSequenceNumber", text_pattern::sequence),
                                  when("Timestamp"),
                                  stream_arn,
                                  stream_id,
                                  dry_run};
constexpr std::array list_shards{stream_name,
                                 next_token,
                                 name_text("ExclusiveStartShardId"),
                                 number("MaxResults", false, 1, 10000),
                                 when("StreamCreationTimestamp"),
                                 structured("ShardFilter", filter_shape, false),
                                 stream_arn,
                                 stream_id};
constexpr std::array list_consumers{required(stream_arn), next_token,
                                    number("MaxResults", false, 1, 10000),
                                    when("StreamCreationTimestamp"), stream_id};
constexpr std::array list_streams{number("Limit", false, 1, 10000),
                                  name_text("ExclusiveStartStreamName"), next_token};
constexpr std::array list_tags{stream_name, sized("ExclusiveStartTagKey", 1, 128),
                               number("Limit", false, 1, 50), stream_arn, stream_id};
constexpr std::array merge_shards{name_text("ShardToMerge", needed),
                                  name_text("AdjacentShardToMerge", needed), stream_name,
                                  stream_arn, stream_id};
constexpr std::array split_shard{name_text("ShardToSplit", needed),
                                 pattern_text("NewStartingHashKey", text_pattern::hash_key, needed),
                                 stream_name, stream_arn, stream_id};
constexpr std::array put_record{stream_name, stream_arn, stream_id, dry_run,
                                pattern_text("SequenceNumberForOrdering", text_pattern::sequence)};
constexpr std::array put_records{stream_name, stream_arn, stream_id, dry_run};
constexpr std::array register_consumer{required(stream_arn), name_text("ConsumerName", needed),
                                       stream_id, tags(false, 50)};
constexpr std::array remove_tags{tag_keys, stream_name, stream_arn, stream_id};
constexpr std::array encryption{encryption_type, key_id, stream_name, stream_arn, stream_id};
constexpr std::array subscribe{required(consumer_arn), name_text("ShardId", needed),
                               structured("StartingPosition", position_shape, needed), stream_id,
                               dry_run};
constexpr std::array update_shards{number("TargetShardCount", needed, 1),
                                   one_of("ScalingType", "UNIFORM_SCALING", needed), stream_name,
                                   stream_arn, stream_id};
constexpr std::array update_mode{required(stream_arn),
                                 structured("StreamModeDetails", mode_shape, needed), stream_id,
                                 number("WarmThroughputMiBps", false, 0)};
constexpr std::array resource{resource_arn, stream_id};
constexpr std::array put_policy{resource_arn, sized("Policy", 1, 20480, needed), stream_id};
constexpr std::array tag_resource{tags(needed, 200), resource_arn, stream_id};
constexpr std::array untag_resource{tag_keys, resource_arn, stream_id};
constexpr std::array update_size{record_size(needed), stream_arn, stream_id};
constexpr std::array update_strategy{required(stream_arn), strategy(needed), stream_id};
constexpr std::array update_warm{number("WarmThroughputMiBps", needed, 0), stream_arn, stream_name,
                                 stream_id};
constexpr std::array update_account{
    structured("MinimumThroughputBillingCommitment", commitment_shape, needed)};
constexpr std::span<const shape_member> nothing{};

struct row {
  std::string_view action;
  shape input;
};

constexpr std::array rows{
    row{"AddTagsToStream", {add_tags}},
    row{"CreateChannel", {nothing}},
    row{"CreateStream", {create_stream}},
    row{"DecreaseStreamRetentionPeriod", {retention}},
    row{"DeleteChannel", {nothing}},
    row{"DeleteResourcePolicy", {resource}},
    row{"DeleteStream", {delete_stream}},
    row{"DeregisterStreamConsumer", {one_consumer}},
    row{"DescribeAccountSettings", {nothing}},
    row{"DescribeChannel", {nothing}},
    row{"DescribeLimits", {nothing}},
    row{"DescribeStream", {describe_stream}},
    row{"DescribeStreamConsumer", {one_consumer}},
    row{"DescribeStreamSummary", {one_stream}},
    row{"DisableEnhancedMonitoring", {monitoring}},
    row{"EnableEnhancedMonitoring", {monitoring}},
    row{"GetRecords", {get_records}},
    row{"GetResourcePolicy", {resource}},
    row{"GetShardIterator", {get_iterator}},
    row{"IncreaseStreamRetentionPeriod", {retention}},
    row{"ListChannels", {nothing}},
    row{"ListShards", {list_shards}},
    row{"ListStreamConsumers", {list_consumers}},
    row{"ListStreams", {list_streams}},
    row{"ListTagsForResource", {resource}},
    row{"ListTagsForStream", {list_tags}},
    row{"MergeShards", {merge_shards}},
    row{"PutRecord", {put_record}},
    row{"PutRecords", {put_records}},
    row{"PutResourcePolicy", {put_policy}},
    row{"RegisterStreamConsumer", {register_consumer}},
    row{"RemoveTagsFromStream", {remove_tags}},
    row{"SplitShard", {split_shard}},
    row{"StartStreamEncryption", {encryption}},
    row{"StopStreamEncryption", {encryption}},
    row{"SubscribeToShard", {subscribe}},
    row{"TagResource", {tag_resource}},
    row{"UntagResource", {untag_resource}},
    row{"UpdateAccountSettings", {update_account}},
    row{"UpdateChannel", {nothing}},
    row{"UpdateMaxRecordSize", {update_size}},
    row{"UpdateShardCount", {update_shards}},
    row{"UpdateStreamMode", {update_mode}},
    row{"UpdateStreamRecordDistributionStrategy", {update_strategy}},
    row{"UpdateStreamWarmThroughput", {update_warm}},
};

}  // namespace

const shape put_record_shape{put_record};
const shape put_records_shape{put_records};

const shape* input_shape(std::string_view action) {
  for (const row& one : rows) {
    if (one.action == action) return &one.input;
  }
  return nullptr;
}

}  // namespace millrace
