#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

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
using testing::Index;
using testing::Random;
using testing::run_op;
using A = AttributeName;
using ::testing::HasSubstr;

double epsilon(ElementType type) {
  switch (type) {
    case ElementType::f64:
      return std::numeric_limits<double>::epsilon();
    case ElementType::f32:
      return std::numeric_limits<float>::epsilon();
    case ElementType::f16:
      return 0x1p-11;
    case ElementType::bf16:
      return 0x1p-8;
    default:
      return 0;
  }
}

// numpy.matmul by its definition, for operands of rank 2 or more.
Array naive_matmul(const Array& a, const Array& b, const std::vector<int64_t>& extents) {
  Array c(extents);
  const auto place = [](const Array& x, const Index& at, int64_t row, int64_t column) {
    Index index(x.extents.size());
    const size_t missing = at.size() - x.extents.size();
    for (size_t i = 0; i + 2 < x.extents.size(); ++i) {
      index[i] = x.extents[i] == 1 ? 0 : at[missing + i];
    }
    index[index.size() - 2] = row;
    index.back() = column;
    return index;
  };
  testing::for_each_index(extents, [&](const Index& at) {
    for (int64_t k = 0; k < a.extents.back(); ++k) {
      c(at) += a(place(a, at, at[at.size() - 2], k)) * b(place(b, at, k, at.back()));
    }
  });
  return c;
}

struct MatmulCase {
  std::vector<int64_t> a, b, c;
};

TEST(ReferenceProduct, MatmulOfMatricesAndBatches) {
  const MatmulCase cases[] = {
      {{3, 5}, {5, 7}, {3, 7}},
      {{1, 1}, {1, 1}, {1, 1}},
      {{19, 33}, {33, 17}, {19, 17}},  // more rows than one block
      {{2, 3, 4}, {4, 5}, {2, 3, 5}},
      {{3, 4}, {2, 4, 5}, {2, 3, 5}},
      {{2, 1, 3, 4}, {5, 4, 6}, {2, 5, 3, 6}},
      {{1, 3, 2, 2}, {4, 1, 2, 3}, {4, 3, 2, 3}},
      {{3, 0}, {0, 2}, {3, 2}},
      {{0, 3}, {3, 2}, {0, 2}},
      {{0, 3, 4}, {4, 2}, {0, 3, 2}},
  };
  Random random(1);
  for (const ElementType type :
       {ElementType::f32, ElementType::f64, ElementType::f16, ElementType::bf16, ElementType::i32,
        ElementType::i64, ElementType::u64}) {
    for (const MatmulCase& c : cases) {
      const double low = type == ElementType::u64 ? 0 : -9, high = 9;
      const Tensor a = random.tensor(type, c.a, low, high), b = random.tensor(type, c.b, low, high);
      const Tensor expected = naive_matmul(Array(a), Array(b), c.c).tensor(type);
      // A sum of n products errs by n eps times the sum of their magnitudes, at most.
      const double terms = static_cast<double>(c.a.back());
      const double sum_epsilon =
          type == ElementType::f64 ? epsilon(type) : epsilon(ElementType::f32);
      EXPECT_TRUE(close(run_op(Op::matmul, {&a, &b}), expected, 2 * epsilon(type),
                        sum_epsilon * terms * terms * 81))
          << name(type) << testing::text(c.a) << testing::text(c.b);
    }
  }
}

TEST(ReferenceProduct, MatmulOfVectors) {
  Random random(2);
  const Tensor v = random.tensor(ElementType::f64, {4}), w = random.tensor(ElementType::f64, {4});
  const Tensor m = random.tensor(ElementType::f64, {2, 4, 3}),
               t = random.tensor(ElementType::f64, {2, 3, 4});
  const Array av(v), aw(w), am(m), at(t);
  Array dot({}), left({2, 3}), right({2, 3});
  for (int64_t k = 0; k < 4; ++k) {
    dot({}) += av({k}) * aw({k});
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t i = 0; i < 3; ++i) {
        left({b, i}) += av({k}) * am({b, k, i});
        right({b, i}) += at({b, i, k}) * av({k});
      }
    }
  }
  EXPECT_TRUE(close(run_op(Op::matmul, {&v, &w}), dot.tensor(ElementType::f64), 1e-14, 1e-15));
  EXPECT_TRUE(close(run_op(Op::matmul, {&v, &m}), left.tensor(ElementType::f64), 1e-14, 1e-15));
  EXPECT_TRUE(close(run_op(Op::matmul, {&t, &v}), right.tensor(ElementType::f64), 1e-14, 1e-15));
}

TEST(ReferenceProduct, MatmulCornerValues) {
  // Integers wrap around.
  const Tensor a = Tensor::of<int8_t>({1, 2}, std::vector<int8_t>{127, 127});
  const Tensor b = Tensor::of<int8_t>({2, 1}, std::vector<int8_t>{1, 1});
  EXPECT_EQ(run_op(Op::matmul, {&a, &b}).data<int8_t>()[0], -2);
  const Tensor most = Tensor::of<int64_t>({1, 1}, std::vector<int64_t>{INT64_MAX});
  EXPECT_EQ(run_op(Op::matmul, {&most, &most}).data<int64_t>()[0], 1);
  const Tensor u = Tensor::of<uint16_t>({1, 1}, std::vector<uint16_t>{65535});
  EXPECT_EQ(run_op(Op::matmul, {&u, &u}).data<uint16_t>()[0], 1);
  // 0 times NaN is not left out; half sums are not rounded on the way (2048 + 1 + 1 in f16).
  const Tensor zero = Tensor::of<float>({1, 2}, std::vector<float>{0, 0});
  const Tensor nan = Tensor::of<float>({2, 1}, std::vector<float>{NAN, 1});
  EXPECT_TRUE(std::isnan(run_op(Op::matmul, {&zero, &nan}).data<float>()[0]));
  const Tensor halves = Array({1, 3}, 1).tensor(ElementType::f16);
  Array column({3, 1}, 1);
  column({0, 0}) = 2048;
  const Tensor h = column.tensor(ElementType::f16);
  EXPECT_EQ(static_cast<float>(run_op(Op::matmul, {&halves, &h}).data<Float16>()[0]), 2050.0f);
}

TEST(ReferenceProduct, MatmulErrors) {
  const Tensor a(ElementType::f32, {2, 3}), b(ElementType::f32, {2, 3}),
      flag(ElementType::boolean, {2, 2});
  EXPECT_THAT(error_of(Op::matmul, {&a, &b}), HasSubstr("does not fit"));
  EXPECT_THAT(error_of(Op::matmul, {&flag, &flag}), HasSubstr("found bool"));
}

Tensor einsum(const char* equation, const std::vector<const Tensor*>& operands) {
  return run_op(Op::einsum, operands, {{A::equation, std::string(equation)}});
}

TEST(ReferenceProduct, EinsumOfOneOperand) {
  Random random(3);
  const Tensor m = random.tensor(ElementType::f64, {3, 4}),
               s = random.tensor(ElementType::f64, {3, 3});
  const Tensor cube = random.tensor(ElementType::f64, {3, 2, 3});
  const Array am(m), as(s), ac(cube);
  Array transposed({4, 3}), rows({3}), all({}), diagonal({3}), trace({}), planes({2, 3});
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 4; ++j) {
      transposed({j, i}) = am({i, j});
      rows({i}) += am({i, j});
      all({}) += am({i, j});
    }
    diagonal({i}) = as({i, i});
    trace({}) += as({i, i});
    for (int64_t j = 0; j < 2; ++j) planes({j, i}) = ac({i, j, i});
  }
  const auto expect = [](const Tensor& actual, const Array& expected) {
    EXPECT_TRUE(close(actual, expected.tensor(ElementType::f64), 1e-14, 1e-15));
  };
  expect(einsum("ij->ji", {&m}), transposed);
  expect(einsum("ba", {&m}), transposed);  // implicit results are in the alphabet's order
  expect(einsum("...j -> ...", {&m}), rows);
  expect(einsum("ij->", {&m}), all);
  expect(einsum("ii->i", {&s}), diagonal);
  expect(einsum("ii", {&s}), trace);
  expect(einsum("iji->ji", {&cube}), planes);
}

TEST(ReferenceProduct, EinsumOfSeveralOperands) {
  Random random(4);
  const ElementType f64 = ElementType::f64;
  const Tensor a = random.tensor(f64, {2, 3, 4}), b = random.tensor(f64, {2, 4, 5});
  EXPECT_TRUE(close(einsum("bij,bjk->bik", {&a, &b}), run_op(Op::matmul, {&a, &b}), 1e-13, 1e-15));
  const Tensor wide = random.tensor(f64, {6, 1, 3, 4});
  EXPECT_TRUE(
      close(einsum("...ij,...jk", {&wide, &b}), run_op(Op::matmul, {&wide, &b}), 1e-13, 1e-15));

  const Tensor u = random.tensor(f64, {3}), v = random.tensor(f64, {2}),
               w = random.tensor(f64, {3, 2});
  const Array au(u), av(v), aw(w);
  Array outer({3, 2}), form({}), scaled({2, 3});
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 2; ++j) {
      outer({i, j}) = au({i}) * av({j});
      form({}) += au({i}) * aw({i, j}) * av({j});
      scaled({j, i}) = au({i}) * aw({i, j}) * av({j});
    }
  }
  EXPECT_TRUE(close(einsum("i,j", {&u, &v}), outer.tensor(f64), 1e-15, 0));
  EXPECT_TRUE(close(einsum("i,ij,j->", {&u, &w, &v}), form.tensor(f64), 1e-14, 1e-15));
  EXPECT_TRUE(close(einsum("i,ij,j->ji", {&u, &w, &v}), scaled.tensor(f64), 1e-14, 0));

  const Tensor p = random.tensor(ElementType::i32, {3, 2}, -9, 9),
               q = random.tensor(ElementType::i32, {2, 4}, -9, 9);
  EXPECT_TRUE(equal(einsum("ij,jk->ik", {&p, &q}), run_op(Op::matmul, {&p, &q})));
}

TEST(ReferenceProduct, EinsumOfEmptyOperands) {
  const Tensor a(ElementType::f32, {3, 0}), b(ElementType::f32, {0, 2});
  EXPECT_TRUE(equal(einsum("ij,jk->ik", {&a, &b}), Tensor(ElementType::f32, {3, 2})));
  EXPECT_TRUE(equal(einsum("ij,jk->kj", {&a, &b}), Tensor(ElementType::f32, {2, 0})));
}

}  // namespace
}  // namespace refrain
