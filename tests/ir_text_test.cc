#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <set>

#include "ir/builder.h"
#include "ir/dot.h"
#include "ir/error.h"
#include "ir/text.h"

namespace refrain {
namespace {

using ::testing::HasSubstr;

// Every op at least once, every attribute type, every kind of value type; already in printed form.
constexpr char kEveryOp[] =
    R"(graph @every_op (%x: f32[T, 4], %b: bool[], %n: i64[], %i: i64[2], %m: bool[T, 4], %s: seq<f32[?, 4]>, %o: opt<seq<f32[*]>>, %img: f32[N, 4, 8, 8], %len: i32[4]) {
  %0 = constant f32[2] (1, -2.5)
  %1 = constant i64[1] (1)
  %axes = constant i64[1] (0)
  %2 = dims() {dims = [T, 4]} : i64[2]
  %3 = dims() {dims = [T], keep_dims = false} : i64[]
  %4 = neg(%x) : f32[T, 4] @"where it came from"
  %5 = abs(%4) : f32[T, 4]
  %6 = sign(%5) : f32[T, 4]
  %7 = sqrt(%x) : f32[T, 4]
  %8 = exp(%x) : f32[T, 4]
  %9 = log(%x) : f32[T, 4]
  %10 = erf(%x) : f32[T, 4]
  %11 = floor(%x) : f32[T, 4]
  %12 = ceil(%x) : f32[T, 4]
  %13 = round(%x) : f32[T, 4]
  %14 = sin(%x) : f32[T, 4]
  %15 = cos(%x) : f32[T, 4]
  %16 = tan(%x) : f32[T, 4]
  %17 = asin(%x) : f32[T, 4]
  %18 = acos(%x) : f32[T, 4]
  %19 = atan(%x) : f32[T, 4]
  %20 = sinh(%x) : f32[T, 4]
  %21 = cosh(%x) : f32[T, 4]
  %22 = asinh(%x) : f32[T, 4]
  %23 = acosh(%x) : f32[T, 4]
  %24 = atanh(%x) : f32[T, 4]
  %25 = sigmoid(%x) : f32[T, 4]
  %26 = tanh(%x) : f32[T, 4]
  %27 = relu(%x) : f32[T, 4]
  %28 = leaky_relu(%x) {alpha = 0.2} : f32[T, 4]
  %29 = elu(%x) : f32[T, 4]
  %30 = selu(%x) : f32[T, 4]
  %31 = hard_sigmoid(%x) {alpha = 0.25, beta = 0x7ff8000000000000} : f32[T, 4]
  %32 = softplus(%x) : f32[T, 4]
  %33 = softsign(%x) : f32[T, 4]
  %34 = thresholded_relu(%x) {alpha = inf} : f32[T, 4]
  %35 = gelu(%x) {approximate = true} : f32[T, 4]
  %36 = logical_not(%m) : bool[T, 4]
  %37 = is_nan(%x) : bool[T, 4]
  %38 = cast(%x) {to = bf16} : bf16[T, 4]
  %39 = add(%x, %x) : f32[T, 4]
  %40 = sub(%x, %x) : f32[T, 4]
  %41 = mul(%x, %x) : f32[T, 4]
  %42 = div(%x, %x) : f32[T, 4]
  %43 = pow(%x, %n) : f32[T, 4]
  %44 = mod(%x, %x) {fmod = true} : f32[T, 4]
  %45 = max(%x, %x) : f32[T, 4]
  %46 = min(%x, %x) : f32[T, 4]
  %47 = prelu(%x, %x) : f32[T, 4]
  %48 = equal(%x, %x) : bool[T, 4]
  %49 = less(%x, %x) : bool[T, 4]
  %50 = less_equal(%x, %x) : bool[T, 4]
  %51 = greater(%x, %x) : bool[T, 4]
  %52 = greater_equal(%x, %x) : bool[T, 4]
  %53 = logical_and(%m, %48) : bool[T, 4]
  %54 = logical_or(%m, %48) : bool[T, 4]
  %55 = logical_xor(%m, %48) : bool[T, 4]
  %56 = where(%m, %x, %x) : f32[T, 4]
  %57 = transpose(%x) {perm = [1, 0]} : f32[4, T]
  %58 = matmul(%x, %57) : f32[T, T]
  %59 = einsum(%x, %x) {equation = "ij,kj->ik"} : f32[T, T]
  %60 = reduce_sum(%x, %1) : f32[T, 1]
  %61 = reduce_mean(%x) {keep_dims = false} : f32[]
  %62 = reduce_max(%x, %1) : f32[T, 1]
  %63 = reduce_min(%x, %1) : f32[T, 1]
  %64 = reduce_prod(%x, %1) : f32[T, 1]
  %65 = arg_max(%x) {axis = 1} : i64[T, 1]
  %66 = arg_min(%x) {axis = 1} : i64[T, 1]
  %67 = softmax(%x) : f32[T, 4]
  %68 = log_softmax(%x) : f32[T, 4]
  %69 = cum_sum(%x, %n) : f32[T, 4]
  %70, %71 = top_k(%x, %1) : f32[T, 1], i64[T, 1]
  %72 = shape(%x) {end = 1} : i64[1]
  %73 = reshape(%x, %2) : f32[T, 4]
  %74 = squeeze(%60, %1) : f32[T]
  %75 = unsqueeze(%x, %axes) : f32[1, T, 4]
  %76 = concat(%x, %x) {axis = 1} : f32[T, 8]
  %77, %78 = split(%x) {axis = 1} : f32[T, 2], f32[T, 2]
  %79 = slice(%x, %axes, %1, _, %1) : f32[?, 4]
  %80 = gather(%x, %n) : f32[4]
  %81 = gather_elements(%x, %65) {axis = 1} : f32[T, 1]
  %82 = gather_nd(%x, %i) : f32[]
  %83 = scatter_nd(%x, %65, %x) {reduction = "add"} : f32[T, 4]
  %84 = scatter_elements(%x, %65, %60) {axis = 1} : f32[T, 4]
  %85 = expand(%x, %2) : f32[T, 4]
  %86 = tile(%x, %i) : f32[?, ?]
  %87 = pad(%x, %i, _, %1) {mode = "edge"} : f32[T, ?]
  %88 = fill(%2) {value = f32[1] (0)} : f32[T, 4]
  %89 = range(%n, %n, %n) : i64[?]
  %90 = one_hot(%i, %n, %0) : f32[2, ?]
  %91 = trilu(%x) {upper = false} : f32[T, 4]
  %92 = reverse_sequence(%x, %len) : f32[T, 4]
  %93 = constant f32[4, 4, 3, 3] splat(0.5)
  %94 = conv(%img, %93) {strides = [2, 2], pads = [1, 1, 1, 1]} : f32[N, 4, 4, 4]
  %95 = conv_transpose(%img, %93) {auto_pad = "same_upper"} : f32[N, 4, 8, 8]
  %96, %97 = max_pool(%img) {kernel = [2, 2]} : f32[N, 4, 7, 7], i64[N, 4, 7, 7]
  %98 = average_pool(%img) {kernel = [2, 2], ceil_mode = true} : f32[N, 4, 7, 7]
  %99 = sequence_empty() {element = i8} : seq<i8[*]>
  %100 = sequence_construct(%x, %x) : seq<f32[T, 4]>
  %101 = sequence_insert(%s, %x) : seq<f32[?, 4]>
  %102 = sequence_erase(%s) : seq<f32[?, 4]>
  %103 = sequence_at(%s, %n) : f32[?, 4]
  %104 = sequence_length(%s) : i64[]
  %105 = concat_from_sequence(%s) : f32[?, 4]
  %106 = split_to_sequence(%x) : seq<f32[1, 4]>
  %107 = optional(%x) : opt<f32[T, 4]>
  %108 = has_element(%o) : bool[]
  %109 = get_element(%o) : seq<f32[*]>
  %final, %ys, %yr = scan lengths(%len) batch_axis(-1) invariant(%110 = %0: f32[2], %111 = %n: i64[]) state(%h = %80: f32[4]) scanned(%xt = %x[0]: f32[4]) stacked([0], [-1]) {
    %112 = add(%h, %xt) : f32[4]
    yield %112, %112, %xt
  } : f32[4], f32[T, 4], f32[4, T] @"recurrence"
  %113, %rev = scan trips(%n) state(%114 = %80: f32[4]) scanned(%115 = %x[0 reverse]: f32[4]) stacked([0 reverse]) {
    yield %114, %115
  } : f32[4], f32[T, 4]
  %"31", %"\x22q\x22" = loop trips(%n) while(%b) iteration(%step) invariant(%116 = %x: f32[T, 4]) state(%117 = %n: i64[]) {
    %118 = less(%117, %step) : bool[]
    yield %118, %117, %116
  } : i64[], f32[?, T, 4]
  %119 = branch(%b) then(%120 = %x: f32[T, 4]) {
    yield %120
  } else(%121 = %x: f32[T, 4]) {
    %122 = neg(%121) : f32[T, 4]
    yield %122
  } : f32[T, 4]
  yield "y" = %119, "s" = %s, "again" = %119
}
)";

void collect_ops(const Region& region, std::set<Op>& ops) {
  for (const Node* node = region.first(); node; node = node->next()) {
    ops.insert(node->op());
    for (size_t i = 0; i < node->region_count(); ++i) collect_ops(node->region(i), ops);
  }
}

TEST(Text, EveryOpPrintsAsItWasParsed) {
  const std::string text = kEveryOp;
  const std::unique_ptr<Graph> graph = parse(text);
  EXPECT_EQ(print(*graph), text);
  std::set<Op> ops;
  collect_ops(graph->body(), ops);
  for (size_t i = 0; i < kOpCount; ++i) {
    EXPECT_TRUE(ops.contains(static_cast<Op>(i)))
        << name(static_cast<Op>(i)) << " is not in the text";
  }
  EXPECT_THAT(to_dot(*graph), HasSubstr("cluster"));
}

template <typename T>
void expect_bits_survive(const std::vector<T>& values) {
  Graph graph;
  Builder builder(graph.body());
  Value* constant = builder.constant(Tensor::of<T>({static_cast<int64_t>(values.size())}, values));
  graph.set_outputs({&constant, 1}, {"y"});
  const std::string text = print(graph);
  const std::unique_ptr<Graph> again = parse(text);
  EXPECT_EQ(print(*again), text);
  EXPECT_TRUE(identical(*constant_tensor(graph.output(0)), *constant_tensor(again->output(0))))
      << text;
}

TEST(Text, ElementsKeepEveryBit) {
  const double inf = std::numeric_limits<double>::infinity();
  expect_bits_survive<double>({0.1, -0.0, 5e-324, inf, -inf, std::nan(""), 1.7976931348623157e308});
  expect_bits_survive<float>({0.1f, -0.0f, 1e-45f, static_cast<float>(inf),
                              -static_cast<float>(inf), std::bit_cast<float>(0xffc12345u),
                              3.4028235e38f});
  expect_bits_survive<int64_t>(
      {std::numeric_limits<int64_t>::min(), -1, std::numeric_limits<int64_t>::max()});
  expect_bits_survive<uint64_t>({0, std::numeric_limits<uint64_t>::max()});
  expect_bits_survive<int8_t>({-128, 127});
  for (uint32_t high = 0; high < 256; ++high) {  // all of f16 and bf16
    std::vector<Float16> halves(256);
    std::vector<BFloat16> brains(256);
    for (uint32_t low = 0; low < 256; ++low) {
      halves[low].bits = brains[low].bits = static_cast<uint16_t>(high * 256 + low);
    }
    for (uint32_t part = 0; part < 256; part += 64) {  // few enough to be printed one by one
      expect_bits_survive<Float16>({halves.begin() + part, halves.begin() + part + 64});
      expect_bits_survive<BFloat16>({brains.begin() + part, brains.begin() + part + 64});
    }
  }
}

TEST(Text, LargeTensorsAreHexAndElidedOnes) {
  std::vector<float> values(100);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) / 3;
  expect_bits_survive(values);
  Graph graph;
  Builder builder(graph.body());
  Value* constant = builder.constant(Tensor::of<float>({100}, values));
  graph.set_outputs({&constant, 1}, {"y"});
  const std::string elided = print(graph, {.all_elements = false});
  EXPECT_THAT(elided, HasSubstr("constant f32[100] (...)"));
  EXPECT_THROW(parse(elided), Error);
}

TEST(Text, ValuesOfOneNameGetDistinctOnes) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(ElementType::f32, {}), "x");
  Builder builder(graph.body());
  Value* a = builder.op(Op::neg, {x});
  Value* b = builder.op(Op::neg, {a});
  Value* c = builder.op(Op::neg, {b});
  a->set_name("x");
  b->set_name("x.1");
  c->set_name("x");
  graph.set_outputs({&c, 1}, {"y"});
  const std::string text = print(graph);
  EXPECT_EQ(print(*parse(text)), text);
}

struct Malformed {
  const char* text;
  const char* message;  // a part of it
};

class TextErrors : public ::testing::TestWithParam<Malformed> {};

TEST_P(TextErrors, SayWhereAndWhat) {
  try {
    parse(GetParam().text, "model.txt");
    FAIL() << "parsed";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(GetParam().message));
    EXPECT_THAT(error.what(), HasSubstr("model.txt"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Malformed, TextErrors,
    ::testing::Values(
        Malformed{"", "model.txt:1:1: syntax error: expected graph, found the end of the text"},
        Malformed{"graph @g () {\n  yield \"y\" = %x\n}", "model.txt:2:15: undefined value"},
        Malformed{"graph @g (%x: f99[]) { yield }", "unknown element type"},
        Malformed{"graph @g (%x: f32[]) { %y = foo(%x) : f32[] yield }", "unknown op"},
        Malformed{"graph @g (%x: f32[]) { %y = neg(%x) {axis = 1} : f32[] yield }",
                  "unknown attribute"},
        Malformed{"graph @g (%x: f32[]) { %x = neg(%x) : f32[] yield }", "defined twice"},
        Malformed{"graph @g (%x: f32[]) { %y = neg(%x) : f64[] yield }",
                  "node \"y\" (neg): result 0 has the wrong type: expected f32[], found f64[]"},
        Malformed{"graph @g (%x: f32[2], %z: f32[3]) { %y = add(%x, %z) : f32[3] yield }",
                  "shapes don't broadcast"},
        Malformed{"graph @g () { %y = constant f32[2] (1) yield }", "wrong number of elements"},
        Malformed{"graph @g () { %y = constant f32[99999999999, 99999999999] splat(1) yield }",
                  "overflows"},
        Malformed{"graph @g () { %y = constant f32[9999999999] splat(1) yield }", "out of memory"},
        Malformed{"graph @g () { %y = constant f32[1] (1e999) yield }", "out of range"},
        Malformed{"graph @g () { %y = constant u8[1] (256) yield }", "out of range"},
        Malformed{"graph @g () { %y = constant bool[2] hex\"0102\" yield }", "no truth values"},
        Malformed{"graph @g () { %y = constant f32[2] blob(0) yield }",
                  "elements of this tensor are not in the text"},
        Malformed{"graph @g () { %y = constant f32[1] hex\"0000\" yield }",
                  "wrong number of hex digits"},
        Malformed{"graph @g (%x: f32[\"\"]) { yield }", "name is empty"},
        Malformed{"graph @g (%x: f32[-1]) { yield }", "negative dimension"},
        Malformed{"graph @\"g", "a string does not end"},
        Malformed{"graph @g () { %y = dims() {dims = [T]} : i64[1] yield }",
                  "no graph input binds"},
        Malformed{"graph @g (%x: f32[3]) { %y = neg(%x) : f32[] yield }", "wrong type"},
        Malformed{"graph @g (%x: i64[]) { yield } x", "the end of the text"}));

TEST(Text, DeepNestingIsRefusedWithoutDeepRecursion) {
  std::string text = "graph @g (%b: bool[]) {\n";
  for (int i = 0; i < 100'000; ++i) text += "branch(%b) then(%b = %b: bool[]) {\n";
  EXPECT_THROW(parse(text), Error);
}

TEST(Text, EveryPrefixIsRefusedOrParses) {
  const std::string text = kEveryOp;
  for (size_t length = 0; length + 1 < text.size(); length += 7) {
    EXPECT_THROW(parse(std::string_view(text).substr(0, length)), Error) << length;
  }
}

}  // namespace
}  // namespace refrain
