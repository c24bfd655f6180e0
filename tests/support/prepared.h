// Prepared graphs against the reference backend.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "backends/executable/executable.h"
#include "backends/reference/executor.h"
#include "ir/text.h"
#include "support/compare.h"
#include "support/random.h"

namespace refrain::testing {

// `$f32[2, 3]` in a graph's text stands for a constant with random elements.
inline std::string with_constants(std::string text, Random& random) {
  for (size_t at = text.find('$'); at != std::string::npos; at = text.find('$', at)) {
    const size_t begin = text.find('[', at), end = text.find(']', at);
    int64_t count = 1;
    for (size_t i = begin + 1; i < end; i = text.find_first_of(",]", i) + 1) {
      count *= std::stoll(text.substr(i));
    }
    std::string elements;
    for (int64_t i = 0; i < count; ++i) {
      elements += (i > 0 ? ", " : "") + std::to_string(random.uniform(-0.6, 0.6));
    }
    const std::string type = text.substr(at + 1, end - at);
    text.replace(at, end - at + 1, "constant " + type + " (" + elements + ")");
  }
  return text;
}

inline std::vector<Tensor> random_inputs(const Graph& graph, Random& random) {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    const ValueType& type = graph.input(i)->type();
    // Integers stay small: they are lengths and indices.
    const bool real = is_float(type.element);
    inputs.push_back(
        random.tensor(type.element, type.shape.extents(), real ? -1 : 0, real ? 1 : 3));
  }
  return inputs;
}

inline std::vector<Tensor> run(PreparedGraph& prepared, const std::vector<Tensor>& inputs) {
  std::vector<const Tensor*> pointers;
  for (const Tensor& input : inputs) pointers.push_back(&input);
  std::vector<Tensor> outputs = prepared.make_outputs();
  prepared.run(pointers, outputs);
  return outputs;
}

// Prepares a graph in every way, runs it twice, and compares with the reference backend; with more
// threads every bit must be the same. Returns the automatic choice's steps.
inline std::string check(const std::string& text, uint64_t seed = 1) {
  Random random(seed);
  const auto graph = parse(with_constants(text, random));
  std::string why;
  EXPECT_TRUE(PreparedGraph::supports(*graph, &why)) << why;
  std::string steps;
  for (const KernelChoice kernels :
       {KernelChoice::onednn, KernelChoice::highway, KernelChoice::automatic}) {
    PreparedGraph one(*graph, {.kernels = kernels}),
        two(*graph, {.kernels = kernels, .threads = 2}),
        stepwise(*graph, {.kernels = kernels, .loop_kernels = false});
    for (int repeat = 0; repeat < 2; ++repeat) {
      const std::vector<Tensor> inputs = random_inputs(*graph, random);
      std::vector<RuntimeValue> values;
      for (const Tensor& input : inputs) values.emplace_back(input.clone());
      const std::vector<RuntimeValue> expected = reference::run(*graph, values);
      const std::vector<Tensor> actual = run(one, inputs), threaded = run(two, inputs),
                                in_steps = run(stepwise, inputs);
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_TRUE(close(actual[i], *expected[i].tensor, 1e-4, 2e-6))
            << "output " << i << ", run " << repeat << " of\n"
            << print(*graph) << one.describe();
        EXPECT_TRUE(identical(actual[i], threaded[i])) << "threads, output " << i;
        EXPECT_TRUE(close(in_steps[i], *expected[i].tensor, 1e-4, 2e-6))
            << "step by step, output " << i << ", run " << repeat;
      }
    }
    steps = one.describe();
  }
  return steps;
}

inline size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace refrain::testing
