// Numbers out of text: int64, and doubles against the C++ library's.
#include "gpu/number_parse.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "gpu/double_parse.h"
#include "gpu/powers_of_five.h"

namespace millrace {
namespace {

byte_range range_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), static_cast<std::uint32_t>(text.size())};
}

double double_of_bits(std::uint64_t bits) {
  double number;
  std::memcpy(&number, &bits, sizeof number);
  return number;
}

/// As a hexadecimal float, "too large", or "none".
std::string parsed_double(std::string_view text, number_style style = number_style::json) {
  const number_text number = scan_number(range_of(text), style);
  if (!number.good) return "none";
  std::uint64_t bits = 0;
  if (!parse_double(number, power_of_five_table().data(), bits)) return "too large";
  char shown[64];
  std::snprintf(shown, sizeof shown, "%a", double_of_bits(bits));
  return shown;
}

std::string expected_double(const std::string& text) {
  double number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  // It says the same of what is too large and of what is too small.
  if (failure == std::errc::result_out_of_range) number = std::strtod(text.c_str(), nullptr);
  if (std::isinf(number)) return "too large";
  char shown[64];
  std::snprintf(shown, sizeof shown, "%a", number);
  return shown;
}

void expect_as_the_library(const std::string& text) {
  ASSERT_EQ(parsed_double(text), expected_double(text)) << text;
}

std::string parsed_int(std::string_view text, number_style style = number_style::json) {
  std::int64_t value = 0;
  return parse_int64(range_of(text), style, value) ? std::to_string(value) : "none";
}

TEST(number_parse, int64_is_whole_and_in_range) {
  EXPECT_EQ(parsed_int("0"), "0");
  EXPECT_EQ(parsed_int("-0"), "0");
  EXPECT_EQ(parsed_int("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(parsed_int("-9223372036854775808"), "-9223372036854775808");
  for (const char* text : {"", "-", "+1", "1.0", "1e3", "1 ", " 1", "01", "-01", "00", "0x1", "--1",
                           "9223372036854775808", "-9223372036854775809", "99999999999999999999",
                           "18446744073709551616", "100000000000000000000000", "1a", "a"}) {
    EXPECT_EQ(parsed_int(text), "none") << text;
  }
}

TEST(number_parse, text_files_write_int64_more_loosely) {
  EXPECT_EQ(parsed_int("+7", number_style::loose), "7");
  EXPECT_EQ(parsed_int("-007", number_style::loose), "-7");
  EXPECT_EQ(parsed_int("00000000000000000000000000000", number_style::loose), "0");
  EXPECT_EQ(parsed_int("0000000000009223372036854775807", number_style::loose),
            "9223372036854775807");
  for (const char* text : {"", "+", "-", "+-1", "1.0", "0x1", "7 "}) {
    EXPECT_EQ(parsed_int(text, number_style::loose), "none") << text;
  }
}

TEST(number_parse, the_grammar_of_json_numbers_is_kept) {
  for (const char* text :
       {"",      "-",     ".5", "5.",  "-.5", "01",       "1.",   "1e",  "1e+",  "e1",
        "1.5.5", "1e5e5", "+1", "nan", "inf", "Infinity", "0x10", "1_0", "1.e5", "--1"}) {
    EXPECT_EQ(parsed_double(text), "none") << text;
  }
  EXPECT_EQ(parsed_double("1E+2"), "0x1.9p+6");
  EXPECT_EQ(parsed_double("-0"), "-0x0p+0");
  EXPECT_EQ(parsed_double("-0.0e-5"), "-0x0p+0");
}

TEST(number_parse, text_files_write_doubles_more_loosely) {
  EXPECT_EQ(parsed_double(".5", number_style::loose), "0x1p-1");
  EXPECT_EQ(parsed_double("5.", number_style::loose), "0x1.4p+2");
  EXPECT_EQ(parsed_double("+005.e0", number_style::loose), "0x1.4p+2");
  for (const char* text : {"", ".", "+", "-.", ".e5", "nan", "1 2"}) {
    EXPECT_EQ(parsed_double(text, number_style::loose), "none") << text;
  }
}

TEST(number_parse, exponents_of_any_size_are_taken) {
  EXPECT_EQ(parsed_double("1e99999999999999999999"), "too large");
  EXPECT_EQ(parsed_double("1e-99999999999999999999"), "0x0p+0");
  EXPECT_EQ(parsed_double("0e99999999999999999999"), "0x0p+0");
  EXPECT_EQ(parsed_double("0." + std::string(5000, '0') + "1e5001"), "0x1p+0");
  EXPECT_EQ(parsed_double("1" + std::string(5000, '0') + "e-5000"), "0x1p+0");
}

TEST(number_parse, doubles_at_the_ends_of_the_range_are_rounded_right) {
  for (const char* text :
       {"1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "17976931348623157081452742373170435679807056752584499659891747680315726078002853876058955"
        "863276687817154045895351438246423432132688946418276846754670353751698604991057655128207624"
        "549009038932894407586850845513394230458323690322294816580855933212334774797926204144723168"
        "738177180919299881250404026184124858367",
        "17976931348623158079372897140530341507993413271003782693617377898044496829276475094664901"
        "797758720709633028641669288791094655554785194040263065748867150582068190890200070838367627"
        "385484581771153176447573027006985557136695962284291481986083493647529271907416844436551070"
        "4342711559699508093042880",
        "17976931348623158079372897140530341507993413271003782693617377898044496829276475094664901"
        "797758720709633028641669288791094655554785194040263065748867150582068190890200070838367627"
        "385484581771153176447573027006985557136695962284291481986083493647529271907416844436551070"
        "434271155969950809304287999999",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.4703282292062329e-324",
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "2.225073858507201136057409796709131975934819546351645648023426109724822222021076945516529"
        "523908135087914149158913039621106870086438694594645527657207407820621743379988141063267329"
        "253552286881372149012981122451451889849057222307285255133155755015914397476397983411801999"
        "323962548289017107081850690630666655994938275772572015763062690663332647565300009245888316"
        "433037779791869612049497390377829704905051080609940730262937128958950003583799967207254304"
        "360284078895771796150945516748243471030702609144621572289880258182545180325707018860872113"
        "128079512233426288368622321503775666622503982534335974568884423900265498198385487948292206"
        "894721689831099698365846814022854243330660339850886445804001034933970427567186443383770486"
        "037861622771738545623065874679014086723327636718749999999999999999999999999999999999999e-"
        "308",
        "9007199254740993",
        "9007199254740992.999999999999999999999999",
        "9007199254740993.0000001",
        "0.1",
        "0.3",
        "123456789012345678901234567890",
        "8.5",
        "1e23",
        "8.41e21",
        "9.5e-3",
        "6929495644600919.5",
        "3.7455744005952583e15"}) {
    expect_as_the_library(text);
  }
}

TEST(number_parse, doubles_printed_with_17_digits_come_back) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 500'000; ++i) {
    const std::uint64_t bits = random();
    if ((bits & double_infinity_bits) == double_infinity_bits) continue;
    char text[64];
    std::snprintf(text, sizeof text, i % 2 == 0 ? "%.17g" : "%.16e", double_of_bits(bits));
    // "%.17g" may write 1e+22, which JSON's grammar takes too.
    if (i % 2 == 0) {
      std::uint64_t parsed = 0;
      ASSERT_TRUE(parse_double(scan_number(range_of(text), number_style::json),
                               power_of_five_table().data(), parsed));
      ASSERT_EQ(parsed, bits) << text;
    } else {
      expect_as_the_library(text);
    }
  }
}

TEST(number_parse, random_decimals_are_rounded_as_the_library_does) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 1'500'000; ++i) {
    std::string text = random() % 2 == 0 ? "-" : "";
    const int digits = 1 + static_cast<int>(random() % (i % 8 == 0 ? 40 : 20));
    const int point = static_cast<int>(random() % 24);
    text += static_cast<char>('1' + random() % 9);
    for (int d = 1; d < digits; ++d) {
      if (d == point) text += '.';
      text += static_cast<char>('0' + random() % 10);
    }
    if (random() % 2 == 0) {
      const int span = i % 4 == 0 ? 700 : 60;
      text += "e" + std::to_string(static_cast<int>(random() % span) - span / 2);
    }
    expect_as_the_library(text);
  }
}

/// The exact decimal expansion of what is half way between two neighbouring doubles: an 80-bit
/// float holds it.
std::string half_way(std::uint64_t bits) {
  const long double below = double_of_bits(bits);
  const long double above = double_of_bits(bits + 1);
  char text[1400];
  std::snprintf(text, sizeof text, "%.1100Le", below + (above - below) / 2);
  const std::string_view shown(text);
  const std::size_t exponent = shown.find('e');
  std::string_view digits = shown.substr(0, exponent);
  digits = digits.substr(0, digits.find_last_not_of('0') + 1);
  return std::string(digits) + (digits.ends_with('.') ? "0" : "") +
         std::string(shown.substr(exponent));
}

TEST(number_parse, what_is_half_way_between_two_doubles_goes_to_the_even_one) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 4'000; ++i) {
    // Everywhere, among subnormals, and where few digits suffice.
    std::uint64_t bits = random() >> 1;
    if (i % 4 == 1) bits = random() >> (12 + random() % 40);
    if (i % 4 == 2) bits = (1023 + random() % 80) << 52 | random() >> (12 + random() % 40);
    if (i % 4 == 3) bits = (990 + random() % 40) << 52 | random() >> 12;
    if (bits + 1 >= double_infinity_bits) continue;
    const std::string exact = half_way(bits);
    expect_as_the_library(exact);
    const std::size_t exponent = exact.find('e');
    std::string above = exact;
    above.insert(exponent, "0000000000000000000000000000000000001");
    expect_as_the_library(above);
    std::string far_above = exact;
    far_above.insert(exponent, std::string(900, '0') + "1");
    expect_as_the_library(far_above);
    std::string below = exact;
    if (below[exponent - 1] != '0') {
      --below[exponent - 1];
      below.insert(exponent, "99999999999999999999999");
      expect_as_the_library(below);
    }
  }
}

}  // namespace
}  // namespace millrace
