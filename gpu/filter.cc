#include "gpu/filter.h"

#include "base/endian.h"

namespace millrace {
namespace {

class filter_compiler {
 public:
  filter_compiler(const view_plan& plan, std::span<const std::uint16_t> columns)
      : plan_(plan), columns_(columns) {}

  void add(const filter_plan& part) {
    using kind = filter_plan::kind;
    switch (part.op) {
      case kind::all_of:
        return add_all(part, filter_code::both);
      case kind::any_of:
        return add_all(part, filter_code::either);
      case kind::negation:
        return add_all(part, filter_code::negation);
      default:
        return add_comparison(part);
    }
  }

  std::vector<std::byte> block() const {
    const std::size_t literals_at =
        align_up(sizeof(filter_header) + ops_.size() * sizeof(filter_op), 8);
    const std::size_t text_at = literals_at + literals_.size() * 8;
    std::vector<std::byte> block(text_at);
    store(block.data(), filter_header{static_cast<std::uint32_t>(ops_.size()),
                                      static_cast<std::uint32_t>(literals_at)});
    std::memcpy(block.data() + sizeof(filter_header), ops_.data(), ops_.size() * sizeof(filter_op));
    for (std::size_t i = 0; i < literals_.size(); ++i) {
      // Of texts, offsets so far count from the first text.
      const std::uint64_t base = literals_[i].is_text ? std::uint64_t{text_at} << 32 : 0;
      store(block.data() + literals_at + i * 8, literals_[i].word + base);
    }
    const auto* const text = reinterpret_cast<const std::byte*>(text_.data());
    block.insert(block.end(), text, text + text_.size());
    return block;
  }

 private:
  struct literal {
    std::uint64_t word;
    bool is_text;
  };

  void add_all(const filter_plan& part, filter_code code) {
    for (std::size_t i = 0; i < part.parts.size(); ++i) {
      add(part.parts[i]);
      if (i > 0 || code == filter_code::negation) ops_.push_back({code, {}, 0, 0, 0});
    }
  }

  void add_comparison(const filter_plan& part) {
    const field_type type = plan_.fields[part.field].type;
    ops_.push_back({code_of(part.op), type, columns_[part.field],
                    static_cast<std::uint32_t>(literals_.size()),
                    static_cast<std::uint32_t>(part.values.size())});
    for (const filter_plan::literal& value : part.values) {
      if (const auto* text = std::get_if<std::string>(&value)) {
        literals_.push_back({std::uint64_t{text_.size()} << 32 | text->size(), true});
        text_ += *text;
      } else if (const auto* real = std::get_if<double>(&value)) {
        literals_.push_back({to_ordered(type, bits_of(*real)), false});
      } else {
        const std::int64_t integer = std::holds_alternative<bool>(value)
                                         ? std::int64_t{std::get<bool>(value)}
                                         : std::get<std::int64_t>(value);
        literals_.push_back({to_ordered(type, static_cast<std::uint64_t>(integer)), false});
      }
    }
  }

  static filter_code code_of(filter_plan::kind kind) {
    switch (kind) {
      case filter_plan::kind::not_equal:
        return filter_code::not_equal;
      case filter_plan::kind::less:
        return filter_code::less;
      case filter_plan::kind::less_equal:
        return filter_code::less_equal;
      case filter_plan::kind::greater:
        return filter_code::greater;
      case filter_plan::kind::greater_equal:
        return filter_code::greater_equal;
      case filter_plan::kind::one_of:
        return filter_code::one_of;
      case filter_plan::kind::is_null:
        return filter_code::is_null;
      case filter_plan::kind::has_prefix:
        return filter_code::has_prefix;
      default:
        return filter_code::equal;
    }
  }

  const view_plan& plan_;
  std::span<const std::uint16_t> columns_;
  std::vector<filter_op> ops_;
  std::vector<literal> literals_;
  std::string text_;
};

}  // namespace

std::vector<std::byte> compile_filter(const filter_plan& plan, const view_plan& of,
                                      std::span<const std::uint16_t> columns) {
  filter_compiler compiler(of, columns);
  compiler.add(plan);
  return compiler.block();
}

}  // namespace millrace
