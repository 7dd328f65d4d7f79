#pragma once
/// The table of actions.
#include <cstdint>
#include <string_view>

#include "api/kinesis_service.h"
#include "api/kinesis_shapes.h"

namespace millrace {

enum class action_kind : std::uint8_t {
  call,        ///< handler, by a worker
  put_record,  ///< by the door itself
  put_records,
  subscribe,
  unsupported,  ///< known, and answered with an error that says so
};

struct kinesis_action {
  std::string_view name;
  action_kind kind = action_kind::unsupported;
  action_handler handler = nullptr;
};

/// Null when there is no such action.
const kinesis_action* find_action(std::string_view name);

/// A small number for each action of the table, from 1, and back: "none" for 0.
std::uint8_t label_of(const kinesis_action& action);
std::string_view action_name_of(std::uint8_t label);

}  // namespace millrace
