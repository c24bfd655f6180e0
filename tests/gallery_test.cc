// The gallery: every example gives PyTorch's outputs on every backend, and forms that say the same
// are the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "frontend/driver/case.h"
#include "frontend/driver/executable.h"
#include "frontend/driver/model.h"
#include "support/cases.h"

namespace refrain {
namespace {

namespace fs = std::filesystem;

const std::string kGallery = REFRAIN_SOURCE_DIR "/examples/gallery/";

std::vector<std::string> examples() {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(kGallery)) {
    if (fs::exists(entry.path() / (entry.path().filename().string() + ".rfn"))) {
      found.push_back(entry.path().string());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

class Gallery : public ::testing::TestWithParam<std::string> {};

TEST_P(Gallery, GivesPyTorchsOutputs) {
  for (const Backend backend :
       {Backend::automatic, Backend::reference, Backend::highway, Backend::onednn}) {
    CaseOptions options;
    options.backend = backend;
    options.tolerance = {.relative = 1e-5, .absolute = 1e-5};
    const CaseResult result = run_case(GetParam(), options);
    EXPECT_EQ(result.status, CaseResult::Status::passed) << name(backend) << ": " << result.why;
  }
}

INSTANTIATE_TEST_SUITE_P(Examples, Gallery, ::testing::ValuesIn(examples()),
                         testing::case_test_name);

std::vector<float> output_of(const std::string& example, const RuntimeValue& x) {
  std::unique_ptr<Graph> graph = load_model(kGallery + example + "/" + example + ".rfn").graph;
  optimize(*graph);
  const Executable executable(std::move(graph), {});
  const std::vector<RuntimeValue> outputs = executable.run({&x, 1});
  const std::span<const float> elements = outputs[0].tensor->data<float>();
  return {elements.begin(), elements.end()};
}

// W·x + U·h + b and W·[h, x] + b, after optimisation.
TEST(GalleryForms, BothFormsOfTheSimpleNetworkAreEqualToTheBit) {
  std::mt19937 engine(1);
  std::normal_distribution<float> normal;
  for (const int64_t steps : {1, 2, 7, 30}) {
    for (const int64_t batch : {1, 3, 16, 17}) {
      Tensor elements(ElementType::f32, {steps, batch, 26});
      for (float& element : elements.data<float>()) element = normal(engine);
      const RuntimeValue x(std::move(elements));
      EXPECT_EQ(output_of("simple_rnn", x), output_of("simple_rnn_concat", x))
          << steps << " steps, batch " << batch;
    }
  }
}

}  // namespace
}  // namespace refrain
