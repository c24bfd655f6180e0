// RNN, LSTM and GRU by the ONNX operator specification, one number at a time: what importers and
// kernels of recurrent layers are checked against. It shares no code with them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace refrain::testing {

// One layer with its data. Arrays are row-major in ONNX's shapes; D is the number of directions, g
// the number of gates (RNN 1, LSTM 4, GRU 3). An empty optional array is absent.
struct RecurrentLayer {
  struct Function {
    std::string name;  // as ONNX writes it: Relu, Tanh, ...
    double alpha = 0, beta = 0;
  };

  std::string op;  // RNN, LSTM or GRU
  int64_t steps = 1, batch = 1, inputs = 1, hidden = 1;
  std::vector<bool> reverse = {false};  // one a direction
  bool batch_first = false;             // layout = 1
  std::vector<Function> activations;    // of all directions, in ONNX's order
  double clip = 0;                      // 0: none
  bool input_forget = false, linear_before_reset = false;

  std::vector<double> x;         // [T, N, I]; [N, T, I] if batch_first
  std::vector<double> w, r;      // [D, gH, I], [D, gH, H]
  std::vector<double> b, p;      // optional [D, 2gH], [D, 3H]
  std::vector<int64_t> lengths;  // optional [N]
  std::vector<double> h0, c0;    // optional [D, N, H]; [N, D, H] if batch_first

  int64_t directions() const { return static_cast<int64_t>(reverse.size()); }
  int64_t gates() const { return op == "RNN" ? 1 : op == "LSTM" ? 4 : 3; }
};

// [T, D, N, H] and [D, N, H]; [N, T, D, H] and [N, D, H] if batch_first. c is empty but for LSTM.
struct RecurrentResult {
  std::vector<double> y, h, c;
};

RecurrentResult evaluate(const RecurrentLayer& layer);

}  // namespace refrain::testing
