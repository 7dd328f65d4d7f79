#pragma once
/// `millrace produce`: reads or generates records and sends them to a stream until each is durable.
/// The flags are parsed elsewhere; this is what they come to.
#include <atomic>
#include <cstdint>
#include <iosfwd>
#include <string>

#include "ingest/record_reader.h"

namespace millrace {

struct produce_options {
  std::string to =
      "udp://127.0.0.1:4567";  ///< udp://, http:// or https://HOST:PORT; IPv6 as udp://[::1]:4567
  std::string stream;

  // What is sent: exactly one of file and generate.
  std::string file;                           ///< a path, or "-" for standard input
  input_format format = input_format::lines;  ///< of the file
  std::string key_field;                      ///< see record_reader.h; empty: the record's number
  /// Pass over bad input records and count them, rather than stop at the first. The numbers in
  /// acks_file then leave them out.
  bool skip_bad = false;
  std::uint64_t loop = 1;       ///< times the file is sent; 0: until stopped
  std::string generate;         ///< clicks, trades or sensors
  std::uint32_t size = 0;       ///< generated data bytes a record; 0: as the generator likes it
  std::uint64_t keys = 10'000;  ///< distinct partition keys generated
  double skew = 0.99;           ///< Zipf exponent of the keys; 0: all alike
  std::uint64_t seed = 1;       ///< the same seed generates the same records

  // How much and how fast.
  std::uint64_t records = 0;  ///< stop after so many; 0: at the end of the input, or never
  double seconds = 0;         ///< stop reading after so long; 0: never
  double rate = 0;            ///< records a second; 0: as fast as they are taken

  // Identity and answers.
  std::string producer_id;  ///< 32 hex digits, or any text (hashed); empty: a random one
  std::string acks_file;    ///< one line a durable record: "NUMBER SHARD SEQUENCE"
  std::string key_file;     ///< one line "KEY_ID:32 HEX DIGITS"; empty: no encryption

  // Over HTTP: who signs, and how requests are made.
  std::string credentials;  ///< file as of serve; empty: AWS_ACCESS_KEY_ID and so on, or unsigned
  std::string access_key;   ///< which key of that file; empty: its first
  std::string ca;           ///< https: PEM file of who vouches; empty: whom this machine trusts
  bool insecure = false;    ///< https: whatever certificate the server has
  std::string region;       ///< empty: AWS_REGION, AWS_DEFAULT_REGION, us-east-1
  std::uint32_t connections = 4;
  std::uint32_t request_records = 500;

  std::uint64_t buffer_bytes_max = 64ull * 1024 * 1024;  ///< unacked records held
  double give_up_seconds = 60;  ///< end with an error after so long without progress; 0: never

  bool quiet = false;    ///< errors only: no progress and no summary
  bool progress = true;  ///< a moving line on a terminal, a plain line every 5 s elsewhere
};

/// Sends everything and waits until it is durable. SIGINT and SIGTERM stop the reading, the rest is
/// flushed; a second one ends the process. Returns the exit code: 0, 1 (not everything became
/// durable, or an input record is bad) or 2 (options that contradict each other or cannot be used).
int run_produce(const produce_options& options);

/// Where run_produce() writes, and when it stops.
struct produce_surroundings {
  std::ostream& out;  ///< progress and summary
  std::ostream& err;  ///< errors and warnings
  const std::atomic<bool>& stop;
  bool out_is_terminal = false;
};
/// The same for tests and embedding, without signal handlers.
int run_produce(const produce_options& options, const produce_surroundings& around);

}  // namespace millrace
