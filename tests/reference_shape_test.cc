#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "support/array.h"
#include "support/compare.h"
#include "support/random.h"
#include "support/run_op.h"

namespace refrain {
namespace {

using testing::Array;
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

Tensor ints(Ints values) { return Tensor::of_ints(values); }

// A tensor of random whole numbers that fit every type.
Tensor random_tensor(Random& random, ElementType type, Ints extents) {
  return random.tensor(type, std::move(extents), 0, 100);
}

TEST(ReferenceShape, ConstantAndFill) {
  Random random(1);
  for (const ElementType type : kAllElementTypes) {
    const auto value = std::make_shared<const Tensor>(random_tensor(random, type, {2, 3}));
    EXPECT_TRUE(equal(run_op(Op::constant, {}, {{A::value, value}}), *value));
    const auto one = std::make_shared<const Tensor>(random_tensor(random, type, {1}));
    const Array number(*one);
    const Tensor extents = ints({2, 0, 3}), scalar = ints({}), matrix = ints({3, 2});
    for (const Tensor* shape : {&extents, &scalar, &matrix}) {
      const Tensor expected = Array(shape->view().as_ints(), number.values[0]).tensor(type);
      EXPECT_TRUE(equal(run_op(Op::fill, {shape}, {{A::value, one}}), expected)) << name(type);
    }
  }
}

TEST(ReferenceShape, ShapeOfATensor) {
  const Tensor x(f32, {4, 0, 6}), scalar(f32, {});
  const auto shape = [&](int64_t start, int64_t end) {
    return run_op(Op::shape, {&x}, {{A::start, start}, {A::end, end}});
  };
  EXPECT_TRUE(equal(run_op(Op::shape, {&x}), ints({4, 0, 6})));
  EXPECT_TRUE(equal(run_op(Op::shape, {&scalar}), ints({})));
  EXPECT_TRUE(equal(shape(-1, INT64_MAX), ints({6})));
  EXPECT_TRUE(equal(shape(1, -1), ints({0})));
  EXPECT_TRUE(equal(shape(-9, 1), ints({4})));
  EXPECT_TRUE(equal(shape(2, 1), ints({})));
  EXPECT_TRUE(equal(shape(INT64_MIN, INT64_MAX), ints({4, 0, 6})));
}

TEST(ReferenceShape, ReshapesKeepTheElements) {
  Random random(2);
  for (const ElementType type : kAllElementTypes) {
    const Tensor x = random_tensor(random, type, {2, 1, 6});
    const auto expect = [&](Op op, const Tensor* operand, Ints extents) {
      EXPECT_TRUE(equal(run_op(op, {&x, operand}), x.clone().reshaped(std::move(extents))))
          << name(type);
    };
    const Tensor to = ints({0, 3, -1}), axis = ints({-2}), axes = ints({0, -1});
    expect(Op::reshape, &to, {2, 3, 2});
    expect(Op::squeeze, &axis, {2, 6});
    expect(Op::squeeze, nullptr, {2, 6});
    expect(Op::unsqueeze, &axes, {1, 2, 1, 6, 1});
  }
  const Tensor empty(f32, {0, 3}), to = ints({3, 0});
  EXPECT_TRUE(
      equal(run_op(Op::reshape, {&empty, &to}, {{A::allow_zero, true}}), Tensor(f32, {3, 0})));
}

TEST(ReferenceShape, TransposeOfEveryPermutation) {
  Random random(3);
  const Ints extents = {2, 3, 1, 5};
  const Tensor x = random_tensor(random, ElementType::i16, extents);
  const Array from(x);
  Ints perm = {0, 1, 2, 3};
  do {
    Array expected({extents[static_cast<size_t>(perm[0])], extents[static_cast<size_t>(perm[1])],
                    extents[static_cast<size_t>(perm[2])], extents[static_cast<size_t>(perm[3])]});
    for_each_index(extents, [&](const Index& at) {
      Index to;
      for (int64_t axis : perm) to.push_back(at[static_cast<size_t>(axis)]);
      expected(to) = from(at);
    });
    EXPECT_TRUE(equal(run_op(Op::transpose, {&x}, {{A::perm, perm}}), expected.tensor(x.type())));
  } while (std::next_permutation(perm.begin(), perm.end()));
}

TEST(ReferenceShape, TransposeOfEveryTypeAndRank) {
  Random random(4);
  for (const ElementType type : kAllElementTypes) {
    const Tensor x = random_tensor(random, type, {7, 5});
    const Array from(x);
    Array expected({5, 7});
    for_each_index({7, 5}, [&](const Index& at) { expected({at[1], at[0]}) = from(at); });
    EXPECT_TRUE(equal(run_op(Op::transpose, {&x}, {{A::perm, Ints{1, 0}}}), expected.tensor(type)));
  }
  const Tensor scalar = Tensor::scalar(3.0f), empty(f32, {2, 0, 3});
  EXPECT_TRUE(equal(run_op(Op::transpose, {&scalar}, {{A::perm, Ints{}}}), scalar));
  EXPECT_TRUE(
      equal(run_op(Op::transpose, {&empty}, {{A::perm, Ints{2, 0, 1}}}), Tensor(f32, {3, 2, 0})));
  // Rank 32: only the first and the last axis are longer than 1.
  Ints extents(32, 1), perm(32);
  extents.front() = 2;
  extents.back() = 3;
  std::iota(perm.rbegin(), perm.rend(), 0);
  const Tensor deep = random_tensor(random, f32, extents);
  const Tensor flat = Tensor::of<float>({2, 3}, deep.data<float>());
  std::reverse(extents.begin(), extents.end());
  EXPECT_TRUE(equal(run_op(Op::transpose, {&deep}, {{A::perm, perm}}),
                    run_op(Op::transpose, {&flat}, {{A::perm, Ints{1, 0}}}).reshaped(extents)));
}

TEST(ReferenceShape, Expand) {
  Random random(5);
  for (const ElementType type : kAllElementTypes) {
    const Tensor x = random_tensor(random, type, {3, 1, 2}), to = ints({2, 1, 4, 1});
    const Array from(x);
    Array expected({2, 3, 4, 2});
    for_each_index(expected.extents, [&](const Index& at) {
      expected(at) = from({at[1], 0, at[3]});
    });
    EXPECT_TRUE(equal(run_op(Op::expand, {&x, &to}), expected.tensor(type))) << name(type);
  }
  const Tensor scalar = Tensor::scalar(3.0f), two = ints({2, 2}), none = ints({}),
               empty = ints({2, 0});
  EXPECT_TRUE(equal(run_op(Op::expand, {&scalar, &two}), Array({2, 2}, 3).tensor(f32)));
  EXPECT_TRUE(equal(run_op(Op::expand, {&scalar, &none}), scalar));
  EXPECT_TRUE(equal(run_op(Op::expand, {&scalar, &empty}), Tensor(f32, {2, 0})));
  const Tensor three(f32, {3});
  EXPECT_THAT(error_of(Op::expand, {&three, &two}), ::testing::Ne("no error"));
}

TEST(ReferenceShape, Tile) {
  Random random(6);
  for (const ElementType type : kAllElementTypes) {
    const Tensor x = random_tensor(random, type, {2, 3, 1}), repeats = ints({3, 2, 4});
    const Array from(x);
    Array expected({6, 6, 4});
    for_each_index(expected.extents, [&](const Index& at) {
      expected(at) = from({at[0] % 2, at[1] % 3, 0});
    });
    EXPECT_TRUE(equal(run_op(Op::tile, {&x, &repeats}), expected.tensor(type))) << name(type);
  }
  const Tensor x(f32, {2, 3}), never = ints({1, 0}), scalar = Tensor::scalar(1.0f), none = ints({});
  EXPECT_TRUE(equal(run_op(Op::tile, {&x, &never}), Tensor(f32, {2, 0})));
  EXPECT_TRUE(equal(run_op(Op::tile, {&scalar, &none}), scalar));
}

TEST(ReferenceShape, Range) {
  const auto range = []<typename T>(T start, T limit, T step) {
    const Tensor a = Tensor::scalar(start), b = Tensor::scalar(limit), c = Tensor::scalar(step);
    return run_op(Op::range, {&a, &b, &c});
  };
  EXPECT_TRUE(equal(range(int64_t{1}, int64_t{8}, int64_t{3}), ints({1, 4, 7})));
  EXPECT_TRUE(equal(range(int32_t{10}, int32_t{4}, int32_t{-2}),
                    Array(ints({10, 8, 6})).tensor(ElementType::i32)));
  EXPECT_TRUE(equal(range(int64_t{3}, int64_t{3}, int64_t{1}), ints({})));
  EXPECT_TRUE(equal(range(int8_t{120}, int8_t{-120}, int8_t{-100}),
                    Array(ints({120, 20, -80})).tensor(ElementType::i8)));
  EXPECT_TRUE(equal(range(uint8_t{0}, uint8_t{255}, uint8_t{127}),
                    Array(ints({0, 127, 254})).tensor(ElementType::u8)));
  EXPECT_TRUE(equal(range(INT64_MIN, INT64_MAX, INT64_MAX), ints({INT64_MIN, -1, INT64_MAX - 1})));
  EXPECT_TRUE(
      equal(range(1.0, 2.0, 0.25), Tensor::of<double>({4}, std::array{1.0, 1.25, 1.5, 1.75})));
  EXPECT_TRUE(equal(range(BFloat16(1), BFloat16(-1), BFloat16(-0.5f)),
                    Tensor::of<BFloat16>({4}, std::array{BFloat16(1), BFloat16(0.5f), BFloat16(0),
                                                         BFloat16(-0.5f)})));
  const Tensor no = Tensor::scalar(false), yes = Tensor::scalar(true);
  EXPECT_THAT(error_of(Op::range, {&no, &yes, &yes}), HasSubstr("found bool"));
}

TEST(ReferenceShape, SplitAlongEveryAxisAndBackByConcat) {
  Random random(7);
  for (const ElementType type : {f32, ElementType::f64, ElementType::boolean, ElementType::bf16}) {
    const Tensor x = random_tensor(random, type, {5, 6, 7});
    const Array from(x);
    for (int64_t axis = -3; axis < 3; ++axis) {
      const auto place = static_cast<size_t>(axis < 0 ? axis + 3 : axis);
      const Tensor sizes = ints({2, 0, 1, x.extents()[place] - 3});
      const auto parts = run_op_results(Op::split, {&x, &sizes}, {{A::axis, axis}}, 4);
      int64_t begin = 0;
      std::vector<const Tensor*> operands;
      for (size_t i = 0; i < 4; ++i) {
        Ints extents = x.extents();
        extents[place] = sizes.data<int64_t>()[i];
        Array expected(extents);
        for_each_index(extents, [&](const Index& at) {
          Index source = at;
          source[place] += begin;
          expected(at) = from(source);
        });
        EXPECT_TRUE(equal(*parts[i], expected.tensor(type))) << "axis " << axis << ", part " << i;
        begin += extents[place];
        operands.push_back(parts[i].get());
      }
      EXPECT_TRUE(equal(run_op(Op::concat, operands, {{A::axis, axis}}), x));
    }
  }
}

TEST(ReferenceShape, SplitIntoEqualParts) {
  const Tensor x = ints({1, 2, 3, 4, 5});
  const auto parts = run_op_results(Op::split, {&x}, {}, 3);
  EXPECT_TRUE(equal(*parts[0], ints({1, 2})));
  EXPECT_TRUE(equal(*parts[1], ints({3, 4})));
  EXPECT_TRUE(equal(*parts[2], ints({5})));
  const Tensor wrong = ints({2, 2});
  EXPECT_THAT(error_of(Op::split, {&x, &wrong}, {}, 2), HasSubstr("don't add up"));
}

TEST(ReferenceShape, ConcatErrors) {
  const Tensor a(f32, {2, 3}), b(f32, {2, 4});
  EXPECT_EQ(run_op(Op::concat, {&a, &b}, {{A::axis, int64_t{1}}}).extents(), (Ints{2, 7}));
  EXPECT_THAT(error_of(Op::concat, {&a, &b}, {{A::axis, int64_t{0}}}),
              HasSubstr("differ in extent"));
}

}  // namespace
}  // namespace refrain
