// The test models, those of the project and, where they are there, the shared cases.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/runtime_value.h"

namespace refrain::testing {

// Folders in the layout of ONNX's backend tests, sorted.
std::vector<std::string> case_folders();

// A test's name for a parameter that is a case's folder.
std::string case_test_name(const ::testing::TestParamInfo<std::string>& tested);

// The inputs of a case's first data set, in order.
std::vector<RuntimeValue> case_inputs(const std::string& folder, const Graph& graph);

// Output `i` of that data set.
RuntimeValue case_output(const std::string& folder, const Graph& graph, size_t i);

// Inputs and outputs, by name, of a step of a case that carries state; empty past its last step.
std::map<std::string, Tensor> sequence_step(const std::string& folder, const Graph& graph,
                                            size_t step);

}  // namespace refrain::testing
