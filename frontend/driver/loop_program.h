// A loop whose end depends on data, with a prepared body.
#pragma once

#include <memory>

#include "frontend/driver/program.h"

namespace refrain {

// The program of one `loop` node: its inputs are the node's operands, its outputs the results. The
// body is prepared and bound once a run; an iteration costs its steps and copies of the states and
// of the slices that are stacked, whose memory grows as they come. Null if the body can't be
// prepared, as when a state changes its shape. Throws Error as PreparedGraph does.
std::unique_ptr<Program> make_loop(const Node& node, const ExecutableOptions& options);

}  // namespace refrain
