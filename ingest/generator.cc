#include "ingest/generator.h"

#include <charconv>
#include <cstring>

#include "base/limits.h"

namespace millrace {
namespace {

/// Builds a line of JSON in a buffer that is known to be large enough.
class json_text {
 public:
  explicit json_text(std::size_t bytes) : bytes_(bytes) {}

  void clear() { at_ = bytes_.data(); }
  void text(std::string_view what) {
    std::memcpy(at_, what.data(), what.size());
    at_ += what.size();
  }
  void number(std::uint64_t value) { at_ = std::to_chars(at_, at_ + 20, value).ptr; }
  /// `value` with leading zeros.
  void digits(std::uint64_t value, int count) {
    for (int i = count; i-- > 0; value /= 10)
      at_[i] = static_cast<char>('0' + value % 10);
    at_ += count;
  }
  /// value / 100 as a decimal fraction.
  void hundredths(std::uint64_t value) {
    number(value / 100);
    *at_++ = '.';
    digits(value % 100, 2);
  }
  std::size_t size() const { return static_cast<std::size_t>(at_ - bytes_.data()); }
  std::string_view view() const { return {bytes_.data(), size()}; }

 private:
  std::vector<char> bytes_;
  char* at_ = bytes_.data();
};

/// Without its padding, no record is larger.
constexpr std::size_t natural_bytes_max = 1024;
constexpr std::string_view pad_open = ",\"pad\":\"";
constexpr std::string_view pad_close = "\"}";

constexpr std::string_view sections[] = {"/",        "/search",   "/product", "/basket",
                                         "/account", "/checkout", "/help",    "/blog"};
constexpr std::string_view agents[] = {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 Version/17.5 Safari/605.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"};
constexpr std::string_view venues[] = {"XNAS", "XNYS", "XLON", "XETR"};

enum class subject : std::uint8_t { clicks, trades, sensors };
constexpr std::string_view subject_names[] = {"clicks", "trades", "sensors"};

class json_generator final : public record_generator {
 public:
  json_generator(const generator_options& options, subject what)
      : options_(options),
        what_(what),
        random_(options.seed),
        ranks_(options.keys, options.skew),
        text_(options.size + natural_bytes_max),
        key_(64) {
    // Letters and digits that look like base64, so that a disk or a link cannot compress them away.
    constexpr std::string_view letters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    filler_.resize(options.size + filler_spread);
    for (char& letter : filler_)
      letter = letters[random_.next() % letters.size()];
    set_time_ms(1'750'000'000'000);
  }

  void set_time_ms(std::uint64_t now_ms) override { now_ms_ = now_ms; }

  void next(input_record& out) override {
    const std::uint64_t rank = ranks_.next(random_);
    make_key(rank);
    text_.clear();
    text_.text("{\"ts\":");
    text_.number(now_ms_);
    switch (what_) {
      case subject::clicks:
        click();
        break;
      case subject::trades:
        trade();
        break;
      case subject::sensors:
        reading();
        break;
    }
    pad();
    out.number = number_++;
    out.key = key_.view();
    const std::string_view data = text_.view();
    out.data = {reinterpret_cast<const std::byte*>(data.data()), data.size()};
  }

 private:
  static constexpr std::size_t filler_spread = 4096;

  void make_key(std::uint64_t rank) {
    key_.clear();
    if (what_ == subject::clicks) {
      key_.text("user-");
      key_.digits(rank, 9);
    } else if (what_ == subject::sensors) {
      key_.text("sensor-");
      key_.digits(rank, 9);
    } else {
      // A ticker: four letters or more, each rank its own.
      char letters[16];
      int count = 0;
      for (std::uint64_t rest = rank + 26 * 26 * 26; rest > 0 || count < 4; rest /= 26)
        letters[count++] = static_cast<char>('A' + rest % 26);
      key_.text({letters, static_cast<std::size_t>(count)});
    }
  }

  bool is_short(std::size_t natural) const {
    return options_.size != 0 && options_.size < natural + pad_open.size() + pad_close.size();
  }

  void click() {
    const std::uint64_t dice = random_.next();
    text_.text(",\"user\":\"");
    text_.text(key_.view());
    text_.text("\",\"ms\":");
    text_.number(5 + (dice & 0xff));
    if (is_short(330)) return;
    text_.text(",\"page\":\"");
    text_.text(sections[(dice >> 8) % std::size(sections)]);
    text_.text("/");
    text_.number((dice >> 16) & 0xffff);
    text_.text("\",\"referrer\":\"");
    text_.text(sections[(dice >> 32) % std::size(sections)]);
    // Most requests succeed, some point nowhere, few fail.
    const std::uint64_t luck = (dice >> 36) % 100;
    text_.text("\",\"status\":");
    text_.text(luck < 94 ? "200" : luck < 99 ? "404" : "503");
    text_.text(",\"bytes\":");
    text_.number(200 + (dice >> 44) % 60'000);
    text_.text(",\"agent\":\"");
    text_.text(agents[(dice >> 60) % std::size(agents)]);
    text_.text("\"");
  }

  void trade() {
    const std::uint64_t dice = random_.next();
    text_.text(",\"symbol\":\"");
    text_.text(key_.view());
    text_.text("\",\"price\":");
    text_.hundredths(1'000 + dice % 100'000);
    if (is_short(170)) return;
    text_.text(",\"quantity\":");
    text_.number(((dice >> 20) % 50 + 1) * 100);
    text_.text(((dice >> 30) & 1) != 0 ? ",\"side\":\"buy\"" : ",\"side\":\"sell\"");
    text_.text(",\"venue\":\"");
    text_.text(venues[(dice >> 32) % std::size(venues)]);
    text_.text("\",\"id\":");
    text_.number(number_);
  }

  void reading() {
    const std::uint64_t dice = random_.next();
    text_.text(",\"sensor\":\"");
    text_.text(key_.view());
    text_.text("\",\"celsius\":");
    text_.hundredths(1'500 + dice % 1'500);
    if (is_short(150)) return;
    text_.text(",\"humidity\":");
    text_.hundredths(3'000 + (dice >> 16) % 4'000);
    text_.text(",\"volts\":");
    text_.hundredths(330 + (dice >> 32) % 90);
    text_.text(((dice >> 40) & 0xff) != 0 ? ",\"ok\":true" : ",\"ok\":false");
  }

  /// Closes the object, at the wanted size exactly.
  void pad() {
    if (options_.size == 0) {
      text_.text("}");
      return;
    }
    text_.text(pad_open);
    const std::size_t wanted = options_.size - pad_close.size() - text_.size();
    text_.text({filler_.data() + random_.next() % filler_spread, wanted});
    text_.text(pad_close);
  }

  generator_options options_;
  subject what_;
  fast_random random_;
  zipf_ranks ranks_;
  json_text text_;
  json_text key_;
  std::vector<char> filler_;
  std::uint64_t now_ms_ = 0;
  std::uint64_t number_ = 0;
};

error refuse(std::string what) {
  return {error_code::invalid_argument, std::move(what)};
}

}  // namespace

std::vector<std::string_view> record_generator::names() {
  return {std::begin(subject_names), std::end(subject_names)};
}

result<std::unique_ptr<record_generator>> record_generator::create(
    const generator_options& options) {
  if (options.keys < 1 || options.keys > generator_keys_max) {
    return refuse("generator keys " + std::to_string(options.keys) + ": 1 to " +
                  std::to_string(generator_keys_max));
  }
  if (!(options.skew >= 0 && options.skew <= 10)) {
    return refuse("generator skew " + std::to_string(options.skew) + ": 0 to 10");
  }
  // The key takes a little of what a record may hold.
  constexpr std::uint32_t size_max = limits::record_payload_bytes_max - 64;
  if (options.size != 0 && (options.size < generator_size_min || options.size > size_max)) {
    return refuse("generated record size " + std::to_string(options.size) + ": " +
                  std::to_string(generator_size_min) + " to " + std::to_string(size_max) +
                  " bytes, or 0 for as it comes");
  }
  for (std::size_t i = 0; i < std::size(subject_names); ++i) {
    if (options.name != subject_names[i]) continue;
    return std::unique_ptr<record_generator>(new json_generator(options, static_cast<subject>(i)));
  }
  return refuse("generator '" + options.name + "': it is clicks, trades or sensors");
}

}  // namespace millrace
