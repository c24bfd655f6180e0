// Interpreter of pointwise programs over a tile of places, for one Highway target.
//
// Include from code that foreach_target.h compiles again for each target, after hwy/highway.h.
// Each instruction runs over the whole tile before the next, so that choosing its code is paid for
// once a tile. NaN and infinities go through each operation as through the reference kernels
// (backends/reference/elementwise.cc); errors are those of math-inl.h. pow, sin and cos call the
// standard library for each element.

#if defined(REFRAIN_BACKENDS_HIGHWAY_PROGRAM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REFRAIN_BACKENDS_HIGHWAY_PROGRAM_INL_H_
#undef REFRAIN_BACKENDS_HIGHWAY_PROGRAM_INL_H_
#else
#define REFRAIN_BACKENDS_HIGHWAY_PROGRAM_INL_H_
#endif

#include <cmath>
#include <cstddef>

#include "backends/highway/math-inl.h"
#include "backends/highway/program.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// What instructions work on: register r's elements lie at values[r][0 .. elements-1], and an
// instruction with result r writes scratch[r * stride + j], to which values[r] must point.
struct Tile {
  const float* const* values;
  float* scratch;
  size_t stride;    // at least `elements`
  size_t elements;  // a multiple of the lanes
};

template <class D, class F>
HWY_INLINE void MapTile(D d, const Instruction& instruction, const Tile& tile, F f) {
  const float* const a = tile.values[instruction.operands[0]];
  float* const result = tile.scratch + instruction.result * tile.stride;
  const size_t lanes = hn::Lanes(d);
  for (size_t j = 0; j < tile.elements; j += lanes) {
    hn::StoreU(f(hn::LoadU(d, a + j)), d, result + j);
  }
}

template <class D, class F>
HWY_INLINE void MapTile2(D d, const Instruction& instruction, const Tile& tile, F f) {
  const float* const a = tile.values[instruction.operands[0]];
  const float* const b = tile.values[instruction.operands[1]];
  float* const result = tile.scratch + instruction.result * tile.stride;
  const size_t lanes = hn::Lanes(d);
  for (size_t j = 0; j < tile.elements; j += lanes) {
    hn::StoreU(f(hn::LoadU(d, a + j), hn::LoadU(d, b + j)), d, result + j);
  }
}

template <class D, class F>
HWY_INLINE void MapTile3(D d, const Instruction& instruction, const Tile& tile, F f) {
  const float* const a = tile.values[instruction.operands[0]];
  const float* const b = tile.values[instruction.operands[1]];
  const float* const c = tile.values[instruction.operands[2]];
  float* const result = tile.scratch + instruction.result * tile.stride;
  const size_t lanes = hn::Lanes(d);
  for (size_t j = 0; j < tile.elements; j += lanes) {
    hn::StoreU(f(hn::LoadU(d, a + j), hn::LoadU(d, b + j), hn::LoadU(d, c + j)), d, result + j);
  }
}

// f(x) or f(x, y) for each element, where no vector form exists.
template <class F>
HWY_INLINE void MapElements(const Instruction& instruction, const Tile& tile, F f) {
  const float* const a = tile.values[instruction.operands[0]];
  float* const result = tile.scratch + instruction.result * tile.stride;
  for (size_t j = 0; j < tile.elements; ++j) result[j] = f(a[j]);
}

template <class F>
HWY_INLINE void MapElements2(const Instruction& instruction, const Tile& tile, F f) {
  const float* const a = tile.values[instruction.operands[0]];
  const float* const b = tile.values[instruction.operands[1]];
  float* const result = tile.scratch + instruction.result * tile.stride;
  for (size_t j = 0; j < tile.elements; ++j) result[j] = f(a[j], b[j]);
}

template <class D, class V>
HWY_INLINE void FillTile(D d, const Instruction& instruction, const Tile& tile, V value) {
  float* const result = tile.scratch + instruction.result * tile.stride;
  for (size_t j = 0; j < tile.elements; j += hn::Lanes(d)) hn::StoreU(value, d, result + j);
}

// The larger (smaller) of the two; NaN if one is; the first if they are equal.
template <class V>
HWY_INLINE V Larger(V a, V b) {
  return hn::IfThenElse(hn::Or(hn::Gt(b, a), hn::IsNaN(b)), b, a);
}
template <class V>
HWY_INLINE V Smaller(V a, V b) {
  return hn::IfThenElse(hn::Or(hn::Lt(b, a), hn::IsNaN(b)), b, a);
}

// `T` is Tile or anything else that the functions above are overloaded for.
template <class D, class T = Tile>
HWY_INLINE void RunInstruction(D d, const Instruction& i, const T& tile) {
  using V = hn::Vec<D>;
  const V zero = hn::Zero(d), one = hn::Set(d, 1.0f);
  const V alpha = hn::Set(d, i.alpha), beta = hn::Set(d, i.beta);
#define REFRAIN_UNARY(operation, expression) \
  case Operation::operation:                 \
    return MapTile(d, i, tile, [=](V x) HWY_ATTR { return expression; })
#define REFRAIN_BINARY(operation, expression) \
  case Operation::operation:                  \
    return MapTile2(d, i, tile, [=](V x, V y) HWY_ATTR { return expression; })
  switch (i.operation) {
    case Operation::constant:
      return FillTile(d, i, tile, alpha);
      REFRAIN_UNARY(neg, hn::Neg(x));
      REFRAIN_UNARY(abs, hn::Abs(x));
      // NaN is neither below nor above 0 and must stay.
      REFRAIN_UNARY(sign, hn::IfThenElse(hn::Eq(x, zero), zero,
                                         hn::IfThenElse(hn::Eq(x, x), hn::CopySign(one, x), x)));
      REFRAIN_UNARY(sqrt, hn::Sqrt(x));
      REFRAIN_UNARY(exp, Exp(d, x));
      REFRAIN_UNARY(log, Log(d, x));
      REFRAIN_UNARY(erf, Erf(d, x));
      REFRAIN_UNARY(floor, hn::Floor(x));
      REFRAIN_UNARY(ceil, hn::Ceil(x));
      REFRAIN_UNARY(round, hn::Round(x));
      REFRAIN_UNARY(sigmoid, Sigmoid(d, x));
      REFRAIN_UNARY(tanh, Tanh(d, x));
      REFRAIN_UNARY(relu, Relu(d, x));
      REFRAIN_UNARY(leaky_relu, hn::IfThenElse(hn::Lt(x, zero), hn::Mul(alpha, x), x));
      REFRAIN_UNARY(elu, hn::IfThenElse(hn::Lt(x, zero), hn::Mul(alpha, ExpM1OfNegative(d, x)), x));
      REFRAIN_UNARY(selu, hn::Mul(beta, hn::IfThenElse(hn::Gt(x, zero), x,
                                                       hn::Mul(alpha, ExpM1OfNegative(d, x)))));
      REFRAIN_UNARY(hard_sigmoid, Larger(zero, Smaller(one, hn::MulAdd(alpha, x, beta))));
      REFRAIN_UNARY(softplus, Softplus(d, x));
      REFRAIN_UNARY(softsign, hn::Div(x, hn::Add(one, hn::Abs(x))));
      REFRAIN_UNARY(thresholded_relu, hn::IfThenElseZero(hn::Gt(x, alpha), x));
      REFRAIN_UNARY(gelu, Gelu(d, x));
      REFRAIN_UNARY(gelu_tanh, GeluTanh(d, x));
      REFRAIN_UNARY(reciprocal, hn::Div(one, x));
      REFRAIN_BINARY(add, hn::Add(x, y));
      REFRAIN_BINARY(sub, hn::Sub(x, y));
      REFRAIN_BINARY(mul, hn::Mul(x, y));
      REFRAIN_BINARY(div, hn::Div(x, y));
      REFRAIN_BINARY(max, Larger(x, y));
      REFRAIN_BINARY(min, Smaller(x, y));
      REFRAIN_BINARY(prelu, hn::IfThenElse(hn::Lt(x, zero), hn::Mul(x, y), x));
      REFRAIN_BINARY(equal, hn::IfThenElseZero(hn::Eq(x, y), one));
      REFRAIN_BINARY(less, hn::IfThenElseZero(hn::Lt(x, y), one));
      REFRAIN_BINARY(less_equal, hn::IfThenElseZero(hn::Le(x, y), one));
      REFRAIN_BINARY(greater, hn::IfThenElseZero(hn::Gt(x, y), one));
      REFRAIN_BINARY(greater_equal, hn::IfThenElseZero(hn::Ge(x, y), one));
      // Ne of NaN is false on some targets.
      REFRAIN_BINARY(not_equal, hn::IfThenElse(hn::Eq(x, y), zero, one));
      REFRAIN_UNARY(logical_not, hn::IfThenElseZero(hn::Eq(x, zero), one));
      REFRAIN_UNARY(truth, hn::IfThenElse(hn::Eq(x, zero), zero, one));
      REFRAIN_UNARY(is_nan, hn::IfThenElse(hn::Eq(x, x), zero, one));
    case Operation::multiply_add:
      return MapTile3(d, i, tile, [](V x, V y, V z) HWY_ATTR { return hn::MulAdd(x, y, z); });
    case Operation::select:
      return MapTile3(d, i, tile, [=](V x, V y, V z) HWY_ATTR {
        // NaN counts as true; Ne of NaN is false on some targets.
        return hn::IfThenElse(hn::Eq(x, zero), z, y);
      });
    case Operation::sin:
      return MapElements(i, tile, [](float x) HWY_ATTR { return std::sin(x); });
    case Operation::cos:
      return MapElements(i, tile, [](float x) HWY_ATTR { return std::cos(x); });
    case Operation::pow:
      return MapElements2(i, tile, [](float x, float y) HWY_ATTR { return std::pow(x, y); });
  }
#undef REFRAIN_UNARY
#undef REFRAIN_BINARY
}

// Runs `count` instructions of a checked program. What lies beyond the places that are wanted, up
// to `elements`, must be initialised.
template <class D>
HWY_NOINLINE void RunTile(D d, const Instruction* code, size_t count, const Tile& tile) {
  for (size_t i = 0; i < count; ++i) RunInstruction(d, code[i], tile);
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // the include guard that HWY_TARGET_TOGGLE toggles
