#include <fmt/format.h>

#include "api/kinesis_service.h"
#include "shards/log_keyring.h"

namespace millrace {
namespace {

/// The key of the keyring that a KMS key id names, if the stream may be encrypted under it.
kinesis_outcome find_key(const action_call& call, std::string_view key_id, std::string_view stream,
                         const log_key*& into) {
  const log_keyring* const keys = call.service.streams.keyring();
  into = keys != nullptr ? keys->find(key_id) : nullptr;
  if (into == nullptr)
    return kinesis_error{"KMSNotFoundException",
                         fmt::format("Key {} is not in this server's keyring.", key_id)};
  if (!into->allows_stream(stream))
    return kinesis_error{"KMSAccessDeniedException",
                         fmt::format("Key {} is not for stream {}.", key_id, stream)};
  if (into->state == log_key_state::disabled)
    return kinesis_error{"KMSDisabledException", fmt::format("Key {} is disabled.", key_id)};
  if (into->state == log_key_state::pending_deletion)
    return kinesis_error{"KMSInvalidStateException",
                         fmt::format("Key {} is pending deletion.", key_id)};
  return std::nullopt;
}

kinesis_outcome find_kms_stream(const action_call& call, named_stream& into) {
  MILLRACE_KINESIS_TRY(find_active_stream(call, into));
  if (call.text("EncryptionType") == "KMS") return std::nullopt;
  return kinesis_error{"ValidationException", "EncryptionType must be KMS."};
}

kinesis_outcome set_key(const action_call& call, const named_stream& stream, const log_key* key,
                        std::string_view key_id) {
  // The log first: what says that it is encrypted has to be.
  const status set =
      call.service.streams.set_encryption(stream.name(), key != nullptr ? key->id : 0);
  if (!set.ok()) return translate(set.failure());
  MILLRACE_KINESIS_TRY(
      call.service.registry.change(stream.id(), [&](kinesis_stream& into) -> kinesis_outcome {
        into.key_id = key_id;
        return std::nullopt;
      }));
  show_state(call, stream.id(), stream_state::updating);
  return std::nullopt;
}

}  // namespace

kinesis_outcome check_stream_key(const action_call& call, const named_stream& stream) {
  if (stream.extra->key_id.empty()) return std::nullopt;
  const log_key* key = nullptr;
  return find_key(call, stream.extra->key_id, stream.name(), key);
}

kinesis_outcome start_stream_encryption(action_call& call) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_kms_stream(call, stream));
  const log_key* key = nullptr;
  MILLRACE_KINESIS_TRY(find_key(call, call.text("KeyId"), stream.name(), key));
  return set_key(call, stream, key, call.text("KeyId"));
}

/// Needs no key: what has been written stays as it is.
kinesis_outcome stop_stream_encryption(action_call& call) {
  named_stream stream;
  MILLRACE_KINESIS_TRY(find_kms_stream(call, stream));
  if (stream.extra->key_id.empty()) return std::nullopt;
  return set_key(call, stream, nullptr, {});
}

}  // namespace millrace
