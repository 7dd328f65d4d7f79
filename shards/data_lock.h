#pragma once
/// One process a data directory: an flock on its `millrace.lock`, which also names the holder.
#include <string>

#include "base/error.h"

namespace millrace {

/// Held as long as it lives; the kernel lets go when the process dies, however it dies. Move-only.
class data_lock {
 public:
  /// Makes the directory when it is missing. `unavailable` names directory and process when another
  /// one has it.
  static result<data_lock> acquire(const std::string& directory);

  data_lock(data_lock&& other) noexcept;
  data_lock& operator=(data_lock&& other) noexcept;
  ~data_lock();

 private:
  explicit data_lock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace millrace
