// Reductions along axes against the reference backend in double precision, for every SIMD target.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "backends/highway/axis.h"
#include "backends/highway/targets.h"
#include "backends/reference/executor.h"
#include "ir/text.h"
#include "support/compare.h"
#include "support/random.h"
#include "support/targets.h"
#include "support/widened.h"

namespace refrain {
namespace {

using testing::for_each_target;
using testing::Random;
using testing::widened;

// `op` has the node's operands and attributes, such as `reduce_sum(%x, %axes) : f32[2, 1, 3]`.
std::string graph_of(const std::string& element, const std::string& x, const std::string& axes,
                     const std::string& op) {
  return "graph @g (%x: " + element + "[" + x + "]) {\n  %axes = constant i64" + axes +
         "\n  %y = " + op + "\n  yield \"y\" = %y\n}";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + 1)) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// Runs the kernel on every target and compares with the reference in f64. Sums of at most 200
// numbers below 1 and functions of them: errors stay below 200 ulp, and far below that in practice.
void check(const std::string& x, const std::string& axes, const std::string& op,
           const std::function<void(Tensor&)>& change = {}) {
  const auto graph = parse(graph_of("f32", x, axes, op));
  const auto exact = parse(replaced(graph_of("f64", x, axes, op), "f32", "f64"));
  const Node* node = graph->output(0)->node();
  Random random(x.size());
  Tensor input = random.tensor(ElementType::f32, graph->input(0)->type().shape.extents());
  if (change) change(input);
  std::vector<RuntimeValue> values;
  values.emplace_back(widened(input));
  const Tensor expected = reference::run(*exact, values)[0].tensor->clone();
  std::vector<const Tensor*> constants = {nullptr};
  TensorPtr axes_tensor;
  if (node->operand_count() > 1) {
    axes_tensor = node->operand(1)->node()->attribute<TensorPtr>(AttributeName::value);
    constants.push_back(axes_tensor.get());
  }
  for_each_target([&] {
    const auto kernel = highway::make_axis_kernel(*node, constants);
    ASSERT_TRUE(kernel) << print(*graph);
    const ValueType& type = node->result()->type();
    Tensor result(type.element, type.shape.extents());
    const void* operands[] = {input.raw(), nullptr};
    void* results[] = {result.raw()};
    kernel->run(operands, results);
    if (type.element == ElementType::i64) {
      EXPECT_TRUE(testing::equal(result, expected)) << print(*graph);
      return;
    }
    EXPECT_TRUE(testing::close(widened(result), expected, 1e-5, 1e-5)) << print(*graph);
  });
}

TEST(HighwayAxis, AnyAxis) {
  for (const int extent : {1, 2, 3, 15, 16, 17, 33, 100}) {
    for (const int inner : {1, 2, 15, 16, 17, 40}) {
      const std::string n = std::to_string(extent), i = std::to_string(inner);
      const std::string x = "3, " + n + ", " + i;
      for (const char* op : {"reduce_sum", "reduce_mean", "reduce_max", "reduce_min"}) {
        check(x, "[1] (1)", std::string(op) + "(%x, %axes) : f32[3, 1, " + i + "]");
        check(x, "[2] (-1, 1)", std::string(op) + "(%x, %axes) {keep_dims = false} : f32[3]");
      }
      for (const char* op : {"softmax", "log_softmax"}) {
        check(x, "[1] (1)", std::string(op) + "(%x) {axis = 1} : f32[" + x + "]");
      }
      for (const char* op : {"arg_max", "arg_min"}) {
        check(x, "[1] (1)", std::string(op) + "(%x) {axis = 2} : i64[3, " + n + ", 1]");
      }
    }
  }
}

TEST(HighwayAxis, TheFirstOrLastOfEqualElements) {
  for (const size_t n : {3, 16, 37}) {
    for (const char* last : {"false", "true"}) {
      for (const char* op : {"arg_max", "arg_min"}) {
        const std::string text = std::string(op) + "(%x) {axis = 1, keep_dims = false, " +
                                 "select_last = " + last + "} : i64[2]";
        const std::string x = "2, " + std::to_string(n);
        check(x, "[1] (1)", text, [&](Tensor& t) {
          for (float& value : t.data<float>()) value = 0.5F;
        });
        check(x, "[1] (1)", text, [&](Tensor& t) {
          t.data<float>()[1] = t.data<float>()[2] = std::nanf("");
          t.data<float>()[n] = -std::numeric_limits<float>::infinity();
          t.data<float>()[2 * n - 1] = std::numeric_limits<float>::infinity();
        });
      }
    }
  }
}

TEST(HighwayAxis, NaNStays) {
  for (const char* x : {"1, 37, 1", "1, 37, 5"}) {
    const std::string inner = std::string(x).substr(7);
    for (const size_t at : {0, 5, 35}) {
      for (const char* op : {"reduce_max", "reduce_min", "reduce_sum"}) {
        check(x, "[1] (1)", std::string(op) + "(%x, %axes) : f32[1, 1, " + inner + "]",
              [at](Tensor& t) { t.data<float>()[at] = std::nanf(""); });
      }
    }
  }
}

}  // namespace
}  // namespace refrain
