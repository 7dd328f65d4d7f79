#include "gpu/key_column.h"

#include <cstring>

#include "gpu/group_hash.h"

namespace millrace {
namespace {

/// A key of one text that is written as it is, in whole words. False: it needs key_writer.
bool copy_plain(const field_value& value, std::uint64_t* key, std::uint32_t& bytes) {
  if (value.is_null() || value.form != text_form::plain) return false;
  if (value.text_bytes + 2 > limits::group_key_bytes_max) return false;
  const auto* const text = reinterpret_cast<const std::byte*>(value.bits);
  if (std::memchr(text, 0, value.text_bytes) != nullptr) return false;
  bytes = value.text_bytes + 2;
  key[(bytes - 1) / sizeof(std::uint64_t)] = 0;
  auto* const out = reinterpret_cast<std::byte*>(key);
  std::memcpy(out + 1, text, value.text_bytes);
  out[0] = std::byte{1};
  out[value.text_bytes + 1] = std::byte{0};
  return true;
}

constexpr std::uint32_t number_key_bytes = fixed_key_bytes(field_type::int64);

std::uint32_t words_for(std::uint32_t bytes) {
  return (bytes + 7) / 8;
}

}  // namespace

key_column::key_column(const fold_program& program)
    : program_(program),
      // Room to store a whole field behind the last byte.
      stride_words_(words_for(program.key_bytes.value_or(limits::group_key_bytes_max)) + 1),
      words_(std::size_t{stride_words_} * fold_chunk_records) {}

/// One field of eight bytes: its two words come out of registers, and are hashed there.
void key_column::encode_one_number(fold_batch& batch, slot_lines lines) {
  const key_field& field = program_.key[0];
  const field_value* const column = batch.chunk->column(field.column);
  const field_type type = field.type;
  const hash_secret secret = program_.secret;
  std::uint64_t* key = words_.data();
  for (std::uint32_t i = 0; i < batch.count; ++i, key += stride_words_) {
    const field_value& value = column[batch.index[i]];
    const bool is_value = !value.is_null();
    const std::uint64_t ordered = is_value ? swap_bytes(to_ordered(type, value.bits)) : 0;
    key[0] = ordered << 8 | (is_value ? 1u : 0u);
    key[1] = ordered >> 56;
    batch.key[i] = {key, number_key_bytes};
    batch.hash[i] = hash_group_key(key, 2, secret);
    lines.prefetch(batch.hash[i]);
  }
}

void key_column::encode_fixed_keys(fold_batch& batch, slot_lines lines) {
  if (program_.key.size() == 1 && program_.key[0].type != field_type::boolean)
    return encode_one_number(batch, lines);
  const std::uint32_t bytes = *program_.key_bytes;
  const std::uint32_t words = words_for(bytes);
  const hash_secret secret = program_.secret;
  std::uint32_t at = 0;
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    std::uint64_t* const key = &words_[std::size_t{i} * stride_words_];
    if (words > 0) key[words - 1] = 0;
    batch.key[i] = {key, bytes};
  }
  for (const key_field& field : program_.key) {
    const field_value* const column = batch.chunk->column(field.column);
    for (std::uint32_t i = 0; i < batch.count; ++i) {
      auto* const key = reinterpret_cast<std::byte*>(&words_[std::size_t{i} * stride_words_]);
      encode_fixed(field.type, column[batch.index[i]], key + at);
    }
    at += fixed_key_bytes(field.type);
  }
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    batch.hash[i] = hash_group_key(batch.key[i].words, words, secret);
    lines.prefetch(batch.hash[i]);
  }
}

std::uint32_t key_column::encode(fold_batch& batch, slot_lines lines) {
  if (program_.key_bytes) {
    encode_fixed_keys(batch, lines);
    return 0;
  }
  std::uint32_t kept = 0;
  const hash_secret secret = program_.secret;
  const bool is_one_text = program_.key.size() == 1;
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    std::uint64_t* const key = &words_[std::size_t{kept} * stride_words_];
    const auto keep = [&](std::uint32_t bytes) {
      batch.key[kept] = {key, bytes};
      batch.hash[kept] = hash_group_key(key, words_for(bytes), secret);
      lines.prefetch(batch.hash[kept]);
      batch.index[kept] = batch.index[i];
      batch.time_us[kept] = batch.time_us[i];
      ++kept;
    };
    if (is_one_text) {
      std::uint32_t bytes = 0;
      const field_value& text = batch.chunk->column(program_.key[0].column)[batch.index[i]];
      if (copy_plain(text, key, bytes)) {
        keep(bytes);
        continue;
      }
    }
    key_writer writer(reinterpret_cast<std::byte*>(key), limits::group_key_bytes_max);
    bool fits = true;
    for (const key_field& field : program_.key) {
      fits = fits && writer.add(field.type, batch.chunk->column(field.column)[batch.index[i]]);
    }
    if (!fits) continue;
    writer.fill_word();
    keep(writer.bytes());
  }
  const std::uint32_t too_long = batch.count - kept;
  batch.count = kept;
  return too_long;
}

}  // namespace millrace
