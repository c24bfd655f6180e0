// Loops become scans, as text and in numbers; where that would change what is read, they stay.
#include <gmock/gmock.h>

#include "support/pass_numbers.h"

namespace refrain::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The text after the pass and what follows it in the pipeline; the results of random inputs stay.
std::string converted(const std::string& text) {
  return print(*expect_numbers_stay(
      {"loop_to_scan", "simplify_shapes", "simplify_algebra", "cse", "dce"}, text, 1e-12));
}

// A loop over x: f64[5, 3] with a state that adds up what the body (`lines`, its result %s) makes.
std::string summing(const std::string& lines, const std::string& trips = "5",
                    const std::string& before = "") {
  return R"(graph @g (%x: f64[5, 3], %h: f64[3]) {
  %n = constant i64[] ()" +
         trips + R"()
  %true = constant bool[] (true)
)" + before +
         R"(  %last, %all = loop trips(%n) while(%true) iteration(%i) invariant(%u = %x: f64[5, 3]) state(%a = %h: f64[3]) {
    %go = constant bool[] (true)
)" + lines +
         R"(    %next = add(%a, %s) : f64[3]
    yield %go, %next, %next
  } : f64[3], f64[?, 3]
  yield "last" = %last, "all" = %all
}
)";
}

TEST(LoopToScan, ReadsSlicesByTheIteration) {
  expect_pass({"loop_to_scan", "dce"}, summing("    %s = gather(%u, %i) : f64[3]\n"),
              R"(graph @g (%x: f64[5, 3], %h: f64[3]) {
  %last, %all = scan state(%a = %h: f64[3]) scanned(%s = %x[0]: f64[3]) stacked([0]) {
    %next = add(%a, %s) : f64[3]
    yield %next, %next
  } : f64[3], f64[5, 3]
  yield "last" = %last, "all" = %all
}
)");
}

TEST(LoopToScan, ReadsOtherAxesAndOneElementTensorsOfIndices) {
  for (const char* lines : {
           "    %z = constant i64[1] (0)\n    %j = unsqueeze(%i, %z) : i64[1]\n"
           "    %t = gather(%u, %j) : f64[1, 3]\n    %s = squeeze(%t, %z) : f64[3]\n",
           "    %z = constant i64[1] (0)\n    %o = constant i64[] (1)\n"
           "    %j = unsqueeze(%i, %z) : i64[1]\n    %k = add(%i, %o) : i64[]\n"
           "    %e = unsqueeze(%k, %z) : i64[1]\n"
           "    %t = slice(%u, %j, %e, %z) : f64[1, 3]\n    %s = squeeze(%t, %z) : f64[3]\n",
           "    %t = transpose(%u) {perm = [1, 0]} : f64[3, 5]\n"
           "    %s = gather(%t, %i) {axis = 1} : f64[3]\n",
       }) {
    const std::string after = converted(summing(lines));
    EXPECT_THAT(after, HasSubstr("scanned("));
    EXPECT_THAT(after, Not(HasSubstr("iteration")));
    EXPECT_THAT(after, Not(HasSubstr("gather")));
    EXPECT_THAT(after, Not(HasSubstr("squeeze")));
    EXPECT_THAT(after, Not(HasSubstr("range")));
  }
}

TEST(LoopToScan, ReadsBackward) {
  for (const char* lines : {
           "    %o = constant i64[] (4)\n    %j = sub(%o, %i) : i64[]\n"
           "    %s = gather(%u, %j) : f64[3]\n",
           "    %o = constant i64[] (-1)\n    %j = sub(%o, %i) : i64[]\n"
           "    %s = gather(%u, %j) : f64[3]\n",
       }) {
    EXPECT_THAT(converted(summing(lines)), HasSubstr("scanned(%s = %x[0 reverse]: f64[3])"));
  }
}

// Fewer iterations than slices, from the front, from within and backward.
TEST(LoopToScan, ReadsAPartOfTheAxis) {
  EXPECT_THAT(converted(summing("    %s = gather(%u, %i) : f64[3]\n", "3")),
              HasSubstr(": f64[3, 3]"));
  const std::string shifted =
      "    %o = constant i64[] (2)\n    %j = add(%i, %o) : i64[]\n    %s = gather(%u, %j) : "
      "f64[3]\n";
  EXPECT_THAT(converted(summing(shifted, "3")), HasSubstr("slice"));
  const std::string backward =
      "    %o = constant i64[] (3)\n    %j = sub(%o, %i) : i64[]\n    %s = gather(%u, %j) : "
      "f64[3]\n";
  EXPECT_THAT(converted(summing(backward, "3")), HasSubstr("reverse"));
}

// What wraps around, or is out of range in some iteration, is read as it was.
TEST(LoopToScan, KeepsReadsThatNoSliceGives) {
  for (const char* index : {"add(%i, %o)", "sub(%i, %o)", "mul(%i, %o)", "neg(%i)"}) {
    const std::string lines = "    %o = constant i64[] (1)\n    %j = " + std::string(index) +
                              " : i64[]\n    %s = gather(%u, %j) : f64[3]\n";
    const auto graph = parse(summing(lines));
    run_pass(*graph, "loop_to_scan", FoldingContext());
    EXPECT_THAT(print(*graph), HasSubstr("gather(%u")) << index;
  }
  // A slice past the end is empty and no error.
  const std::string after = converted(R"(graph @g (%x: f64[5, 3]) {
  %n = constant i64[] (7)
  %true = constant bool[] (true)
  %zero = constant f64[] (0)
  %last = loop trips(%n) while(%true) iteration(%i) invariant(%u = %x: f64[5, 3]) state(%a = %zero: f64[]) {
    %z = constant i64[1] (0)
    %o = constant i64[] (1)
    %j = unsqueeze(%i, %z) : i64[1]
    %k = add(%i, %o) : i64[]
    %e = unsqueeze(%k, %z) : i64[1]
    %t = slice(%u, %j, %e, %z) : f64[?, 3]
    %axes = constant i64[2] (0, 1)
    %s = reduce_sum(%t, %axes) {keep_dims = false} : f64[]
    %next = add(%a, %s) : f64[]
    %go = constant bool[] (true)
    yield %go, %next
  } : f64[]
  yield "last" = %last
}
)");
  EXPECT_THAT(after, HasSubstr("slice"));
  EXPECT_THAT(after, HasSubstr("range"));
}

// Numbers at the ends of their range.
TEST(LoopToScan, NothingOverflows) {
  for (const char* offset :
       {"9223372036854775807", "-9223372036854775808", "4611686018427387904"}) {
    for (const char* index : {"add(%i, %o)", "sub(%i, %o)", "sub(%o, %i)"}) {
      const auto graph = parse(R"(graph @g (%x: f32[?], %h: f32[], %n: i64[]) {
  %true = constant bool[] (true)
  %t_last, %last = loop trips(%n) while(%true) iteration(%i) invariant(%u = %x: f32[?]) state(%t = %n: i64[], %a = %h: f32[]) {
    %o = constant i64[] ()" + std::string(offset) +
                               R"()
    %j = )" + index + R"( : i64[]
    %s = gather(%u, %j) : f32[]
    %t_next = add(%t, %o) : i64[]
    %next = add(%a, %s) : f32[]
    %go = less(%t_next, %o) : bool[]
    yield %go, %t_next, %next
  } : i64[], f32[]
  yield "last" = %last
}
)");
      run_pass(*graph, "loop_to_scan", FoldingContext());
      EXPECT_THAT(print(*graph), HasSubstr("gather")) << offset << " " << index;
    }
  }
}

TEST(LoopToScan, TheNumberOfTheIterationIsScanned) {
  const std::string after =
      converted(summing("    %f = cast(%i) {to = f64} : f64[]\n    %t = gather(%u, %i) : f64[3]\n"
                        "    %s = mul(%t, %f) : f64[3]\n"));
  EXPECT_THAT(after, HasSubstr("range("));
  EXPECT_THAT(after, HasSubstr("%x[0]: f64[3]"));
}

TEST(LoopToScan, RunsNeverForATripCountBelowZero) {
  EXPECT_THAT(converted(summing("    %s = gather(%u, %i) : f64[3]\n", "-4")), HasSubstr("scan"));
}

// A trip count that is computed: the scan keeps it, and reads as much as it says.
TEST(LoopToScan, TripCountOfTheRun) {
  const std::string text = R"(graph @g (%x: f64[5, 3], %h: f64[3], %n: i64[]) {
  %true = constant bool[] (true)
  %last, %all = loop trips(%n) while(%true) iteration(%i) invariant(%u = %x: f64[5, 3]) state(%a = %h: f64[3]) {
    %go = constant bool[] (true)
    %s = gather(%u, %i) : f64[3]
    %next = add(%a, %s) : f64[3]
    yield %go, %next, %next
  } : f64[3], f64[?, 3]
  yield "last" = %last, "all" = %all
}
)";
  const auto before = parse(text), after = parse(text);
  run_pass(*after, "loop_to_scan", FoldingContext());
  EXPECT_THAT(print(*after), HasSubstr("scan trips("));
  EXPECT_THAT(print(*after), Not(HasSubstr("gather")));
  auto inputs = random_inputs(*parse("graph @g (%x: f64[5, 3], %h: f64[3]) {\n yield\n}\n"));
  inputs.emplace_back();
  for (int64_t n : {-1, 0, 1, 4, 5}) {
    inputs.back() = RuntimeValue(Tensor::scalar(n));
    expect_same_results(*after, *before, inputs);
  }
  inputs.back() = RuntimeValue(Tensor::scalar(int64_t{6}));
  EXPECT_THROW(reference::run(*before, inputs), Error);
  EXPECT_THROW(reference::run(*after, inputs), Error);
}

// The trip count is the extent of what is scanned, by name.
TEST(LoopToScan, TripCountOfAShape) {
  expect_pass({"simplify_shapes", "loop_to_scan", "dce"},
              R"(graph @g (%x: f32[T, B, 4], %h: f32[B, 4]) {
  %shape = shape(%x) : i64[3]
  %zero = constant i64[] (0)
  %n = gather(%shape, %zero) : i64[]
  %true = constant bool[] (true)
  %e = sequence_empty() : seq<f32[B, 4]>
  %last, %q = loop trips(%n) while(%true) iteration(%i) invariant(%u = %x: f32[T, B, 4], %m = %n: i64[]) state(%a = %h: f32[B, 4], %l = %e: seq<f32[B, 4]>) {
    %go = constant bool[] (true)
    %o = constant i64[] (1)
    %top = sub(%m, %o) : i64[]
    %j = sub(%top, %i) : i64[]
    %s = gather(%u, %j) : f32[B, 4]
    %next = add(%a, %s) : f32[B, 4]
    %r = sequence_insert(%l, %next) : seq<f32[B, 4]>
    yield %go, %next, %r
  } : f32[B, 4], seq<f32[B, 4]>
  %y = concat_from_sequence(%q) {axis = 1, new_axis = true} : f32[B, ?, 4]
  yield "last" = %last, "y" = %y
}
)",
              R"(graph @g (%x: f32[T, B, 4], %h: f32[B, 4]) {
  %last, %y = scan state(%a = %h: f32[B, 4]) scanned(%s = %x[0 reverse]: f32[B, 4]) stacked([1]) {
    %next = add(%a, %s) : f32[B, 4]
    yield %next, %next
  } : f32[B, 4], f32[B, T, 4]
  yield "last" = %last, "y" = %y
}
)");
}

// Loops that end by comparing the iteration, or a state that counts.
TEST(LoopToScan, ConditionsThatOnlyCount) {
  const auto text = [](const std::string& comparison, const std::string& trips) {
    return "graph @g (%x: f64[9, 2], %h: f64[2]) {\n  %n = constant i64[] (" + trips + R"()
  %true = constant bool[] (true)
  %last, %all = loop trips(%n) while(%true) iteration(%i) invariant(%u = %x: f64[9, 2]) state(%a = %h: f64[2]) {
    %two = constant i64[] (2)
    %j = add(%i, %two) : i64[]
    %k = constant i64[] (6)
    %go = )" +
           comparison +
           R"( : bool[]
    %s = gather(%u, %i) : f64[2]
    %next = add(%a, %s) : f64[2]
    yield %go, %next, %next
  } : f64[2], f64[?, 2]
  yield "last" = %last, "all" = %all
}
)";
  };
  const std::pair<const char*, const char*> cases[] = {
      {"less(%i, %k)", "f64[7, 2]"},          {"less_equal(%i, %k)", "f64[8, 2]"},
      {"less(%j, %k)", "f64[5, 2]"},          {"greater(%k, %j)", "f64[5, 2]"},
      {"greater_equal(%k, %j)", "f64[6, 2]"}, {"less(%j, %two)", "f64[1, 2]"},
  };
  for (const auto& [comparison, type] : cases) {
    const std::string after = converted(text(comparison, "9223372036854775807"));
    EXPECT_THAT(after, HasSubstr("scan"));
    EXPECT_THAT(after, HasSubstr(type)) << comparison;
  }
  EXPECT_THAT(converted(text("less(%i, %k)", "3")), HasSubstr("f64[3, 2]"));
  // Goes on while the iteration is high: ends after the first.
  const auto graph = parse(text("less(%k, %i)", "9223372036854775807"));
  run_pass(*graph, "loop_to_scan", FoldingContext());
  EXPECT_THAT(print(*graph), HasSubstr("loop"));
}

TEST(LoopToScan, WhileACounterIsBelowAnExtent) {
  expect_pass({"simplify_shapes", "loop_to_scan", "dce"},
              R"(graph @g (%x: f32[T, 4], %h: f32[4]) {
  %shape = shape(%x) : i64[2]
  %zero = constant i64[] (0)
  %m = gather(%shape, %zero) : i64[]
  %n = constant i64[] (9223372036854775807)
  %first = less(%zero, %m) : bool[]
  %t_last, %last = loop trips(%n) while(%first) iteration(%i) invariant(%u = %x: f32[T, 4], %v = %m: i64[]) state(%t = %zero: i64[], %a = %h: f32[4]) {
    %s = gather(%u, %t) : f32[4]
    %next = add(%a, %s) : f32[4]
    %o = constant i64[] (1)
    %t_next = add(%t, %o) : i64[]
    %go = less(%t_next, %v) : bool[]
    yield %go, %t_next, %next
  } : i64[], f32[4]
  yield "last" = %last
}
)",
              R"(graph @g (%x: f32[T, 4], %h: f32[4]) {
  %last = scan state(%a = %h: f32[4]) scanned(%s = %x[0]: f32[4]) {
    %next = add(%a, %s) : f32[4]
    yield %next
  } : f32[4]
  yield "last" = %last
}
)");
}

// A condition from before the loop that stays what it is.
TEST(LoopToScan, RunsIfAConditionSaysSo) {
  const std::string text = R"(graph @g (%x: f64[5, 3], %h: f64[3], %c: bool[]) {
  %n = constant i64[] (5)
  %last = loop trips(%n) while(%c) iteration(%i) invariant(%u = %x: f64[5, 3], %go = %c: bool[]) state(%a = %h: f64[3]) {
    %s = gather(%u, %i) : f64[3]
    %next = add(%a, %s) : f64[3]
    yield %go, %next
  } : f64[3]
  yield "last" = %last
}
)";
  const auto before = parse(text), after = parse(text);
  run_pass(*after, "loop_to_scan", FoldingContext());
  EXPECT_THAT(print(*after), HasSubstr("scan trips("));
  auto inputs = random_inputs(*parse("graph @g (%x: f64[5, 3], %h: f64[3]) {\n yield\n}\n"));
  inputs.emplace_back();
  for (bool c : {false, true}) {
    inputs.back() = RuntimeValue(Tensor::scalar(c));
    expect_same_results(*after, *before, inputs);
  }
}

TEST(LoopToScan, StatesThatArePassedOnAreInvariants) {
  const std::string after = converted(R"(graph @g (%x: f64[5, 3], %h: f64[3], %w: f64[3]) {
  %n = constant i64[] (5)
  %true = constant bool[] (true)
  %last, %same = loop trips(%n) while(%true) iteration(%i) invariant(%u = %x: f64[5, 3]) state(%a = %h: f64[3], %k = %w: f64[3]) {
    %go = constant bool[] (true)
    %s = gather(%u, %i) : f64[3]
    %p = mul(%s, %k) : f64[3]
    %next = add(%a, %p) : f64[3]
    yield %go, %next, %k
  } : f64[3], f64[3]
  yield "last" = %last, "same" = %same
}
)");
  EXPECT_THAT(after, HasSubstr("invariant(%k = %w"));
  EXPECT_THAT(after, HasSubstr("\"same\" = %w"));
}

TEST(LoopToScan, DataDependentEndsStayLoops) {
  expect_unchanged("loop_to_scan", R"(graph @g (%x: f32[5], %h: f32[]) {
  %n = constant i64[] (5)
  %true = constant bool[] (true)
  %last, %all = loop trips(%n) while(%true) iteration(%i) invariant(%u = %x: f32[5]) state(%a = %h: f32[]) {
    %s = gather(%u, %i) : f32[]
    %next = add(%a, %s) : f32[]
    %k = constant f32[] (3)
    %go = less(%next, %k) : bool[]
    yield %go, %next, %next
  } : f32[], f32[?]
  yield "last" = %last, "all" = %all
}
)");
}

// A loop that is to run into the limit of iterations stays one.
TEST(LoopToScan, EndlessLoopsStayLoops) {
  expect_unchanged("loop_to_scan", R"(graph @g (%h: f32[]) {
  %n = constant i64[] (4611686018427387904)
  %true = constant bool[] (true)
  %last = loop trips(%n) while(%true) iteration(%i) state(%a = %h: f32[]) {
    %next = neg(%a) : f32[]
    %go = constant bool[] (true)
    yield %go, %next
  } : f32[]
  yield "last" = %last
}
)");
}

// A loop that builds a sequence; `after` reads it.
std::string collecting(const std::string& element, const std::string& sequence,
                       const std::string& after, const std::string& position = "") {
  return R"(graph @g (%x: f64[4, 2, 3]) {
  %n = constant i64[] (4)
  %true = constant bool[] (true)
  %e = sequence_empty() {element = f64} : seq<)" +
         sequence + R"(>
  %q = loop trips(%n) while(%true) iteration(%i) invariant(%u = %x: f64[4, 2, 3]) state(%l = %e: seq<)" +
         sequence + R"(>) {
    %go = constant bool[] (true)
    %s = gather(%u, %i) : f64[2, 3]
)" + element +
         "    %r = sequence_insert(%l, %v" + position + ") : seq<" + sequence + R"(>
    yield %go, %r
  } : seq<)" +
         sequence + ">\n" + after + "}\n";
}

std::string concatenated(int axis, bool new_axis, const std::string& type) {
  return "  %y = concat_from_sequence(%q) {axis = " + std::to_string(axis) +
         (new_axis ? ", new_axis = true} : " : "} : ") + type + "\n  yield \"y\" = %y\n";
}

TEST(LoopToScan, SequencesBecomeStackedResults) {
  const std::string element = "    %v = tanh(%s) : f64[2, 3]\n";
  const std::tuple<int, std::string, std::string> stacked[] = {
      {0, "f64[?, 2, 3]", "stacked([0])"},
      {1, "f64[2, ?, 3]", "stacked([1])"},
      {2, "f64[2, 3, ?]", "stacked([2])"},
      {-1, "f64[2, 3, ?]", "stacked([2])"},
  };
  for (const auto& [axis, type, slot] : stacked) {
    const std::string after =
        converted(collecting(element, "f64[2, 3]", concatenated(axis, true, type)));
    EXPECT_THAT(after, Not(HasSubstr("sequence")));
    EXPECT_THAT(after, Not(HasSubstr("transpose")));
    EXPECT_THAT(after, HasSubstr(slot));
  }
  const std::tuple<int, std::string, std::string> joined[] = {{0, "f64[?, 3]", ": f64[8, 3]"},
                                                              {1, "f64[2, ?]", ": f64[2, 12]"}};
  for (const auto& [axis, type, whole] : joined) {
    const std::string after =
        converted(collecting(element, "f64[2, 3]", concatenated(axis, false, type)));
    EXPECT_THAT(after, Not(HasSubstr("sequence")));
    EXPECT_THAT(after, HasSubstr(whole));
  }
  const std::string after =
      converted(collecting(element, "f64[2, 3]",
                           "  %k = constant i64[] (-1)\n  %y = sequence_at(%q, %k) : f64[2, 3]\n"
                           "  %c = sequence_length(%q) : i64[]\n"
                           "  yield \"y\" = %y, \"c\" = %c\n"));
  EXPECT_THAT(after, Not(HasSubstr("sequence")));
}

// x.unbind(axis), whose elements a loop reads one by one.
TEST(LoopToScan, SequencesOfSlicesAreTheTensor) {
  const auto text = [](const std::string& split, const std::string& element) {
    return R"(graph @g (%x: f32[B, T, 4], %h: f32[B, 4]) {
  %q = split_to_sequence(%x) {axis = 1)" +
           split + "} : seq<" + element + R"(>
  %n = sequence_length(%q) : i64[]
  %true = constant bool[] (true)
  %last = loop trips(%n) while(%true) iteration(%i) invariant(%r = %q: seq<)" +
           element + R"(>) state(%a = %h: f32[B, 4]) {
    %go = constant bool[] (true)
    %e = sequence_at(%r, %i) : )" +
           element + R"(
    %target = dims() {dims = [B, 4]} : i64[2]
    %s = reshape(%e, %target) : f32[B, 4]
    %next = add(%a, %s) : f32[B, 4]
    yield %go, %next
  } : f32[B, 4]
  yield "last" = %last
}
)";
  };
  const std::string after = R"(graph @g (%x: f32[B, T, 4], %h: f32[B, 4]) {
  %last = scan state(%a = %h: f32[B, 4]) scanned(%e = %x[1]: f32[B, 4]) {
    %next = add(%a, %e) : f32[B, 4]
    yield %next
  } : f32[B, 4]
  yield "last" = %last
}
)";
  const std::vector<std::string> passes = {"loop_to_scan", "simplify_algebra", "dce"};
  expect_pass(passes, text(", keep_dims = false", "f32[B, 4]"), after);
  const auto kept = parse(text("", "f32[B, 1, 4]"));
  for (const std::string& pass : passes) run_pass(*kept, pass, FoldingContext());
  EXPECT_THAT(print(*kept), HasSubstr("= %x[1]: f32[B, 4])"));
  EXPECT_THAT(print(*kept), Not(HasSubstr("sequence")));
}

TEST(LoopToScan, SequencesMayStartWithElements) {
  std::string text = collecting("    %v = tanh(%s) : f64[2, 3]\n", "f64[2, 3]",
                                concatenated(1, true, "f64[2, ?, 3]"));
  const std::string empty = "sequence_empty() {element = f64}";
  text.replace(text.find("  %e = "), 0,
               "  %one = constant i64[] (1)\n  %first = gather(%x, %one) : f64[2, 3]\n");
  text.replace(text.find(empty), empty.size(), "sequence_construct(%first, %first)");
  const std::string after = converted(text);
  EXPECT_THAT(after, Not(HasSubstr("sequence")));
  EXPECT_THAT(after, HasSubstr("f64[2, 6, 3]"));
}

// Layer by layer: a loop reads what the one before it has collected.
TEST(LoopToScan, SequencesThatAnotherLoopReads) {
  const std::string after = converted(collecting("    %v = tanh(%s) : f64[2, 3]\n", "f64[2, 3]",
                                                 R"(  %h = constant f64[] (0)
  %last = loop trips(%n) while(%true) iteration(%j) invariant(%m = %q: seq<f64[2, 3]>) state(%a = %h: f64[]) {
    %more = constant bool[] (true)
    %p = neg(%j) : i64[]
    %one = constant i64[] (1)
    %k = sub(%p, %one) : i64[]
    %w = sequence_at(%m, %k) : f64[2, 3]
    %axes = constant i64[2] (0, 1)
    %sum = reduce_sum(%w, %axes) {keep_dims = false} : f64[]
    %b = mul(%a, %sum) : f64[]
    %c = add(%b, %sum) : f64[]
    yield %more, %c
  } : f64[]
  yield "last" = %last
)"));
  EXPECT_THAT(after, Not(HasSubstr("sequence")));
  EXPECT_THAT(after, HasSubstr("[0 reverse]"));
}

TEST(LoopToScan, OtherSequencesStay) {
  const std::string element = "    %v = tanh(%s) : f64[2, 3]\n";
  // Not at the end.
  EXPECT_THAT(converted(collecting("    %p = constant i64[] (0)\n" + element, "f64[2, 3]",
                                   concatenated(0, true, "f64[?, 2, 3]"), ", %p")),
              HasSubstr("sequence_insert"));
  // Read as a sequence.
  const auto graph = parse(collecting(element, "f64[2, 3]", "  yield \"y\" = %q\n"));
  run_pass(*graph, "loop_to_scan", FoldingContext());
  EXPECT_THAT(print(*graph), HasSubstr("sequence_insert"));
  // Elements of an extent that is not known, side by side: 1, 2, 1, 2.
  EXPECT_THAT(
      converted(collecting(
          "    %z = constant i64[1] (0)\n    %one = constant i64[1] (1)\n"
          "    %o = constant i64[] (1)\n    %w = constant i64[] (2)\n    %m = mod(%i, %w) : i64[]\n"
          "    %k = add(%m, %o) : i64[]\n    %j = reshape(%k, %one) : i64[1]\n"
          "    %v = slice(%s, %z, %j, %z) : f64[?, 3]\n",
          "f64[?, 3]", concatenated(0, false, "f64[?, 3]"))),
      HasSubstr("sequence_insert"));
}

TEST(InlineSteps, AScanOfOneStepInsideALoop) {
  expect_pass({"inline_steps"}, R"(graph @g (%x: f32[T, 1, 4], %h: f32[4]) {
  %last, %all = scan state(%a = %h: f32[4]) scanned(%s = %x[0]: f32[1, 4]) stacked([0]) {
    %b, %c = scan invariant(%k = %a: f32[4]) state(%d = %a: f32[4]) scanned(%t = %s[0 reverse]: f32[4]) stacked([1]) {
      %m = mul(%t, %k) : f32[4]
      %next = add(%d, %m) : f32[4]
      yield %next, %m
    } : f32[4], f32[4, 1]
    yield %b, %c
  } : f32[4], f32[T, 4, 1]
  yield "last" = %last, "all" = %all
}
)",
              R"(graph @g (%x: f32[T, 1, 4], %h: f32[4]) {
  %last, %all = scan state(%a = %h: f32[4]) scanned(%s = %x[0]: f32[1, 4]) stacked([0]) {
    %0 = constant i64[1] (0)
    %t = squeeze(%s, %0) : f32[4]
    %m = mul(%t, %a) : f32[4]
    %next = add(%a, %m) : f32[4]
    %1 = constant i64[1] (1)
    %c = unsqueeze(%m, %1) : f32[4, 1]
    yield %next, %c
  } : f32[4], f32[T, 4, 1]
  yield "last" = %last, "all" = %all
}
)");
}

// At the top a scan of one step stays: it has kernels of its own.
TEST(InlineSteps, LeavesOthers) {
  expect_unchanged("inline_steps", R"(graph @g (%x: f32[1, 4], %h: f32[4]) {
  %last = scan state(%a = %h: f32[4]) scanned(%s = %x[0]: f32[4]) {
    %next = add(%a, %s) : f32[4]
    yield %next
  } : f32[4]
  yield "last" = %last
}
)");
}

}  // namespace
}  // namespace refrain::testing
