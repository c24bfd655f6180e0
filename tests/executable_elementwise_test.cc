// Prepared scans of element-wise bodies against the reference backend.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/prepared.h"

namespace refrain {
namespace {

using testing::check;
using ::testing::HasSubstr;
using ::testing::Not;

// h = exp(delta * A) * h + (delta * x) * B, y = C * h summed + D * x.
std::string selective(const std::string& lengths, const std::string& reverse,
                      const std::string& product) {
  return "graph @g (%delta: f32[9, 2, 20], %x: f32[9, 2, 20], %b: f32[9, 2, 6], %c: f32[9, 2, 6], "
         "%h0: f32[2, 20, 6], %n: i64[2]) {\n"
         "  %a = $f32[20, 6]\n  %d = $f32[20]\n"
         "  %hT, %y = scan " +
         lengths +
         " invariant(%ai = %a: f32[20, 6], %di = %d: f32[20]) state(%h = %h0: f32[2, 20, 6]) "
         "scanned(%dt = %delta[0" +
         reverse + "]: f32[2, 20], %xt = %x[0" + reverse + "]: f32[2, 20], %bt = %b[0" + reverse +
         "]: f32[2, 6], %ct = %c[0" + reverse + "]: f32[2, 6]) stacked([0" + reverse + R"(]) {
    %last = constant i64[1] (-1)
    %middle = constant i64[1] (1)
    %d1 = unsqueeze(%dt, %last) : f32[2, 20, 1]
    %da = mul(%d1, %ai) : f32[2, 20, 6]
    %e = exp(%da) : f32[2, 20, 6]
    %eh = mul(%e, %h) : f32[2, 20, 6]
    %dx = mul(%dt, %xt) : f32[2, 20]
    %dx1 = unsqueeze(%dx, %last) : f32[2, 20, 1]
    %b1 = unsqueeze(%bt, %middle) : f32[2, 1, 6]
    %dxb = mul(%dx1, %b1) : f32[2, 20, 6]
    %hn = add(%eh, %dxb) : f32[2, 20, 6]
)" + product +
         R"(
    %xd = mul(%xt, %di) : f32[2, 20]
    %yt = add(%ys, %xd) : f32[2, 20]
    yield %hn, %yt
  } : f32[2, 20, 6], f32[9, 2, 20]
  yield "y" = %y, "h" = %hT
})";
}

constexpr const char* kSum = R"(
    %c1 = unsqueeze(%ct, %middle) : f32[2, 1, 6]
    %hc = mul(%hn, %c1) : f32[2, 20, 6]
    %ys = reduce_sum(%hc, %last) {keep_dims = false} : f32[2, 20])";
constexpr const char* kMatmul = R"(
    %c1 = unsqueeze(%ct, %last) : f32[2, 6, 1]
    %hc = matmul(%hn, %c1) : f32[2, 20, 1]
    %ys = squeeze(%hc, %last) : f32[2, 20])";
constexpr const char* kEinsum = R"(
    %ys = einsum(%hn, %ct) {equation = "bdn,bn->bd"} : f32[2, 20])";

TEST(ExecutableElementwise, SelectiveStateSpace) {
  for (const char* product : {kSum, kMatmul, kEinsum}) {
    const std::string steps = check(selective("", "", product));
    EXPECT_THAT(steps, HasSubstr("highway element-wise loop, 9 steps"));
    EXPECT_THAT(steps, HasSubstr("2 x 6 rows x 20 lanes"));
    EXPECT_THAT(steps, Not(HasSubstr("step by step")));
    EXPECT_THAT(steps, HasSubstr("1 steps"));
  }
}

TEST(ExecutableElementwise, BackwardAndLengths) {
  EXPECT_THAT(check(selective("", " reverse", kSum)), HasSubstr("element-wise loop"));
  for (const char* reverse : {"", " reverse"}) {
    for (uint64_t seed = 1; seed < 4; ++seed) {
      EXPECT_THAT(check(selective("lengths(%n) batch_axis(0)", reverse, kEinsum), seed),
                  HasSubstr("lengths"));
    }
  }
}

// S = a * S + k v', y = S q, z = z + k.
TEST(ExecutableElementwise, LinearAttention) {
  const std::string steps =
      check(R"(graph @g (%k: f32[7, 5], %v: f32[7, 18], %q: f32[7, 5], %s0: f32[5, 18]) {
    %sT, %y = scan state(%s = %s0: f32[5, 18]) scanned(%kt = %k[0]: f32[5], %vt = %v[0]: f32[18], %qt = %q[0]: f32[5]) stacked([0]) {
      %k2 = constant i64[2] (5, 1)
      %v2 = constant i64[2] (1, 18)
      %a = $f32[5, 1]
      %kc = reshape(%kt, %k2) : f32[5, 1]
      %vr = reshape(%vt, %v2) : f32[1, 18]
      %kv = matmul(%kc, %vr) : f32[5, 18]
      %as = mul(%a, %s) : f32[5, 18]
      %sn = add(%as, %kv) : f32[5, 18]
      %yt = matmul(%qt, %sn) : f32[18]
      yield %sn, %yt
    } : f32[5, 18], f32[7, 18]
    yield "s" = %sT, "y" = %y
  })");
  EXPECT_THAT(steps, HasSubstr("1 x 5 rows x 18 lanes"));
  EXPECT_THAT(steps, Not(HasSubstr("step by step")));
}

// The delta rule: what the state already says of a key is taken off, a sum in the recurrence.
TEST(ExecutableElementwise, DeltaRule) {
  const std::string steps =
      check(R"(graph @g (%k: f32[6, 3, 8], %v: f32[6, 3, 5], %s0: f32[3, 5, 8]) {
    %sT, %y = scan state(%s = %s0: f32[3, 5, 8]) scanned(%kt = %k[0]: f32[3, 8], %vt = %v[0]: f32[3, 5]) stacked([1]) {
      %old = einsum(%s, %kt) {equation = "hvk,hk->hv"} : f32[3, 5]
      %off = sub(%vt, %old) : f32[3, 5]
      %kv = einsum(%off, %kt) {equation = "hv,hk->hvk"} : f32[3, 5, 8]
      %sn = add(%s, %kv) : f32[3, 5, 8]
      yield %sn, %off
    } : f32[3, 5, 8], f32[3, 6, 5]
    yield "s" = %sT, "y" = %y
  })");
  EXPECT_THAT(steps, HasSubstr("highway element-wise loop"));
  EXPECT_THAT(steps, HasSubstr("step by step"));
}

// Parts of one scanned tensor, time as the second axis, a mean, a state that is stacked whole.
TEST(ExecutableElementwise, PartsAndOtherAxes) {
  const std::string steps = check(R"(graph @g (%x: f32[3, 11, 40], %h0: f32[1, 3, 20]) {
    %hT, %y, %m = scan state(%h = %h0: f32[1, 3, 20]) scanned(%xt = %x[1]: f32[3, 40]) stacked([1], [0]) {
      %zero = constant i64[1] (0)
      %u = $f32[20]
      %f, %n = split(%xt) {axis = 1} : f32[3, 20], f32[3, 20]
      %g = sigmoid(%f) : f32[3, 20]
      %h2 = squeeze(%h, %zero) : f32[3, 20]
      %gh = mul(%g, %h2) : f32[3, 20]
      %un = mul(%u, %n) : f32[3, 20]
      %hn = add(%gh, %un) : f32[3, 20]
      %t = tanh(%hn) : f32[3, 20]
      %axes = constant i64[1] (-1)
      %mean = reduce_mean(%hn, %axes) {keep_dims = true} : f32[3, 1]
      %h3 = unsqueeze(%hn, %zero) : f32[1, 3, 20]
      yield %h3, %t, %mean
    } : f32[1, 3, 20], f32[3, 11, 20], f32[11, 3, 1]
    yield "h" = %hT, "y" = %y, "m" = %m
  })");
  EXPECT_THAT(steps, HasSubstr("highway element-wise loop"));
}

// One tensor along two axes is two inputs; a state along two is none of this form.
TEST(ExecutableElementwise, OneTensorAlongTwoAxes) {
  EXPECT_THAT(check(R"(graph @g (%k: f32[7, 5], %s0: f32[5, 5]) {
    %sT = scan state(%s = %s0: f32[5, 5]) scanned(%kt = %k[0]: f32[5]) {
      %zero = constant i64[1] (0)
      %one = constant i64[1] (1)
      %r = unsqueeze(%kt, %zero) : f32[1, 5]
      %c = unsqueeze(%kt, %one) : f32[5, 1]
      %rc = mul(%r, %c) : f32[5, 5]
      %sn = add(%s, %rc) : f32[5, 5]
      yield %sn
    } : f32[5, 5]
    yield "s" = %sT
  })"),
              HasSubstr("element-wise loop"));
  EXPECT_THAT(check(R"(graph @g (%k: f32[7, 5], %s0: f32[5], %p0: f32[5, 5]) {
    %sT, %pT = scan state(%s = %s0: f32[5], %p = %p0: f32[5, 5]) scanned(%kt = %k[0]: f32[5]) {
      %zero = constant i64[1] (0)
      %one = constant i64[1] (1)
      %sn = add(%s, %kt) : f32[5]
      %r = unsqueeze(%sn, %zero) : f32[1, 5]
      %c = unsqueeze(%sn, %one) : f32[5, 1]
      %rc = mul(%r, %c) : f32[5, 5]
      %pn = add(%p, %rc) : f32[5, 5]
      yield %sn, %pn
    } : f32[5], f32[5, 5]
    yield "s" = %sT, "p" = %pT
  })"),
              Not(HasSubstr("element-wise loop")));
}

// Transposing the state each step mixes places.
TEST(ExecutableElementwise, MixedPlacesAreNot) {
  EXPECT_THAT(check(R"(graph @g (%x: f32[7, 4, 4], %s0: f32[4, 4]) {
    %sT = scan state(%s = %s0: f32[4, 4]) scanned(%xt = %x[0]: f32[4, 4]) {
      %t = transpose(%s) {perm = [1, 0]} : f32[4, 4]
      %sn = add(%t, %xt) : f32[4, 4]
      yield %sn
    } : f32[4, 4]
    yield "s" = %sT
  })"),
              Not(HasSubstr("element-wise loop")));
}

}  // namespace
}  // namespace refrain
