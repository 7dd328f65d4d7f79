#pragma once
/// A view's progress and its clock's decisions as the bytes that its store keeps. Little-endian;
/// what a newer version wrote is not read.
#include <span>
#include <vector>

#include "analytics/view_store.h"
#include "base/error.h"
#include "base/types.h"

namespace millrace {

std::vector<std::byte> encode_progress(const view_progress& progress);
result<view_progress> decode_progress(byte_view bytes);

std::vector<std::byte> encode_decisions(std::span<const clock_decision> decisions);
result<std::vector<clock_decision>> decode_decisions(byte_view bytes);

}  // namespace millrace
