#include <cstdio>
#include <iostream>
#include <variant>

#include "app/bench.h"
#include "app/command_line.h"
#include "app/doctor.h"
#include "app/produce.h"
#include "app/serve.h"
#include "app/stream_command.h"
#include "app/tail.h"
#include "app/verify.h"

namespace {

using namespace millrace;

struct run {
  int operator()(const print_and_exit& one) const {
    std::fputs(one.text.c_str(), one.exit_code == 0 ? stdout : stderr);
    return one.exit_code;
  }
  int operator()(const serve_options& options) const { return run_serve(options); }
  int operator()(const produce_options& options) const { return run_produce(options); }
  int operator()(const stream_options& options) const { return run_stream(options); }
  int operator()(const tail_options& options) const { return run_tail(options); }
  int operator()(const verify_options& options) const { return run_verify(options); }
  int operator()(const doctor_options& options) const { return run_doctor(options); }
  int operator()(const bench_options& options) const { return run_bench(options, std::cout); }
};

}  // namespace

int main(int argc, char** argv) {
  return std::visit(run(), parse_command_line(argc, argv));
}
