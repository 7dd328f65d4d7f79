#include <string_view>

#include "app/config.h"
#include "app/keys_file.h"
#include "base/check.h"

/// Whatever a configuration file holds is an error or settings that print as the same settings.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace millrace;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  static_cast<void>(parse_keys(text, "keys").ok());

  serve_options options;
  if (!load_config(text, "fuzz.toml", options).ok()) return 0;
  static_cast<void>(check(options).ok());
  const std::string printed = print_config(options);
  serve_options again;
  MILLRACE_CHECK(load_config(printed, "printed.toml", again).ok(), "what is printed can be read");
  MILLRACE_CHECK(print_config(again) == printed, "and means the same");
  return 0;
}
