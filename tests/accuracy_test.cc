// Every test model, those of the project and, where they are there, the shared cases, on every
// backend: within 1e-5, relative and in norm, of the same graph in float64 on the reference
// backend.
#include <gtest/gtest.h>

#include <cmath>

#include "backends/reference/executor.h"
#include "frontend/driver/executable.h"
#include "frontend/driver/model.h"
#include "passes/passes.h"
#include "support/cases.h"
#include "support/compare.h"
#include "support/widened.h"

namespace refrain {
namespace {

using testing::case_folders;
using testing::case_inputs;
using testing::widened;

constexpr double kTolerance = 1e-5;

// |actual - expected| / |expected| in the Euclidean norm; where all is expected to be 0, the norm
// of the difference. NaN if one of them is not finite where the other is, or another infinity.
double relative_error(const Tensor& actual, const Tensor& expected) {
  const std::vector<double> a = actual.view().as_doubles(), e = expected.view().as_doubles();
  double difference = 0, norm = 0;
  for (size_t i = 0; i < e.size(); ++i) {
    if (a[i] == e[i] || (std::isnan(a[i]) && std::isnan(e[i]))) {
      norm += std::isfinite(e[i]) ? e[i] * e[i] : 0;
      continue;
    }
    difference += (a[i] - e[i]) * (a[i] - e[i]);
    norm += e[i] * e[i];
  }
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

void expect_near(const Tensor& actual, const Tensor& expected) {
  ASSERT_EQ(actual.extents(), expected.extents());
  if (is_float(actual.type())) {
    EXPECT_LE(relative_error(actual, expected), kTolerance);
  } else {
    EXPECT_TRUE(testing::equal(actual, expected));
  }
}

class Accuracy : public ::testing::TestWithParam<std::string> {};

TEST_P(Accuracy, InNormOfTheGraphInFloat64) {
  const std::string file = GetParam() + "/model.onnx";
  const std::unique_ptr<Graph> oracle = load_model(file).graph;
  const std::vector<RuntimeValue> inputs = case_inputs(GetParam(), *oracle);
  passes::widen(*oracle, {});
  std::vector<RuntimeValue> wide;
  for (const RuntimeValue& input : inputs) wide.push_back(widened(input));
  const std::vector<RuntimeValue> expected = reference::run(*oracle, wide);
  for (const Backend backend :
       {Backend::automatic, Backend::highway, Backend::onednn, Backend::reference}) {
    SCOPED_TRACE("backend " + std::string(name(backend)));
    std::unique_ptr<Graph> graph = load_model(file).graph;
    optimize(*graph);
    const Executable executable(std::move(graph), {.backend = backend, .limits = {}});
    const std::vector<RuntimeValue> actual = executable.run(inputs);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      SCOPED_TRACE("output " + executable.graph().output_names()[i]);
      ASSERT_EQ(actual[i].tensor == nullptr, expected[i].tensor == nullptr);
      if (actual[i].tensor) expect_near(*actual[i].tensor, *expected[i].tensor);
      ASSERT_EQ(actual[i].sequence == nullptr, expected[i].sequence == nullptr);
      if (!actual[i].sequence) continue;
      ASSERT_EQ(actual[i].sequence->size(), expected[i].sequence->size());
      for (size_t k = 0; k < actual[i].sequence->size(); ++k) {
        expect_near(*(*actual[i].sequence)[k], *(*expected[i].sequence)[k]);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Accuracy, ::testing::ValuesIn(case_folders()),
                         testing::case_test_name);

}  // namespace
}  // namespace refrain
