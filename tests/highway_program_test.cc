// Pointwise programs against a scalar interpreter in double precision, for every SIMD target.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "backends/highway/program.h"
#include "backends/highway/targets.h"
#include "ir/error.h"
#include "support/random.h"
#include "support/targets.h"

namespace refrain::highway {
namespace {

using refrain::testing::for_each_target;
using refrain::testing::Random;
using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr size_t kOperations = static_cast<size_t>(Operation::not_equal) + 1;

double larger(double a, double b) { return b > a || std::isnan(b) ? b : a; }
double smaller(double a, double b) { return b < a || std::isnan(b) ? b : a; }

double evaluate(const Instruction& i, double x, double y, double z) {
  const double alpha = i.alpha, beta = i.beta;
  switch (i.operation) {
    case Operation::constant:
      return alpha;
    case Operation::neg:
      return -x;
    case Operation::abs:
      return std::abs(x);
    case Operation::sign:
      return std::isnan(x) ? x : (x > 0) - (x < 0);
    case Operation::sqrt:
      return std::sqrt(x);
    case Operation::exp:
      return std::exp(x);
    case Operation::log:
      return std::log(x);
    case Operation::erf:
      return std::erf(x);
    case Operation::floor:
      return std::floor(x);
    case Operation::ceil:
      return std::ceil(x);
    case Operation::round:
      return std::nearbyint(x);
    case Operation::sin:
      return std::sin(x);
    case Operation::cos:
      return std::cos(x);
    case Operation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Operation::tanh:
      return std::tanh(x);
    case Operation::relu:
      return x < 0 ? 0 : x;
    case Operation::leaky_relu:
      return x < 0 ? alpha * x : x;
    case Operation::elu:
      return x < 0 ? alpha * std::expm1(x) : x;
    case Operation::selu:
      return beta * (x > 0 ? x : alpha * std::expm1(x));
    case Operation::hard_sigmoid:
      return larger(0, smaller(1, alpha * x + beta));
    case Operation::softplus:
      return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
    case Operation::softsign:
      return x / (1 + std::abs(x));
    case Operation::thresholded_relu:
      return x > alpha ? x : 0;
    case Operation::gelu:
      return x * std::erfc(-x / std::numbers::sqrt2) / 2;
    case Operation::gelu_tanh: {
      const double k = std::sqrt(2 / std::numbers::pi);
      // (1 + tanh(u)) / 2 = 1 / (1 + e^-2u), which keeps its digits below 0.
      return x / (1 + std::exp(-2 * k * (x + 0.044715 * x * x * x)));
    }
    case Operation::reciprocal:
      return 1 / x;
    case Operation::add:
      return x + y;
    case Operation::sub:
      return x - y;
    case Operation::mul:
      return x * y;
    case Operation::div:
      return x / y;
    case Operation::max:
      return larger(x, y);
    case Operation::min:
      return smaller(x, y);
    case Operation::pow:
      return std::pow(x, y);
    case Operation::prelu:
      return x < 0 ? x * y : x;
    case Operation::equal:
      return x == y;
    case Operation::less:
      return x < y;
    case Operation::less_equal:
      return x <= y;
    case Operation::greater:
      return x > y;
    case Operation::greater_equal:
      return x >= y;
    case Operation::multiply_add:
      return x * y + z;
    case Operation::select:
      return x != 0 ? y : z;
    case Operation::logical_not:
      return x == 0;
    case Operation::truth:
      return x != 0;
    case Operation::is_nan:
      return std::isnan(x);
    case Operation::not_equal:
      return x != y;
  }
  throw Error("unknown operation");
}

// What a program's outputs are for one place.
std::vector<double> interpret(const Program& program, const std::vector<float>& inputs) {
  std::vector<double> registers(kMaxRegisters);
  std::copy(inputs.begin(), inputs.end(), registers.begin());
  for (const Instruction& i : program.code) {
    const size_t operands = operand_count(i.operation);
    const auto operand = [&](size_t k) { return k < operands ? registers[i.operands[k]] : 0; };
    registers[i.result] = evaluate(i, operand(0), operand(1), operand(2));
  }
  std::vector<double> outputs;
  for (uint8_t output : program.outputs) outputs.push_back(registers[output]);
  return outputs;
}

// An input of a [rows, columns] space in an array of its own.
struct Input {
  std::vector<float> data;
  int64_t row_stride = 0, column_stride = 0;

  ArrayOperand operand() const { return {data.data(), row_stride, column_stride}; }
  float at(int64_t i, int64_t j) const { return data[i * row_stride + j * column_stride]; }
};

Input random_input(Random& random, int64_t rows, int64_t columns) {
  Input input;
  input.column_stride = random.integer(0, 3) == 0 ? 0 : 1;
  switch (random.integer(0, 3)) {
    case 0:
      input.row_stride = 0;
      break;
    case 1:
      input.row_stride = columns + random.integer(1, 9);
      break;
    default:
      input.row_stride = columns;
      break;
  }
  // Exactly as large as what may be read, so that sanitizers notice more.
  input.data.resize(
      static_cast<size_t>((rows - 1) * input.row_stride + (columns - 1) * input.column_stride + 1));
  for (float& x : input.data) x = static_cast<float>(random.uniform(-1, 1));
  return input;
}

// Runs the program with result rows `gap` elements longer than the columns, which must stay.
std::vector<std::vector<float>> run(const Program& program, int64_t rows, int64_t columns,
                                    const std::vector<Input>& inputs, int64_t gap) {
  check(program);
  const float untouched = 12345.0f;
  std::vector<ArrayOperand> operands;
  for (const Input& input : inputs) operands.push_back(input.operand());
  std::vector<std::vector<float>> results(
      program.outputs.size(),
      std::vector<float>(static_cast<size_t>(rows * (columns + gap)), untouched));
  std::vector<float*> pointers;
  for (auto& result : results) pointers.push_back(result.data());
  const std::vector<int64_t> strides(results.size(), columns + gap);
  run_program(program, rows, columns, operands.data(), pointers.data(), strides.data());
  for (const auto& result : results) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = columns; j < columns + gap; ++j) {
        EXPECT_EQ(result[i * (columns + gap) + j], untouched) << "row " << i;
      }
    }
  }
  return results;
}

// Operations that don't magnify errors, so that programs of any length can be compared.
constexpr Operation kTame[] = {
    Operation::constant, Operation::neg,  Operation::abs,         Operation::sigmoid,
    Operation::tanh,     Operation::relu, Operation::sin,         Operation::cos,
    Operation::erf,      Operation::elu,  Operation::softplus,    Operation::softsign,
    Operation::gelu,     Operation::add,  Operation::sub,         Operation::mul,
    Operation::max,      Operation::min,  Operation::multiply_add};

// Long sums and products are brought back to (-1, 1) by a tanh now and then.
Program random_program(Random& random, size_t inputs, size_t length) {
  Program program;
  program.inputs = inputs;
  std::vector<uint8_t> tame;
  for (size_t i = 0; i < inputs; ++i) tame.push_back(static_cast<uint8_t>(i));
  const auto any = [&] { return tame[random.integer(0, std::ssize(tame) - 1)]; };
  for (size_t k = 0; k + 1 < length; k += 2) {
    Instruction i{};
    i.operation = kTame[random.integer(0, std::ssize(kTame) - 1)];
    i.result = static_cast<uint8_t>(inputs + k);
    for (uint8_t& operand : i.operands) operand = any();
    i.alpha = static_cast<float>(random.uniform(-1, 1));
    program.code.push_back(i);
    program.code.push_back({Operation::tanh, static_cast<uint8_t>(i.result + 1), {i.result, 0, 0}});
    tame.push_back(static_cast<uint8_t>(i.result + 1));
  }
  program.outputs = {any(), tame.back(), any()};
  return program;
}

TEST(HighwayProgram, RandomProgramsAndShapes) {
  const int64_t extents[] = {1,  2,  3,  4,  5,  7,   8,   9,   15, 16,
                             17, 31, 33, 64, 67, 127, 128, 129, 257};
  Random random(7);
  for (int trial = 0; trial < 150; ++trial) {
    const auto inputs = static_cast<size_t>(random.integer(1, 5));
    const auto length = static_cast<size_t>(trial % 10 == 0 ? 120 : random.integer(2, 16));
    const Program program = random_program(random, inputs, length);
    const int64_t rows = extents[random.integer(0, 8)];
    const int64_t columns = extents[random.integer(0, std::ssize(extents) - 1)];
    SCOPED_TRACE("rows " + std::to_string(rows) + ", columns " + std::to_string(columns) + '\n' +
                 to_string(program));
    std::vector<Input> data;
    for (size_t i = 0; i < inputs; ++i) data.push_back(random_input(random, rows, columns));
    const int64_t gap = random.integer(0, 2);
    for_each_target([&] {
      const auto results = run(program, rows, columns, data, gap);
      double worst = 0;
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = 0; j < columns; ++j) {
          std::vector<float> place;
          for (const Input& input : data) place.push_back(input.at(i, j));
          const std::vector<double> expected = interpret(program, place);
          for (size_t k = 0; k < expected.size(); ++k) {
            worst = std::max(worst, std::abs(results[k][i * (columns + gap) + j] - expected[k]));
          }
        }
      }
      // Each instruction adds some 1e-7 to errors that it at most triples, then tanh shrinks them.
      EXPECT_LT(worst, 2e-5);
    });
    if (HasFailure()) return;
  }
}

const std::vector<float>& special_values() {
  static const std::vector<float> values = {
      0.0f,  -0.0f, 1.0f,  -1.0f,      0.5f,       -0.5f,     1.5f,   2.5f,   -2.5f, 3.0f,
      -3.0f, 10.0f, -10.f, 1e-30f,     -1e-30f,    kInfinity, kNaN,   0.25f,  1e30f, -1e30f,
      20.0f, -20.f, 7.75f, -kInfinity, 0.9999999f, 1e-40f,    -87.0f, 100.0f, 8.5e6f};
  return values;
}

bool agree(Operation operation, float found, double expected) {
  if (std::isnan(expected)) return std::isnan(found);
  const auto nearest = static_cast<float>(expected);
  if (std::isinf(nearest)) return found == nearest;
  // Where the argument of e^ is long, its rounding counts.
  const double tolerance = operation == Operation::gelu_tanh ? 1e-5 : 1e-6;
  return std::abs(found - expected) <= tolerance * std::abs(expected) + 1e-38;
}

// Every operation on all triples of values, among them what isn't a number, against the formulas of
// the reference kernels.
TEST(HighwayProgram, EveryOperation) {
  const std::vector<float>& values = special_values();
  const auto n = std::ssize(values);
  for (size_t number = 0; number < kOperations; ++number) {
    const auto operation = static_cast<Operation>(number);
    Program program;
    program.inputs = 3;
    program.code = {{operation, 3, {0, 1, 2}, 0.375f, 0.5f}};
    program.outputs = {3};
    SCOPED_TRACE(to_string(program));
    std::vector<Input> inputs(3, Input{{}, 1, 1});
    for (auto& input : inputs) input.row_stride = n * n * n;
    for (float x : values) {
      for (float y : values) {
        for (float z : values) {
          inputs[0].data.push_back(x);
          inputs[1].data.push_back(y);
          inputs[2].data.push_back(z);
        }
      }
    }
    for_each_target([&] {
      const auto results = run(program, 1, n * n * n, inputs, 0);
      int reported = 0;
      for (int64_t i = 0; i < n * n * n && reported < 3; ++i) {
        const float x = inputs[0].at(0, i), y = inputs[1].at(0, i), z = inputs[2].at(0, i);
        const double expected = evaluate(program.code[0], x, y, z);
        // x * y may be infinite in f32 where x * y + z is not in double.
        if (operation == Operation::multiply_add && std::isinf(x * y)) continue;
        // Where the two cancel, what remains is the rounding of the product.
        if (operation == Operation::multiply_add &&
            std::abs(results[0][i] - expected) <= 1e-7 * std::abs(double{x} * y)) {
          continue;
        }
        if (!agree(operation, results[0][i], expected)) {
          ADD_FAILURE() << "of " << x << ", " << y << ", " << z << ": " << results[0][i]
                        << ", expected " << expected;
          ++reported;
        }
      }
    });
  }
}

// An element's result doesn't depend on where in a tile it lies.
TEST(HighwayProgram, SameBitsAtEveryPlace) {
  Random random(3);
  const Program program = random_program(random, 1, 40);
  for_each_target([&] {
    for (int trial = 0; trial < 10; ++trial) {
      const auto x = static_cast<float>(random.uniform(-1, 1));
      const auto alone = run(program, 1, 1, {Input{{x}, 1, 1}}, 0);
      const auto many = run(program, 7, 61, {Input{{x}, 0, 0}}, 0);
      for (size_t k = 0; k < alone.size(); ++k) {
        for (float y : many[k]) EXPECT_EQ(y, alone[k][0]);
      }
    }
  });
}

// Results in the place of inputs, where each is read before it is overwritten.
TEST(HighwayProgram, InPlace) {
  Program program;
  program.inputs = 2;
  program.code = {{Operation::add, 2, {0, 1}}};
  program.outputs = {1, 2};  // x, y = y, x + y
  for_each_target([&] {
    for (const int64_t columns : {5, 64, 200}) {
      std::vector<float> x(3 * columns), y(3 * columns);
      for (int64_t i = 0; i < 3 * columns; ++i) {
        x[i] = static_cast<float>(i);
        y[i] = static_cast<float>(1000 + 2 * i);
      }
      const ArrayOperand inputs[] = {{x.data(), columns, 1}, {y.data(), columns, 1}};
      float* const results[] = {x.data(), y.data()};
      const int64_t strides[] = {columns, columns};
      run_program(program, 3, columns, inputs, results, strides);
      for (int64_t i = 0; i < 3 * columns; ++i) {
        EXPECT_EQ(x[i], static_cast<float>(1000 + 2 * i));
        EXPECT_EQ(y[i], static_cast<float>(1000 + 3 * i));
      }
    }
  });
}

TEST(HighwayProgram, MostRegistersAndNone) {
  Program program;
  program.code = {{Operation::constant, 0, {}, 1.0f}};
  for (size_t r = 1; r < kMaxRegisters; ++r) {
    const auto last = static_cast<uint8_t>(r - 1);
    program.code.push_back({Operation::add, static_cast<uint8_t>(r), {last, 0}});
  }
  program.outputs = {static_cast<uint8_t>(kMaxRegisters - 1)};
  const Program copies{1, {}, {0, 0}};
  for_each_target([&] {
    const auto sums = run(program, 3, 71, {}, 1);
    EXPECT_EQ(std::count(sums[0].begin(), sums[0].end(), 128.0f), 3 * 71);
    const auto results = run(copies, 1, 3, {Input{{1, 2, 3}, 3, 1}}, 0);
    EXPECT_EQ(results[0], (std::vector<float>{1, 2, 3}));
    EXPECT_EQ(results[1], results[0]);
    EXPECT_EQ(run(copies, 0, 3, {Input{{1, 2, 3}, 3, 1}}, 0)[0].size(), 0u);
  });
}

std::string error_of(const Program& program) {
  try {
    check(program);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

TEST(HighwayProgram, Check) {
  EXPECT_EQ(error_of({1, {{Operation::neg, 1, {0}}}, {1}}), "none");
  EXPECT_THAT(error_of({1, {{Operation::neg, 1, {2}}}, {1}}), HasSubstr("found r2"));
  EXPECT_THAT(error_of({1, {{Operation::add, 1, {0, 1}}}, {1}}), HasSubstr("found r1"));
  EXPECT_THAT(error_of({1, {{Operation::neg, 0, {0}}}, {0}}), HasSubstr("twice"));
  EXPECT_THAT(error_of({1, {{Operation::neg, 1, {0}}, {Operation::neg, 1, {0}}}, {1}}),
              HasSubstr("twice"));
  EXPECT_THAT(error_of({1, {{Operation::neg, 128, {0}}}, {0}}), HasSubstr("found r128"));
  EXPECT_THAT(error_of({1, {{Operation::neg, 1, {200}}}, {1}}), HasSubstr("found r200"));
  EXPECT_THAT(error_of({1, {}, {1}}), HasSubstr("found r1"));
  EXPECT_THAT(error_of({129, {}, {}}), HasSubstr("found 129"));
  EXPECT_THAT(error_of({1, {{static_cast<Operation>(kOperations), 1, {0}}}, {1}}),
              HasSubstr("unknown operation"));
}

TEST(HighwayProgram, ToString) {
  const Program program{2,
                        {{Operation::sigmoid, 2, {0}},
                         {Operation::leaky_relu, 3, {1}, 0.01f},
                         {Operation::constant, 4, {}, 2.5f},
                         {Operation::multiply_add, 5, {2, 3, 4}}},
                        {5, 2}};
  EXPECT_EQ(to_string(program),
            "r2 = sigmoid(r0)\n"
            "r3 = leaky_relu(r1, 0.00999999978)\n"
            "r4 = constant(2.5)\n"
            "r5 = multiply_add(r2, r3, r4)\n"
            "return r5, r2\n");
}

}  // namespace
}  // namespace refrain::highway
