// How the reference executor runs loops and branches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "ir/builder.h"
#include "ir/control.h"
#include "support/compare.h"
#include "support/run_graph.h"

namespace refrain {
namespace {

using testing::equal;
using ::testing::HasSubstr;
using testing::run_error;
using testing::set_outputs;
using testing::verified_run;
using A = AttributeName;

constexpr auto f64 = ElementType::f64;
constexpr auto i64 = ElementType::i64;
constexpr auto boolean = ElementType::boolean;

Tensor doubles(std::vector<int64_t> extents, std::vector<double> values) {
  return Tensor::of<double>(std::move(extents), values);
}

Tensor ints(std::vector<int64_t> values) { return Tensor::of_ints(values); }

std::vector<std::unique_ptr<Region>> regions(std::unique_ptr<Region> first,
                                             std::unique_ptr<Region> second = nullptr) {
  std::vector<std::unique_ptr<Region>> list;
  list.push_back(std::move(first));
  if (second) list.push_back(std::move(second));
  return list;
}

// h' = h + step while iteration < trips and h' < bound; stacks h'.
struct CountingLoop {
  enum class Condition { bound, constant, state, invariant };
  Condition condition = Condition::bound;

  Graph build() const {
    Graph graph;
    Value* trips = graph.add_input(ValueType::tensor(i64, {}), "trips");
    Value* going = graph.add_input(ValueType::tensor(boolean, {}), "going");
    Value* bound = graph.add_input(ValueType::tensor(f64, {}), "bound");
    Value* x = graph.add_input(ValueType::tensor(f64, {}), "x");
    auto body = std::make_unique<Region>();
    body->add_argument(ValueType::tensor(i64, {}), "i");
    Value* limit = body->add_argument(ValueType::tensor(f64, {}), "limit");
    Value* keep = body->add_argument(ValueType::tensor(boolean, {}), "keep");
    Value* h = body->add_argument(ValueType::tensor(f64, {}), "h");
    Value* flag = body->add_argument(ValueType::tensor(boolean, {}), "flag");
    Builder inner(*body);
    Value* next = inner.op(Op::add, {h, inner.scalar(1.0)});
    Value* go = nullptr;
    switch (condition) {
      case Condition::bound:
        go = inner.op(Op::less, {next, limit});
        break;
      case Condition::constant:
        go = inner.scalar(true);
        break;
      case Condition::state:
        go = flag;
        break;
      case Condition::invariant:
        go = keep;
        break;
    }
    inner.yield(std::vector<Value*>{go, next, flag, next});
    Builder b(graph.body());
    b.set_node_name("count");
    set_outputs(graph,
                *b.create(Op::loop, std::vector<Value*>{trips, going, bound, going, x, going},
                          {{A::invariants, int64_t{2}}, {A::states, int64_t{2}}}, 3,
                          regions(std::move(body))));
    return graph;
  }

  std::vector<RuntimeValue> inputs(int64_t trips, double bound, bool going = true) const {
    return {Tensor::scalar(trips), Tensor::scalar(going), Tensor::scalar(bound),
            Tensor::scalar(0.0)};
  }
};

TEST(Loop, EndsByTripCountOrCondition) {
  for (const auto& [trips, bound, expected] : std::vector<std::tuple<int64_t, double, int64_t>>{
           {5, 1e9, 5}, {100, 7, 7}, {1, 0, 1}, {INT64_MAX, 33, 33}}) {
    const auto found = verified_run(CountingLoop().build(), CountingLoop().inputs(trips, bound));
    EXPECT_TRUE(equal(*found[0].tensor, Tensor::scalar(static_cast<double>(expected))));
    Tensor stacked(f64, {expected});
    for (int64_t i = 0; i < expected; ++i) {
      stacked.data<double>()[static_cast<size_t>(i)] = static_cast<double>(i + 1);
    }
    EXPECT_TRUE(equal(*found[2].tensor, stacked));
  }
}

TEST(Loop, NoIterations) {
  for (const auto& [trips, going] : std::vector<std::pair<int64_t, bool>>{
           {0, true}, {-3, true}, {5, false}, {INT64_MIN, true}}) {
    const auto found = verified_run(CountingLoop().build(), CountingLoop().inputs(trips, 9, going));
    EXPECT_TRUE(equal(*found[0].tensor, Tensor::scalar(0.0)));
    EXPECT_TRUE(equal(*found[2].tensor, Tensor(f64, {0})));
  }
}

TEST(Loop, LimitIsKnownBeforeRunning) {
  using Condition = CountingLoop::Condition;
  for (Condition condition : {Condition::constant, Condition::state, Condition::invariant}) {
    const CountingLoop loop{condition};
    EXPECT_EQ(run_error(loop.build(), loop.inputs(10, 0), {.max_iterations = 10}), "no error");
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_THAT(run_error(loop.build(), loop.inputs(int64_t{1} << 62, 0),
                          {.max_iterations = int64_t{1} << 61}),
                HasSubstr("node \"count\" (loop): too many iterations: expected at most "
                          "2305843009213693952 (see --max-iterations), found a trip count of "
                          "4611686018427387904"));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
    // A condition that is false to begin with ends all of them at once.
    EXPECT_EQ(run_error(loop.build(), loop.inputs(int64_t{1} << 62, 0, false)), "no error");
  }
}

TEST(Loop, EndlessLoopsEnd) {
  const CountingLoop loop;
  EXPECT_EQ(run_error(loop.build(), loop.inputs(INT64_MAX, 1000), {.max_iterations = 1000}),
            "no error");
  EXPECT_THAT(run_error(loop.build(), loop.inputs(INT64_MAX, 1001), {.max_iterations = 1000}),
              HasSubstr("too many iterations: expected at most 1000 (see --max-iterations)"));
}

TEST(Loop, IterationNumberAndStackedRows) {
  Graph graph;
  Value* trips = graph.add_input(ValueType::tensor(i64, {}), "trips");
  auto body = std::make_unique<Region>();
  Value* i = body->add_argument(ValueType::tensor(i64, {}), "i");
  Builder inner(*body);
  Value* row = inner.op(Op::mul, {i, inner.ints({1, 10, 100})});
  inner.yield(std::vector<Value*>{inner.op(Op::less, {i, inner.scalar<int64_t>(1000)}), row});
  Builder b(graph.body());
  set_outputs(graph, *b.create(Op::loop, std::vector<Value*>{trips, b.scalar(true)}, {}, 1,
                               regions(std::move(body))));
  const auto found = verified_run(graph, {Tensor::scalar<int64_t>(4)});
  const std::vector<int64_t> expected = {0, 0, 0, 1, 10, 100, 2, 20, 200, 3, 30, 300};
  EXPECT_TRUE(equal(*found[0].tensor, Tensor::of<int64_t>({4, 3}, expected)));
  EXPECT_TRUE(
      equal(*verified_run(graph, {Tensor::scalar<int64_t>(0)})[0].tensor, Tensor(i64, {0, 3})));
}

// Stacks a state that grows if `grow`, otherwise one of fixed size.
Graph stacking_loop(bool grow) {
  Graph graph;
  Value* trips = graph.add_input(ValueType::tensor(i64, {}), "trips");
  Value* x = graph.add_input(ValueType::tensor(f64, {Dim::unknown()}), "x");
  auto body = std::make_unique<Region>();
  body->add_argument(ValueType::tensor(i64, {}), "i");
  Value* h = body->add_argument(ValueType::tensor(f64, {Dim::unknown()}), "h");
  Builder inner(*body);
  Value* next =
      grow ? inner.op(Op::concat, {h, h}, {{A::axis, int64_t{0}}}) : inner.op(Op::neg, {h});
  inner.yield(std::vector<Value*>{inner.scalar(true), next, next});
  Builder b(graph.body());
  set_outputs(graph, *b.create(Op::loop, std::vector<Value*>{trips, b.scalar(true), x},
                               {{A::states, int64_t{1}}}, 2, regions(std::move(body))));
  return graph;
}

TEST(Loop, SlicesMustBeOfOneShape) {
  EXPECT_THAT(run_error(stacking_loop(true), {Tensor::scalar<int64_t>(2), Tensor(f64, {3})}),
              HasSubstr("slices to stack differ in shape: expected [6], found [12]"));
  EXPECT_EQ(run_error(stacking_loop(true), {Tensor::scalar<int64_t>(1), Tensor(f64, {3})}),
            "no error");
}

TEST(Loop, StackedSlicesCountTowardTheBudget) {
  const auto failure = [](int64_t trips) {
    return run_error(stacking_loop(false), {Tensor::scalar(trips), Tensor(f64, {1000})},
                     {.max_bytes = 102 * 8000});
  };
  EXPECT_EQ(failure(100), "no error");
  EXPECT_THAT(failure(103), HasSubstr("out of memory"));
}

TEST(Loop, AppendsToASequenceInLinearTime) {
  Graph graph;
  Value* trips = graph.add_input(ValueType::tensor(i64, {}), "trips");
  auto body = std::make_unique<Region>();
  Value* i = body->add_argument(ValueType::tensor(i64, {}), "i");
  Value* s = body->add_argument(ValueType::sequence(i64, Shape::unranked()), "s");
  Builder inner(*body);
  Value* next = inner.op(Op::sequence_insert, {s, i});
  inner.yield(std::vector<Value*>{inner.scalar(true), next});
  Builder b(graph.body());
  Value* empty = b.op(Op::sequence_empty, {}, {{A::element, i64}});
  Node* loop = b.create(Op::loop, std::vector<Value*>{trips, b.scalar(true), empty},
                        {{A::states, int64_t{1}}}, 1, regions(std::move(body)));
  Value* all = b.op(Op::concat_from_sequence, {loop->result()},
                    {{A::axis, int64_t{0}}, {A::new_axis, true}});
  graph.set_outputs(std::vector<Value*>{all}, {"all"});
  constexpr int64_t kTrips = 200'000;
  const auto begin = std::chrono::steady_clock::now();
  const auto found = verified_run(graph, {Tensor::scalar(kTrips)});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  ASSERT_EQ(found[0].tensor->extents(), std::vector<int64_t>{kTrips});
  for (int64_t k = 0; k < kTrips; k += 997) {
    EXPECT_EQ(found[0].tensor->data<int64_t>()[static_cast<size_t>(k)], k);
  }
  EXPECT_LT(seconds.count(), 10);  // copying 200,000 pointers each time would be minutes
}

TEST(Loop, LongLoopsAreCheap) {
  const CountingLoop loop{CountingLoop::Condition::bound};
  const Graph graph = loop.build();
  const auto begin = std::chrono::steady_clock::now();
  const auto found = verified_run(graph, loop.inputs(INT64_MAX, 200'000));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  EXPECT_TRUE(equal(*found[0].tensor, Tensor::scalar(200'000.0)));
  EXPECT_LT(seconds.count(), 10);
  RecordProperty("microseconds", static_cast<int>(seconds.count() * 1e6));
}

TEST(Branch, TakesOneSide) {
  Graph graph;
  Value* condition = graph.add_input(ValueType::tensor(boolean, Shape::unranked()), "condition");
  Value* x = graph.add_input(ValueType::tensor(f64, {Dim::symbol("N")}), "x");
  const auto side = [&](Op op) {
    auto region = std::make_unique<Region>();
    Value* argument = region->add_argument(x->type(), "x");
    Builder inner(*region);
    Value* result = inner.op(op, {argument});
    inner.yield(std::vector<Value*>{result, argument});
    return region;
  };
  Builder b(graph.body());
  b.set_node_name("choose");
  set_outputs(graph, *b.create(Op::branch, std::vector<Value*>{condition, x}, {}, 2,
                               regions(side(Op::neg), side(Op::sqrt))));
  const auto result = [&](Tensor flag) {
    return verified_run(graph, {std::move(flag), doubles({2}, {4, 9})});
  };
  EXPECT_TRUE(equal(*result(Tensor::scalar(true))[0].tensor, doubles({2}, {-4, -9})));
  EXPECT_TRUE(equal(*result(Tensor::scalar(false))[0].tensor, doubles({2}, {2, 3})));
  EXPECT_TRUE(equal(*result(Tensor(boolean, {1, 1}))[0].tensor, doubles({2}, {2, 3})));
  EXPECT_TRUE(equal(*result(Tensor::scalar(false))[1].tensor, doubles({2}, {4, 9})));
  EXPECT_THAT(run_error(graph, {Tensor(boolean, {2}), Tensor(f64, {2})}),
              HasSubstr("node \"choose\" (branch): condition is not a single element: "
                        "expected 1 element, found bool[2]"));
  EXPECT_THAT(run_error(graph, {Tensor(boolean, {0}), Tensor(f64, {2})}),
              HasSubstr("single element"));
}

// Collatz steps until 1: a loop with a branch inside that runs many times, one way or the other.
TEST(Branch, InsideALoop) {
  Graph graph;
  Value* n = graph.add_input(ValueType::tensor(i64, {}), "n");
  const ValueType integer = ValueType::tensor(i64, {});
  const auto side = [&](bool odd) {
    auto region = std::make_unique<Region>();
    Value* x = region->add_argument(integer, "x");
    Builder inner(*region);
    Value* result = odd ? inner.op(Op::add, {inner.op(Op::mul, {x, inner.scalar<int64_t>(3)}),
                                             inner.scalar<int64_t>(1)})
                        : inner.op(Op::div, {x, inner.scalar<int64_t>(2)});
    inner.yield(std::vector<Value*>{result});
    return region;
  };
  auto body = std::make_unique<Region>();
  body->add_argument(integer, "i");
  Value* x = body->add_argument(integer, "x");
  Builder inner(*body);
  Value* odd = inner.cast(inner.op(Op::mod, {x, inner.scalar<int64_t>(2)}), boolean);
  Value* next =
      inner
          .create(Op::branch, std::vector<Value*>{odd, x}, {}, 1, regions(side(true), side(false)))
          ->result();
  inner.yield(
      std::vector<Value*>{inner.op(Op::greater, {next, inner.scalar<int64_t>(1)}), next, next});
  Builder b(graph.body());
  set_outputs(graph,
              *b.create(Op::loop, std::vector<Value*>{b.scalar(INT64_MAX), b.scalar(true), n},
                        {{A::states, int64_t{1}}}, 2, regions(std::move(body))));
  const auto found = verified_run(graph, {Tensor::scalar<int64_t>(27)});
  std::vector<int64_t> expected;
  for (int64_t k = 27; k != 1;) expected.push_back(k = k % 2 ? 3 * k + 1 : k / 2);
  EXPECT_TRUE(equal(*found[1].tensor, ints(expected)));
}

TEST(Control, ErrorsNameTheInnermostNode) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(i64, {Dim::symbol("T")}), "x");
  auto body = std::make_unique<Region>();
  Value* xt = body->add_argument(ValueType::tensor(i64, {}), "xt");
  Builder inner(*body);
  inner.set_node_name("divide");
  inner.yield(std::vector<Value*>{inner.op(Op::div, {inner.scalar<int64_t>(6), xt})});
  ScanSpec spec;
  spec.scanned = {x};
  spec.scan_slots = {{}};
  spec.stack_slots = {{}};
  Builder b(graph.body());
  b.set_node_name("outer");
  set_outputs(graph, *b.scan(spec, std::move(body)));
  EXPECT_THAT(run_error(graph, {ints({1, 2, 0})}),
              HasSubstr("node \"divide\" (div): integer division by zero"));
  EXPECT_TRUE(equal(*verified_run(graph, {ints({1, 2, -3})})[0].tensor, ints({6, 3, -2})));
}

}  // namespace
}  // namespace refrain
