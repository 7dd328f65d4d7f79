#pragma once
#include "api/put_builder.h"

namespace millrace {

/// The CBOR half of decode_put().
kinesis_outcome decode_put_cbor(bool many, mutable_byte_view body, put_request& into);

}  // namespace millrace
