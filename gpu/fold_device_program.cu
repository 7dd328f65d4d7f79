#include <algorithm>

#include "gpu/fold_device_program.cuh"
#include "gpu/table_block.h"

namespace millrace {

result<fold_tables> fold_tables::send(const fold_program& program, int device,
                                      cudaStream_t stream) {
  std::vector<std::byte> block;
  const std::uint32_t empty_at = append_rows(block, std::span(program.empty));
  const std::uint32_t filter_at = append_rows(block, std::span(program.filter));
  const std::uint32_t parts_at = append_rows(block, std::span(program.parts));
  const std::uint32_t key_at = append_rows(block, std::span(program.key));
  const std::uint32_t columns_at = append_rows(block, std::span(program.columns));
  block.resize(align_up(block.size() + 1, 8));

  fold_tables made;
  MILLRACE_ASSIGN(made.memory_, allocate_device(block.size(), device, "a view's plan"));
  MILLRACE_CUDA_TRY(cudaMemcpyAsync(made.memory_.data(), block.data(), block.size(),
                                    cudaMemcpyHostToDevice, stream));
  MILLRACE_CUDA_TRY(cudaStreamSynchronize(stream));
  const window_plan& window = program.plan.window;
  const device_memory& at = made.memory_;
  made.program_ = {
      .filter = program.filter.empty() ? nullptr : at.data() + filter_at,
      .key = at.as<const key_field>(key_at),
      .parts = at.as<const state_part>(parts_at),
      .empty = at.as<const std::uint64_t>(empty_at),
      .columns = at.as<const std::uint16_t>(columns_at),
      .secret = program.secret,
      .key_fields = static_cast<std::uint16_t>(program.key.size()),
      .part_count = static_cast<std::uint16_t>(program.parts.size()),
      .column_count = static_cast<std::uint16_t>(program.columns.size()),
      .has_sketches = !program.sketches.empty(),
      .has_places = std::ranges::any_of(program.parts,
                                        [](const state_part& one) { return is_place(one.kind); }),
      .time_column = program.time_column ? std::int32_t{*program.time_column} : -1,
      .state_words = program.state_words(),
      .size_us = window.size_us,
      .hop_us = window.hop_us,
      .offset_us = window.offset_us,
      .delay_us = program.plan.delay_us,
      .future_max_us = program.plan.future_max_us,
  };
  return std::move(made);
}

}  // namespace millrace
