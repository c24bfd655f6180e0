// How the reference executor runs scans.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ir/control.h"
#include "support/compare.h"
#include "support/random.h"
#include "support/run_graph.h"

namespace refrain {
namespace {

using testing::equal;
using ::testing::HasSubstr;
using testing::Random;
using testing::run_error;
using testing::set_outputs;
using testing::verified_run;
using A = AttributeName;

constexpr auto f64 = ElementType::f64;
constexpr auto i64 = ElementType::i64;

Tensor doubles(std::vector<int64_t> extents, std::vector<double> values) {
  return Tensor::of<double>(std::move(extents), values);
}

Tensor ints(std::vector<int64_t> values) { return Tensor::of_ints(values); }

// A leaky sum, h' = h * decay + x, that also stacks h': decay [H] invariant, h [B, H], x [B, H] a
// step.
struct LeakySum {
  int64_t batch = 3, hidden = 5;
  ScanSlot scan_slot, stack_slot;
  bool with_lengths = false, with_trip_count = false;
  int64_t batch_axis = 0;

  Graph build() const {
    Graph graph;
    const Dim t = Dim::symbol("T");
    Shape whole{batch, hidden};
    std::vector<Dim> dims = whole.dims();
    const auto axis = scan_slot.axis < 0 ? scan_slot.axis + 3 : scan_slot.axis;
    dims.insert(dims.begin() + axis, t);
    Value* decay = graph.add_input(ValueType::tensor(f64, {hidden}), "decay");
    Value* h0 = graph.add_input(ValueType::tensor(f64, {batch, hidden}), "h0");
    Value* x = graph.add_input(ValueType::tensor(f64, Shape(dims)), "x");

    auto body = std::make_unique<Region>();
    Value* d = body->add_argument(ValueType::tensor(f64, {hidden}), "d");
    Value* h = body->add_argument(ValueType::tensor(f64, {batch, hidden}), "h");
    Value* xt = body->add_argument(ValueType::tensor(f64, {batch, hidden}), "xt");
    Builder inner(*body);
    Value* next = inner.op(Op::add, {inner.op(Op::mul, {h, d}), xt});
    inner.yield(std::vector<Value*>{next, next});

    ScanSpec spec;
    if (with_lengths)
      spec.lengths = graph.add_input(ValueType::tensor(i64, {Dim::unknown()}), "lengths");
    if (with_trip_count) spec.trip_count = graph.add_input(ValueType::tensor(i64, {}), "trips");
    spec.batch_axis = batch_axis;
    spec.invariants = {decay};
    spec.states = {h0};
    spec.scanned = {x};
    spec.scan_slots = {scan_slot};
    spec.stack_slots = {stack_slot};
    Builder b(graph.body());
    b.set_node_name("sum");
    set_outputs(graph, *b.scan(spec, std::move(body)));
    return graph;
  }
};

// Element offset of (t, b, h) when the time axis is inserted at `axis` of [B, H].
int64_t offset(int64_t axis, int64_t t, int64_t b, int64_t h, int64_t steps, const LeakySum& s) {
  switch ((axis + 3) % 3) {
    case 0:
      return (t * s.batch + b) * s.hidden + h;
    case 1:
      return (b * steps + t) * s.hidden + h;
    default:
      return (b * s.hidden + h) * steps + t;
  }
}

struct Expected {
  Tensor state, stacked;
};

Expected leaky_sum(const LeakySum& s, const Tensor& decay, const Tensor& h0, const Tensor& x,
                   int64_t steps, std::vector<int64_t> lengths = {}) {
  std::vector<int64_t> extents = {s.batch, s.hidden};
  extents.insert(extents.begin() + (s.stack_slot.axis + 3) % 3, steps);
  Expected expected{h0.clone(), Tensor(f64, extents)};
  auto h = expected.state.data<double>();
  for (int64_t b = 0; b < s.batch; ++b) {
    const int64_t length = lengths.empty() ? steps : lengths[static_cast<size_t>(b)];
    for (int64_t step = 0; step < steps; ++step) {
      const int64_t tx = s.scan_slot.reverse ? steps - 1 - step : step;
      const int64_t ty = s.stack_slot.reverse ? steps - 1 - step : step;
      if (tx >= length) continue;
      for (int64_t k = 0; k < s.hidden; ++k) {
        double& state = h[static_cast<size_t>(b * s.hidden + k)];
        const auto from = static_cast<size_t>(offset(s.scan_slot.axis, tx, b, k, steps, s));
        state = state * decay.data<double>()[static_cast<size_t>(k)] + x.data<double>()[from];
        const auto to = static_cast<size_t>(offset(s.stack_slot.axis, ty, b, k, steps, s));
        expected.stacked.data<double>()[to] = state;
      }
    }
  }
  return expected;
}

std::vector<int64_t> scanned_extents(const LeakySum& s, int64_t steps) {
  std::vector<int64_t> extents = {s.batch, s.hidden};
  extents.insert(extents.begin() + (s.scan_slot.axis + 3) % 3, steps);
  return extents;
}

TEST(Scan, AllAxesAndDirections) {
  Random random(7);
  for (int64_t scan_axis : {0, 1, 2, -1, -3}) {
    for (int64_t stack_axis : {0, 1, 2, -2}) {
      for (int directions = 0; directions < 4; ++directions) {
        LeakySum s;
        s.scan_slot = {scan_axis, (directions & 1) != 0};
        s.stack_slot = {stack_axis, (directions & 2) != 0};
        const Graph graph = s.build();
        for (int64_t steps : {1, 2, 7}) {
          const Tensor decay = random.tensor(f64, {s.hidden});
          const Tensor h0 = random.tensor(f64, {s.batch, s.hidden});
          const Tensor x = random.tensor(f64, scanned_extents(s, steps));
          const auto found = verified_run(graph, {decay.clone(), h0.clone(), x.clone()});
          const Expected expected = leaky_sum(s, decay, h0, x, steps);
          EXPECT_TRUE(equal(*found[0].tensor, expected.state)) << scan_axis << " " << stack_axis;
          EXPECT_TRUE(equal(*found[1].tensor, expected.stacked)) << scan_axis << " " << stack_axis;
        }
      }
    }
  }
}

TEST(Scan, LengthsEndEachSequence) {
  Random random(8);
  const int64_t steps = 6;
  for (int64_t axis : {0, 1, 2}) {
    for (bool reverse : {false, true}) {
      for (int64_t batch_axis : {0, -2}) {
        for (const auto& lengths :
             std::vector<std::vector<int64_t>>{{6, 0, 3}, {6, 6, 6}, {0, 0, 0}, {1, 5, 2}}) {
          LeakySum s;
          s.scan_slot = s.stack_slot = {axis, reverse};
          s.with_lengths = true;
          s.batch_axis = batch_axis;
          const Tensor decay = random.tensor(f64, {s.hidden});
          const Tensor h0 = random.tensor(f64, {s.batch, s.hidden});
          const Tensor x = random.tensor(f64, scanned_extents(s, steps));
          const auto found =
              verified_run(s.build(), {decay.clone(), h0.clone(), x.clone(), ints(lengths)});
          const Expected expected = leaky_sum(s, decay, h0, x, steps, lengths);
          EXPECT_TRUE(equal(*found[0].tensor, expected.state));
          EXPECT_TRUE(equal(*found[1].tensor, expected.stacked));
        }
      }
    }
  }
}

TEST(Scan, LengthsAreChecked) {
  LeakySum s;
  s.with_lengths = true;
  const auto failure = [&](Tensor lengths) {
    return run_error(s.build(), {Tensor(f64, {5}), Tensor(f64, {3, 5}), Tensor(f64, {4, 3, 5}),
                                 std::move(lengths)});
  };
  EXPECT_EQ(failure(ints({4, 0, 2})), "no error");
  EXPECT_THAT(
      failure(ints({4, 5, 2})),
      HasSubstr("node \"sum\" (scan): sequence length out of range: expected 0 to 4, found 5"));
  EXPECT_THAT(failure(ints({-1, 0, 2})), HasSubstr("sequence length out of range"));
  EXPECT_THAT(failure(ints({1, 1})), HasSubstr("batch axis of a scan's slot does not fit"));
  s.batch_axis = 2;
  EXPECT_THAT(failure(ints({4, 0, 2})), HasSubstr("axis out of range"));
  s.batch_axis = 1;
  EXPECT_THAT(failure(ints({4, 0, 2})), HasSubstr("expected 3 at axis 1"));
}

TEST(Scan, NoStepsGiveInitialStatesAndEmptyResults) {
  for (int64_t axis : {0, 1, -1}) {
    LeakySum s;
    s.scan_slot = s.stack_slot = {axis, false};
    const Tensor h0 = Random(3).tensor(f64, {3, 5});
    const auto found =
        verified_run(s.build(), {Tensor(f64, {5}), h0.clone(), Tensor(f64, scanned_extents(s, 0))});
    EXPECT_TRUE(equal(*found[0].tensor, h0));
    EXPECT_TRUE(equal(*found[1].tensor, Tensor(f64, scanned_extents(s, 0))));
  }
}

TEST(Scan, EmptyResultsHaveTheExtentsThatSymbolsTell) {
  Graph graph;
  const Dim n = Dim::symbol("N");
  Value* x = graph.add_input(ValueType::tensor(f64, {Dim::symbol("T"), n, 2, Dim::unknown()}), "x");
  auto body = std::make_unique<Region>();
  Value* xt = body->add_argument(ValueType::tensor(f64, {n, 2, Dim::unknown()}), "xt");
  Builder(*body).yield(std::vector<Value*>{xt});
  ScanSpec spec;
  spec.scanned = {x};
  spec.scan_slots = {{}};
  spec.stack_slots = {{1, false}};
  set_outputs(graph, *Builder(graph.body()).scan(spec, std::move(body)));
  EXPECT_TRUE(equal(*verified_run(graph, {Tensor(f64, {0, 7, 2, 9})})[0].tensor,
                    Tensor(f64, {7, 0, 2, 0})));
  EXPECT_TRUE(equal(*verified_run(graph, {Tensor(f64, {4, 7, 2, 9})})[0].tensor,
                    Tensor(f64, {7, 4, 2, 9})));
}

TEST(Scan, TripCountMustAgree) {
  LeakySum s;
  s.with_trip_count = true;
  const auto failure = [&](int64_t trips) {
    return run_error(s.build(), {Tensor(f64, {5}), Tensor(f64, {3, 5}), Tensor(f64, {4, 3, 5}),
                                 Tensor::scalar(trips)});
  };
  EXPECT_EQ(failure(4), "no error");
  EXPECT_THAT(failure(3),
              HasSubstr("wrong length of a scan's scanned operand: expected 3, found 4"));
  EXPECT_THAT(failure(-1), HasSubstr("negative trip count"));
}

// Doubles a scalar, for as many steps as the trip count says.
Graph doubling_scan() {
  Graph graph;
  Value* trips = graph.add_input(ValueType::tensor(i64, {}), "trips");
  Value* x = graph.add_input(ValueType::tensor(f64, {}), "x");
  auto body = std::make_unique<Region>();
  Value* h = body->add_argument(ValueType::tensor(f64, {}), "h");
  Builder inner(*body);
  Value* next = inner.op(Op::add, {h, h});
  inner.yield(std::vector<Value*>{next, h});
  ScanSpec spec;
  spec.trip_count = trips;
  spec.states = {x};
  spec.stack_slots = {{0, true}};
  set_outputs(graph, *Builder(graph.body()).scan(spec, std::move(body)));
  return graph;
}

TEST(Scan, TripCountAlone) {
  const auto found =
      verified_run(doubling_scan(), {Tensor::scalar<int64_t>(4), Tensor::scalar(3.0)});
  EXPECT_TRUE(equal(*found[0].tensor, Tensor::scalar(48.0)));
  EXPECT_TRUE(equal(*found[1].tensor, doubles({4}, {24, 12, 6, 3})));
}

TEST(Scan, TripCountAloneIsLimited) {
  EXPECT_THAT(run_error(doubling_scan(), {Tensor::scalar(int64_t{1} << 62), Tensor::scalar(3.0)}),
              HasSubstr("--max-iterations"));
}

TEST(Scan, StepsOverEmptySlicesAreLimited) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(f64, {Dim::symbol("T"), 0}), "x");
  auto body = std::make_unique<Region>();
  Value* xt = body->add_argument(ValueType::tensor(f64, {0}), "xt");
  Builder(*body).yield(std::vector<Value*>{xt});
  ScanSpec spec;
  spec.scanned = {x};
  spec.scan_slots = {{}};
  spec.stack_slots = {{}};
  set_outputs(graph, *Builder(graph.body()).scan(spec, std::move(body)));
  EXPECT_THAT(run_error(graph, {Tensor(f64, {int64_t{1} << 60, 0})}),
              HasSubstr("too many iterations"));
}

TEST(Scan, TwoScannedOperandsMustAgree) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(f64, {Dim::unknown()}), "x");
  Value* y = graph.add_input(ValueType::tensor(f64, {Dim::unknown()}), "y");
  auto body = std::make_unique<Region>();
  Value* a = body->add_argument(ValueType::tensor(f64, {}), "a");
  Value* c = body->add_argument(ValueType::tensor(f64, {}), "c");
  Builder inner(*body);
  inner.yield(std::vector<Value*>{inner.op(Op::sub, {a, c})});
  ScanSpec spec;
  spec.scanned = {x, y};
  spec.scan_slots = {{0, false}, {0, true}};
  spec.stack_slots = {{}};
  set_outputs(graph, *Builder(graph.body()).scan(spec, std::move(body)));
  const auto found = verified_run(graph, {doubles({3}, {1, 2, 3}), doubles({3}, {10, 20, 30})});
  EXPECT_TRUE(equal(*found[0].tensor, doubles({3}, {-29, -18, -7})));
  EXPECT_THAT(run_error(graph, {Tensor(f64, {3}), Tensor(f64, {4})}),
              HasSubstr("expected 3, found 4"));
}

TEST(Scan, StatesMayGrowWithoutLengths) {
  Graph graph;
  Value* trips = graph.add_input(ValueType::tensor(i64, {}), "trips");
  Value* x = graph.add_input(ValueType::tensor(f64, {Dim::unknown()}), "x");
  auto body = std::make_unique<Region>();
  Value* h = body->add_argument(ValueType::tensor(f64, {Dim::unknown()}), "h");
  Builder inner(*body);
  inner.yield(std::vector<Value*>{inner.op(Op::concat, {h, h}, {{A::axis, int64_t{0}}})});
  ScanSpec spec;
  spec.trip_count = trips;
  spec.states = {x};
  set_outputs(graph, *Builder(graph.body()).scan(spec, std::move(body)));
  const auto found = verified_run(graph, {Tensor::scalar<int64_t>(2), doubles({1}, {5})});
  EXPECT_TRUE(equal(*found[0].tensor, doubles({4}, {5, 5, 5, 5})));
  // Doubling 60 times: the budget, not the machine, ends it.
  EXPECT_THAT(
      run_error(graph, {Tensor::scalar<int64_t>(60), doubles({1}, {5})}, {.max_bytes = 1 << 20}),
      HasSubstr("out of memory"));
}

TEST(Scan, SwapsStatesAndTakesInvariantsAsResults) {
  Graph graph;
  Value* trips = graph.add_input(ValueType::tensor(i64, {}), "trips");
  Value* p = graph.add_input(ValueType::tensor(f64, {}), "p");
  Value* q = graph.add_input(ValueType::tensor(f64, {}), "q");
  auto body = std::make_unique<Region>();
  Value* k = body->add_argument(ValueType::tensor(f64, {}), "k");
  Value* a = body->add_argument(ValueType::tensor(f64, {}), "a");
  Value* c = body->add_argument(ValueType::tensor(f64, {}), "c");
  Builder(*body).yield(std::vector<Value*>{c, a, k, a});
  ScanSpec spec;
  spec.trip_count = trips;
  spec.invariants = {p};
  spec.states = {p, q};
  spec.stack_slots = {{}, {}};
  set_outputs(graph, *Builder(graph.body()).scan(spec, std::move(body)));
  const auto found =
      verified_run(graph, {Tensor::scalar<int64_t>(3), Tensor::scalar(1.0), Tensor::scalar(2.0)});
  EXPECT_TRUE(equal(*found[0].tensor, Tensor::scalar(2.0)));
  EXPECT_TRUE(equal(*found[1].tensor, Tensor::scalar(1.0)));
  EXPECT_TRUE(equal(*found[2].tensor, doubles({3}, {1, 1, 1})));
  EXPECT_TRUE(equal(*found[3].tensor, doubles({3}, {1, 2, 1})));
}

TEST(Scan, NestedScansRun) {
  // Sums every row of a matrix: the outer scan over rows, the inner over their elements.
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(f64, {Dim::symbol("M"), Dim::symbol("N")}), "x");
  auto row_body = std::make_unique<Region>();
  Value* h = row_body->add_argument(ValueType::tensor(f64, {}), "h");
  Value* element = row_body->add_argument(ValueType::tensor(f64, {}), "e");
  Builder row(*row_body);
  row.yield(std::vector<Value*>{row.op(Op::add, {h, element})});

  auto body = std::make_unique<Region>();
  Value* line = body->add_argument(ValueType::tensor(f64, {Dim::symbol("N")}), "line");
  Builder inner(*body);
  ScanSpec inner_spec;
  inner_spec.states = {inner.scalar(0.0)};
  inner_spec.scanned = {line};
  inner_spec.scan_slots = {{}};
  inner.yield(std::vector<Value*>{inner.scan(inner_spec, std::move(row_body))->result()});

  ScanSpec spec;
  spec.scanned = {x};
  spec.scan_slots = {{}};
  spec.stack_slots = {{}};
  set_outputs(graph, *Builder(graph.body()).scan(spec, std::move(body)));
  const auto found = verified_run(graph, {doubles({3, 2}, {1, 2, 3, 4, 5, 6})});
  EXPECT_TRUE(equal(*found[0].tensor, doubles({3}, {3, 7, 11})));
}

}  // namespace
}  // namespace refrain
