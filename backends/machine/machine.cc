// Both kernels are compiled for every instruction set; the best that this machine has is chosen
// once.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/machine/machine.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <cstddef>

HWY_BEFORE_NAMESPACE();
namespace refrain::machine::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Independent chains of multiply-adds: two units with a latency of four or five cycles need ten.
constexpr size_t kChains = 12;

// Runs `rounds` rounds of kChains fused multiply-adds on full vectors; returns the number of
// floating-point operations. Each factor is the last result, so that no compiler can take the
// product out of the loop.
double multiply_add(size_t rounds, float* sink) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, 0.999F), term = hn::Set(d, 0.001F);
  // Chains that began alike would be one to the compiler.
  auto a0 = hn::Set(d, 1.0F), a1 = hn::Set(d, 1.1F), a2 = hn::Set(d, 1.2F);
  auto a3 = hn::Set(d, 1.3F), a4 = hn::Set(d, 1.4F), a5 = hn::Set(d, 1.5F);
  auto a6 = hn::Set(d, 1.6F), a7 = hn::Set(d, 1.7F), a8 = hn::Set(d, 1.8F);
  auto a9 = hn::Set(d, 1.9F), a10 = hn::Set(d, 2.0F), a11 = hn::Set(d, 2.1F);
  for (size_t i = 0; i < rounds; ++i) {
    a0 = hn::MulAdd(a0, factor, term);
    a1 = hn::MulAdd(a1, factor, term);
    a2 = hn::MulAdd(a2, factor, term);
    a3 = hn::MulAdd(a3, factor, term);
    a4 = hn::MulAdd(a4, factor, term);
    a5 = hn::MulAdd(a5, factor, term);
    a6 = hn::MulAdd(a6, factor, term);
    a7 = hn::MulAdd(a7, factor, term);
    a8 = hn::MulAdd(a8, factor, term);
    a9 = hn::MulAdd(a9, factor, term);
    a10 = hn::MulAdd(a10, factor, term);
    a11 = hn::MulAdd(a11, factor, term);
  }
  const auto s0 = hn::Add(hn::Add(a0, a1), hn::Add(a2, a3));
  const auto s1 = hn::Add(hn::Add(a4, a5), hn::Add(a6, a7));
  const auto s2 = hn::Add(hn::Add(a8, a9), hn::Add(a10, a11));
  *sink = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), s2)));
  return 2.0 * static_cast<double>(rounds * kChains * hn::Lanes(d));
}

// Reads `count` floats (a multiple of 1024, aligned to 64 bytes).
void read(const float* data, size_t count, float* sink) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  for (size_t i = 0; i < count; i += 8 * lanes) {
    s0 = hn::Add(s0, hn::Load(d, data + i));
    s1 = hn::Add(s1, hn::Load(d, data + i + lanes));
    s2 = hn::Add(s2, hn::Load(d, data + i + 2 * lanes));
    s3 = hn::Add(s3, hn::Load(d, data + i + 3 * lanes));
    s4 = hn::Add(s4, hn::Load(d, data + i + 4 * lanes));
    s5 = hn::Add(s5, hn::Load(d, data + i + 5 * lanes));
    s6 = hn::Add(s6, hn::Load(d, data + i + 6 * lanes));
    s7 = hn::Add(s7, hn::Load(d, data + i + 7 * lanes));
  }
  const auto sum =
      hn::Add(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), hn::Add(hn::Add(s4, s5), hn::Add(s6, s7)));
  *sink = hn::GetLane(hn::SumOfLanes(d, sum));
}

const char* target_name() { return hwy::TargetName(HWY_TARGET); }

}  // namespace refrain::machine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include <hwy/aligned_allocator.h>

#include <algorithm>
#include <chrono>

#include "backends/machine/machine.h"

namespace refrain::machine {
namespace {

HWY_EXPORT(multiply_add);
HWY_EXPORT(read);
HWY_EXPORT(target_name);

// Close together where second-level caches end, so that weights that still fit into one are not
// taken for larger.
constexpr int64_t kWorkingSets[] = {32 << 10, 512 << 10, 768 << 10, 1 << 20,
                                    2 << 20,  8 << 20,   64 << 20};

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Highest rate (work a second) of repeated runs of f, which returns the work done, within the time;
// at least two runs, the first of which warms up.
template <typename F>
double best_rate(double seconds, const F& f) {
  double best = 0;
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < 2 || seconds_since(begin) < seconds; ++i) {
    const Clock::time_point start = Clock::now();
    const double work = f();
    const double time = seconds_since(start);
    if (i > 0 && time > 0) best = std::max(best, work / time);
  }
  return best;
}

}  // namespace

Profile measure(double seconds) {
  // Wherever the kernels leave their sums, so that they are not optimized away.
  float sink = 0;
  const double share = seconds / (1 + std::size(kWorkingSets));
  Profile profile{HWY_DYNAMIC_DISPATCH(target_name)(), 0, {}};
  profile.peak_gflops =
      best_rate(share, [&] { return HWY_DYNAMIC_DISPATCH(multiply_add)(20'000, &sink); }) / 1e9;
  for (const int64_t bytes : kWorkingSets) {
    const size_t count = static_cast<size_t>(bytes) / sizeof(float);
    const hwy::AlignedFreeUniquePtr<float[]> data = hwy::AllocateAligned<float>(count);
    if (!data) break;
    std::fill_n(data.get(), count, 1.0F);
    // Small sets are read several times a run: a run must be much longer than reading the clock.
    const size_t repeats = std::max<size_t>(1, (size_t{2} << 20) / static_cast<size_t>(bytes));
    const double rate = best_rate(share, [&] {
      for (size_t i = 0; i < repeats; ++i) HWY_DYNAMIC_DISPATCH(read)(data.get(), count, &sink);
      return static_cast<double>(repeats) * static_cast<double>(bytes);
    });
    profile.bandwidths.push_back({bytes, rate / 1e9});
  }
  return profile;
}

double bandwidth_of(const Profile& profile, int64_t bytes) {
  double bandwidth = 0;
  for (const Bandwidth& level : profile.bandwidths) {
    bandwidth = level.gb_per_s;
    if (bytes <= level.bytes) break;
  }
  return bandwidth;
}

}  // namespace refrain::machine

#endif  // HWY_ONCE
