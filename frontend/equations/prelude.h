// The built-in cells, written in the language. Names and gate order are those of PyTorch's RNN,
// LSTM and GRU (https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html).
#pragma once

namespace refrain::equations {

inline constexpr const char* kPrelude = R"(
cell rnn(x, h[H]):
  param (W_ih) = "weight_ih{}"
  param (W_hh) = "weight_hh{}"
  param (b_ih) = "bias_ih{}"
  param (b_hh) = "bias_hh{}"
  h = tanh(W_ih·x + b_ih + W_hh·h + b_hh)

cell rnn_relu(x, h[H]):
  param (W_ih) = "weight_ih{}"
  param (W_hh) = "weight_hh{}"
  param (b_ih) = "bias_ih{}"
  param (b_hh) = "bias_hh{}"
  h = relu(W_ih·x + b_ih + W_hh·h + b_hh)

cell lstm(x, h[H], c[H]):
  param (W_ii, W_if, W_ig, W_io) = "weight_ih{}"
  param (W_hi, W_hf, W_hg, W_ho) = "weight_hh{}"
  param (b_ii, b_if, b_ig, b_io) = "bias_ih{}"
  param (b_hi, b_hf, b_hg, b_ho) = "bias_hh{}"
  i = sigmoid(W_ii·x + b_ii + W_hi·h + b_hi)
  f = sigmoid(W_if·x + b_if + W_hf·h + b_hf)
  g = tanh(W_ig·x + b_ig + W_hg·h + b_hg)
  o = sigmoid(W_io·x + b_io + W_ho·h + b_ho)
  c = f*c + i*g
  h = o*tanh(c)

cell gru(x, h[H]):
  param (W_ir, W_iz, W_in) = "weight_ih{}"
  param (W_hr, W_hz, W_hn) = "weight_hh{}"
  param (b_ir, b_iz, b_in) = "bias_ih{}"
  param (b_hr, b_hz, b_hn) = "bias_hh{}"
  r = sigmoid(W_ir·x + b_ir + W_hr·h + b_hr)
  z = sigmoid(W_iz·x + b_iz + W_hz·h + b_hz)
  n = tanh(W_in·x + b_in + r*(W_hn·h + b_hn))
  h = (1 - z)*n + z*h
)";

}  // namespace refrain::equations
