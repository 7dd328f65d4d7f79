#pragma once
/// `millrace verify`: reads every log of a data directory whole and checks what is in it.
#include <string>

namespace millrace {

struct verify_options {
  std::string data = "./millrace-data";
  std::string stream;    ///< this one only; empty: all
  std::string keyring;   ///< keys of encryption at rest; without one only checksums are checked
  bool progress = true;  ///< a moving line, on a terminal
};

/// Checks checksums, that each shard has its indexes without gaps, that arrival times never go
/// backwards, and that each record lies in the shard of its key; writes nothing to the logs. Prints
/// totals per stream and each damage with its place. Exit code 1 when anything is wrong or the
/// directory cannot be read (a server that runs there has it locked).
int run_verify(const verify_options& options);

}  // namespace millrace
