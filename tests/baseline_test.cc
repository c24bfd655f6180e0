// The naive baseline on the test models: bound to a shape, unrolled, and still right.
#include "frontend/driver/baseline.h"

#include <gtest/gtest.h>

#include <set>

#include "backends/naive/naive.h"
#include "frontend/driver/compare.h"
#include "frontend/driver/model.h"
#include "frontend/driver/random_inputs.h"
#include "ir/text.h"
#include "passes/time_symbols.h"
#include "support/cases.h"

namespace refrain {
namespace {

using testing::case_inputs;
using testing::case_output;

// Loops whose number of steps depends on data can't be unrolled, and neither do branches on data go
// away.
bool may_stay(const std::string& why) {
  for (const char* op : {"loop", "branch", "sequence", "input"}) {
    if (why.find(op) != std::string::npos) return true;
  }
  return false;
}

class Baseline : public ::testing::TestWithParam<std::string> {};

TEST_P(Baseline, GivesTheExpectedOutputs) {
  LoadedModel model = load_model(GetParam() + "/model.onnx");
  const std::vector<RuntimeValue> inputs = case_inputs(GetParam(), *model.graph);
  bind_shapes(*model.graph, inputs);
  const std::unique_ptr<Graph> flat = unrolled(*model.graph, {});
  std::string why;
  if (!naive::supports(*flat, &why)) {
    EXPECT_TRUE(may_stay(why)) << why;
    GTEST_SKIP() << why;
  }
  naive::Executable naive(*flat, 1, kDefaultMaxBytes);
  for (size_t i = 0; i < inputs.size(); ++i) naive.set_input(i, *inputs[i].tensor);
  naive.run();
  for (size_t i = 0; i < flat->output_count(); ++i) {
    const RuntimeValue expected = case_output(GetParam(), *flat, i);
    const Comparison comparison = compare(naive.output(i).clone(), expected, Tolerance{});
    EXPECT_TRUE(comparison.ok()) << flat->output_names()[i] << ": " << comparison.mismatch;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Baseline, ::testing::ValuesIn(testing::case_folders()),
                         testing::case_test_name);

constexpr const char* kLookup =
    R"(graph @g (%ids: i64[T, B], %lens: i32[B], %h0: f32[B, 3], %flag: bool[B]) {
  %table = constant f32[5, 3] splat(0.5)
  %x = gather(%table, %ids) {axis = 0} : f32[T, B, 3]
  %h, %y = scan lengths(%lens) state(%s = %h0: f32[B, 3]) scanned(%e = %x[0]: f32[B, 3]) stacked([0]) {
    %n = add(%s, %e) : f32[B, 3]
    yield %n, %n
  } : f32[B, 3], f32[T, B, 3]
  yield "y" = %y
}
)";

TEST(RandomInputs, FitWhatUsesThem) {
  const std::unique_ptr<Graph> graph = parse(kLookup);
  EXPECT_EQ(passes::time_symbols(*graph), std::set<std::string>{"T"});
  SymbolBinding symbols;
  symbols.bind("B", 50);
  EXPECT_EQ(symbols.bind_defaults(*graph), (std::map<std::string, int64_t>{{"T", 100}}));
  std::mt19937_64 engine(1);
  const auto range = [&](size_t input) {
    const std::vector<double> elements =
        random_value(*graph, input, symbols, engine, nullptr).tensor->view().as_doubles();
    return std::pair(*std::min_element(elements.begin(), elements.end()),
                     *std::max_element(elements.begin(), elements.end()));
  };
  EXPECT_EQ(range(0), std::pair(0.0, 4.0));  // indices of five rows
  EXPECT_GE(range(1).first, 1);              // lengths
  EXPECT_LE(range(1).second, 100);
  EXPECT_GT(range(1).second, 50);
  EXPECT_GE(range(2).first, -1);
  EXPECT_LT(range(2).second, 1);
  EXPECT_EQ(range(3), std::pair(0.0, 1.0));
}

TEST(RandomInputs, BindingsContradict) {
  const std::unique_ptr<Graph> graph = parse(kLookup);
  SymbolBinding symbols;
  symbols.bind(graph->input(0)->type(), std::vector<int64_t>{7, 2}, "ids");
  EXPECT_THROW(symbols.bind(graph->input(1)->type(), std::vector<int64_t>{3}, "lens"), Error);
  EXPECT_THROW(symbols.bind(graph->input(2)->type(), std::vector<int64_t>{2, 4}, "h0"), Error);
  EXPECT_THROW(symbols.bind(graph->input(2)->type(), std::vector<int64_t>{2}, "h0"), Error);
  EXPECT_EQ(symbols.extents().at("T"), 7);
}

}  // namespace
}  // namespace refrain
