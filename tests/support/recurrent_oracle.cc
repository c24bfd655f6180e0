#include "support/recurrent_oracle.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace refrain::testing {
namespace {

double apply(const RecurrentLayer::Function& f, double x) {
  if (f.name == "Relu") return x > 0 ? x : 0;
  if (f.name == "Tanh") return std::tanh(x);
  if (f.name == "Sigmoid") return 1 / (1 + std::exp(-x));
  if (f.name == "Affine") return f.alpha * x + f.beta;
  if (f.name == "LeakyRelu") return x >= 0 ? x : f.alpha * x;
  if (f.name == "ThresholdedRelu") return x >= f.alpha ? x : 0;
  if (f.name == "ScaledTanh") return f.alpha * std::tanh(f.beta * x);
  if (f.name == "HardSigmoid") return std::min(std::max(f.alpha * x + f.beta, 0.0), 1.0);
  if (f.name == "Elu") return x >= 0 ? x : f.alpha * (std::exp(x) - 1);
  if (f.name == "Softsign") return x / (1 + std::abs(x));
  if (f.name == "Softplus") return x > 40 ? x : std::log1p(std::exp(x));
  throw std::logic_error("no such activation: " + f.name);
}

// One direction of one sequence.
class Sequence {
 public:
  Sequence(const RecurrentLayer& layer, int64_t direction, int64_t n)
      : layer_(layer), d_(direction), n_(n), h_(initial(layer.h0)), c_(initial(layer.c0)) {}

  void run(RecurrentResult& result) {
    const int64_t H = layer_.hidden;
    const int64_t length =
        layer_.lengths.empty() ? layer_.steps : layer_.lengths[static_cast<size_t>(n_)];
    for (int64_t s = 0; s < length; ++s) {
      const int64_t t = layer_.reverse[static_cast<size_t>(d_)] ? length - 1 - s : s;
      step(t);
      for (int64_t j = 0; j < H; ++j) {
        const int64_t at = layer_.batch_first
                               ? ((n_ * layer_.steps + t) * layer_.directions() + d_) * H + j
                               : ((t * layer_.directions() + d_) * layer_.batch + n_) * H + j;
        result.y[static_cast<size_t>(at)] = h_[static_cast<size_t>(j)];
      }
    }
    for (int64_t j = 0; j < H; ++j) {
      result.h[state_index(j)] = h_[static_cast<size_t>(j)];
      if (!result.c.empty()) result.c[state_index(j)] = c_[static_cast<size_t>(j)];
    }
  }

 private:
  size_t state_index(int64_t j) const {
    const int64_t row = layer_.batch_first ? n_ * layer_.directions() + d_ : d_ * layer_.batch + n_;
    return static_cast<size_t>(row * layer_.hidden + j);
  }

  std::vector<double> initial(const std::vector<double>& whole) const {
    std::vector<double> state(static_cast<size_t>(layer_.hidden));
    for (int64_t j = 0; j < layer_.hidden && !whole.empty(); ++j) {
      state[static_cast<size_t>(j)] = whole[state_index(j)];
    }
    return state;
  }

  // x_t W' of unit j of a gate.
  double from_x(int64_t gate, int64_t t, int64_t j) const {
    const int64_t row = (d_ * layer_.gates() + gate) * layer_.hidden + j;
    double sum = 0;
    for (int64_t i = 0; i < layer_.inputs; ++i) {
      const int64_t at =
          (layer_.batch_first ? n_ * layer_.steps + t : t * layer_.batch + n_) * layer_.inputs + i;
      sum += layer_.x[static_cast<size_t>(at)] *
             layer_.w[static_cast<size_t>(row * layer_.inputs + i)];
    }
    return sum;
  }

  // v R' of unit j of a gate.
  double from_h(int64_t gate, const std::vector<double>& v, int64_t j) const {
    const int64_t row = (d_ * layer_.gates() + gate) * layer_.hidden + j;
    double sum = 0;
    for (int64_t k = 0; k < layer_.hidden; ++k) {
      sum += v[static_cast<size_t>(k)] * layer_.r[static_cast<size_t>(row * layer_.hidden + k)];
    }
    return sum;
  }

  // Wb (which = 0) or Rb (1) of unit j of a gate.
  double bias(int64_t which, int64_t gate, int64_t j) const {
    if (layer_.b.empty()) return 0;
    const int64_t row = (d_ * 2 + which) * layer_.gates() + gate;
    return layer_.b[static_cast<size_t>(row * layer_.hidden + j)];
  }

  // P * c of unit j; gates in the order i, o, f.
  double peephole(int64_t gate, const std::vector<double>& c, int64_t j) const {
    if (layer_.p.empty()) return 0;
    return layer_.p[static_cast<size_t>((d_ * 3 + gate) * layer_.hidden + j)] *
           c[static_cast<size_t>(j)];
  }

  double activate(int64_t function, double x) const {
    if (layer_.clip > 0) x = std::min(std::max(x, -layer_.clip), layer_.clip);
    const int64_t of_direction =
        static_cast<int64_t>(layer_.activations.size()) / layer_.directions();
    return apply(layer_.activations[static_cast<size_t>(d_ * of_direction + function)], x);
  }

  double gate(int64_t g, int64_t t, int64_t j) const {
    return from_x(g, t, j) + from_h(g, h_, j) + bias(0, g, j) + bias(1, g, j);
  }

  void step(int64_t t) {
    std::vector<double> next_h = h_, next_c = c_, reset = h_;
    if (layer_.op == "GRU" && !layer_.linear_before_reset) {
      for (int64_t j = 0; j < layer_.hidden; ++j) {
        reset[static_cast<size_t>(j)] *= activate(0, gate(1, t, j));
      }
    }
    for (int64_t j = 0; j < layer_.hidden; ++j) {
      double& h = next_h[static_cast<size_t>(j)];
      double& c = next_c[static_cast<size_t>(j)];
      if (layer_.op == "RNN") {
        h = activate(0, gate(0, t, j));
      } else if (layer_.op == "LSTM") {
        const double i = activate(0, gate(0, t, j) + peephole(0, c_, j));
        const double f =
            layer_.input_forget ? 1 - i : activate(0, gate(2, t, j) + peephole(2, c_, j));
        c = f * c + i * activate(1, gate(3, t, j));
        const double o = activate(0, gate(1, t, j) + peephole(1, next_c, j));
        h = o * activate(2, c);
      } else {
        const double z = activate(0, gate(0, t, j)), r = activate(0, gate(1, t, j));
        const double candidate =
            layer_.linear_before_reset
                ? activate(1,
                           from_x(2, t, j) + r * (from_h(2, h_, j) + bias(1, 2, j)) + bias(0, 2, j))
                : activate(1,
                           from_x(2, t, j) + from_h(2, reset, j) + bias(1, 2, j) + bias(0, 2, j));
        h = (1 - z) * candidate + z * h;
      }
    }
    h_ = next_h;
    c_ = next_c;
  }

  const RecurrentLayer& layer_;
  const int64_t d_, n_;
  std::vector<double> h_, c_;
};

}  // namespace

RecurrentResult evaluate(const RecurrentLayer& layer) {
  RecurrentResult result;
  const auto states = static_cast<size_t>(layer.directions() * layer.batch * layer.hidden);
  result.y.resize(static_cast<size_t>(layer.steps) * states);
  result.h.resize(states);
  if (layer.op == "LSTM") result.c.resize(states);
  for (int64_t d = 0; d < layer.directions(); ++d) {
    for (int64_t n = 0; n < layer.batch; ++n) Sequence(layer, d, n).run(result);
  }
  return result;
}

}  // namespace refrain::testing
