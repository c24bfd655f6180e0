// Programs brought to a normal form, and known programs found in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "backends/highway/known_programs.h"
#include "backends/highway/program.h"

namespace refrain::highway {

// The same program with what is only added to a gate taken out of it, so that a product can start
// from it: initials[g] lists the inputs (not gates) to be added to gate g beforehand. Each value is
// computed once, values without a use not at all, and a product that only an addition reads is
// fused with it. `program` must have passed check(), with inputs 0 .. gates-1 as gates.
struct NormalProgram {
  Program program;  // the same inputs and number of outputs
  std::vector<std::vector<uint8_t>> initials;
};
NormalProgram normalize(const Program& program, size_t gates);

// A program as an instance of a known one: `inputs[i]` is the program's input that stands for input
// i of the known one (gates for gates, streams for streams), `outputs[o]` the known output that the
// program's output o stores.
struct Match {
  size_t known;  // index into kKnownPrograms
  std::vector<uint8_t> inputs, outputs;
};
std::optional<Match> match_known(const Program& program, size_t gates);
// The same for one program, which need not be in kKnownPrograms; Match::known is 0.
std::optional<Match> match_program(const KnownProgram& known, const Program& program, size_t gates);

}  // namespace refrain::highway
