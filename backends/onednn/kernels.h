// oneDNN primitives as steps of an executable.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "backends/executable/step_kernel.h"
#include "ir/graph.h"
#include "ir/tensor.h"

namespace refrain::onednn {

// Of the library that runs, such as 2.6.3.
std::string version();

// What kernels of one executable that never run at the same time may have in common: constants that
// were packed already (an unrolled graph multiplies by the same weights at every step) and scratch
// memory. It is used while kernels are made, and knows constants by their address: they must live
// as long as it. Kernels keep alive what they need of it.
class SharedBuffers {
 public:
  SharedBuffers();
  ~SharedBuffers();
  SharedBuffers(const SharedBuffers&) = delete;
  SharedBuffers& operator=(const SharedBuffers&) = delete;

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

struct KernelOptions {
  int threads = 1;                   // of OpenMP; 1 stays on the thread that calls run()
  SharedBuffers* buffers = nullptr;  // optional
  // Of conv: operand 0 and the result lie in memory with their channels last, whatever their types
  // say of the order.
  bool channels_last = false;
};

// A kernel for a node whose operands and results have constant shapes, or null if oneDNN has none
// that is right for it: matmul (f32; weights that are constants are packed once), conv,
// conv_transpose, max_pool with one result, average_pool. `constants` holds for each operand its
// tensor if it is a constant, else null; kernels read those that they could not pack at each run.
// Primitives and their buffers are made here, never in a run; but oneDNN 2.6 itself takes a few
// small pieces from the heap for each primitive that it runs, and gives them back. A kernel sets
// OpenMP's number of threads for the calling thread only while it runs. A NaN under a window of
// max_pool may be ignored, which ONNX leaves open.
std::unique_ptr<StepKernel> make_kernel(const Node& node, std::span<const Tensor* const> constants,
                                        const KernelOptions& options = {});

// oneDNN's own recurrent primitives, for a layer that is exactly such a cell; f32, forward
// inference.
enum class Cell { vanilla_tanh, vanilla_relu, lstm, gru, lbr_gru };
int64_t gate_count(Cell cell);

struct RecurrentShape {
  Cell cell;
  int64_t steps, batch, input, hidden;
  bool backward = false;
};

// Weights as ONNX lays them out for one direction: W [g*H, I], R [g*H, H], bias [2*g*H] (Wb then
// Rb; null: zero), in ONNX's gate order (LSTM iofc, GRU zrh). Reordered into oneDNN's order and
// packed when the object is made. Not thread-safe.
class RecurrentPrimitive {
 public:
  // All extents at least 1. Throws Error if oneDNN refuses them.
  RecurrentPrimitive(const RecurrentShape& shape, const float* w, const float* r, const float* bias,
                     int threads = 1);
  ~RecurrentPrimitive();
  // x [T, B, I]; h0, c0 [B, H] (c0 for the LSTM only, otherwise null); y [T, B, H]; h, c [B, H] (c
  // like c0). Nothing may overlap.
  void run(const float* x, const float* h0, const float* c0, float* y, float* h, float* c);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace refrain::onednn
