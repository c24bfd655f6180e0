#include "frontend/driver/timing.h"

#include <algorithm>
#include <chrono>

namespace refrain {
namespace {

constexpr int kSlices = 20;
constexpr double kWarmUp = 0.2;  // of a slice
constexpr size_t kLeastSamples = 3;
constexpr size_t kMostSamples = 2'000'000;
// A sample is as many runs as take so long: the clock itself takes some 20 ns.
constexpr double kSample = 4e-6;
constexpr size_t kMostRuns = 1024;

using Clock = std::chrono::steady_clock;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Samples {
  size_t runs = 1;  // in each of them
  std::vector<double> seconds;
  double spent = 0;

  bool enough(double wanted) const {
    return seconds.size() >= kMostSamples || (spent >= wanted && seconds.size() >= kLeastSamples);
  }
};

size_t runs_of_sample(const std::function<void()>& program) {
  program();  // pages, first calls
  for (size_t runs = 1;; runs *= 2) {
    const Clock::time_point begin = Clock::now();
    for (size_t i = 0; i < runs; ++i) program();
    if (since(begin) >= kSample || runs >= kMostRuns) return runs;
  }
}

void run_slice(const std::function<void()>& program, double slice, Samples& samples) {
  const Clock::time_point begin = Clock::now();
  double now = 0;
  do {
    const double start = now;
    for (size_t i = 0; i < samples.runs; ++i) program();
    now = since(begin);
    if (start >= kWarmUp * slice || now - start > slice) samples.seconds.push_back(now - start);
  } while (now < slice && samples.seconds.size() < kMostSamples);
  samples.spent += now;
}

}  // namespace

std::vector<Timing> time_in_turns(std::span<const std::function<void()>> programs, double seconds) {
  std::vector<Samples> samples(programs.size());
  for (size_t i = 0; i < programs.size(); ++i) samples[i].runs = runs_of_sample(programs[i]);
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
    const double us = 1e6 / static_cast<double>(sample.runs);
    result.push_back(
        {sample.seconds.front() * us, sample.seconds[count / 2] * us, count * sample.runs});
  }
  return result;
}

}  // namespace refrain
