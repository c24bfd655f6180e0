// roll: graphs of scans, written and drawn at random, that unroll took apart.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "support/pass_numbers.h"
#include "support/random.h"

namespace refrain {
namespace {

using testing::expect_numbers_stay;
using testing::expect_pass;

// unroll and roll are each other's inverse, for every kind of slot.
TEST(Roll, UndoesUnroll) {
  const char* const kTexts[] = {
      R"(graph @g (%x: f32[7, 2, 3], %h: f32[2, 3], %w: f32[3, 3]) {
  %s, %y = scan invariant(%w1 = %w: f32[3, 3]) state(%s1 = %h: f32[2, 3]) scanned(%xi = %x[0]: f32[2, 3]) stacked([1 reverse]) {
    %p = matmul(%s1, %w1) : f32[2, 3]
    %a = add(%p, %xi) : f32[2, 3]
    %t = tanh(%a) : f32[2, 3]
    yield %t, %a
  } : f32[2, 3], f32[2, 7, 3]
  yield "s" = %s, "y" = %y
})",
      R"(graph @g (%x: f32[2, 3, 5], %h: f32[2, 3], %c: f32[2, 3]) {
  %s, %d, %y, %z = scan state(%s1 = %h: f32[2, 3], %c1 = %c: f32[2, 3]) scanned(%xi = %x[2 reverse]: f32[2, 3]) stacked([0 reverse], [2]) {
    %w = constant f32[3, 3] (0.1, -0.2, 0.3, 0.4, 0.5, -0.6, 0.7, 0.8, -0.9)
    %p = matmul(%s1, %w) : f32[2, 3]
    %a = sub(%p, %c1) : f32[2, 3]
    %t = tanh(%a) : f32[2, 3]
    %n = mul(%t, %xi) : f32[2, 3]
    yield %t, %n, %t, %n
  } : f32[2, 3], f32[2, 3], f32[5, 2, 3], f32[2, 3, 5]
  yield "s" = %s, "d" = %d, "y" = %y, "z" = %z
})",
  };
  for (const char* text : kTexts) {
    const auto graph = expect_numbers_stay({"unroll", "merge_leaves", "roll", "dce"}, text, 0);
    size_t scans = 0, others = 0;
    for (const Node* node = graph->body().first(); node; node = node->next()) {
      scans += node->op() == Op::scan;
      others += node->op() == Op::tanh || node->op() == Op::concat || node->op() == Op::gather;
    }
    EXPECT_EQ(scans, 1u) << print(*graph);
    EXPECT_EQ(others, 0u) << print(*graph);
  }
}

// A scan of random ops on random states, slices and weights, and what stands around it: a first
// step of another kind, readers of single steps, results in either order.
std::string random_scan(testing::Random& random) {
  const auto pick = [&](size_t count) {
    return static_cast<size_t>(random.uniform(0, static_cast<double>(count) - 1e-9));
  };
  const size_t states = 1 + pick(3), slices = pick(3), nodes = 2 + pick(8), stacked = 1 + pick(2);
  const size_t steps = 3 + pick(4);
  const bool backward = pick(2) == 1;
  std::string inputs = "%w: f32[3, 3]", head, body, yields, types;
  std::vector<std::string> values;
  for (size_t i = 0; i < states; ++i) {
    const std::string n = std::to_string(i);
    inputs += ", %h" + n + ": f32[2, 3]";
    head += (i > 0 ? ", " : "") + ("%s" + n) + " = %h" + n + ": f32[2, 3]";
    types += "f32[2, 3], ";
    values.push_back("%s" + n);
  }
  std::string scanned;
  for (size_t i = 0; i < slices; ++i) {
    const std::string n = std::to_string(i);
    inputs += ", %x" + n + ": f32[" + std::to_string(steps) + ", 2, 3]";
    scanned += (i > 0 ? ", " : " scanned(") + ("%i" + n) + " = %x" + n + "[0" +
               (backward ? " reverse" : "") + "]: f32[2, 3]";
    values.push_back("%i" + n);
  }
  if (slices > 0) scanned += ")";
  static const char* const kOps[] = {"add", "sub", "mul", "max", "tanh", "sigmoid", "matmul"};
  for (size_t i = 0; i < nodes; ++i) {
    const std::string op = kOps[pick(std::size(kOps))];
    // Later ones read what has no reader yet more often.
    const std::string a = values[values.size() - 1 - pick(std::min<size_t>(values.size(), 4))];
    const std::string b = values[pick(values.size())];
    const bool unary = op == "tanh" || op == "sigmoid";
    const std::string second = op == "matmul" ? ", %wi" : unary ? "" : ", " + b;
    values.push_back("%n" + std::to_string(i));
    body += "    " + values.back() + " = " + op + "(" + a + second + ") : f32[2, 3]\n";
  }
  for (size_t i = 0; i < states + stacked; ++i)
    yields += (i > 0 ? ", " : "") + values[values.size() - 1 - pick(nodes)];
  std::string results, stacks, outputs;
  for (size_t i = 0; i < states; ++i) {
    results += "%f" + std::to_string(i) + ", ";
    outputs += "\"f" + std::to_string(i) + "\" = %f" + std::to_string(i) + ", ";
  }
  for (size_t i = 0; i < stacked; ++i) {
    results += (i > 0 ? ", " : "") + ("%y" + std::to_string(i));
    stacks += (i > 0 ? ", [" : "[") + std::to_string(pick(2)) + (pick(2) == 1 ? " reverse]" : "]");
    outputs += (i > 0 ? ", " : "") + ("\"y" + std::to_string(i)) + "\" = %y" + std::to_string(i);
    const std::string extent = std::to_string(steps);
    types += (i > 0 ? ", f32[" : "f32[") +
             (stacks[stacks.rfind('[') + 1] == '0' ? extent + ", 2, 3]" : "2, " + extent + ", 3]");
  }
  std::string count, counted;
  if (slices == 0) {
    count = "  %count = constant i64[] (" + std::to_string(steps) + ")\n";
    counted = " trips(%count)";
  }
  return "graph @g (" + inputs + ") {\n" + count + "  " + results + " = scan" + counted +
         " invariant(%wi = %w: f32[3, 3]) state(" + head + ")" + scanned + " stacked(" + stacks +
         ") {\n" + body + "    yield " + yields + "\n  } : " + types + "\n  yield " + outputs +
         "\n}";
}

TEST(Roll, RandomScansUnrolledAndRolledGiveTheSame) {
  testing::Random random(7);
  int rolled = 0;
  constexpr int kGraphs = 400;
  for (int i = 0; i < kGraphs; ++i) {
    const std::string text = random_scan(random);
    SCOPED_TRACE(text);
    const auto graph =
        expect_numbers_stay({"unroll", "cse", "merge_leaves", "roll", "dce", "cse"}, text, 0);
    if (HasFailure()) return;
    for (const Node* node = graph->body().first(); node; node = node->next())
      rolled += node->op() == Op::scan;
  }
  // Some are no recurrences: their states do not depend on each other.
  EXPECT_GT(rolled, kGraphs / 2);
}

}  // namespace
}  // namespace refrain
