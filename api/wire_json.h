#pragma once
/// Reads JSON by simdjson's on-demand parser.
#include <memory>
#include <string_view>

#include "api/kinesis_error.h"
#include "api/put_builder.h"
#include "api/wire_value.h"

namespace millrace {

/// The JSON half of decode_put().
kinesis_outcome decode_put_json(bool many, mutable_byte_view body, put_request& into);

}  // namespace millrace
