// The model that tracing makes of a hand-written LSTM of eight matrix products.
#pragma once

#include <cstdint>

#include "frontend/onnx/proto.h"

namespace refrain {

// About this many nodes: 25 a step, which are a Gather of the time step from the input x [T, 1, 4],
// eight MatMul, adds and activations, and an Unsqueeze of the result, which a Concat over all steps
// gathers in y [T, 1, 4]. Weights are shared by all steps. States start as inputs.
onnx::ModelProto traced_lstm(int64_t nodes);

}  // namespace refrain
