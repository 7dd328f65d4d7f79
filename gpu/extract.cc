#include "gpu/extract.h"

#include "gpu/extract_compile.h"
#include "gpu/extract_record.h"

namespace millrace {

result<extractor> extractor::compile(record_layout layout, char csv_delimiter,
                                     std::span<const field_plan> fields) {
  extractor made;
  MILLRACE_ASSIGN(made.tables_, compile_extract_tables(layout, csv_delimiter, fields));
  return made;
}

std::uint32_t extractor::field_count() const {
  return extract_tables(program()).header().field_count;
}

extract_program extractor::program() const {
  return {tables_.data()};
}

std::span<const std::byte> extractor::tables() const {
  return tables_;
}

void extractor::extract(std::span<const record_input> records, field_value* out,
                        std::size_t stride) const {
  const extract_program program = this->program();
  for (std::size_t i = 0; i < records.size(); ++i)
    extract_record(program, records[i], out + i, stride);
}

}  // namespace millrace
