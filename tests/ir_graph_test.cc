#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/error.h"
#include "ir/graph.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace refrain {
namespace {

using ::testing::HasSubstr;

ValueType f32(Shape shape) { return ValueType::tensor(ElementType::f32, std::move(shape)); }

template <typename F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Graph, UsesFollowOperands) {
  Graph graph;
  Value* x = graph.add_input(f32({2}), "x");
  Builder builder(graph.body());
  Value* a = builder.op(Op::neg, {x});
  Value* sum = builder.op(Op::add, {a, a});
  EXPECT_TRUE(x->has_one_use());
  EXPECT_FALSE(a->has_one_use());
  a->replace_all_uses_with(x);
  EXPECT_TRUE(a->unused());
  EXPECT_EQ(sum->node()->operand(0), x);
  EXPECT_EQ(sum->node()->operand(1), x);
  graph.body().erase(a->node());
  EXPECT_EQ(graph.body().size(), 1u);
  size_t uses = 0;
  for (const Use* use = x->first_use(); use; use = use->next()) {
    EXPECT_EQ(use->user(), sum->node());
    ++uses;
  }
  EXPECT_EQ(uses, 2u);
}

TEST(Graph, NodesKeepTheirOrder) {
  Graph graph;
  Value* x = graph.add_input(f32({}), "x");
  Builder end(graph.body());
  Value* last = end.op(Op::neg, {x});
  Builder front(graph.body(), last->node());
  Value* first = front.op(Op::abs, {x});
  Value* second = front.op(Op::exp, {x});
  EXPECT_EQ(graph.body().first(), first->node());
  EXPECT_EQ(first->node()->next(), second->node());
  EXPECT_EQ(second->node()->next(), last->node());
  EXPECT_EQ(last->node()->previous(), second->node());
  EXPECT_EQ(graph.body().last(), last->node());
}

TEST(Graph, TrailingAbsentOperandsAreDropped) {
  Graph graph;
  Value* x = graph.add_input(f32({3}), "x");
  Builder builder(graph.body());
  Value* y = builder.op(Op::pad, {x, builder.ints({1, 1}), nullptr, nullptr});
  EXPECT_EQ(y->node()->operand_count(), 2u);
  EXPECT_EQ(y->type(), f32({5}));
}

TEST(Builder, ErrorsNameNodeOpExpectedAndFound) {
  Graph graph;
  Value* x = graph.add_input(f32({2, 3}), "x");
  Builder builder(graph.body());
  builder.set_node_name("MatMul_7");
  EXPECT_EQ(
      message_of([&] {
        builder.op(Op::matmul, {x, x});
      }),
      "node \"MatMul_7\" (matmul): matrix product does not fit: expected equal inner extents, "
      "found [2, 3] by [2, 3]");
  EXPECT_THAT(message_of([&] { builder.op(Op::matmul, {x}); }),
              HasSubstr("wrong number of operands"));
  EXPECT_THAT(message_of([&] { builder.op(Op::transpose, {x}); }), HasSubstr("missing attribute"));
  EXPECT_THAT(message_of([&] {
                builder.op(Op::neg, {x}, {{AttributeName::axis, int64_t{0}}});
              }),
              HasSubstr("attribute axis is not one of the op's"));
  EXPECT_THAT(message_of([&] {
                builder.op(Op::softmax, {x}, {{AttributeName::axis, true}});
              }),
              HasSubstr("wrong type of attribute axis: expected integer, found boolean"));
  EXPECT_TRUE(graph.body().empty());  // a refused node leaves no trace
}

TEST(Verify, FindsWhatBreaksAGraph) {
  const auto broken = [](auto&& mutate) {
    const std::unique_ptr<Graph> graph = parse(R"(graph @g (%x: f32[T], %c: bool[]) {
      %a = neg(%x) : f32[T]
      %b = branch(%c) then(%p = %a: f32[T]) { yield %p } else(%q = %a: f32[T]) { yield %q } : f32[T]
      yield "y" = %b
    })");
    mutate(*graph);
    return message_of([&] { verify(*graph); });
  };
  const auto second = [](Graph& graph) { return graph.body().first()->next(); };
  EXPECT_EQ(broken([](Graph&) {}), "no error");
  EXPECT_THAT(broken([&](Graph& g) {
                // moved after its user
                g.body().insert(g.body().remove(g.body().first()), g.body().last());
              }),
              HasSubstr("is not defined here"));
  EXPECT_THAT(broken([&](Graph& g) {
                Region& region = second(g)->region(0);
                region.yield()->set_operand(0, g.input(0));  // a value of another region
              }),
              HasSubstr("is not defined here"));
  EXPECT_THAT(broken([&](Graph& g) { g.body().first()->result()->set_type(f32({3})); }),
              HasSubstr("result 0 has the wrong type: expected f32[T], found f32[3]"));
  EXPECT_THAT(broken([&](Graph& g) { g.body().erase(g.body().last()); }), HasSubstr("yield"));
  EXPECT_THAT(broken([&](Graph& g) { g.input(0)->set_name("c"); }), HasSubstr("one name"));
  EXPECT_THAT(broken([&](Graph& g) { g.input(0)->set_name(""); }), HasSubstr("no name"));
  EXPECT_THAT(broken([&](Graph& g) { g.input(1)->set_type(f32({})); }), HasSubstr("condition"));
}

TEST(Clone, CopiesNestedRegionsAndSharesConstants) {
  const std::string text = R"(graph @g (%n: i64[], %h: f32[2]) {
  %w = constant f32[2] (1, 2)
  %y = scan trips(%n) invariant(%wi = %w: f32[2]) state(%s = %h: f32[2]) {
    %next = mul(%s, %wi) : f32[2]
    yield %next
  } : f32[2] @"loop"
  yield "y" = %y
}
)";
  const std::unique_ptr<Graph> graph = parse(text);
  const std::unique_ptr<Graph> copy = clone_graph(*graph);
  verify(*copy);
  EXPECT_EQ(print(*copy), text);
  EXPECT_EQ(constant_tensor(copy->body().first()->result()),
            constant_tensor(graph->body().first()->result()));
  EXPECT_EQ(count_nodes(copy->body()), 5u);
}

TEST(Clone, InlineMapsArgumentsToValues) {
  const std::unique_ptr<Graph> source = parse(R"(graph @g (%x: f32[2]) {
  %a = neg(%x) : f32[2]
  yield "y" = %a, "x" = %x
})");
  Graph target;
  Value* input = target.add_input(f32({2}), "in");
  const std::vector<Value*> results =
      inline_region(source->body(), {&input, 1}, target.body(), nullptr);
  target.set_outputs(results, {"y", "x"});
  verify(target);
  EXPECT_EQ(target.output(1), input);
  EXPECT_EQ(target.output(0)->node()->op(), Op::neg);
}

TEST(Graph, ManyUsesOfOneValueCostLinearTime) {
  Graph graph;
  Value* x = graph.add_input(f32({}), "x");
  Builder builder(graph.body());
  Value* y = x;
  for (int i = 0; i < 200'000; ++i) y = builder.op(Op::add, {y, x});
  graph.set_outputs({&y, 1}, {"y"});
  verify(graph);
  x->replace_all_uses_with(builder.scalar(1.0f));
  EXPECT_TRUE(x->unused());
}

}  // namespace
}  // namespace refrain
