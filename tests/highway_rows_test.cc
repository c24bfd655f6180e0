// Row programs against a scalar interpreter in double precision, for every SIMD target.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "backends/highway/rows.h"
#include "backends/highway/targets.h"
#include "ir/error.h"
#include "ir/tensor.h"
#include "support/random.h"
#include "support/targets.h"

namespace refrain::highway {
namespace {

using refrain::testing::for_each_target;
using refrain::testing::Random;

double evaluate(Operation operation, double x, double y, double z) {
  switch (operation) {
    case Operation::tanh:
      return std::tanh(x);
    case Operation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Operation::add:
      return x + y;
    case Operation::sub:
      return x - y;
    case Operation::mul:
      return x * y;
    case Operation::multiply_add:
      return x * y + z;
    case Operation::select:
      return x != 0 ? y : z;
    case Operation::less:
      return x < y;
    default:
      throw Error("not tested here");
  }
}

using Row = std::vector<double>;

int64_t width_of(const RowProgram& program, size_t reg) {
  const size_t inputs = program.inputs.size();
  return reg < inputs ? program.inputs[reg].width : program.widths[reg - inputs];
}

void execute(const RowInstruction& i, std::vector<Row>& registers) {
  const auto operand = [&](size_t k) {
    const RowView& view = i.operands[k];
    const Row& from = registers[view.reg];
    Row row;
    for (int64_t j = 0; j < i.width; ++j) {
      row.push_back(from[static_cast<size_t>(view.broadcast ? 0 : view.offset + j)]);
    }
    return row;
  };
  const Row x = i.operation == RowOperation::map && i.map == Operation::constant
                    ? Row(static_cast<size_t>(i.width), static_cast<double>(i.alpha))
                    : operand(0);
  Row result = x;
  switch (i.operation) {
    case RowOperation::copy:
      break;
    case RowOperation::map:
      if (i.map == Operation::constant) break;
      for (size_t j = 0; j < x.size(); ++j) {
        const size_t count = operand_count(i.map);
        result[j] =
            evaluate(i.map, x[j], count > 1 ? operand(1)[j] : 0, count > 2 ? operand(2)[j] : 0);
      }
      break;
    case RowOperation::sum:
      result = {std::accumulate(x.begin(), x.end(), 0.0)};
      break;
    case RowOperation::mean:
      result = {std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size())};
      break;
    case RowOperation::max:
      result = {*std::max_element(x.begin(), x.end())};
      break;
    case RowOperation::min:
      result = {*std::min_element(x.begin(), x.end())};
      break;
    case RowOperation::dot:
    case RowOperation::mean_dot: {
      const Row y = operand(1);
      const double dot = std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
      result = {i.operation == RowOperation::dot ? dot : dot / static_cast<double>(x.size())};
      break;
    }
    case RowOperation::softmax:
    case RowOperation::log_softmax: {
      const double most = *std::max_element(x.begin(), x.end());
      double sum = 0;
      for (const double v : x) sum += std::exp(v - most);
      for (double& v : result) {
        v = i.operation == RowOperation::softmax ? std::exp(v - most) / sum
                                                 : v - most - std::log(sum);
      }
      break;
    }
  }
  Row& to = registers[i.result.reg];
  std::copy(result.begin(), result.end(), to.begin() + i.result.offset);
}

struct Data {
  std::vector<Tensor> inputs;
  std::vector<Tensor> outputs;
  std::vector<void*> pointers;
};

ElementType type_of(RowElement element) {
  switch (element) {
    case RowElement::boolean:
      return ElementType::boolean;
    case RowElement::i32:
      return ElementType::i32;
    case RowElement::i64:
      return ElementType::i64;
    case RowElement::f32:
      break;
  }
  return ElementType::f32;
}

// The outputs of rows [begin, end) in one or two parts, tile by tile.
std::vector<std::vector<double>> run(const RowProgram& program, int64_t rows, int64_t cut,
                                     const std::vector<Tensor>& inputs) {
  const RowKernel kernel(program);
  std::vector<const void*> from;
  for (const Tensor& input : inputs) from.push_back(input.raw());
  std::vector<Tensor> outputs;
  std::vector<void*> to;
  for (const RowOutput& output : program.outputs) {
    outputs.emplace_back(type_of(output.element), std::vector<int64_t>{rows, output.width});
    to.push_back(outputs.back().raw());
  }
  Tensor scratch(ElementType::f32, {kernel.scratch_floats()});
  // Whatever was there before must not matter.
  for (float& x : scratch.data<float>()) x = std::numeric_limits<float>::quiet_NaN();
  kernel.run(0, cut, from.data(), to.data(), scratch.data<float>().data());
  kernel.run(cut, rows, from.data(), to.data(), scratch.data<float>().data());
  std::vector<std::vector<double>> values;
  for (const Tensor& output : outputs) values.push_back(output.view().as_doubles());
  return values;
}

// Runs the program on every target and compares with the oracle. Every value is a function of
// numbers within [-2, 2] without large derivatives: errors of some ulp stay far below 1e-5.
void check(const RowProgram& program, int64_t rows, Random& random, double tolerance = 1e-5) {
  std::vector<Tensor> inputs;
  for (const RowInput& input : program.inputs) {
    inputs.push_back(random.tensor(type_of(input.element), {input.one_row ? 1 : rows, input.width},
                                   input.element == RowElement::f32 ? -1 : -3,
                                   input.element == RowElement::f32 ? 1 : 3));
  }
  std::vector<std::vector<double>> expected(program.outputs.size());
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<Row> registers(program.inputs.size() + program.widths.size());
    for (size_t r = 0; r < registers.size(); ++r) {
      const int64_t width = width_of(program, r);
      registers[r].resize(static_cast<size_t>(width));
      if (r >= inputs.size()) continue;
      const std::vector<double> all = inputs[r].view().as_doubles();
      const int64_t at = program.inputs[r].one_row ? 0 : row * width;
      std::copy_n(all.begin() + at, width, registers[r].begin());
    }
    for (const RowInstruction& i : program.code) execute(i, registers);
    for (size_t o = 0; o < program.outputs.size(); ++o) {
      const RowOutput& output = program.outputs[o];
      const Row& from = registers[output.from.reg];
      for (int64_t j = 0; j < output.width; ++j) {
        const double value = from[static_cast<size_t>(output.from.offset + j)];
        expected[o].push_back(output.element == RowElement::boolean ? value != 0 : value);
      }
    }
  }
  for_each_target([&] {
    for (const int64_t cut : {int64_t{0}, rows / 2}) {
      const auto actual = run(program, rows, cut, inputs);
      for (size_t o = 0; o < actual.size(); ++o) {
        ASSERT_EQ(actual[o].size(), expected[o].size());
        for (size_t j = 0; j < actual[o].size(); ++j) {
          ASSERT_NEAR(actual[o][j], expected[o][j], tolerance)
              << "output " << o << ", element " << j << ", " << rows << " rows";
        }
      }
    }
  });
}

size_t add(RowProgram& program, RowOperation operation, int64_t width,
           std::vector<RowView> operands, Operation map = Operation::constant, float alpha = 0) {
  const bool one = operation >= RowOperation::sum && operation <= RowOperation::mean_dot;
  program.widths.push_back(one ? 1 : width);
  const size_t reg = program.inputs.size() + program.widths.size() - 1;
  RowInstruction instruction{operation, width, {reg}, {}, map, alpha, 0};
  std::copy(operands.begin(), operands.end(), instruction.operands);
  program.code.push_back(instruction);
  return reg;
}

constexpr int64_t kWidths[] = {1,  2,  3,  5,  7,  8,  9,  15,  16, 17,
                               31, 32, 33, 63, 64, 65, 97, 128, 200};

TEST(HighwayRows, ReductionsAndSoftmax) {
  Random random(1);
  for (const int64_t width : kWidths) {
    RowProgram program;
    program.inputs = {{RowElement::f32, width, false}, {RowElement::f32, width, false}};
    for (const RowOperation operation :
         {RowOperation::sum, RowOperation::mean, RowOperation::max, RowOperation::min,
          RowOperation::dot, RowOperation::mean_dot, RowOperation::softmax,
          RowOperation::log_softmax, RowOperation::copy}) {
      const size_t reg = add(program, operation, width, {{0}, {1}});
      program.outputs.push_back({{reg}, width_of(program, reg)});
    }
    // Sums of up to 200 numbers.
    for (const int64_t rows : {1, 3, 70}) check(program, rows, random, 2e-5);
  }
}

TEST(HighwayRows, LayerNormalisationInParts) {
  Random random(2);
  for (const int64_t width : {1, 3, 8, 10, 16, 32, 37}) {
    RowProgram program;
    program.inputs = {{RowElement::f32, 4 * width, false},
                      {RowElement::f32, 4 * width, true},
                      {RowElement::f32, width, false},
                      {RowElement::boolean, 1, false}};
    const size_t mean = add(program, RowOperation::mean, 4 * width, {{0}});
    const size_t centred =
        add(program, RowOperation::map, 4 * width, {{0}, {mean, 0, true}}, Operation::sub);
    const size_t variance = add(program, RowOperation::mean_dot, 4 * width, {{centred}, {centred}});
    std::vector<RowView> parts;
    for (int64_t i = 0; i < 4; ++i) {
      RowView part{centred, i * width}, bias{1, i * width};
      if (width == 1) {
        part = {add(program, RowOperation::copy, 1, {part})};
        bias = {add(program, RowOperation::copy, 1, {bias})};
      }
      const size_t sum = add(program, RowOperation::map, width, {part, {variance, 0, true}, bias},
                             Operation::multiply_add);
      parts.push_back({add(program, RowOperation::map, width, {{sum}},
                           i % 2 ? Operation::tanh : Operation::sigmoid)});
    }
    const size_t product =
        add(program, RowOperation::map, width, {parts[0], parts[1]}, Operation::mul);
    const size_t kept =
        add(program, RowOperation::map, width, {{3, 0, true}, {product}, {2}}, Operation::select);
    const size_t less =
        add(program, RowOperation::map, width, {parts[2], parts[3]}, Operation::less);
    const size_t joined = add(program, RowOperation::copy, width, {{kept}});
    program.widths.back() = 2 * width;
    program.code.push_back(
        {RowOperation::copy, width, {joined, width}, {parts[3]}, Operation::constant, 0, 0});
    program.outputs = {{{kept}, width},
                       {{less}, width, RowElement::boolean},
                       {{joined}, 2 * width},
                       {{centred, width}, 2 * width}};
    for (const int64_t rows : {1, 2, 5, 67}) check(program, rows, random);
  }
}

TEST(HighwayRows, IntegersAndConstants) {
  Random random(3);
  for (const int64_t width : {1, 7, 16}) {
    RowProgram program;
    program.inputs = {{RowElement::i64, width, false}, {RowElement::i32, 1, true}};
    const size_t two = add(program, RowOperation::map, 1, {}, Operation::constant, 2);
    const size_t scaled = add(program, RowOperation::map, width,
                              {{0}, {two, 0, true}, {1, 0, true}}, Operation::multiply_add);
    program.outputs = {{{scaled}, width}, {{two}, 1}};
    for (const int64_t rows : {1, 4, 130}) check(program, rows, random);
  }
}

TEST(HighwayRows, NaNAndInfinities) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const auto first = [](RowOperation operation, std::vector<float> x) {
    RowProgram program;
    const auto width = static_cast<int64_t>(x.size());
    program.inputs = {{RowElement::f32, width, false}};
    add(program, operation, width, {{0}});
    program.outputs = {{{1}, 1}};
    std::vector<Tensor> inputs;
    inputs.push_back(Tensor::of<float>({1, width}, x));
    return run(program, 1, 0, inputs)[0][0];
  };
  for_each_target([&] {
    for (const size_t at : {0, 3, 15, 16, 18}) {
      std::vector<float> x(19, -inf);
      EXPECT_EQ(first(RowOperation::max, x), -inf);
      EXPECT_TRUE(std::isnan(first(RowOperation::softmax, x)));
      x[at] = 2;
      EXPECT_EQ(first(RowOperation::max, x), 2);
      EXPECT_EQ(first(RowOperation::softmax, x), at == 0 ? 1 : 0);
      x[at] = nan;
      EXPECT_TRUE(std::isnan(first(RowOperation::max, x)));
      EXPECT_TRUE(std::isnan(first(RowOperation::min, x)));
      EXPECT_TRUE(std::isnan(first(RowOperation::softmax, x)));
    }
  });
}

TEST(HighwayRows, WrongProgramsAreErrors) {
  RowProgram good;
  good.inputs = {{RowElement::f32, 8, false}};
  add(good, RowOperation::map, 4, {{0, 4}}, Operation::tanh);
  good.outputs = {{{1}, 4}};
  EXPECT_NO_THROW(RowKernel{good});
  const auto bad = [&](const std::function<void(RowProgram&)>& change) {
    RowProgram program = good;
    change(program);
    EXPECT_THROW(RowKernel{program}, Error);
  };
  bad([](RowProgram& p) { p.code[0].operands[0].offset = 5; });
  bad([](RowProgram& p) { p.code[0].operands[0].offset = -1; });
  bad([](RowProgram& p) { p.code[0].operands[0].reg = 1; });
  bad([](RowProgram& p) { p.code[0].operands[0].broadcast = true; });
  bad([](RowProgram& p) { p.code[0].result.reg = 0; });
  bad([](RowProgram& p) { p.widths[0] = 5; });
  bad([](RowProgram& p) { p.widths[0] = 0; });
  bad([](RowProgram& p) { p.outputs[0].width = 5; });
  bad([](RowProgram& p) { p.outputs[0].element = RowElement::i64; });
  bad([](RowProgram& p) { p.inputs[0].width = kMaxRowWidth + 1; });
}

}  // namespace
}  // namespace refrain::highway
