#pragma once
/// Fields out of a JSON document in one pass, which ends behind the last wanted value.
///
/// The scanner goes from one structural character (one of `{}[]:,` outside strings) to the next;
/// what lies between two of them is looked at only where it is wanted. So a valid document gives
/// exactly what it says, and one that is not valid gives nulls, or values where it looks valid: the
/// same on every side, since all sides run this and differ only in how they find structural
/// characters.
///
/// The first member of a name counts. Where a document breaks off or goes wrong, the fields not yet
/// found are wrong_type; where it is whole without them, missing. A field whose value is an object
/// or an array is wrong_type.
///
/// `Cursor` goes forward over the document:
///   next()            where the next structural character is, or the document's size
///   skip(depth)       goes on to the bracket that closes `depth` open containers, likewise
///   took(node)        the value that ends at what next() gave last is wanted, and is that of
///   `node` maybe_escaped(at) false only if there is no backslash from `at` to where it is now
#include "gpu/field_convert.h"

namespace millrace {

/// Which bit of name_filter a name has.
MILLRACE_HOST_DEVICE inline std::uint64_t json_name_bit(std::uint64_t head, std::uint32_t count) {
  return 1ull << ((head ^ head >> 8 ^ count * 7) & 63);
}

/// The first 8 bytes from `from` on, zeros from `end` on.
MILLRACE_HOST_DEVICE inline std::uint64_t json_name_head(byte_range text, std::uint32_t from,
                                                         std::uint32_t end) {
  const std::uint32_t count = end - from;
  if (text.count - from >= 8) {
    const auto head = load_any<std::uint64_t>(text.bytes + from);
    return count >= 8 ? head : head & ((1ull << 8 * count) - 1);
  }
  std::uint64_t head = 0;
  for (std::uint32_t i = 0; i < count; ++i)
    head |= static_cast<std::uint64_t>(text[from + i]) << 8 * i;
  return head;
}

template <class Cursor>
class json_scanner {
 public:
  MILLRACE_HOST_DEVICE json_scanner(const extract_tables& tables, byte_range document,
                                    Cursor& cursor, field_column out)
      : tables_(tables),
        document_(document),
        cursor_(cursor),
        out_(out),
        wanted_(tables.header().scanned) {}

  /// All fields of the document are `missing` before.
  MILLRACE_HOST_DEVICE void scan() {
    if (!scan_document()) set(wanted_, value_state::wrong_type);
  }

 private:
  enum class step : std::uint8_t { bad, entered, passed };

  /// False: the document is not valid, as far as was seen.
  MILLRACE_HOST_DEVICE bool scan_document() {
    at_ = cursor_.next();
    if (at_ == document_.count || !is_blank(0, at_) || !is_open(at_)) return false;
    enter(0);
    while (wanted_ != 0) {
      if ((inside_ & wanted_) == 0) {
        at_ = cursor_.skip(1);
        if (at_ == document_.count) return false;
      } else {
        const step taken = scan_member();
        if (taken == step::bad) return false;
        if (taken == step::entered || wanted_ == 0 || document_[at_] == ',') continue;
        if (!closes()) return false;
      }
      do {
        if (!leave()) return true;
        at_ = cursor_.next();
        if (at_ == document_.count) return false;
      } while (closes());
      if (document_[at_] != ',') return false;
    }
    return true;
  }

  /// From what is before a member or element, the bracket that opens or a comma, to what is behind
  /// it; or only to the bracket that opens it, where something in it is wanted. Goes on over
  /// members that nobody wants.
  MILLRACE_HOST_DEVICE step scan_member() {
    for (;;) {
      std::uint32_t from = at_ + 1;
      std::uint32_t end = cursor_.next();
      if (end == document_.count) return step::bad;
      const json_edge* edge = nullptr;
      if (!in_array_ && document_[end] == ':') {
        if (!find_name(from, end, edge)) return step::bad;
        from = end + 1;
        end = cursor_.next();
        if (end == document_.count) return step::bad;
      } else if (is_open(at_) && is_close(end) && is_blank(from, end)) {
        at_ = end;
        return step::passed;
      } else if (in_array_) {
        edge = find_element();
      } else {
        return step::bad;
      }
      at_ = end;
      const bool wanted = edge != nullptr && (tables_.node(edge->node).below & wanted_) != 0;
      if (is_open(end)) return wanted ? enter(edge->node) : pass_container();
      if (wanted) {
        cursor_.took(edge->node);
        take(tables_.node(edge->node), trimmed(document_.part(from, end)));
        return step::passed;
      }
      if (document_[end] != ',') return step::passed;
    }
  }

  /// From the bracket that opens it to behind the one that closes it.
  MILLRACE_HOST_DEVICE step pass_container() {
    if (cursor_.skip(1) == document_.count) return step::bad;
    at_ = cursor_.next();
    return at_ == document_.count ? step::bad : step::passed;
  }

  /// Of what is between the place before a member and its colon. False: it is no name.
  MILLRACE_HOST_DEVICE bool find_name(std::uint32_t from, std::uint32_t end,
                                      const json_edge*& found) const {
    while (from < end && is_space(document_[from]))
      ++from;
    while (from < end && is_space(document_[end - 1]))
      --end;
    if (end - from < 2 || document_[from] != '"' || document_[end - 1] != '"') return false;
    ++from;
    --end;
    if (cursor_.maybe_escaped(from) && has_escape(from, end)) {
      found = find_escaped(document_.part(from, end));
      return true;
    }
    const std::uint64_t head = json_name_head(document_, from, end);
    if ((name_filter_ & json_name_bit(head, end - from)) == 0) return true;
    const json_node& node = tables_.node(node_);
    const json_edge* const edges = tables_.edges(node);
    for (std::uint32_t i = 0; i < node.names; ++i) {
      if (edges[i].head == head && edges[i].name_bytes == end - from && same_tail(edges[i], from)) {
        found = edges + i;
      }
    }
    return true;
  }

  /// Of names of the same length and head.
  MILLRACE_HOST_DEVICE bool same_tail(const json_edge& edge, std::uint32_t from) const {
    const std::byte* const name = tables_.name(edge);
    for (std::uint32_t i = 8; i < edge.name_bytes; ++i) {
      if (name[i] != document_.bytes[from + i]) return false;
    }
    return true;
  }

  MILLRACE_HOST_DEVICE bool has_escape(std::uint32_t from, std::uint32_t end) const {
    while (from < end && document_[from] != '\\')
      ++from;
    return from < end;
  }

  MILLRACE_HOST_DEVICE const json_edge* find_escaped(byte_range text) const {
    const json_node& node = tables_.node(node_);
    const json_edge* const edges = tables_.edges(node);
    for (std::uint32_t i = 0; i < node.names; ++i) {
      if (is_written_as(edges[i], text)) return edges + i;
    }
    return nullptr;
  }

  MILLRACE_HOST_DEVICE bool is_written_as(const json_edge& edge, byte_range text) const {
    if (check_json_text(text) == json_text::bad) return false;
    text_reader reader(text.bytes, text.count, text_form::json_escaped);
    const std::byte* const name = tables_.name(edge);
    for (std::uint32_t i = 0; i < edge.name_bytes; ++i) {
      if (reader.next() != static_cast<int>(name[i])) return false;
    }
    return reader.next() == text_reader::at_end;
  }

  /// Of the element that comes next.
  MILLRACE_HOST_DEVICE const json_edge* find_element() {
    const json_node& node = tables_.node(node_);
    const json_edge* const edges = tables_.edges(node) + node.names;
    const json_edge* found = nullptr;
    for (std::uint32_t i = 0; i < node.elements; ++i) {
      if (edges[i].name_bytes == element_) found = edges + i;
    }
    ++element_;
    return found;
  }

  /// at_ is at the bracket that opens the value of `node`.
  MILLRACE_HOST_DEVICE step enter(std::uint32_t node) {
    const std::uint64_t own = tables_.node(node).own & wanted_;
    set(own, value_state::wrong_type);
    wanted_ &= ~own;
    go_on_in(node, document_[at_] == '[', 0);
    return step::entered;
  }

  /// at_ is at the bracket that closes it. False: that was the whole document.
  MILLRACE_HOST_DEVICE bool leave() {
    const json_node& node = tables_.node(node_);
    wanted_ &= ~node.below;
    if (node_ == 0) return false;
    go_on_in(node.parent, node.from_element != 0, node.element + 1);
    return true;
  }

  MILLRACE_HOST_DEVICE void go_on_in(std::uint32_t node, bool array, std::uint32_t element) {
    node_ = node;
    in_array_ = array;
    element_ = element;
    const json_node& row = tables_.node(node);
    inside_ = array ? row.below_elements : row.below_names;
    name_filter_ = row.name_filter;
  }

  MILLRACE_HOST_DEVICE void take(const json_node& node, byte_range text) {
    for (std::uint64_t left = node.own & wanted_; left != 0; left &= left - 1) {
      const auto field = static_cast<std::uint32_t>(lowest_bit(left));
      out_[field] = convert_json(tables_, tables_.field(field), text);
    }
    wanted_ &= ~node.below;
  }

  MILLRACE_HOST_DEVICE void set(std::uint64_t fields, value_state state) {
    for (; fields != 0; fields &= fields - 1) {
      out_[static_cast<std::uint32_t>(lowest_bit(fields))] = make_null(state);
    }
  }

  MILLRACE_HOST_DEVICE bool is_open(std::uint32_t at) const {
    return (document_[at] | 0x20) == '{';
  }
  MILLRACE_HOST_DEVICE bool is_close(std::uint32_t at) const {
    return (document_[at] | 0x20) == '}';
  }
  MILLRACE_HOST_DEVICE bool closes() const { return document_[at_] == (in_array_ ? ']' : '}'); }
  MILLRACE_HOST_DEVICE bool is_blank(std::uint32_t from, std::uint32_t end) const {
    while (from < end && is_space(document_[from]))
      ++from;
    return from == end;
  }

  const extract_tables& tables_;
  byte_range document_;
  Cursor& cursor_;
  field_column out_;
  std::uint64_t wanted_;      ///< fields not decided yet
  std::uint64_t inside_ = 0;  ///< fields that can be in this container
  std::uint64_t name_filter_ = 0;
  std::uint32_t node_ = 0;  ///< the container's
  std::uint32_t element_ = 0;
  std::uint32_t at_ = 0;
  bool in_array_ = false;
};

}  // namespace millrace
