// Internal to `highway`: how a tile of an element-wise loop runs.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "backends/highway/elementwise_loop.h"
#include "backends/highway/program.h"

namespace refrain::highway {

// What an operation of a plan computes of its operands a, b, c, d, before `Post`.
enum class Form : uint8_t {
  copy,                  // a
  add,                   // a + b
  sub,                   // a - b
  mul,                   // a * b
  multiply_add,          // a * b + c
  multiply_add_product,  // a * b + c * d
  sum,                   // of a over the rows
  sum_product,           // of a * b over the rows
  general,               // by `instruction`
  decay,  // h = a' * h + d * e and, with `sums`, the sum of h * f over the rows, where
          // the operands are a, b, h, d, e, f and a' is exp(a * b), or a without exp
};
inline constexpr size_t kMapForms = 6;  // those before `sum`

enum class Post : uint8_t { none, exp, relu, tanh, sigmoid };
inline constexpr size_t kPosts = 5;

// One operand of a form may be the state that the operation's own result is: a known recurrence.
enum class Recurrence : uint8_t {
  none,
  add,                   // a + h
  multiply_add,          // a * h + c
  accumulate,            // a * b + h
  multiply_add_product,  // a * h + c * d
};

inline constexpr size_t kMostOperands = 6;

struct PlannedOperation {
  Form form = Form::copy;
  Post post = Post::none;
  Recurrence recurrence = Recurrence::none;
  Instruction instruction{};  // of `general`
  size_t operands[kMostOperands] = {};
  size_t result = 0;
  bool exponential = false, sums = false;  // of `decay`
  size_t sum = 0;                          // the register of the sum
};

size_t operand_count(const PlannedOperation& operation);

// Consecutive operations that run for a whole chunk of steps before the next ones. Those of a
// serial group run step by step, all of them in each step.
struct OperationGroup {
  size_t begin = 0, end = 0;
  bool serial = false;
};

// Where a register lies in a tile's scratch, in floats: element (t, r, l) at offset + t * step + r
// * row + l. What does not vary with the lanes is one vector.
struct RegisterPlace {
  int64_t offset = -1;  // none: an input that is only read in place
  int64_t step = 0, row = 0;
  bool one_vector = false;
};

struct ElementwisePlan {
  ElementwiseLoopSpec spec;
  int64_t target_lanes = 1;
  int64_t vectors = 1, tile_rows = 1, chunk = 1;  // of a tile
  int64_t block = 1;                              // steps of all tiles before the next ones
  int64_t outer_count = 1, row_tiles = 1, lane_tiles = 1;
  int64_t spill = 0;  // offset of room for three operands of general operations; of a chunk each
  int64_t scratch_floats = 0;
  std::vector<RegisterPlace> registers;
  std::vector<std::pair<size_t, float>> constants;  // registers that hold a number
  std::vector<PlannedOperation> operations;
  std::vector<OperationGroup> groups;

  int64_t tiles() const { return outer_count * row_tiles * lane_tiles; }
  int64_t tile_lanes() const { return vectors * target_lanes; }
};

// Throws Error as ElementwiseLoop's constructor does.
ElementwisePlan plan_elementwise(const ElementwiseLoopSpec& spec, int64_t target_lanes);

}  // namespace refrain::highway
