// Models that were traced at one length run at others: tests/lengths, against PyTorch.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "frontend/driver/case.h"
#include "frontend/driver/model.h"
#include "frontend/io/file.h"
#include "ir/text.h"
#include "support/cases.h"
#include "support/process.h"

namespace refrain {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> folders() {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(REFRAIN_SOURCE_DIR "/tests/lengths")) {
    if (fs::exists(entry.path() / "model.onnx")) found.push_back(entry.path().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

class Lengths : public ::testing::TestWithParam<std::string> {};

TEST_P(Lengths, OthersThanTheTracedOne) {
  // The same case with the freed model, in the text form, in the place of the traced one.
  const testing::TemporaryFolder folder;
  const fs::path copy = folder.path();
  fs::copy(GetParam(), copy, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  const auto graph = load_model(GetParam() + "/model.onnx").graph;
  ASSERT_NO_THROW(optimize_dynamic_time(*graph));
  write_file((copy / "model.onnx").string(), print(*graph));
  ASSERT_TRUE(fs::exists(copy / "test_data_set_2"));
  for (const Backend backend :
       {Backend::automatic, Backend::reference, Backend::highway, Backend::onednn}) {
    CaseOptions options;
    options.backend = backend;
    const CaseResult result = run_case(copy.string(), options);
    EXPECT_EQ(result.status, CaseResult::Status::passed) << name(backend) << ": " << result.why;
  }
}

// What was traced is what it says: the other lengths fail without.
TEST_P(Lengths, TheTracedModelHasOne) {
  const CaseResult result = run_case(GetParam(), {});
  EXPECT_EQ(result.status, CaseResult::Status::failed);
}

INSTANTIATE_TEST_SUITE_P(Models, Lengths, ::testing::ValuesIn(folders()), testing::case_test_name);

}  // namespace
}  // namespace refrain
