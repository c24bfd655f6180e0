// oneDNN's kernels give what the reference backend gives; its recurrent primitives what the
// specification says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <thread>

#include "backends/onednn/kernels.h"
#include "support/compare.h"
#include "support/random.h"
#include "support/recurrent_model.h"
#include "support/recurrent_oracle.h"
#include "support/run_op.h"

namespace refrain {
namespace {

using A = AttributeName;
using testing::close;
using ::testing::HasSubstr;
using testing::Random;
using Ints = std::vector<int64_t>;

// A node over graph inputs, and the kernel for it.
struct Case {
  Graph graph;
  const Node* node = nullptr;
  std::vector<Tensor> operands;
  std::unique_ptr<StepKernel> kernel;

  // Operand 1, if `constant`, never changes.
  Case(Op op, std::vector<Tensor> tensors, std::vector<Attribute> attributes, bool constant,
       const onednn::KernelOptions& options = {}, size_t results = 1)
      : operands(std::move(tensors)) {
    std::vector<Value*> values;
    for (const Tensor& operand : operands) {
      values.push_back(
          graph.add_input(ValueType::tensor(operand.type(), Shape::of_extents(operand.extents())),
                          "x" + std::to_string(values.size())));
    }
    Builder builder(graph.body());
    node = builder.create(op, values, std::move(attributes), results);
    std::vector<const Tensor*> constants(operands.size());
    if (constant) constants[1] = &operands[1];
    kernel = onednn::make_kernel(*node, constants, options);
  }

  std::vector<const Tensor*> pointers() const {
    std::vector<const Tensor*> result;
    for (const Tensor& operand : operands) result.push_back(&operand);
    return result;
  }

  Tensor run() const {
    const ValueType& type = node->result()->type();
    Tensor result(type.element, type.shape.extents());
    std::vector<const void*> data;
    for (const Tensor& operand : operands) data.push_back(operand.raw());
    void* const results[] = {result.raw()};
    kernel->run(data.data(), results);
    return result;
  }

  // Several runs, each with other inputs at other addresses; operand 1 stays what it was.
  void check(Random& random) {
    ASSERT_TRUE(kernel);
    SCOPED_TRACE(kernel->describe());
    for (int run_number = 0; run_number < 2; ++run_number) {
      const Tensor expected =
          testing::run_op(node->op(), pointers(), std::vector<Attribute>(node->attributes()));
      EXPECT_TRUE(close(run(), expected, 1e-5, 2e-5));
      operands[0] = random.tensor(ElementType::f32, operands[0].extents());
    }
  }
};

TEST(Onednn, ProductsOfEveryGeometry) {
  const std::vector<std::pair<Ints, Ints>> operands = {{{3, 4}, {4, 5}},
                                                       {{4}, {4, 5}},
                                                       {{3, 4}, {4}},
                                                       {{4}, {4}},
                                                       {{2, 3, 4}, {4, 5}},
                                                       {{2, 3, 4}, {2, 4, 5}},
                                                       {{3, 4}, {2, 4, 5}},
                                                       {{6, 1, 3, 4}, {2, 4, 5}},
                                                       {{2, 1, 3, 4}, {1, 6, 4, 5}},
                                                       {{100, 64}, {64, 256}},
                                                       {{1, 33}, {33, 70}},
                                                       {{1, 2, 1, 2, 1, 3, 4}, {4, 5}}};
  Random random(2);
  for (const auto& [a, b] : operands) {
    SCOPED_TRACE(testing::text(a) + " by " + testing::text(b));
    for (bool constant : {false, true}) {
      Case test(
          Op::matmul,
          [&] {
            std::vector<Tensor> result;
            result.push_back(random.tensor(ElementType::f32, a));
            result.push_back(random.tensor(ElementType::f32, b));
            return result;
          }(),
          {}, constant);
      test.check(random);
    }
  }
}

// Random windows that fit; null where a window of the kind is not oneDNN's to run.
struct Windows {
  Ints input, kernel, strides, dilations, pads;
  std::string auto_pad = "none";

  Windows(Random& random, size_t spatial, bool transposed) : pads(2 * spatial) {
    for (size_t i = 0; i < spatial; ++i) {
      kernel.push_back(random.integer(1, 4));
      strides.push_back(random.integer(1, 3));
      dilations.push_back(random.integer(1, 2));
      const int64_t span = (kernel[i] - 1) * dilations[i] + 1;
      input.push_back(transposed ? random.integer(1, 7) : span + random.integer(0, 9));
      // A transposed convolution takes away as many places as it pads.
      const int64_t most = transposed ? (span - 1) / 2 : span - 1;
      pads[i] = random.integer(0, most);
      pads[spatial + i] = random.integer(0, most);
    }
    if (random.integer(0, 3) == 0) {
      auto_pad = random.integer(0, 1) == 0 ? "same_upper" : "same_lower";
      pads.clear();
    }
  }

  std::vector<Attribute> attributes() const {
    return {
        {A::strides, strides}, {A::dilations, dilations}, {A::pads, pads}, {A::auto_pad, auto_pad}};
  }
  std::string text() const {
    return "input " + testing::text(input) + " kernel " + testing::text(kernel) + " strides " +
           testing::text(strides) + " dilations " + testing::text(dilations) + " pads " +
           testing::text(pads) + " " + auto_pad;
  }
};

Ints joined(Ints a, const Ints& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

void check_convolutions(bool transposed) {
  Random random(transposed ? 5 : 4);
  int made = 0;
  constexpr int kCases = 150;
  for (int i = 0; i < kCases; ++i) {
    const size_t spatial = static_cast<size_t>(random.integer(1, i % 10 == 0 ? 3 : 2));
    const Windows windows(random, spatial, transposed);
    const int64_t groups = random.integer(1, 3);
    const int64_t in = random.integer(1, 20), out = random.integer(1, 20);  // of one group
    std::vector<Tensor> operands;
    operands.push_back(random.tensor(ElementType::f32,
                                     joined({random.integer(1, 3), groups * in}, windows.input)));
    operands.push_back(random.tensor(
        ElementType::f32,
        joined(transposed ? Ints{groups * in, out} : Ints{groups * out, in}, windows.kernel), -0.3,
        0.3));
    if (random.integer(0, 1) == 1)
      operands.push_back(random.tensor(ElementType::f32, {groups * out}));
    std::vector<Attribute> attributes = windows.attributes();
    attributes.push_back({A::groups, groups});
    if (transposed && windows.auto_pad == "none" && random.integer(0, 1) == 1) {
      Ints padding;
      for (int64_t stride : windows.strides) padding.push_back(random.integer(0, stride - 1));
      attributes.push_back({A::output_padding, padding});
    }
    SCOPED_TRACE("case " + std::to_string(i) + ": groups " + std::to_string(groups) + " channels " +
                 std::to_string(in) + " to " + std::to_string(out) + " " + windows.text());
    Case test(transposed ? Op::conv_transpose : Op::conv, std::move(operands),
              std::move(attributes), random.integer(0, 3) > 0);
    if (!test.kernel) continue;
    ++made;
    test.check(random);
  }
  EXPECT_GE(made, kCases * (transposed ? 6 : 8) / 10);
}

TEST(Onednn, Convolutions) { check_convolutions(false); }
TEST(Onednn, TransposedConvolutions) { check_convolutions(true); }

TEST(Onednn, Pooling) {
  Random random(6);
  int made = 0;
  constexpr int kCases = 300;
  for (int i = 0; i < kCases; ++i) {
    const size_t spatial = static_cast<size_t>(random.integer(1, i % 10 == 0 ? 3 : 2));
    const Windows windows(random, spatial, false);
    std::vector<Tensor> operands;
    operands.push_back(random.tensor(
        ElementType::f32, joined({random.integer(1, 3), random.integer(1, 20)}, windows.input)));
    const bool max = random.integer(0, 1) == 0;
    std::vector<Attribute> attributes = windows.attributes();
    attributes.push_back({A::kernel, windows.kernel});
    const bool ceil_mode = random.integer(0, 1) == 0;
    attributes.push_back({A::ceil_mode, ceil_mode});
    const bool counted = !max && random.integer(0, 1) == 0;
    if (!max) attributes.push_back({A::count_include_pad, counted});
    SCOPED_TRACE("case " + std::to_string(i) + (max ? " max " : " average ") +
                 (ceil_mode ? "ceil " : "") + (counted ? "counted " : "") + windows.text());
    Case test(max ? Op::max_pool : Op::average_pool, std::move(operands), std::move(attributes),
              false);
    if (!test.kernel) continue;
    ++made;
    test.check(random);
  }
  EXPECT_GE(made, kCases / 2);
}

std::vector<Tensor> one_tensor(ElementType type, const Ints& extents) {
  std::vector<Tensor> result;
  result.push_back(Random(1).tensor(type, extents));
  return result;
}

TEST(Onednn, HasNoKernelWhereItWouldGiveSomethingElse) {
  const auto pool = [](Op op, ElementType type, const Ints& input, std::vector<Attribute> more,
                       size_t results = 1) {
    more.push_back({A::kernel, Ints{2}});
    return Case(op, one_tensor(type, input), std::move(more), false, {}, results).kernel != nullptr;
  };
  const Ints x = {1, 2, 5};
  EXPECT_TRUE(pool(Op::max_pool, ElementType::f32, x, {}));
  EXPECT_FALSE(pool(Op::max_pool, ElementType::f64, x, {}));
  EXPECT_FALSE(pool(Op::max_pool, ElementType::f32, x, {}, 2));  // wants indices
  EXPECT_FALSE(pool(Op::max_pool, ElementType::f32, {0, 2, 5}, {}));
  // The first window lies in padding alone.
  EXPECT_FALSE(pool(Op::max_pool, ElementType::f32, x, {{A::pads, Ints{2, 0}}}));
  // The last window reaches beyond the padding, whose places alone count.
  const Attribute strides{A::strides, Ints{2}}, ceil{A::ceil_mode, true};
  EXPECT_FALSE(
      pool(Op::average_pool, ElementType::f32, x, {strides, ceil, {A::count_include_pad, true}}));
  EXPECT_TRUE(pool(Op::average_pool, ElementType::f32, x, {strides, ceil}));
  EXPECT_FALSE(Case(Op::tanh, one_tensor(ElementType::f32, {3}), {}, false).kernel);
}

TEST(Onednn, KernelsShareWhatIsPacked) {
  Random random(7);
  onednn::SharedBuffers buffers;
  std::vector<std::unique_ptr<StepKernel>> kernels;
  Graph graph;
  const Tensor a = random.tensor(ElementType::f32, {3, 40});
  const Tensor b = random.tensor(ElementType::f32, {40, 50});
  Value* x = graph.add_input(ValueType::tensor(ElementType::f32, {3, 40}), "a");
  Value* w = graph.add_input(ValueType::tensor(ElementType::f32, {40, 50}), "b");
  Builder builder(graph.body());
  const Node* node = builder.op(Op::matmul, {x, w})->node();
  const Tensor* const constants[] = {nullptr, &b};
  const Tensor expected = testing::run_op(Op::matmul, {&a, &b});
  for (int i = 0; i < 3; ++i)
    kernels.push_back(onednn::make_kernel(*node, constants, {1, &buffers}));
  for (const auto& kernel : kernels) {
    Tensor y(ElementType::f32, {3, 50});
    const void* const operands[] = {a.raw(), b.raw()};
    void* const results[] = {y.raw()};
    kernel->run(operands, results);
    EXPECT_TRUE(close(y, expected, 1e-5, 1e-5));
  }
}

// A kernel must not leave the caller with another number of threads, whatever thread calls it.
TEST(Onednn, LeavesTheCallersThreadsAlone) {
  Random random(8);
  const auto check = [&](int threads) {
    omp_set_num_threads(threads);
    std::vector<Tensor> operands;
    operands.push_back(random.tensor(ElementType::f32, {64, 64}));
    operands.push_back(random.tensor(ElementType::f32, {64, 64}));
    Case test(Op::matmul, std::move(operands), {}, true);
    EXPECT_EQ(omp_get_max_threads(), threads);
    test.check(random);
    EXPECT_EQ(omp_get_max_threads(), threads);
  };
  check(3);
  std::thread(check, 2).join();
}

std::vector<float> floats(const std::vector<double>& values) {
  return std::vector<float>(values.begin(), values.end());
}

void expect_near(const std::vector<float>& actual, const std::vector<double>& expected,
                 const char* what) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], 2e-5) << what << " at " << i;
  }
}

void check_recurrent(onednn::Cell cell, bool backward, bool with_bias, int64_t T, int64_t B,
                     int64_t I, int64_t H) {
  SCOPED_TRACE("cell " + std::to_string(static_cast<int>(cell)) + (backward ? " backward" : "") +
               " " + testing::text(Ints{T, B, I, H}));
  const bool lstm = cell == onednn::Cell::lstm;
  const bool gru = cell == onednn::Cell::gru || cell == onednn::Cell::lbr_gru;
  Random random(static_cast<uint64_t>(9 + H));
  testing::RecurrentLayer layer = testing::plain_layer(lstm  ? "LSTM"
                                                       : gru ? "GRU"
                                                             : "RNN",
                                                       random, T, B, I, H);
  layer.reverse = {backward};
  layer.linear_before_reset = cell == onednn::Cell::lbr_gru;
  if (cell == onednn::Cell::vanilla_relu) layer.activations = {{"Relu"}};
  const double scale = 1 / std::sqrt(static_cast<double>(H));
  for (double& w : layer.w) w *= scale;
  for (double& r : layer.r) r *= scale;
  if (with_bias) layer.b = testing::random_reals(random, 2 * layer.gates() * H);
  layer.h0 = testing::random_reals(random, B * H);
  if (lstm) layer.c0 = testing::random_reals(random, B * H);
  const testing::RecurrentResult expected = evaluate(layer);

  const auto w = floats(layer.w), r = floats(layer.r), b = floats(layer.b), x = floats(layer.x),
             h0 = floats(layer.h0), c0 = floats(layer.c0);
  onednn::RecurrentPrimitive primitive({cell, T, B, I, H, backward}, w.data(), r.data(),
                                       with_bias ? b.data() : nullptr);
  std::vector<float> y(static_cast<size_t>(T * B * H)), h(static_cast<size_t>(B * H)),
      c(lstm ? h.size() : 0);
  for (int run = 0; run < 2; ++run) {
    primitive.run(x.data(), h0.data(), lstm ? c0.data() : nullptr, y.data(), h.data(),
                  lstm ? c.data() : nullptr);
    expect_near(y, expected.y, "y");
    expect_near(h, expected.h, "h");
    if (lstm) expect_near(c, expected.c, "c");
  }
}

TEST(Onednn, RecurrentPrimitives) {
  using onednn::Cell;
  for (Cell cell : {Cell::vanilla_tanh, Cell::vanilla_relu, Cell::lstm, Cell::gru, Cell::lbr_gru}) {
    for (bool backward : {false, true}) {
      for (bool with_bias : {false, true}) {
        check_recurrent(cell, backward, with_bias, 1, 1, 3, 5);
        check_recurrent(cell, backward, with_bias, 7, 1, 16, 16);
        check_recurrent(cell, backward, with_bias, 5, 3, 10, 33);
        check_recurrent(cell, backward, with_bias, 4, 16, 64, 64);
      }
    }
  }
}

}  // namespace
}  // namespace refrain
