#include "gpu/fetched_groups.h"

#include <algorithm>

#include "gpu/group_table.h"
#include "gpu/key_words.h"

namespace millrace {
namespace {

/// A bin as the CPU's sketches have it: one entry, or one for each register in it.
void append_entries(const sketch_slot& slot, bool is_distinct, std::vector<sketch_entry>& out) {
  const auto bin = static_cast<std::uint32_t>(slot.key & ((1u << sketch_bin_bits) - 1));
  if (!is_distinct) {
    // A bin whose record found no room for its other sketches is empty.
    if (slot.value != 0) out.push_back({bin, std::min(slot.value, sketch_count_max)});
    return;
  }
  for (std::uint32_t i = 0; i < 8; ++i) {
    const std::uint64_t rank = slot.value >> (8 * i) & 0xff;
    if (rank != 0) out.push_back({8 * bin + i, rank});
  }
}

/// Words before the state in a row.
std::uint32_t head_words(const fold_program& program) {
  return row_key + (program.key_bytes ? (*program.key_bytes + 7) / 8 : 1);
}

}  // namespace

void append_group(const fold_program& program, const snapshot_entry& entry,
                  fetched_groups& groups) {
  const auto number = static_cast<std::uint32_t>(groups.numbers.size());
  const padded_key padded(entry.key);
  const key_ref key = padded.key();
  std::uint64_t key_state = program.secret.start;
  for (std::uint32_t i = 0; i < key.word_count(); ++i)
    key_state = group_hash_step(key_state, key.words[i], program.secret);
  groups.row_words = head_words(program) + program.state_words();
  groups.numbers.push_back(number);
  std::vector<std::uint64_t>& rows = groups.rows;
  rows.push_back(static_cast<std::uint64_t>(entry.start_us));
  rows.push_back(pane_group_hash(key_state, entry.start_us, program.secret));
  rows.push_back(key.bytes);
  if (!program.key_bytes) rows.push_back(groups.keys.size());
  std::vector<std::uint64_t>& keys = program.key_bytes ? rows : groups.keys;
  keys.insert(keys.end(), key.words, key.words + key.word_count());
  rows.insert(rows.end(), entry.state.begin(), entry.state.end());
  for (std::uint32_t sketch = 0; sketch < entry.sketches.size(); ++sketch) {
    const bool is_distinct = program.parts[program.sketches[sketch]].kind == part_kind::distinct;
    for (const sketch_entry& one : entry.sketches[sketch]) {
      const std::uint64_t bin =
          make_sketch_key(number, sketch, is_distinct ? one.key / 8 : one.key);
      if (groups.bins.empty() || groups.bins.back().key != bin) groups.bins.push_back({bin, 0});
      groups.bins.back().value |= is_distinct ? one.count << (8 * (one.key % 8)) : one.count;
    }
  }
}

void absorb(const fold_program& program, const fetched_groups& groups, pane_store& windows) {
  const bool keys_in_heap = !program.key_bytes.has_value();
  const std::size_t sketches = program.sketches.size();
  // Bins by row and sketch.
  std::vector<sketch_slot> bins = groups.bins;
  std::ranges::sort(bins, {}, &sketch_slot::key);
  auto first_bin = [&](std::uint32_t number) {
    return std::ranges::lower_bound(bins, make_sketch_key(number, 0, 0), {}, &sketch_slot::key);
  };
  std::vector<std::vector<sketch_entry>> entries(sketches);
  for (std::size_t i = 0; i < groups.numbers.size(); ++i) {
    const std::uint64_t* const row = &groups.rows[i * groups.row_words];
    const std::uint64_t* const state = row + head_words(program);
    // The one record of a group may have been left out for want of memory for its sketch.
    if (state[0] == 0) continue;
    const auto key_bytes = static_cast<std::uint32_t>(row[row_key_bytes]);
    const key_ref key{keys_in_heap ? groups.keys.data() + row[row_key] : row + row_key, key_bytes};
    for (std::vector<sketch_entry>& one : entries)
      one.clear();
    if (sketches != 0) {
      for (auto at = first_bin(groups.numbers[i]);
           at != bins.end() && row_of_sketch(at->key) == groups.numbers[i]; ++at) {
        const std::size_t sketch = at->key >> sketch_bin_bits & ((1u << sketch_number_bits) - 1);
        const part_kind kind = program.parts[program.sketches[sketch]].kind;
        append_entries(*at, kind == part_kind::distinct, entries[sketch]);
      }
    }
    windows.absorb(static_cast<std::int64_t>(row[row_pane]), key,
                   hash_group_key(key.words, key.word_count(), program.secret), state, entries);
  }
}

}  // namespace millrace
