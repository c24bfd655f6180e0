// Bad models: each gives the message that tests/hostile/expected.json states, soon, and within the
// limits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "backends/reference/executor.h"
#include "frontend/driver/executable.h"
#include "frontend/driver/model.h"
#include "frontend/onnx/import.h"
#include "frontend/onnx/proto.h"
#include "ir/error.h"

namespace refrain {
namespace {

using ::testing::HasSubstr;

const std::string kFolder = std::string(REFRAIN_SOURCE_DIR) + "/tests/hostile/";

std::map<std::string, std::string> expected_messages() {
  std::ifstream file(kFolder + "expected.json");
  return nlohmann::json::parse(file).get<std::map<std::string, std::string>>();
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& [name, message] : expected_messages()) names.push_back(name);
  return names;
}

// All that happens to a model on its way to a result.
std::string message_of(const std::string& path) {
  reference::Limits limits;
  limits.max_bytes = int64_t{1} << 28;
  LoadedModel model;
  try {
    model = load_model(path);
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(path));
    return error.what();
  }
  try {
    optimize(*model.graph, limits);
    reference::run(*model.graph, {}, limits);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// The same, prepared.
std::string prepared_message_of(const std::string& path) {
  ExecutableOptions options;
  options.limits.max_bytes = int64_t{1} << 28;
  try {
    LoadedModel model = load_model(path);
    optimize(*model.graph, options.limits);
    Executable(std::move(model.graph), options).run({});
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

class Hostile : public ::testing::TestWithParam<std::string> {};

TEST_P(Hostile, GivesItsMessageSoon) {
  const auto start = std::chrono::steady_clock::now();
  const std::string message = message_of(kFolder + GetParam() + ".onnx");
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_THAT(message, HasSubstr(expected_messages().at(GetParam())));
  EXPECT_THAT(prepared_message_of(kFolder + GetParam() + ".onnx"),
              HasSubstr(expected_messages().at(GetParam())));
  // A second on a quiet machine; what this guards against takes hours.
  EXPECT_LT(seconds.count(), 20);
}

INSTANTIATE_TEST_SUITE_P(Corpus, Hostile, ::testing::ValuesIn(case_names()),
                         [](const auto& tested) { return tested.param; });

TEST(HostileBytes, EveryPrefixOfAModelIsRefused) {
  std::ifstream file(kFolder + "lengths_negative.onnx", std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  ASSERT_GT(bytes.size(), 100u);
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THROW(onnx_import::import_bytes(std::string_view(bytes).substr(0, length), "prefix"),
                 Error)
        << length;
  }
}

TEST(HostileBytes, FlippedBytesNeverCrash) {
  std::mt19937 random(7);
  for (const char* name :
       {"lengths_negative", "loop_never_ends", "loops_in_loops", "gather_out_of_range"}) {
    std::ifstream file(kFolder + name + ".onnx", std::ios::binary);
    const std::string original((std::istreambuf_iterator<char>(file)), {});
    for (int i = 0; i < 300; ++i) {
      std::string bytes = original;
      for (int flips = 0; flips < 3; ++flips)
        bytes[random() % bytes.size()] = static_cast<char>(random());
      try {
        reference::Limits limits;
        limits.max_bytes = int64_t{1} << 24;
        limits.max_iterations = 1000;
        onnx_import::Imported model = onnx_import::import_bytes(bytes, "flipped");
        optimize(*model.graph, limits);
        if (model.graph->input_count() > 0) continue;
        Executable(std::move(model.graph), {.limits = limits}).run({});
      } catch (const Error&) {  // most of them
      }
    }
  }
}

// One hundred thousand Ifs in a row, each on what the last one gave: refused or run, not slow.
TEST(HostileSize, ManyIfsImportAndRun) {
  onnx::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(13);
  onnx::GraphProto& graph = *model.mutable_graph();
  onnx::ValueInfoProto& input = *graph.add_input();
  input.set_name("x0");
  input.mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::BOOL);
  input.mutable_type()->mutable_tensor_type()->mutable_shape();
  constexpr int kCount = 100'000;
  for (int i = 0; i < kCount; ++i) {
    onnx::NodeProto& node = *graph.add_node();
    const std::string source = "x" + std::to_string(i);
    node.set_op_type("If");
    node.add_input(source);
    node.add_output("x" + std::to_string(i + 1));
    for (const char* side : {"then_branch", "else_branch"}) {
      onnx::AttributeProto& attribute = *node.add_attribute();
      attribute.set_name(side);
      attribute.set_type(onnx::AttributeProto::GRAPH);
      onnx::NodeProto& inner = *attribute.mutable_g()->add_node();
      inner.set_op_type("Not");
      inner.add_input(source);
      inner.add_output(side + std::to_string(i));
      attribute.mutable_g()->add_output()->set_name(side + std::to_string(i));
    }
  }
  onnx::ValueInfoProto& output = *graph.add_output();
  output.set_name("x" + std::to_string(kCount));
  const onnx_import::Imported imported =
      onnx_import::import_bytes(model.SerializeAsString(), "ifs");
  const std::vector<RuntimeValue> inputs = {Tensor::scalar(true)};
  const std::vector<RuntimeValue> outputs = reference::run(*imported.graph, inputs);
  EXPECT_EQ(outputs[0].tensor->data<bool>()[0], true);  // an even number of negations
}

}  // namespace
}  // namespace refrain
