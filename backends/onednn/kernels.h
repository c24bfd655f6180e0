// oneDNN primitives as steps of an executable.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "backends/executable/step_kernel.h"
#include "ir/graph.h"
#include "ir/tensor.h"

namespace refrain::onednn {

// A kernel for a node whose operands and results have constant shapes, or null if oneDNN has none
// that is right for it: matmul (f32; weights that are constants are packed once), conv,
// conv_transpose, max_pool with one result, average_pool. `constants` holds for each operand its
// tensor if it is a constant, else null. Primitives are made here, never in a run; each runs on one
// thread of OpenMP, that of the caller.
std::unique_ptr<StepKernel> make_kernel(const Node& node, std::span<const Tensor* const> constants);

// oneDNN's own recurrent primitives, for a layer that is exactly such a cell; f32, forward
// inference.
enum class Cell { vanilla_tanh, vanilla_relu, lstm, gru, lbr_gru };

struct RecurrentShape {
  Cell cell;
  int64_t steps, batch, input, hidden;
  bool backward = false;
};

// Weights as ONNX lays them out for one direction: W [g*H, I], R [g*H, H], bias [2*g*H] (Wb then
// Rb), in ONNX's gate order (LSTM iofc, GRU zrh). Reordered into oneDNN's order and packed when the
// object is made.
class RecurrentPrimitive {
 public:
  RecurrentPrimitive(const RecurrentShape& shape, const float* w, const float* r,
                     const float* bias);
  ~RecurrentPrimitive();
  // x [T, B, I]; h0, c0 [B, H] (c0 for the LSTM only, otherwise null); y [T, B, H]; h, c [B, H].
  void run(const float* x, const float* h0, const float* c0, float* y, float* h, float* c);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace refrain::onednn
