// Transcendental functions of f32 vectors, for one Highway target.
//
// Include from code that foreach_target.h compiles again for each target, after hwy/highway.h. `d`
// is any tag of f32 lanes. Everything is inline and free of state, and an element's result doesn't
// depend on its lane or on its neighbours.
//
// Largest errors, in units in the last place of an f32 result, over all arguments and targets
// (tests/highway_math_test.cc), where the true result is a normal number:
//
//   Exp 1.5   Log 1   Sigmoid 3.5 above -17, then up to 6.5   Tanh 5 (without FMA 6.5)   Erf 1.5
//   ExpM1OfNegative 2   Softplus 2   Gelu 7   GeluTanh 3.5 above -1, then what the rounding of e^'s
//   argument leaves
//
// Tanh could be as good as the rest as 1 - 2 / (1 + e^2x) and a polynomial near 0, at twice the
// latency (on Zen 5 some 58 cycles in place of 29), which recurrent cells would wait for.
//
// Results below the least normal number are right to the last places of a subnormal one, except
// that Sigmoid gives 0 below x = -88.2. Tanh and Erf keep subnormal arguments. NaN gives NaN,
// infinities give the limits.
//
// All coefficients are minimax fits of the relative error of the result (iteratively reweighted
// least squares in multiple precision). Polynomials are evaluated as trees (Estrin's scheme)
// where a step of a recurrent network waits for them.

#if defined(REFRAIN_BACKENDS_HIGHWAY_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REFRAIN_BACKENDS_HIGHWAY_MATH_INL_H_
#undef REFRAIN_BACKENDS_HIGHWAY_MATH_INL_H_
#else
#define REFRAIN_BACKENDS_HIGHWAY_MATH_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Whether hn::Min and hn::Max of a number and NaN are the number. Where they aren't, they are the
// second operand (x86) or NaN (32-bit Arm).
constexpr bool kBoundsDropNaN =
    HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128 || HWY_ARCH_RVV || HWY_ARCH_ARM_A64;

// The argument within [low, high]; NaN stays NaN.
template <class D, class V>
HWY_INLINE V Clamp(D d, V x, float low, float high) {
  if constexpr (kBoundsDropNaN) {
    const V bounded = hn::IfThenElse(hn::Lt(x, hn::Set(d, low)), hn::Set(d, low), x);
    return hn::IfThenElse(hn::Gt(x, hn::Set(d, high)), hn::Set(d, high), bounded);
  } else {
    return hn::Max(hn::Set(d, low), hn::Min(hn::Set(d, high), x));
  }
}

// The argument, or 0 if it is below; NaN stays NaN.
template <class D, class V>
HWY_INLINE V Relu(D d, V x) {
  if constexpr (kBoundsDropNaN) {
    return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
  } else {
    return hn::Max(hn::Zero(d), x);
  }
}

// x = n * ln 2 + r with an integer n and |r| <= ln 2 / 2. `shifted` holds n in its low bits: adding
// 1.5 * 2^23 rounds to an integer, and shifting its bits left by 23 leaves n in the place of the
// exponent.
template <class V>
struct ExpArgument {
  V shifted, r;
};

// As above, or with -r in place of r.
template <bool kNegate = false, class D, class V>
HWY_INLINE ExpArgument<V> ReduceForExp(D d, V x) {
  const V round = hn::Set(d, 12582912.0f);
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.44269502f), round);
  const V n = hn::Sub(shifted, round);
#if HWY_NATIVE_FMA
  // ln 2 rounded to f32 is 1.9e-9 too large. n times that is x times that over ln 2 (the rest, r
  // times that, doesn't count), which needn't wait for n.
  const V ln2 = hn::Set(d, 0.693147182f);
  const V correction = hn::Mul(x, hn::Set(d, 2.74783532e-9f));
  if constexpr (kNegate) return {shifted, hn::Sub(hn::MulSub(n, ln2, x), correction)};
  return {shifted, hn::Add(hn::NegMulAdd(n, ln2, x), correction)};
#else
  // The first part has few enough bits that its product with n is exact.
  const V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  const V n_small = hn::Mul(n, hn::Set(d, 2.12194440e-4f));
  if constexpr (kNegate) return {shifted, hn::Neg(hn::Add(r, n_small))};
  return {shifted, hn::Add(r, n_small)};
#endif
}

// e^r - 1 for |r| <= ln 2 / 2.
template <class D, class V>
HWY_INLINE V ExpM1Series(D d, V r) {
  const V r2 = hn::Mul(r, r);
  const V low = hn::MulAdd(r, hn::Set(d, 0.166665435f), hn::Set(d, 0.49999997f));
  const V middle = hn::MulAdd(r, hn::Set(d, 8.36663041e-3f), hn::Set(d, 4.16674577e-2f));
  const V high = hn::MulAdd(r2, hn::Set(d, 1.38691277e-3f), middle);
  return hn::MulAdd(hn::Mul(r2, r2), high, hn::MulAdd(r2, low, r));
}

// 2^n (2^-n) with n as in ExpArgument, from -126 to 127.
template <bool kNegate = false, class D, class V>
HWY_INLINE V PowerOfTwo(D d, V shifted) {
  const hn::RebindToSigned<D> di;
  const auto n = hn::ShiftLeft<23>(hn::BitCast(di, shifted));
  const auto one = hn::Set(di, 0x3F800000);
  return hn::BitCast(d, kNegate ? hn::Sub(one, n) : hn::Add(one, n));
}

// e^(high + low), where low is what a rounding of high lost.
template <class D, class V>
HWY_INLINE V ExpOfSum(D d, V high, V low) {
  const hn::RebindToSigned<D> di;
  // Beyond these all results are infinite or 0.
  const V x = Clamp(d, high, -104.0f, 89.0f);
  const ExpArgument<V> a = ReduceForExp(d, x);
  const V value = hn::Add(hn::Set(d, 1.0f), ExpM1Series(d, hn::Add(a.r, low)));
  // 2^n in two factors, because n goes from -150, where results are subnormal, to 128.
  const auto n = hn::Sub(hn::BitCast(di, a.shifted), hn::Set(di, 0x4B400000));
  const auto half = hn::ShiftRight<1>(n);
  const V first = hn::BitCast(d, hn::Add(hn::BitCast(di, value), hn::ShiftLeft<23>(half)));
  const auto exponent = hn::Add(hn::Sub(n, half), hn::Set(di, 127));
  // NaN may have lost its exponent to the integer addition.
  return hn::IfThenElse(hn::Eq(x, x), hn::Mul(first, hn::BitCast(d, hn::ShiftLeft<23>(exponent))),
                        x);
}

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
// x * 2^floor(n), rounded once and with overflow and underflow as they should be.
template <class V>
HWY_INLINE V ScaleByPowerOfTwo(V x, V n) {
  if constexpr (sizeof(x.raw) == sizeof(__m512)) {
    return V{_mm512_scalef_ps(x.raw, n.raw)};
  } else if constexpr (sizeof(x.raw) == sizeof(__m256)) {
    return V{_mm256_scalef_ps(x.raw, n.raw)};
  } else {
    return V{_mm_scalef_ps(x.raw, n.raw)};
  }
}

// Through sixteenths of powers of two from a table that a permutation of lanes reads: x = n * ln 2
// + r with a multiple n of 1/16, whose fraction is in the low bits of the shifted sum, and r small
// enough for three terms.
template <class D, class V, hwy::EnableIf<hn::MaxLanes(D()) == 16>* = nullptr>
HWY_INLINE V Exp(D d, V x) {
  HWY_ALIGN static constexpr float kTable[] = {1.0f,        1.04427373f, 1.09050775f, 1.13878858f,
                                               1.18920708f, 1.24185777f, 1.29683959f, 1.35425556f,
                                               1.41421354f, 1.47682619f, 1.54221082f, 1.61049032f,
                                               1.68179286f, 1.75625217f, 1.83400810f, 1.91520655f};
  const hn::RebindToSigned<D> di;
  // Beyond these all results are infinite or 0.
  const V bounded = Clamp(d, x, -104.0f, 89.0f);
  const V round = hn::Set(d, 786432.0f);  // 1.5 * 2^19
  const V shifted = hn::MulAdd(bounded, hn::Set(d, 1.44269502f), round);
  const V n = hn::Sub(shifted, round);
  const V high = hn::NegMulAdd(n, hn::Set(d, 0.693147182f), bounded);
  const V r = hn::MulAdd(n, hn::Set(d, 1.90465421e-9f), high);
  // e^r - 1, where the second coefficient makes up for the first term that is left out.
  constexpr float kLargest = 0.346573591f / 16;
  const V second = hn::Set(d, 0.5f + kLargest * kLargest * 0.0345178f);
  const V series = hn::MulAdd(hn::Mul(r, r), hn::MulAdd(r, hn::Set(d, 0.166666672f), second), r);
  const V table = hn::Load(d, kTable);
  // The permutation looks at the low four bits alone.
  const V entry = V{_mm512_permutexvar_ps(hn::BitCast(di, shifted).raw, table.raw)};
  return ScaleByPowerOfTwo(hn::MulAdd(entry, series, entry), n);
}
template <class D, class V, hwy::EnableIf<hn::MaxLanes(D()) != 16>* = nullptr>
#else
template <class D, class V>
#endif
HWY_INLINE V Exp(D d, V x) {
  return ExpOfSum(d, x, hn::Zero(d));
}

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
// 1 + e^-x with the fractions of exponents from a table that a permutation of lanes reads: -x = n *
// ln 2 / kEntries + r, whose r is small enough for three terms. With n = kEntries * k + j, the bits
// of 2^(n / kEntries) are those of 2^(j / kEntries) with k added to the exponent; the table holds
// what is left of the former after n was added at the place where n / kEntries reaches the
// exponent.
//
// ln 2 / kEntries is rounded to f32: e^-x is off by 2.8e-9 |x|, relatively, and another operation
// that mends this is one that recurrent cells would wait for.
template <class D, class V>
HWY_INLINE V OnePlusExpOfNegative(D d, V x) {
  const hn::RebindToSigned<D> di;
#if HWY_TARGET == HWY_AVX2
  constexpr int kEntryBits = 3;
  HWY_ALIGN static constexpr uint32_t kTable[] = {0x3F800000, 0x3F7B95C2, 0x3F7837F0, 0x3F75FED7,
                                                  0x3F7504F3, 0x3F75672A, 0x3F7744FD, 0x3F7AC0C7};
#else
  constexpr int kEntryBits = 4;
  HWY_ALIGN static constexpr uint32_t kTable[] = {0x3F800000, 0x3F7DAAC3, 0x3F7B95C2, 0x3F79C3D3,
                                                  0x3F7837F0, 0x3F76F532, 0x3F75FED7, 0x3F75583F,
                                                  0x3F7504F3, 0x3F7508A4, 0x3F75672A, 0x3F76248C,
                                                  0x3F7744FD, 0x3F78CCDF, 0x3F7AC0C7, 0x3F7D257D};
#endif
  constexpr float kEntries = 1 << kEntryBits;
  static_assert(hn::MaxLanes(d) == 1 << kEntryBits, "tables are as long as a vector");
  const V round = hn::Set(d, 12582912.0f);
  const V shifted = hn::MulAdd(x, hn::Set(d, -1.44269502f * kEntries), round);
  const V n = hn::Sub(shifted, round);
  const V r = hn::NegMulSub(n, hn::Set(d, 0.693147182f / kEntries), x);
  // e^r - 1, where the second coefficient makes up for the first term that is left out.
  constexpr float kLargest = 0.346573591f / kEntries;
  const V second = hn::Set(d, 0.5f + kLargest * kLargest * 0.0345178f);
  const V series = hn::MulAdd(hn::Mul(r, r), hn::MulAdd(r, hn::Set(d, 0.166666672f), second), r);
  const auto bits = hn::BitCast(di, shifted);
  const auto indices = hn::IndicesFromVec(di, hn::And(bits, hn::Set(di, (1 << kEntryBits) - 1)));
  const auto table = hn::BitCast(di, hn::Load(hn::RebindToUnsigned<D>(), kTable));
  const auto entry = hn::TableLookupLanes(table, indices);
  const V scale = hn::BitCast(d, hn::Add(entry, hn::ShiftLeft<23 - kEntryBits>(bits)));
  return hn::MulAdd(scale, series, hn::Add(hn::Set(d, 1.0f), scale));
}
#else
// 1 + e^-x = (1 + 2^-n) + 2^-n (e^-r - 1), of which only the second term waits for the series.
template <class D, class V>
HWY_INLINE V OnePlusExpOfNegative(D d, V x) {
  const ExpArgument<V> a = ReduceForExp<true>(d, x);
  const V scale = PowerOfTwo<true>(d, a.shifted);
  return hn::MulAdd(scale, ExpM1Series(d, a.r), hn::Add(hn::Set(d, 1.0f), scale));
}
#endif

template <class D, class V>
HWY_INLINE V Sigmoid(D d, V x) {
  const V result = hn::Div(hn::Set(d, 1.0f), OnePlusExpOfNegative(d, x));
  // Outside of [-88.2, 17.2], where the result is 0 or 1 (and a NaN's is NaN), whatever came out
  // is replaced: nothing above had to wait for bounds.
  const auto inside = hn::Le(hn::Abs(hn::Add(x, hn::Set(d, 35.5f))), hn::Set(d, 52.7f));
  return hn::IfThenElse(inside, result, Clamp(d, x, 0.0f, 1.0f));
}

// An odd rational function, x * P(x^2) / Q(x^2), up to where rounding tanh to 1 is as good. Nothing
// waits for bounds here either.
template <class D, class V>
HWY_INLINE V Tanh(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V y = hn::Mul(x, x);
  const V y2 = hn::Mul(y, y);
  const V xy = hn::Mul(x, y);
  // P = 1 + y * p and Q = 1 + y * q, so that what is near 1 is rounded once.
  const V p_low = hn::MulAdd(y, hn::Set(d, 3.54840094e-3f), hn::Set(d, 0.134252474f));
  const V p_high = hn::MulAdd(y, hn::Set(d, 1.46264698e-8f), hn::Set(d, 2.14947559e-5f));
  const V q_low = hn::MulAdd(y, hn::Set(d, 2.60770973e-2f), hn::Set(d, 0.467585742f));
  const V q_high = hn::MulAdd(y, hn::Set(d, 8.28682914e-7f), hn::Set(d, 3.3726485e-4f));
  const V p = hn::MulAdd(xy, hn::MulAdd(y2, p_high, p_low), x);
  const V q = hn::MulAdd(y, hn::MulAdd(y2, q_high, q_low), one);
  const auto saturated = hn::Gt(hn::Abs(x), hn::Set(d, 7.95f));
  return hn::IfThenElse(saturated, hn::CopySign(one, x), hn::Div(p, q));
}

// log(1 + f) - f for f from sqrt(1/2) - 1 to sqrt(2) - 1.
template <class D, class V>
HWY_INLINE V LogRemainder(D d, V f) {
  const V f2 = hn::Mul(f, f);
  const V f4 = hn::Mul(f2, f2);
  const V a = hn::MulAdd(f, hn::Set(d, -0.250000089f), hn::Set(d, 0.333333135f));
  const V b = hn::MulAdd(f, hn::Set(d, -0.166679963f), hn::Set(d, 0.200021192f));
  const V c = hn::MulAdd(f, hn::Set(d, -0.124055892f), hn::Set(d, 0.142195523f));
  const V e = hn::MulAdd(f, hn::Set(d, -0.116756521f), hn::Set(d, 0.11888162f));
  const V high = hn::MulAdd(f4, hn::Set(d, 0.0674664006f), hn::MulAdd(f2, e, c));
  const V series = hn::MulAdd(f4, high, hn::MulAdd(f2, b, a));
  return hn::MulAdd(hn::Mul(f2, f), series, hn::Mul(f2, hn::Set(d, -0.5f)));
}

// exponent * ln 2 + log(1 + f), with f as above; the small parts are added first.
template <class D, class V>
HWY_INLINE V LogSum(D d, V exponent, V f) {
  const V small = hn::MulAdd(exponent, hn::Set(d, -2.12194440e-4f), LogRemainder(d, f));
  return hn::MulAdd(exponent, hn::Set(d, 0.693359375f), hn::Add(f, small));
}

template <class D, class V>
HWY_INLINE V Log(D d, V x) {
  const hn::RebindToSigned<D> di;
  const auto subnormal = hn::Lt(x, hn::Set(d, 1.17549435e-38f));
  const V scaled = hn::IfThenElse(subnormal, hn::Mul(x, hn::Set(d, 8388608.0f)), x);
  // Splits off 2^n such that the rest lies between sqrt(1/2) and sqrt(2).
  const auto kSqrtHalf = hn::Set(di, 0x3F3504F3);
  const auto bits = hn::Sub(hn::BitCast(di, scaled), kSqrtHalf);
  const auto mantissa = hn::Add(hn::And(bits, hn::Set(di, 0x7FFFFF)), kSqrtHalf);
  const V n = hn::ConvertTo(d, hn::ShiftRight<23>(bits));
  const V exponent = hn::Sub(n, hn::IfThenElseZero(subnormal, hn::Set(d, 23.0f)));
  const V f = hn::Sub(hn::BitCast(d, mantissa), hn::Set(d, 1.0f));
  V result = LogSum(d, exponent, f);
  // The rest: infinity and NaN stay, zeros give -infinity, negative numbers NaN.
  const V infinity = hn::Inf(d);
  result = hn::IfThenElse(hn::Lt(x, infinity), result, x);
  result = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Neg(infinity), result);
  return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::NaN(d), result);
}

// e^x - 1 for x <= 0; what it gives above 0 means nothing.
template <class D, class V>
HWY_INLINE V ExpM1OfNegative(D d, V x) {
  const ExpArgument<V> a = ReduceForExp(d, Clamp(d, x, -30.0f, 0.0f));
  const V scale = PowerOfTwo(d, a.shifted);
  return hn::MulAdd(scale, ExpM1Series(d, a.r), hn::Sub(scale, hn::Set(d, 1.0f)));
}

// log(1 + e^x) = max(x, 0) + log(1 + u) with u = e^-|x|. No digit of 1 + u is lost: the logarithm's
// fractional argument is u itself, or (u - 1) / 2 where 1 + u is above sqrt(2).
template <class D, class V>
HWY_INLINE V Softplus(D d, V x) {
  const V u = ExpOfSum(d, hn::Neg(hn::Abs(x)), hn::Zero(d));
  const V one = hn::Set(d, 1.0f);
  const auto large = hn::Gt(u, hn::Set(d, 0.414213562f));
  const V f = hn::IfThenElse(large, hn::Mul(hn::Sub(u, one), hn::Set(d, 0.5f)), u);
  const V logarithm = LogSum(d, hn::IfThenElseZero(large, one), f);
  return hn::Add(hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x), logarithm);
}

// Near 0 an odd polynomial, elsewhere 1 - e^(a polynomial without constant term).
template <class D, class V>
HWY_INLINE V Erf(D d, V x) {
  const V a = hn::Abs(x);
  const V s = hn::Mul(x, x);
  V small = hn::MulAdd(s, hn::Set(d, 8.28390766e-5f), hn::Set(d, -8.12207814e-4f));
  small = hn::MulAdd(s, small, hn::Set(d, 5.19919302e-3f));
  small = hn::MulAdd(s, small, hn::Set(d, -2.68586483e-2f));
  small = hn::MulAdd(s, small, hn::Set(d, 0.112836815f));
  small = hn::MulAdd(s, small, hn::Set(d, -0.376126319f));
  small = hn::MulAdd(s, small, hn::Set(d, 0.128379166f));
  small = hn::MulAdd(x, small, x);
  // From here on the result is 1.
  const V t = Clamp(d, a, 0.0f, 4.0f);
  V large = hn::MulAdd(t, hn::Set(d, 2.13984968e-4f), hn::Set(d, -3.2149558e-3f));
  large = hn::MulAdd(t, large, hn::Set(d, 0.0228899643f));
  large = hn::MulAdd(t, large, hn::Set(d, -0.10526184f));
  large = hn::MulAdd(t, large, hn::Set(d, -0.635718286f));
  large = hn::MulAdd(t, large, hn::Set(d, -1.12851441f));
  const ExpArgument<V> e = ReduceForExp(d, hn::Mul(t, large));
  // 1 - 2^n (1 + series)
  const V scale = PowerOfTwo(d, e.shifted);
  const V rest = hn::Sub(hn::Set(d, 1.0f), scale);
  large = hn::NegMulAdd(scale, ExpM1Series(d, e.r), rest);
  return hn::IfThenElse(hn::Lt(a, hn::Set(d, 0.927734375f)), small, hn::CopySign(large, x));
}

// x times the normal distribution function. Its lower tail is e^(-x^2/2) times a rational function
// all of whose coefficients are positive, so that no digit cancels.
template <class D, class V>
HWY_INLINE V Gelu(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  // From here on the tail is 0.
  const V a = Clamp(d, hn::Abs(x), 0.0f, 14.5f);
  // The square and what its rounding lost: e^ would make that up to 100 times as large.
  const V square = hn::Mul(a, a);
#if HWY_NATIVE_FMA
  const V lost = hn::MulSub(a, a, square);
#else
  const hn::RebindToSigned<D> di;
  const V high = hn::BitCast(d, hn::And(hn::BitCast(di, a), hn::Set(di, ~0xFFF)));
  const V low = hn::Sub(a, high);
  const V cross = hn::Mul(hn::Add(high, high), low);
  const V lost = hn::Add(hn::Add(hn::Sub(hn::Mul(high, high), square), cross), hn::Mul(low, low));
#endif
  const V e = ExpOfSum(d, hn::Mul(square, hn::Set(d, -0.5f)), hn::Mul(lost, hn::Set(d, -0.5f)));
  V p = hn::MulAdd(a, hn::Set(d, 4.10872139e-3f), hn::Set(d, 0.04058218f));
  p = hn::MulAdd(a, p, hn::Set(d, 0.183083817f));
  p = hn::MulAdd(a, p, hn::Set(d, 0.438090861f));
  p = hn::MulAdd(a, p, hn::Set(d, 0.5f));
  V q = hn::MulAdd(a, hn::Set(d, 0.0102989161f), hn::Set(d, 0.101730958f));
  q = hn::MulAdd(a, q, hn::Set(d, 0.46907112f));
  q = hn::MulAdd(a, q, hn::Set(d, 1.20187485f));
  q = hn::MulAdd(a, q, hn::Set(d, 1.67406666f));
  q = hn::MulAdd(a, q, one);
  const V tail = hn::Mul(e, hn::Div(p, q));
  return hn::Mul(x, hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Sub(one, tail), tail));
}

// x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2, where (1 + tanh(u)) / 2 = sigmoid(2 u).
template <class D, class V>
HWY_INLINE V GeluTanh(D d, V x) {
  const V cubic = hn::MulAdd(hn::Mul(x, x), hn::Set(d, 0.0713548163f), hn::Set(d, 1.59576912f));
  return hn::Mul(x, Sigmoid(d, hn::Mul(x, cubic)));
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // the include guard that HWY_TARGET_TOGGLE toggles
