#pragma once
/// JSON for tests: generated from a seed, and damaged.
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace millrace {

/// JSON from a seed: nested, with white space, escapes and every kind of value; members that plans
/// look for are as likely as others.
class document_maker {
 public:
  explicit document_maker(std::uint64_t seed) : random_(seed) {}

  std::string make() {
    text_.clear();
    if (pick(20) == 0) {
      array(0);
    } else {
      object(0);
    }
    return text_;
  }
  std::size_t pick(std::size_t below) { return random_() % below; }

 private:
  void blank() {
    for (std::size_t i = pick(8) == 0 ? 1 + pick(4) : 0; i > 0; --i)
      text_ += " \t\n\r"[pick(4)];
  }
  void string() {
    static constexpr const char* parts[] = {"x",       "value",
                                            "\\\"",    "\\\\",
                                            "\\/",     "\\u0041",
                                            "\\u00e9", "\\ud83d\\ude00",
                                            "\\n",     "é",
                                            "漢",      "😀",
                                            "{",       "}",
                                            "[",       "]",
                                            ":",       ",",
                                            " ",       "'",
                                            "\\t",     "\\b",
                                            "\\f",     "\\r",
                                            "\\u0000", "0123456789abcdef"};
    text_ += '"';
    for (std::size_t i = pick(pick(10) == 0 ? 60 : 6); i > 0; --i)
      text_ += parts[pick(std::size(parts))];
    text_ += '"';
  }
  void number() {
    text_ += pick(3) == 0 ? "-" : "";
    text_ += std::to_string(pick(4) == 0 ? random_() >> pick(64) : pick(1000));
    if (pick(2) == 0) text_ += "." + std::to_string(random_() >> pick(64));
    if (pick(4) == 0) text_ += (pick(2) == 0 ? "e" : "E-") + std::to_string(pick(200));
  }
  void value(int depth) {
    blank();
    switch (pick(depth < 5 ? 9 : 6)) {
      case 0:
      case 1:
        string();
        break;
      case 2:
      case 3:
        number();
        break;
      case 4:
        text_ += pick(2) == 0 ? "true" : "false";
        break;
      case 5:
        text_ += pick(3) == 0   ? "null"
                 : pick(2) == 0 ? "\"2026-01-31T12:00:00.25Z\""
                                : "1446249499.5";
        break;
      case 6:
        array(depth + 1);
        break;
      default:
        object(depth + 1);
    }
    blank();
  }
  void array(int depth) {
    text_ += '[';
    for (std::size_t i = 0, n = pick(6); i < n; ++i) {
      if (i > 0) text_ += ',';
      value(depth);
    }
    if (text_.back() == '[') blank();
    text_ += ']';
  }
  void object(int depth) {
    static constexpr const char* names[] = {"a",
                                            "b",
                                            "c",
                                            "d",
                                            "e",
                                            "f",
                                            "t",
                                            "n",
                                            "\\u0061",
                                            "q\\\"k",
                                            "long_name_of_a_field",
                                            "long_name_of_a_fiel",
                                            "long_name_of_a_fielD",
                                            "",
                                            "x,y:{"};
    text_ += '{';
    for (std::size_t i = 0, n = pick(9); i < n; ++i) {
      if (i > 0) text_ += ',';
      blank();
      text_ += std::string("\"") + names[pick(std::size(names))] + "\"";
      blank();
      text_ += ':';
      value(depth);
    }
    if (text_.back() == '{') blank();
    text_ += '}';
  }

  std::mt19937_64 random_;
  std::string text_;
};

/// Bytes that matter to the scanners, put anywhere.
inline std::string damaged(std::string text, document_maker& maker) {
  static constexpr char hits_with[] = "\"\\{}[]:,\0\xff\xc3\n -\x80u1";
  static constexpr std::string_view bytes(hits_with, sizeof hits_with - 1);
  for (std::size_t hits = 1 + maker.pick(4); hits > 0 && !text.empty(); --hits) {
    const std::size_t at = maker.pick(text.size());
    switch (maker.pick(4)) {
      case 0:
        text[at] = bytes[maker.pick(bytes.size())];
        break;
      case 1:
        text[at] = static_cast<char>(text[at] ^ 1 << maker.pick(8));
        break;
      case 2:
        text.insert(at, 1 + maker.pick(3), bytes[maker.pick(bytes.size())]);
        break;
      default:
        text.erase(at, 1 + maker.pick(3));
    }
  }
  return text;
}

}  // namespace millrace
