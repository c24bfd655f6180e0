// Prepared graphs on several threads: how they are split, and that no bit depends on it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <chrono>
#include <string>

#include "ir/error.h"
#include "support/prepared.h"

namespace refrain {
namespace {

using testing::close;
using testing::count;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Random;
using testing::random_inputs;
using testing::run;
using testing::with_constants;

// More workers than this machine may have cores.
class ExecutableThreads : public ::testing::Test {
 private:
  tbb::global_control control_{tbb::global_control::max_allowed_parallelism, 8};
};

std::string dims(std::initializer_list<int64_t> extents) {
  std::string text;
  for (const int64_t extent : extents) text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "f32[" + text + "]";
}

// What layers of a graph have in common.
struct Sizes {
  int64_t steps = 1, rows = 1, units = 1;
};

// An LSTM from %`x` [T, B, H], whose product comes before its loop, to %`name`_y. `slots`: how it
// goes through time; initial states are zeros, or %`initial`.
std::string lstm(const std::string& name, const std::string& x, const Sizes& s,
                 const std::string& slot = "[0]", const std::string& initial = "",
                 const std::string& head = "") {
  const std::string all = dims({s.steps, s.rows, 4 * s.units});
  const std::string gates = dims({s.rows, 4 * s.units}), state = dims({s.rows, s.units});
  const std::string weights = dims({s.units, 4 * s.units});
  const std::string at = "%" + name + "_", y = dims({s.steps, s.rows, s.units});
  std::string text =
      at + "w = $" + weights + "\n" + at + "p = matmul(%" + x + ", " + at + "w) : " + all + "\n";
  std::string first = "%" + initial;
  if (initial.empty()) {
    text += at + "zero = $" + state + "\n";
    first = at + "zero";
  }
  text += at + "h, " + at + "c, " + at + "y = scan " + head + " state(%h = " + first + ": " +
          state + ", %c = " + first + ": " + state + ") scanned(%x = " + at + "p" + slot + ": " +
          gates + ") stacked(" + slot + ") {\n%r = $" + weights +
          "\n%m = matmul(%h, %r) : " + gates + "\n%s = add(%m, %x) : " + gates +
          "\n%i, %o, %f, %g = split(%s) {axis = 1} : " + state + ", " + state + ", " + state +
          ", " + state + "\n";
  for (const char* op : {"i = sigmoid", "o = sigmoid", "f = sigmoid", "g = tanh"}) {
    text += std::string("%a") + op + "(%" + op[0] + ") : " + state + "\n";
  }
  for (const char* op : {"fc = mul(%af, %c)", "ig = mul(%ai, %ag)", "cn = add(%fc, %ig)",
                         "t = tanh(%cn)", "hn = mul(%ao, %t)"}) {
    text += std::string("%") + op + " : " + state + "\n";
  }
  return text + "yield %hn, %cn, %hn\n} : " + state + ", " + state + ", " + y + "\n";
}

std::string graph(const std::string& inputs, const std::string& body, const std::string& outputs) {
  return "graph @g (" + inputs + ") {\n" + body + "yield " + outputs + "\n}";
}

std::string input(const Sizes& s) { return "%x: " + dims({s.steps, s.rows, s.units}); }

// Right on one thread, and the same bits on 2, 3 and 7; returns the steps for two.
std::string check(const std::string& text) {
  Random random;
  const auto parsed = parse(with_constants(text, random));
  std::string steps;
  PreparedGraph one(*parsed, {.kernels = KernelChoice::highway});
  std::vector<Tensor> inputs = random_inputs(*parsed, random);
  std::vector<RuntimeValue> values;
  for (const Tensor& tensor : inputs) values.emplace_back(tensor.clone());
  const std::vector<RuntimeValue> expected = reference::run(*parsed, values);
  const std::vector<Tensor> actual = run(one, inputs);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(close(actual[i], *expected[i].tensor, 1e-4, 1e-5)) << "output " << i;
  }
  for (const int threads : {2, 3, 7}) {
    PreparedGraph several(*parsed, {.kernels = KernelChoice::highway, .threads = threads});
    for (int repeat = 0; repeat < 20; ++repeat) {
      const std::vector<Tensor> others = run(several, inputs);
      for (size_t i = 0; i < actual.size(); ++i) {
        EXPECT_TRUE(identical(actual[i], others[i]))
            << threads << " threads, output " << i << ", run " << repeat << " of\n"
            << several.describe();
      }
      if (::testing::Test::HasFailure()) return {};
    }
    if (threads == 2) steps = several.describe();
  }
  return steps;
}

TEST_F(ExecutableThreads, OneSequenceIsSplitByBlocks) {
  for (const Sizes& s : {Sizes{9, 1, 131}, Sizes{6, 2, 160}, Sizes{5, 5, 97}}) {
    EXPECT_THAT(check(graph(input(s), lstm("a", "x", s), R"("y" = %a_y, "h" = %a_h, "c" = %a_c)")),
                HasSubstr("unit blocks over 2 threads"));
  }
}

TEST_F(ExecutableThreads, ManyRowsAreSplitByRows) {
  const Sizes s{4, 33, 70};
  const std::string steps = check(graph(input(s), lstm("a", "x", s), R"("y" = %a_y, "h" = %a_h)"));
  EXPECT_THAT(steps, HasSubstr("rows over 2 threads"));
  EXPECT_THAT(steps, Not(HasSubstr("unit blocks over")));
}

TEST_F(ExecutableThreads, ElementwiseLoopsAreSplitByTiles) {
  const Sizes s{40, 16, 300};
  const std::string state = dims({16, 300}), all = dims({40, 16, 300});
  const std::string steps = check(graph(
      input(s) + ", %h0: " + state,
      "%h, %y = scan state(%s = %h0: " + state + ") scanned(%xt = %x[0]: " + state +
          ") stacked([0]) {\n%a = mul(%s, %xt) : " + state + "\n%b = tanh(%a) : " + state +
          "\n%n = sub(%b, %xt) : " + state + "\nyield %n, %b\n} : " + state + ", " + all + "\n",
      R"("h" = %h, "y" = %y)"));
  EXPECT_THAT(steps, HasSubstr("over 2 threads"));
  EXPECT_THAT(steps, HasSubstr("levels on 2 threads"));
}

TEST_F(ExecutableThreads, SmallLoopsStayOnOneThread) {
  const Sizes s{3, 1, 8};
  const std::string steps = check(graph(input(s), lstm("a", "x", s), R"("y" = %a_y, "h" = %a_h)"));
  EXPECT_THAT(steps, Not(HasSubstr("over 2 threads")));
  EXPECT_THAT(steps, HasSubstr("on one thread"));
}

TEST_F(ExecutableThreads, LengthsAreSplitByBlocksToo) {
  const Sizes s{7, 3, 131};
  for (const char* slot : {"[0]", "[0 reverse]"}) {
    EXPECT_THAT(check(graph(input(s) + ", %n: i64[3]",
                            lstm("a", "x", s, slot, "", "lengths(%n) batch_axis(0)"),
                            R"("y" = %a_y, "h" = %a_h, "c" = %a_c)")),
                HasSubstr("unit blocks over 2 threads"));
  }
}

TEST_F(ExecutableThreads, StackedLoopsAreAWavefront) {
  for (const Sizes& s : {Sizes{97, 1, 37}, Sizes{64, 1, 64}, Sizes{50, 3, 33}}) {
    const std::string steps =
        check(graph(input(s), lstm("a", "x", s) + lstm("b", "a_y", s) + lstm("c", "b_y", s),
                    R"("y" = %c_y, "ah" = %a_h, "bc" = %b_c, "ch" = %c_h, "ay" = %a_y)"));
    EXPECT_EQ(count(steps, "in a wavefront of 3 loops over 2 threads"), 3U) << steps;
    EXPECT_THAT(steps, HasSubstr("in 1 levels"));
  }
}

// What a loop needs of another's end, or from its end on, can't be had while that runs.
TEST_F(ExecutableThreads, LoopsThatNeedAnotherToEndAreNoWavefront) {
  const Sizes s{60, 1, 37};
  const std::string yields = R"("y" = %b_y, "h" = %b_h)";
  EXPECT_THAT(check(graph(input(s), lstm("a", "x", s) + lstm("b", "a_y", s, "[0]", "a_h"), yields)),
              Not(HasSubstr("wavefront")));
  EXPECT_THAT(
      check(graph(input(s), lstm("a", "x", s) + lstm("b", "a_y", s, "[0 reverse]"), yields)),
      Not(HasSubstr("wavefront")));
  EXPECT_THAT(
      check(graph(input(s), lstm("a", "x", s, "[0 reverse]") + lstm("b", "a_y", s), yields)),
      Not(HasSubstr("wavefront")));
}

// A step between the loops that the first one's end feeds runs after the wavefront, one that feeds
// the second one before it.
TEST_F(ExecutableThreads, StepsBetweenTheLoopsOfAWavefrontKeepTheirOrder) {
  const Sizes s{60, 1, 37};
  const std::string state = dims({1, 37}), pair = dims({2, 37});
  const std::string steps =
      check(graph(input(s) + ", %q: " + state,
                  lstm("a", "x", s) + "%both = concat(%a_h, %a_c) {axis = 0} : " + pair +
                      "\n%start = tanh(%q) : " + state + "\n" + lstm("b", "a_y", s, "[0]", "start"),
                  R"("y" = %b_y, "h" = %b_h, "both" = %both)"));
  EXPECT_EQ(count(steps, "in a wavefront of 2 loops over 2 threads"), 2U) << steps;
}

// Runs on two threads that have to share what they get of the machine with fourteen others.
TEST_F(ExecutableThreads, MoreThreadsThanCoresFinish) {
  const Sizes s{400, 1, 131};
  Random random;
  const auto parsed = parse(with_constants(
      graph(input(s), lstm("a", "x", s) + lstm("b", "x", s), R"("y" = %a_y, "z" = %b_y)"), random));
  const std::vector<Tensor> inputs = random_inputs(*parsed, random);
  PreparedGraph one(*parsed, {.kernels = KernelChoice::highway});
  const std::vector<Tensor> expected = run(one, inputs);
  PreparedGraph many(*parsed, {.kernels = KernelChoice::highway, .threads = 8});
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(identical(run(many, inputs)[0], expected[0]));
  // Some 100 ms; a scheduler's time slice a step would make it half a minute.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

}  // namespace
}  // namespace refrain
