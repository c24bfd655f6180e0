// Equations and layouts: oneDNN 2.6, "RNN" primitive; ONNX operator specification, RNN, LSTM, GRU.
#include <algorithm>
#include <vector>

#include "backends/onednn/primitive.h"
#include "ir/error.h"

namespace refrain::onednn {
namespace {

using dnnl::memory;
using dnnl::prop_kind;
using tag = memory::format_tag;

memory::desc f32(const memory::dims& dims, tag layout) {
  return {dims, memory::data_type::f32, layout};
}

// ONNX's number of each of oneDNN's gates: LSTM i f c o out of i o f c; the others agree.
std::vector<int64_t> gate_order(Cell cell) {
  switch (cell) {
    case Cell::vanilla_tanh:
    case Cell::vanilla_relu:
      return {0};
    case Cell::lstm:
      return {0, 2, 3, 1};
    case Cell::gru:
    case Cell::lbr_gru:
      return {0, 1, 2};
  }
  return {};
}

// [g*H, in] to oneDNN's `ldigo`: [in, g, H].
void transpose_gates(const std::vector<int64_t>& gates, int64_t hidden, int64_t in,
                     const float* from, float* to) {
  constexpr int64_t kBlock = 16;  // rows of `to` written side by side: what a cache line holds
  const auto g = static_cast<int64_t>(gates.size());
  for (int64_t begin = 0; begin < in; begin += kBlock) {
    const int64_t end = std::min(in, begin + kBlock);
    for (int64_t k = 0; k < g; ++k) {
      const float* gate = from + gates[static_cast<size_t>(k)] * hidden * in;
      for (int64_t o = 0; o < hidden; ++o) {
        for (int64_t i = begin; i < end; ++i) to[(i * g + k) * hidden + o] = gate[o * in + i];
      }
    }
  }
}

}  // namespace

int64_t gate_count(Cell cell) { return static_cast<int64_t>(gate_order(cell).size()); }

struct RecurrentPrimitive::State {
  State(const RecurrentShape& shape, const float* w, const float* r, const float* bias,
        const KernelOptions& options)
      : kernel(options), lstm(shape.cell == Cell::lstm) {
    const std::vector<int64_t> gates = gate_order(shape.cell);
    const auto g = static_cast<int64_t>(gates.size());
    const int64_t t = shape.steps, b = shape.batch, in = shape.input, h = shape.hidden;
    const int64_t biases = shape.cell == Cell::lbr_gru ? 4 : g;
    const memory::desc x = f32({t, b, in}, tag::tnc), y = f32({t, b, h}, tag::tnc);
    const memory::desc state = f32({1, 1, b, h}, tag::ldnc);
    const memory::desc any_w = any_layout({1, 1, in, g, h}), any_r = any_layout({1, 1, h, g, h});
    const memory::desc bias_desc = f32({1, 1, biases, h}, tag::ldgo);
    const prop_kind kind = prop_kind::forward_inference;
    const dnnl::rnn_direction direction = shape.backward
                                              ? dnnl::rnn_direction::unidirectional_right2left
                                              : dnnl::rnn_direction::unidirectional_left2right;
    const dnnl::algorithm activation = shape.cell == Cell::vanilla_relu
                                           ? dnnl::algorithm::eltwise_relu
                                           : dnnl::algorithm::eltwise_tanh;

    const auto add = [&]<typename Primitive>(const typename Primitive::desc& desc) {
      const typename Primitive::primitive_desc descriptor(desc, user_scratchpad(), cpu_engine());
      std::vector<std::pair<int, memory>> arguments = {
          {DNNL_ARG_SRC_LAYER, kernel.operand(0, x)},
          {DNNL_ARG_SRC_ITER, kernel.operand(1, state)},
          {DNNL_ARG_DST_LAYER, kernel.result(0, y)},
          {DNNL_ARG_DST_ITER, kernel.result(1, state)},
          {DNNL_ARG_WEIGHTS_LAYER, packed(f32({1, 1, in, g, h}, tag::ldigo),
                                          descriptor.weights_layer_desc(), gates, h, in, w)},
          {DNNL_ARG_WEIGHTS_ITER, packed(f32({1, 1, h, g, h}, tag::ldigo),
                                         descriptor.weights_iter_desc(), gates, h, h, r)},
          {DNNL_ARG_BIAS, joined_bias(bias_desc, shape.cell, gates, h, bias)}};
      if (lstm) {
        arguments.emplace_back(DNNL_ARG_SRC_ITER_C, kernel.operand(2, state));
        arguments.emplace_back(DNNL_ARG_DST_ITER_C, kernel.result(2, state));
      }
      kernel.add(Primitive(descriptor), std::move(arguments), descriptor.scratchpad_desc());
    };
    switch (shape.cell) {
      case Cell::vanilla_tanh:
      case Cell::vanilla_relu:
        add.operator()<dnnl::vanilla_rnn_forward>(
            {kind, activation, direction, x, state, any_w, any_r, bias_desc, y, state});
        break;
      case Cell::lstm:
        add.operator()<dnnl::lstm_forward>(
            {kind, direction, x, state, state, any_w, any_r, bias_desc, y, state, state});
        break;
      case Cell::gru:
        add.operator()<dnnl::gru_forward>(
            {kind, direction, x, state, any_w, any_r, bias_desc, y, state});
        break;
      case Cell::lbr_gru:
        add.operator()<dnnl::lbr_gru_forward>(
            {kind, direction, x, state, any_w, any_r, bias_desc, y, state});
        break;
    }
    kernel.finish();
    kernel.set_description("its recurrent primitive");
  }

  static memory packed(const memory::desc& plain, const memory::desc& wanted,
                       const std::vector<int64_t>& gates, int64_t hidden, int64_t in,
                       const float* weights) {
    memory from(plain, cpu_engine());
    transpose_gates(gates, hidden, in, weights, static_cast<float*>(from.get_data_handle()));
    if (plain == wanted) return from;
    memory to(wanted, cpu_engine());
    dnnl::stream stream(cpu_engine());
    dnnl::reorder(from, to).execute(stream, from, to);
    stream.wait();
    return to;
  }

  // Wb + Rb; a GRU that resets after the product has Rbh on its own, as a fourth row.
  static memory joined_bias(const memory::desc& desc, Cell cell, const std::vector<int64_t>& gates,
                            int64_t hidden, const float* bias) {
    memory result(desc, cpu_engine());
    auto* to = static_cast<float*>(result.get_data_handle());
    std::fill_n(to, desc.get_size() / sizeof(float), 0.0f);
    if (!bias) return result;
    const auto g = static_cast<int64_t>(gates.size());
    for (int64_t k = 0; k < g; ++k) {
      const bool apart = cell == Cell::lbr_gru && k == 2;
      const float* wb = bias + gates[static_cast<size_t>(k)] * hidden;
      const float* rb = wb + g * hidden;
      for (int64_t o = 0; o < hidden; ++o) {
        to[k * hidden + o] = apart ? wb[o] : wb[o] + rb[o];
        if (apart) to[3 * hidden + o] = rb[o];
      }
    }
    return result;
  }

  PrimitiveKernel kernel;
  bool lstm;
};

RecurrentPrimitive::RecurrentPrimitive(const RecurrentShape& shape, const float* w, const float* r,
                                       const float* bias, int threads) {
  const ThreadScope scope(threads);
  KernelOptions options;
  options.threads = threads;
  try {
    state_ = std::make_unique<State>(shape, w, r, bias, options);
  } catch (const dnnl::error& error) {
    throw Error(std::string("oneDNN refused a recurrent layer: ") + error.what());
  }
}

RecurrentPrimitive::~RecurrentPrimitive() = default;

void RecurrentPrimitive::run(const float* x, const float* h0, const float* c0, float* y, float* h,
                             float* c) {
  const void* const operands[] = {x, h0, c0};
  void* const results[] = {y, h, c};
  state_->kernel.run(operands, results);
}

}  // namespace refrain::onednn
