// Running passes in tests: text in, text out.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "backends/reference/executor.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/pass.h"
#include "support/compare.h"
#include "support/random.h"

namespace refrain::testing {

// A context that folds with the reference backend.
struct FoldingContext : passes::PassContext {
  std::unique_ptr<Evaluator> owned = reference::make_evaluator();
  FoldingContext() { evaluator = owned.get(); }
};

// Runs one pass and checks what every pass promises: a valid graph, a change flag that tells the
// truth, and nothing left to do the second time.
inline void run_pass(Graph& graph, const std::string& name, const passes::PassContext& context) {
  const passes::Pass* pass = passes::find_pass(name);
  ASSERT_TRUE(pass) << name;
  const std::string before = print(graph);
  const bool changed = pass->run(graph, context);
  ASSERT_NO_THROW(verify(graph)) << name << " of\n" << before;
  const std::string after = print(graph);
  EXPECT_EQ(changed, before != after) << name << " of\n" << before << "gave\n" << after;
  EXPECT_FALSE(pass->run(graph, context)) << name << " is not done after\n"
                                          << after << "but gives\n"
                                          << print(graph);
}

// Runs passes one after the other on `before` and expects the text of `after`.
inline void expect_pass(const std::vector<std::string>& names, const std::string& before,
                        const std::string& after,
                        const passes::PassContext& context = FoldingContext()) {
  const auto graph = parse(before);
  for (const std::string& name : names) run_pass(*graph, name, context);
  EXPECT_EQ(print(*graph), print(*parse(after)));
}

inline void expect_unchanged(const std::string& name, const std::string& text) {
  expect_pass({name}, text, text);
}

// The same results, bit for bit (NaNs aside), on the same inputs.
inline void expect_same_results(const Graph& actual, const Graph& expected,
                                const std::vector<RuntimeValue>& inputs, double rtol = 0,
                                double atol = 0) {
  const std::vector<RuntimeValue> a = reference::run(actual, inputs),
                                  e = reference::run(expected, inputs);
  ASSERT_EQ(a.size(), e.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_TRUE(a[i].tensor && e[i].tensor);
    EXPECT_TRUE(close(*a[i].tensor, *e[i].tensor, rtol, atol)) << "output " << i << " of\n"
                                                               << print(actual);
  }
}

}  // namespace refrain::testing
