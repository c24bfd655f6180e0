// Convolutions and pooling in prepared graphs against the reference backend in double precision,
// for every SIMD target; and ops that move elements.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "backends/executable/executable.h"
#include "backends/reference/executor.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "support/compare.h"
#include "support/prepared.h"
#include "support/random.h"
#include "support/targets.h"
#include "support/widened.h"

namespace refrain {
namespace {

using A = AttributeName;
using Ints = std::vector<int64_t>;
using testing::close;
using testing::for_each_target;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Random;
using testing::widened;

// Makes a graph of one input in f32 or f64; constants are the same, rounded to f32, in both.
class Maker {
 public:
  Maker(ElementType type, uint64_t seed)
      : type_(type), random_(seed), graph_(std::make_unique<Graph>("g")), build_(graph_->body()) {}

  Value* input(const Ints& extents, const char* name = "x") {
    return graph_->add_input(ValueType::tensor(type_, Shape::of_extents(extents)), name);
  }
  Value* constant(const Ints& extents) {
    Tensor tensor = random_.tensor(ElementType::f32, extents);
    return build_.constant(type_ == ElementType::f32 ? std::move(tensor) : widened(tensor));
  }
  Builder& build() { return build_; }
  std::unique_ptr<Graph> finish(const std::vector<Value*>& outputs) {
    std::vector<std::string> names;
    for (size_t i = 0; i < outputs.size(); ++i) names.push_back("y" + std::to_string(i));
    graph_->set_outputs(outputs, names);
    return std::move(graph_);
  }

 private:
  ElementType type_;
  Random random_;
  std::unique_ptr<Graph> graph_;
  Builder build_;
};

// More workers than this machine may have cores.
const tbb::global_control more_workers{tbb::global_control::max_allowed_parallelism, 4};

// `make(maker)` returns the outputs. Sums are of at most `terms` products below 1: their rounding
// errors stay far below terms * epsilon times a few. Returns our own kernels' steps.
template <typename F>
std::string check(const F& make, double terms, uint64_t seed = 1) {
  const auto graph_of = [&](ElementType type) {
    Maker maker(type, seed);
    return maker.finish(make(maker));
  };
  const std::unique_ptr<Graph> graph = graph_of(ElementType::f32),
                               exact = graph_of(ElementType::f64);
  Random random(seed + 1);
  std::vector<Tensor> inputs;
  std::vector<RuntimeValue> wide;
  for (size_t i = 0; i < graph->input_count(); ++i) {
    inputs.push_back(random.tensor(ElementType::f32, graph->input(i)->type().shape.extents()));
    wide.emplace_back(widened(inputs.back()));
  }
  const std::vector<RuntimeValue> expected = reference::run(*exact, wide);
  const double tolerance = 1.2e-7 * (4 + terms);
  std::string steps;
  const auto expect_close = [&](PreparedGraph& prepared) {
    std::vector<Tensor> first;
    for (int repeat = 0; repeat < 2; ++repeat) {  // scratch is not clean the second time
      first = testing::run(prepared, inputs);
      for (size_t i = 0; i < first.size(); ++i) {
        EXPECT_TRUE(close(widened(first[i]), *expected[i].tensor, 1e-6, tolerance))
            << "output " << i << " of\n"
            << print(*graph, {.all_elements = false}) << prepared.describe();
      }
    }
    return first;
  };
  for_each_target([&] {
    PreparedGraph one(*graph, {.kernels = KernelChoice::highway}),
        three(*graph, {.kernels = KernelChoice::highway, .threads = 3});
    const std::vector<Tensor> alone = expect_close(one), together = expect_close(three);
    for (size_t i = 0; i < alone.size(); ++i) {
      EXPECT_TRUE(identical(alone[i], together[i])) << "threads, output " << i;
    }
    steps = one.describe();
  });
  for (const KernelChoice kernels : {KernelChoice::automatic, KernelChoice::onednn}) {
    PreparedGraph prepared(*graph, {.kernels = kernels});
    expect_close(prepared);
  }
  EXPECT_THAT(steps, Not(HasSubstr("onednn")));
  return steps;
}

struct Conv {
  Ints x, kernel;
  int64_t filters = 1, groups = 1;
  Ints strides = {}, dilations = {}, pads = {};  // empty: 1, 1, 0
  bool bias = true;

  Value* make(Maker& maker, Value* input) const {
    Ints weights{filters, input->type().shape.extents()[1] / groups};
    weights.insert(weights.end(), kernel.begin(), kernel.end());
    const size_t axes = kernel.size();
    const auto filled = [&](const Ints& given, size_t count, int64_t value) {
      return given.empty() ? Ints(count, value) : given;
    };
    return maker.build().op(
        Op::conv, {input, maker.constant(weights), bias ? maker.constant({filters}) : nullptr},
        {{A::strides, filled(strides, axes, 1)},
         {A::dilations, filled(dilations, axes, 1)},
         {A::pads, filled(pads, 2 * axes, 0)},
         {A::groups, groups}});
  }
  double terms() const {
    double count = static_cast<double>(x[1] / groups) + 1;
    for (const int64_t k : kernel) count *= static_cast<double>(k);
    return count;
  }
};

std::string check(const Conv& conv) {
  return check(
      [&](Maker& maker) { return std::vector<Value*>{conv.make(maker, maker.input(conv.x))}; },
      conv.terms());
}

TEST(ExecutableConv, AnyChannelsAndFilters) {
  for (const int64_t channels : {1, 2, 15, 17}) {
    for (const int64_t filters : {1, 5, 16, 33, 67}) {
      const std::string steps = check(Conv{{1, channels, 11}, {3}, filters});
      EXPECT_THAT(steps, HasSubstr(channels * filters == 1 ? "depthwise" : "windows in place:"));
    }
  }
}

TEST(ExecutableConv, StridesDilationsAndPadding) {
  for (const int64_t stride : {1, 2, 3}) {
    for (const int64_t dilation : {1, 2, 5}) {
      for (const Ints& pads : {Ints{0, 0}, Ints{4, 1}, Ints{0, 7}, Ints{9, 9}}) {
        for (const int64_t batch : {1, 2}) {
          check(Conv{{batch, 3, 13}, {3}, 19, 1, {stride}, {dilation}, pads});
        }
      }
    }
  }
}

TEST(ExecutableConv, ManyPlacesInBlocks) {
  for (const int64_t batch : {1, 3}) {
    EXPECT_THAT(check(Conv{{batch, 7, 301}, {5}, 18, 1, {1}, {1}, {2, 2}}),
                HasSubstr("in place but for padding"));
    EXPECT_THAT(check(Conv{{batch, 7, 301}, {5}, 18, 1, {2}, {3}, {40, 5}}), HasSubstr("gathered"));
    check(Conv{{batch, 1, 1000}, {64}, 33, 1, {32}, {1}, {0, 0}});
  }
}

TEST(ExecutableConv, EveryPlaceMayLieInPadding) {
  check(Conv{{1, 3, 2}, {2}, 4, 1, {1}, {1}, {7, 300}});
  check(Conv{{1, 3, 2}, {3}, 4, 1, {5}, {2}, {4, 120}});
  // One place: taps that meet nothing are left out.
  EXPECT_THAT(check(Conv{{5, 8, 1}, {3}, 16, 1, {1}, {1}, {1, 1}}), HasSubstr("windows in place:"));
  EXPECT_THAT(check(Conv{{5, 8, 2}, {3}, 16, 1, {2}, {1}, {1, 1}}), HasSubstr("windows in place:"));
}

TEST(ExecutableConv, Groups) {
  for (const int64_t groups : {2, 3, 6}) {
    for (const int64_t each : {1, 2, 19}) {
      check(Conv{{2, 6, 9}, {3}, groups * each, groups, {1}, {1}, {1, 1}});
      check(Conv{{1, 6, 5, 4}, {3, 2}, groups * each, groups, {1, 2}, {2, 1}, {1, 1, 2, 0}});
    }
  }
  check(Conv{{1, 40, 30}, {3}, 40, 40, {1}, {1}, {1, 1}});  // depthwise
  check(Conv{{1, 40, 6, 5}, {3, 3}, 40, 40, {1, 1}, {1, 1}, {1, 1, 1, 1}});
}

TEST(ExecutableConv, MoreAxes) {
  check(Conv{{2, 3, 9, 8}, {3, 3}, 20, 1, {1, 1}, {1, 1}, {1, 1, 1, 1}});
  check(Conv{{2, 3, 9, 8}, {2, 3}, 20, 1, {2, 3}, {3, 2}, {0, 2, 3, 1}, false});
  check(Conv{{1, 2, 5, 4, 6}, {3, 1, 2}, 17, 1, {1, 2, 1}, {1, 1, 3}, {1, 0, 2, 0, 0, 1}});
  // Only one axis is slid over: the others are channels, or batches.
  EXPECT_THAT(check(Conv{{1, 2, 30, 5}, {3, 5}, 17}), HasSubstr("windows in place:"));
  EXPECT_THAT(check(Conv{{1, 2, 3, 40}, {1, 5}, 17}), HasSubstr("in place but for padding"));
  EXPECT_THAT(check(Conv{{2, 7, 3, 4}, {1, 1}, 17}), HasSubstr("windows in place:"));
}

TEST(ExecutableConv, RandomOnes) {
  Random random(7);
  for (int i = 0; i < 60; ++i) {
    const auto axes = static_cast<size_t>(random.integer(1, 3));
    Conv conv;
    conv.groups = random.integer(0, 3) == 0 ? random.integer(2, 4) : 1;
    conv.x = {random.integer(1, 3), conv.groups * random.integer(1, 5)};
    conv.filters = conv.groups * random.integer(1, 20);
    conv.bias = random.integer(0, 1) == 1;
    for (size_t k = 0; k < axes; ++k) {
      conv.kernel.push_back(random.integer(1, 4));
      conv.strides.push_back(random.integer(1, 3));
      conv.dilations.push_back(random.integer(1, 3));
      conv.x.push_back((conv.kernel[k] - 1) * conv.dilations[k] + random.integer(1, 9));
    }
    for (size_t k = 0; k < 2 * axes; ++k) conv.pads.push_back(random.integer(0, 4));
    check(conv);
  }
}

TEST(ExecutableConv, WhatFollowsIsItsEpilogue) {
  const Conv conv{{1, 9, 12}, {3}, 40, 1, {1}, {1}, {1, 1}};
  // relu is known to the loop kernel, the others are interpreted.
  for (const Op op : {Op::relu, Op::tanh, Op::abs}) {
    const std::string steps = check(
        [&](Maker& maker) {
          Value* const y = conv.make(maker, maker.input(conv.x));
          return std::vector<Value*>{maker.build().op(op, {y})};
        },
        conv.terms());
    EXPECT_EQ(testing::count(steps, "highway conv"), 1u) << steps;
    EXPECT_THAT(steps, Not(HasSubstr("pointwise"))) << steps;
  }
}

TEST(ExecutableConv, BatchNormalisationAndResidual) {
  const Conv first{{2, 9, 12}, {3}, 24, 1, {1}, {1}, {1, 1}};
  const Conv second{{2, 24, 12}, {3}, 24, 1, {1}, {1}, {1, 1}};
  const std::string steps = check(
      [&](Maker& maker) {
        Builder& b = maker.build();
        Value* const x = first.make(maker, maker.input(first.x));
        Value* y = b.op(Op::mul, {x, maker.constant({24, 1})});
        y = b.op(Op::add, {y, maker.constant({1, 24, 1})});
        y = second.make(maker, b.op(Op::sigmoid, {y}));
        return std::vector<Value*>{b.op(Op::add, {y, x})};
      },
      100);
  EXPECT_EQ(testing::count(steps, "highway conv"), 2u) << steps;
  EXPECT_THAT(steps, Not(HasSubstr("pointwise")));
  EXPECT_EQ(testing::count(steps, "transpose"), 2u) << steps;  // of the input and of the output
}

TEST(ExecutableConv, SlicesPadsAndConcatenationsKeepChannelsLast) {
  const Conv first{{2, 1, 64}, {8}, 18, 1, {4}, {1}, {0, 0}};
  const Conv second{{2, 9, 15}, {3}, 7, 1, {2}, {1}, {1, 1}};
  const std::string steps = check(
      [&](Maker& maker) {
        Builder& b = maker.build();
        Value* const x = first.make(maker, maker.input(first.x));
        Value *const re = b.slice(x, 1, 0, 9), *const im = b.slice(x, 1, 9, 18);
        Value* const power = b.op(Op::add, {b.op(Op::mul, {re, re}), b.op(Op::mul, {im, im})});
        Value* const padded = b.op(Op::pad, {power, b.ints({0, 0, 2, 0, 0, 1})});
        Value* const both[] = {padded, padded};
        Value* const joined = b.create(Op::concat, both, {{A::axis, int64_t{1}}})->result();
        return std::vector<Value*>{second.make(maker, b.slice(joined, -2, 4, 13)), joined};
      },
      1000);
  EXPECT_EQ(testing::count(steps, "highway conv"), 2u) << steps;
  EXPECT_EQ(testing::count(steps, "transpose"), 2u) << steps;  // of the outputs only
}

TEST(ExecutableConv, TransposesOfTheModelGo) {
  const Conv conv{{2, 9, 12}, {3}, 24, 1, {1}, {1}, {1, 1}};
  const std::string steps = check(
      [&](Maker& maker) {
        Builder& b = maker.build();
        Value* const x = b.transpose(maker.input({2, 12, 9}), {0, 2, 1});
        Value* const y = b.op(Op::relu, {conv.make(maker, x)});
        return std::vector<Value*>{b.transpose(y, {0, 2, 1}), b.transpose(y, {2, 0, 1})};
      },
      conv.terms());
  EXPECT_EQ(testing::count(steps, "transpose"), 1u) << steps;  // batch and time
}

TEST(ExecutableConv, WeightsThatAreNoConstants) {
  check(
      [&](Maker& maker) {
        return std::vector<Value*>{maker.build().op(
            Op::conv, {maker.input({1, 3, 9}), maker.input({4, 3, 2}, "w")},
            {{A::strides, Ints{1}}, {A::dilations, Ints{1}}, {A::pads, Ints{0, 0}}})};
      },
      10);
}

TEST(ExecutableConv, LargeOnes) {
  // Beyond what is decided without timing.
  check(Conv{{1, 64, 300}, {5}, 128, 1, {1}, {1}, {2, 2}});
  check(Conv{{1, 32, 40, 30}, {3, 3}, 64, 1, {1, 1}, {1, 1}, {1, 1, 1, 1}});
}

TEST(ExecutableConvTranspose, StridesDilationsGroupsAndPadding) {
  struct Case {
    Ints x, kernel, strides, dilations, pads, padding;
    int64_t filters, groups;
  };
  for (const Case& tested :
       {Case{{1, 5, 7}, {3}, {1}, {1}, {0, 0}, {0}, 6, 1},
        {{2, 17, 30}, {4}, {2}, {1}, {1, 1}, {0}, 19, 1},
        {{2, 6, 9}, {3}, {3}, {2}, {2, 1}, {1}, 8, 2},
        {{1, 4, 200}, {16}, {8}, {1}, {4, 4}, {0}, 33, 1},
        {{2, 6, 4, 5}, {3, 2}, {2, 1}, {1, 2}, {1, 0, 0, 1}, {1, 0}, 12, 3},
        {{1, 2, 3, 2, 4}, {2, 1, 3}, {1, 2, 2}, {1, 1, 1}, {0, 0, 1, 1, 0, 1}, {0, 1, 0}, 5, 1}}) {
    for (const bool bias : {false, true}) {
      const std::string steps = check(
          [&](Maker& maker) {
            Ints weights{tested.x[1], tested.filters / tested.groups};
            weights.insert(weights.end(), tested.kernel.begin(), tested.kernel.end());
            return std::vector<Value*>{
                maker.build().op(Op::conv_transpose,
                                 {maker.input(tested.x), maker.constant(weights),
                                  bias ? maker.constant({tested.filters}) : nullptr},
                                 {{A::strides, tested.strides},
                                  {A::dilations, tested.dilations},
                                  {A::pads, tested.pads},
                                  {A::output_padding, tested.padding},
                                  {A::groups, tested.groups}})};
          },
          60);
      EXPECT_THAT(steps, HasSubstr("highway conv_transpose"));
    }
  }
}

struct Pool {
  Op op;
  Ints x, kernel, strides, dilations, pads;
  bool ceil = false, with_padding = false;

  std::string check() const {
    const size_t axes = kernel.size();
    const auto filled = [&](const Ints& given, size_t count, int64_t value) {
      return given.empty() ? Ints(count, value) : given;
    };
    std::vector<Attribute> attributes = {{A::kernel, kernel},
                                         {A::strides, filled(strides, axes, 1)},
                                         {A::dilations, filled(dilations, axes, 1)},
                                         {A::pads, filled(pads, 2 * axes, 0)},
                                         {A::ceil_mode, ceil}};
    if (op == Op::average_pool) attributes.push_back({A::count_include_pad, with_padding});
    return refrain::check(
        [&](Maker& maker) {
          return std::vector<Value*>{maker.build().op(op, {maker.input(x)}, attributes)};
        },
        10);
  }
};

TEST(ExecutablePool, MaximaAndMeans) {
  for (const Op op : {Op::max_pool, Op::average_pool}) {
    for (const int64_t channels : {1, 5, 16, 17, 40}) {
      EXPECT_THAT((Pool{op, {2, channels, 11}, {3}, {2}, {}, {1, 1}}.check()),
                  HasSubstr("highway"));
    }
    for (const bool ceil : {false, true}) {
      for (const bool with_padding : {false, true}) {
        Pool{op, {2, 5, 7, 9}, {3, 2}, {2, 2}, {1, 1}, {1, 1, 1, 0}, ceil, with_padding}.check();
        Pool{op, {1, 3, 10}, {2}, {3}, {3}, {1, 1}, ceil, with_padding}.check();
        Pool{op,        {1, 3, 4, 5, 6},    {2, 3, 2}, {1, 2, 2},
             {1, 1, 1}, {0, 1, 0, 1, 1, 1}, ceil,      with_padding}
            .check();
      }
    }
  }
}

TEST(ExecutablePool, NotANumberWins) {
  const std::unique_ptr<Graph> graph = parse(R"(graph @g (%x: f32[1, 17, 4]) {
    %y = max_pool(%x) {kernel = [2], strides = [2], dilations = [1], pads = [0, 0]} : f32[1, 17, 2]
    yield "y" = %y
  })");
  std::vector<Tensor> inputs;
  inputs.emplace_back(ElementType::f32, Ints{1, 17, 4});
  inputs[0].data<float>()[2] = inputs[0].data<float>()[65] = NAN;
  for_each_target([&] {
    PreparedGraph prepared(*graph, {.kernels = KernelChoice::highway});
    const std::vector<Tensor> outputs = testing::run(prepared, inputs);
    for (size_t i = 0; i < 34; ++i) {
      EXPECT_EQ(std::isnan(outputs[0].data<float>()[i]), i == 1 || i == 32) << i;
    }
  });
}

TEST(ExecutableMove, TransposesOfAnySize) {
  for (const int64_t rows : {1, 3, 4, 5, 64, 67, 130}) {
    for (const int64_t columns : {1, 2, 4, 7, 65, 129}) {
      check(
          [&](Maker& maker) {
            return std::vector<Value*>{
                maker.build().transpose(maker.input({2, rows, columns}), {0, 2, 1})};
          },
          0);
    }
  }
}

TEST(ExecutableMatmul, OfAnyShapes) {
  struct Case {
    Ints a, b;
  };
  for (const Case& tested : {Case{{3, 7}, {7, 5}},
                             {{9, 20}, {20, 33}},
                             {{1, 64}, {64, 47}},
                             {{2, 3, 6, 8}, {2, 3, 8, 16}},
                             {{2, 1, 6, 8}, {3, 8, 31}},
                             {{7}, {7, 40}},
                             {{5, 6, 7}, {7}},
                             {{7}, {7}},
                             {{4, 0}, {0, 3}}}) {
    check(
        [&](Maker& maker) {
          return std::vector<Value*>{
              maker.build().op(Op::matmul, {maker.input(tested.a), maker.input(tested.b, "y")})};
        },
        64);
  }
}

TEST(ExecutableEinsum, OfAnyOperands) {
  struct Case {
    const char* equation;
    std::vector<Ints> operands;
  };
  for (const Case& tested : {Case{"bld,dn->bldn", {{2, 3, 5}, {5, 4}}},
                             {"bld,bln,bld->bldn", {{2, 3, 5}, {2, 3, 4}, {2, 1, 5}}},
                             {"ij,jk->ki", {{3, 7}, {7, 5}}},
                             {"ii->i", {{6, 6}}},
                             {"ij->", {{3, 7}}},
                             {"bhqd,bhkd->bhqk", {{2, 2, 3, 4}, {2, 2, 5, 4}}}}) {
    check(
        [&](Maker& maker) {
          std::vector<Value*> operands;
          for (size_t i = 0; i < tested.operands.size(); ++i) {
            operands.push_back(maker.input(tested.operands[i], i == 0 ? "x" : i == 1 ? "y" : "z"));
          }
          return std::vector<Value*>{
              maker.build()
                  .create(Op::einsum, operands, {{A::equation, std::string(tested.equation)}})
                  ->result()};
        },
        21);
  }
}

TEST(ExecutableMove, PadsTilesTrianglesAndReversals) {
  for (const char* mode : {"constant", "reflect", "edge"}) {
    const std::string steps = check(
        [&](Maker& maker) {
          Builder& b = maker.build();
          Value* const value = std::string(mode) == "constant" ? maker.constant({}) : nullptr;
          const std::vector<Value*> operands = {maker.input({3, 5, 6}), b.ints({0, 1, 2, 1, -1, 3}),
                                                value};
          return std::vector<Value*>{
              b.create(Op::pad, operands, {{A::mode, std::string(mode)}})->result()};
        },
        0);
    EXPECT_THAT(steps, HasSubstr("runs of elements"));
  }
  const std::string steps = check(
      [&](Maker& maker) {
        Builder& b = maker.build();
        Value* const x = maker.input({4, 5});
        return std::vector<Value*>{b.op(Op::tile, {x, b.ints({2, 3})}), b.op(Op::trilu, {x}),
                                   b.op(Op::trilu, {x, b.scalar<int64_t>(-1)}, {{A::upper, false}}),
                                   b.op(Op::reverse_sequence, {x, b.ints({4, 0, 1, 3, 2})},
                                        {{A::axis, int64_t{0}}, {A::batch_axis, int64_t{1}}})};
      },
      0);
  EXPECT_EQ(testing::count(steps, "runs of elements"), 4u) << steps;
}

}  // namespace
}  // namespace refrain
