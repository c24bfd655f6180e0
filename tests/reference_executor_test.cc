// The executor outside control flow: inputs, symbols, lifetimes, limits, sequences, the evaluator.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>

#include "backends/reference/executor.h"
#include "backends/reference/runtime_inference.h"
#include "ir/builder.h"
#include "support/compare.h"
#include "support/run_graph.h"

namespace refrain {
namespace {

using reference::run;
using testing::equal;
using ::testing::HasSubstr;
using testing::run_error;
using testing::verified_run;
using A = AttributeName;

constexpr auto f32 = ElementType::f32;
constexpr auto i64 = ElementType::i64;

Tensor floats(std::vector<int64_t> extents, std::vector<float> values) {
  return Tensor::of<float>(std::move(extents), values);
}

Tensor ints(std::vector<int64_t> values) { return Tensor::of_ints(values); }

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Executor, RunsNodesInOrder) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(f32, {Dim::symbol("N"), 2}), "x");
  Builder b(graph.body());
  Value* doubled = b.op(Op::add, {x, x});
  Value* y = b.op(Op::mul, {doubled, b.constant(floats({2}, {10, 100}))});
  graph.set_outputs(std::vector<Value*>{y, doubled}, {"y", "doubled"});
  const auto outputs = verified_run(graph, {floats({2, 2}, {1, 2, 3, 4})});
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_TRUE(equal(*outputs[0].tensor, floats({2, 2}, {20, 400, 60, 800})));
  EXPECT_TRUE(equal(*outputs[1].tensor, floats({2, 2}, {2, 4, 6, 8})));
}

TEST(Executor, SharesInputsAndConstants) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(f32, {2}), "x");
  Builder b(graph.body());
  Value* constant = b.constant(floats({1}, {5}));
  graph.set_outputs(std::vector<Value*>{x, constant, x}, {"a", "b", "c"});
  const RuntimeValue input(floats({2}, {1, 2}));
  const auto outputs = verified_run(graph, {input});
  EXPECT_EQ(outputs[0].tensor, input.tensor);
  EXPECT_EQ(outputs[2].tensor, input.tensor);
  EXPECT_EQ(outputs[1].tensor, constant_tensor(constant));
}

TEST(Executor, RunsTwice) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(f32, {2}), "x");
  Builder b(graph.body());
  graph.set_outputs(std::vector<Value*>{b.op(Op::neg, {x})}, {"y"});
  for (float value : {1.0f, 2.0f}) {
    const auto outputs = verified_run(graph, {floats({2}, {value, 0})});
    EXPECT_TRUE(equal(*outputs[0].tensor, floats({2}, {-value, -0.0f})));
  }
}

TEST(Executor, DimsAreBoundByInputs) {
  Graph graph;
  graph.add_input(ValueType::tensor(f32, {Dim::symbol("B"), 3, Dim::symbol("T")}), "x");
  Builder b(graph.body());
  const std::vector<Dim> dims = {Dim::symbol("T"), 7, Dim::symbol("B")};
  Value* vector = b.op(Op::dims, {}, {{A::dims, dims}});
  Value* scalar =
      b.op(Op::dims, {}, {{A::dims, std::vector<Dim>{Dim::symbol("B")}}, {A::keep_dims, false}});
  graph.set_outputs(std::vector<Value*>{vector, scalar}, {"v", "s"});
  const auto outputs = verified_run(graph, {Tensor(f32, {4, 3, 5})});
  EXPECT_TRUE(equal(*outputs[0].tensor, ints({5, 7, 4})));
  EXPECT_TRUE(equal(*outputs[1].tensor, Tensor::scalar<int64_t>(4)));
}

TEST(Executor, DimsOfAnAbsentInputAreAnError) {
  Graph graph;
  ValueType type = ValueType::tensor(f32, {Dim::symbol("N")});
  type.optional = true;
  graph.add_input(type, "x");
  Builder b(graph.body());
  Value* n = b.op(Op::dims, {}, {{A::dims, std::vector<Dim>{Dim::symbol("N")}}});
  graph.set_outputs(std::vector<Value*>{n}, {"n"});
  EXPECT_TRUE(equal(*verified_run(graph, {floats({2}, {1, 2})})[0].tensor, ints({2})));
  EXPECT_THAT(run_error(graph, {RuntimeValue()}), HasSubstr("dimension is not bound"));
}

TEST(Executor, ChecksInputs) {
  Graph graph;
  const Dim n = Dim::symbol("N");
  Value* x = graph.add_input(ValueType::tensor(f32, {n, 3}), "x");
  Value* y = graph.add_input(ValueType::tensor(f32, {n, Dim::unknown()}), "y");
  graph.set_outputs(std::vector<Value*>{x, y}, {"x", "y"});
  const RuntimeValue good_x(Tensor(f32, {2, 3})), good_y(Tensor(f32, {2, 9}));
  EXPECT_EQ(run_error(graph, {good_x, good_y}), "no error");
  EXPECT_THAT(run_error(graph, {good_x}), HasSubstr("wrong number of inputs: expected 2, found 1"));
  EXPECT_THAT(run_error(graph, {Tensor(i64, {2, 3}), good_y}),
              HasSubstr("wrong element type of input \"x\": expected f32[N, 3], found i64[2, 3]"));
  EXPECT_THAT(run_error(graph, {Tensor(f32, {2, 3, 1}), good_y}),
              HasSubstr("wrong rank of input \"x\""));
  EXPECT_THAT(
      run_error(graph, {Tensor(f32, {2, 4}), good_y}),
      HasSubstr("wrong extent of input \"x\" at axis 1: expected f32[N, 3], found f32[2, 4]"));
  EXPECT_THAT(run_error(graph, {good_x, Tensor(f32, {5, 1})}),
              HasSubstr("input \"y\" disagrees on dimension N: expected 2 as in input \"x\", "
                        "found 5 at axis 0"));
  EXPECT_THAT(run_error(graph, {good_x, RuntimeValue()}),
              HasSubstr("wrong kind of value for input \"y\": expected f32[N, ?], found nothing"));
  EXPECT_THAT(run_error(graph, {good_x, Sequence()}), HasSubstr("found a sequence"));
}

TEST(Executor, ChecksSequenceInputs) {
  Graph graph;
  Value* s = graph.add_input(ValueType::sequence(f32, {Dim::symbol("N")}), "s");
  graph.set_outputs(std::vector<Value*>{s}, {"s"});
  const auto tensor = [](Tensor t) { return std::make_shared<const Tensor>(std::move(t)); };
  EXPECT_EQ(run_error(graph, {Sequence{tensor(Tensor(f32, {2})), tensor(Tensor(f32, {2}))}}),
            "no error");
  EXPECT_THAT(run_error(graph, {Sequence{tensor(Tensor(f32, {2})), tensor(Tensor(f32, {3}))}}),
              HasSubstr("disagrees on dimension N"));
  EXPECT_THAT(run_error(graph, {Sequence{nullptr}}), HasSubstr("is absent"));
  EXPECT_THAT(run_error(graph, {Tensor(f32, {2})}), HasSubstr("wrong kind"));
}

TEST(Executor, ErrorsNameTheNode) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(f32, {Dim::symbol("A")}), "x");
  Value* y = graph.add_input(ValueType::tensor(f32, {Dim::symbol("B")}), "y");
  Builder b(graph.body());
  b.set_node_name("combine");
  graph.set_outputs(std::vector<Value*>{b.op(Op::add, {x, y})}, {"z"});
  EXPECT_THAT(run_error(graph, {Tensor(f32, {2}), Tensor(f32, {3})}),
              HasSubstr("node \"combine\" (add): shapes don't broadcast"));
}

TEST(Executor, FreesValuesAfterTheirLastUse) {
  Graph graph;
  Value* value = graph.add_input(ValueType::tensor(f32, {1000}), "x");
  Builder b(graph.body());
  for (int i = 0; i < 50; ++i) value = b.op(Op::neg, {value});
  graph.set_outputs(std::vector<Value*>{value}, {"y"});
  EXPECT_EQ(run_error(graph, {Tensor(f32, {1000})}, {.max_bytes = 2 * 4000}), "no error");
  EXPECT_THAT(run_error(graph, {Tensor(f32, {1000})}, {.max_bytes = 2 * 4000 - 1}),
              HasSubstr("--max-memory"));
}

TEST(Executor, UnusedResultsAreNotKept) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(f32, {1000}), "x");
  Builder b(graph.body());
  for (int i = 0; i < 50; ++i) b.op(Op::neg, {x});
  graph.set_outputs(std::vector<Value*>{x}, {"y"});
  EXPECT_EQ(run_error(graph, {Tensor(f32, {1000})}, {.max_bytes = 4000}), "no error");
}

TEST(Executor, OutputsGiveTheirMemoryBackLater) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(f32, {1000}), "x");
  Builder b(graph.body());
  graph.set_outputs(std::vector<Value*>{b.op(Op::neg, {x})}, {"y"});
  const auto first = verified_run(graph, {Tensor(f32, {1000})}, {.max_bytes = 4000});
  // A budget belongs to a run: what an earlier one returned does not count.
  const auto second = verified_run(graph, {Tensor(f32, {1000})}, {.max_bytes = 4000});
  EXPECT_TRUE(equal(*first[0].tensor, *second[0].tensor));
}

TEST(Executor, LongGraphsRunInLinearTime) {
  Graph graph;
  Value* value = graph.add_input(ValueType::tensor(f32, {2}), "x");
  Builder b(graph.body());
  constexpr int kNodes = 100'000;
  for (int i = 0; i < kNodes; ++i) value = b.op(Op::neg, {value});
  graph.set_outputs(std::vector<Value*>{value}, {"y"});
  const auto begin = std::chrono::steady_clock::now();
  const auto outputs = run(graph, std::vector<RuntimeValue>{floats({2}, {1, 2})});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  EXPECT_TRUE(equal(*outputs[0].tensor, floats({2}, {1, 2})));
  EXPECT_LT(seconds.count(), 5);  // quadratic would be minutes, even under a sanitizer
  RecordProperty("microseconds", static_cast<int>(seconds.count() * 1e6));
}

// A graph input sequence and a few tensors by builder, for the ops on sequences.
class SequenceOps : public ::testing::Test {
 protected:
  SequenceOps() : b_(graph_.body()) {}

  Value* numbers(int count) {
    std::vector<Value*> values;
    for (int i = 0; i < count; ++i) values.push_back(b_.scalar(static_cast<float>(i)));
    return b_.create(Op::sequence_construct, values)->result();
  }
  RuntimeValue result(Value* value) {
    graph_.set_outputs(std::vector<Value*>{value}, {"y"});
    const RuntimeValue output = verified_run(graph_, {})[0];
    graph_.body().erase(graph_.body().last());  // so that the builder goes on
    return output;
  }
  // The node that failed leaves the graph, so that the next run gets past it.
  std::string failure(Value* value) {
    graph_.set_outputs(std::vector<Value*>{value}, {"y"});
    const std::string message = run_error(graph_, {});
    graph_.body().erase(graph_.body().last());
    graph_.body().erase(value->node());
    return message;
  }
  std::vector<float> contents(Value* value) {
    const RuntimeValue output = result(value);
    std::vector<float> values;
    for (const TensorPtr& tensor : *output.sequence) values.push_back(tensor->data<float>()[0]);
    return values;
  }

  Graph graph_;
  Builder b_;
};

TEST_F(SequenceOps, InsertCountsFromEitherEnd) {
  const auto insert = [&](int64_t at) {
    return b_.op(Op::sequence_insert, {numbers(3), b_.scalar(9.0f), b_.scalar(at)});
  };
  using Floats = std::vector<float>;
  EXPECT_EQ(contents(b_.op(Op::sequence_insert, {numbers(3), b_.scalar(9.0f)})),
            (Floats{0, 1, 2, 9}));
  EXPECT_EQ(contents(insert(0)), (Floats{9, 0, 1, 2}));
  EXPECT_EQ(contents(insert(3)), (Floats{0, 1, 2, 9}));
  EXPECT_EQ(contents(insert(-1)), (Floats{0, 1, 9, 2}));
  EXPECT_EQ(contents(insert(-3)), (Floats{9, 0, 1, 2}));
  EXPECT_THAT(failure(insert(4)), HasSubstr("position out of range in a sequence of 3"));
  EXPECT_THAT(failure(insert(-4)), HasSubstr("position out of range"));
}

TEST_F(SequenceOps, InsertIntoAnEmptySequence) {
  const auto insert = [&](int64_t at) {
    Value* empty = b_.op(Op::sequence_empty, {});
    return b_.op(Op::sequence_insert, {empty, b_.scalar(9.0f), b_.scalar(at)});
  };
  EXPECT_EQ(contents(insert(0)), std::vector<float>{9});
  EXPECT_THAT(failure(insert(1)), HasSubstr("out of range"));
  EXPECT_THAT(failure(insert(-1)), HasSubstr("out of range"));
}

TEST_F(SequenceOps, InsertLeavesTheOriginalAlone) {
  Value* original = numbers(2);
  Value* longer = b_.op(Op::sequence_insert, {original, b_.scalar(9.0f)});
  Value* shorter = b_.op(Op::sequence_erase, {original, b_.scalar<int64_t>(0)});
  graph_.set_outputs(std::vector<Value*>{original, longer, shorter}, {"a", "b", "c"});
  const auto outputs = verified_run(graph_, {});
  EXPECT_EQ(outputs[0].sequence->size(), 2u);
  EXPECT_EQ(outputs[1].sequence->size(), 3u);
  EXPECT_EQ(outputs[2].sequence->size(), 1u);
}

TEST_F(SequenceOps, InsertLeavesAnInputAlone) {
  Value* s = graph_.add_input(ValueType::sequence(f32, Shape::unranked()), "s");
  Value* longer = b_.op(Op::sequence_insert, {s, b_.scalar(9.0f)});
  graph_.set_outputs(std::vector<Value*>{longer}, {"y"});
  const RuntimeValue input{Sequence()};
  EXPECT_EQ(verified_run(graph_, {input})[0].sequence->size(), 1u);
  EXPECT_EQ(input.sequence->size(), 0u);
}

TEST_F(SequenceOps, EraseAtAndLength) {
  using Floats = std::vector<float>;
  EXPECT_EQ(contents(b_.op(Op::sequence_erase, {numbers(3)})), (Floats{0, 1}));
  EXPECT_EQ(contents(b_.op(Op::sequence_erase, {numbers(3), b_.scalar<int64_t>(-3)})),
            (Floats{1, 2}));
  EXPECT_THAT(failure(b_.op(Op::sequence_erase, {numbers(3), b_.scalar<int64_t>(3)})),
              HasSubstr("out of range"));
  EXPECT_TRUE(equal(*result(b_.op(Op::sequence_at, {numbers(3), b_.scalar<int32_t>(-1)})).tensor,
                    Tensor::scalar(2.0f)));
  EXPECT_THAT(failure(b_.op(Op::sequence_at, {numbers(3), b_.scalar<int64_t>(-4)})),
              HasSubstr("out of range"));
  EXPECT_THAT(
      failure(b_.op(Op::sequence_at, {b_.op(Op::sequence_empty, {}), b_.scalar<int64_t>(0)})),
      HasSubstr("empty"));
  EXPECT_TRUE(
      equal(*result(b_.op(Op::sequence_length, {numbers(3)})).tensor, Tensor::scalar<int64_t>(3)));
}

TEST_F(SequenceOps, Concat) {
  Value* a = b_.constant(floats({2, 1}, {1, 2}));
  Value* c = b_.constant(floats({2, 2}, {3, 4, 5, 6}));
  Value* s = b_.op(Op::sequence_construct, {a, c});
  EXPECT_TRUE(equal(*result(b_.op(Op::concat_from_sequence, {s}, {{A::axis, int64_t{-1}}})).tensor,
                    floats({2, 3}, {1, 3, 4, 2, 5, 6})));
  EXPECT_THAT(failure(b_.op(Op::concat_from_sequence, {s}, {{A::axis, int64_t{0}}})),
              HasSubstr("don't fit together: expected f32[2, 1], found f32[2, 2]"));
  EXPECT_THAT(failure(b_.op(Op::concat_from_sequence, {b_.op(Op::sequence_empty, {})},
                            {{A::axis, int64_t{0}}})),
              HasSubstr("empty sequence"));
}

TEST_F(SequenceOps, ConcatAlongANewAxis) {
  Value* a = b_.constant(floats({2}, {1, 2}));
  Value* c = b_.constant(floats({2}, {3, 4}));
  Value* s = b_.op(Op::sequence_construct, {a, c, a});
  const auto stack = [&](int64_t axis) {
    return b_.op(Op::concat_from_sequence, {s}, {{A::axis, axis}, {A::new_axis, true}});
  };
  EXPECT_TRUE(equal(*result(stack(0)).tensor, floats({3, 2}, {1, 2, 3, 4, 1, 2})));
  EXPECT_TRUE(equal(*result(stack(-1)).tensor, floats({2, 3}, {1, 3, 1, 2, 4, 2})));
}

TEST_F(SequenceOps, Split) {
  Value* x = b_.constant(floats({2, 3}, {1, 2, 3, 4, 5, 6}));
  const std::vector<Attribute> axis = {{A::axis, int64_t{-1}}};
  auto parts = result(b_.op(Op::split_to_sequence, {x}, axis));
  ASSERT_EQ(parts.sequence->size(), 3u);
  EXPECT_TRUE(equal(*(*parts.sequence)[1], floats({2, 1}, {2, 5})));

  parts = result(b_.op(Op::split_to_sequence, {x}, {{A::axis, int64_t{1}}, {A::keep_dims, false}}));
  EXPECT_TRUE(equal(*(*parts.sequence)[2], floats({2}, {3, 6})));

  parts = result(b_.op(Op::split_to_sequence, {x, b_.scalar<int64_t>(2)}, axis));
  ASSERT_EQ(parts.sequence->size(), 2u);
  EXPECT_TRUE(equal(*(*parts.sequence)[0], floats({2, 2}, {1, 2, 4, 5})));
  EXPECT_TRUE(equal(*(*parts.sequence)[1], floats({2, 1}, {3, 6})));

  parts = result(b_.op(Op::split_to_sequence, {x, b_.ints({1, 0, 2})}, axis));
  ASSERT_EQ(parts.sequence->size(), 3u);
  EXPECT_TRUE(equal(*(*parts.sequence)[1], Tensor(f32, {2, 0})));
  EXPECT_TRUE(equal(*(*parts.sequence)[2], floats({2, 2}, {2, 3, 5, 6})));

  const auto bad = [&](Value* sizes) {
    return failure(b_.op(Op::split_to_sequence, {x, sizes}, axis));
  };
  EXPECT_THAT(bad(b_.ints({1, 1})), HasSubstr("don't add up: expected 3, found 2"));
  EXPECT_THAT(bad(b_.ints({4, -1})), HasSubstr("negative split size"));
  EXPECT_THAT(bad(b_.ints({INT64_MAX, INT64_MAX, 5})), HasSubstr("don't add up"));
  EXPECT_THAT(bad(b_.scalar<int64_t>(0)), HasSubstr("wrong split size"));
}

TEST_F(SequenceOps, SplittingNothingIntoMuchIsBounded) {
  Value* x = b_.constant(Tensor(f32, {int64_t{1} << 60, 0}));
  EXPECT_THAT(failure(b_.op(Op::split_to_sequence, {x})), HasSubstr("too many parts"));
}

TEST_F(SequenceOps, Optionals) {
  Value* some = b_.op(Op::optional, {b_.scalar(4.0f)});
  Value* none = b_.op(Op::optional, {});
  EXPECT_TRUE(equal(*result(b_.op(Op::has_element, {some})).tensor, Tensor::scalar(true)));
  EXPECT_TRUE(equal(*result(b_.op(Op::has_element, {none})).tensor, Tensor::scalar(false)));
  EXPECT_TRUE(equal(*result(b_.op(Op::get_element, {some})).tensor, Tensor::scalar(4.0f)));
  EXPECT_THAT(failure(b_.op(Op::get_element, {none})), HasSubstr("optional value is empty"));
  EXPECT_TRUE(result(none).empty());
}

TEST(Evaluator, EvaluatesOneNode) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(f32, {2}), "x");
  Builder b(graph.body());
  Value* y = b.op(Op::add, {x, x});
  const auto evaluator = reference::make_evaluator();
  const TensorPtr two = std::make_shared<const Tensor>(floats({2}, {1, 2}));
  const auto results = evaluator->evaluate(*y->node(), std::vector<TensorPtr>{two, two});
  ASSERT_EQ(results.size(), 1u);
  EXPECT_TRUE(equal(*results[0], floats({2}, {2, 4})));
}

TEST(Evaluator, BoundsMemoryAndChecksOperands) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(f32, Shape::unranked()), "x");
  Builder b(graph.body());
  Value* y = b.op(Op::add, {x, x});
  const auto evaluator = reference::make_evaluator({.max_bytes = 100});
  const auto evaluate = [&](Tensor p, Tensor q) {
    return error_of([&] {
      evaluator->evaluate(*y->node(),
                          std::vector<TensorPtr>{std::make_shared<const Tensor>(std::move(p)),
                                                 std::make_shared<const Tensor>(std::move(q))});
    });
  };
  EXPECT_EQ(evaluate(Tensor(f32, {25}), Tensor(f32, {1})), "no error");
  EXPECT_THAT(evaluate(Tensor(f32, {26}), Tensor(f32, {1})), HasSubstr("out of memory"));
  EXPECT_THAT(evaluate(Tensor(f32, {2}), Tensor(i64, {2})), HasSubstr("(add)"));
  EXPECT_THAT(error_of([&] { evaluator->evaluate(*y->node(), {}); }),
              HasSubstr("wrong number of operands"));
  EXPECT_THAT(error_of([&] {
                evaluator->evaluate(*y->node(), std::vector<TensorPtr>{nullptr, nullptr});
              }),
              HasSubstr("operand 0 is absent"));
}

TEST(RuntimeInference, GivesConcreteTypes) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(f32, Shape::unranked()), "x");
  Value* shape = graph.add_input(ValueType::tensor(i64, {Dim::unknown()}), "shape");
  Builder b(graph.body());
  Value* y = b.op(Op::reshape, {x, shape});
  EXPECT_FALSE(y->type().shape.is_static());
  const Tensor tensor(f32, {4, 6}), extents = ints({-1, 8});
  const Tensor* operands[] = {&tensor, &extents};
  EXPECT_EQ(reference::infer_concrete(*y->node(), operands),
            std::vector{ValueType::tensor(f32, {3, 8})});
}

}  // namespace
}  // namespace refrain
