#pragma once
/// Built-in record generators: web clicks, trades and sensor readings as JSON, fast enough to fill
/// a network link from one thread.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "ingest/record_reader.h"
#include "ingest/zipf.h"

namespace millrace {

struct generator_options {
  std::string name;             ///< clicks, trades or sensors
  std::uint32_t size = 0;       ///< bytes of each record's data; 0: as it comes (about 100 to 300)
  std::uint64_t keys = 10'000;  ///< distinct partition keys, 1 to generator_keys_max
  double skew = 0.99;           ///< Zipf exponent of the keys, 0 to 10; 0: all alike
  std::uint64_t seed = 1;
};

inline constexpr std::uint64_t generator_keys_max = 1'000'000'000;
/// The smallest `size` that every generator's shortest record fits.
inline constexpr std::uint32_t generator_size_min = 96;

/// The same options make the same records, as long as the same times are set. One thread.
class record_generator {
 public:
  static result<std::unique_ptr<record_generator>> create(const generator_options& options);
  /// "clicks", "trades", "sensors".
  static std::vector<std::string_view> names();
  virtual ~record_generator() = default;

  /// The next record; its views are good until the next call.
  virtual void next(input_record& out) = 0;
  /// The event time of the records to come, in milliseconds since 1970.
  virtual void set_time_ms(std::uint64_t now_ms) = 0;
};

}  // namespace millrace
