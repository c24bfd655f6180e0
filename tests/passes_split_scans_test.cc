// split_scans: stacked cells that one scan steps.
#include <gtest/gtest.h>

#include "ir/control.h"
#include "passes/passes.h"
#include "support/pass_run.h"

namespace refrain {
namespace {

using testing::expect_pass;
using testing::expect_same_results;
using testing::expect_unchanged;
using testing::FoldingContext;
using testing::Random;
using testing::run_pass;

constexpr const char* kWeights = R"(
  %w = constant f64[2, 2] (0.5, -1, 0.25, 0.75)
  %v = constant f64[2, 2] (-0.5, 0.125, 1, 0.5)
)";

// Two layers over x [T, 2]; `body` computes the next states %an and %bn and the slice %y.
std::string layers(const std::string& body, const std::string& slots = "[0]") {
  return std::string("graph @g (%x: f64[T, 2], %a0: f64[2], %b0: f64[2]) {") + kWeights +
         "  %aT, %bT, %ys = scan invariant(%wi = %w: f64[2, 2], %vi = %v: f64[2, 2]) "
         "state(%a = %a0: f64[2], %b = %b0: f64[2]) scanned(%xt = %x" +
         slots + ": f64[2]) stacked(" + slots + ") {\n" + body +
         "    yield %an, %bn, %y\n  } : f64[2], f64[2], f64[T, 2]\n"
         "  yield \"a\" = %aT, \"b\" = %bT, \"y\" = %ys\n}";
}

size_t count_scans(const Graph& graph) {
  size_t scans = 0;
  for (const Node* node = graph.body().first(); node; node = node->next())
    scans += node->op() == Op::scan;
  return scans;
}

// Splits it into so many scans; the results stay.
void expect_scans(const std::string& text, size_t scans) {
  const auto before = parse(text), after = parse(text);
  run_pass(*after, "split_scans", FoldingContext());
  EXPECT_EQ(count_scans(*after), scans) << print(*after);
  Random random(3);
  for (int64_t steps : {1, 5}) {
    std::vector<RuntimeValue> inputs;
    for (size_t i = 0; i < before->input_count(); ++i) {
      std::vector<int64_t> extents;
      for (Dim dim : before->input(i)->type().shape.dims())
        extents.push_back(dim.is_constant() ? dim.extent() : steps);
      inputs.emplace_back(random.tensor(ElementType::f64, extents));
    }
    expect_same_results(*after, *before, inputs);
  }
}

// a' = tanh(x + a W), b' = tanh(a' V + b W)
constexpr const char* kStacked = R"(
    %p = matmul(%a, %wi) : f64[2]
    %s = add(%xt, %p) : f64[2]
    %an = tanh(%s) : f64[2]
    %q = matmul(%an, %vi) : f64[2]
    %r = matmul(%b, %wi) : f64[2]
    %u = add(%q, %r) : f64[2]
    %bn = tanh(%u) : f64[2]
    %y = neg(%bn) : f64[2]
)";

TEST(SplitScans, StackedCells) {
  expect_pass({"split_scans"}, layers(kStacked),
              std::string("graph @g (%x: f64[T, 2], %a0: f64[2], %b0: f64[2]) {") + kWeights + R"(
  %aT, %0 = scan invariant(%wi = %w: f64[2, 2]) state(%a = %a0: f64[2]) scanned(%xt = %x[0]: f64[2]) stacked([0]) {
    %p = matmul(%a, %wi) : f64[2]
    %s = add(%xt, %p) : f64[2]
    %an = tanh(%s) : f64[2]
    yield %an, %an
  } : f64[2], f64[T, 2]
  %bT, %ys = scan invariant(%wi = %w: f64[2, 2], %vi = %v: f64[2, 2]) state(%b = %b0: f64[2]) scanned(%an = %0[0]: f64[2]) stacked([0]) {
    %q = matmul(%an, %vi) : f64[2]
    %r = matmul(%b, %wi) : f64[2]
    %u = add(%q, %r) : f64[2]
    %bn = tanh(%u) : f64[2]
    %y = neg(%bn) : f64[2]
    yield %bn, %y
  } : f64[2], f64[T, 2]
  yield "a" = %aT, "b" = %bT, "y" = %ys
})");
}

TEST(SplitScans, ResultsStay) {
  expect_scans(layers(kStacked), 2);
  expect_scans(layers(kStacked, "[0 reverse]"), 2);
  // The later cell may have its place in front, see the earlier one's old state, and stack that.
  expect_scans(layers(R"(
    %p = matmul(%b, %wi) : f64[2]
    %s = add(%xt, %p) : f64[2]
    %bn = tanh(%s) : f64[2]
    %ab = concat(%a, %b) {axis = 0} : f64[4]
    %wv = concat(%wi, %vi) {axis = 0} : f64[4, 2]
    %q = matmul(%ab, %wv) : f64[2]
    %an = tanh(%q) : f64[2]
    %y = mul(%b, %an) : f64[2]
)"),
               2);
  // What only the earlier one's results tell.
  expect_scans(layers(R"(
    %p = matmul(%a, %wi) : f64[2]
    %h, %g = split(%p) {axis = 0} : f64[1], f64[1]
    %an = add(%xt, %h) : f64[2]
    %m = mul(%an, %g) : f64[2]
    %q = matmul(%m, %vi) : f64[2]
    %bn = add(%q, %b) : f64[2]
    %y = add(%a, %g) : f64[2]
)"),
               2);
}

TEST(SplitScans, WhatIsStackedAlreadyIsScanned) {
  const char* body = R"(
    %an = add(%xt, %a) : f64[2]
    %q = matmul(%an, %vi) : f64[2]
    %bn = add(%q, %b) : f64[2]
)";
  std::string text = layers(body);
  text.replace(text.find("yield %an, %bn, %y"), 18, "yield %an, %bn, %an");
  expect_scans(text, 2);
  const auto graph = parse(text);
  passes::split_scans(*graph, {});
  const Node* first = graph->body().first();
  while (first->op() != Op::scan) first = first->next();
  EXPECT_EQ(ScanView(*first).stacked(), 1u);
}

TEST(SplitScans, WhatGainsNothingStays) {
  // Each depends on the other.
  expect_unchanged("split_scans", layers(R"(
    %p = matmul(%b, %wi) : f64[2]
    %an = add(%xt, %p) : f64[2]
    %q = matmul(%an, %vi) : f64[2]
    %bn = tanh(%q) : f64[2]
    %y = neg(%bn) : f64[2]
)"));
  // No product between them.
  expect_unchanged("split_scans", layers(R"(
    %p = matmul(%a, %wi) : f64[2]
    %an = add(%xt, %p) : f64[2]
    %q = matmul(%b, %vi) : f64[2]
    %bn = add(%q, %an) : f64[2]
    %y = neg(%bn) : f64[2]
)"));
  // A product that no state needs; sink takes it out.
  expect_unchanged("split_scans", layers(R"(
    %an = add(%xt, %a) : f64[2]
    %bn = add(%b, %an) : f64[2]
    %y = matmul(%an, %vi) : f64[2]
)"));
}

// Two scans: the first yields `slice` of its state, which the second adds to its own.
std::string two_scans(const std::string& slice, const std::string& start = "%b0",
                      const std::string& between = "", const std::string& read = "%ps[0]") {
  return std::string("graph @g (%x: f64[T, 2], %a0: f64[2], %b0: f64[2]) {") + kWeights +
         R"(
  %aT, %ps = scan invariant(%wi = %w: f64[2, 2], %vi = %v: f64[2, 2]) state(%a = %a0: f64[2]) scanned(%xt = %x[0]: f64[2]) stacked([0]) {
    %s = add(%xt, %a) : f64[2]
    %an = tanh(%s) : f64[2]
)" + slice +
         R"(
    yield %an, %p
  } : f64[2], f64[T, 2]
)" + between +
         R"(
  %bT, %ys = scan invariant(%ui = %v: f64[2, 2]) state(%b = )" +
         start + ": f64[2]) scanned(%pt = " + read + R"(: f64[2]) stacked([0]) {
    %r = matmul(%b, %ui) : f64[2]
    %u = add(%pt, %r) : f64[2]
    %bn = tanh(%u) : f64[2]
    yield %bn, %bn
  } : f64[2], f64[T, 2]
  yield "a" = %aT, "b" = %bT, "y" = %ys
}
)";
}

TEST(SplitScans, ProductsGoToTheScanThatReadsThem) {
  expect_pass({"split_scans"}, two_scans(R"(    %q = matmul(%an, %vi) : f64[2]
    %p = add(%q, %xt) : f64[2])"),
              std::string("graph @g (%x: f64[T, 2], %a0: f64[2], %b0: f64[2]) {") + kWeights + R"(
  %aT, %0 = scan state(%a = %a0: f64[2]) scanned(%xt = %x[0]: f64[2]) stacked([0]) {
    %s = add(%xt, %a) : f64[2]
    %an = tanh(%s) : f64[2]
    yield %an, %an
  } : f64[2], f64[T, 2]
  %bT, %ys = scan invariant(%vi = %v: f64[2, 2], %ui = %v: f64[2, 2]) state(%b = %b0: f64[2]) scanned(%xt.1 = %x[0]: f64[2], %an.1 = %0[0]: f64[2]) stacked([0]) {
    %q = matmul(%an.1, %vi) : f64[2]
    %p = add(%q, %xt.1) : f64[2]
    %r = matmul(%b, %ui) : f64[2]
    %u = add(%p, %r) : f64[2]
    %bn = tanh(%u) : f64[2]
    yield %bn, %bn
  } : f64[2], f64[T, 2]
  yield "a" = %aT, "b" = %bT, "y" = %ys
}
)");
}

// What reads the first scan in between comes behind the second, in its order; what both read stays
// for it.
TEST(SplitScans, ReadersInBetween) {
  std::string text = two_scans("    %p = matmul(%an, %vi) : f64[2]", "%b0",
                               "  %n = neg(%ps) : f64[T, 2]\n  %m = neg(%aT) : f64[2]\n"
                               "  %k = abs(%m) : f64[2]\n");
  const std::string outputs = "\"y\" = %ys";
  text.replace(text.find(outputs), outputs.size(),
               outputs + ", \"n\" = %n, \"m\" = %m, \"k\" = %k");
  expect_scans(text, 2);
  const auto graph = parse(text);
  EXPECT_TRUE(passes::split_scans(*graph, {}));
  const Node* first = graph->body().first();
  while (first->op() != Op::scan) first = first->next();
  for (const Node* node = ScanView(*first).body().first(); node; node = node->next())
    EXPECT_NE(node->op(), Op::matmul);
}

TEST(SplitScans, ProductsThatAreNotReadStepByStepStay) {
  const std::string product = "    %p = matmul(%an, %vi) : f64[2]";
  // The second scan starts from the first one's last state, or runs the other way.
  expect_unchanged("split_scans", two_scans(product, "%aT"));
  expect_unchanged("split_scans", two_scans(product, "%b0", "", "%ps[0 reverse]"));
  expect_unchanged("split_scans",
                   two_scans(product, "%b0", "  %n = neg(%ps) : f64[T, 2]", "%n[0]"));
  // Nothing is multiplied.
  expect_unchanged("split_scans", two_scans("    %p = neg(%an) : f64[2]"));
}

}  // namespace
}  // namespace refrain
