// Internal to executables: loops that are exactly a cell that oneDNN has a primitive for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "backends/executable/loop_form.h"
#include "backends/executable/lowering.h"
#include "backends/onednn/kernels.h"

namespace refrain::executable {

// A scan as a recurrent layer of one direction, with its weights where the graph has them.
struct RecurrentCell {
  // A [depth, H] matrix: element (k, n) is data[k * row_stride + n].
  struct Matrix {
    const float* data = nullptr;
    int64_t row_stride = 0;
  };
  struct Gate {
    Matrix input, recurrent;
    // Rows [H] that are added up, to the input's product, to the recurrent one.
    std::vector<const float*> input_bias, recurrent_bias;
  };

  onednn::RecurrentShape shape;
  const Value* x = nullptr;  // rows [T * B, I]
  const Value* y = nullptr;  // the states of all steps, rows [T * B, H]; null: nobody reads them
  size_t h = 0, c = 0;       // the scan's states; c of the LSTM only
  std::vector<Gate> gates;   // in ONNX's order
};

// Recognises an LSTM, a GRU that resets before or after its product, or an RNN of tanh or relu,
// each with ONNX's default activations and without peepholes, of at least two steps and without
// lengths, whose weights and biases are constants and whose product with x is a feed (see
// loop_step.h) or one of the loop's own. Only while feeds are not taken; what the result points to
// lives in the graph and in `form`.
std::optional<RecurrentCell> find_recurrent_cell(const Lowering& lowering, const LoopForm& form);

// The layouts of onednn::RecurrentPrimitive.
struct OnnxWeights {
  std::vector<float> w, r, bias;
};
OnnxWeights onnx_weights(const RecurrentCell& cell);

}  // namespace refrain::executable
