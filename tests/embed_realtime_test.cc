// After preparation, steps through the public API allocate nothing, map nothing, take no lock and
// make no system call, over a million of them, whatever the numbers are.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/call_counter.h"
#include "support/embed_models.h"

namespace refrain {
namespace {

using testing::CallCounts;
using testing::calls_so_far;
using testing::load;
using testing::lstm_model;
using testing::Syscalls;
using testing::system_calls_of;

constexpr int64_t kInputs = 8, kHidden = 16;
constexpr int kSteps = 1'000'000;

Session prepared() {
  Session session(load(lstm_model(kInputs, kHidden)));
  session.prepare_step();
  return session;
}

// Counts the calls of a million steps, inputs and states set by `before_step(session, i)`.
template <typename F>
void expect_silent(Session& session, const F& before_step) {
  ASSERT_TRUE(session.real_time()) << session.real_time().why;
  session.step();
  const CallCounts before = calls_so_far();
  for (int i = 0; i < kSteps; ++i) {
    before_step(i);
    session.step();
  }
  const CallCounts calls = calls_so_far() - before;
  EXPECT_EQ(calls.total(), 0) << to_string(calls);
}

TEST(EmbedRealtime, AMillionStepsCallNothing) {
  Session session = prepared();
  const std::span<float> x = session.input("x").data<float>();
  expect_silent(session, [&](int i) {
    x[static_cast<size_t>(i) % x.size()] = std::sin(0.1f * static_cast<float>(i));
  });
  EXPECT_NE(system_calls_of([&] {
              for (int i = 0; i < 1000; ++i) session.step();
            }),
            Syscalls::some);
}

TEST(EmbedRealtime, NorDoDenormalsAndNaNs) {
  Session session = prepared();
  const std::span<float> x = session.input("x").data<float>();
  const std::span<float> h = session.state("h0").data<float>(),
                         c = session.state("c0").data<float>();
  const float values[] = {std::numeric_limits<float>::denorm_min(),
                          1e-40f,
                          -1e-39f,
                          0,
                          std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity()};
  expect_silent(session, [&](int i) {
    const float value = values[static_cast<size_t>(i) % std::size(values)];
    for (float& v : x) v = value;
    if (i % 3 == 0) {
      for (float& v : h) v = value;
      for (float& v : c) v = value;
    }
  });
}

TEST(EmbedRealtime, SequencesResetsAndStatesCallNothingEither) {
  Session session(load(lstm_model(kInputs, kHidden)));
  session.prepare({.symbols = {{"T", 10}, {"B", 2}}});
  ASSERT_TRUE(session.real_time()) << session.real_time().why;
  session.run();
  CallCounts before = calls_so_far();
  for (int i = 0; i < 10'000; ++i) session.run();
  EXPECT_EQ((calls_so_far() - before).total(), 0);

  Session steps = prepared();
  std::vector<float> state(kHidden, 0.5f);
  const ConstView value({1, 1, kHidden}, state.data());
  before = calls_so_far();
  for (int i = 0; i < 10'000; ++i) {
    steps.reset();
    steps.step();
  }
  EXPECT_EQ((calls_so_far() - before).total(), 0);
}

// The counter would see them: a step that is copied in and out allocates.
TEST(EmbedRealtime, CopiesAreSeenToAllocate) {
  Session session = prepared();
  const std::vector<float> x(kInputs);
  const CallCounts before = calls_so_far();
  session.step({{"x", ConstView({1, 1, kInputs}, x.data())}});
  EXPECT_GT((calls_so_far() - before).allocations, 0);
}

}  // namespace
}  // namespace refrain
