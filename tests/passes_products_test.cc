// weighted_sums and precompute_products: products in loops with something that stays the same.
#include <utility>

#include "support/pass_numbers.h"

namespace refrain {
namespace {

using testing::expect_numbers_stay;
using testing::expect_pass;
using testing::expect_unchanged;
using testing::FoldingContext;

constexpr double kRounding = 1e-13;

// Text before and after, and the same numbers.
void expect_product(const std::string& pass, const std::string& before, const std::string& after) {
  expect_pass({pass, "dce"}, before, after);
  expect_numbers_stay({pass}, before, kRounding);
}

// A scan whose state weighs what `%rows` is, 5 steps long.
std::string weighing(const std::string& rows, const std::string& weights, const std::string& axis,
                     const std::string& sum) {
  return "graph @g (%x: f64[5, 2, 4, 1], %m: f64[" + rows + "], %h: f64[" + weights + R"(]) {
  %h1, %y = scan invariant(%mi = %m: f64[)" +
         rows + "]) state(%hi = %h: f64[" + weights +
         R"(]) scanned(%xi = %x[0]: f64[2, 4, 1]) stacked([0]) {
    %n = add(%hi, %xi) : f64[2, 4, 1]
    %0 = tanh(%hi) : f64[)" +
         weights + R"(]
    %axes = constant i64[1] ()" +
         axis + R"()
    %1 = mul(%mi, %0) : f64[2, 4, 3]
    %2 = reduce_sum(%1, %axes) {keep_dims = false} : f64[)" +
         sum + R"(]
    yield %n, %2
  } : f64[)" +
         weights + "], f64[5, " + sum + R"(]
  yield "h" = %h1, "y" = %y
})";
}

TEST(WeightedSums, OfFixedRows) {
  expect_product("weighted_sums", weighing("2, 4, 3", "2, 4, 1", "1", "2, 3"),
                 R"(graph @g (%x: f64[5, 2, 4, 1], %m: f64[2, 4, 3], %h: f64[2, 4, 1]) {
  %h1, %y = scan invariant(%mi = %m: f64[2, 4, 3]) state(%hi = %h: f64[2, 4, 1]) scanned(%xi = %x[0]: f64[2, 4, 1]) stacked([0]) {
    %n = add(%hi, %xi) : f64[2, 4, 1]
    %0 = tanh(%hi) : f64[2, 4, 1]
    %1 = constant i64[1] (-1)
    %2 = squeeze(%0, %1) : f64[2, 4]
    %3 = constant i64[1] (-2)
    %4 = unsqueeze(%2, %3) : f64[2, 1, 4]
    %5 = matmul(%4, %mi) : f64[2, 1, 3]
    %6 = constant i64[1] (-2)
    %7 = squeeze(%5, %6) : f64[2, 3]
    yield %n, %7
  } : f64[2, 4, 1], f64[5, 2, 3]
  yield "h" = %h1, "y" = %y
})");
}

TEST(WeightedSums, KeepTheirAxis) {
  const auto after = expect_numbers_stay({"weighted_sums", "dce"},
                                         R"(graph @g (%m: f64[4, 3], %h: f64[4, 1]) {
  %n = constant i64[] (3)
  %h1, %y = scan trips(%n) invariant(%mi = %m: f64[4, 3]) state(%hi = %h: f64[4, 1]) stacked([0]) {
    %0 = tanh(%hi) : f64[4, 1]
    %axes = constant i64[1] (-2)
    %1 = mul(%0, %mi) : f64[4, 3]
    %2 = reduce_sum(%1, %axes) {keep_dims = true} : f64[1, 3]
    yield %0, %2
  } : f64[4, 1], f64[3, 1, 3]
  yield "h" = %h1, "y" = %y
})",
                                         kRounding);
  EXPECT_EQ(print(*after).find("reduce_sum"), std::string::npos);
}

TEST(WeightedSums, NotAlongOtherAxesNorOfBroadcastRows) {
  expect_unchanged("weighted_sums", weighing("2, 4, 3", "2, 4, 1", "0", "4, 3"));
  expect_unchanged("weighted_sums", weighing("2, 4, 3", "2, 4, 1", "2", "2, 4"));
  expect_unchanged("weighted_sums", weighing("1, 4, 3", "2, 4, 1", "1", "2, 3"));
}

TEST(WeightedSums, NotWhereAllIsElementWise) {
  expect_unchanged("weighted_sums", R"(graph @g (%m: f64[4, 1], %h: f64[4, 1]) {
  %n = constant i64[] (3)
  %h1, %y = scan trips(%n) invariant(%mi = %m: f64[4, 1]) state(%hi = %h: f64[4, 1]) stacked([0]) {
    %0 = tanh(%hi) : f64[4, 1]
    %axes = constant i64[1] (0)
    %1 = mul(%0, %mi) : f64[4, 1]
    %2 = reduce_sum(%1, %axes) {keep_dims = false} : f64[1]
    yield %0, %2
  } : f64[4, 1], f64[3, 1]
  yield "h" = %h1, "y" = %y
})");
}

// A scan that looks up in a table, along an axis, what its state has most of.
std::string looking_up(const std::string& table, const std::string& axis,
                       const std::string& index) {
  return R"(graph @g (%t: f64[3, 3], %h: f64[1, 3]) {
  %e = constant f64[3, 3] (1, 2, 3, -4, 5, 6, 7, 8, 9.5)
  %w = constant f64[3, 3] (1, -2, 3, -4, 5, -6, 0.5, 7, 11)
  %n = constant i64[] (4)
  %s = scan trips(%n) invariant(%ei = )" +
         table + R"(: f64[3, 3], %wi = %w: f64[3, 3]) state(%hi = %h: f64[1, 3]) {
    %i = arg_max()" +
         index + R"() {axis = 1, keep_dims = false} : i64[)" + (index == "%hi" ? "1" : "3") + R"(]
    %0 = gather(%ei, %i) {axis = )" +
         axis + R"(} : f64[)" +
         (axis == "1"      ? "3, 1"
          : index == "%hi" ? "1, 3"
                           : "3, 3") +
         R"(]
    %1 = )" +
         (axis == "1"
              ? "matmul(%wi, %0) : f64[3, 1]"
              : std::string("matmul(%0, %wi) : f64[") + (index == "%hi" ? "1, 3]" : "3, 3]")) +
         R"( @"cell"
    %k = constant i64[1] (0)
    %2 = reduce_sum(%1, %k) {keep_dims = true} : f64[1, )" +
         (axis == "1" ? "1" : "3") + R"(]
    %3 = sin(%2) : f64[1, )" +
         (axis == "1" ? "1" : "3") + R"(]
    %4 = sub(%3, %hi) : f64[1, 3]
    yield %4
  } : f64[1, 3]
  yield "s" = %s
})";
}

TEST(PrecomputeProducts, OfATable) {
  const std::string before = looking_up("%e", "0", "%hi");
  expect_product("precompute_products", before,
                 R"(graph @g (%t: f64[3, 3], %h: f64[1, 3]) {
  %e = constant f64[3, 3] (1, 2, 3, -4, 5, 6, 7, 8, 9.5)
  %w = constant f64[3, 3] (1, -2, 3, -4, 5, -6, 0.5, 7, 11)
  %n = constant i64[] (4)
  %0 = matmul(%e, %w) : f64[3, 3] @"cell"
  %s = scan trips(%n) invariant(%1 = %0: f64[3, 3]) state(%hi = %h: f64[1, 3]) {
    %i = arg_max(%hi) {axis = 1, keep_dims = false} : i64[1]
    %2 = gather(%1, %i) : f64[1, 3]
    %k = constant i64[1] (0)
    %3 = reduce_sum(%2, %k) {keep_dims = true} : f64[1, 3]
    %4 = sin(%3) : f64[1, 3]
    %5 = sub(%4, %hi) : f64[1, 3]
    yield %5
  } : f64[1, 3]
  yield "s" = %s
})");
}

TEST(PrecomputeProducts, NotOfTablesThatChangeOrColumnsOrWhatMayLeave) {
  expect_unchanged("precompute_products", looking_up("%t", "0", "%hi"));
  expect_unchanged("precompute_products", looking_up("%e", "1", "%hi"));
  expect_unchanged("precompute_products", looking_up("%e", "0", "%wi"));
}

TEST(PrecomputeProducts, NotOfLargeTables) {
  const std::string text = looking_up("%e", "0", "%hi");
  FoldingContext context;
  context.max_folded_bytes = 71;  // the product has 72
  expect_pass({"precompute_products"}, text, text, context);
}

TEST(PrecomputeProducts, NotOfTablesMuchLargerThanTheWeights) {
  const auto with_rows = [](const std::string& rows) {
    return R"(graph @g (%h: f64[1, 3]) {
  %e = constant f64[)" +
           rows + R"(, 2] splat(0.5)
  %w = constant f64[2, 3] (1, -2, 3, -4, 5, -6)
  %n = constant i64[] (4)
  %s = scan trips(%n) invariant(%ei = %e: f64[)" +
           rows + R"(, 2], %wi = %w: f64[2, 3]) state(%hi = %h: f64[1, 3]) {
    %i = arg_max(%hi) {axis = 1, keep_dims = false} : i64[1]
    %0 = gather(%ei, %i) : f64[1, 2]
    %1 = matmul(%0, %wi) : f64[1, 3]
    %2 = sub(%1, %hi) : f64[1, 3]
    yield %2
  } : f64[1, 3]
  yield "s" = %s
})";
  };
  const auto after =
      expect_numbers_stay({"precompute_products", "dce"}, with_rows("16"), kRounding);
  EXPECT_NE(print(*after).find("f64[16, 3]"), std::string::npos) << print(*after);
  expect_unchanged("precompute_products", with_rows("17"));
}

// A scan of T `steps` whose S `states` weigh the R `rows` of each of M `memories` for weights.
std::string attending(const std::string& steps, const std::string& rows,
                      const std::string& memories, const std::string& states = "2") {
  std::string text = R"(graph @g (%x: f64[<T>, <S>, 1, <R>], %m: f64[<M>, <R>, 8], %w: f64[8, 3],
                                    %h: f64[<S>, 1, <R>]) {
  %h1, %y = scan invariant(%mi = %m: f64[<M>, <R>, 8], %wi = %w: f64[8, 3])
                 state(%hi = %h: f64[<S>, 1, <R>])
                 scanned(%xi = %x[0]: f64[<S>, 1, <R>]) stacked([0]) {
    %n = add(%hi, %xi) : f64[<S>, 1, <R>]
    %axes = constant i64[1] (1)
    %0 = matmul(%hi, %mi) : f64[<S>, 1, 8]
    %1 = squeeze(%0, %axes) : f64[<S>, 8]
    %2 = matmul(%1, %wi) : f64[<S>, 3]
    yield %n, %2
  } : f64[<S>, 1, <R>], f64[<T>, <S>, 3]
  yield "h" = %h1, "y" = %y
})";
  const std::pair<std::string, std::string> marks[] = {
      {"<T>", steps}, {"<R>", rows}, {"<M>", memories}, {"<S>", states}};
  for (const auto& [mark, extent] : marks) {
    for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark)) {
      text.replace(at, mark.size(), extent);
    }
  }
  return text;
}

TEST(PrecomputeProducts, OfAMemory) {
  expect_product(
      "precompute_products", attending("4", "4", "2"),
      R"(graph @g (%x: f64[4, 2, 1, 4], %m: f64[2, 4, 8], %w: f64[8, 3], %h: f64[2, 1, 4]) {
  %0 = matmul(%m, %w) : f64[2, 4, 3]
  %h1, %y = scan invariant(%1 = %0: f64[2, 4, 3]) state(%hi = %h: f64[2, 1, 4]) scanned(%xi = %x[0]: f64[2, 1, 4]) stacked([0]) {
    %n = add(%hi, %xi) : f64[2, 1, 4]
    %2 = matmul(%hi, %1) : f64[2, 1, 3]
    %3 = constant i64[1] (1)
    %4 = squeeze(%2, %3) : f64[2, 3]
    yield %n, %4
  } : f64[2, 1, 4], f64[4, 2, 3]
  yield "h" = %h1, "y" = %y
})");
}

TEST(PrecomputeProducts, OfAMemoryOfMoreRowsThanStepsForASingleState) {
  for (const char* rows : {"3", "4"}) {
    const auto after = expect_numbers_stay({"precompute_products", "dce"},
                                           attending("2", rows, "1", "1"), kRounding);
    EXPECT_EQ(print(*after).find("invariant(%mi"), std::string::npos) << print(*after);
  }
}

TEST(PrecomputeProducts, NotWhereAMemoryIsMoreWorkThanTheSteps) {
  expect_unchanged("precompute_products", attending("3", "4", "2"));  // fewer steps than rows
  expect_unchanged("precompute_products", attending("1", "3", "1", "1"));
  expect_unchanged("precompute_products", attending("T", "4", "2"));
  expect_unchanged("precompute_products", attending("9", "5", "2"));  // as long as weights are
  expect_unchanged("precompute_products", attending("4", "4", "1"));  // one memory for two rows
}

}  // namespace
}  // namespace refrain
