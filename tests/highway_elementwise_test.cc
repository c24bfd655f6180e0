// Element-wise loops against a float64 oracle, on every SIMD target that this machine runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <new>
#include <string>
#include <vector>

#include "backends/highway/elementwise_loop.h"
#include "ir/error.h"
#include "support/bounded.h"
#include "support/random.h"

namespace refrain::highway {
namespace {

using testing::Bounded;
using testing::choose_target;
using testing::evaluate;
using testing::exact;
using testing::expect_within;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Random;
using testing::sum_of;
using testing::targets;
using enum Operation;

using Spec = ElementwiseLoopSpec;

struct Case {
  Spec spec;
  std::vector<std::vector<float>> buffers;
  int64_t steps = 1;
  std::vector<int64_t> lengths;
  bool backward = false;

  int64_t outer_count() const {
    int64_t count = 1;
    for (const int64_t extent : spec.outer) count *= extent;
    return count;
  }
};

// One place of the space but for its row.
struct At {
  std::vector<int64_t> outer;
  int64_t lane = 0;

  size_t index(const SpacePlace& place, int64_t time, int64_t row) const {
    int64_t index =
        place.offset + time * place.time_stride + row * place.row_stride + lane * place.lane_stride;
    for (size_t i = 0; i < outer.size(); ++i) index += outer[i] * place.outer_strides[i];
    return static_cast<size_t>(index);
  }
};

class Oracle {
 public:
  explicit Oracle(const Case& c) : case_(c), buffers_(exact(c.buffers)) {}

  std::vector<std::vector<Bounded>> run() {
    for (int64_t o = 0; o < case_.outer_count(); ++o) {
      At at;
      int64_t rest = o;
      for (size_t i = case_.spec.outer.size(); i-- > 0;) {
        at.outer.insert(at.outer.begin(), rest % case_.spec.outer[i]);
        rest /= case_.spec.outer[i];
      }
      for (at.lane = 0; at.lane < case_.spec.lanes; ++at.lane) run(at);
    }
    return buffers_;
  }

 private:
  void run(const At& at) {
    const Spec& spec = case_.spec;
    const size_t first_state = spec.inputs.size(), rows = static_cast<size_t>(spec.rows);
    int64_t length = case_.steps;
    if (spec.lengths_axis >= 0 && !case_.lengths.empty()) {
      const int64_t sequence = at.outer[static_cast<size_t>(spec.lengths_axis)];
      length = case_.lengths[static_cast<size_t>(sequence)];
    }
    std::vector<std::vector<Bounded>> registers(rows, std::vector<Bounded>(kMaxRegisters));
    for (size_t s = 0; s < spec.states.size(); ++s) {
      const SpacePlace& place = spec.states[s].initial;
      for (size_t r = 0; r < rows; ++r)
        registers[r][first_state + s] = buffers_[place.buffer].at(at.index(place, 0, row(r)));
    }
    for (int64_t step = 0; step < length; ++step) {
      const int64_t t = case_.backward ? length - 1 - step : step;
      for (size_t r = 0; r < rows; ++r) {
        for (size_t i = 0; i < first_state; ++i) {
          const SpacePlace& place = spec.inputs[i];
          registers[r][i] = buffers_[place.buffer].at(at.index(place, t, row(r)));
        }
      }
      for (const Spec::Code& code : spec.code) {
        Bounded sum;
        for (size_t r = 0; r < rows; ++r) {
          if (code.sums_rows) sum = sum_of(sum, registers[r][code.instruction.operands[0]]);
        }
        for (size_t r = 0; r < rows; ++r) {
          registers[r][code.instruction.result] =
              code.sums_rows ? sum : evaluate(code.instruction, registers[r]);
        }
      }
      for (const Spec::Output& output : spec.outputs) {
        for (size_t r = 0; r < rows; ++r)
          buffers_[output.place.buffer].at(at.index(output.place, t, row(r))) =
              registers[r][output.value];
      }
      for (size_t r = 0; r < rows; ++r) {
        std::vector<Bounded> next;
        for (const Spec::State& state : spec.states) next.push_back(registers[r][state.next]);
        std::copy(next.begin(), next.end(),
                  registers[r].begin() + static_cast<std::ptrdiff_t>(first_state));
      }
    }
    for (int64_t t = length; t < case_.steps; ++t) {
      for (const Spec::Output& output : spec.outputs) {
        for (size_t r = 0; r < rows; ++r)
          buffers_[output.place.buffer].at(at.index(output.place, t, row(r))) = {};
      }
    }
    for (size_t s = 0; s < spec.states.size(); ++s) {
      const SpacePlace& place = spec.states[s].final;
      for (size_t r = 0; r < rows; ++r)
        buffers_[place.buffer].at(at.index(place, 0, row(r))) = registers[r][first_state + s];
    }
  }

  static int64_t row(size_t r) { return static_cast<int64_t>(r); }

  const Case& case_;
  std::vector<std::vector<Bounded>> buffers_;
};

class Scratch {
 public:
  explicit Scratch(int64_t bytes)
      : memory_(static_cast<float*>(
            ::operator new(static_cast<size_t>(bytes) + 64, std::align_val_t(64)))) {
    // What a tile reads without having written it would show.
    std::fill_n(memory_, bytes / 4, NAN);
  }
  ~Scratch() { ::operator delete(memory_, std::align_val_t(64)); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  float* data() const { return memory_; }

 private:
  float* memory_;
};

// Tiles in parts of `part`, steps in parts of `steps` (without lengths, forward only).
std::vector<std::vector<float>> run(const ElementwiseLoop& loop, const Case& c, int64_t part,
                                    int64_t steps) {
  std::vector<std::vector<float>> results = c.buffers;
  for (int64_t tile = 0; tile < loop.tiles(); tile += part) {
    const Scratch scratch(loop.scratch_bytes());
    for (int64_t begin = 0; begin < c.steps; begin += steps) {
      std::vector<float*> buffers;
      for (std::vector<float>& buffer : results) buffers.push_back(buffer.data());
      const auto move = [&](const SpacePlace& place) {
        buffers[place.buffer] = results[place.buffer].data() + begin * place.time_stride;
      };
      for (const SpacePlace& input : c.spec.inputs) move(input);
      for (const Spec::Output& output : c.spec.outputs) move(output.place);
      loop.run({.buffers = buffers.data(),
                .steps = std::min(steps, c.steps - begin),
                .tile_begin = tile,
                .tile_end = std::min(tile + part, loop.tiles()),
                .continued = begin > 0,
                .lengths = c.lengths.empty() ? nullptr : c.lengths.data(),
                .backward = c.backward,
                .scratch = scratch.data()});
    }
  }
  return results;
}

bool identical(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  return a == b;
}

// On each target: right, and the same bits for any split of the tiles and of the steps. Returns the
// description of the loop on the best target.
std::string check(const Case& c) {
  const std::vector<std::vector<Bounded>> expected = Oracle(c).run();
  std::string description;
  for (const int64_t target : targets()) {
    choose_target(target);
    const ElementwiseLoop loop(c.spec);
    if (description.empty()) description = loop.describe();
    SCOPED_TRACE(loop.describe());
    const std::vector<std::vector<float>> results = run(loop, c, loop.tiles(), c.steps);
    expect_within(results, expected, "buffer");
    if (loop.tiles() > 1) {
      EXPECT_TRUE(identical(run(loop, c, 1, c.steps), results)) << "tile by tile";
    }
    if (c.steps > 1 && c.lengths.empty() && !c.backward) {
      EXPECT_TRUE(identical(run(loop, c, loop.tiles(), (c.steps + 2) / 3), results)) << "parts";
    }
    if (::testing::Test::HasFailure()) break;
  }
  choose_target(0);
  return description;
}

struct Sizes {
  std::vector<int64_t> outer;
  int64_t rows, lanes, steps;
};

class Maker {
 public:
  Maker(const Sizes& sizes, uint64_t seed) : random_(seed) {
    case_.spec.outer = sizes.outer;
    case_.spec.rows = sizes.rows;
    case_.spec.lanes = sizes.lanes;
    case_.steps = sizes.steps;
  }

  bool coin() { return random_.integer(0, 1) == 1; }
  int64_t below(int64_t n) { return random_.integer(0, n - 1); }
  size_t pick(size_t n) { return static_cast<size_t>(below(static_cast<int64_t>(n))); }

  // A buffer of its own for a tensor that varies with these, its axes in any order, with room.
  SpacePlace place(bool time, bool outer, bool rows, bool lanes, bool lanes_last) {
    const Spec& spec = case_.spec;
    SpacePlace place;
    place.outer_strides.resize(spec.outer.size());
    struct Axis {
      int64_t extent;
      int64_t* stride;
    };
    std::vector<Axis> axes;
    if (time) axes.push_back({case_.steps, &place.time_stride});
    for (size_t i = 0; i < spec.outer.size() && outer; ++i)
      axes.push_back({spec.outer[i], &place.outer_strides[i]});
    if (rows) axes.push_back({spec.rows, &place.row_stride});
    if (lanes) axes.push_back({spec.lanes, &place.lane_stride});
    if (!lanes_last) {
      for (size_t i = axes.size(); i-- > 1;) std::swap(axes[i], axes[pick(i + 1)]);
    }
    int64_t size = 1;
    for (size_t i = axes.size(); i-- > 0;) {
      *axes[i].stride = size;
      size = size * axes[i].extent + (i + 1 < axes.size() ? below(3) : 0);
    }
    place.offset = below(3);
    place.buffer = case_.buffers.size();
    std::vector<float>& buffer = case_.buffers.emplace_back();
    for (int64_t i = 0; i < place.offset + size; ++i)
      buffer.push_back(static_cast<float>(random_.uniform(-1, 1)));
    return place;
  }

  size_t input(bool time, bool outer, bool rows, bool lanes, bool lanes_last = false) {
    case_.spec.inputs.push_back(place(time, outer, rows, lanes, lanes_last));
    rows_.push_back(rows);
    return case_.spec.inputs.size() - 1;
  }
  size_t state(bool rows = true, bool lanes_last = false) {
    Spec::State& state = case_.spec.states.emplace_back();
    state.initial = place(false, true, rows, true, lanes_last);
    state.final = place(false, true, rows, true, lanes_last);
    rows_.push_back(rows);
    return case_.spec.inputs.size() + case_.spec.states.size() - 1;
  }
  size_t op(Operation operation, size_t a = 0, size_t b = 0, size_t c = 0, float alpha = 0) {
    const size_t operands[3] = {a, b, c};
    bool rows = false;
    for (size_t i = 0; i < operand_count(operation); ++i) rows = rows || rows_[operands[i]];
    return add({{operation, 0, {uint8_t(a), uint8_t(b), uint8_t(c)}, alpha, 0}, false}, rows);
  }
  size_t sum(size_t a) {
    return add({{copy_of_nothing, 0, {uint8_t(a), 0, 0}, 0, 0}, true}, false);
  }
  void next(size_t state, size_t value) {
    case_.spec.states[state - case_.spec.inputs.size()].next = value;
  }
  void output(size_t value, bool lanes_last = false) {
    const bool rows = rows_[value] || below(4) == 0;
    case_.spec.outputs.push_back({value, place(true, true, rows, true, lanes_last)});
  }
  bool varies_with_rows(size_t value) const { return rows_[value]; }
  size_t registers() const { return rows_.size(); }
  Case& result() { return case_; }

 private:
  static constexpr Operation copy_of_nothing = Operation::neg;

  size_t add(Spec::Code code, bool rows) {
    code.instruction.result = static_cast<uint8_t>(rows_.size());
    case_.spec.code.push_back(code);
    rows_.push_back(rows);
    return rows_.size() - 1;
  }

  Random random_;
  Case case_;
  std::vector<bool> rows_;
};

// Around the lanes of every target and the chunks of steps; some with rows, some with outer axes.
std::vector<Sizes> sizes() {
  return {{{}, 1, 1, 1},      {{}, 1, 3, 5},       {{}, 1, 16, 70},   {{2}, 1, 17, 9},
          {{}, 3, 4, 2},      {{}, 16, 16, 20},    {{2, 3}, 5, 7, 4}, {{}, 2, 33, 130},
          {{}, 40, 15, 3},    {{3}, 1, 64, 7},     {{}, 100, 1, 3},   {{}, 7, 600, 3},
          {{2}, 16, 31, 11},  {{}, 1, 1100, 2},    {{2}, 64, 64, 5},  {{}, 300, 5, 2},
          {{1, 2}, 4, 8, 67}, {{1, 1, 2}, 3, 5, 3}};
}

// h = exp(-|delta| * |A|) * h + (delta * x) * B, y = sum of C * h + x
Case selective(const Sizes& sizes, uint64_t seed) {
  Maker m(sizes, seed);
  const size_t delta = m.input(true, true, false, true), a = m.input(false, false, true, true),
               x = m.input(true, true, false, true, true), b = m.input(true, true, true, false),
               c = m.input(true, m.coin(), true, false);
  const size_t h = m.state();
  const size_t decay = m.op(exp, m.op(neg, m.op(mul, m.op(abs, delta), m.op(abs, a))));
  const size_t added = m.op(mul, m.op(mul, delta, x), b);
  const size_t next = m.op(add, m.op(mul, decay, h), added);
  m.next(h, next);
  m.output(m.op(add, m.sum(m.op(mul, c, next)), x));
  m.output(m.sum(next));
  return m.result();
}

TEST(ElementwiseLoop, SelectiveStateSpace) {
  uint64_t seed = 1;
  for (const Sizes& s : sizes()) {
    EXPECT_THAT(check(selective(s, ++seed)), Not(HasSubstr("step by step")));
    if (HasFailure()) return;
  }
}

// With a decay as it is given or its exponential, with a sum or without, where nothing else reads
// the state, or the output does, or the decay depends on the state, or the weights of the sum do.
TEST(ElementwiseLoop, DecayingSums) {
  uint64_t seed = 1;
  for (const Sizes& s : sizes()) {
    for (int form = static_cast<int>(seed % 7); form < 128; form += 7) {
      const bool exponential = form & 1, summed = form & 2, output = form & 4, before = form & 8;
      const bool own_decay = form & 16, own_weights = form & 32, three = form & 64;
      Maker m(s, ++seed);
      const size_t a = m.input(true, true, m.coin(), true, true),
                   b = m.input(false, true, true, m.coin()), u = m.input(true, true, false, true),
                   w = m.input(true, m.coin(), true, false),
                   c = m.input(true, true, true, m.coin());
      const size_t h = m.state();
      size_t decay = m.op(sigmoid, a);
      if (exponential) decay = m.op(exp, m.op(mul, m.op(neg, m.op(abs, a)), m.op(abs, b)));
      if (own_decay) decay = m.op(mul, decay, m.op(sigmoid, h));
      const size_t next =
          m.op(add, m.op(mul, decay, h), three ? m.op(mul, m.op(mul, w, a), u) : m.op(mul, u, w));
      m.next(h, next);
      if (summed) m.output(m.sum(m.op(mul, own_weights ? m.op(tanh, next) : c, next)));
      if (output) m.output(next);
      if (before) m.output(h);
      const std::string loop = check(m.result());
      if (!own_decay && s.rows > 1 && (exponential || (summed && !own_weights))) {
        EXPECT_THAT(loop, HasSubstr("1 of them decaying sums"));
      }
      if (HasFailure()) {
        ADD_FAILURE() << "form " << form;
        return;
      }
    }
  }
}

// The known recurrences, with each function that they know.
TEST(ElementwiseLoop, KnownRecurrences) {
  uint64_t seed = 1;
  for (const Sizes& s : sizes()) {
    for (const Operation function : {Operation::constant, relu, tanh}) {
      Maker m(s, ++seed);
      const size_t a = m.input(true, true, false, true, true), b = m.input(true, true, true, true),
                   c = m.input(false, false, m.coin(), m.coin());
      const size_t h1 = m.state(), h2 = m.state(), h3 = m.state(), h4 = m.state();
      const size_t decay = m.op(sigmoid, a);
      size_t next[] = {m.op(add, h1, a), m.op(add, m.op(mul, decay, h2), b),
                       m.op(add, h3, m.op(mul, b, c)),
                       m.op(add, m.op(mul, b, c), m.op(mul, h4, decay))};
      for (size_t& value : next) {
        if (function != Operation::constant) value = m.op(function, value);
      }
      const size_t states[] = {h1, h2, h3, h4};
      for (size_t i = 0; i < 4; ++i) {
        m.next(states[i], next[i]);
        m.output(next[i], m.coin());
      }
      EXPECT_THAT(check(m.result()), Not(HasSubstr("step by step")));
      if (HasFailure()) return;
    }
  }
}

// Any code: states that wait for others' or for themselves by way of several operations and sums,
// or are inputs, constants or each other's; values that vary with no row.
TEST(ElementwiseLoop, RandomCode) {
  uint64_t seed = 100;
  for (int repeat = 0; repeat < 12; ++repeat) {
    for (const Sizes& s : sizes()) {
      Maker m(s, ++seed);
      for (int64_t i = m.below(5); i-- >= 0;)
        m.input(m.below(4) > 0, m.coin(), m.coin(), m.coin(), m.coin());
      std::vector<size_t> states;
      for (int64_t i = 1 + m.below(3); i-- > 0;) states.push_back(m.state(m.below(4) > 0));
      const Operation operations[] = {
          Operation::constant, neg,  abs, tanh, sigmoid, relu, add, sub, mul, mul, add, max,
          multiply_add,        tanh, exp};
      for (int64_t i = 1 + m.below(12); i-- > 0;) {
        const size_t n = m.registers(), a = m.pick(n), b = m.pick(n), c = m.pick(n);
        const Operation operation = operations[m.pick(std::size(operations))];
        if (operation == exp) {
          m.op(exp, m.op(neg, m.op(abs, a)));
        } else if (operation == max && m.coin()) {
          m.op(tanh, m.sum(m.varies_with_rows(a) ? a : m.op(mul, a, b)));
        } else {
          m.op(operation, a, b, c, 0.4F);
        }
      }
      const size_t registers = m.registers();
      for (const size_t state : states) {
        const auto fits = [&](size_t value) {
          return !m.varies_with_rows(value) || m.varies_with_rows(state);
        };
        size_t value = m.pick(registers);
        while (!fits(value)) value = m.pick(registers);
        // Results of the code would grow without bounds.
        const bool bounded = value <= states.back();
        m.next(state, bounded && m.coin() ? value : m.op(tanh, value));
      }
      for (int64_t i = m.below(3); i-- >= 0;) m.output(m.pick(registers));
      check(m.result());
      if (HasFailure()) {
        ADD_FAILURE() << "seed " << seed;
        return;
      }
    }
  }
}

TEST(ElementwiseLoop, BackwardAndLengths) {
  uint64_t seed = 1;
  for (const Sizes& s : sizes()) {
    for (const bool backward : {false, true}) {
      Case c = selective(s, ++seed);
      c.backward = backward;
      check(c);
      if (s.outer.empty()) continue;
      c.spec.lengths_axis = static_cast<int>(s.outer.size()) - 1;
      Random random(seed);
      for (int64_t i = 0; i < s.outer.back(); ++i) c.lengths.push_back(random.integer(0, s.steps));
      check(c);
      if (HasFailure()) return;
    }
  }
}

TEST(ElementwiseLoop, RefusesWhatIsNotConsistent) {
  const Case good = selective({{2}, 3, 5, 4}, 1);
  const auto expect_refused = [&](auto change) {
    Spec spec = good.spec;
    change(spec);
    EXPECT_THROW(ElementwiseLoop{spec}, Error);
  };
  EXPECT_NO_THROW(ElementwiseLoop{good.spec});
  expect_refused([](Spec& s) { s.rows = 0; });
  expect_refused([](Spec& s) { s.outer = {2, -1}; });
  expect_refused([](Spec& s) { s.inputs[0].outer_strides.clear(); });
  expect_refused([](Spec& s) { s.states[0].next = 100; });
  expect_refused([](Spec& s) { s.states[0].final.lane_stride = 0; });
  expect_refused([](Spec& s) { s.states[0].final.row_stride = 0; });
  expect_refused([](Spec& s) { s.states[0].final.outer_strides = {0}; });
  expect_refused([](Spec& s) { s.outputs[0].value = 200; });
  expect_refused([](Spec& s) { s.code[0].instruction.operands[0] = 60; });
  expect_refused([](Spec& s) { s.code[1].instruction.result = 60; });
  expect_refused([](Spec& s) { s.lengths_axis = 1; });
  expect_refused([](Spec& s) { s.rows = int64_t{1} << 30; });
}

}  // namespace
}  // namespace refrain::highway
