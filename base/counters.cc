#include "base/counters.h"

namespace millrace {
namespace {

constexpr metric_text counter_texts[] = {
#define X(name, help) {#name, help},
    MILLRACE_COUNTERS(X)
#undef X
};

constexpr metric_text gauge_texts[] = {
#define X(name, help) {#name, help},
    MILLRACE_GAUGES(X)
#undef X
};

}  // namespace

metric_text text_of(counter c) {
  return counter_texts[static_cast<std::size_t>(c)];
}
metric_text text_of(gauge g) {
  return gauge_texts[static_cast<std::size_t>(g)];
}

void counter_registry::attach(const counter_set& set) {
  std::lock_guard lock(mutex_);
  sets_.push_back(&set);
}

std::uint64_t counter_registry::total(counter c) const {
  std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const counter_set* set : sets_)
    sum += set->get(c);
  return sum;
}

std::uint64_t counter_registry::total(gauge g) const {
  std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const counter_set* set : sets_)
    sum += set->get(g);
  return sum;
}

}  // namespace millrace
