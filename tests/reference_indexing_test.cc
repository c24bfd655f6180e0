#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

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
using A = AttributeName;
using ::testing::HasSubstr;
using Ints = std::vector<int64_t>;

constexpr auto f32 = ElementType::f32;
constexpr auto i64 = ElementType::i64;

Tensor ints(Ints values) { return Tensor::of_ints(values); }
Tensor ints(Ints extents, Ints values) { return Tensor::of<int64_t>(std::move(extents), values); }
Tensor floats(Ints extents, std::vector<float> values) {
  return Tensor::of<float>(std::move(extents), values);
}

Tensor random_tensor(Random& random, ElementType type, Ints extents) {
  return random.tensor(type, std::move(extents), 0, 100);
}

Attribute axis(int64_t value) { return {A::axis, value}; }
Attribute text(A name, const char* value) { return {name, std::string(value)}; }

TEST(ReferenceIndexing, SliceOfEveryType) {
  Random random(1);
  for (const ElementType type : kAllElementTypes) {
    const Tensor x = random_tensor(random, type, {5, 4, 7});
    const Array from(x);
    const Tensor begins = ints({-1, 1}), ends = ints({-6, 100}), axes = ints({0, -1}),
                 steps = ints({-2, 3});
    Array expected({3, 4, 2});
    for_each_index(expected.extents, [&](const Index& at) {
      expected(at) = from({4 - 2 * at[0], at[1], 1 + 3 * at[2]});
    });
    EXPECT_TRUE(
        equal(run_op(Op::slice, {&x, &begins, &ends, &axes, &steps}), expected.tensor(type)));
  }
}

TEST(ReferenceIndexing, SliceMatchesPythonForAnyBounds) {
  Random random(2);
  const Tensor x = ints({10, 11, 12, 13, 14});
  for (int round = 0; round < 500; ++round) {
    const int64_t begin = random.integer(-8, 8), end = random.integer(-8, 8);
    int64_t step = random.integer(-3, 3);
    if (step == 0) step = 7;
    // Python's rule: out-of-range bounds clamp to the ends that the step can reach.
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? 5 : 4;
    const auto place = [&](int64_t i) { return std::clamp(i < 0 ? i + 5 : i, low, high); };
    Ints expected;
    for (int64_t i = place(begin); step > 0 ? i < place(end) : i > place(end); i += step) {
      expected.push_back(10 + i);
    }
    const Tensor b = ints({begin}), e = ints({end}), a = ints({0}), s = ints({step});
    EXPECT_TRUE(equal(run_op(Op::slice, {&x, &b, &e, &a, &s}), ints(expected)))
        << begin << ":" << end << ":" << step;
  }
}

TEST(ReferenceIndexing, SliceCornerCases) {
  const Tensor x = ints({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor one = ints({1}), most = ints({INT64_MAX}), least = ints({INT64_MIN}), a = ints({1});
  EXPECT_TRUE(equal(run_op(Op::slice, {&x, &one, &most}), ints({1, 3}, {4, 5, 6})));
  EXPECT_TRUE(equal(run_op(Op::slice, {&x, &one, &most, &a, &most}), ints({2, 1}, {2, 5})));
  EXPECT_TRUE(equal(run_op(Op::slice, {&x, &most, &least, &a, &least}), ints({2, 1}, {3, 6})));
  EXPECT_TRUE(equal(run_op(Op::slice, {&x, &one, &one}), Tensor(i64, {0, 3})));
  const Tensor none = ints({}), scalar = Tensor::scalar(2.0f), zero = ints({0});
  EXPECT_TRUE(equal(run_op(Op::slice, {&scalar, &none, &none}), scalar));
  EXPECT_THAT(error_of(Op::slice, {&x, &one, &most, &a, &zero}), HasSubstr("step 0"));
}

TEST(ReferenceIndexing, GatherAlongEveryAxis) {
  Random random(3);
  for (const ElementType type : kAllElementTypes) {
    const Tensor x = random_tensor(random, type, {3, 4, 5});
    const Array from(x);
    const Tensor indices = ints({2, 2}, {0, -1, 2, -3});
    for (int64_t along = 0; along < 3; ++along) {
      const auto place = static_cast<size_t>(along);
      Ints extents = x.extents();
      extents[place] = 2;
      extents.insert(extents.begin() + along, 2);
      Array expected(extents);
      for_each_index(extents, [&](const Index& at) {
        Index source = at;
        source.erase(source.begin() + along);
        const int64_t index =
            indices.data<int64_t>()[static_cast<size_t>(at[place] * 2 + at[place + 1])];
        source[place] = index < 0 ? index + x.extents()[place] : index;
        expected(at) = from(source);
      });
      EXPECT_TRUE(equal(run_op(Op::gather, {&x, &indices}, {axis(along)}), expected.tensor(type)));
    }
  }
}

TEST(ReferenceIndexing, GatherCornerCases) {
  const Tensor x = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor last = Tensor::scalar(int32_t{-1}), none = ints({}), two = ints({2}),
               below = ints({-3});
  EXPECT_TRUE(equal(run_op(Op::gather, {&x, &last}), floats({3}, {4, 5, 6})));
  EXPECT_TRUE(equal(run_op(Op::gather, {&x, &none}, {axis(1)}), Tensor(f32, {2, 0})));
  EXPECT_THAT(error_of(Op::gather, {&x, &two}),
              HasSubstr("index out of range: expected -2..1, found 2"));
  EXPECT_THAT(error_of(Op::gather, {&x, &below}), HasSubstr("found -3"));
  const Tensor empty(f32, {0, 3}), zero = ints({0});
  EXPECT_THAT(error_of(Op::gather, {&empty, &zero}), HasSubstr("the axis is empty"));
  EXPECT_TRUE(equal(run_op(Op::gather, {&empty, &two}, {axis(1)}), Tensor(f32, {0, 1})));
}

TEST(ReferenceIndexing, GatherElements) {
  const Tensor x = floats({3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const Tensor indices = ints({2, 3}, {1, 2, 0, 2, 0, 0});  // ONNX's example
  EXPECT_TRUE(
      equal(run_op(Op::gather_elements, {&x, &indices}), floats({2, 3}, {4, 8, 3, 7, 2, 3})));
  const Tensor negative = ints({2, 3}, {-1, -2, 0, -2, 0, 0});
  EXPECT_TRUE(equal(run_op(Op::gather_elements, {&x, &negative}, {axis(-1)}),
                    floats({2, 3}, {3, 2, 1, 5, 4, 4})));
  const Tensor wide = ints({1, 4}, {0, 0, 0, 0}), beyond = ints({1, 1}, {3});
  EXPECT_THAT(error_of(Op::gather_elements, {&x, &wide}), HasSubstr("larger than the data"));
  EXPECT_EQ(run_op(Op::gather_elements, {&x, &wide}, {axis(1)}).extents(), (Ints{1, 4}));
  EXPECT_THAT(error_of(Op::gather_elements, {&x, &beyond}), HasSubstr("expected -3..2, found 3"));
}

TEST(ReferenceIndexing, GatherNd) {
  Random random(4);
  const Tensor x = random_tensor(random, ElementType::i8, {2, 3, 4, 5});
  const Array from(x);
  for (int64_t batch = 0; batch < 3; ++batch) {
    for (int64_t depth = 1; depth <= 4 - batch; ++depth) {
      Ints tuples(x.extents().begin(), x.extents().begin() + batch);
      tuples.push_back(6);
      Ints extents = tuples;
      extents.push_back(depth);
      Array indices(extents);
      for_each_index(extents, [&](const Index& at) {
        const int64_t extent = x.extents()[static_cast<size_t>(batch + at.back())];
        indices(at) = static_cast<double>(random.integer(-extent, extent - 1));
      });
      Ints result = tuples;
      result.insert(result.end(), x.extents().begin() + batch + depth, x.extents().end());
      Array expected(result);
      for_each_index(result, [&](const Index& at) {
        Index tuple(at.begin(), at.begin() + batch + 1), source(at.begin(), at.begin() + batch);
        tuple.push_back(0);
        for (int64_t i = 0; i < depth; ++i) {
          tuple.back() = i;
          const auto index = static_cast<int64_t>(indices(tuple));
          source.push_back(index < 0 ? index + x.extents()[static_cast<size_t>(batch + i)] : index);
        }
        source.insert(source.end(), at.begin() + batch + 1, at.end());
        expected(at) = from(source);
      });
      const Tensor operand = indices.tensor(i64);
      EXPECT_TRUE(equal(run_op(Op::gather_nd, {&x, &operand}, {{A::batch_dims, batch}}),
                        expected.tensor(x.type())))
          << "batch_dims " << batch << ", depth " << depth;
    }
  }
  const Tensor beyond = ints({1, 2}, {0, 3}), other = ints({3, 1}, {0, 0, 0}),
               scalar = Tensor::scalar(int64_t{0});
  EXPECT_THAT(error_of(Op::gather_nd, {&x, &beyond}), HasSubstr("expected -3..2, found 3"));
  EXPECT_THAT(error_of(Op::gather_nd, {&x, &other}, {{A::batch_dims, int64_t{1}}}),
              HasSubstr("batch axis"));
  EXPECT_THAT(error_of(Op::gather_nd, {&x, &scalar}), HasSubstr("indices are a scalar"));
}

TEST(ReferenceIndexing, ScatterNd) {
  const Tensor x = ints({1, 2, 3, 4, 5, 6, 7, 8}), updates = ints({9, 10, 11, 12});
  const Tensor indices = ints({4, 1}, {4, 3, -7, 7});
  EXPECT_TRUE(
      equal(run_op(Op::scatter_nd, {&x, &indices, &updates}), ints({1, 11, 3, 10, 9, 6, 7, 12})));
  const auto joined = [](const Tensor& data, const Tensor& at, const Tensor& with,
                         const char* how) {
    return run_op(Op::scatter_nd, {&data, &at, &with}, {text(A::reduction, how)});
  };
  // Rows, one of them twice.
  const Tensor m = floats({3, 2}, {1, 2, 3, 4, 5, 6}), rows = ints({3, 1}, {0, 2, 0});
  const Tensor with = floats({3, 2}, {10, 1, 2, 20, 3, 0.5f});
  EXPECT_TRUE(equal(joined(m, rows, with, "add"), floats({3, 2}, {14, 3.5f, 3, 4, 7, 26})));
  EXPECT_TRUE(equal(joined(m, rows, with, "mul"), floats({3, 2}, {30, 1, 3, 4, 10, 120})));
  EXPECT_TRUE(equal(joined(m, rows, with, "max"), floats({3, 2}, {10, 2, 3, 4, 5, 20})));
  EXPECT_TRUE(equal(joined(m, rows, with, "min"), floats({3, 2}, {1, 0.5f, 3, 4, 2, 6})));
  const Tensor beyond = ints({1, 1}, {8}), one = ints({0});
  EXPECT_THAT(error_of(Op::scatter_nd, {&x, &beyond, &one}), HasSubstr("expected -8..7, found 8"));
  const Tensor none = ints({0, 1}, {}), nothing = ints({});
  EXPECT_TRUE(equal(run_op(Op::scatter_nd, {&x, &none, &nothing}), x));
  EXPECT_NE(error_of(Op::scatter_nd, {&x, &indices, &one}), "no error");
}

TEST(ReferenceIndexing, ScatterElements) {
  const Tensor x = floats({1, 5}, {1, 2, 3, 4, 5}), indices = ints({1, 2}, {1, -2}),
               updates = floats({1, 2}, {1.1f, 2.1f});
  EXPECT_TRUE(equal(run_op(Op::scatter_elements, {&x, &indices, &updates}, {axis(1)}),
                    floats({1, 5}, {1, 1.1f, 3, 2.1f, 5})));
  const Tensor twice = ints({1, 2}, {1, 1}), more = floats({1, 2}, {1, 3});
  const auto joined = [&](const char* how) {
    return run_op(Op::scatter_elements, {&x, &twice, &more}, {axis(1), text(A::reduction, how)});
  };
  EXPECT_TRUE(equal(joined("add"), floats({1, 5}, {1, 6, 3, 4, 5})));
  EXPECT_TRUE(equal(joined("mul"), floats({1, 5}, {1, 6, 3, 4, 5})));
  EXPECT_TRUE(equal(joined("max"), floats({1, 5}, {1, 3, 3, 4, 5})));
  EXPECT_TRUE(equal(joined("min"), floats({1, 5}, {1, 1, 3, 4, 5})));
  const Tensor zeros(f32, {3, 3}), at = ints({2, 3}, {1, 0, 2, 0, 2, 1}),
                                   six = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_TRUE(equal(run_op(Op::scatter_elements, {&zeros, &at, &six}),
                    floats({3, 3}, {4, 2, 0, 1, 0, 6, 0, 5, 3})));
  const Tensor beyond = ints({1, 1}, {5}), single = floats({1, 1}, {0});
  EXPECT_THAT(error_of(Op::scatter_elements, {&x, &beyond, &single}, {axis(1)}),
              HasSubstr("found 5"));
  EXPECT_NE(error_of(Op::scatter_elements, {&x, &indices, &single}), "no error");
  const Tensor flags(ElementType::boolean, {1, 5}), flag(ElementType::boolean, {1, 2});
  EXPECT_THAT(
      error_of(Op::scatter_elements, {&flags, &twice, &flag}, {axis(1), text(A::reduction, "add")}),
      HasSubstr("reduction of booleans"));
}

Tensor padded(const Tensor& x, Ints pads, const char* mode, const Tensor* value = nullptr,
              const Tensor* axes = nullptr) {
  const Tensor operand = ints(std::move(pads));
  return run_op(Op::pad, {&x, &operand, value, axes}, {text(A::mode, mode)});
}

TEST(ReferenceIndexing, PadWithAConstant) {
  Random random(5);
  for (const ElementType type : kAllElementTypes) {
    const Tensor x = random_tensor(random, type, {2, 3, 4}),
                 value = random_tensor(random, type, {});
    const Array from(x), constant(value);
    Array expected({4, 1, 7});
    for_each_index(expected.extents, [&](const Index& at) {
      const Index source = {at[0] - 2, at[1] + 1, at[2] - 0};
      const bool inside = source[0] >= 0 && source[0] < 2 && source[2] < 4;
      expected(at) = inside ? from(source) : constant({});
    });
    EXPECT_TRUE(equal(padded(x, {2, -1, 0, 0, -1, 3}, "constant", &value), expected.tensor(type)))
        << name(type);
  }
  const Tensor x = ints({1, 2, 3}), axes = ints({-1});
  EXPECT_TRUE(equal(padded(x, {1, 2}, "constant", nullptr, &axes), ints({0, 1, 2, 3, 0, 0})));
  EXPECT_TRUE(equal(padded(x, {-5, 4}, "constant"), ints({0, 0})));  // cropped beyond its end
  EXPECT_TRUE(equal(padded(x, {INT64_MIN, INT64_MAX}, "constant"), ints({0, 0})));
  EXPECT_TRUE(equal(padded(x, {INT64_MAX, -INT64_MAX}, "constant"), ints({0, 0, 0})));
  EXPECT_TRUE(equal(padded(x, {-1, -2}, "constant"), ints({})));
  const Tensor empty = ints({}), seven = Tensor::scalar(int64_t{7}), scalar = Tensor::scalar(1.0f);
  EXPECT_TRUE(equal(padded(empty, {1, 1}, "constant", &seven), ints({7, 7})));
  EXPECT_TRUE(equal(padded(scalar, {}, "constant"), scalar));
  EXPECT_THROW(padded(x, {1, 1}, "constant", &x), Error);
}

TEST(ReferenceIndexing, PadByRepeating) {
  const Tensor x = ints({1, 2, 3}), one = ints({5}), empty = ints({});
  EXPECT_TRUE(equal(padded(x, {2, 1}, "reflect"), ints({3, 2, 1, 2, 3, 2})));
  EXPECT_TRUE(
      equal(padded(x, {5, 6}, "reflect"), ints({2, 1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3, 2, 1})));
  EXPECT_TRUE(equal(padded(x, {2, 1}, "edge"), ints({1, 1, 1, 2, 3, 3})));
  EXPECT_TRUE(equal(padded(x, {4, 2}, "wrap"), ints({3, 1, 2, 3, 1, 2, 3, 1, 2})));
  EXPECT_TRUE(equal(padded(one, {2, 1}, "reflect"), ints({5, 5, 5, 5})));
  // Cropping goes first: the 1 is gone, and is not mirrored.
  EXPECT_TRUE(equal(padded(x, {-1, 2}, "reflect"), ints({2, 3, 2, 3})));
  EXPECT_TRUE(equal(padded(x, {-1, 0}, "edge"), ints({2, 3})));
  EXPECT_THROW(padded(empty, {1, 0}, "edge"), Error);
  EXPECT_THROW(padded(x, {-3, 1}, "wrap"), Error);
  EXPECT_TRUE(equal(padded(x, {-3, 0}, "wrap"), ints({})));
  Random random(6);
  for (const ElementType type : kAllElementTypes) {
    const Tensor m = random_tensor(random, type, {3, 4});
    const Array from(m);
    Array expected({5, 6});
    for_each_index(expected.extents, [&](const Index& at) {
      const int64_t row = std::abs(at[0] - 2), column = at[1] < 4 ? at[1] : 6 - at[1];
      expected(at) = from({row, column});
    });
    EXPECT_TRUE(equal(padded(m, {2, 0, 0, 2}, "reflect"), expected.tensor(type))) << name(type);
  }
}

TEST(ReferenceIndexing, OneHot) {
  const Tensor indices = ints({0, 2, -1, 3, -4}), depth = Tensor::scalar(3.0f),
               values = floats({2}, {-1, 1});
  EXPECT_TRUE(equal(run_op(Op::one_hot, {&indices, &depth, &values}),
                    floats({5, 3}, {1, -1, -1, -1, -1, 1, -1, -1, 1, -1, -1, -1, -1, -1, -1})));
  EXPECT_TRUE(equal(run_op(Op::one_hot, {&indices, &depth, &values}, {axis(0)}),
                    floats({3, 5}, {1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1, 1, -1, -1})));
  // Inner axis of indices of rank 2, indices that are not integers.
  const Tensor real = floats({2, 2}, {1.5f, NAN, 1e30f, -2}), two = ints({2});
  const Tensor flags = Tensor::of<bool>({2}, std::array{false, true});
  EXPECT_TRUE(equal(run_op(Op::one_hot, {&real, &two, &flags}, {axis(1)}),
                    Tensor::of<bool>({2, 2, 2}, std::array{false, false, true, false, false, true,
                                                           false, false})));
  const Tensor huge = Tensor::of<uint64_t>({1}, std::array{UINT64_MAX}),
               three = floats({3}, {0, 1, 2});
  EXPECT_TRUE(equal(run_op(Op::one_hot, {&huge, &two, &values}), floats({1, 2}, {-1, -1})));
  EXPECT_NE(error_of(Op::one_hot, {&indices, &two, &three}), "no error");
  const Tensor none = ints({0}), negative = ints({-1});
  EXPECT_TRUE(equal(run_op(Op::one_hot, {&indices, &none, &values}), Tensor(f32, {5, 0})));
  EXPECT_NE(error_of(Op::one_hot, {&indices, &negative, &values}), "no error");
}

TEST(ReferenceIndexing, Trilu) {
  Random random(7);
  for (const ElementType type : kAllElementTypes) {
    const Tensor x = random.tensor(type, {2, 4, 3}, 1, 100);
    const Array from(x);
    for (const bool upper : {true, false}) {
      for (const int64_t k :
           {int64_t{0}, int64_t{1}, int64_t{-2}, int64_t{9}, INT64_MAX, INT64_MIN}) {
        Array expected(x.extents());
        for_each_index(x.extents(), [&](const Index& at) {
          const int64_t diagonal = at[2] - at[1];
          if (upper ? diagonal >= k : diagonal <= k) expected(at) = from(at);
        });
        const Tensor operand = Tensor::scalar(k);
        EXPECT_TRUE(
            equal(run_op(Op::trilu, {&x, &operand}, {{A::upper, upper}}), expected.tensor(type)))
            << name(type) << " " << k;
      }
    }
  }
  const Tensor m = floats({2, 2}, {1, 2, 3, 4}), empty(f32, {2, 0, 3}), two = ints({1, 2});
  EXPECT_TRUE(equal(run_op(Op::trilu, {&m}), floats({2, 2}, {1, 2, 0, 4})));
  EXPECT_TRUE(equal(run_op(Op::trilu, {&empty}), empty));
  EXPECT_NE(error_of(Op::trilu, {&m, &two}), "no error");
}

TEST(ReferenceIndexing, ReverseSequence) {
  Random random(8);
  const Tensor x = random_tensor(random, ElementType::u16, {3, 4, 2, 5});
  const Array from(x);
  for (int64_t time = 0; time < 4; ++time) {
    for (int64_t batch = 0; batch < 4; ++batch) {
      if (time == batch) continue;
      const auto t = static_cast<size_t>(time), b = static_cast<size_t>(batch);
      Ints lengths;
      for (int64_t i = 0; i < x.extents()[b]; ++i)
        lengths.push_back(random.integer(0, x.extents()[t]));
      Array expected(x.extents());
      for_each_index(x.extents(), [&](const Index& at) {
        Index source = at;
        const int64_t length = lengths[static_cast<size_t>(at[b])];
        if (at[t] < length) source[t] = length - 1 - at[t];
        expected(at) = from(source);
      });
      const Tensor operand = ints(lengths);
      EXPECT_TRUE(equal(
          run_op(Op::reverse_sequence, {&x, &operand}, {axis(time), {A::batch_axis, batch - 4}}),
          expected.tensor(x.type())));
    }
  }
  const Tensor m(f32, {3, 2}), three = ints({1, 2, 3}), negative = ints({1, -1}),
                               beyond = ints({1, 4});
  EXPECT_THAT(error_of(Op::reverse_sequence, {&m, &three}), HasSubstr("wrong number of lengths"));
  EXPECT_THAT(error_of(Op::reverse_sequence, {&m, &negative}),
              HasSubstr("expected 0..3, found -1"));
  EXPECT_THAT(error_of(Op::reverse_sequence, {&m, &beyond}), HasSubstr("expected 0..3, found 4"));
}

}  // namespace
}  // namespace refrain
