// Properties that hold for every test model, those of the project and, where they are there, the
// shared cases: the text form is the identity, every pass keeps the results and tells truly whether
// it changed anything, and unrolling changes nothing.
#include <gtest/gtest.h>

#include <set>

#include "backends/reference/executor.h"
#include "frontend/driver/model.h"
#include "frontend/driver/random_inputs.h"
#include "ir/builder.h"
#include "ir/control.h"
#include "ir/text.h"
#include "passes/passes.h"
#include "passes/specialize.h"
#include "support/cases.h"
#include "support/compare.h"
#include "support/widened.h"

namespace refrain {
namespace {

using testing::case_folders;
using testing::case_inputs;
using testing::widened;

// Scans whose number of steps does not hang on what is computed.
size_t count_scans(const Region& region) {
  size_t count = 0;
  for (const Node* node = region.first(); node; node = node->next()) {
    if (node->op() == Op::scan) {
      const Value* trips = ScanView(*node).trip_count();
      count += !trips || constant_tensor(trips);
    }
    for (size_t i = 0; i < node->region_count(); ++i) count += count_scans(node->region(i));
  }
  return count;
}

// Values of a scan's body that its states go into.
std::set<const Value*> dependent_on_state(const ScanView& scan) {
  std::set<const Value*> dependent;
  for (size_t i = 0; i < scan.states(); ++i) dependent.insert(scan.state_argument(i));
  for (const Node* node = scan.body().first(); node; node = node->next()) {
    bool any = false;
    for (const Value* operand : node->operands()) any |= dependent.contains(operand);
    for (size_t i = 0; any && i < node->result_count(); ++i) dependent.insert(node->result(i));
  }
  return dependent;
}

// Elements, symbols taken as 1: enough to compare what varies with time.
int64_t weight(const Value& value) {
  int64_t count = 1;
  for (Dim dim : value.type().shape.dims()) count *= dim.is_constant() ? dim.extent() : 1;
  return count;
}

// What is larger than the slices that it is made of, and what is made of that: over all steps it
// would take memory.
std::set<const Value*> larger_than_slices(const ScanView& scan) {
  std::set<const Value*> fixed, large;
  for (size_t i = 0; i < scan.invariants(); ++i) fixed.insert(scan.invariant_argument(i));
  for (const Node* node = scan.body().first(); node->op() != Op::yield; node = node->next()) {
    int64_t read = 0;
    bool is_large = false, is_fixed = true;
    for (const Value* operand : node->operands()) {
      if (!operand || fixed.contains(operand)) continue;
      is_fixed = false;
      is_large = is_large || large.contains(operand);
      read += weight(*operand);
    }
    for (size_t i = 0; i < node->result_count(); ++i) {
      if (is_fixed) fixed.insert(node->result(i));
      if (is_large || (!is_fixed && weight(*node->result(i)) > read)) large.insert(node->result(i));
    }
  }
  return large;
}

class Models : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    graph_ = load_model(GetParam() + "/model.onnx").graph;
    inputs_ = case_inputs(GetParam(), *graph_);
  }

  // The model in float64, on float64 inputs.
  void widen() {
    passes::widen(*graph_, {});
    for (RuntimeValue& input : inputs_) input = widened(input);
  }

  void expect_outputs(const Graph& graph, const std::vector<RuntimeValue>& expected,
                      double tolerance) {
    const std::vector<RuntimeValue> actual = reference::run(graph, inputs_);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      if (!expected[i].tensor) continue;
      EXPECT_TRUE(testing::close(*actual[i].tensor, *expected[i].tensor, tolerance, tolerance))
          << graph.output_names()[i];
    }
  }

  std::unique_ptr<Graph> graph_;
  std::vector<RuntimeValue> inputs_;
};

TEST_P(Models, TextFormIsTheIdentity) {
  const std::string imported = print(*graph_);
  EXPECT_EQ(print(*parse(imported)), imported);
  optimize(*graph_);
  const std::string optimized = print(*graph_);
  EXPECT_EQ(print(*parse(optimized)), optimized);
}

TEST_P(Models, PassesTellTheTruthAndKeepTheResults) {
  widen();
  const std::vector<RuntimeValue> expected = reference::run(*graph_, inputs_);
  std::string before = print(*graph_);
  passes::PipelineOptions options;
  options.after_pass = [&](const passes::PassReport& report, const Graph& graph) {
    std::string after = print(graph);
    EXPECT_EQ(report.changed, after != before) << report.pass;
    before = std::move(after);
  };
  optimize(*graph_, {}, options);
  expect_outputs(*graph_, expected, 1e-12);
  for (const passes::PassReport& report : optimize(*graph_)) {
    EXPECT_FALSE(report.changed) << report.pass << " found something left to do";
  }
}

// What is left in a scan's body depends on its states, or is a constant, part of a slice or larger
// than the slices that it is made of.
TEST_P(Models, BodiesHoldOnlyWhatDependsOnState) {
  optimize(*graph_);
  for (const Node* node = graph_->body().first(); node; node = node->next()) {
    if (node->op() != Op::scan) continue;
    const ScanView scan(*node);
    const std::set<const Value*> dependent = dependent_on_state(scan);
    const std::set<const Value*> large = larger_than_slices(scan);
    for (const Node* inner = scan.body().first(); inner->op() != Op::yield; inner = inner->next()) {
      const Op op = inner->op();
      const bool part = op == Op::split || op == Op::slice || op == Op::squeeze ||
                        op == Op::unsqueeze || op == Op::reshape;
      EXPECT_TRUE(op == Op::constant || part || dependent.contains(inner->result()) ||
                  large.contains(inner->result()))
          << inner->display_name() << " of\n"
          << print(*graph_);
    }
  }
}

TEST_P(Models, UnrolledGivesTheSame) {
  widen();
  optimize(*graph_);
  const std::vector<RuntimeValue> expected = reference::run(*graph_, inputs_);
  SymbolBinding symbols;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    symbols.bind(graph_->input(i)->type(), inputs_[i], graph_->input(i)->name());
  }
  passes::specialize(*graph_, symbols.extents());
  optimize(*graph_);
  const size_t scans = count_scans(graph_->body());
  const bool unrolled = passes::unroll(*graph_, {});
  EXPECT_EQ(count_scans(graph_->body()), 0u);
  if (scans > 0) {
    EXPECT_TRUE(unrolled);
  }
  expect_outputs(*graph_, expected, 1e-12);
}

INSTANTIATE_TEST_SUITE_P(All, Models, ::testing::ValuesIn(case_folders()), testing::case_test_name);

}  // namespace
}  // namespace refrain
