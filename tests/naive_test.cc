// The naive baseline gives what the reference backend gives, however its buffers are reused.
#include "backends/naive/naive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/reference/executor.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "support/compare.h"
#include "support/random.h"

namespace refrain {
namespace {

using testing::close;
using ::testing::HasSubstr;
using testing::Random;

constexpr int64_t kMaxBytes = int64_t{1} << 28;

// Runs the graph on both backends, the naive one several times with other inputs in between (what
// is left in a buffer from one run must not show in the next).
void expect_same(const Graph& graph, int threads = 1) {
  Random random(3);
  naive::Executable naive(graph, threads, kMaxBytes);
  for (int run = 0; run < 3; ++run) {
    std::vector<RuntimeValue> inputs;
    for (size_t i = 0; i < graph.input_count(); ++i) {
      const ValueType& type = graph.input(i)->type();
      inputs.emplace_back(random.tensor(type.element, type.shape.extents()));
      naive.set_input(i, *inputs.back().tensor);
    }
    naive.run();
    const std::vector<RuntimeValue> expected = reference::run(graph, inputs);
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(close(naive.output(i), *expected[i].tensor, 1e-5, 1e-6))
          << graph.output_names()[i] << ", run " << run;
    }
  }
}

void expect_same(const std::string& text, int threads = 1) { expect_same(*parse(text), threads); }

std::string shape_text(const std::vector<int64_t>& extents) {
  return to_string(ValueType::tensor(ElementType::f32, Shape::of_extents(extents)));
}

TEST(Naive, ProductsOfEveryGeometry) {
  const std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>> operands = {
      {{3, 4}, {4, 5}},
      {{1, 4}, {4, 5}},
      {{4}, {4, 5}},
      {{3, 4}, {4}},
      {{4}, {4}},
      {{2, 3, 4}, {4, 5}},
      {{2, 3, 4}, {1, 4, 5}},
      {{2, 3, 4}, {2, 4, 5}},
      {{3, 4}, {2, 4, 5}},
      {{1, 3, 4}, {6, 4, 5}},
      {{6, 1, 3, 4}, {2, 4, 5}},
      {{2, 1, 3, 4}, {1, 6, 4, 5}},
      {{4}, {2, 4, 5}},
      {{2, 3, 4}, {4}},
      {{0, 4}, {4, 5}},
      {{3, 0}, {0, 5}},
      {{1, 1}, {1, 1}},
      {{1, 2, 1, 2, 1, 3, 4}, {4, 5}}};
  for (const auto& [a, b] : operands) {
    SCOPED_TRACE(shape_text(a) + " by " + shape_text(b));
    Graph graph;
    Value* x = graph.add_input(ValueType::tensor(ElementType::f32, Shape::of_extents(a)), "a");
    Value* y = graph.add_input(ValueType::tensor(ElementType::f32, Shape::of_extents(b)), "b");
    Builder builder(graph.body());
    // Once by an operand that changes, once by a constant, whose packing may differ.
    Value* constant = builder.constant(Random(5).tensor(ElementType::f32, b));
    Value* const outputs[] = {builder.op(Op::matmul, {x, y}),
                              builder.op(Op::matmul, {x, constant})};
    graph.set_outputs(outputs, {"changing", "constant"});
    expect_same(graph);
    expect_same(graph, 2);
  }
}

TEST(Naive, DoublePrecisionProductsGoToTheReference) {
  expect_same(
      "graph @g (%a: f64[3, 4], %b: f64[4, 2]) {\n"
      "  %y = matmul(%a, %b) : f64[3, 2]\n"
      "  yield \"y\" = %y\n}\n");
}

// Reductions, einsum and scans' padding rely on results that start as zero; buffers that are reused
// do not.
TEST(Naive, ReusedBuffersAreCleared) {
  expect_same(
      "graph @g (%a: f32[4, 4]) {\n"
      "  %axis = constant i64[1] (1)\n"
      "  %b = tanh(%a) : f32[4, 4]\n"
      "  %c = einsum(%b, %b) {equation = \"ij,jk->ik\"} : f32[4, 4]\n"
      "  %d = einsum(%c, %c) {equation = \"ij,kj->ik\"} : f32[4, 4]\n"
      "  %e = einsum(%d, %a) {equation = \"ij,jk->ik\"} : f32[4, 4]\n"
      "  %f = cum_sum(%e, %axis) : f32[4, 4]\n"
      "  %s = reduce_sum(%f, %axis) : f32[4, 1]\n"
      "  yield \"f\" = %f, \"s\" = %s\n}\n");
}

// A result that nobody reads, one that is read late, one that is an output twice, an input and a
// constant that are outputs.
TEST(Naive, LifetimesOfOddResults) {
  expect_same(
      "graph @g (%a: f32[2, 4]) {\n"
      "  %sizes = constant i64[2] (2, 2)\n"
      "  %k = constant f32[2] (1, 2)\n"
      "  %p, %q = split(%a, %sizes) {axis = 1} : f32[2, 2], f32[2, 2]\n"
      "  %unread = tanh(%a) : f32[2, 4]\n"
      "  %b = exp(%p) : f32[2, 2]\n"
      "  %c = add(%b, %b) : f32[2, 2]\n"
      "  %d = mul(%c, %c) : f32[2, 2]\n"
      "  %e = add(%d, %q) : f32[2, 2]\n"
      "  %f = add(%e, %b) : f32[2, 2]\n"
      "  yield \"f\" = %f, \"f2\" = %f, \"d\" = %d, \"a\" = %a, \"k\" = %k\n}\n");
}

std::string error_of(const std::string& text, int64_t max_bytes = kMaxBytes) {
  const std::unique_ptr<Graph> graph = parse(text);
  try {
    naive::Executable naive(*graph, 1, max_bytes);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Naive, SaysWhatItCannotRun) {
  EXPECT_THAT(error_of("graph @g (%x: f32[T, 2]) {\n  yield \"x\" = %x\n}\n"),
              HasSubstr("input x of type f32[T, 2]"));
  EXPECT_THAT(
      error_of("graph @g (%x: f32[5, 2], %h: f32[2]) {\n"
               "  %f, %y = scan state(%s = %h: f32[2]) scanned(%e = %x[0]: f32[2]) stacked([0]) {\n"
               "    %n = add(%s, %e) : f32[2]\n"
               "    yield %n, %n\n"
               "  } : f32[2], f32[5, 2]\n"
               "  yield \"y\" = %y\n}\n"),
      HasSubstr("op scan is left after unrolling"));
  const std::string large =
      "graph @g (%x: f32[1024, 1024]) {\n  %y = tanh(%x) : f32[1024, 1024]\n  yield \"y\" = "
      "%y\n}\n";
  EXPECT_EQ(error_of(large), "no error");
  EXPECT_THAT(error_of(large, 1 << 20), HasSubstr("memory"));
}

TEST(Naive, RefusesInputsOfAnotherShape) {
  const std::unique_ptr<Graph> graph = parse("graph @g (%x: f32[2]) {\n  yield \"x\" = %x\n}\n");
  naive::Executable naive(*graph, 1, kMaxBytes);
  EXPECT_THROW(naive.set_input(0, Tensor(ElementType::f32, {3})), Error);
  EXPECT_THROW(naive.set_input(0, Tensor(ElementType::f64, {2})), Error);
}

}  // namespace
}  // namespace refrain
