// Internal to executables: scans as steps.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backends/executable/lowering.h"
#include "ir/control.h"

namespace refrain::executable {

// Number of steps of a scan, if it is known before the run.
std::optional<int64_t> scan_steps(const Node& node);

// Why a scan of static shapes can't be prepared; empty if it can.
std::string scan_obstacle(const Node& node, int64_t max_unbounded_steps);

// Lowers a scan: to the loop kernel if its body has the form (see loop_form.h), otherwise to a step
// that runs the body's own steps. Its operands have places.
void lower_scan(Lowering& lowering, const Node& node, Steps& steps);

}  // namespace refrain::executable
