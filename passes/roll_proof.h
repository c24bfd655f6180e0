// Internal to `passes`: the proof that a scan computes what an unrolled graph did.
#pragma once

#include <string>

#include "passes/pass.h"
#include "passes/recurrence.h"
#include "passes/rolled_scan.h"

namespace refrain::passes::internal {

// Makes the scan in a graph of its own, unrolls it and compares every value that the scan gives
// with the one that it takes the place of: they must be the same ops on the same operands all the
// way to the values outside. Returns an empty string, or what differs.
std::string prove(const Recurrence& recurrence, const RolledScan& scan, const PassContext& context);

}  // namespace refrain::passes::internal
