#pragma once
/// Documents of one stream mostly look alike: the same names in the same order. What the scanner
/// (json_scan.h) found in one document says where the fields of the next one are, as long as that
/// has the same structural characters and the same names in front of its colons; then everything
/// that the scanner would decide by is the same, and only the values are left to be read.
#include <array>
#include <cstdint>

#include "gpu/field_convert.h"
#include "gpu/json_index.h"

namespace millrace {

class json_shape {
 public:
  explicit json_shape(const extract_tables& tables) : tables_(tables) {}

  /// Fills in the document's fields, all of them `missing` before, as the scanner does. False: it
  /// looks different, and nothing was changed. The cursor has been started.
  bool extract(const json_index_cursor& cursor, byte_range document, field_column out);
  /// To be called after the scanner had to go over a document: takes its shape, if it was whole and
  /// is worth it.
  void learn(const json_index_cursor& cursor, byte_range document);

 private:
  static constexpr std::uint32_t words_max = 4;
  static constexpr std::uint32_t names_max = 48;
  static constexpr std::uint32_t others_max = 64;
  /// From the structural character before a name up to its colon, both included.
  struct name {
    std::uint16_t colon = 0;  ///< which of the structural characters
    std::uint16_t bytes = 0;
    std::array<std::uint64_t, words_max> words{};  ///< zeros behind the last byte
  };
  /// A structural character that no name has beside it.
  struct other {
    std::uint16_t number = 0;
    unsigned char what = 0;
  };
  /// A value that is wanted: what is before that structural character.
  struct value {
    std::uint16_t end = 0;
    std::uint16_t node = 0;
  };

  bool is_alike(const json_index_cursor& cursor, byte_range document) const;
  bool add_name(const std::uint32_t* positions, std::uint32_t colon, byte_range document);
  bool add_values(const json_index_cursor& cursor);

  const extract_tables& tables_;
  std::uint32_t count_ =
      0;  ///< structural characters up to the last wanted value's end; 0: unknown
  std::uint32_t names_count_ = 0;
  std::uint32_t others_count_ = 0;
  std::uint32_t values_count_ = 0;
  std::uint32_t strangers_ = 0;  ///< documents that looked different, since it learned
  std::array<name, names_max> names_;
  std::array<other, others_max> others_;
  std::array<value, 64> values_;
};

}  // namespace millrace
