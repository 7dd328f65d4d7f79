#pragma once
/// The text that Prometheus reads: families with their help and type, samples with labels.
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

class metrics_text {
 public:
  using labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;
  /// Labels that are known at run time.
  using label_list = std::vector<std::pair<std::string, std::string>>;

  /// Starts a family; its samples follow. `type`: "counter" or "gauge".
  void family(std::string_view name, std::string_view type, std::string_view help);
  void sample(double value, labels of = {});
  void sample(std::uint64_t value, labels of = {});
  void sample(double value, const label_list& of);

  std::string take() { return std::move(out_); }

 private:
  template <class Labels>
  void begin_sample(const Labels& of);

  std::string out_;
  std::string name_;
};

}  // namespace millrace
