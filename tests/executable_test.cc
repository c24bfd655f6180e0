// Prepared graphs against the reference backend: steps, views, callers.
#include "backends/executable/executable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/error.h"
#include "support/prepared.h"

namespace refrain {
namespace {

using testing::check;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::run;

TEST(Executable, ChainsOfPointwiseOpsAreOneStep) {
  const std::string steps =
      check(R"(graph @g (%x: f32[4, 3, 5], %row: f32[5], %column: f32[4, 3, 1]) {
    %two = constant f32[] (2)
    %a = add(%x, %row) : f32[4, 3, 5]
    %b = mul(%a, %column) : f32[4, 3, 5]
    %c = sigmoid(%b) : f32[4, 3, 5]
    %d = mul(%c, %two) : f32[4, 3, 5]
    %e = sub(%d, %a) : f32[4, 3, 5]
    yield "d" = %d, "e" = %e
  })");
  EXPECT_THAT(steps, HasSubstr("1 steps"));
  EXPECT_THAT(steps, HasSubstr("pointwise [12, 5]"));
}

TEST(Executable, OpsThatDontFitOneProgram) {
  check(R"(graph @g (%x: f32[4, 3, 5], %middle: f32[3, 1], %i: i64[4], %b: bool[4, 3, 5]) {
    %a = mul(%x, %middle) : f32[4, 3, 5]
    %t = tan(%a) : f32[4, 3, 5]
    %w = where(%b, %t, %x) : f32[4, 3, 5]
    %s = exp(%middle) : f32[3, 1]
    %o = add(%w, %s) : f32[4, 3, 5]
    %j = add(%i, %i) : i64[4]
    yield "o" = %o, "j" = %j, "a" = %a
  })");
}

TEST(Executable, GroupsOfOneShapeMerge) {
  const std::string steps = check(R"(graph @g (%x: f32[6, 7], %y: f32[6, 7]) {
    %a = tanh(%x) : f32[6, 7]
    %b = exp(%y) : f32[6, 7]
    %c = add(%a, %b) : f32[6, 7]
    %d = max(%c, %a) : f32[6, 7]
    yield "d" = %d
  })");
  EXPECT_THAT(steps, HasSubstr("1 steps"));
}

TEST(Executable, ProductsTakeTheirEpilogue) {
  const std::string steps = check(R"(graph @g (%x: f32[5, 2, 9], %z: f32[5, 2, 20]) {
    %w = $f32[9, 20]
    %bias = $f32[20]
    %p = matmul(%x, %w) : f32[5, 2, 20]
    %q = add(%p, %bias) : f32[5, 2, 20]
    %r = relu(%q) : f32[5, 2, 20]
    %s = mul(%r, %z) : f32[5, 2, 20]
    yield "s" = %s, "q" = %q
  })");
  EXPECT_THAT(steps, HasSubstr("1 steps"));
}

TEST(Executable, ProductsOfComputedMatrices) {
  check(R"(graph @g (%x: f32[3, 4, 5], %y: f32[3, 5, 2], %v: f32[5]) {
    %p = matmul(%x, %y) : f32[3, 4, 2]
    %q = matmul(%x, %v) : f32[3, 4]
    %w = $f32[5, 3]
    %r = matmul(%v, %w) : f32[3]
    yield "p" = %p, "q" = %q, "r" = %r
  })");
}

TEST(Executable, ViewsCostNothing) {
  const std::string steps = check(R"(graph @g (%x: f32[4, 1, 6]) {
    %shape = constant i64[2] (6, 4)
    %axis = constant i64[1] (1)
    %one = constant i64[1] (1)
    %three = constant i64[1] (3)
    %zero = constant i64[1] (0)
    %last = constant i64[] (-1)
    %a = exp(%x) : f32[4, 1, 6]
    %b = squeeze(%a, %axis) : f32[4, 6]
    %c = transpose(%a) {perm = [1, 0, 2]} : f32[1, 4, 6]
    %d = reshape(%b, %shape) : f32[6, 4]
    %e = slice(%b, %one, %three, %zero) : f32[2, 6]
    %f = gather(%b, %last) : f32[6]
    %g = neg(%e) : f32[2, 6]
    %h = neg(%f) : f32[6]
    %i = neg(%c) : f32[1, 4, 6]
    %j = neg(%d) : f32[6, 4]
    yield "g" = %g, "h" = %h, "i" = %i, "j" = %j
  })");
  EXPECT_THAT(steps, HasSubstr("5 steps"));
}

TEST(Executable, MovesByStrides) {
  const std::string steps = check(R"(graph @g (%x: f32[4, 3, 6], %y: f32[4, 2, 6]) {
    %end = constant i64[1] (-9223372036854775808)
    %begin = constant i64[1] (5)
    %axes = constant i64[1] (2)
    %step = constant i64[1] (-2)
    %shape = constant i64[3] (4, 2, 6)
    %sizes = constant i64[2] (1, 2)
    %a = transpose(%x) {perm = [2, 0, 1]} : f32[6, 4, 3]
    %b = slice(%x, %begin, %end, %axes, %step) : f32[4, 3, 3]
    %c = concat(%x, %y) {axis = 1} : f32[4, 5, 6]
    %d, %e = split(%x, %sizes) {axis = 1} : f32[4, 1, 6], f32[4, 2, 6]
    %f = expand(%d, %shape) : f32[4, 2, 6]
    yield "a" = %a, "b" = %b, "c" = %c, "e" = %e, "f" = %f
  })");
  EXPECT_THAT(steps, Not(HasSubstr("reference")));
}

TEST(Executable, OutputsThatAreInputsConstantsOrTheSame) {
  check(R"(graph @g (%x: f32[2, 3], %y: i64[]) {
    %c = $f32[4]
    %shape = constant i64[1] (6)
    %a = neg(%x) : f32[2, 3]
    %b = reshape(%a, %shape) : f32[6]
    yield "x" = %x, "y" = %y, "c" = %c, "a" = %a, "a2" = %a, "b" = %b
  })");
}

TEST(Executable, EmptyTensors) {
  check(R"(graph @g (%x: f32[0, 3], %y: f32[2, 0]) {
    %w = $f32[3, 4]
    %a = matmul(%x, %w) : f32[0, 4]
    %b = tanh(%a) : f32[0, 4]
    %c = matmul(%y, %x) : f32[2, 3]
    %d = exp(%c) : f32[2, 3]
    yield "b" = %b, "d" = %d
  })");
}

TEST(Executable, RefusesWhatItCannotRun) {
  const auto refused = [](const std::string& text, const std::string& part) {
    std::string why;
    EXPECT_FALSE(PreparedGraph::supports(*parse(text), &why));
    EXPECT_THAT(why, HasSubstr(part));
    EXPECT_THROW(PreparedGraph(*parse(text), {}), Error);
  };
  refused(R"(graph @g (%x: f32[T]) { %y = exp(%x) : f32[T] yield "y" = %y })", "f32[T]");
  refused(R"(graph @g (%x: f32[2], %n: i64[]) {
    %h = scan trips(%n) state(%s = %x: f32[2]) {
      %e = neg(%s) : f32[2]
      yield %e
    } : f32[2]
    yield "h" = %h
  })",
          "number of steps");
  refused(R"(graph @g (%x: f32[2], %n: i64[], %c: bool[]) {
    %h = loop trips(%n) while(%c) iteration(%i) state(%s = %x: f32[2]) {
      %t = constant bool[] (true)
      yield %t, %s
    } : f32[2]
    yield "h" = %h
  })",
          "loop");
}

TEST(Executable, ChecksItsCaller) {
  const auto graph = parse(R"(graph @g (%x: f32[2, 3]) {
    %y = exp(%x) : f32[2, 3]
    yield "y" = %y
  })");
  PreparedGraph prepared(*graph, {});
  std::vector<Tensor> outputs = prepared.make_outputs();
  const Tensor right(ElementType::f32, {2, 3}), wrong(ElementType::f32, {3, 2}),
      other(ElementType::i32, {2, 3});
  const auto run_on = [&](std::vector<const Tensor*> inputs) { prepared.run(inputs, outputs); };
  EXPECT_NO_THROW(run_on({&right}));
  EXPECT_THROW(run_on({&wrong}), Error);
  EXPECT_THROW(run_on({&other}), Error);
  EXPECT_THROW(run_on({&right, &right}), Error);
  outputs.clear();
  EXPECT_THROW(run_on({&right}), Error);
}

TEST(Executable, RunsOnWhatWasBound) {
  const auto graph = parse(R"(graph @g (%x: f32[2]) {
    %y = neg(%x) : f32[2]
    yield "y" = %y
  })");
  PreparedGraph prepared(*graph, {});
  EXPECT_THROW(prepared.run(), Error);
  Tensor x(ElementType::f32, {2});
  const std::vector<const Tensor*> inputs = {&x};
  std::vector<Tensor> outputs = prepared.make_outputs();
  prepared.bind(inputs, outputs);
  for (const float value : {1.0F, 2.0F}) {
    x.data<float>()[1] = value;
    prepared.run();
    EXPECT_EQ(outputs[0].data<float>()[1], -value);
  }
  // Refused tensors leave what was bound.
  const Tensor wrong(ElementType::f32, {3});
  const std::vector<const Tensor*> refused = {&wrong};
  EXPECT_THROW(prepared.bind(refused, outputs), Error);
  x.data<float>()[1] = 3;
  prepared.run();
  EXPECT_EQ(outputs[0].data<float>()[1], -3);
}

TEST(Executable, MemoryIsBounded) {
  const auto graph = parse(R"(graph @g (%x: f32[1000]) {
    %y = tan(%x) : f32[1000]
    %z = tan(%y) : f32[1000]
    yield "z" = %z
  })");
  EXPECT_EQ(PreparedGraph(*graph, {.max_bytes = 8192}).arena_bytes(), 4032);
  EXPECT_THROW(PreparedGraph(*graph, {.max_bytes = 1000}), Error);
}

// Elements that decide shapes are checked when they come.
TEST(Executable, IndicesAreChecked) {
  const auto graph = parse(R"(graph @g (%x: f32[4, 2], %i: i64[3]) {
    %y = gather(%x, %i) : f32[3, 2]
    yield "y" = %y
  })");
  PreparedGraph prepared(*graph, {});
  std::vector<Tensor> inputs;
  inputs.emplace_back(ElementType::f32, std::vector<int64_t>{4, 2});
  inputs.push_back(Tensor::of_ints(std::vector<int64_t>{0, 3, -4}));
  EXPECT_NO_THROW(run(prepared, inputs));
  inputs[1].data<int64_t>()[1] = 4;
  EXPECT_THROW(run(prepared, inputs), Error);
}

// The headers by which kernels that take tensors work in the arena.
TEST(Executable, BorrowedTensorsOwnNothing) {
  float first[6] = {1, 2, 3, 4, 5, 6}, second[6] = {};
  Tensor header = Tensor::borrow(ElementType::f32, {2, 3}, first);
  EXPECT_EQ(header.data<float>()[4], 5);
  const Tensor copy = header.clone();
  header.data<float>()[4] = 7;
  EXPECT_EQ(first[4], 7);
  EXPECT_EQ(copy.data<float>()[4], 5);
  header.rebind(second);
  EXPECT_EQ(header.raw(), second);
  Tensor moved = std::move(header);
  EXPECT_EQ(moved.raw(), second);
  moved = copy.clone();  // the borrowed elements stay where they are
  EXPECT_EQ(moved.data<float>()[4], 5);
  EXPECT_THROW(Tensor::borrow(ElementType::f32, {-1}, first), Error);
}

}  // namespace
}  // namespace refrain
