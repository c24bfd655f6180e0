#include "frontend/driver/timing.h"

#include <algorithm>
#include <chrono>

namespace refrain {
namespace {

constexpr int kSlices = 20;
constexpr double kWarmUp = 0.2;  // of a slice
constexpr size_t kLeastSamples = 3;
constexpr size_t kMostSamples = 2'000'000;

using Clock = std::chrono::steady_clock;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Samples {
  std::vector<double> seconds;
  double spent = 0;

  bool enough(double wanted) const {
    return seconds.size() >= kMostSamples || (spent >= wanted && seconds.size() >= kLeastSamples);
  }
};

void run_slice(const std::function<void()>& program, double slice, Samples& samples) {
  const Clock::time_point begin = Clock::now();
  double now = 0;
  do {
    const double start = now;
    program();
    now = since(begin);
    if (start >= kWarmUp * slice || now - start > slice) samples.seconds.push_back(now - start);
  } while (now < slice && samples.seconds.size() < kMostSamples);
  samples.spent += now;
}

}  // namespace

std::vector<Timing> time_in_turns(std::span<const std::function<void()>> programs, double seconds) {
  std::vector<Samples> samples(programs.size());
  for (const auto& program : programs) program();  // pages, first calls
  for (bool again = true; again;) {
    again = false;
    for (size_t i = 0; i < programs.size(); ++i) {
      if (samples[i].enough(seconds)) continue;
      again = true;
      run_slice(programs[i], seconds / kSlices, samples[i]);
    }
  }
  std::vector<Timing> result;
  for (Samples& sample : samples) {
    std::sort(sample.seconds.begin(), sample.seconds.end());
    const size_t count = sample.seconds.size();
    result.push_back({sample.seconds.front() * 1e6, sample.seconds[count / 2] * 1e6, count});
  }
  return result;
}

}  // namespace refrain
