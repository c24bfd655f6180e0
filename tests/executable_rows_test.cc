// Row programs of prepared graphs against the reference backend.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "ir/error.h"
#include "support/prepared.h"

namespace refrain {
namespace {

using testing::check;
using testing::count;
using ::testing::HasSubstr;
using ::testing::Not;

// Replaces every `$N` by a number.
std::string with(std::string text, const std::string& mark, int64_t number) {
  for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
    text.replace(at, mark.size(), std::to_string(number));
  }
  return text;
}

// As PyTorch exports it.
constexpr const char* kNormalisation = R"(graph @g (%x: f32[@R, @W]) {
  %last = constant i64[1] (-1)
  %two = constant f32[] (2)
  %eps = constant f32[] (1e-05)
  %scale = $f32[@W]
  %bias = $f32[@W]
  %mean = reduce_mean(%x, %last) : f32[@R, 1]
  %d = sub(%x, %mean) : f32[@R, @W]
  %p = pow(%d, %two) : f32[@R, @W]
  %v = reduce_mean(%p, %last) : f32[@R, 1]
  %e = add(%v, %eps) : f32[@R, 1]
  %s = sqrt(%e) : f32[@R, 1]
  %n = div(%d, %s) : f32[@R, @W]
  %m = mul(%n, %scale) : f32[@R, @W]
  %y = add(%m, %bias) : f32[@R, @W]
  yield "y" = %y
})";

TEST(ExecutableRows, NormalisationIsOneStep) {
  for (const int64_t rows : {1, 3, 300}) {
    for (const int64_t width : {2, 16, 37, 128}) {
      const std::string steps = check(with(with(kNormalisation, "@R", rows), "@W", width));
      EXPECT_THAT(steps, HasSubstr("1 steps"));
      EXPECT_THAT(steps, HasSubstr("rows of"));
    }
  }
}

TEST(ExecutableRows, PartsAndGatesFollowInTheSameStep) {
  for (const int64_t rows : {1, 5}) {
    const std::string steps = check(with(R"(graph @g (%x: f32[@R, 40], %c: f32[@R, 10]) {
      %last = constant i64[1] (-1)
      %zero = constant i64[1] (0)
      %five = constant i64[1] (5)
      %mean = reduce_mean(%x, %last) : f32[@R, 1]
      %d = sub(%x, %mean) : f32[@R, 40]
      %i, %f, %g, %o = split(%d) {axis = 1} : f32[@R, 10], f32[@R, 10], f32[@R, 10], f32[@R, 10]
      %si = sigmoid(%i) : f32[@R, 10]
      %tg = tanh(%g) : f32[@R, 10]
      %a = mul(%si, %tg) : f32[@R, 10]
      %b = mul(%f, %c) : f32[@R, 10]
      %cn = add(%a, %b) : f32[@R, 10]
      %half = slice(%o, %zero, %five, %last) : f32[@R, 5]
      %joined = concat(%cn, %half, %mean) {axis = -1} : f32[@R, 16]
      %shares = softmax(%joined) {axis = 1} : f32[@R, 16]
      %logs = log_softmax(%cn) {axis = -1} : f32[@R, 10]
      %most = reduce_max(%shares, %last) : f32[@R, 1]
      %least = reduce_min(%logs, %last) {keep_dims = false} : f32[@R]
      %sum = reduce_sum(%joined, %last) : f32[@R, 1]
      yield "c" = %cn, "s" = %shares, "m" = %most, "l" = %least, "t" = %sum, "o" = %o
    })",
                                         "@R", rows));
    EXPECT_THAT(steps, HasSubstr("1 steps"));
  }
}

TEST(ExecutableRows, TruthValues) {
  for (const int64_t rows : {1, 4, 70}) {
    const std::string steps = check(
        with(R"(graph @g (%x: f32[@R, 7], %y: f32[@R, 7], %keep: bool[@R, 1], %n: i64[@R, 7]) {
      %a = less(%x, %y) : bool[@R, 7]
      %b = greater_equal(%y, %x) : bool[@R, 7]
      %either = logical_or(%a, %keep) : bool[@R, 7]
      %both = logical_and(%a, %keep) : bool[@R, 7]
      %other = logical_xor(%either, %both) : bool[@R, 7]
      %not = logical_not(%other) : bool[@R, 7]
      %same = equal(%not, %b) : bool[@R, 7]
      %r = cast(%n) {to = f32} : f32[@R, 7]
      %z = where(%same, %x, %r) : f32[@R, 7]
      %f = cast(%either) {to = f32} : f32[@R, 7]
      %w = where(%keep, %z, %f) : f32[@R, 7]
      %t = cast(%r) {to = bool} : bool[@R, 7]
      %nan = is_nan(%x) : bool[@R, 7]
      yield "w" = %w, "o" = %other, "t" = %t, "n" = %nan
    })",
             "@R", rows));
    EXPECT_THAT(steps, Not(HasSubstr("reference")));
  }
}

TEST(ExecutableRows, BroadcastRowsAndScalars) {
  const std::string steps =
      check(R"(graph @g (%x: f32[2, 3, 9], %row: f32[9], %s: f32[1, 1], %m: bool[9]) {
    %last = constant i64[1] (2)
    %half = constant f32[] (0.5)
    %a = reduce_sum(%x, %last) : f32[2, 3, 1]
    %b = mul(%a, %half) : f32[2, 3, 1]
    %c = add(%x, %b) : f32[2, 3, 9]
    %d = mul(%c, %row) : f32[2, 3, 9]
    %e = sub(%d, %s) : f32[2, 3, 9]
    %y = where(%m, %e, %half) : f32[2, 3, 9]
    yield "y" = %y
  })");
  EXPECT_THAT(steps, HasSubstr("rows of 6"));
  EXPECT_THAT(steps, HasSubstr("1 steps"));
}

// Rows of one number but of another shape don't broadcast alike.
TEST(ExecutableRows, OtherBroadcasts) {
  check(R"(graph @g (%x: f32[2, 3, 4], %y: f32[3, 4], %z: f32[2, 1, 4]) {
    %last = constant i64[1] (-1)
    %a = reduce_max(%x, %last) : f32[2, 3, 1]
    %b = reduce_max(%y, %last) : f32[3, 1]
    %c = add(%a, %b) : f32[2, 3, 1]
    %d = softmax(%z) {axis = 2} : f32[2, 1, 4]
    %e = add(%x, %d) : f32[2, 3, 4]
    %f = mul(%e, %c) : f32[2, 3, 4]
    yield "f" = %f
  })");
}

// What a reduction leaves without its axis is one row for what follows.
TEST(ExecutableRows, ReductionsWithoutTheirAxis) {
  for (const int64_t rows : {1, 3}) {
    check(with(R"(graph @g (%x: f32[@R, 7, 5], %q: f32[@R, 1, 5]) {
      %last = constant i64[1] (-1)
      %p = mul(%x, %q) : f32[@R, 7, 5]
      %s = reduce_sum(%p, %last) {keep_dims = false} : f32[@R, 7]
      %y = softmax(%s) {axis = 1} : f32[@R, 7]
      %m = reduce_max(%s, %last) {keep_dims = false} : f32[@R]
      %d = add(%s, %y) : f32[@R, 7]
      %u = unsqueeze(%s, %last) : f32[@R, 7, 1]
      %z = mul(%u, %x) : f32[@R, 7, 5]
      %w = concat(%s, %y) {axis = 1} : f32[@R, 14]
      yield "y" = %y, "m" = %m, "d" = %d, "z" = %z, "w" = %w
    })",
               "@R", rows));
  }
}

TEST(ExecutableRows, ManyPartsAndLongChains) {
  std::string text = "graph @g (%x: f32[3, 600]) {\n  %last = constant i64[1] (-1)\n  ";
  std::string types, names;
  for (int i = 0; i < 600; ++i) {
    names += (i ? ", %p" : "%p") + std::to_string(i);
    types += i ? ", f32[3, 1]" : "f32[3, 1]";
  }
  text += names + " = split(%x) {axis = 1} : " + types + "\n  %y = concat(" + names +
          ") {axis = 1} : f32[3, 600]\n  %a0 = softmax(%y) : f32[3, 600]\n";
  for (int i = 0; i < 400; ++i) {
    const std::string last = "%a" + std::to_string(i), next = std::to_string(i + 1);
    text += "  %m" + next + " = reduce_mean(" + last + ", %last) : f32[3, 1]\n  %a" + next +
            " = sub(" + last + ", %m" + next + ") : f32[3, 600]\n";
  }
  check(text + "  yield \"y\" = %a400\n}");
}

TEST(ExecutableRows, RowsTooWideForThem) {
  check(R"(graph @g (%x: f32[2, 20000]) {
    %last = constant i64[1] (-1)
    %m = reduce_max(%x, %last) : f32[2, 1]
    %y = sub(%x, %m) : f32[2, 20000]
    yield "y" = %y
  })");
}

TEST(ExecutableRows, ChoicesInLoops) {
  for (const int64_t rows : {1, 3}) {
    const std::string steps =
        check(with(R"(graph @g (%h0: f32[@R, 5], %x: f32[6, @R, 5], %m: bool[6, @R, 1]) {
      %hT, %y = scan state(%h = %h0: f32[@R, 5])
          scanned(%xt = %x[0]: f32[@R, 5], %mt = %m[0]: bool[@R, 1]) stacked([0]) {
        %last = constant i64[1] (-1)
        %w = $f32[5, 5]
        %p = matmul(%h, %w) : f32[@R, 5]
        %s = add(%p, %xt) : f32[@R, 5]
        %n = softmax(%s) {axis = 1} : f32[@R, 5]
        %hn = where(%mt, %n, %h) : f32[@R, 5]
        yield %hn, %n
      } : f32[@R, 5], f32[6, @R, 5]
      yield "y" = %y, "h" = %hT
    })",
                   "@R", rows));
    EXPECT_THAT(steps, HasSubstr("6 steps of 2 each"));
  }
}

// A GRU that ended sequences leave as it is, with the truth values in every form.
TEST(ExecutableRows, MaskedCellsAreLoops) {
  const auto cell = [](int64_t rows, const std::string& mask, const std::string& slot,
                       const std::string& use) {
    return with("graph @g (%h0: f32[@R, 5], %x: f32[6, @R, 5], %m: " + mask + R"() {
      %hT, %y = scan state(%h = %h0: f32[@R, 5])
          scanned(%xt = %x[0]: f32[@R, 5], %mt = %m[)" +
                    slot + R"() stacked([0]) {
        %one = constant i64[1] (1)
        %w = $f32[5, 5]
        %p = matmul(%h, %w) : f32[@R, 5]
        %s = add(%p, %xt) : f32[@R, 5]
        %n = tanh(%s) : f32[@R, 5]
        %zero = constant f32[] (0)
)" + use + R"(
        %yt = where(%k, %n, %zero) : f32[@R, 5]
        %hn = where(%k, %n, %h) : f32[@R, 5]
        yield %hn, %yt
      } : f32[@R, 5], f32[6, @R, 5]
      yield "y" = %y, "h" = %hT
    })",
                "@R", rows);
  };
  for (const int64_t rows : {1, 3}) {
    for (const std::string& text :
         {cell(rows, "bool[6, @R, 1]", "0]: bool[@R, 1]", "%k = logical_not(%mt) : bool[@R, 1]"),
          cell(rows, "bool[6, @R]", "0 reverse]: bool[@R]",
               "%k = unsqueeze(%mt, %one) : bool[@R, 1]"),
          cell(rows, "bool[6, @R, 5]", "0 reverse]: bool[@R, 5]",
               "%k = logical_or(%mt, %mt) : bool[@R, 5]"),
          cell(rows, "f32[6, @R, 1]", "0]: f32[@R, 1]", "%k = less(%mt, %n) : bool[@R, 5]")}) {
      const std::string steps = check(text);
      EXPECT_THAT(steps, HasSubstr("highway loop, 6 steps")) << text << steps;
      EXPECT_THAT(steps, HasSubstr("2 steps"));
    }
  }
}

TEST(ExecutableRows, IndicesAreCheckedAtEachRun) {
  const auto graph = parse(R"(graph @g (%x: f32[2, 3, 2], %i: i64[2]) {
    %y = gather(%x, %i) {axis = 1} : f32[2, 2, 2]
    yield "y" = %y
  })");
  PreparedGraph prepared(*graph, {});
  EXPECT_THAT(prepared.describe(), HasSubstr("gather 2 x 2 x 8 bytes"));
  testing::Random random;
  std::vector<Tensor> inputs = testing::random_inputs(*graph, random);
  const float* x = inputs[0].data<float>().data();
  int64_t* index = inputs[1].data<int64_t>().data();
  index[0] = 2, index[1] = -3;
  const Tensor y = std::move(testing::run(prepared, inputs)[0]);
  EXPECT_EQ(y.data<float>()[0], x[4]);
  EXPECT_EQ(y.data<float>()[7], x[7]);
  for (const int64_t bad : {3, -4}) {
    index[1] = bad;
    EXPECT_THROW(testing::run(prepared, inputs), Error);
  }
}

TEST(ExecutableRows, AttentionDecoder) {
  {
    const std::string steps =
        check(R"(graph @g (%h0: f32[3, 8], %memory: f32[3, 7, 8], %t: i64[5, 3]) {
      %hT, %y, %best = scan invariant(%m = %memory: f32[3, 7, 8]) state(%h = %h0: f32[3, 8])
          scanned(%token = %t[0]: i64[3]) stacked([0], [0]) {
        %one = constant i64[1] (1)
        %table = $f32[4, 8]
        %w = $f32[8, 8]
        %v = $f32[8, 1]
        %e = gather(%table, %token) {axis = 0} : f32[3, 8]
        %q = matmul(%h, %w) : f32[3, 8]
        %q3 = unsqueeze(%q, %one) : f32[3, 1, 8]
        %s = add(%m, %q3) : f32[3, 7, 8]
        %ts = tanh(%s) : f32[3, 7, 8]
        %scores = matmul(%ts, %v) : f32[3, 7, 1]
        %shares = softmax(%scores) {axis = 1} : f32[3, 7, 1]
        %weighted = mul(%shares, %m) : f32[3, 7, 8]
        %context = reduce_sum(%weighted, %one) {keep_dims = false} : f32[3, 8]
        %hn = add(%context, %e) : f32[3, 8]
        %b = arg_max(%hn) {axis = 1, keep_dims = false} : i64[3]
        yield %hn, %hn, %b
      } : f32[3, 8], f32[5, 3, 8], i64[5, 3]
      yield "y" = %y, "h" = %hT, "b" = %best
    })");
    EXPECT_THAT(steps, Not(HasSubstr("reference")));
  }
}

TEST(ExecutableRows, ScoresOfManyRowsAreProductsByAVector) {
  constexpr const char* kScores = R"(graph @g (%x: f32[2, @R, 37]) {
    %w = $f32[37, 1]
    %m = matmul(%x, %w) : f32[2, @R, 1]
    %y = softmax(%m) {axis = 1} : f32[2, @R, 1]
    yield "y" = %y
  })";
  EXPECT_THAT(check(with(kScores, "@R", 10)), HasSubstr("highway product"));
  EXPECT_THAT(check(with(kScores, "@R", 3)), Not(HasSubstr("highway product")));
}

}  // namespace
}  // namespace refrain
