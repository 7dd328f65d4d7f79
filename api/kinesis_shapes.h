#pragma once
/// The inputs of Kinesis' actions as data: members, types and constraints, from the AWS service
/// model (botocore's kinesis/2013-12-02/service-2.json, and the newer @aws-sdk/client-kinesis).
#include <cstdint>
#include <span>
#include <string_view>

#include "api/kinesis_error.h"
#include "api/wire_value.h"

namespace millrace {

enum class member_kind : std::uint8_t { text, integer, boolean, time, list, map, structure };

/// The regular expressions that the model has.
enum class text_pattern : std::uint8_t { any, name, hash_key, sequence, stream_arn, consumer_arn };

struct shape;

struct shape_member {
  std::string_view name;
  member_kind kind = member_kind::text;
  bool required = false;
  std::int64_t min = INT64_MIN;  ///< of a length, or of an integer itself
  std::int64_t max = INT64_MAX;
  text_pattern pattern = text_pattern::any;
  std::string_view choices{};    ///< "A, B": an enumeration
  const shape* inner = nullptr;  ///< structure: its members; list: one member, the element;
                                 ///< map: two, key and value
};

struct shape {
  std::span<const shape_member> members;
};

/// A SerializationException when a member has the wrong type. Members that the shape does not have
/// are ignored, as Kinesis does.
kinesis_outcome check_types(const shape& wanted, const wire_value& given);
/// Adds every violated constraint.
void check_constraints(const shape& wanted, const wire_value& given, violation_list& violations,
                       std::string_view prefix = {});

bool matches(text_pattern pattern, std::string_view text);

extern const shape put_record_shape;   ///< without its record
extern const shape put_records_shape;  ///< without its records

/// The input of an action; null when there is no such action.
const shape* input_shape(std::string_view action);

}  // namespace millrace
