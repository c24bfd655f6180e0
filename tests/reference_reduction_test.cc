#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "support/array.h"
#include "support/compare.h"
#include "support/random.h"
#include "support/run_op.h"

namespace refrain {
namespace {

using testing::Array;
using testing::close;
using testing::equal;
using testing::error_of;
using testing::for_each_index;
using testing::Index;
using testing::Random;
using testing::run_op;
using testing::run_op_results;
using A = AttributeName;
using ::testing::HasSubstr;
using Ints = std::vector<int64_t>;

constexpr auto f32 = ElementType::f32;
constexpr auto f64 = ElementType::f64;
constexpr auto i64 = ElementType::i64;

template <typename T>
Tensor line(std::vector<T> values) {
  return Tensor::of<T>({static_cast<int64_t>(values.size())}, values);
}

// The elements that go into each element of a reduction's result, in row-major order.
struct Groups {
  Ints extents;  // with the reduced axes kept as 1
  std::vector<std::vector<double>> members;
};

Groups groups_of(const Tensor& x, const std::vector<bool>& reduced) {
  const Array array(x);
  Groups groups{x.extents(), {}};
  for (size_t i = 0; i < reduced.size(); ++i) {
    if (reduced[i]) groups.extents[i] = 1;
  }
  const Array result(groups.extents);
  groups.members.resize(result.values.size());
  for_each_index(x.extents(), [&](const Index& at) {
    Index to = at;
    for (size_t i = 0; i < to.size(); ++i) to[i] = reduced[i] ? 0 : at[i];
    groups.members[result.offset(to)].push_back(array(at));
  });
  return groups;
}

double reduce(Op op, const std::vector<double>& members, bool integers) {
  const double sum = std::accumulate(members.begin(), members.end(), 0.0);
  switch (op) {
    case Op::reduce_sum:
      return sum;
    case Op::reduce_mean: {
      const double mean = sum / static_cast<double>(members.size());
      return integers ? std::trunc(mean) : mean;
    }
    case Op::reduce_max:
      return *std::max_element(members.begin(), members.end());
    case Op::reduce_min:
      return *std::min_element(members.begin(), members.end());
    default:
      return std::accumulate(members.begin(), members.end(), 1.0, std::multiplies<>());
  }
}

TEST(ReferenceReduction, OverEverySubsetOfAxes) {
  Random random(1);
  const Ints extents = {3, 1, 2, 5};
  for (const ElementType type : {f32, f64, ElementType::f16, ElementType::bf16, ElementType::i8,
                                 ElementType::i32, i64, ElementType::u8, ElementType::u64}) {
    const double rounding = type == ElementType::bf16  ? 0x1p-7
                            : type == ElementType::f16 ? 0x1p-10
                                                       : 1e-5;
    const bool floating = is_float(type);
    const double low = floating ? -2 : is_signed_integer(type) ? -3 : 0;
    const Tensor x = random.tensor(type, extents, low, 3);
    for (const Op op :
         {Op::reduce_sum, Op::reduce_mean, Op::reduce_max, Op::reduce_min, Op::reduce_prod}) {
      for (unsigned subset = 1; subset < 16; ++subset) {
        // Larger integer products than these would not fit the doubles that are compared with.
        if (op == Op::reduce_prod && !floating && (subset & 9) == 9) continue;
        std::vector<bool> reduced(4);
        Ints axes, squeezed;
        for (size_t i = 0; i < 4; ++i) {
          reduced[i] = (subset >> i & 1) != 0;
          if (reduced[i]) {
            axes.push_back(i % 2 == 0 ? static_cast<int64_t>(i) : static_cast<int64_t>(i) - 4);
          } else {
            squeezed.push_back(extents[i]);
          }
        }
        const Groups groups = groups_of(x, reduced);
        Array expected(groups.extents);
        for (size_t i = 0; i < expected.values.size(); ++i) {
          expected.values[i] = reduce(op, groups.members[i], !floating);
          // Narrow integers wrap around.
          if (type == ElementType::i8) {
            expected.values[i] = static_cast<int8_t>(static_cast<int64_t>(expected.values[i]));
          } else if (type == ElementType::u8) {
            expected.values[i] = static_cast<uint8_t>(static_cast<int64_t>(expected.values[i]));
          }
        }
        const Tensor operand = Tensor::of_ints(axes), kept = expected.tensor(type);
        EXPECT_TRUE(close(run_op(op, {&x, &operand}), kept, rounding, 1e-5))
            << name(op) << " of " << name(type) << ", axes " << subset;
        EXPECT_TRUE(close(run_op(op, {&x, &operand}, {{A::keep_dims, false}}),
                          kept.clone().reshaped(squeezed), rounding, 1e-5));
      }
    }
  }
}

TEST(ReferenceReduction, WithoutAxes) {
  const Tensor x = Tensor::of<float>({2, 2}, std::vector<float>{1, 2, 3, 4}),
               none = Tensor::of_ints({});
  EXPECT_EQ(run_op(Op::reduce_sum, {&x}, {{A::keep_dims, false}}).data<float>()[0], 10);
  EXPECT_TRUE(equal(run_op(Op::reduce_sum, {&x, &none}),
                    Tensor::of<float>({1, 1}, std::vector<float>{10})));
  EXPECT_TRUE(equal(run_op(Op::reduce_sum, {&x, &none}, {{A::noop_with_empty_axes, true}}), x));
  EXPECT_TRUE(equal(run_op(Op::reduce_max, {&x}, {{A::noop_with_empty_axes, true}}), x));
  const Tensor scalar = Tensor::scalar(7.0f);
  EXPECT_TRUE(equal(run_op(Op::reduce_mean, {&scalar}), scalar));
}

TEST(ReferenceReduction, OfNothing) {
  const Tensor x(f32, {2, 0, 3}), axis = Tensor::of_ints(Ints{1}), other = Tensor::of_ints(Ints{0});
  EXPECT_TRUE(equal(run_op(Op::reduce_sum, {&x, &axis}), Tensor(f32, {2, 1, 3})));
  EXPECT_TRUE(equal(run_op(Op::reduce_prod, {&x, &axis}), Array({2, 1, 3}, 1).tensor(f32)));
  EXPECT_TRUE(equal(run_op(Op::reduce_mean, {&x, &axis}), Array({2, 1, 3}, NAN).tensor(f32)));
  EXPECT_TRUE(equal(run_op(Op::reduce_max, {&x, &other}), Tensor(f32, {1, 0, 3})));
  EXPECT_THAT(error_of(Op::reduce_max, {&x, &axis}), HasSubstr("maximum of nothing"));
  EXPECT_THAT(error_of(Op::reduce_min, {&x, &axis}), HasSubstr("minimum of nothing"));
  const Tensor ints(ElementType::i32, {2, 0, 3});
  EXPECT_THAT(error_of(Op::reduce_mean, {&ints, &axis}), HasSubstr("integer mean of nothing"));
}

TEST(ReferenceReduction, CornerValues) {
  const Tensor nan = line<float>({1, NAN, 3});
  EXPECT_TRUE(std::isnan(run_op(Op::reduce_max, {&nan}).data<float>()[0]));
  EXPECT_TRUE(std::isnan(run_op(Op::reduce_min, {&nan}).data<float>()[0]));
  const Tensor low = line<float>({-INFINITY, -INFINITY});
  EXPECT_EQ(run_op(Op::reduce_max, {&low}).data<float>()[0], -INFINITY);
  const Tensor most = line<int64_t>({INT64_MAX, INT64_MAX});
  EXPECT_EQ(run_op(Op::reduce_sum, {&most}).data<int64_t>()[0], -2);
  EXPECT_EQ(run_op(Op::reduce_mean, {&most}).data<int64_t>()[0], INT64_MAX);
  const Tensor flags = Tensor::of<bool>({2, 2}, std::array<bool, 4>{true, false, false, false});
  const Tensor axis = Tensor::of_ints(Ints{1});
  EXPECT_TRUE(equal(run_op(Op::reduce_max, {&flags, &axis}, {{A::keep_dims, false}}),
                    Tensor::of<bool>({2}, std::array<bool, 2>{true, false})));
  EXPECT_TRUE(equal(run_op(Op::reduce_min, {&flags, &axis}, {{A::keep_dims, false}}),
                    Tensor::of<bool>({2}, std::array<bool, 2>{false, false})));
  EXPECT_THAT(error_of(Op::reduce_sum, {&flags}), HasSubstr("found bool"));
}

TEST(ReferenceReduction, ArgMaxAndArgMin) {
  const Tensor x = Tensor::of<float>({2, 3}, std::vector<float>{2, 5, 5, 1, 1, 0});
  const auto arg = [&](Op op, int64_t axis, bool last) {
    return run_op(op, {&x}, {{A::axis, axis}, {A::select_last, last}, {A::keep_dims, false}});
  };
  EXPECT_TRUE(equal(arg(Op::arg_max, 1, false), line<int64_t>({1, 0})));
  EXPECT_TRUE(equal(arg(Op::arg_max, -1, true), line<int64_t>({2, 1})));
  EXPECT_TRUE(equal(arg(Op::arg_min, 1, false), line<int64_t>({0, 2})));
  EXPECT_TRUE(equal(arg(Op::arg_min, 0, false), line<int64_t>({1, 1, 1})));
  EXPECT_EQ(run_op(Op::arg_max, {&x}, {{A::axis, int64_t{1}}}).extents(), (Ints{2, 1}));
  const Tensor nan = line<float>({1, NAN, 3, NAN});
  EXPECT_EQ(run_op(Op::arg_max, {&nan}).data<int64_t>()[0], 1);
  EXPECT_EQ(run_op(Op::arg_min, {&nan}, {{A::select_last, true}}).data<int64_t>()[0], 3);
  const Tensor empty(f32, {2, 0});
  EXPECT_TRUE(equal(run_op(Op::arg_max, {&empty}, {{A::axis, int64_t{0}}}), Tensor(i64, {1, 0})));
  EXPECT_THAT(error_of(Op::arg_max, {&empty}, {{A::axis, int64_t{1}}}), HasSubstr("empty axis"));
}

TEST(ReferenceReduction, SoftmaxAlongEveryAxis) {
  Random random(2);
  for (const ElementType type : {f32, f64, ElementType::f16, ElementType::bf16}) {
    const double rounding = type == ElementType::bf16  ? 0x1p-8
                            : type == ElementType::f16 ? 0x1p-11
                                                       : 2e-6;
    const Tensor x = random.tensor(type, {3, 5, 4}, -3, 3);
    const Array values(x);
    for (int64_t axis = -3; axis < 3; ++axis) {
      std::vector<bool> reduced(3);
      reduced[static_cast<size_t>(axis < 0 ? axis + 3 : axis)] = true;
      const Groups groups = groups_of(x, reduced);
      const Array heads(groups.extents);
      Array soft(x.extents()), logarithm(x.extents());
      for_each_index(x.extents(), [&](const Index& at) {
        Index head = at;
        for (size_t i = 0; i < 3; ++i) head[i] = reduced[i] ? 0 : at[i];
        double sum = 0;
        for (double member : groups.members[heads.offset(head)]) sum += std::exp(member);
        soft(at) = std::exp(values(at)) / sum;
        logarithm(at) = std::log(soft(at));
      });
      EXPECT_TRUE(
          close(run_op(Op::softmax, {&x}, {{A::axis, axis}}), soft.tensor(type), rounding, 1e-7));
      EXPECT_TRUE(close(run_op(Op::log_softmax, {&x}, {{A::axis, axis}}), logarithm.tensor(type),
                        rounding, 1e-6));
    }
  }
}

TEST(ReferenceReduction, SoftmaxOfExtremes) {
  const Tensor x = line<float>({10000, -10000, 10000});
  EXPECT_TRUE(equal(run_op(Op::softmax, {&x}), line<float>({0.5f, 0, 0.5f})));
  EXPECT_TRUE(close(run_op(Op::log_softmax, {&x}),
                    line<float>({-std::log(2.0f), -20000 - std::log(2.0f), -std::log(2.0f)}), 1e-6,
                    0));
  const Tensor masked = line<float>({-INFINITY, 3});
  EXPECT_TRUE(equal(run_op(Op::softmax, {&masked}), line<float>({0, 1})));
  EXPECT_TRUE(equal(run_op(Op::log_softmax, {&masked}), line<float>({-INFINITY, 0})));
  const Tensor nan = line<float>({1, NAN});
  EXPECT_TRUE(equal(run_op(Op::softmax, {&nan}), line<float>({NAN, NAN})));
  const Tensor empty(f32, {2, 0});
  EXPECT_TRUE(equal(run_op(Op::softmax, {&empty}), empty));
}

TEST(ReferenceReduction, CumSum) {
  const Tensor x = line<double>({1, 2, 3, 4, 5}), first = Tensor::scalar(int64_t{0});
  const auto sum = [&](bool exclusive, bool reverse) {
    return run_op(Op::cum_sum, {&x, &first}, {{A::exclusive, exclusive}, {A::reverse, reverse}});
  };
  EXPECT_TRUE(equal(sum(false, false), line<double>({1, 3, 6, 10, 15})));
  EXPECT_TRUE(equal(sum(true, false), line<double>({0, 1, 3, 6, 10})));
  EXPECT_TRUE(equal(sum(false, true), line<double>({15, 14, 12, 9, 5})));
  EXPECT_TRUE(equal(sum(true, true), line<double>({14, 12, 9, 5, 0})));
  const Tensor m = Tensor::of<int32_t>({2, 3}, std::vector<int32_t>{1, 2, 3, 4, 5, 6});
  const Tensor rows = Tensor::scalar(int32_t{-2}), columns = Tensor::of_ints(Ints{1});
  EXPECT_TRUE(equal(run_op(Op::cum_sum, {&m, &rows}),
                    Tensor::of<int32_t>({2, 3}, std::vector<int32_t>{1, 2, 3, 5, 7, 9})));
  EXPECT_TRUE(equal(run_op(Op::cum_sum, {&m, &columns}),
                    Tensor::of<int32_t>({2, 3}, std::vector<int32_t>{1, 3, 6, 4, 9, 15})));
}

TEST(ReferenceReduction, TopK) {
  const Tensor x =
      Tensor::of<float>({3, 4}, std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  const Tensor three = Tensor::of_ints(Ints{3}), two = Tensor::of_ints(Ints{2}),
               none = Tensor::of_ints(Ints{0});
  auto top = run_op_results(Op::top_k, {&x, &three}, {{A::axis, int64_t{1}}}, 2);
  EXPECT_TRUE(
      equal(*top[0], Tensor::of<float>({3, 3}, std::vector<float>{3, 2, 1, 7, 6, 5, 11, 10, 9})));
  EXPECT_TRUE(
      equal(*top[1], Tensor::of<int64_t>({3, 3}, std::vector<int64_t>{3, 2, 1, 3, 2, 1, 3, 2, 1})));
  top = run_op_results(Op::top_k, {&x, &two}, {{A::axis, int64_t{0}}, {A::largest, false}}, 2);
  EXPECT_TRUE(
      equal(*top[0], Tensor::of<float>({2, 4}, std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7})));
  EXPECT_TRUE(
      equal(*top[1], Tensor::of<int64_t>({2, 4}, std::vector<int64_t>{0, 0, 0, 0, 1, 1, 1, 1})));
  top = run_op_results(Op::top_k, {&x, &none}, {}, 2);
  EXPECT_TRUE(equal(*top[1], Tensor(i64, {3, 0})));
  // Equal elements: lower indices first, either way; NaN is larger than any number.
  const Tensor ties = line<int8_t>({1, 2, 1, 2, 1});
  top = run_op_results(Op::top_k, {&ties, &three}, {}, 2);
  EXPECT_TRUE(equal(*top[1], line<int64_t>({1, 3, 0})));
  top = run_op_results(Op::top_k, {&ties, &three}, {{A::largest, false}}, 2);
  EXPECT_TRUE(equal(*top[1], line<int64_t>({0, 2, 4})));
  const Tensor nan = line<float>({3, NAN, 5, NAN});
  top = run_op_results(Op::top_k, {&nan, &three}, {}, 2);
  EXPECT_TRUE(equal(*top[1], line<int64_t>({1, 3, 2})));
  top = run_op_results(Op::top_k, {&nan, &three}, {{A::largest, false}}, 2);
  EXPECT_TRUE(equal(*top[1], line<int64_t>({0, 2, 1})));
  const Tensor six = Tensor::of_ints(Ints{6});
  EXPECT_THAT(error_of(Op::top_k, {&ties, &six}, {}, 2), HasSubstr("k of top_k out of range"));
}

}  // namespace
}  // namespace refrain
