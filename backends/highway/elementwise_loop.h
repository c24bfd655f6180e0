// Element-wise recurrences: loops over time whose state is diagonal, run tile by tile.
//
// The space of a loop is outer axes x rows x lanes. At each of its places, at each time t,
//
//   registers = inputs[t], states            (those that don't vary with an axis are the same
//   there) code                                     (element-wise, or sums over the rows)
//   outputs[t] = registers, states = registers
//
// Nothing else crosses from one place to another, so each tile, a block of lanes by some rows, by
// all rows where the code sums over them, runs all of its steps on its own. Within a tile what does
// not wait for the step before runs for a chunk of steps at a time, an instruction after the other;
// what a recurrence consists of runs step by step, with its state in registers where it is a known
// one (such as a * h + b).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/highway/program.h"

namespace refrain::highway {

inline constexpr size_t kMaxOuterAxes = 6;

// How a tensor lies over the space: element (t, o..., r, l) at base[buffer] + offset + t *
// time_stride + sum of o * outer_strides + r * row_stride + l * lane_stride, in elements. A stride
// is 0 for an axis that the tensor does not vary with.
struct SpacePlace {
  size_t buffer = 0;
  int64_t offset = 0, time_stride = 0;
  std::vector<int64_t> outer_strides;  // as many as outer axes
  int64_t row_stride = 0, lane_stride = 0;
};

struct ElementwiseLoopSpec {
  struct State {
    SpacePlace initial, final;  // time_stride 0; different buffers
    size_t next = 0;            // the register that holds it after the step
  };
  struct Code {
    Instruction instruction;
    bool sums_rows = false;  // result = sum of operands[0] over the rows; the operation is ignored
  };
  struct Output {
    size_t value = 0;  // a register
    SpacePlace place;  // varies with no axis of the space that its value does not vary with, or
                       // gets the same number along it
  };

  std::vector<int64_t> outer;
  int64_t rows = 1, lanes = 1;
  std::vector<SpacePlace> inputs;  // registers 0 .. I-1
  std::vector<State> states;       // registers I .. I+S-1: the state before the step
  std::vector<Code> code;
  std::vector<Output> outputs;
  int lengths_axis = -1;  // the outer axis of the sequences, if they have lengths
};

// A loop, made once; immutable.
class ElementwiseLoop {
 public:
  // Throws Error if the spec is not consistent, or its tiles take too much memory.
  explicit ElementwiseLoop(const ElementwiseLoopSpec& spec);
  ~ElementwiseLoop();
  ElementwiseLoop(const ElementwiseLoop&) = delete;
  ElementwiseLoop& operator=(const ElementwiseLoop&) = delete;

  struct Run {
    float* const* buffers;  // base pointers of the places' buffers
    int64_t steps = 1;
    int64_t tile_begin = 0, tile_end = 1;  // of tiles()
    // The states go on from where they ended (`final`), not from `initial`.
    bool continued = false;
    // For sequences of different lengths, by index along lengths_axis: only times t < length take
    // part; beyond, states stay and outputs are zero. Null: all take part.
    const int64_t* lengths = nullptr;
    bool backward = false;  // t goes from steps-1 to 0 (from length-1)
    float* scratch;         // scratch_bytes() of this thread's own, aligned to 64 bytes
  };

  // No allocation, no lock, no system call. Any number of threads may run one loop at once, on
  // different tiles; how tiles are split makes no difference to any bit.
  void run(const Run& run) const;

  int64_t tiles() const;
  int64_t scratch_bytes() const;
  // Instructions times places of a step of a tile, roughly: to tell what is worth a thread.
  int64_t tile_cost() const;
  // For people: target, space, tile, instructions.
  std::string describe() const;

 private:
  struct Prepared;
  std::unique_ptr<Prepared> prepared_;
};

}  // namespace refrain::highway
