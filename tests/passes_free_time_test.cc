// free_time: what gets another length, and what keeps it and why.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "support/pass_run.h"

namespace refrain {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::expect_pass;
using ::testing::HasSubstr;

// The graph is left as it is; returns what the pass says of it.
std::vector<std::string> refusal(const std::string& text) {
  passes::PassContext context;
  std::vector<std::string> notes;
  context.notes = &notes;
  const auto graph = parse(text);
  EXPECT_FALSE(passes::find_pass("free_time")->run(*graph, context)) << print(*graph);
  EXPECT_EQ(print(*graph), print(*parse(text)));
  return notes;
}

std::string sum_of(const std::string& before, const std::string& scanned, const std::string& after,
                   const std::string& result = "%s") {
  return "graph @g (%x: f32[9, B, 3], %h: f32[B, 3]) {\n" + before +
         "  %s, %y = scan state(%a = %h: f32[B, 3]) scanned(%xi = " + scanned +
         "[0]: f32[B, 3]) stacked([0]) {\n"
         "    %n = add(%a, %xi) : f32[B, 3]\n"
         "    yield %n, %n\n"
         "  } : f32[B, 3], f32[9, B, 3]\n" +
         after + "  yield \"r\" = " + result + "\n}";
}

TEST(FreeTime, ScannedInputsGetASymbol) {
  expect_pass({"free_time"}, R"(graph @g (%x: f32[9, B, 3], %h: f32[B, 3]) {
  %i = constant i64[] (8)
  %s, %y = scan state(%a = %h: f32[B, 3]) scanned(%xi = %x[0]: f32[B, 3]) stacked([1]) {
    %n = add(%a, %xi) : f32[B, 3]
    yield %n, %n
  } : f32[B, 3], f32[B, 9, 3]
  %last = gather(%y, %i) {axis = 1} : f32[B, 3]
  yield "s" = %s, "y" = %y, "last" = %last
})",
              R"(graph @g (%x: f32[T, B, 3], %h: f32[B, 3]) {
  %i = constant i64[] (8)
  %s, %y = scan state(%a = %h: f32[B, 3]) scanned(%xi = %x[0]: f32[B, 3]) stacked([1]) {
    %n = add(%a, %xi) : f32[B, 3]
    yield %n, %n
  } : f32[B, 3], f32[B, T, 3]
  %0 = constant i64[] (-1)
  %last = gather(%y, %0) {axis = 1} : f32[B, 3]
  yield "s" = %s, "y" = %y, "last" = %last
})");
}

TEST(FreeTime, AReshapeMayKeepTheStepsAsAnAxis) {
  expect_pass({"free_time"}, R"(graph @g (%x: f32[9, 2, 3], %h: f32[6]) {
  %e = constant i64[2] (9, 6)
  %r = reshape(%x, %e) : f32[9, 6]
  %s = scan state(%a = %h: f32[6]) scanned(%xi = %r[0]: f32[6]) {
    %n = add(%a, %xi) : f32[6]
    yield %n
  } : f32[6]
  yield "s" = %s
})",
              R"(graph @g (%x: f32[T, 2, 3], %h: f32[6]) {
  %e = constant i64[2] (9, 6)
  %0 = constant i64[2] (-1, 6)
  %r = reshape(%x, %0) : f32[T, 6]
  %s = scan state(%a = %h: f32[6]) scanned(%xi = %r[0]: f32[6]) {
    %n = add(%a, %xi) : f32[6]
    yield %n
  } : f32[6]
  yield "s" = %s
})");
}

// Inputs that are read side by side are free together; steps that are counted are counted on.
TEST(FreeTime, InputsSideBySideAndACount) {
  expect_pass({"free_time"}, R"(graph @g (%x: f32[9, 3], %m: f32[9], %h: f32[3]) {
  %t = constant i64[9] (0, 1, 2, 3, 4, 5, 6, 7, 8)
  %s = scan state(%a = %h: f32[3]) scanned(%xi = %x[0]: f32[3], %mi = %m[0]: f32[], %ti = %t[0]: i64[]) {
    %p = mul(%xi, %mi) : f32[3]
    %c = cast(%ti) {to = f32} : f32[]
    %q = add(%p, %c) : f32[3]
    %n = add(%a, %q) : f32[3]
    yield %n
  } : f32[3]
  yield "s" = %s
})",
              R"(graph @g (%x: f32[T, 3], %m: f32[T], %h: f32[3]) {
  %t = constant i64[9] (0, 1, 2, 3, 4, 5, 6, 7, 8)
  %0 = dims() {dims = [T]} : i64[1]
  %1 = constant i64[1] (0)
  %2 = squeeze(%0, %1) : i64[]
  %3 = constant i64[] (0)
  %4 = constant i64[] (1)
  %5 = range(%3, %2, %4) : i64[T]
  %s = scan state(%a = %h: f32[3]) scanned(%xi = %x[0]: f32[3], %mi = %m[0]: f32[], %ti = %5[0]: i64[]) {
    %p = mul(%xi, %mi) : f32[3]
    %c = cast(%ti) {to = f32} : f32[]
    %q = add(%p, %c) : f32[3]
    %n = add(%a, %q) : f32[3]
    yield %n
  } : f32[3]
  yield "s" = %s
})");
}

TEST(FreeTime, WhatDependsOnTheLengthKeepsIt) {
  EXPECT_THAT(refusal(sum_of("", "%x",
                             "  %i = constant i64[] (4)\n"
                             "  %g = gather(%y, %i) : f32[B, 3]\n",
                             "%g")),
              ElementsAre(HasSubstr("a step is read by its number: expected the first or the last "
                                    "steps, found 4 of 9")));
  EXPECT_THAT(refusal(sum_of("", "%x",
                             "  %b = constant i64[1] (0)\n"
                             "  %e = constant i64[1] (5)\n"
                             "  %g = slice(%y, %b, %e, %b) : f32[5, B, 3]\n",
                             "%g")),
              ElementsAre(HasSubstr("a slice ends in the middle")));
  EXPECT_THAT(refusal(sum_of("  %w = constant f32[9, 1, 1] (1, 2, 3, 4, 5, 6, 7, 8, 9)\n"
                             "  %z = mul(%x, %w) : f32[9, B, 3]\n",
                             "%z", "")),
              ElementsAre(HasSubstr("something is there for each of the steps that were traced")));
  EXPECT_THAT(refusal(sum_of("", "%x",
                             "  %c = constant i64[3] splat(3)\n"
                             "  %p, %q, %g = split(%y, %c) {axis = 0} : f32[3, B, 3], "
                             "f32[3, B, 3], f32[3, B, 3]\n",
                             "%g")),
              ElementsAre(HasSubstr("the steps are split")));
}

// Places are along what is read, which may be longer than the inputs; in two or three steps the
// second is near both ends.
TEST(FreeTime, PlacesInWhatHasAnotherLength) {
  const auto text = [](const std::string& steps, const std::string& padded,
                       const std::string& cut) {
    return "graph @g (%x: f32[" + steps + R"(, B, 3], %h: f32[B, 3]) {
  %s, %y = scan state(%a = %h: f32[B, 3]) scanned(%xi = %x[0]: f32[B, 3]) stacked([0]) {
    %n = add(%a, %xi) : f32[B, 3]
    yield %n, %n
  } : f32[B, 3], f32[)" +
           steps + R"(, B, 3]
  %pads = constant i64[2] splat(1)
  %axis = constant i64[1] (0)
  %p = pad(%y, %pads, _, %axis) : f32[)" +
           padded + R"(, B, 3]
  %0 = constant i64[1] (1)
  %1 = constant i64[1] (9223372036854775807)
  %c = slice(%p, %0, %1, %axis) : f32[)" +
           cut + R"(, B, 3]
  yield "c" = %c
})";
  };
  expect_pass({"free_time", "dce", "infer"}, text("2", "4", "3"), text("T", "?", "?"));
  EXPECT_THAT(refusal(text("1", "3", "2")),
              Contains(HasSubstr("a slice begins in the middle: expected the first or the last "
                                 "steps, found 1 of 3")));
}

TEST(FreeTime, NothingToFree) {
  EXPECT_THAT(refusal(R"(graph @g (%x: f32[9, 3]) {
  %y = tanh(%x) : f32[9, 3]
  yield "y" = %y
})"),
              ElementsAre());
}

}  // namespace
}  // namespace refrain
