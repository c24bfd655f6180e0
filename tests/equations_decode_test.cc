// Decoders: what is fed back, against the same loop written out in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "support/compare.h"
#include "support/equations.h"
#include "support/random.h"

namespace refrain {
namespace {

using testing::named;
using testing::NamedTensors;
using testing::Random;
using testing::run_equations;

using Vector = std::vector<double>;

constexpr size_t kTokens = 3, kSize = 4, kState = 5;
constexpr int64_t kEnd = 1;

// A cell with random weights, as equations and as code.
struct Writer {
  Tensor table, w, b, out;

  explicit Writer(uint64_t seed) : Writer(Random(seed)) {}
  explicit Writer(Random random)
      : table(random.tensor(ElementType::f64, {kTokens, kSize}, -2, 2)),
        w(random.tensor(ElementType::f64, {kState, kState + kSize})),
        b(random.tensor(ElementType::f64, {kState})),
        out(random.tensor(ElementType::f64, {kTokens, kState}, -2, 2)) {}

  NamedTensors weights() const {
    return {named("writer.embedding.weight", table.clone()), named("writer.W", w.clone()),
            named("writer.b", b.clone()), named("writer.V", out.clone())};
  }

  static double at(const Tensor& x, size_t i, size_t j, size_t columns) {
    return x.data<double>()[i * columns + j];
  }

  // Log-probabilities of the next token; h becomes the next state.
  Vector step(int64_t token, Vector& h) const {
    Vector next(kState), scores(kTokens);
    for (size_t i = 0; i < kState; ++i) {
      double sum = b.data<double>()[i];
      for (size_t k = 0; k < kState; ++k) sum += at(w, i, k, kState + kSize) * h[k];
      for (size_t k = 0; k < kSize; ++k) {
        sum +=
            at(w, i, kState + k, kState + kSize) * at(table, static_cast<size_t>(token), k, kSize);
      }
      next[i] = std::tanh(sum);
    }
    h = next;
    double total = 0;
    for (size_t t = 0; t < kTokens; ++t) {
      for (size_t k = 0; k < kState; ++k) scores[t] += at(out, t, k, kState) * h[k];
      total += std::exp(scores[t]);
    }
    for (double& score : scores) score -= std::log(total);
    return scores;
  }

  std::vector<int64_t> greedy(Vector h, int64_t length, bool until) const {
    std::vector<int64_t> result;
    int64_t token = 0;
    bool done = false;
    for (int64_t i = 0; i < length; ++i) {
      const Vector scores = step(token, h);
      token = std::max_element(scores.begin(), scores.end()) - scores.begin();
      if (done) token = kEnd;
      done = done || (until && token == kEnd);
      result.push_back(token);
    }
    return result;
  }

  // The most probable of all sequences.
  double best(int64_t token, const Vector& h, int64_t length, std::vector<int64_t>& tokens) const {
    tokens.clear();
    if (length == 0) return 0;
    Vector next = h;
    const Vector scores = step(token, next);
    double most = -1e300;
    for (int64_t t = 0; t < static_cast<int64_t>(kTokens); ++t) {
      std::vector<int64_t> rest(static_cast<size_t>(length - 1), kEnd);
      const double score =
          scores[static_cast<size_t>(t)] + (t == kEnd ? 0 : best(t, next, length - 1, rest));
      if (score <= most) continue;
      most = score;
      tokens = {t};
      tokens.insert(tokens.end(), rest.begin(), rest.end());
    }
    return most;
  }
};

const char* const kCell = R"(weights "w.safetensors"
input h0: f64[B, 5]
cell writer(token, h[5]):
  x = embedding(token, 3, 4)
  h = tanh(W·[h, x] + b)
  O: V·h
)";

Tensor initial_states(Random& random) { return random.tensor(ElementType::f64, {3, kState}); }

std::vector<RuntimeValue> decode(const Writer& writer, const Tensor& h0, const std::string& text) {
  std::vector<Tensor> inputs;
  inputs.push_back(h0.clone());
  return run_equations(kCell + text, inputs, writer.weights());
}

Vector row(const Tensor& x, size_t i) {
  const auto data = x.data<double>().subspan(i * kState, kState);
  return Vector(data.begin(), data.end());
}

// Sequence b of tokens [steps, 3].
std::vector<int64_t> sequence(const RuntimeValue& tokens, size_t b) {
  std::vector<int64_t> result;
  const auto data = tokens.tensor->data<int64_t>();
  for (size_t i = b; i < data.size(); i += 3) result.push_back(data[i]);
  return result;
}

TEST(EquationsDecode, Greedy) {
  for (const uint64_t seed : {1, 2, 3, 4}) {
    const Writer writer(seed);
    Random random(seed + 10);
    const Tensor h0 = initial_states(random);
    const auto results = decode(writer, h0, R"(
output ends = decode writer start 0 until 1 length 6 from h0
output goes_on = decode writer start 0 length 6 greedy from h0 with weights "writer"
)");
    for (size_t b = 0; b < 3; ++b) {
      EXPECT_EQ(sequence(results[0], b), writer.greedy(row(h0, b), 6, true));
      EXPECT_EQ(sequence(results[1], b), writer.greedy(row(h0, b), 6, false));
    }
  }
}

// As many beams as there are beginnings leave nothing out.
TEST(EquationsDecode, BeamsOfAllSequencesFindTheBest) {
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    const Writer writer(seed);
    Random random(seed + 20);
    const Tensor h0 = initial_states(random);
    const auto results = decode(writer, h0, R"(
(text, score) = decode writer start 0 until 1 length 4 beam(27) from h0
output text
output score
)");
    for (size_t b = 0; b < 3; ++b) {
      std::vector<int64_t> tokens;
      const double score = writer.best(0, row(h0, b), 4, tokens);
      EXPECT_EQ(sequence(results[0], b), tokens) << "seed " << seed << ", sequence " << b;
      EXPECT_NEAR(results[1].tensor->data<double>()[b], score, 1e-12);
    }
  }
}

TEST(EquationsDecode, OneBeamIsGreedy) {
  const Writer writer(7);
  Random random(8);
  const Tensor h0 = initial_states(random);
  const auto results = decode(writer, h0, R"(
output a = decode writer start 0 until 1 length 6 from h0
output b = decode writer start 0 until 1 length 6 beam(1) from h0 with weights "writer"
)");
  EXPECT_TRUE(identical(*results[0].tensor, *results[1].tensor));
}

// Beam search wrote its score beside the others', found by fuzzing; the others never ended.
TEST(EquationsDecode, WhatEndsIsATokenThatThereIs) {
  const Writer writer(7);
  Random random(8);
  const Tensor h0 = initial_states(random);
  for (const char* choice : {"greedy", "sample(seed = 1)", "beam(2)"}) {
    const std::string text =
        "output a = decode writer start 0 until 3 length 6 " + std::string(choice) + " from h0\n";
    EXPECT_THROW(decode(writer, h0, text), Error) << choice;
  }
}

TEST(EquationsDecode, Samples) {
  const Writer writer(5);
  const Tensor h0(ElementType::f64, {3, kState});
  const auto results = decode(writer, h0, R"(
output cold = decode writer start 0 length 6 sample(temperature = 1e-4, seed = 5) from h0
output best = decode writer start 0 length 6 from h0 with weights "writer"
output one = decode writer start 0 length 3000 sample(seed = 1) from h0 with weights "writer"
output again = decode writer start 0 length 3000 sample(seed = 1) from h0 with weights "writer"
output other = decode writer start 0 length 3000 sample(seed = 2) from h0 with weights "writer"
)");
  EXPECT_TRUE(identical(*results[0].tensor, *results[1].tensor));
  EXPECT_TRUE(identical(*results[2].tensor, *results[3].tensor));
  EXPECT_FALSE(identical(*results[2].tensor, *results[4].tensor));
  // Sequences of one batch are drawn on their own.
  EXPECT_NE(sequence(results[2], 0), sequence(results[2], 1));
  // Tokens come as often as their probabilities say: of 3000 draws with probabilities p the number
  // has a variance of at most 3000/4, so that five deviations are less than 140.
  std::map<int64_t, double> expected, found;
  Vector h(kState);
  int64_t before = 0;
  for (const int64_t token : sequence(results[2], 0)) {
    const Vector log = writer.step(before, h);
    for (size_t t = 0; t < kTokens; ++t) expected[static_cast<int64_t>(t)] += std::exp(log[t]);
    ++found[token];
    before = token;
  }
  for (const auto& [token, count] : expected) EXPECT_NEAR(found[token], count, 140) << token;
}

// What every step looked at comes out as features: [T, B, S].
TEST(EquationsDecode, OutputsWithATimeAxisOfTheirOwn) {
  Random random(3);
  const auto run = [&](const std::string& x, const std::string& m, std::vector<Tensor> inputs) {
    return run_equations("input x: f64[" + x + ", 2]\ninput m: f64[" + m + R"(, 2]
cell look(x, h[2]) given m:
  a = softmax(m·x, over = time)
  h = sum(a*m, over = time)
  O: h
  O: a
(y, a) = scan look over x given m
output a
)",
                         inputs)[0]
        .tensor->clone();
  };
  const Tensor x = random.tensor(ElementType::f64, {3, 1, 2});
  const Tensor m = random.tensor(ElementType::f64, {4, 1, 2});
  const auto inputs = [&](std::vector<int64_t> of_x, std::vector<int64_t> of_m) {
    std::vector<Tensor> list;
    list.push_back(x.clone().reshaped(std::move(of_x)));
    list.push_back(m.clone().reshaped(std::move(of_m)));
    return list;
  };
  const Tensor a = run("T, B", "S, B", inputs({3, 1, 2}, {4, 1, 2}));
  EXPECT_EQ(a.extents(), (std::vector<int64_t>{3, 1, 4}));
  for (size_t t = 0; t < 3; ++t) {
    double total = 0;
    Vector e;
    for (size_t s = 0; s < 4; ++s) {
      const auto xs = x.data<double>().subspan(2 * t), ms = m.data<double>().subspan(2 * s);
      e.push_back(std::exp(xs[0] * ms[0] + xs[1] * ms[1]));
      total += e.back();
    }
    for (size_t s = 0; s < 4; ++s) EXPECT_NEAR(a.data<double>()[4 * t + s], e[s] / total, 1e-14);
  }
  const Tensor batch_first = run("B, T", "B, S", inputs({1, 3, 2}, {1, 4, 2}));
  EXPECT_TRUE(testing::close(batch_first.clone().reshaped({3, 1, 4}), a, 1e-14, 0));
}

}  // namespace
}  // namespace refrain
