// The loop kernel against a float64 oracle, on every SIMD target that this machine runs.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "backends/highway/recurrent.h"
#include "ir/error.h"
#include "support/loop_check.h"
#include "support/targets.h"

namespace refrain::highway {
namespace {

using testing::choose_target;
using testing::targets;

// Makes cases from random numbers.
class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  int64_t below(int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(random_); }

  std::vector<float> numbers(int64_t count, float scale = 1) {
    std::uniform_real_distribution<float> distribution(-scale, scale);
    std::vector<float> result(static_cast<size_t>(count));
    for (float& x : result) x = distribution(random_);
    return result;
  }

  void add_state(int64_t size) {
    case_.spec.state_sizes.push_back(size);
    case_.states.push_back(numbers(size * case_.rows));
  }

  // A buffer of its own for `columns` elements a row: [rows, columns] or, over time, [T, rows,
  // columns], with room around them.
  Stream rows(int64_t columns, bool over_time = true) {
    const int64_t offset = below(4), row_stride = columns + below(3);
    const int64_t time_stride = over_time ? row_stride * case_.rows + below(5) : 0;
    case_.buffers.push_back(
        numbers(offset + time_stride * case_.steps + row_stride * case_.rows + 3));
    return {Stream::Kind::rows, case_.buffers.size() - 1, time_stride, row_stride, offset};
  }
  Stream units(int64_t columns) {
    const int64_t offset = below(4);
    case_.buffers.push_back(numbers(offset + columns));
    return {Stream::Kind::units, case_.buffers.size() - 1, 0, 0, offset};
  }
  static Stream state(size_t index, int64_t offset = 0) {
    return {Stream::Kind::state, index, 0, 0, offset};
  }

  // Weights in ONNX's layout, [gates, units] a row, or with each gate apart.
  Product product(Stream left, int64_t depth, int64_t gates, int64_t units) {
    case_.weights.push_back(
        numbers(depth * gates * units + 1, 1 / std::sqrt(static_cast<float>(depth + 1))));
    const float* data = case_.weights.back().data();
    if (below(2) == 0) return {left, depth, weight_terms(gates, data, gates * units, units)};
    return {left, depth, weight_terms(gates, data, units, depth * units)};
  }

  Case& result() { return case_; }

 private:
  std::mt19937 random_;
  Case case_;
};

Instruction op(Operation operation, int result, int a = 0, int b = 0, int c = 0) {
  return {operation, uint8_t(result), {uint8_t(a), uint8_t(b), uint8_t(c)}};
}

using enum Operation;

struct Sizes {
  int64_t units, depth, rows, steps;
};

// Sizes around the lanes of every target, and what lies beyond one chunk of rows.
std::vector<Sizes> sizes() {
  return {{1, 1, 1, 1},   {3, 2, 1, 5},    {4, 5, 7, 2},   {5, 1, 13, 3},   {7, 7, 4, 3},
          {8, 3, 2, 4},   {9, 13, 17, 2},  {13, 4, 1, 7},  {15, 8, 3, 3},   {16, 16, 1, 6},
          {17, 9, 5, 3},  {31, 7, 6, 2},   {32, 33, 1, 4}, {33, 16, 8, 2},  {64, 17, 1, 3},
          {65, 1, 33, 2}, {100, 40, 1, 3}, {128, 3, 9, 2}, {16, 5, 100, 2}, {130, 20, 1, 2},
          {16, 3, 1, 1},  {33, 5, 1, 1},   {70, 9, 3, 1}};
}

// ONNX's gate order i, o, f, c; x arrives as gates.
Case lstm(const Sizes& s, unsigned seed, bool hoisted) {
  Maker maker(seed);
  Case& c = maker.result();
  c.rows = s.rows, c.steps = s.steps;
  maker.add_state(s.units), maker.add_state(s.units);
  Stage stage{s.units, 4, {maker.product(Maker::state(0), s.units, 4, s.units)}, {}, {}, {}};
  if (hoisted) {
    Stream x = maker.rows(4 * s.units);
    for (int64_t g = 0; g < 4; ++g, x.offset += s.units) stage.inputs.push_back(x);
  } else {
    stage.products.push_back(maker.product(maker.rows(s.depth), s.depth, 4, s.units));
    for (int64_t g = 0; g < 4; ++g) stage.inputs.push_back(maker.units(s.units));
  }
  stage.inputs.push_back(Maker::state(1));
  stage.program = {9,
                   {op(add, 9, 0, 4), op(add, 10, 5, 1), op(add, 11, 2, 6), op(add, 12, 3, 7),
                    op(sigmoid, 13, 9), op(sigmoid, 14, 10), op(sigmoid, 15, 11), op(tanh, 16, 12),
                    op(mul, 17, 15, 8), op(mul, 18, 13, 16), op(add, 19, 18, 17), op(tanh, 20, 19),
                    op(mul, 21, 20, 14)},
                   {21, 19, 21}};
  stage.outputs = {Maker::state(0), Maker::state(1), maker.rows(s.units)};
  c.spec.stages.push_back(stage);
  return std::move(c);
}

// ONNX's gate order z, r, h, linear_before_reset 1; `blend`: h' = n + z (h - n).
Case gru(const Sizes& s, unsigned seed, bool blend) {
  Maker maker(seed);
  Case& c = maker.result();
  c.rows = s.rows, c.steps = s.steps;
  maker.add_state(s.units);
  Stage stage{s.units, 3, {maker.product(Maker::state(0), s.units, 3, s.units)}, {}, {}, {}};
  Stream x = maker.rows(3 * s.units);
  for (int64_t g = 0; g < 3; ++g, x.offset += s.units) stage.inputs.push_back(x);
  stage.inputs.push_back(maker.units(s.units));
  stage.inputs.push_back(Maker::state(0));
  stage.program = {8,
                   {op(add, 8, 0, 3), op(add, 9, 1, 4), op(add, 10, 2, 6), op(sigmoid, 11, 8),
                    op(sigmoid, 12, 9), op(mul, 13, 12, 10), op(add, 14, 13, 5), op(tanh, 15, 14)},
                   {}};
  std::vector<Instruction>& code = stage.program.code;
  if (blend) {
    code.push_back(op(sub, 16, 7, 15));
    code.push_back(op(multiply_add, 17, 16, 11, 15));
    stage.program.outputs = {17, 17};
  } else {
    code.push_back({constant, 16, {}, 1.0F});
    code.push_back(op(sub, 17, 16, 11));
    code.push_back(op(mul, 18, 17, 15));
    code.push_back(op(mul, 19, 11, 7));
    code.push_back(op(add, 20, 18, 19));
    stage.program.outputs = {20, 20};
  }
  stage.outputs = {Maker::state(0), maker.rows(s.units)};
  c.spec.stages.push_back(stage);
  return std::move(c);
}

// The same with the products of x in the stage: those of x and of h are apart in the candidate. The
// gates are z, n of h, r and n of x.
Case gru_of_both_products(const Sizes& s, unsigned seed, bool blend) {
  Maker maker(seed);
  Case& c = maker.result();
  c.rows = s.rows, c.steps = s.steps;
  maker.add_state(s.units);
  Stage stage{s.units, 4, {}, {}, {}, {}};
  const auto add = [&](const Stream& left, int64_t depth, std::ptrdiff_t absent) {
    Product product = maker.product(left, depth, 4, s.units);
    product.weights.erase(product.weights.begin() + absent);
    stage.products.push_back(product);
  };
  if (blend) add(Maker::state(0), s.units, 3);
  add(maker.rows(s.depth), s.depth, 1);
  if (!blend) add(Maker::state(0), s.units, 3);
  for (int64_t g = 0; g < 4; ++g) stage.inputs.push_back(maker.units(s.units));
  stage.inputs.push_back(Maker::state(0));
  stage.program = {
      9,
      {op(Operation::add, 9, 0, 4), op(Operation::add, 10, 1, 5), op(Operation::add, 11, 2, 6),
       op(Operation::add, 12, 3, 7), op(sigmoid, 13, 9), op(sigmoid, 14, 11), op(mul, 15, 14, 10),
       op(Operation::add, 16, 15, 12), op(tanh, 17, 16)},
      {}};
  std::vector<Instruction>& code = stage.program.code;
  if (blend) {
    code.push_back(op(sub, 18, 8, 17));
    code.push_back(op(multiply_add, 19, 18, 13, 17));
    stage.program.outputs = {19, 19};
  } else {
    code.push_back({constant, 18, {}, 1.0F});
    code.push_back(op(sub, 19, 18, 13));
    code.push_back(op(mul, 20, 19, 17));
    code.push_back(op(multiply_add, 21, 13, 8, 20));
    stage.program.outputs = {21, 21};
  }
  stage.outputs = {Maker::state(0), maker.rows(s.units)};
  EXPECT_FALSE(multiplies_zeros(stage));
  Stage padded = stage;
  padded.products[0].weights.pop_back();
  EXPECT_TRUE(multiplies_zeros(padded));
  c.spec.stages.push_back(stage);
  return std::move(c);
}

// linear_before_reset 0: the second stage multiplies r h, which the first one wrote.
Case gru_reset_before(const Sizes& s, unsigned seed) {
  Maker maker(seed);
  Case& c = maker.result();
  c.rows = s.rows, c.steps = s.steps;
  maker.add_state(s.units);
  const Stream reset = maker.rows(s.units, false), update = maker.rows(s.units, false);
  Stream x = maker.rows(3 * s.units);
  Stage first{s.units, 2, {maker.product(Maker::state(0), s.units, 2, s.units)}, {}, {}, {}};
  for (int64_t g = 0; g < 2; ++g, x.offset += s.units) first.inputs.push_back(x);
  first.inputs.push_back(Maker::state(0));
  first.program = {
      5,
      {op(add, 5, 0, 2), op(sigmoid, 6, 5), op(add, 7, 1, 3), op(sigmoid, 8, 7), op(mul, 9, 8, 4)},
      {6, 9}};
  first.outputs = {update, reset};
  Stage second{s.units, 1, {maker.product(reset, s.units, 1, s.units)}, {}, {}, {}};
  second.inputs = {x, update, Maker::state(0)};
  second.program = {4,
                    {op(add, 4, 1, 0),
                     op(tanh, 5, 4),
                     {constant, 6, {}, 1.0F},
                     op(sub, 7, 6, 2),
                     op(mul, 8, 5, 7),
                     op(multiply_add, 9, 3, 2, 8)},
                    {9, 9}};
  second.outputs = {Maker::state(0), maker.rows(s.units)};
  c.spec.stages = {first, second};
  return std::move(c);
}

Case rnn(const Sizes& s, unsigned seed, Operation activation) {
  Maker maker(seed);
  Case& c = maker.result();
  c.rows = s.rows, c.steps = s.steps;
  maker.add_state(s.units);
  Stage stage{s.units, 1, {maker.product(Maker::state(0), s.units, 1, s.units)}, {}, {}, {}};
  stage.inputs = {maker.rows(s.units)};
  stage.program = {2, {op(add, 2, 1, 0), op(activation, 3, 2)}, {3, 3}};
  stage.outputs = {maker.rows(s.units), Maker::state(0)};
  c.spec.stages.push_back(stage);
  return std::move(c);
}

// A recurrence of each unit by itself, without any product: h' = f h + (1 - f) x.
Case elementwise(const Sizes& s, unsigned seed) {
  Maker maker(seed);
  Case& c = maker.result();
  c.rows = s.rows, c.steps = s.steps;
  maker.add_state(s.units);
  Stage stage{s.units, 0, {}, {}, {}, {}};
  stage.inputs = {maker.rows(s.units), maker.rows(s.units), Maker::state(0)};
  stage.program = {
      3, {op(sigmoid, 3, 0), op(sub, 4, 2, 1), op(mul, 5, 3, 4), op(add, 6, 5, 1)}, {6, 6}};
  stage.outputs = {Maker::state(0), maker.rows(s.units)};
  c.spec.stages.push_back(stage);
  return std::move(c);
}

// A matrix product with a bias.
Case projection(const Sizes& s, unsigned seed, int64_t gates) {
  Maker maker(seed);
  Case& c = maker.result();
  c.rows = s.rows * 3;
  Stage stage{s.units, gates, {}, {}, {}, {}};
  stage.products = {maker.product(maker.rows(s.depth), s.depth, gates, s.units)};
  stage.program.inputs = static_cast<size_t>(gates * 2);
  for (int64_t g = 0; g < gates; ++g) {
    stage.inputs.push_back(maker.units(s.units));
    stage.outputs.push_back(maker.rows(s.units));
    stage.program.code.push_back(op(add, int(2 * gates + g), int(g), int(gates + g)));
    stage.program.outputs.push_back(uint8_t(2 * gates + g));
  }
  c.spec.stages.push_back(stage);
  return std::move(c);
}

// A cell that nobody has seen, with streams of all kinds.
Case random_cell(const Sizes& s, unsigned seed) {
  Maker maker(seed);
  Case& c = maker.result();
  c.rows = s.rows, c.steps = s.steps, c.backward = maker.below(2) == 0;
  maker.add_state(2 * s.units), maker.add_state(s.units);
  if (maker.below(2) == 0)
    for (int64_t row = 0; row < s.rows; ++row) c.lengths.push_back(maker.below(s.steps + 1));
  const int64_t gates = 1 + maker.below(6);
  const Stream scratch = maker.rows(s.units, false);
  Stage first{s.units, gates, {}, {}, {}, {}};
  first.products = {maker.product(Maker::state(0, s.units / 2), s.units, gates, s.units)};
  if (maker.below(2) == 0)
    first.products.push_back(maker.product(maker.rows(s.depth), s.depth, gates, s.units));
  first.inputs = {maker.rows(s.units), maker.units(s.units), Maker::state(0), Maker::state(1),
                  maker.rows(s.units, false)};
  const auto grow = [&](Stage& stage, int64_t outputs) {
    int64_t values = stage.gates + static_cast<int64_t>(stage.inputs.size());
    stage.program.inputs = static_cast<size_t>(values);
    const Operation operations[] = {neg, relu, sigmoid, tanh, add,          add,
                                    sub, mul,  add,     mul,  multiply_add, constant};
    const auto value = [&] { return int(maker.below(values)); };
    for (int64_t i = 3 + maker.below(15); i > 0; --i, ++values) {
      Instruction code = op(operations[maker.below(12)], int(values), value(), value(), value());
      if (code.operation == constant) code.alpha = 0.5F;
      stage.program.code.push_back(code);
    }
    // Bounded, so that values stay of order 1 over time.
    for (int64_t i = 0; i < outputs; ++i, ++values) {
      stage.program.code.push_back(
          op(i % 2 == 0 ? tanh : sigmoid, int(values), int(values - i - 1)));
      stage.program.outputs.push_back(uint8_t(values));
    }
  };
  first.outputs = {Maker::state(0), scratch};
  grow(first, 2);
  Stage second{s.units, 1 + maker.below(3), {}, {}, {}, {}};
  second.products = {maker.product(scratch, s.units, second.gates, s.units)};
  second.inputs = {Maker::state(1), scratch, Maker::state(0, s.units)};
  second.outputs = {Maker::state(0, s.units), Maker::state(1), maker.rows(s.units)};
  grow(second, 3);
  c.spec.stages = {first, second};
  return std::move(c);
}

class HighwayRecurrent : public ::testing::TestWithParam<Sizes> {};

void expect_known(const std::string& description, const std::string& name) {
  EXPECT_NE(description.find(", " + name + ";"), std::string::npos) << description;
}

TEST_P(HighwayRecurrent, Lstm) {
  expect_known(check(lstm(GetParam(), 1, true)), "lstm");
  expect_known(check(lstm(GetParam(), 2, false)), "lstm");
}

TEST_P(HighwayRecurrent, Gru) {
  expect_known(check(gru(GetParam(), 3, false)), "gru, reset after");
  expect_known(check(gru(GetParam(), 4, true)), "gru, reset after, blend");
  expect_known(check(gru_of_both_products(GetParam(), 14, false)),
               "gru, reset after, both products");
  expect_known(check(gru_of_both_products(GetParam(), 15, true)),
               "gru, reset after, both products, blend");
  const std::string description = check(gru_reset_before(GetParam(), 5));
  expect_known(description, "gru, reset");
  expect_known(description, "gru, update");
}

TEST_P(HighwayRecurrent, Rnn) {
  expect_known(check(rnn(GetParam(), 6, tanh)), "tanh");
  expect_known(check(rnn(GetParam(), 7, relu)), "relu");
  expect_known(check(rnn(GetParam(), 8, sigmoid)), "sigmoid");
}

TEST_P(HighwayRecurrent, Elementwise) { check(elementwise(GetParam(), 13)); }

TEST_P(HighwayRecurrent, Projection) {
  expect_known(check(projection(GetParam(), 9, 1)), "identity");
  for (const int64_t gates : {2, 3, 4, 5}) check(projection(GetParam(), 10, gates));
}

TEST_P(HighwayRecurrent, RaggedAndBackward) {
  for (const bool backward : {false, true}) {
    Case c = lstm(GetParam(), 11, true);
    c.backward = backward;
    for (int64_t row = 0; row < c.rows; ++row)
      c.lengths.push_back((row * 5 + c.steps) % (c.steps + 1));
    check(c);
    c = gru_reset_before(GetParam(), 12);
    c.backward = backward;
    c.lengths.assign(static_cast<size_t>(c.rows), c.steps - 1);
    c.lengths[0] = 0;
    check(c);
  }
}

TEST_P(HighwayRecurrent, RandomCells) {
  for (unsigned seed = 0; seed < 12 && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    check(random_cell(GetParam(), seed));
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, HighwayRecurrent, ::testing::ValuesIn(sizes()),
                         [](const ::testing::TestParamInfo<Sizes>& tested) {
                           const Sizes& s = tested.param;
                           return "N" + std::to_string(s.units) + "K" + std::to_string(s.depth) +
                                  "B" + std::to_string(s.rows) + "T" + std::to_string(s.steps);
                         });

// Of 20 units one is NaN at the first step; at the second all are, by their products with it.
TEST(HighwayRecurrentValues, NaNSpreads) {
  for (const Operation activation : {tanh, relu, sigmoid}) {
    Case c = rnn({20, 1, 1, 2}, 1, activation);
    c.buffers[0][static_cast<size_t>(c.spec.stages[0].inputs[0].offset) + 19] = NAN;
    for (const int64_t target : targets()) {
      choose_target(target);
      const RecurrentLoop loop(c.spec);
      SCOPED_TRACE(loop.describe());
      const Results results = run(loop, c, 1);
      for (const float x : results.states[0]) EXPECT_TRUE(std::isnan(x)) << x;
    }
  }
  choose_target(0);
}

TEST(HighwayRecurrentSpec, RefusesWhatIsNotConsistent) {
  const Case good = rnn({4, 4, 1, 1}, 1, tanh);
  EXPECT_NO_THROW(RecurrentLoop{good.spec});
  LoopSpec spec = good.spec;
  spec.state_sizes[0] = 5;  // one element that nobody writes
  EXPECT_THROW(RecurrentLoop{spec}, Error);
  spec = good.spec;
  spec.stages[0].outputs[1].buffer = 1;
  EXPECT_THROW(RecurrentLoop{spec}, Error);
  spec = good.spec;
  spec.stages[0].products[0].depth = 5;
  EXPECT_THROW(RecurrentLoop{spec}, Error);
  spec = good.spec;
  spec.stages[0].products[0].weights[0].gate = 1;
  EXPECT_THROW(RecurrentLoop{spec}, Error);
  spec = good.spec;
  spec.stages[0].inputs.pop_back();
  EXPECT_THROW(RecurrentLoop{spec}, Error);
  spec = good.spec;
  spec.stages[0].outputs.pop_back();
  EXPECT_THROW(RecurrentLoop{spec}, Error);
  spec = good.spec;
  spec.stages[0].units = -1;
  EXPECT_THROW(RecurrentLoop{spec}, Error);
}

}  // namespace
}  // namespace refrain::highway
