// Cells as a user writes them, each gate with products of its own, in an ONNX Scan over time.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "frontend/onnx/proto.h"

namespace refrain {

// The names that scan_cell knows:
//   LSTM8     the LSTM of the operator
//   SWAPPED   the same with tanh for sigmoid and sigmoid for tanh
//   PEEPHOLE  the gates of the LSTM also see c, each element its own
//   COUPLED   an LSTM that forgets what it does not take in, f = 1 - i
//   MGU       the minimal gated unit: f = sigmoid(x W_f + h U_f + b_f),
//             g = tanh(x W_g + (f h) U_g + b_g), h' = (1 - f) h + f g
std::span<const std::string_view> scan_cell_names();

// X [T, B, hidden] in, Y [T, B, hidden] out, T and B free; the states start from zeros.
onnx::ModelProto scan_cell(std::string_view name, int64_t hidden);

}  // namespace refrain
