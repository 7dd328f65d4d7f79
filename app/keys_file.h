#pragma once
/// The file of `millrace serve --keys`: a line per key, `KEY_ID:32 HEX DIGITS`, and after it, apart
/// by blanks, the streams that its producers may write to (none: all). Blank lines and lines that
/// begin with # are skipped. The same lines without streams are the file of `produce --key-file`.
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "ingest/keyring.h"
#include "shards/log_keyring.h"

namespace millrace {

/// The text of a file. `what` names it in errors.
result<std::string> read_file(const std::string& what, const std::string& path);
/// A file that only its owner may read: `permission` otherwise. `what` names it in errors.
result<std::string> read_secret_file(const std::string& what, const std::string& path);

/// Errors name `source` and the line, never what the key is.
result<keyring> parse_keys(std::string_view text, std::string_view source);

/// The same from a file. `permission` when others than its owner may read it.
result<keyring> load_keys_file(const std::string& path);

/// The keys of encryption at rest, from a file. An empty path: none, and a null pointer.
result<std::shared_ptr<const log_keyring>> load_log_keyring(const std::string& path);

}  // namespace millrace
