// Products with vectors against the reference backend in double precision, for every SIMD target.
#include <gtest/gtest.h>

#include <string>

#include "backends/highway/vector_product.h"
#include "backends/reference/executor.h"
#include "ir/text.h"
#include "support/compare.h"
#include "support/random.h"
#include "support/targets.h"
#include "support/widened.h"

namespace refrain {
namespace {

using testing::Random;
using testing::widened;

std::unique_ptr<Graph> product(const std::string& element, const std::string& a,
                               const std::string& b, const std::string& c) {
  return parse("graph @g (%a: " + element + a + ", %b: " + element + b +
               ") {\n  %c = matmul(%a, %b) : " + element + c + "\n  yield \"c\" = %c\n}");
}

// Sums of up to 100 products below 1: errors stay below 100 * 2^-24 * 100.
void check(int64_t batches, int64_t rows, int64_t depth, int64_t columns, bool shared = false) {
  const auto text = [&](int64_t m, int64_t n) {
    return "[" + std::to_string(batches) + ", " + std::to_string(m) + ", " + std::to_string(n) +
           "]";
  };
  const std::string a = text(rows, depth), c = text(rows, columns),
                    b = shared ? "[" + std::to_string(depth) + ", " + std::to_string(columns) + "]"
                               : text(depth, columns);
  const auto graph = product("f32", a, b, c), exact = product("f64", a, b, c);
  Random random(static_cast<uint64_t>(rows + depth + columns));
  const Tensor x = random.tensor(ElementType::f32, {batches, rows, depth}),
               y = random.tensor(ElementType::f32,
                                 shared ? std::vector<int64_t>{depth, columns}
                                        : std::vector<int64_t>{batches, depth, columns});
  std::vector<RuntimeValue> values;
  values.emplace_back(widened(x));
  values.emplace_back(widened(y));
  const Tensor expected = reference::run(*exact, values)[0].tensor->clone();
  testing::for_each_target([&] {
    const auto kernel = highway::make_vector_product(*graph->output(0)->node());
    ASSERT_TRUE(kernel);
    Tensor result(ElementType::f32, {batches, rows, columns});
    const void* operands[] = {x.raw(), y.raw()};
    void* results[] = {result.raw()};
    kernel->run(operands, results);
    EXPECT_TRUE(testing::close(widened(result), expected, 1e-5, 1e-5)) << kernel->describe();
  });
}

TEST(HighwayVectorProduct, AllSizes) {
  for (const int64_t batches : {1, 3}) {
    for (const int64_t depth : {1, 3, 15, 16, 17, 64, 100}) {
      for (const int64_t other : {1, 2, 4, 5, 15, 16, 17, 33, 128, 150}) {
        check(batches, 1, depth, other);
        check(batches, other, depth, 1);
      }
    }
  }
}

TEST(HighwayVectorProduct, OneColumnForAllMatrices) {
  for (const int64_t batches : {1, 3}) {
    for (const int64_t depth : {1, 15, 16, 17, 100}) {
      for (const int64_t rows : {1, 3, 4, 5, 20}) check(batches, rows, depth, 1, true);
    }
  }
}

TEST(HighwayVectorProduct, OthersHaveNone) {
  EXPECT_FALSE(highway::make_vector_product(
      *product("f32", "[2, 3, 4]", "[2, 4, 5]", "[2, 3, 5]")->output(0)->node()));
  EXPECT_FALSE(highway::make_vector_product(
      *product("f32", "[2, 3, 4]", "[1, 4, 1]", "[2, 3, 1]")->output(0)->node()));
  EXPECT_FALSE(highway::make_vector_product(
      *product("f32", "[2, 3, 4]", "[4, 2]", "[2, 3, 2]")->output(0)->node()));
  EXPECT_FALSE(highway::make_vector_product(
      *product("f64", "[2, 1, 4]", "[2, 4, 5]", "[2, 1, 5]")->output(0)->node()));
}

}  // namespace
}  // namespace refrain
