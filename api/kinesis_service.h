#pragma once
/// What the actions of the Kinesis API work on, and what an action is.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/credentials.h"
#include "api/kinesis_error.h"
#include "api/kinesis_state.h"
#include "api/kinesis_token.h"
#include "api/quota_book.h"
#include "api/spare_memory.h"
#include "api/wire_value.h"
#include "api/wire_writer.h"
#include "shards/pipeline.h"
#include "shards/sequence_number.h"

namespace millrace {

struct kinesis_options {
  std::string region = "us-east-1";      ///< in ARNs
  std::string account = "000000000000";  ///< likewise; 12 digits
  std::uint64_t state_change_us = 0;     ///< how long CREATING, UPDATING, DELETING are shown
  std::uint32_t shard_limit = 10'000;    ///< DescribeLimits; enforced with compat_limits
  bool compat_limits = false;            ///< the quotas of AWS
};

/// Shared by all threads of the API; everything in it is thread-safe.
struct kinesis_service {
  pipeline& streams;
  kinesis_registry& registry;
  const token_maker& tokens;
  const kinesis_options& options;
  quota_book* quotas;   ///< null: the hardware is the limit
  spare_memory& spare;  ///< for large answers
};

/// Where a read found the end of an open shard.
struct read_end {
  stream_id stream{};
  shard_index shard{};
  record_index next{};
  std::shared_ptr<const stream_log> log;
};

/// One call of an action whose input has passed the checks of its shape.
struct action_call {
  const kinesis_service& service;
  const wire_value& input;
  wire_writer& out;                 ///< stays empty when the action answers nothing
  std::uint64_t now_us = 0;         ///< wall clock
  std::string_view action{};        ///< its name
  const credential* who = nullptr;  ///< null: this server knows no credentials
  /// Set by GetRecords, where it is not null, when there was nothing to read yet.
  std::optional<read_end>* end = nullptr;

  const wire_value* find(std::string_view name) const { return input.find(name); }
  bool has(std::string_view name) const { return input.find(name) != nullptr; }
  /// Empty when it is absent.
  std::string_view text(std::string_view name) const;
  std::int64_t integer(std::string_view name, std::int64_t otherwise) const;
  bool truth(std::string_view name) const;
};

/// May wait for the disk: called by a worker.
using action_handler = kinesis_outcome (*)(action_call& call);

/// A time of the input, in microseconds since 1970: seconds in JSON, milliseconds in CBOR.
std::uint64_t time_of(const wire_value& value, wire_encoding encoding);

// --- names (kinesis_names.cc) --------------------------------------------------------------------

std::string stream_arn(const kinesis_options& options, std::string_view name);
std::string consumer_arn(const kinesis_options& options, std::string_view stream,
                         const kinesis_consumer& consumer);
/// The stream's name in an ARN of a stream or consumer; the consumer's too, and its second.
struct arn_parts {
  std::string_view stream;
  std::string_view consumer;
  std::uint64_t created_s = 0;
};
std::optional<arn_parts> parse_arn(std::string_view arn);

struct named_stream {
  stream_handle at;
  std::shared_ptr<const kinesis_stream> extra;
  stream_state state = stream_state::active;

  const std::string& name() const { return at.description->name; }
  stream_id id() const { return at.description->id; }
  const shard_info* find_shard(shard_index shard) const;
  std::uint32_t open_shards() const;
};

/// The stream that StreamName or StreamARN names.
kinesis_outcome find_stream(const action_call& call, named_stream& into);
kinesis_outcome find_stream(const action_call& call, std::string_view name, named_stream& into);
kinesis_outcome find_stream(const action_call& call, stream_id id, named_stream& into);
/// AccessDeniedException when the caller's key is not for this stream.
kinesis_outcome check_access(const action_call& call, std::string_view stream);
kinesis_error no_such_stream(const kinesis_options& options, std::string_view name);
/// The same, and it is ACTIVE: ResourceInUseException otherwise.
kinesis_outcome find_active_stream(const action_call& call, named_stream& into);

/// "shardId-000000000003", and whatever else Kinesis takes for it: "3", "x-3".
std::optional<shard_index> parse_shard_id(std::string_view text);
kinesis_error no_such_shard(const action_call& call, const named_stream& stream,
                            std::string_view shard);
kinesis_outcome find_shard(const action_call& call, const named_stream& stream,
                           std::string_view text, const shard_info*& into);

std::string decimal(uint128 value);
/// A sequence number that is no record's: before the record of that index, after the one before. It
/// arrived before its shard came into being, so that it is below every record from there on.
sequence_number place_before(const shard_info& shard, record_index index);
bool is_place(const sequence_number& sequence);
std::string first_sequence(const shard_info& shard);
void write_hash_range(wire_writer& out, const shard_info& shard);
void write_shard(wire_writer& out, const shard_info& shard);

/// A stream whose key cannot be used is neither read nor written: the KMS error that says why.
kinesis_outcome check_stream_key(const action_call& call, const named_stream& stream);

/// ProvisionedThroughputExceededException, or the text of a record's error.
std::string over_shard_rate(const kinesis_options& options, std::string_view stream,
                            shard_index shard);
kinesis_error throughput_exceeded(const kinesis_options& options, std::string_view stream,
                                  shard_index shard);
/// With compat_limits: whether the account may have so many open shards more.
kinesis_outcome check_shard_limit(const action_call& call, std::uint64_t more);

/// Shows a state for as long as the options say.
void show_state(const action_call& call, stream_id id, stream_state state);

// --- actions, by file ----------------------------------------------------------------------------

kinesis_outcome create_stream(action_call& call);
kinesis_outcome delete_stream(action_call& call);
kinesis_outcome describe_stream(action_call& call);
kinesis_outcome describe_stream_summary(action_call& call);
kinesis_outcome list_streams(action_call& call);
kinesis_outcome describe_limits(action_call& call);

kinesis_outcome list_shards(action_call& call);
kinesis_outcome split_shard(action_call& call);
kinesis_outcome merge_shards(action_call& call);
kinesis_outcome update_shard_count(action_call& call);

kinesis_outcome get_shard_iterator(action_call& call);
kinesis_outcome get_records(action_call& call);

kinesis_outcome register_stream_consumer(action_call& call);
kinesis_outcome deregister_stream_consumer(action_call& call);
kinesis_outcome describe_stream_consumer(action_call& call);
kinesis_outcome list_stream_consumers(action_call& call);

kinesis_outcome add_tags_to_stream(action_call& call);
kinesis_outcome remove_tags_from_stream(action_call& call);
kinesis_outcome list_tags_for_stream(action_call& call);
kinesis_outcome tag_resource(action_call& call);
kinesis_outcome untag_resource(action_call& call);
kinesis_outcome list_tags_for_resource(action_call& call);
kinesis_outcome put_resource_policy(action_call& call);
kinesis_outcome get_resource_policy(action_call& call);
kinesis_outcome delete_resource_policy(action_call& call);

kinesis_outcome increase_retention(action_call& call);
kinesis_outcome decrease_retention(action_call& call);
kinesis_outcome update_stream_mode(action_call& call);
kinesis_outcome start_stream_encryption(action_call& call);
kinesis_outcome stop_stream_encryption(action_call& call);
kinesis_outcome enable_enhanced_monitoring(action_call& call);
kinesis_outcome disable_enhanced_monitoring(action_call& call);
kinesis_outcome update_max_record_size(action_call& call);
kinesis_outcome update_warm_throughput(action_call& call);
kinesis_outcome describe_account_settings(action_call& call);
kinesis_outcome update_account_settings(action_call& call);

/// Where a reader starts: GetShardIterator and SubscribeToShard.
struct start_position {
  std::string_view type;
  std::string_view sequence;
  const wire_value* time = nullptr;
};
kinesis_outcome find_position(const action_call& call, const named_stream& stream,
                              const shard_info& shard, const start_position& from,
                              record_index& into);
/// Why a log could not be read. Records from before a change of keys, under one that is not here
/// any more, are refused as KMS does.
kinesis_error read_failure(const error& failure);
/// The children of a closed shard: {ShardId, ParentShards, HashKeyRange} each.
void write_child_shards(wire_writer& out, const stream_description& stream, shard_index parent);

}  // namespace millrace
