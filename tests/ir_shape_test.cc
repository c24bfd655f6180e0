#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "ir/einsum.h"
#include "ir/element_type.h"
#include "ir/error.h"
#include "ir/shape.h"
#include "ir/slice.h"
#include "ir/tensor.h"

namespace refrain {
namespace {

const Dim T = Dim::symbol("T");
const Dim B = Dim::symbol("B");
const Dim unknown = Dim::unknown();

TEST(Dim, SymbolsAreInternedByName) {
  EXPECT_EQ(T, Dim::symbol("T"));
  EXPECT_NE(T, B);
  EXPECT_EQ(T.name(), "T");
  EXPECT_THROW(Dim::symbol(""), Error);
  EXPECT_THROW(Dim(-1), Error);
}

TEST(Dim, UnknownClaimsNothing) {
  EXPECT_TRUE(provably_equal(T, T));
  EXPECT_FALSE(provably_equal(unknown, unknown));
  EXPECT_FALSE(provably_different(T, 3));
  EXPECT_TRUE(provably_different(2, 3));
}

TEST(Dim, JoinForgetsAndMeetLearns) {
  EXPECT_EQ(join(T, T), T);
  EXPECT_EQ(join(T, 3), unknown);
  EXPECT_EQ(meet(T, 3), Dim(3));
  EXPECT_EQ(meet(unknown, T), T);
  EXPECT_EQ(meet(T, unknown), T);
  EXPECT_THROW(meet(2, 3), Error);
}

TEST(Shape, BroadcastKeepsWhatIsCertain) {
  EXPECT_EQ(broadcast({T, 1}, {4}), (Shape{T, 4}));
  EXPECT_EQ(broadcast({T}, {T}), Shape{T});
  EXPECT_EQ(broadcast({T}, {B}), Shape{unknown});  // either may be 1
  EXPECT_EQ(broadcast({T}, {5}), Shape{5});        // T is 1 or 5
  EXPECT_EQ(broadcast({T}, {1}), Shape{T});
  EXPECT_EQ(broadcast({0}, {1}), Shape{0});
  EXPECT_EQ(broadcast(Shape::unranked(), {5}), Shape::unranked());
  EXPECT_THROW(broadcast({2}, {3}), Error);
  EXPECT_THROW(broadcast({0}, {3}), Error);
}

TEST(ValueType, Refinement) {
  const auto f32 = [](Shape shape) {
    return ValueType::tensor(ElementType::f32, std::move(shape));
  };
  EXPECT_TRUE(refines(f32({T, 4}), f32({unknown, 4})));
  EXPECT_FALSE(refines(f32({unknown, 4}), f32({T, 4})));
  EXPECT_TRUE(refines(f32({T}), f32(Shape::unranked())));
  EXPECT_FALSE(refines(f32({T}), f32({T, 4})));
  EXPECT_FALSE(refines(f32({}), ValueType::tensor(ElementType::f64, {})));
  ValueType maybe = f32({});
  maybe.optional = true;
  EXPECT_TRUE(refines(f32({}), maybe));
  EXPECT_FALSE(refines(maybe, f32({})));
  EXPECT_EQ(to_string(maybe), "opt<f32[]>");
  EXPECT_EQ(to_string(ValueType::sequence(ElementType::i8, Shape::unranked())), "seq<i8[*]>");
}

TEST(Tensor, SizesThatOverflowAreErrors) {
  const int64_t huge = int64_t{1} << 61;
  EXPECT_THROW(Tensor(ElementType::f32, {huge}), Error);
  EXPECT_THROW(Tensor(ElementType::i8, {huge, huge}), Error);
  EXPECT_THROW(Tensor(ElementType::f32, {-1}), Error);
  EXPECT_EQ(Tensor(ElementType::f32, {huge, huge, 0}).size(), 0);
}

TEST(Tensor, BudgetIsGivenBack) {
  const auto budget = std::make_shared<MemoryBudget>(100);
  {
    const Tensor a(ElementType::f32, {20}, budget);
    EXPECT_EQ(budget->used(), 80);
    EXPECT_THROW(Tensor(ElementType::f32, {6}, budget), Error);
    EXPECT_EQ(budget->used(), 80);
    const Tensor b(ElementType::f32, {5}, budget);
  }
  EXPECT_EQ(budget->used(), 0);
}

TEST(Tensor, ViewsCheckTheirType) {
  const Tensor tensor = Tensor::scalar<float>(2);
  EXPECT_THROW(tensor.data<double>(), Error);
  EXPECT_THROW(tensor.view().as_ints(), Error);
  EXPECT_EQ(tensor.view().as_doubles(), std::vector<double>{2});
  EXPECT_THROW(Tensor::scalar<uint64_t>(~uint64_t{0}).view().as_ints(), Error);
}

// Rounding against double arithmetic: the nearest representable value, ties to even.
TEST(ElementType, Float16RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    Float16 low, high;
    low.bits = static_cast<uint16_t>(bits);
    high.bits = static_cast<uint16_t>(bits + 1);
    EXPECT_EQ(Float16(float(low)).bits, low.bits);
    if (bits + 1 == 0x7c00) break;
    const float middle = (float(low) + float(high)) / 2;  // exact in float
    EXPECT_EQ(Float16(middle).bits, (bits & 1 ? high : low).bits) << bits;
    EXPECT_EQ(Float16(std::nextafter(middle, INFINITY)).bits, high.bits);
    EXPECT_EQ(Float16(std::nextafter(middle, 0.0f)).bits, low.bits);
  }
  EXPECT_EQ(Float16(65519.0f).bits, 0x7bff);
  EXPECT_EQ(Float16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(Float16(-INFINITY).bits, 0xfc00);
  EXPECT_TRUE(std::isnan(float(Float16(NAN))));
}

TEST(ElementType, BFloat16RoundsToNearestEven) {
  EXPECT_EQ(BFloat16(1.0f).bits, 0x3f80);
  EXPECT_EQ(BFloat16(std::bit_cast<float>(0x3f808000u)).bits, 0x3f80);
  EXPECT_EQ(BFloat16(std::bit_cast<float>(0x3f818000u)).bits, 0x3f82);
  EXPECT_EQ(BFloat16(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_TRUE(std::isnan(float(BFloat16(std::bit_cast<float>(0x7f800001u)))));
}

TEST(Slice, ClampsLikeAPythonSlice) {
  const int64_t min = std::numeric_limits<int64_t>::min(),
                max = std::numeric_limits<int64_t>::max();
  // Every slice of small axes against a walk with the definition.
  for (int64_t extent = 0; extent <= 4; ++extent) {
    for (int64_t begin = -6; begin <= 6; ++begin) {
      for (int64_t end = -6; end <= 6; ++end) {
        for (int64_t step : {-3, -2, -1, 1, 2, 3}) {
          const auto wrap = [&](int64_t i) { return i < 0 ? i + extent : i; };
          const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? extent : extent - 1;
          const int64_t from = std::clamp(wrap(begin), low, std::max(low, high));
          const int64_t to = std::clamp(wrap(end), low, std::max(low, high));
          int64_t count = 0;
          for (int64_t i = from; step > 0 ? i < to : i > to; i += step) ++count;
          const SliceBounds bounds = clamp_slice(extent, begin, end, step);
          EXPECT_EQ(bounds.count, count) << extent << ": " << begin << ":" << end << ":" << step;
          if (count > 0) {
            EXPECT_EQ(bounds.begin, from);
          }
        }
      }
    }
  }
  EXPECT_EQ(clamp_slice(5, min, max, 1).count, 5);
  EXPECT_EQ(clamp_slice(5, max, min, -1).count, 5);
  EXPECT_EQ(clamp_slice(5, 0, max, max).count, 1);
  EXPECT_EQ(clamp_slice(5, max, min, min).count, 1);
}

TEST(Einsum, EquationsResolve) {
  const EinsumPlan plan = parse_einsum("b...ij, jk -> ...bik", {5, 2});
  EXPECT_EQ(plan.broadcast_below, 2);
  EXPECT_EQ(plan.operands[0], (std::vector<int>{2, 0, 1, 3, 4}));
  EXPECT_EQ(plan.operands[1], (std::vector<int>{4, 5}));
  EXPECT_EQ(plan.result, (std::vector<int>{0, 1, 2, 3, 5}));
  EXPECT_EQ(parse_einsum("ba", {2}).result,
            (std::vector<int>{1, 0}));  // implicit: in alphabetical order
  EXPECT_TRUE(parse_einsum("ii", {2}).result.empty());
  for (const char* wrong : {"i,", "i->j", "i->ii", "i.j", "ij", "i->i->i", "i...i..."}) {
    EXPECT_THROW(parse_einsum(wrong, {1}), Error) << wrong;
  }
}

}  // namespace
}  // namespace refrain
