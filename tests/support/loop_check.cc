#include "support/loop_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "support/bounded.h"

namespace refrain::highway {
namespace {

using testing::Bounded;
using testing::choose_target;
using testing::evaluate;
using testing::exact;
using testing::expect_within;
using testing::kUnit;
using testing::targets;

struct Values {
  std::vector<std::vector<Bounded>> buffers, states;
};

class Oracle {
 public:
  explicit Oracle(const Case& c)
      : case_(c), values_{exact(c.buffers), exact(c.states)}, next_(values_.states) {}

  Values run() {
    for (int64_t step = 0; step < case_.steps; ++step) {
      time_ = case_.backward ? case_.steps - 1 - step : step;
      for (int64_t row = 0; row < case_.rows; ++row) {
        const bool active =
            case_.lengths.empty() || time_ < case_.lengths[static_cast<size_t>(row)];
        for (const Stage& stage : case_.spec.stages) run_stage(stage, row, active);
        for (size_t s = 0; active && s < next_.size(); ++s) {
          const int64_t size = case_.spec.state_sizes[s];
          std::copy_n(next_[s].begin() + row * size, size, values_.states[s].begin() + row * size);
        }
      }
    }
    return values_;
  }

 private:
  Bounded& at(const Stream& stream, int64_t row, int64_t j,
              std::vector<std::vector<Bounded>>& states) {
    switch (stream.kind) {
      case Stream::Kind::rows:
        return values_.buffers[stream.buffer].at(static_cast<size_t>(
            time_ * stream.time_stride + row * stream.row_stride + stream.offset + j));
      case Stream::Kind::units:
        return values_.buffers[stream.buffer].at(static_cast<size_t>(stream.offset + j));
      case Stream::Kind::state:
        break;
    }
    return states[stream.buffer].at(
        static_cast<size_t>(row * case_.spec.state_sizes[stream.buffer] + stream.offset + j));
  }

  void run_stage(const Stage& stage, int64_t row, bool active) {
    std::vector<std::vector<Bounded>> results;
    for (int64_t n = 0; n < stage.units; ++n) {
      std::vector<Bounded> registers(kMaxRegisters);
      for (int64_t g = 0; g < stage.gates; ++g) {
        double sum = 0, size = 0, error = 0;
        int64_t terms = 1;
        for (const Product& product : stage.products) {
          terms += product.depth;
          for (int64_t k = 0; k < product.depth; ++k) {
            const Bounded a = at(product.left, row, k, values_.states);
            float w = 0;
            for (const WeightTerm& term : product.weights)
              if (term.gate == static_cast<size_t>(g)) w += term.data[k * term.row_stride + n];
            sum += a.value * double{w};
            size += (std::abs(a.value) + a.error) * double{std::abs(w)};
            error += a.error * double{std::abs(w)};
          }
        }
        // A sum may start from streams that the program adds to it: in these tests at most five,
        // each at most 1.
        registers[static_cast<size_t>(g)] = {
            sum, error + static_cast<double>(terms + 5) * kUnit * (size + 5)};
      }
      for (size_t i = 0; i < stage.inputs.size(); ++i)
        registers[static_cast<size_t>(stage.gates) + i] =
            at(stage.inputs[i], row, n, values_.states);
      for (const Instruction& code : stage.program.code)
        registers[code.result] = evaluate(code, registers);
      for (size_t o = 0; o < stage.outputs.size(); ++o) {
        const Stream& stream = stage.outputs[o];
        if (active) {
          at(stream, row, n, next_) = registers[stage.program.outputs[o]];
        } else if (stream.kind == Stream::Kind::rows) {
          at(stream, row, n, next_) = {};
        }
      }
    }
  }

  const Case& case_;
  Values values_;
  std::vector<std::vector<Bounded>> next_;
  int64_t time_ = 0;
};

// Calls run(RecurrentLoop::Run) on copies of the case's; `apart`: reads initial states where they
// are, which only one step may do.
template <typename Run>
Results run_on_copies(const Case& c, const Run& run, bool apart = false) {
  Results results{c.buffers, c.states};
  std::vector<const float*> initial;
  for (const std::vector<float>& state : c.states) initial.push_back(state.data());
  if (apart) {
    for (std::vector<float>& state : results.states) std::fill(state.begin(), state.end(), NAN);
  }
  std::vector<std::vector<float>> next = c.states;
  for (std::vector<float>& state : next) std::fill(state.begin(), state.end(), NAN);
  std::vector<float*> buffers, current, other;
  for (std::vector<float>& buffer : results.buffers) buffers.push_back(buffer.data());
  for (std::vector<float>& state : results.states) current.push_back(state.data());
  for (std::vector<float>& state : next) other.push_back(state.data());
  run(RecurrentLoop::Run{buffers.data(), current.data(), apart ? nullptr : other.data(), c.steps, 0,
                         c.rows, c.lengths.empty() ? nullptr : c.lengths.data(), c.backward,
                         apart ? initial.data() : nullptr});
  return results;
}

}  // namespace

Results run(const RecurrentLoop& loop, const Case& c, int64_t part, bool apart) {
  return run_on_copies(
      c,
      [&](RecurrentLoop::Run run) {
        for (int64_t row = 0; row < c.rows; row += part) {
          run.row_begin = row;
          run.row_end = std::min(row + part, c.rows);
          loop.run(run);
        }
      },
      apart);
}

namespace {

// Runs each step by so many threads, one unit block after the other claimed by one of them.
Results run_shared(const RecurrentLoop& loop, const Case& c, int workers) {
  BlockShare share(loop.blocks(), workers);
  return run_on_copies(c, [&](const RecurrentLoop::Run& run) {
    share.begin();
    std::vector<std::thread> threads;
    for (int i = 1; i < workers; ++i) threads.emplace_back([&] { loop.run_shared(run, share); });
    loop.run_shared(run, share);
    for (std::thread& thread : threads) thread.join();
  });
}

// On the chosen target: right, and the same bits for any split of the rows or the steps.
void check_loop(const RecurrentLoop& loop, const Case& c, const Values& expected) {
  const Results results = run(loop, c, c.rows);
  expect_within(results.buffers, expected.buffers, "buffer");
  expect_within(results.states, expected.states, "state");
  for (const int64_t part : {int64_t{1}, int64_t{3}, int64_t{7}})
    if (part < c.rows) {
      EXPECT_TRUE(run(loop, c, part) == results) << "rows in parts of " << part;
    }
  if (c.steps == 1 && c.lengths.empty()) {
    EXPECT_TRUE(run(loop, c, c.rows, true) == results) << "initial states apart";
  }
  for (const int workers : {1, 2, 3, 7})
    if (c.rows <= RecurrentLoop::kMostSharedRows) {
      EXPECT_TRUE(run_shared(loop, c, workers) == results) << workers << " threads";
    }
}

}  // namespace

std::string check(const Case& c) {
  const Values expected = Oracle(c).run();
  std::string description;
  for (const int64_t target : targets()) {
    choose_target(target);
    for (const int64_t rows : {int64_t{1}, c.rows}) {
      LoopSpec spec = c.spec;
      spec.rows = rows;
      const RecurrentLoop loop(spec);
      if (description.empty()) description = loop.describe();
      SCOPED_TRACE(loop.describe());
      check_loop(loop, c, expected);
    }
    if (::testing::Test::HasFailure()) break;
  }
  choose_target(0);
  return description;
}

}  // namespace refrain::highway
