/// The CBOR half of decode_put().
#include "api/put_cbor.h"

#include "api/json_text.h"
#include "api/wire_cbor.h"

namespace millrace {
namespace {

kinesis_error not_read() {
  return serialization_error("The request is not well-formed CBOR");
}

/// Reads one Put request. What a record's strings point to stays until the record is written,
/// unless they came in pieces: those are kept aside.
class put_reader {
 public:
  put_reader(bool many, mutable_byte_view body, put_request& into)
      : many_(many), body_(body), in_(body), into_(into), records_(body, many, into) {}

  kinesis_outcome run() {
    const auto root = in_.value_head();
    if (!root || root->major != cbor_map) return not_read();
    put_builder::part single;
    bool has_records = false;
    std::string name;
    for (std::uint64_t i = 0; root->info == cbor_indefinite || i < root->value; ++i) {
      const auto head = in_.value_head();
      if (!head) return not_read();
      if (head->is_break()) {
        if (root->info != cbor_indefinite) return not_read();
        break;
      }
      if (!read_name(*head, name)) return not_read();
      if (many_ && name == "Records") {
        if (has_records) return not_read();
        MILLRACE_KINESIS_TRY(read_records(has_records));
      } else if (!many_ && is_record_member(name)) {
        MILLRACE_KINESIS_TRY(read_member(name, single));
      } else {
        MILLRACE_KINESIS_TRY(read_other(name));
      }
    }
    if (!in_.at_end()) return not_read();
    if (!many_) MILLRACE_KINESIS_TRY(records_.add(single, false, body_.data() + body_.size()));
    return records_.finish(has_records);
  }

 private:
  static bool is_record_member(std::string_view name) {
    return name == "Data" || name == "PartitionKey" || name == "ExplicitHashKey";
  }

  bool read_name(const cbor_head& head, std::string& name) {
    if (head.major != cbor_text) return false;
    const auto text = in_.string(head);
    if (!text) return false;
    name = *text;
    return true;
  }

  kinesis_outcome read_records(bool& has_records) {
    const auto list = in_.value_head();
    if (!list || list->is_break()) return not_read();
    if (list->is_null()) return std::nullopt;
    if (list->major != cbor_list)
      return serialization_error("class java.lang.Object can not be converted to an List");
    has_records = true;
    for (std::uint64_t i = 0; list->info == cbor_indefinite || i < list->value; ++i) {
      const auto head = in_.value_head();
      if (!head) return not_read();
      if (head->is_break())
        return list->info == cbor_indefinite ? std::nullopt : kinesis_outcome(not_read());
      if (head->major != cbor_map)
        return serialization_error("class java.lang.Object can not be converted to an Map");
      put_builder::part record;
      MILLRACE_KINESIS_TRY(read_record(*head, record));
      MILLRACE_KINESIS_TRY(records_.add(record, false, body_.data() + in_.position()));
    }
    return std::nullopt;
  }

  kinesis_outcome read_record(const cbor_head& map, put_builder::part& into) {
    std::string name;
    for (std::uint64_t i = 0; map.info == cbor_indefinite || i < map.value; ++i) {
      const auto head = in_.value_head();
      if (!head) return not_read();
      if (head->is_break())
        return map.info == cbor_indefinite ? std::nullopt : kinesis_outcome(not_read());
      if (!read_name(*head, name)) return not_read();
      if (is_record_member(name)) {
        MILLRACE_KINESIS_TRY(read_member(name, into));
      } else {
        const auto value = in_.value_head();
        if (!value || value->is_break() || !in_.skip(*value)) return not_read();
      }
    }
    return std::nullopt;
  }

  kinesis_outcome read_member(std::string_view name, put_builder::part& into) {
    const auto head = in_.value_head();
    if (!head || head->is_break()) return not_read();
    if (head->is_null()) return std::nullopt;
    const bool is_data = name == "Data";
    if (head->major != (is_data ? cbor_bytes : cbor_text))
      return serialization_error(is_data
                                     ? "class java.lang.Object can not be converted to a Blob"
                                     : "class java.lang.Object can not be converted to an String");
    auto text = in_.string(*head);
    if (!text || (!is_data && !is_utf8(*text))) return not_read();
    std::string& kept = is_data ? data_ : name == "PartitionKey" ? key_ : hash_key_;
    if (head->info == cbor_indefinite) {
      kept = *text;
      text = kept;
    }
    if (is_data) {
      into.data = *text;
      into.has_data = true;
    } else if (name == "PartitionKey") {
      into.key = *text;
      into.has_key = true;
    } else {
      into.hash_key = *text;
      into.has_hash_key = true;
    }
    return std::nullopt;
  }

  /// A member that becomes part of the tree: its bytes are found, then read as a tree of their own.
  kinesis_outcome read_other(const std::string& name) {
    const std::size_t from = in_.position();
    const auto value = in_.value_head();
    if (!value || value->is_break() || !in_.skip(*value)) return not_read();
    auto tree = parse_cbor(body_.subspan(from, in_.position() - from));
    if (!tree.ok()) return not_read();
    into_.members.names.push_back(name);
    into_.members.items.push_back(*std::move(tree));
    return std::nullopt;
  }

  const bool many_;
  const mutable_byte_view body_;
  cbor_reader in_;
  put_request& into_;
  put_builder records_;
  std::string data_;
  std::string key_;
  std::string hash_key_;
};

}  // namespace

kinesis_outcome decode_put_cbor(bool many, mutable_byte_view body, put_request& into) {
  return put_reader(many, body, into).run();
}

}  // namespace millrace
