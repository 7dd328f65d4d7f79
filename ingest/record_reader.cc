#include "ingest/record_reader.h"

#include <charconv>
#include <cstring>

#include "base/limits.h"
#include "base/record_format.h"
#include "ingest/key_finder.h"
#include "ingest/record_input.h"

namespace millrace {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

class text_reader final : public record_reader {
 public:
  text_reader(const reader_options& options, std::unique_ptr<record_input> input)
      : options_(options), input_(std::move(input)) {}

  status open();
  result<bool> next(input_record& out) override;
  status rewind() override;
  std::uint64_t bytes_read() const override { return input_->bytes_consumed(); }
  std::uint64_t bytes_total() const override { return input_->bytes_total(); }

 private:
  /// Finds the next record's text; true, or false at the end of the input.
  result<bool> take_text(std::string_view& text);
  result<bool> skip_long();
  std::size_t find_end();
  status read_header();
  error bad(const std::string& what) const {
    return {error_code::invalid_argument, "record " + std::to_string(number_ - 1) + ": " + what};
  }

  reader_options options_;
  std::unique_ptr<record_input> input_;
  std::unique_ptr<key_finder> finder_;
  std::uint64_t number_ = 0;  ///< of the next record
  std::size_t taken_ = 0;     ///< bytes of the window that the last record holds
  std::size_t searched_ = 0;  ///< of the window
  bool in_quotes_ = false;
  char digits_[24];
};

std::size_t text_reader::find_end() {
  const std::string_view window = input_->window();
  if (options_.format == input_format::csv) {
    return find_csv_row_end(window, searched_, in_quotes_);
  }
  const void* at = window.size() > searched_
                       ? std::memchr(window.data() + searched_, '\n', window.size() - searched_)
                       : nullptr;
  if (at == nullptr) {
    searched_ = window.size();
    return window.npos;
  }
  return static_cast<std::size_t>(static_cast<const char*>(at) - window.data());
}

result<bool> text_reader::take_text(std::string_view& text) {
  input_->consume(taken_);
  taken_ = 0;
  searched_ = 0;
  in_quotes_ = false;
  std::size_t end = find_end();
  while (end == std::string_view::npos) {
    if (input_->window().size() > limits::record_payload_bytes_max) {
      MILLRACE_TRY(skip_long());
      ++number_;
      return bad("over the limit of " + std::to_string(limits::record_payload_bytes_max) +
                 " bytes");
    }
    MILLRACE_ASSIGN(const bool grew, input_->more());
    if (!grew) break;
    end = find_end();
  }
  const std::string_view window = input_->window();
  if (window.empty()) return false;
  const bool has_end = end != std::string_view::npos;
  text = has_end ? window.substr(0, end) : window;
  taken_ = has_end ? end + 1 : window.size();
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  if (!has_end && in_quotes_) {
    ++number_;
    return bad("a quoted field is not closed");
  }
  return true;
}

/// Passes over a record that is too large to be held.
result<bool> text_reader::skip_long() {
  for (;;) {
    const std::size_t end = find_end();
    if (end != std::string_view::npos) {
      taken_ = end + 1;
      return true;
    }
    input_->consume(input_->window().size());
    searched_ = 0;
    MILLRACE_ASSIGN(const bool grew, input_->more());
    if (!grew) return true;
  }
}

status text_reader::read_header() {
  std::string_view header;
  MILLRACE_ASSIGN(const bool found, take_text(header));
  if (!found) return error(error_code::invalid_argument, "CSV without a header");
  if (header.starts_with(byte_order_mark)) header.remove_prefix(byte_order_mark.size());
  if (!finder_) {
    MILLRACE_ASSIGN(finder_, make_csv_finder(options_.key_field, header));
  }
  return {};
}

status text_reader::open() {
  switch (options_.format) {
    case input_format::lines:
      if (!options_.key_field.empty()) {
        MILLRACE_ASSIGN(finder_, make_token_finder(options_.key_field));
      }
      return {};
    case input_format::json:
      finder_ = make_json_finder(options_.key_field);
      return {};
    case input_format::csv:
      return read_header();
  }
  return {};
}

result<bool> text_reader::next(input_record& out) {
  std::string_view text;
  do {
    MILLRACE_ASSIGN(const bool found, take_text(text));
    if (!found) return false;
  } while (text.empty() && options_.format != input_format::lines);

  out.number = number_++;
  out.data = {reinterpret_cast<const std::byte*>(text.data()), text.size()};
  if (finder_) {
    auto found = finder_->find(text);
    if (!found.ok()) return bad(found.failure().message());
    out.key = *found;
  }
  if (options_.key_field.empty()) {
    const auto end = std::to_chars(digits_, digits_ + sizeof digits_, out.number).ptr;
    out.key = {digits_, static_cast<std::size_t>(end - digits_)};
  }
  if (const record_fault fault = check_partition_key(out.key); fault != record_fault::none) {
    return bad(std::string(to_string(fault)) + " (" + std::to_string(out.key.size()) + " bytes)");
  }
  if (out.key.size() + out.data.size() > limits::record_payload_bytes_max) {
    return bad("key and data of " + std::to_string(out.key.size() + out.data.size()) +
               " bytes are over the limit of " + std::to_string(limits::record_payload_bytes_max));
  }
  return true;
}

status text_reader::rewind() {
  MILLRACE_TRY(input_->rewind());
  taken_ = 0;
  if (options_.format == input_format::csv) return read_header();
  return {};
}

}  // namespace

result<input_format> parse_input_format(std::string_view name) {
  for (const auto format : {input_format::lines, input_format::json, input_format::csv}) {
    if (name == to_string(format)) return format;
  }
  return error(error_code::invalid_argument,
               "format '" + std::string(name) + "': it is lines, json or csv");
}

std::string_view to_string(input_format format) {
  switch (format) {
    case input_format::lines:
      return "lines";
    case input_format::json:
      return "json";
    case input_format::csv:
      return "csv";
  }
  return "unknown";
}

result<std::unique_ptr<record_reader>> record_reader::open(const reader_options& options) {
  MILLRACE_ASSIGN(auto input, record_input::open(options.path, options.stop));
  auto made = std::make_unique<text_reader>(options, std::move(input));
  if (status opened = made->open(); !opened.ok()) {
    return std::move(opened).failure().with_context(options.path);
  }
  return std::unique_ptr<record_reader>(std::move(made));
}

}  // namespace millrace
