#include "app/command_line.h"

#include <cstdlib>
#include <list>
#include <map>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "app/config.h"
#include "app/parse.h"
#include "app/version.h"

namespace millrace {
namespace {

/// What the parser library fills in; the commands' own options are made from it afterwards.
struct parsed {
  std::string config;
  bool print_config = false;
  std::map<std::string, std::vector<std::string>, std::less<>> serve;  ///< by setting name

  produce_options produce;
  std::string produce_format = "lines";
  std::string produce_buffer;
  bool no_progress = false;

  stream_options stream;
  tail_options tail;
  verify_options verify;
  doctor_options doctor;
  bench_options bench;
};

print_and_exit bad_usage(std::string_view command, std::string_view problem) {
  return {fmt::format("millrace{}{}: {}\nsee: millrace {} --help\n", command.empty() ? "" : " ",
                      command, problem, command),
          exit_usage};
}

void add_serve(CLI::App& serve, parsed& into) {
  serve.add_option("--config", into.config, "configuration file (TOML)")
      ->type_name("FILE")
      ->envname("MILLRACE_CONFIG");
  serve.add_flag("--print-config", into.print_config, "print the settings in force, and exit");
  for (const serve_setting& setting : serve_settings()) {
    auto& values = into.serve[std::string(setting.name)];
    // Values are read by assign(), whose errors are the same for a file and the environment.
    CLI::Option* option =
        setting.kind == setting_kind::toggle
            ? serve.add_flag(flag_of(setting) + "{true}", values, std::string(setting.help))
            : serve.add_option(flag_of(setting), values, std::string(setting.help));
    if (setting.kind != setting_kind::toggle)
      option->type_name(std::string(setting.value_name))->allow_extra_args(false);
    option->default_str("");
    if (setting.kind != setting_kind::list)
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  serve.footer(
      "Every setting can also be given as MILLRACE_NAME in the environment (lists put apart by ;)\n"
      "or as name = value in the file of --config. Flags win over the environment, that over the\n"
      "file, that over the defaults; --print-config shows the outcome.");
}

void add_produce(CLI::App& produce, parsed& into) {
  produce_options& o = into.produce;
  produce
      .add_option("--to", o.to,
                  "where the server takes records: udp://H:P, http://H:P or https://H:P")
      ->envname("MILLRACE_TO");
  produce.add_option("--stream", o.stream, "the stream to send to")->required();

  auto* file =
      produce.add_option("--file", o.file, "send the records of a file; - : standard input");
  produce.add_option("--format", into.produce_format, "lines, json (one object a line) or csv")
      ->needs(file);
  produce
      .add_option("--key-field", o.key_field,
                  "partition key: a token's number (lines), a path (json), a column (csv); without "
                  "it the record's number")
      ->needs(file);
  produce.add_flag("--skip-bad", o.skip_bad, "count bad input records and go on")->needs(file);
  produce.add_option("--loop", o.loop, "send the file so many times; 0: until stopped")
      ->needs(file);

  auto* generate =
      produce.add_option("--generate", o.generate, "made-up records: clicks, trades or sensors");
  generate->excludes(file);
  produce.add_option("--size", o.size, "data bytes of a made-up record; 0: as they come")
      ->needs(generate);
  produce.add_option("--keys", o.keys, "distinct partition keys made up")->needs(generate);
  produce.add_option("--skew", o.skew, "Zipf exponent of the keys; 0: all alike")->needs(generate);
  produce.add_option("--seed", o.seed, "the same seed makes the same records")->needs(generate);

  produce.add_option("--records", o.records, "stop after so many; 0: at the end of the input");
  produce.add_option("--seconds", o.seconds, "stop after so long; 0: at the end of the input");
  produce.add_option("--rate", o.rate, "records a second; 0: as fast as they are taken");

  produce.add_option("--producer-id", o.producer_id,
                     "identity to resume: 32 hex digits, or any text; without it a random one");
  produce.add_option("--acks", o.acks_file,
                     "write a line per durable record: number, shard, sequence number");
  produce.add_option("--key-file", o.key_file, "shared key: one line KEY_ID:32 HEX DIGITS");
  auto* credentials = produce.add_option(
      "--credentials", o.credentials,
      "http: file of access keys; without it AWS_ACCESS_KEY_ID and so on, or no signature");
  produce.add_option("--access-key", o.access_key, "http: the key of that file (its first)")
      ->needs(credentials);
  produce.add_option("--ca", o.ca, "https: PEM file of who vouches for the server (the machine's)");
  produce.add_flag("--insecure", o.insecure, "https: do not ask who the server is");
  produce.add_option("--region", o.region, "http: region to sign for (AWS_REGION, us-east-1)");
  produce.add_option("--connections", o.connections, "http: requests at once");
  produce.add_option("--request-records", o.request_records, "http: records of a request");
  produce.add_option("--buffer", into.produce_buffer, "memory for unacked records (64MiB)");
  produce.add_option("--give-up-seconds", o.give_up_seconds,
                     "end with an error after so long without progress; 0: never");
  produce.add_flag("--quiet", o.quiet, "no progress and no summary");
  produce.add_flag("--no-progress", into.no_progress, "no progress");
}

void add_admin(CLI::App& command, admin_options& into, bool writes) {
  command.add_option("--admin", into.admin, "the server's admin port")->envname("MILLRACE_ADMIN");
  if (!writes) return;
  command.add_option("--data", into.data, "the server's data directory, for its admin.token")
      ->envname("MILLRACE_DATA");
  command.add_option("--token", into.token, "the admin token itself")
      ->envname("MILLRACE_ADMIN_TOKEN");
}

void add_retention(CLI::App& command, stream_options& into) {
  command.add_option("--retention-hours", into.retention_hours,
                     "keep records so long (24 to 8760)");
  command.add_option("--retention-bytes", into.retention_bytes,
                     "keep at most so many bytes, such as 100GiB; 0: no bound");
  command.add_option("--when-full", into.when_full,
                     "at that bound: refuse new records, or drop-oldest");
}

void add_stream(CLI::App& stream, parsed& into) {
  stream_options& o = into.stream;
  stream.require_subcommand(1);
  const auto action = [&](const char* name, const char* help, stream_action what,
                          bool named = true) {
    CLI::App* command = stream.add_subcommand(name, help);
    command->callback([&o, what] { o.action = what; });
    add_admin(*command, o.admin, what != stream_action::list && what != stream_action::describe);
    command->add_flag("--json", o.json, "print JSON");
    if (named) command->add_option("name", o.name, "the stream")->required()->type_name("NAME");
    return command;
  };
  CLI::App* create = action("create", "make a stream", stream_action::create);
  create->add_option("--shards", o.shards, "number of shards (1)");
  add_retention(*create, o);
  action("list", "all streams", stream_action::list, false);
  action("describe", "a stream and its shards", stream_action::describe);
  CLI::App* split = action("split", "split an open shard in two", stream_action::split);
  split->add_option("--shard", o.shard, "the shard")->required();
  split->add_option("--at", o.at, "first hash key of the upper half (the middle)");
  CLI::App* merge = action("merge", "merge two adjacent open shards", stream_action::merge);
  merge->add_option("--shard", o.shard, "one shard")->required();
  merge->add_option("--with", o.adjacent, "its neighbour")->required();
  CLI::App* reshard =
      action("reshard", "replace all open shards by N even ones", stream_action::reshard);
  reshard->add_option("--shards", o.shards, "number of shards")->required();
  CLI::App* retention =
      action("retention", "change how long or how much is kept", stream_action::retention);
  add_retention(*retention, o);
  action("delete", "delete a stream and its records", stream_action::remove);
}

void add_tail(CLI::App& tail, parsed& into) {
  tail_options& o = into.tail;
  add_admin(tail, o.admin, false);
  auto* stream = tail.add_option("stream", o.stream, "the stream")->type_name("STREAM");
  tail.add_option("--view", o.view, "windows of this view, as they close, instead of records")
      ->type_name("NAME")
      ->excludes(stream);
  tail.add_option("--shard", o.shard, "this shard only: shardId-000000000003, or 3")->needs(stream);
  tail.add_option("--from", o.from,
                  "trim-horizon, latest, a sequence number, or a time (Unix seconds or "
                  "2026-01-31T12:00:00Z); of a view an ordinal");
  tail.add_option("--format", o.format,
                  "json: an object a line; raw: a record's data alone; table: windows in columns")
      ->check(CLI::IsMember({"json", "raw", "table"}));
  tail.add_flag("--deaggregate", o.deaggregate,
                "the records that the KPL has put into one, each for itself")
      ->needs(stream);
  tail.add_option("--limit", o.limit, "stop after so many records or rows; 0: no limit");
  tail.add_flag("--follow", o.follow,
                "wait for more at the end (true); --follow=false: stop there");
}

void add_bench(CLI::App& bench, bench_options& o) {
  bench.add_option("--report", o.report, "directory for bench.json and bench.html");
  bench.add_option("--dpdk", o.dpdk, "EAL arguments: measure a DPDK port too")
      ->type_name("'EAL ARGS'");
  bench.add_option("--dpdk-mtu", o.dpdk_mtu, "largest packet of that port; some have 1500 alone")
      ->check(CLI::Range(1280, 9000));
  bench.add_option("--data", o.data, "a directory on the disk to measure");
  bench.add_option("--memory", o.memory, "a directory on a memory file system");
  bench.add_option("--seconds", o.seconds, "of each round of each figure");
  bench.add_option("--rounds", o.rounds, "the median is reported");
  bench.add_option("--only", o.only, "only the parts whose name contains this");
}

/// Everything that precedes the flags, then the flags.
command resolve_serve(const parsed& given) {
  const auto bad_config = [](const error& problem) {
    return print_and_exit{"millrace serve: " + problem.message() + "\n", exit_bad_config};
  };
  serve_options options;
  if (!given.config.empty()) {
    if (auto loaded = load_config_file(given.config, options); !loaded.ok())
      return bad_config(loaded.failure());
  }
  if (auto loaded = load_environment(options); !loaded.ok()) return bad_config(loaded.failure());
  for (const serve_setting& setting : serve_settings()) {
    const auto& values = given.serve.find(setting.name)->second;
    if (!values.empty()) clear_list(options, setting);
    for (const std::string& value : values) {
      if (auto set = assign(options, setting, value); !set.ok())
        return bad_usage("serve", set.failure().message());
    }
  }
  if (auto checked = check(options); !checked.ok()) return bad_config(checked.failure());
  if (given.print_config) return print_and_exit{print_config(options), 0};
  return options;
}

command resolve_tail(parsed& given) {
  tail_options& o = given.tail;
  if (o.stream.empty() && o.view.empty())
    return bad_usage("tail", "say what to print: a stream, or --view NAME");
  if (o.format.empty()) o.format = o.view.empty() ? "json" : "table";
  if (o.format == (o.view.empty() ? "table" : "raw"))
    return bad_usage("tail", "--format table is for views, --format raw for streams");
  return o;
}

command resolve_produce(parsed& given) {
  auto format = parse_input_format(given.produce_format);
  if (!format.ok()) return bad_usage("produce", format.failure().message());
  given.produce.format = *format;
  if (given.produce.file.empty() == given.produce.generate.empty())
    return bad_usage("produce",
                     "say what to send: --file F (- for standard input) or --generate NAME");
  if (!given.produce_buffer.empty()) {
    auto bytes = parse_bytes("--buffer", given.produce_buffer);
    if (!bytes.ok()) return bad_usage("produce", bytes.failure().message());
    given.produce.buffer_bytes_max = *bytes;
  }
  given.produce.progress = !given.no_progress;
  return given.produce;
}

}  // namespace

command parse_command_line(int argc, const char* const* argv) {
  parsed given;
  CLI::App app(
      "Millrace: a streaming appliance. Records come in by UDP or DPDK, are routed to\n"
      "shards, made durable and read back.",
      "millrace");
  app.set_version_flag("--version", version_text());
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  app.option_defaults()->always_capture_default();

  CLI::App* serve = app.add_subcommand("serve", "run the appliance");
  add_serve(*serve, given);
  CLI::App* produce = app.add_subcommand("produce", "send records to a stream");
  add_produce(*produce, given);
  CLI::App* stream = app.add_subcommand("stream", "create, list, reshape and delete streams");
  add_stream(*stream, given);
  CLI::App* tail =
      app.add_subcommand("tail", "print the records of a stream, or the windows of a view");
  add_tail(*tail, given);
  CLI::App* verify = app.add_subcommand("verify", "check every log of a data directory");
  verify->add_option("--data", given.verify.data, "the data directory")->envname("MILLRACE_DATA");
  verify->add_option("--stream", given.verify.stream, "this stream only");
  verify
      ->add_option("--keyring", given.verify.keyring,
                   "keys of encryption at rest; without one only checksums are checked")
      ->envname("MILLRACE_KEYRING");
  verify->add_flag("--no-progress{false}", given.verify.progress, "no moving line");
  CLI::App* doctor =
      app.add_subcommand("doctor", "what this machine offers, and what limits it first");
  doctor->add_option("--data", given.doctor.data, "directory whose disk is measured")
      ->envname("MILLRACE_DATA");
  doctor->add_option("--seconds", given.doctor.seconds, "length of the disk measurement; 0: none");

  CLI::App* bench = app.add_subcommand("bench", "measure each stage beside its ceiling");
  add_bench(*bench, given.bench);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion& version) {
    return print_and_exit{"millrace " + version_text() + "\n", 0};
  } catch (const CLI::Success& help) {
    std::ostringstream out;
    app.exit(help, out, out);
    return print_and_exit{out.str(), 0};
  } catch (const CLI::ParseError& problem) {
    const auto used = app.get_subcommands();
    return bad_usage(used.empty() ? "" : used.front()->get_name(), problem.what());
  }

  if (serve->parsed()) return resolve_serve(given);
  if (produce->parsed()) return resolve_produce(given);
  if (stream->parsed()) return given.stream;
  if (tail->parsed()) return resolve_tail(given);
  if (verify->parsed()) return given.verify;
  if (doctor->parsed()) return given.doctor;
  for (int i = 0; i < argc; ++i)
    given.bench.command += (i == 0 ? "" : " ") + std::string(argv[i]);
  return given.bench;
}

}  // namespace millrace
