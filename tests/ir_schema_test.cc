// Shape inference, op by op: each line states the type that its schema must infer, exactly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "ir/error.h"
#include "ir/graph.h"
#include "ir/text.h"

namespace refrain {
namespace {

using ::testing::HasSubstr;

constexpr char kInputs[] =
    "graph @g (%a: f32[T, 4], %b: f32[B, 1], %m: f32[2, 3], %v: f32[3], %u: f32[*], %q: f32[?, 3], "
    "%n: i64[], %i: i64[2], %k: i64[?], %f: bool[], %img: f32[N, 6, 9], %big: f32[T, B, 2, 8], "
    "%r: f16[3], %l: i32[B]) {\n"
    "%zero = constant i64[1] (0)\n%one = constant i64[1] (1)\n%last = constant i64[1] (-1)\n"
    "%max = constant i64[1] (9223372036854775807)\n%min = constant i64[1] (-9223372036854775808)\n"
    "%two = constant i64[1] (2)\n%s0 = constant i64[] (0)\n%s3 = constant i64[] (3)\n"
    "%s7 = constant i64[] (7)\n%w3 = constant f32[4, 6, 3] splat(1)\n";

std::string with_inputs(const std::string& lines) { return kInputs + lines + "\nyield\n}"; }

class Inference : public ::testing::TestWithParam<const char*> {};

TEST_P(Inference, GivesTheTypeThatIsWritten) {
  const std::unique_ptr<Graph> graph = parse(with_inputs(GetParam()));
  for (const Node* node = graph->body().first(); node; node = node->next()) {
    const std::vector<ValueType> inferred = infer_types(*node);
    for (size_t i = 0; i < node->result_count(); ++i) {
      EXPECT_EQ(to_string(inferred[i]), to_string(node->result(i)->type())) << name(node->op());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Elementwise, Inference,
    ::testing::Values("%y = add(%a, %a) : f32[T, 4]", "%y = add(%a, %b) : f32[?, 4]",
                      "%y = mul(%v, %m) : f32[2, 3]", "%y = sub(%u, %v) : f32[*]",
                      "%y = add(%q, %m) : f32[2, 3]", "%y = less(%m, %v) : bool[2, 3]",
                      "%y = where(%f, %m, %v) : f32[2, 3]", "%y = pow(%m, %n) : f32[2, 3]",
                      "%y = cast(%k) {to = f32} : f32[?]", "%y = sigmoid(%r) : f16[3]"));

INSTANTIATE_TEST_SUITE_P(
    Products, Inference,
    ::testing::Values(
        "%y = matmul(%m, %v) : f32[2]", "%y = matmul(%v, %v) : f32[]",
        "%t = transpose(%m) {perm = [1, 0]} : f32[3, 2]\n%y = matmul(%v, %t) : f32[2]",
        "%t = transpose(%big) {perm = [0, 1, 3, 2]} : f32[T, B, 8, 2]\n%y = matmul(%big, %t) : "
        "f32[T, B, 2, 2]",
        "%y = matmul(%u, %m) : f32[*]", "%y = matmul(%q, %v) : f32[?]",
        "%y = einsum(%big, %v) {equation = \"tbij,k->bk\"} : f32[B, 3]",
        "%y = conv(%img, %w3) : f32[N, 4, 7]",
        "%y = conv(%img, %w3) {pads = [1, 1]} : f32[N, 4, 9]",
        "%y = conv(%img, %w3) {strides = [2], dilations = [2]} : f32[N, 4, 3]",
        "%y = conv(%img, %w3) {strides = [2], auto_pad = \"same_lower\"} : f32[N, 4, 5]",
        "%c = constant i32[2, 3, 5] splat(1)\n%y = conv(%c, %c) : i32[2, 2, 1]",
        "%w = constant f32[6, 2, 4] splat(1)\n%y = conv_transpose(%img, %w) {strides = [2], "
        "output_padding = [1]} "
        ": f32[N, 2, 21]",
        "%w = constant f32[6, 2, 4] splat(1)\n%y = conv_transpose(%img, %w) {strides = [2], "
        "output_shape = [18]} "
        ": f32[N, 2, 18]",
        "%y = max_pool(%img) {kernel = [2], strides = [2]} : f32[N, 6, 4]",
        "%y = max_pool(%img) {kernel = [2], strides = [2], ceil_mode = true} : f32[N, 6, 5]",
        // a window that would begin in the padding at the end does not count
        "%y = average_pool(%img) {kernel = [1], strides = [3], pads = [0, 1], ceil_mode = true} : "
        "f32[N, 6, 3]"));

INSTANTIATE_TEST_SUITE_P(
    Reductions, Inference,
    ::testing::Values(
        "%y = reduce_sum(%m, %last) : f32[2, 1]", "%y = reduce_max(%m) : f32[1, 1]",
        "%y = reduce_mean(%m, %one) {keep_dims = false} : f32[2]",
        "%y = reduce_mean(%m, %k) : f32[?, ?]",
        "%y = reduce_mean(%m, %k) {keep_dims = false} : f32[*]",
        "%e = constant i64[0] ()\n%y = reduce_sum(%m, %e) {noop_with_empty_axes = true} : f32[2, "
        "3]",
        "%e = constant i64[0] ()\n%y = reduce_sum(%m, %e) {keep_dims = false} : f32[]",
        "%y = arg_max(%a) {axis = -1, keep_dims = false} : i64[T]",
        "%y, %z = top_k(%a, %two) : f32[T, 2], i64[T, 2]",
        "%y, %z = top_k(%a, %k) : f32[T, ?], i64[T, ?]"));

INSTANTIATE_TEST_SUITE_P(
    Shapes, Inference,
    ::testing::Values(
        "%y = shape(%a) : i64[2]", "%y = shape(%a) {start = -1} : i64[1]",
        "%y = shape(%u) : i64[?]", "%y = shape(%a) {start = 2, end = 1} : i64[0]",
        "%s = constant i64[3] (0, 0, -1)\n%y = reshape(%big, %s) : f32[T, B, 16]",
        "%s = constant i64[2] (-1, 16)\n%y = reshape(%big, %s) : f32[?, 16]",
        "%s = constant i64[2] (-1, 4)\n%y = reshape(%a, %s) : f32[T, 4]",
        "%s = dims() {dims = [B, T, 16]} : i64[3]\n%y = reshape(%big, %s) : f32[B, T, 16]",
        "%s = constant i64[2] (0, 5)\n%e = constant f32[0, 3] ()\n%y = reshape(%e, %s) {allow_zero "
        "= true} : f32[0, 5]",
        "%y = reshape(%a, %i) : f32[?, ?]", "%y = reshape(%a, %k) : f32[*]",
        "%y = squeeze(%b, %one) : f32[B]", "%y = squeeze(%b) : f32[*]",
        "%y = squeeze(%q, %zero) : f32[3]", "%y = unsqueeze(%a, %last) : f32[T, 4, 1]",
        "%y = unsqueeze(%a, %k) : f32[*]", "%y = transpose(%u) {perm = [1, 0]} : f32[?, ?]",
        "%y = expand(%b, %i) : f32[?, ?]",
        "%s = dims() {dims = [T, B, 4]} : i64[3]\n%y = expand(%a, %s) : f32[T, ?, 4]",
        "%s = constant i64[2] (2, 3)\n%y = tile(%a, %s) : f32[?, 12]",
        "%s = dims() {dims = [B, 8]} : i64[2]\n%y = fill(%s) {value = f32[1] (0)} : f32[B, 8]",
        "%y = range(%s0, %s7, %s3) : i64[3]", "%y = range(%s7, %s0, %s3) : i64[0]",
        "%y = range(%s0, %n, %s3) : i64[?]", "%y = concat(%a, %a) {axis = 0} : f32[?, 4]",
        "%y = concat(%a, %a) {axis = -1} : f32[T, 8]", "%y = concat(%q, %m) {axis = 1} : f32[2, 6]",
        "%y, %z = split(%v) : f32[2], f32[1]",
        "%s = constant i64[2] (1, 3)\n%y, %z = split(%a, %s) {axis = 1} : f32[T, 1], f32[T, 3]"));

INSTANTIATE_TEST_SUITE_P(
    Indexing, Inference,
    ::testing::Values(
        "%y = slice(%a, %zero, %max, %zero) : f32[T, 4]",
        "%y = slice(%a, %zero, %two, %one) : f32[T, 2]",
        "%y = slice(%a, %last, %min, %one, %last) : f32[T, 4]",
        "%y = slice(%a, %last, %min, %zero, %last) : f32[T, 4]",
        "%y = slice(%a, %zero, %two, %zero) : f32[?, 4]", "%y = slice(%a, %k, %k) : f32[?, ?]",
        "%y = gather(%a, %n) : f32[4]", "%y = gather(%big, %i) {axis = -2} : f32[T, B, 2, 8]",
        "%y = gather(%a, %l) {axis = 1} : f32[T, B]", "%y = gather_nd(%big, %i) : f32[2, 8]",
        "%p = constant i64[4] (0, 1, 0, 2)\n%y = pad(%a, %p) : f32[T, 7]",
        "%p = constant i64[2] (1, 1)\n%y = pad(%a, %p, _, %zero) : f32[?, 4]",
        "%p = constant i64[2] (-1, -1)\n%y = pad(%v, %p) : f32[1]",
        "%h = constant f32[2] (0, 1)\n%y = one_hot(%l, %s7, %h) : f32[B, 7]",
        "%h = constant f32[2] (0, 1)\n%y = one_hot(%l, %s7, %h) {axis = 0} : f32[7, B]"));

INSTANTIATE_TEST_SUITE_P(
    Control, Inference,
    ::testing::Values(
        // T from the scanned axis; a backward slot and another axis
        "%h, %y = scan state(%s = %v: f32[3]) scanned(%x = %big[1 reverse]: f32[T, 2, 8]) "
        "stacked([-1]) {\n"
        "yield %s, %x } : f32[3], f32[T, 2, 8, B]",
        // T from a trip count that is known as a symbol
        "%t = dims() {dims = [T], keep_dims = false} : i64[]\n"
        "%h, %y = scan trips(%t) state(%s = %v: f32[3]) stacked([0]) { yield %s, %s } : f32[3], "
        "f32[T, 3]",
        // a state that the body changes in shape
        "%h = scan trips(%n) state(%s = %v: f32[?]) {\n%o = constant f32[1] (0)\n"
        "%g = concat(%s, %o) {axis = 0} : f32[?]\nyield %g } : f32[?]",
        "%h, %y = loop trips(%n) while(%f) iteration(%j) state(%s = %v: f32[3]) {\n%c = constant "
        "bool[] (true)\n"
        "yield %c, %s, %j } : f32[3], i64[?]",
        "%y = branch(%f) then(%p = %m: f32[2, 3], %z = %v: f32[3]) { yield %p } "
        "else(%p = %m: f32[2, 3], %z = %v: f32[3]) { yield %z } : f32[*]"));

struct Wrong {
  const char* lines;
  const char* message;
};

class InferenceErrors : public ::testing::TestWithParam<Wrong> {};

TEST_P(InferenceErrors, AreFoundAndExplained) {
  try {
    parse(with_inputs(GetParam().lines));
    FAIL() << "verified";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(GetParam().message));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, InferenceErrors,
    ::testing::Values(
        Wrong{"%y = add(%m, %i) : f32[*]", "operands differ in element type"},
        Wrong{"%y = sigmoid(%n) : i64[]", "expected a floating-point tensor"},
        Wrong{"%y = logical_not(%m) : f32[2, 3]", "expected a bool tensor"},
        Wrong{"%y = matmul(%m, %m) : f32[*]", "equal inner extents"},
        Wrong{"%y = matmul(%m, %r) : f32[*]", "element type"},
        Wrong{"%y = einsum(%m) {equation = \"ijk->i\"} : f32[*]",
              "does not fit its operand's rank"},
        Wrong{"%c = constant bool[1, 1, 1] (true)\n%y = conv(%c, %c) : bool[1, 1, 1]",
              "expected a number tensor"},
        Wrong{"%y = conv(%img, %w3) {groups = 2} : f32[*]", "input channels don't fit the weights"},
        Wrong{"%y = conv(%img, %w3) {strides = [0]} : f32[*]", "attribute strides out of range"},
        Wrong{"%y = conv(%img, %w3) {strides = [1, 1]} : f32[*]",
              "wrong length of attribute strides"},
        Wrong{"%y = conv(%img, %w3) {dilations = [9]} : f32[*]", "larger than the padded input"},
        Wrong{"%w = constant f32[4, 6, 0] ()\n%y = conv(%img, %w) : f32[*]", "empty kernel"},
        Wrong{"%y = max_pool(%img) {kernel = [0]} : f32[*]", "kernel out of range"},
        Wrong{"%y = reduce_sum(%m, %two) : f32[*]",
              "axis out of range: expected an axis in -2..1, found 2"},
        Wrong{"%e = constant i64[2] (0, -2)\n%y = reduce_sum(%m, %e) : f32[*]",
              "an axis is given twice"},
        Wrong{"%y, %z = top_k(%m, %s7) : f32[*], i64[*]", "at most 3, found 7"},
        Wrong{"%s = constant i64[2] (-1, -1)\n%y = reshape(%m, %s) : f32[*]",
              "wrong extent in reshape"},
        Wrong{"%s = constant i64[2] (4, -1)\n%y = reshape(%m, %s) : f32[*]",
              "reshape does not fit"},
        Wrong{"%s = constant i64[1] (7)\n%y = reshape(%m, %s) : f32[*]",
              "changes the number of elements"},
        Wrong{"%s = constant i64[3] (1, 1, 0)\n%y = reshape(%m, %s) : f32[*]",
              "copies an extent that is not there"},
        Wrong{"%y = squeeze(%m, %zero) : f32[*]", "squeeze of an axis that is not 1"},
        Wrong{"%y = transpose(%m) {perm = [0, 0]} : f32[*]", "an axis is given twice"},
        Wrong{"%y = transpose(%m) {perm = [0]} : f32[*]", "wrong length of perm"},
        Wrong{"%y = range(%s0, %s7, %s0) : i64[*]", "no finite length"},
        Wrong{"%y = concat(%m, %v) {axis = 0} : f32[*]", "differ in rank"},
        Wrong{"%s = constant i64[2] (1, 1)\n%y, %z = split(%v, %s) : f32[*], f32[*]",
              "don't add up"},
        Wrong{"%y = slice(%m, %zero, %one, %zero, %zero) : f32[*]", "slice with step 0"},
        Wrong{"%y = gather(%m, %v) : f32[*]", "expected an i32 or i64 tensor"},
        Wrong{"%y = gather(%m, %n) {axis = 2} : f32[*]", "axis out of range"},
        Wrong{"%y = scatter_nd(%m, %i, %m) : f32[2, 3]", "differ"},
        Wrong{"%y = scatter_elements(%m, %i, %v) {reduction = \"xor\"} : f32[2, 3]",
              "wrong attribute reduction"},
        Wrong{"%p = constant i64[2] (-2, -2)\n%y = pad(%v, %p) : f32[*]", "no valid extent"},
        Wrong{"%y = sequence_at(%m, %n) : f32[*]", "operand is not a sequence"},
        Wrong{"%y = scan state(%s = %v: f32[3]) { yield %s } : f32[3]",
              "a scan needs to know its length"},
        Wrong{"%y = scan trips(%s7) state(%s = %v: f32[3]) scanned(%x = %m[0]: f32[3]) { yield %s "
              "} : f32[3]",
              "scanned operands differ in length: expected 7, found f32[2, 3]"},
        Wrong{"%y = scan trips(%n) state(%s = %v: f32[4]) { yield %s } : f32[4]",
              "initial state 0 does not fit its region's type: expected f32[4], found f32[3]"},
        Wrong{"%y = scan trips(%n) state(%s = %v: f32[3]) {\n%z = exp(%s) : f32[3]\nyield %z, %z } "
              ": f32[3]",
              "wrong number of region results: expected 1, found 2"},
        Wrong{"%y, %z = scan lengths(%l) scanned(%x = %a[0]: f32[4], %w = %a[0 reverse]: f32[4]) "
              "stacked([0], [0]) {"
              " yield %x, %w } : f32[*], f32[*]",
              "runs in one direction"},
        Wrong{"%y = loop trips(%f) while(%f) iteration(%j) state(%s = %v: f32[3]) { yield %j, %s } "
              ": f32[3]",
              "expected i64[], found bool[]"},
        Wrong{"%y = loop trips(%n) while(%f) iteration(%j) state(%s = %v: f32[3]) { yield %j, %s } "
              ": f32[3]",
              "condition"},
        Wrong{"%y = branch(%f) then { yield %m } else { yield } : f32[2, 3]", "undefined value"},
        Wrong{"%y = branch(%n) then { %c = constant f32[] (1) yield %c } else { %c = constant "
              "f32[] (2) yield %c } : f32[]",
              "wrong type of the condition"}));

}  // namespace
}  // namespace refrain
