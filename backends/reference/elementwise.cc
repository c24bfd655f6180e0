#include <cmath>
#include <cstring>
#include <numbers>

#include "backends/reference/arithmetic.h"
#include "backends/reference/broadcast.h"
#include "backends/reference/convert.h"
#include "backends/reference/kernel.h"
#include "backends/reference/strided.h"
#include "ir/error.h"

namespace refrain::reference {
namespace {

using A = AttributeName;

// result = f(x) on any type but bool; of x's type.
template <typename F>
void number_unary(const KernelContext& c, F&& f) {
  visit_number(c.operand(0).type(),
               [&]<typename T>(std::type_identity<T>) { map_unary<T, T>(c, f); });
}

// ... on floating-point types.
template <typename F>
void float_unary(const KernelContext& c, F&& f) {
  visit_float(c.operand(0).type(),
              [&]<typename T>(std::type_identity<T>) { map_unary<T, T>(c, f); });
}

// result = f(x, y) on two tensors of one number type; of the same type.
template <typename F>
void number_binary(const KernelContext& c, F&& f) {
  visit_number(c.operand(0).type(),
               [&]<typename T>(std::type_identity<T>) { map_binary<T, T, T>(c, f); });
}

// ... of any one type; of type bool.
template <typename F>
void comparison(const KernelContext& c, F&& f) {
  visit(c.operand(0).type(),
        [&]<typename T>(std::type_identity<T>) { map_binary<T, T, bool>(c, f); });
}

template <typename F>
void logical(const KernelContext& c, F&& f) {
  map_binary<bool, bool, bool>(c, f);
}

// Integer arithmetic wraps around; done unsigned, where that is defined, and in 64 bits, because
// narrower types would promote to int.
template <typename T>
uint64_t bits_of(T x) {
  return static_cast<uint64_t>(x);
}

[[noreturn]] void division_by_zero() {
  throw Error("integer division by zero", "a divisor other than 0", "0");
}

template <typename T>
T negated(T x) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(0 - bits_of(x));
  } else {
    return -x;
  }
}

template <typename T>
T absolute(T x) {
  if constexpr (std::is_integral_v<T>) {
    return x < 0 ? negated(x) : x;
  } else {
    return std::abs(x);
  }
}

template <typename T>
T sign_of(T x) {
  if (is_nan(x)) return x;
  return static_cast<T>((x > T{0}) - (x < T{0}));
}

struct Add {
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(bits_of(a) + bits_of(b));
    } else {
      return a + b;
    }
  }
};

struct Subtract {
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(bits_of(a) - bits_of(b));
    } else {
      return a - b;
    }
  }
};

struct Multiply {
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(bits_of(a) * bits_of(b));
    } else {
      return a * b;
    }
  }
};

struct Divide {
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0) division_by_zero();
      if constexpr (std::is_signed_v<T>) {
        if (b == -1) return negated(a);  // the least value has no negative
      }
      return static_cast<T>(a / b);
    } else {
      return a / b;
    }
  }
};

// Remainder with the sign of the dividend, as C's.
template <typename T>
T truncated_remainder(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) division_by_zero();
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return 0;
    }
    return static_cast<T>(a % b);
  } else {
    return std::fmod(a, b);
  }
}

// Remainder with the sign of the divisor, as Python's.
template <typename T>
T floored_remainder(T a, T b) {
  const T r = truncated_remainder(a, b);
  return r != T{0} && (r < T{0}) != (b < T{0}) ? static_cast<T>(r + b) : r;
}

void modulo(const KernelContext& c) {
  if (c.node.flag(A::fmod)) {
    number_binary(c, []<typename T>(T a, T b) { return truncated_remainder(a, b); });
  } else {
    number_binary(c, []<typename T>(T a, T b) { return floored_remainder(a, b); });
  }
}

// An integer to an integer power, modulo 2^bits; a negative power is the exact value rounded
// towards 0.
template <typename T, typename E>
T integer_power(T base, E exponent) {
  if (exponent < E{0}) {
    if (base == T{0}) division_by_zero();
    if (base == T{1}) return 1;
    if constexpr (std::is_signed_v<T>) {
      if (base == T{-1}) return exponent % 2 == 0 ? T{1} : T{-1};
    }
    return 0;
  }
  uint64_t result = 1, square = bits_of(base);
  for (uint64_t left = bits_of(exponent); left != 0; left >>= 1) {
    if (left & 1) result *= square;
    square *= square;
  }
  return static_cast<T>(result);
}

// In the wider of the two floating-point types; in double where an integer meets a floating-point
// type.
template <typename T, typename E>
auto power_of(T base, E exponent) {
  if constexpr (std::is_integral_v<T> && std::is_integral_v<E>) {
    return integer_power(base, exponent);
  } else if constexpr (std::is_same_v<T, float> && std::is_same_v<E, float>) {
    return std::pow(base, exponent);
  } else {
    return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  }
}

void power(const KernelContext& c) {
  visit_number(c.operand(0).type(), [&]<typename T>(std::type_identity<T>) {
    visit_number(c.operand(1).type(), [&]<typename E>(std::type_identity<E>) {
      const T* const base = c.operand(0).data<T>().data();
      const E* const exponent = c.operand(1).data<E>().data();
      T* const result = c.result().data<T>().data();
      for_each_run<2>(c.result().extents(), {c.operand(0).extents(), c.operand(1).extents()},
                      [&](const BroadcastRun<2>& run) {
                        const int64_t x = run.varies[0], y = run.varies[1];
                        for (int64_t i = 0; i < run.count; ++i) {
                          result[run.result + i] =
                              convert<T>(power_of(widen(base[run.operands[0] + i * x]),
                                                  widen(exponent[run.operands[1] + i * y])));
                        }
                      });
    });
  });
}

struct Prelu {
  template <typename T>
  T operator()(T x, T slope) const {
    return x < T{0} ? Multiply()(x, slope) : x;
  }
};

void where(const KernelContext& c) {
  const bool* const condition = c.operand(0).data<bool>().data();
  visit_width(size_of(c.result().type()), [&]<size_t N>(std::integral_constant<size_t, N>) {
    for_each_run<3>(c.result().extents(),
                    {c.operand(0).extents(), c.operand(1).extents(), c.operand(2).extents()},
                    [&](const BroadcastRun<3>& run) {
                      const std::byte* const x = at(c.operand(1), run.operands[1]);
                      const std::byte* const y = at(c.operand(2), run.operands[2]);
                      std::byte* const r = at(c.result(), run.result);
                      for (int64_t i = 0; i < run.count; ++i) {
                        const bool first = condition[run.operands[0] + i * run.varies[0]];
                        const std::byte* from =
                            first ? x + (run.varies[1] ? i * static_cast<int64_t>(N) : 0)
                                  : y + (run.varies[2] ? i * static_cast<int64_t>(N) : 0);
                        std::memcpy(r + i * static_cast<int64_t>(N), from, N);
                      }
                    });
  });
}

void cast(const KernelContext& c) {
  if (c.operand(0).type() == c.result().type()) return copy_all(c.operand(0), c.result());
  visit(c.operand(0).type(), [&]<typename From>(std::type_identity<From>) {
    visit(c.result().type(), [&]<typename To>(std::type_identity<To>) {
      const From* const x = c.operand(0).data<From>().data();
      To* const r = c.result().data<To>().data();
      const int64_t count = c.result().size();
      for (int64_t i = 0; i < count; ++i) r[i] = convert<To>(x[i]);
    });
  });
}

void is_nan_kernel(const KernelContext& c) {
  visit_float(c.operand(0).type(), [&]<typename T>(std::type_identity<T>) {
    map_unary<T, bool>(c, [](auto x) { return std::isnan(x); });
  });
}

// e^x never overflows on either side.
template <typename T>
T sigmoid(T x) {
  if (x >= 0) return 1 / (1 + std::exp(-x));
  const T e = std::exp(x);
  return e / (1 + e);
}

// log(1 + e^x).
template <typename T>
T softplus(T x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

// x times the normal distribution function; erfc keeps the digits that 1 + erf loses below 0.
template <typename T>
T gelu(T x) {
  return x * std::erfc(-x / std::numbers::sqrt2_v<T>) / 2;
}

template <typename T>
T gelu_by_tanh(T x) {
  const T k = std::numbers::sqrt2_v<T> * std::numbers::inv_sqrtpi_v<T>;  // sqrt(2 / pi)
  return x * (1 + std::tanh(k * (x + static_cast<T>(0.044715) * x * x * x))) / 2;
}

void gelu_kernel(const KernelContext& c) {
  if (c.node.flag(A::approximate)) {
    float_unary(c, [](auto x) { return gelu_by_tanh(x); });
  } else {
    float_unary(c, [](auto x) { return gelu(x); });
  }
}

void leaky_relu(const KernelContext& c) {
  const double alpha = c.node.real(A::alpha);
  float_unary(c, [alpha]<typename T>(T x) { return x < 0 ? static_cast<T>(alpha) * x : x; });
}

void elu(const KernelContext& c) {
  const double alpha = c.node.real(A::alpha);
  float_unary(
      c, [alpha]<typename T>(T x) { return x < 0 ? static_cast<T>(alpha) * std::expm1(x) : x; });
}

void selu(const KernelContext& c) {
  const double alpha = c.node.real(A::alpha), gamma = c.node.real(A::gamma);
  float_unary(c, [alpha, gamma]<typename T>(T x) {
    return static_cast<T>(gamma) * (x > 0 ? x : static_cast<T>(alpha) * std::expm1(x));
  });
}

void hard_sigmoid(const KernelContext& c) {
  const double alpha = c.node.real(A::alpha), beta = c.node.real(A::beta);
  float_unary(c, [alpha, beta]<typename T>(T x) {
    return max_of<T>(0, min_of<T>(1, static_cast<T>(alpha) * x + static_cast<T>(beta)));
  });
}

void thresholded_relu(const KernelContext& c) {
  const double alpha = c.node.real(A::alpha);
  float_unary(c, [alpha]<typename T>(T x) { return x > static_cast<T>(alpha) ? x : T{0}; });
}

// A function of one floating-point number as a kernel.
#define FLOAT_UNARY(expression) \
  [](const KernelContext& c) { float_unary(c, []<typename T>(T x) -> T { return expression; }); }

std::vector<KernelEntry> unary_kernels() {
  return {
      {Op::neg, [](const KernelContext& c) { number_unary(c, [](auto x) { return negated(x); }); }},
      {Op::abs,
       [](const KernelContext& c) { number_unary(c, [](auto x) { return absolute(x); }); }},
      {Op::sign,
       [](const KernelContext& c) { number_unary(c, [](auto x) { return sign_of(x); }); }},
      {Op::relu,
       [](const KernelContext& c) {
         number_unary(c, []<typename T>(T x) { return x < T{0} ? T{0} : x; });
       }},
      {Op::sqrt, FLOAT_UNARY(std::sqrt(x))},
      {Op::exp, FLOAT_UNARY(std::exp(x))},
      {Op::log, FLOAT_UNARY(std::log(x))},
      {Op::erf, FLOAT_UNARY(std::erf(x))},
      {Op::floor, FLOAT_UNARY(std::floor(x))},
      {Op::ceil, FLOAT_UNARY(std::ceil(x))},
      {Op::round, FLOAT_UNARY(std::nearbyint(x))},  // half to even
      {Op::sin, FLOAT_UNARY(std::sin(x))},
      {Op::cos, FLOAT_UNARY(std::cos(x))},
      {Op::tan, FLOAT_UNARY(std::tan(x))},
      {Op::asin, FLOAT_UNARY(std::asin(x))},
      {Op::acos, FLOAT_UNARY(std::acos(x))},
      {Op::atan, FLOAT_UNARY(std::atan(x))},
      {Op::sinh, FLOAT_UNARY(std::sinh(x))},
      {Op::cosh, FLOAT_UNARY(std::cosh(x))},
      {Op::asinh, FLOAT_UNARY(std::asinh(x))},
      {Op::acosh, FLOAT_UNARY(std::acosh(x))},
      {Op::atanh, FLOAT_UNARY(std::atanh(x))},
      {Op::sigmoid, FLOAT_UNARY(sigmoid(x))},
      {Op::tanh, FLOAT_UNARY(std::tanh(x))},
      {Op::softplus, FLOAT_UNARY(softplus(x))},
      {Op::softsign, FLOAT_UNARY(x / (1 + std::abs(x)))},
      {Op::leaky_relu, leaky_relu},
      {Op::elu, elu},
      {Op::selu, selu},
      {Op::hard_sigmoid, hard_sigmoid},
      {Op::thresholded_relu, thresholded_relu},
      {Op::gelu, gelu_kernel},
      {Op::is_nan, is_nan_kernel},
      {Op::cast, cast},
      {Op::logical_not,
       [](const KernelContext& c) { map_unary<bool, bool>(c, [](bool x) { return !x; }); }},
  };
}

#undef FLOAT_UNARY

}  // namespace

std::vector<KernelEntry> elementwise_kernels() {
  std::vector<KernelEntry> kernels = unary_kernels();
  const KernelEntry broadcasting[] = {
      {Op::add, [](const KernelContext& c) { number_binary(c, Add()); }},
      {Op::sub, [](const KernelContext& c) { number_binary(c, Subtract()); }},
      {Op::mul, [](const KernelContext& c) { number_binary(c, Multiply()); }},
      {Op::div, [](const KernelContext& c) { number_binary(c, Divide()); }},
      {Op::mod, modulo},
      {Op::pow, power},
      {Op::max,
       [](const KernelContext& c) {
         number_binary(c, [](auto x, auto y) { return max_of(x, y); });
       }},
      {Op::min,
       [](const KernelContext& c) {
         number_binary(c, [](auto x, auto y) { return min_of(x, y); });
       }},
      {Op::prelu, [](const KernelContext& c) { number_binary(c, Prelu()); }},
      {Op::equal,
       [](const KernelContext& c) { comparison(c, [](auto x, auto y) { return x == y; }); }},
      {Op::less,
       [](const KernelContext& c) { comparison(c, [](auto x, auto y) { return x < y; }); }},
      {Op::less_equal,
       [](const KernelContext& c) { comparison(c, [](auto x, auto y) { return x <= y; }); }},
      {Op::greater,
       [](const KernelContext& c) { comparison(c, [](auto x, auto y) { return x > y; }); }},
      {Op::greater_equal,
       [](const KernelContext& c) { comparison(c, [](auto x, auto y) { return x >= y; }); }},
      {Op::logical_and,
       [](const KernelContext& c) { logical(c, [](bool x, bool y) { return x && y; }); }},
      {Op::logical_or,
       [](const KernelContext& c) { logical(c, [](bool x, bool y) { return x || y; }); }},
      {Op::logical_xor,
       [](const KernelContext& c) { logical(c, [](bool x, bool y) { return x != y; }); }},
      {Op::where, where},
  };
  kernels.insert(kernels.end(), std::begin(broadcasting), std::end(broadcasting));
  return kernels;
}

}  // namespace refrain::reference
