#include "api/wire_value.h"

namespace millrace {

const wire_value* wire_value::find(std::string_view name) const {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return items[i].is == kind::null ? nullptr : &items[i];
  }
  return nullptr;
}

}  // namespace millrace
