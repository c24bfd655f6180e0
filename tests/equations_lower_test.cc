// Numbers of models described by equations, against the same formulas written out in double.
#include <gmock/gmock.h>

#include <cmath>
#include <functional>

#include "ir/text.h"
#include "support/compare.h"
#include "support/equations.h"
#include "support/random.h"

namespace refrain {
namespace {

using testing::load_equations;
using testing::named;
using testing::NamedTensors;
using testing::Random;
using testing::run_equations;

using Vector = std::vector<double>;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Rows [begin, end) of an f64 matrix by x.
Vector product(const Tensor& w, const Vector& x, int64_t begin = 0, int64_t end = -1) {
  if (end < 0) end = w.extents()[0];
  Vector result;
  for (int64_t i = begin; i < end; ++i) {
    double sum = 0;
    for (size_t k = 0; k < x.size(); ++k) {
      sum += w.data<double>()[static_cast<size_t>(i) * x.size() + k] * x[k];
    }
    result.push_back(sum);
  }
  return result;
}

Vector joined(Vector a, const Vector& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// The features at one step of one sequence of [T, B, n].
Vector at(const Tensor& x, int64_t t, int64_t b) {
  const int64_t n = x.extents()[2], begin = (t * x.extents()[1] + b) * n;
  const auto data = x.data<double>().subspan(static_cast<size_t>(begin), static_cast<size_t>(n));
  return Vector(data.begin(), data.end());
}

// A value of one a step and sequence, [T, B, n].
Tensor collect(int64_t T, int64_t B, int64_t n,
               const std::function<Vector(int64_t t, int64_t b)>& value) {
  Tensor result(ElementType::f64, {T, B, n});
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t b = 0; b < B; ++b) {
      const Vector row = value(t, b);
      std::copy(row.begin(), row.end(), result.data<double>().begin() + (t * B + b) * n);
    }
  }
  return result;
}

// h of every step, from zero.
Tensor recurrence(const Tensor& x, int64_t size,
                  const std::function<Vector(const Vector& x, const Vector& h)>& step,
                  bool reverse = false) {
  const int64_t T = x.extents()[0], B = x.extents()[1];
  Tensor result(ElementType::f64, {T, B, size});
  for (int64_t b = 0; b < B; ++b) {
    Vector h(static_cast<size_t>(size));
    for (int64_t s = 0; s < T; ++s) {
      const int64_t t = reverse ? T - 1 - s : s;
      h = step(at(x, t, b), h);
      std::copy(h.begin(), h.end(), result.data<double>().begin() + (t * B + b) * size);
    }
  }
  return result;
}

std::vector<Tensor> inputs_of(const Tensor& x) {
  std::vector<Tensor> inputs;
  inputs.push_back(x.clone());
  return inputs;
}

void expect_close(const RuntimeValue& actual, const Tensor& expected) {
  EXPECT_TRUE(testing::close(*actual.tensor, expected, 1e-12, 1e-13));
}

class EquationsLower : public ::testing::Test {
 protected:
  Tensor weight(std::vector<int64_t> extents) {
    return random_.tensor(ElementType::f64, std::move(extents), -0.8, 0.8);
  }
  Random random_{11};
  const std::string head_ = "weights \"w.safetensors\"\ninput x: f64[T, B, 3]\n";
};

TEST_F(EquationsLower, MinimalGatedUnit) {
  const Tensor wf = weight({5, 8}), w = weight({5, 8}), bf = weight({5}), b = weight({5});
  const Tensor x = weight({6, 2, 3});
  const std::vector<RuntimeValue> results =
      run_equations(head_ + R"(
cell mgu(x, h[5]):
  f  = sigmoid(W_f·[h, x] + b_f)
  h~ = tanh(W@[f*h, x] + b)
  R: h = (1 - f)*h + f*h~
(y, h_T) = scan mgu over x
output y
output h_T
)",
                    inputs_of(x),
                    {named("mgu.W_f", wf.clone()), named("mgu.W", w.clone()),
                     named("mgu.b_f", bf.clone()), named("mgu.b", b.clone())});
  const Tensor expected = recurrence(x, 5, [&](const Vector& in, const Vector& h) {
    Vector f = product(wf, joined(h, in)), reset = h, next = h;
    for (size_t i = 0; i < 5; ++i) f[i] = sigmoid(f[i] + bf.data<double>()[i]);
    for (size_t i = 0; i < 5; ++i) reset[i] *= f[i];
    const Vector candidate = product(w, joined(reset, in));
    for (size_t i = 0; i < 5; ++i) {
      next[i] = (1 - f[i]) * h[i] + f[i] * std::tanh(candidate[i] + b.data<double>()[i]);
    }
    return next;
  });
  expect_close(results[0], expected);
  const auto all = expected.data<double>();
  expect_close(results[1], Tensor::of<double>({2, 5}, all.subspan(all.size() - 10)));
}

// The same cell in layout [B, T, n], and for one sequence.
TEST_F(EquationsLower, Layouts) {
  const std::string cell =
      "cell net(x, h[4]):\n  h = tanh(W·[h, x] + b)\noutput y = scan net over x\n";
  const Tensor x = weight({5, 1, 3});
  const auto run = [&](const std::string& input, std::vector<int64_t> extents) {
    std::vector<Tensor> inputs;
    inputs.push_back(x.clone().reshaped(std::move(extents)));
    return run_equations("weights uniform(seed = 3)\ninput x: " + input + "\n" + cell, inputs)[0]
        .tensor->clone();
  };
  const Tensor first = run("f64[T, B, 3]", {5, 1, 3});
  EXPECT_EQ(first.extents(), (std::vector<int64_t>{5, 1, 4}));
  EXPECT_TRUE(identical(run("f64[batch, time, 3]", {1, 5, 3}).reshaped({5, 1, 4}), first));
  EXPECT_TRUE(identical(run("f64[T, 3]", {5, 3}).reshaped({5, 1, 4}), first));
  EXPECT_TRUE(identical(run("f64[T=5, B=1, 3]", {5, 1, 3}), first));
}

TEST_F(EquationsLower, OutputsOfACell) {
  const Tensor wx = weight({4, 3}), wh = weight({4, 4}), wy = weight({2, 4}), x = weight({3, 2, 3});
  const std::vector<RuntimeValue> results =
      run_equations(head_ + R"(
cell elman(x, h[4]):
  R: h = relu(W_xh·x + W_hh·h)
  O: y = W_hy·h
  O: h^2
(y, squares, h) = scan elman over x
output y
output squares
output last_h = h
)",
                    inputs_of(x),
                    {named("elman.W_xh", wx.clone()), named("elman.W_hh", wh.clone()),
                     named("elman.W_hy", wy.clone())});
  const Tensor h = recurrence(x, 4, [&](const Vector& in, const Vector& before) {
    Vector sum = product(wx, in);
    const Vector other = product(wh, before);
    for (size_t i = 0; i < 4; ++i) sum[i] = std::max(0.0, sum[i] + other[i]);
    return sum;
  });
  expect_close(results[0],
               collect(3, 2, 2, [&](int64_t t, int64_t b) { return product(wy, at(h, t, b)); }));
  expect_close(results[1], collect(3, 2, 4, [&](int64_t t, int64_t b) {
                 Vector v = at(h, t, b);
                 for (double& e : v) e *= e;
                 return v;
               }));
}

// PyTorch's names in layers and directions.
TEST_F(EquationsLower, StackOfBidirectionalCells) {
  NamedTensors weights;
  std::map<std::string, const Tensor*> by_name;
  for (const int layer : {0, 1}) {
    for (const char* way : {"", "_reverse"}) {
      const std::string end = "_l" + std::to_string(layer) + way;
      weights.push_back(named("enc.weight_ih" + end, weight({4, layer == 0 ? 3 : 8})));
      weights.push_back(named("enc.weight_hh" + end, weight({4, 4})));
      weights.push_back(named("enc.bias_ih" + end, weight({4})));
      weights.push_back(named("enc.bias_hh" + end, weight({4})));
    }
  }
  for (const NamedTensor& tensor : weights) by_name[tensor.name] = tensor.tensor.get();
  const Tensor x = weight({4, 2, 3});
  const std::vector<RuntimeValue> results = run_equations(head_ + R"(
(y, f0, b0, f1, b1) = scan stack(bidirectional(rnn(4)), layers = 2) over x with weights "enc"
output y
output f0
output b1
)",
                                                          inputs_of(x), weights);
  const auto way = [&](const Tensor& in, const std::string& end, bool reverse) {
    return recurrence(
        in, 4,
        [&](const Vector& step, const Vector& h) {
          Vector sum = product(*by_name.at("enc.weight_ih" + end), step);
          const Vector other = product(*by_name.at("enc.weight_hh" + end), h);
          for (size_t i = 0; i < 4; ++i) {
            sum[i] =
                std::tanh(sum[i] + other[i] + by_name.at("enc.bias_ih" + end)->data<double>()[i] +
                          by_name.at("enc.bias_hh" + end)->data<double>()[i]);
          }
          return sum;
        },
        reverse);
  };
  const auto both = [&](const Tensor& a, const Tensor& b) {
    return collect(4, 2, 8, [&](int64_t t, int64_t n) { return joined(at(a, t, n), at(b, t, n)); });
  };
  const Tensor forward = way(x, "_l0", false);
  const Tensor first = both(forward, way(x, "_l0_reverse", true));
  const Tensor backward = way(first, "_l1_reverse", true);
  expect_close(results[0], both(way(first, "_l1", false), backward));
  const auto f = forward.data<double>(), b = backward.data<double>();
  expect_close(results[1], Tensor::of<double>({2, 4}, f.subspan(f.size() - 8)));
  expect_close(results[2], Tensor::of<double>({2, 4}, b.subspan(0, 8)));
}

TEST_F(EquationsLower, AttentionWrittenOut) {
  const Tensor ws = weight({6, 4}), wm = weight({6, 5}), v = weight({6}), w = weight({4, 12});
  Tensor x = weight({3, 2, 3}), memory = weight({7, 2, 5});
  std::vector<Tensor> inputs;
  inputs.push_back(x.clone());
  inputs.push_back(memory.clone());
  const std::vector<RuntimeValue> results =
      run_equations(head_ + R"(
input memory: f64[S, B, 5]
cell decoder(x, s[4]) given m:
  a = softmax(v·tanh(W_s·s + W_m·m), over = time)
  k = sum(a*m, over = time)
  s = tanh(W·[s, x, k])
output y = scan decoder over x given memory
)",
                    inputs,
                    {named("decoder.W_s", ws.clone()), named("decoder.W_m", wm.clone()),
                     named("decoder.v", v.clone()), named("decoder.W", w.clone())});
  Tensor expected(ElementType::f64, {3, 2, 4});
  for (int64_t b = 0; b < 2; ++b) {
    Vector s(4);
    for (int64_t t = 0; t < 3; ++t) {
      Vector scores;
      double total = 0;
      for (int64_t j = 0; j < 7; ++j) {
        Vector e = product(ws, s);
        const Vector other = product(wm, at(memory, j, b));
        double score = 0;
        for (size_t i = 0; i < 6; ++i) score += v.data<double>()[i] * std::tanh(e[i] + other[i]);
        scores.push_back(std::exp(score));
        total += scores.back();
      }
      Vector k(5);
      for (int64_t j = 0; j < 7; ++j) {
        const Vector m = at(memory, j, b);
        for (size_t i = 0; i < 5; ++i) k[i] += scores[static_cast<size_t>(j)] / total * m[i];
      }
      s = product(w, joined(joined(s, at(x, t, b)), k));
      for (double& e : s) e = std::tanh(e);
      std::copy(s.begin(), s.end(), expected.data<double>().begin() + (t * 2 + b) * 4);
    }
  }
  expect_close(results[0], expected);
}

TEST_F(EquationsLower, AttentionOfDotProducts) {
  Tensor x = weight({3, 2, 3}), memory = weight({4, 2, 3});
  std::vector<Tensor> inputs;
  inputs.push_back(x.clone());
  inputs.push_back(memory.clone());
  const std::vector<RuntimeValue> results = run_equations(
      "input x: f64[T, B, 3]\ninput m: f64[S, B, 3]\noutput y = attention(x, m, m)\n"
      "output z = attention(last(x), m, m)\n",
      inputs);
  const Tensor expected = collect(3, 2, 3, [&](int64_t t, int64_t b) {
    Vector scores, k(3);
    double total = 0;
    for (int64_t j = 0; j < 4; ++j) {
      double dot = 0;
      for (size_t i = 0; i < 3; ++i) dot += at(x, t, b)[i] * at(memory, j, b)[i];
      scores.push_back(std::exp(dot / std::sqrt(3.0)));
      total += scores.back();
    }
    for (int64_t j = 0; j < 4; ++j) {
      for (size_t i = 0; i < 3; ++i) {
        k[i] += scores[static_cast<size_t>(j)] / total * at(memory, j, b)[i];
      }
    }
    return k;
  });
  expect_close(results[0], expected);
  expect_close(results[1], Tensor::of<double>({2, 3}, expected.data<double>().subspan(12)));
}

TEST_F(EquationsLower, ConvolutionAndPooling) {
  const Tensor x = weight({6, 2, 3}), w = weight({4, 3, 2}), b = weight({4});
  const std::vector<RuntimeValue> results = run_equations(
      head_ + R"(
output edges = conv1d(x, filter = (-1, 2, -1), padding = 1)
output causal = conv1d(x, 4, 2, causal = true)
output highest = max_pool1d(x, 2)
output average = avg_pool1d(x, 3, stride = 1)
output middle = mean(x, over = time)
output top = max(x, over = time)
output part = x[.., 1:]*x[.., 0]
)",
      inputs_of(x), {named("conv1d.weight", w.clone()), named("conv1d.bias", b.clone())});
  const auto row = [&](int64_t t, int64_t n) { return t < 0 || t >= 6 ? Vector(3) : at(x, t, n); };
  expect_close(results[0], collect(6, 2, 3, [&](int64_t t, int64_t n) {
                 Vector y(3);
                 for (size_t i = 0; i < 3; ++i) {
                   y[i] = 2 * row(t, n)[i] - row(t - 1, n)[i] - row(t + 1, n)[i];
                 }
                 return y;
               }));
  expect_close(results[1], collect(6, 2, 4, [&](int64_t t, int64_t n) {
                 Vector y(4);
                 for (size_t o = 0; o < 4; ++o) {
                   y[o] = b.data<double>()[o];
                   for (size_t i = 0; i < 3; ++i) {
                     for (size_t k = 0; k < 2; ++k) {
                       y[o] += w.data<double>()[(o * 3 + i) * 2 + k] *
                               row(t - 1 + static_cast<int64_t>(k), n)[i];
                     }
                   }
                 }
                 return y;
               }));
  expect_close(results[2], collect(3, 2, 3, [&](int64_t t, int64_t n) {
                 Vector y(3);
                 for (size_t i = 0; i < 3; ++i) {
                   y[i] = std::max(row(2 * t, n)[i], row(2 * t + 1, n)[i]);
                 }
                 return y;
               }));
  expect_close(results[3], collect(4, 2, 3, [&](int64_t t, int64_t n) {
                 Vector y(3);
                 for (size_t i = 0; i < 3; ++i) {
                   y[i] = (row(t, n)[i] + row(t + 1, n)[i] + row(t + 2, n)[i]) / 3;
                 }
                 return y;
               }));
  Tensor mean(ElementType::f64, {2, 3}), top(ElementType::f64, {2, 3});
  for (int64_t n = 0; n < 2; ++n) {
    for (size_t i = 0; i < 3; ++i) {
      double sum = 0, most = -9;
      for (int64_t t = 0; t < 6; ++t) {
        sum += row(t, n)[i];
        most = std::max(most, row(t, n)[i]);
      }
      mean.data<double>()[static_cast<size_t>(n) * 3 + i] = sum / 6;
      top.data<double>()[static_cast<size_t>(n) * 3 + i] = most;
    }
  }
  expect_close(results[4], mean);
  expect_close(results[5], top);
}

// Tokens, embedding, layers by functions with and without names of their own.
TEST_F(EquationsLower, TokensAndDenseLayers) {
  const Tensor table = weight({5, 4}), w1 = weight({3, 4}), b1 = weight({3}), w2 = weight({2, 3});
  std::vector<Tensor> inputs;
  inputs.push_back(Tensor::of<int64_t>({3, 1}, std::vector<int64_t>{4, 0, 2}));
  inputs.push_back(Tensor(ElementType::f64, {}));
  const std::vector<RuntimeValue> results = run_equations(
      "weights \"w.safetensors\"\ninput tokens: i64[T, B]\ninput unused: f64[]\n"
      "x = embedding(tokens, 5, 4)\n"
      "output y = linear(relu(linear(x, 3)), 2, bias = false, weights = \"head\")\n"
      "output one = one_hot(tokens, 5)\n",
      inputs,
      {named("embedding.weight", table.clone()), named("linear.weight", w1.clone()),
       named("linear.bias", b1.clone()), named("head.weight", w2.clone())});
  const int64_t tokens[] = {4, 0, 2};
  expect_close(results[0], collect(3, 1, 2, [&](int64_t t, int64_t) {
                 const auto row =
                     table.data<double>().subspan(static_cast<size_t>(4 * tokens[t]), 4);
                 Vector hidden = product(w1, Vector(row.begin(), row.end()));
                 for (size_t i = 0; i < 3; ++i)
                   hidden[i] = std::max(0.0, hidden[i] + b1.data<double>()[i]);
                 return product(w2, hidden);
               }));
  expect_close(results[1], collect(3, 1, 5, [&](int64_t t, int64_t) {
                 Vector v(5);
                 v[static_cast<size_t>(tokens[t])] = 1;
                 return v;
               }));
}

// Sequences that end on their own, given initial states, sizes from the file, the way back.
// The last column of the matrix is the bias; the middle one multiplies a mean.
TEST_F(EquationsLower, ScalarsAreVectorsOfOneInAConcatenation) {
  const Tensor x = weight({4, 2, 3}), W = weight({2, 7});
  const auto results = run_equations(head_ + R"(
cell one(x, h[2]):
  h = tanh(W·[h, x, mean(x), 1])
output y = scan one over x
)",
                                     inputs_of(x), {named("one.W", W.clone())});
  const Tensor expected = recurrence(x, 2, [&](const Vector& in, const Vector& h) {
    Vector next = product(W, joined(joined(h, in), {(in[0] + in[1] + in[2]) / 3, 1}));
    for (double& each : next) each = std::tanh(each);
    return next;
  });
  expect_close(results[0], expected);
}

TEST_F(EquationsLower, LengthsInitialStatesAndReverse) {
  const Tensor w = weight({4, 7}), x = weight({4, 2, 3}), h0 = weight({2, 4});
  std::vector<Tensor> inputs;
  inputs.push_back(x.clone());
  inputs.push_back(h0.clone());
  inputs.push_back(Tensor::of<int64_t>({2}, std::vector<int64_t>{4, 2}));
  const std::vector<RuntimeValue> results = run_equations(head_ + R"(
input h0: f64[B, 4]
input n: i64[B]
cell net(x, h[K]):
  h = tanh(W·[h, x])
(y, h) = scan net over x reverse from h0 lengths n
output y
output h
)",
                                                          inputs, {named("net.W", w.clone())});
  Tensor y(ElementType::f64, {4, 2, 4}), final_h(ElementType::f64, {2, 4});
  const int64_t lengths[] = {4, 2};
  for (int64_t b = 0; b < 2; ++b) {
    const auto start = h0.data<double>().subspan(static_cast<size_t>(4 * b), 4);
    Vector h(start.begin(), start.end());
    for (int64_t t = lengths[b]; t-- > 0;) {
      h = product(w, joined(h, at(x, t, b)));
      for (double& e : h) e = std::tanh(e);
      std::copy(h.begin(), h.end(), y.data<double>().begin() + (t * 2 + b) * 4);
    }
    std::copy(h.begin(), h.end(), final_h.data<double>().begin() + b * 4);
  }
  expect_close(results[0], y);
  expect_close(results[1], final_h);
}

// A plain scan finds the names of PyTorch's cells, too, and takes its size from them.
// A matrix that is computed for each step: what a linear layer puts out, row by row.
TEST_F(EquationsLower, Reshape) {
  const Tensor w = weight({6, 3}), x = weight({4, 2, 3});
  const std::vector<RuntimeValue> results =
      run_equations(head_ + R"(
cell hyper(x, h[2]):
  M = reshape(W·x, 2, 3)
  h = M·x
  O: y = reshape(M, 6) - W·x + [h, h, h]
output y = scan hyper over x
)",
                    inputs_of(x), {named("hyper.W", w.clone())});
  Tensor expected(ElementType::f64, {4, 2, 6});
  for (int64_t t = 0; t < 4; ++t) {
    for (int64_t b = 0; b < 2; ++b) {
      const Vector in = at(x, t, b), m = product(w, in);
      for (size_t i = 0; i < 6; ++i) {
        double sum = 0;
        for (size_t j = 0; j < 3; ++j) sum += m[i % 2 * 3 + j] * in[j];
        expected.data<double>()[static_cast<size_t>((t * 2 + b) * 6) + i] = sum;
      }
    }
  }
  expect_close(results[0], expected);
}

// As lectures write it; both give the same graph but for names.
TEST_F(EquationsLower, IndicesOfTime) {
  const std::string head = "weights uniform(seed = 1)\ninput x: f32[T, B, 3]\n";
  const std::string foot = "output y = scan c over x\n";
  const auto text = [&](const std::string& cell) {
    return print(*load_equations(head + cell + foot));
  };
  EXPECT_EQ(text("cell c(x, h[4]):\n  h_t = tanh(W·x_t + U·h_{t-1} + b)\n"),
            text("cell c(x, h[4]):\n  h = tanh(W·x + U·h + b)\n"));
  EXPECT_EQ(text("cell c(x_t, h_{t-1}[4]):\n  h_t = tanh(W·x_t + U·h_{t - 1} + b)\n  O: y_t = h_t "
                 "+ V·h_{t-1}\n"),
            text("cell c(x_t, h[4]):\n  o = h\n  h = tanh(W·x_t + U·h + b)\n  O: y_t = h + V·o\n"));
  EXPECT_EQ(
      text("cell c(x, h[4], c[4]):\n  f_{t} = sigmoid(W·[h_{t−1}, x_t])\n  c~_t = tanh(U·x_t)\n"
           "  c_t = f_t*c_{t-1} + (1 - f_t)*c~_t\n  h_t = tanh(c_t)\n"),
      text("cell c(x, h[4], c[4]):\n  f_t = sigmoid(W·[h, x])\n  c~_t = tanh(U·x)\n"
           "  c = f_t*c + (1 - f_t)*c~_t\n  h = tanh(c)\n"));
  EXPECT_EQ(text("cell c(x_{t}, h_{t}[4]):\n  h_t = tanh(W·x_t + U·h_{t-1})\n"),
            text("cell c(x, h[4]):\n  h = tanh(W·x + U·h)\n"));
  // Names that are there mean themselves.
  EXPECT_THAT(text("cell c(x, h[4]):\n  x_t = tanh(W·x)\n  h_t = x_t + h\n  h = tanh(h_t)\n"),
              ::testing::HasSubstr("%h_t = add(%x_t, %h)"));
}

// As a value it is the first of its results.
TEST_F(EquationsLower, ScansInExpressions) {
  const std::string head = "weights uniform(seed = 1)\ninput x: f32[T, B, 4]\n";
  const auto text = [&](const std::string& equations) {
    const std::unique_ptr<Graph> graph = load_equations(head + equations);
    for (Node* node = graph->body().first(); node; node = node->next()) {
      node->set_name("");
      for (size_t i = 0; i < node->result_count(); ++i) node->result(i)->set_name("");
    }
    return print(*graph);
  };
  EXPECT_EQ(text("output y = x + scan gru(4) over scan rnn(6) over x reverse\n"),
            text("a = scan rnn(6) over x reverse\nb = scan gru(4) over a\noutput y = x + b\n"));
  EXPECT_EQ(text("output y = linear(last(scan lstm(8) over x), 2)\n"),
            text("(a, h, c) = scan lstm(8) over x\noutput y = linear(last(a), 2)\n"));
}

// What is scanned has the first parameters, and a number is an initial state.
TEST_F(EquationsLower, InitialStatesComeBehindWhatIsScanned) {
  const std::string head = "weights uniform(seed = 1)\ninput x: f32[T, B, 4]\n";
  const auto text = [&](const std::string& equations) {
    return print(*load_equations(head + equations));
  };
  EXPECT_EQ(text("y = scan gru(4) over linear(x, 4) from linear(last(x), 4)\noutput y\n"),
            text("y = scan gru(4) over linear(x, 4, weights = \"linear\") from linear(last(x), 4, "
                 "weights = \"linear_2\")\noutput y\n"));
  const Tensor x = weight({3, 2, 3});
  const std::vector<RuntimeValue> results =
      run_equations(head_ +
                        "cell sum(x, h[3], s[]):\n  h = h + x\n  s = s + 1\n"
                        "(y, h, s) = scan sum over x from (0.5, 2)\noutput h\noutput s\n",
                    inputs_of(x), {});
  Tensor expected(ElementType::f64, {2, 3});
  for (int64_t b = 0; b < 2; ++b) {
    for (size_t i = 0; i < 3; ++i)
      expected.data<double>()[static_cast<size_t>(b) * 3 + i] =
          0.5 + at(x, 0, b)[i] + at(x, 1, b)[i] + at(x, 2, b)[i];
  }
  expect_close(results[0], expected);
  EXPECT_EQ(results[1].tensor->view().as_doubles(), (Vector{5, 5}));
}

TEST_F(EquationsLower, NamesOfTorchCells) {
  NamedTensors layer, cell;
  for (const char* name : {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}) {
    const bool matrix = std::string(name).starts_with("weight");
    const Tensor tensor =
        matrix ? weight({12, std::string(name) == "weight_ih" ? 3 : 4}) : weight({12});
    layer.push_back(named("g." + std::string(name) + "_l0", tensor.clone()));
    cell.push_back(named("g." + std::string(name), tensor.clone()));
  }
  const Tensor x = weight({3, 2, 3});
  const std::string text = head_ + "output y = scan gru over x with weights \"g\"\n";
  const auto first = run_equations(text, inputs_of(x), layer);
  EXPECT_EQ(first[0].tensor->extents(), (std::vector<int64_t>{3, 2, 4}));
  EXPECT_TRUE(identical(*first[0].tensor, *run_equations(text, inputs_of(x), cell)[0].tensor));
}

// A matrix as a state: linear attention.
TEST_F(EquationsLower, MatrixStates) {
  const Tensor wk = weight({4, 3}), wv = weight({5, 3}), x = weight({3, 2, 3});
  const std::vector<RuntimeValue> results =
      run_equations(head_ + R"(
cell fast(x, S[4, 5]):
  k = W_k·x
  S = 0.9*S + outer(k, W_v·x)
  O: k·S
output y = scan fast over x
)",
                    inputs_of(x), {named("fast.W_k", wk.clone()), named("fast.W_v", wv.clone())});
  Tensor expected(ElementType::f64, {3, 2, 5});
  for (int64_t b = 0; b < 2; ++b) {
    Vector s(20);
    for (int64_t t = 0; t < 3; ++t) {
      const Vector k = product(wk, at(x, t, b)), v = product(wv, at(x, t, b));
      for (size_t i = 0; i < 4; ++i) {
        for (size_t j = 0; j < 5; ++j) s[i * 5 + j] = 0.9 * s[i * 5 + j] + k[i] * v[j];
      }
      for (size_t j = 0; j < 5; ++j) {
        double sum = 0;
        for (size_t i = 0; i < 4; ++i) sum += k[i] * s[i * 5 + j];
        expected.data<double>()[static_cast<size_t>((t * 2 + b) * 5) + j] = sum;
      }
    }
  }
  expect_close(results[0], expected);
}

}  // namespace
}  // namespace refrain
