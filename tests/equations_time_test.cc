// The functions of the language that look along time, against values written down.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/equations.h"

namespace refrain {
namespace {

using ::testing::ElementsAre;
using testing::equations_error;
using ::testing::HasSubstr;
using testing::run_equations;

// Three steps of two sequences of one feature: 0 10, 1 11, 2 12.
const std::vector<double> kSteps = {0, 10, 1, 11, 2, 12};

std::vector<double> result_of(const std::string& expression, const std::string& head = "") {
  std::vector<Tensor> inputs;
  inputs.push_back(Tensor::of<double>({3, 2, 1}, kSteps));
  const std::string text = "input x: f64[T, B, 1]\n" + head + "output y = " + expression + "\n";
  return run_equations(text, inputs)[0].tensor->view().as_doubles();
}

TEST(EquationsTime, SequencesOneAfterTheOther) {
  EXPECT_THAT(result_of("sequence(x, last(x), x[1:2, ..])"),
              ElementsAre(0, 10, 1, 11, 2, 12, 2, 12, 1, 11));
  EXPECT_THAT(result_of("sequence(first(x), last(x))"), ElementsAre(0, 10, 2, 12));
  EXPECT_THAT(result_of("sequence(x)"), ElementsAre(0, 10, 1, 11, 2, 12));
  EXPECT_THAT(equations_error("input x: f32[T, B, 3]\ninput v: f32[B, 4]\n"
                              "output y = sequence(x, v)\n"),
              HasSubstr("[4]"));
  EXPECT_THAT(equations_error("input x: f32[T, B, 3]\ninput v: i64[B, 3]\n"
                              "output y = sequence(x, v)\n"),
              HasSubstr("types do not fit in the sequence"));
}

// A step that all sequences of the batch have.
TEST(EquationsTime, StepsWithoutABatch) {
  std::vector<Tensor> inputs;
  inputs.push_back(Tensor::of<double>({2, 2, 1}, std::vector<double>{1, 2, 3, 4}));
  inputs.push_back(Tensor::of<double>({1}, std::vector<double>{9}));
  for (const char* type : {"f64[T, B, 1]", "f64[B, T, 1]"}) {
    const std::vector<RuntimeValue> found = run_equations(
        "input x: " + std::string(type) + "\ninput v: f64[1]\noutput y = sequence(v, x)\n", inputs);
    const bool batch_first = type[4] == 'B';
    EXPECT_EQ(found[0].tensor->view().as_doubles(), batch_first
                                                        ? (std::vector<double>{9, 1, 2, 9, 3, 4})
                                                        : (std::vector<double>{9, 9, 1, 2, 3, 4}))
        << type;
  }
}

TEST(EquationsTime, NumbersOfSteps) {
  EXPECT_THAT(result_of("indices(x)"), ElementsAre(0, 1, 2));
  EXPECT_THAT(result_of("real(indices(x))*x"), ElementsAre(0, 0, 1, 11, 4, 24));
  EXPECT_THAT(result_of("where(indices(x) < 2, x, 0)"), ElementsAre(0, 10, 1, 11, 0, 0));
  EXPECT_THAT(result_of("indices(reverse(x))"), ElementsAre(0, 1, 2));
  EXPECT_THAT(result_of("mod(indices(x), 2)"), ElementsAre(0, 1, 0));
  EXPECT_THAT(equations_error("input x: f32[B, 3]\noutput y = indices(x)\n"),
              HasSubstr("without a time axis"));
}

TEST(EquationsTime, WhatIsLeftOfADivision) {
  EXPECT_THAT(result_of("mod(x - 1, 3)"), ElementsAre(2, 0, 0, 1, 1, 2));
  EXPECT_THAT(result_of("x*K", "const K = mod(-1, 3)\n"), ElementsAre(0, 20, 2, 22, 4, 24));
}

TEST(EquationsTime, Padding) {
  EXPECT_THAT(result_of("pad(x, 1, 2)"), ElementsAre(0, 0, 0, 10, 1, 11, 2, 12, 0, 0, 0, 0));
  EXPECT_THAT(result_of("pad(x, 0, 2, mode = \"reflect\")"),
              ElementsAre(0, 10, 1, 11, 2, 12, 1, 11, 0, 10));
  EXPECT_THAT(result_of("pad(x, before = 1, mode = \"edge\")"),
              ElementsAre(0, 10, 0, 10, 1, 11, 2, 12));
  EXPECT_THAT(equations_error("input x: f32[T, B, 3]\noutput y = pad(x, 1, mode = \"wrap\")\n"),
              HasSubstr("expected zero, reflect or edge"));
  EXPECT_THAT(equations_error("input x: f32[B, 3]\noutput y = pad(x, 1)\n"),
              HasSubstr("without a time axis"));
}

// In cells the functions work on what all steps see.
TEST(EquationsTime, InsideOfCells) {
  std::vector<Tensor> inputs;
  inputs.push_back(Tensor::of<double>({2, 1, 1}, std::vector<double>{1, 1}));
  inputs.push_back(Tensor::of<double>({3, 1, 1}, std::vector<double>{5, 6, 7}));
  const std::vector<RuntimeValue> found = run_equations(R"(
input x: f64[T, B, 1]
input m: f64[S, B, 1]
cell counter(x, n[1]) given m:
  n = n + x
  O: sum(where(real(indices(m)) < n[0], m, 0), over = time)
output y = scan counter over x given m
)",
                                                        inputs);
  EXPECT_THAT(found[0].tensor->view().as_doubles(), ElementsAre(5, 11));
}

}  // namespace
}  // namespace refrain
