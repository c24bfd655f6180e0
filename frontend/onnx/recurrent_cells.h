// One time step of ONNX's RNN, LSTM and GRU in primitive ops.
//
// Equations: ONNX operator specification, RNN, LSTM and GRU (versions 7, 14, 22, which agree on
// them), with x_t [N, I], h_t and C_t [N, H]; `*` between states and gates is element-wise, W' is W
// transposed:
//
//   RNN   h_t = f(x_t W' + h_{t-1} R' + Wb + Rb)
//
//   LSTM  i_t = f(x_t Wi' + h_{t-1} Ri' + Pi * C_{t-1} + Wbi + Rbi)
//         f_t = f(x_t Wf' + h_{t-1} Rf' + Pf * C_{t-1} + Wbf + Rbf)     or 1 - i_t with
//         input_forget c_t = g(x_t Wc' + h_{t-1} Rc' + Wbc + Rbc) C_t = f_t * C_{t-1} + i_t * c_t
//         o_t = f(x_t Wo' + h_{t-1} Ro' + Po * C_t + Wbo + Rbo)
//         h_t = o_t * h(C_t)
//
//   GRU   z_t = f(x_t Wz' + h_{t-1} Rz' + Wbz + Rbz)
//         r_t = f(x_t Wr' + h_{t-1} Rr' + Wbr + Rbr)
//         n_t = g(x_t Wh' + (r_t * h_{t-1}) Rh' + Rbh + Wbh)            linear_before_reset = 0
//         n_t = g(x_t Wh' + r_t * (h_{t-1} Rh' + Rbh) + Wbh)            linear_before_reset != 0
//         h_t = (1 - z_t) * n_t + z_t * h_{t-1}
//
// clip bounds "the input of activations" (specification), that of h(C_t) included: C_t itself stays
// as it is. ONNX Runtime leaves C_t alone, which its issue 27224 reports as a bug.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "frontend/onnx/recurrent_activations.h"
#include "ir/builder.h"

namespace refrain::onnx_import {

enum class CellKind : uint8_t { rnn, lstm, gru };

struct Cell {
  CellKind kind = CellKind::rnn;
  int64_t hidden = 0;                   // H
  std::vector<Activation> activations;  // f; f, g, h of an LSTM; f, g of a GRU
  std::optional<double> clip;
  bool input_forget = false;         // LSTM
  bool linear_before_reset = false;  // GRU

  int64_t gates() const { return kind == CellKind::rnn ? 1 : kind == CellKind::lstm ? 4 : 3; }
  size_t states() const { return kind == CellKind::lstm ? 2 : 1; }  // h; h and C
};

// The weights of one direction as ONNX lays them out, gates in the order iofc (LSTM), zrh (GRU).
struct CellWeights {
  Value* w = nullptr;  // [gates * H, I]
  Value* r = nullptr;  // [gates * H, H]
  Value* b = nullptr;  // [2 * gates * H], Wb and Rb; null: 0
  Value* p = nullptr;  // [3 * H], order iof; null: 0
};

// The weights as a step wants them. Those that a cell has no use for are null.
enum StepWeight : size_t {
  kInputWeights,      // [I, gates * H]
  kRecurrentWeights,  // [H, gates * H]; [H, 2 * H] of z and r where the next one is there
  kHiddenWeights,     // [H, H], Rh' of a GRU that resets before the product
  kBias,              // [gates * H], all of it that adds to x_t W'
  kHiddenBias,        // [H], Rbh of a GRU that resets after the product
  kInputPeephole,     // [H]
  kOutputPeephole,    // [H]
  kForgetPeephole,    // [H]
  kStepWeightCount,
};
using StepWeights = std::array<Value*, kStepWeightCount>;
std::string_view step_weight_name(size_t i);

// Adds what transforms the weights once, before the loop.
StepWeights prepare_weights(Builder& builder, const Cell& cell, const CellWeights& weights);

// Adds one step: x [N, I], states h (and C) [N, H]. Returns the next states.
std::vector<Value*> add_step(Builder& builder, const Cell& cell, const StepWeights& weights,
                             Value* x, std::span<Value* const> states);

}  // namespace refrain::onnx_import
