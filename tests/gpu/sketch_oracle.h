#pragma once
/// What the sketches must say, from all values. The bins and the estimate are the product's own;
/// that those are good is sketch_test.cc's matter.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "base/endian.h"
#include "gpu/ddsketch.h"
#include "gpu/fold.h"
#include "gpu/hyperloglog.h"

namespace millrace::testing {

class distinct_oracle {
 public:
  void add_hash(std::uint64_t hash) {
    const hll_update update = hll_update_of(hash);
    registers_[update.index] = std::max(registers_[update.index], update.rank);
  }
  void add_bits(std::uint64_t bits, bool is_real) {
    const field_value value{.bits = bits, .state = value_state::value};
    add_hash(distinct_hash(is_real ? field_type::float64 : field_type::int64, value));
  }
  void add_text(const std::string& text) {
    byte_hasher hasher;
    for (const char c : text)
      hasher.add(static_cast<unsigned char>(c));
    add_hash(hasher.finish());
  }
  std::uint64_t estimate() const {
    std::array<std::uint32_t, hll_rank_max + 1> ranks{};
    for (const std::uint32_t one : registers_)
      ++ranks[one];
    return hll_estimate(ranks.data());
  }

 private:
  std::vector<std::uint32_t> registers_ = std::vector<std::uint32_t>(hll_registers);
};

class quantile_oracle {
 public:
  void add(double value) {
    if (value == value) values_.push_back(value);
  }
  result_value at(double quantile) {
    if (values_.empty()) return {};
    std::ranges::sort(values_);
    const double value = values_[dds_rank(quantile, values_.size())];
    return {dds_middle(dds_bin(load<std::uint64_t>(&value))), false};
  }

 private:
  std::vector<double> values_;
};

}  // namespace millrace::testing
