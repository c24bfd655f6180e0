// The loop kernel: recurrent products with pointwise epilogues, over time.
//
// A loop is a list of stages that run one after the other in each step of time. A stage multiplies
// rows of its left buffers with packed weights and runs a program on the gates of each unit while
// they are in registers:
//
//   for each row b, unit n:   gate[g] = sum over products p, over k of left_p[b, k] * W_p[k, g, n]
//                             inputs  = gate[0], ..., gate[G-1], streams...
//                             outputs = program(inputs)            to the stage's output streams
//
// With one step of time, any number of rows and no state it is a matrix product with an epilogue.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/highway/block_share.h"
#include "backends/highway/program.h"

namespace refrain {
class WeightStore;
}

namespace refrain::highway {

// What one gate of a product multiplies by: element (k, n) of [depth, units] is
// data[k * row_stride + n] (the stride may be anything).
struct WeightTerm {
  size_t gate;
  const float* data;
  int64_t row_stride;
};

// Weights of all gates from one matrix: those of gate g begin at data + g * gate_stride.
std::vector<WeightTerm> weight_terms(int64_t gates, const float* data, int64_t row_stride,
                                     int64_t gate_stride);

// A matrix of rows that changes with time: element (t, b, j) lies at
// base[buffer] + t * time_stride + b * row_stride + offset + j, in elements.
//
// A state has two copies, `buffer` with time_stride 0: the loop reads the one and writes the other,
// and they change places after each step (see RecurrentLoop::states).
struct Stream {
  enum class Kind : uint8_t {
    rows,   // [T, B, ...]: time_stride may be 0 (the same at each step) or negative (backward in
            // time)
    units,  // [N]: the same for all rows and steps: base[buffer] + offset + n
    state,  // read: the state before the step; written: the state after it
  };
  Kind kind = Kind::rows;
  size_t buffer = 0;  // index into the base pointers of a run, or for a state its index
  int64_t time_stride = 0, row_stride = 0, offset = 0;
};

struct Product {
  Stream
      left;  // rows or state; `depth` elements a row. A stage may read what an earlier one wrote.
  int64_t depth = 0;
  // Those of one gate are added up; a gate without any is no part of this product.
  std::vector<WeightTerm> weights;
  // Not empty: the weights are no constants themselves but computed from what these numbers say.
  // Products of equal origins have equal weights, so that a store may share them.
  std::vector<int64_t> origin = {};
};

struct Stage {
  int64_t units = 0;              // N
  int64_t gates = 0;              // G; 0: no product
  std::vector<Product> products;  // summed into the same gates
  Program program;                // inputs: the gates, then `inputs`
  std::vector<Stream> inputs;
  std::vector<Stream> outputs;  // as many as the program's
};

// Whether a stage that passes the checks of RecurrentLoop would have to multiply by zeros for gates
// that are no part of some product.
bool multiplies_zeros(const Stage& stage);

// A loop, made once; immutable. Packs weights for the best target of this machine.
struct LoopSpec {
  std::vector<Stage> stages;
  std::vector<int64_t> state_sizes;  // elements a row of each state
  // How many rows most runs will have. A run of any other number is as right, but its tiles may not
  // suit it; and loops made for different numbers may differ in the last bits of results.
  int64_t rows = 1;
};

// Throws Error if the spec is not consistent or passes a limit of the kernel.
void check(const LoopSpec& spec);

// What loops that are made now run on.
struct LoopTarget {
  const char* name;  // Highway's
  size_t lanes;      // f32 elements of a vector
};
LoopTarget loop_target();

class RecurrentLoop {
 public:
  // Throws Error as check() does. Copies (packs) the weights, or shares those of the
  // store, if it is not null; the sources may go then, and so may the store.
  explicit RecurrentLoop(const LoopSpec& spec, WeightStore* store = nullptr);
  ~RecurrentLoop();
  RecurrentLoop(const RecurrentLoop&) = delete;
  RecurrentLoop& operator=(const RecurrentLoop&) = delete;

  // What one run works on. Nothing is checked.
  struct Run {
    float* const* buffers;  // base pointers of the streams' buffers
    // For each state, rows [row_begin, row_end) x size, dense with stride size: `current` holds the
    // initial value and afterwards the final one; `next` is scratch. Both must exist for each row.
    float* const* state_current;
    float* const* state_next;
    int64_t steps = 1;  // T
    int64_t row_begin = 0, row_end = 1;
    // For sequences of different lengths: row b takes part in time index t (t as used by the
    // streams' time_stride; the loop goes from 0 to steps-1 if !backward, else downward) only if t
    // < lengths[b]; otherwise its states stay and its output streams of kind rows get zeros. Null:
    // all take part. Cost is proportional to the sum of the lengths.
    const int64_t* lengths = nullptr;
    bool backward = false;
    // One step without lengths needs no second copy: with these (rows as in state_current, which
    // they must not overlap) it reads the initial values here and writes the final ones to
    // state_current; state_next isn't used.
    const float* const* state_initial = nullptr;
  };

  // Rows are independent of each other: any split of the rows over threads gives the same bits. No
  // allocation, no lock, no system call. Any number of threads may run one loop at once.
  void run(const Run& run) const;

  // One worker's part of a run of at most kMostSharedRows rows and BlockShare::kMostPhases steps
  // times stages, and the only kind of part that the run has. Each worker calls it with the same
  // run and share, once begin() of that was called; the run is over when all have returned, and
  // the first to return may be alone. The same bits as run(), whoever computes what.
  static constexpr int64_t kMostSharedRows = 96;
  void run_shared(const Run& run, BlockShare& share) const;
  // Unit blocks of each stage, which a BlockShare is made of.
  std::vector<int64_t> blocks() const;

  // For people: target, tile, packed bytes, and the epilogue's name if it is a known one.
  std::string describe() const;
  int64_t packed_bytes() const;

 private:
  struct Packed;
  std::unique_ptr<Packed> packed_;
};

}  // namespace refrain::highway
