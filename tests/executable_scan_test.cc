// Prepared scans against the reference backend.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "ir/error.h"
#include "support/prepared.h"

namespace refrain {
namespace {

using testing::check;
using testing::count;
using ::testing::HasSubstr;
using testing::Random;
using testing::random_inputs;
using testing::run;
using testing::with_constants;

// An LSTM's body over [B, 5] with x of 3, its gates side by side.
constexpr const char* kLstmBody = R"(
      %wx = $f32[3, 20]
      %wh = $f32[5, 20]
      %bias = $f32[20]
      %px = matmul(%xt, %wx) : f32[4, 20]
      %ph = matmul(%h, %wh) : f32[4, 20]
      %p = add(%px, %ph) : f32[4, 20]
      %pb = add(%p, %bias) : f32[4, 20]
      %i, %o, %f, %g = split(%pb) {axis = 1} : f32[4, 5], f32[4, 5], f32[4, 5], f32[4, 5]
      %si = sigmoid(%i) : f32[4, 5]
      %so = sigmoid(%o) : f32[4, 5]
      %sf = sigmoid(%f) : f32[4, 5]
      %tg = tanh(%g) : f32[4, 5]
      %fc = mul(%sf, %c) : f32[4, 5]
      %ig = mul(%si, %tg) : f32[4, 5]
      %cn = add(%fc, %ig) : f32[4, 5]
      %tc = tanh(%cn) : f32[4, 5]
      %hn = mul(%so, %tc) : f32[4, 5]
      yield %hn, %cn, %hn)";

std::string lstm(const std::string& head, const std::string& x, const std::string& slots,
                 const std::string& y) {
  return "graph @g (%h0: f32[4, 5], %c0: f32[4, 5], %x: " + x +
         ", %n: i64[4]) {\n  %hT, %cT, %y = " + "scan " + head +
         " state(%h = %h0: f32[4, 5], %c = %c0: f32[4, 5]) " + slots + " {" + kLstmBody +
         "\n  } : f32[4, 5], f32[4, 5], " + y + "\n  yield \"y\" = %y, \"h\" = %hT, \"c\" = %cT\n}";
}

TEST(ExecutableScan, LstmIsOneLoop) {
  const std::string steps = check(
      lstm("", "f32[7, 4, 3]", "scanned(%xt = %x[0]: f32[4, 3]) stacked([0])", "f32[7, 4, 5]"));
  EXPECT_THAT(steps, HasSubstr("1 steps"));
  EXPECT_THAT(steps, HasSubstr("highway loop, 7 steps, 4 rows"));
}

TEST(ExecutableScan, LstmBackwardAndAlongOtherAxes) {
  for (const char* slots : {"scanned(%xt = %x[0 reverse]: f32[4, 3]) stacked([0 reverse])",
                            "scanned(%xt = %x[0 reverse]: f32[4, 3]) stacked([0])",
                            "scanned(%xt = %x[0]: f32[4, 3]) stacked([0 reverse])"}) {
    EXPECT_THAT(check(lstm("", "f32[7, 4, 3]", slots, "f32[7, 4, 5]")), HasSubstr("highway loop"));
  }
  EXPECT_THAT(check(lstm("", "f32[4, 7, 3]", "scanned(%xt = %x[1]: f32[4, 3]) stacked([1 reverse])",
                         "f32[4, 7, 5]")),
              HasSubstr("highway loop"));
  // Time as the last axis has rows that are not contiguous.
  check(lstm("", "f32[4, 3, 7]", "scanned(%xt = %x[2]: f32[4, 3]) stacked([2])", "f32[4, 5, 7]"));
}

TEST(ExecutableScan, LstmWithLengths) {
  for (const char* slots : {"scanned(%xt = %x[0]: f32[4, 3]) stacked([0])",
                            "scanned(%xt = %x[0 reverse]: f32[4, 3]) stacked([0 reverse])"}) {
    for (uint64_t seed = 1; seed < 4; ++seed) {
      EXPECT_THAT(
          check(lstm("lengths(%n) batch_axis(0)", "f32[5, 4, 3]", slots, "f32[5, 4, 5]"), seed),
          HasSubstr("lengths"));
    }
  }
}

TEST(ExecutableScan, LengthsOutOfRangeAreErrors) {
  Random random;
  const auto graph =
      parse(with_constants(lstm("lengths(%n) batch_axis(0)", "f32[1, 4, 3]",
                                "scanned(%xt = %x[0]: f32[4, 3]) stacked([0])", "f32[1, 4, 5]"),
                           random));
  PreparedGraph prepared(*graph, {});
  std::vector<Tensor> inputs = random_inputs(*graph, random);
  inputs[3].data<int64_t>()[2] = 2;
  EXPECT_THROW(run(prepared, inputs), Error);
  inputs[3].data<int64_t>()[2] = -1;
  EXPECT_THROW(run(prepared, inputs), Error);
  inputs[3].data<int64_t>()[2] = 1;
  inputs[3].data<int64_t>()[1] = 0;
  inputs[3].data<int64_t>()[0] = inputs[3].data<int64_t>()[3] = 1;
  EXPECT_NO_THROW(run(prepared, inputs));
}

// The reset before the product makes a second stage of each step.
TEST(ExecutableScan, GruOfTwoStages) {
  const std::string steps = check(R"(graph @g (%h0: f32[1, 3, 6], %x: f32[9, 3, 18]) {
    %hT, %y = scan state(%h = %h0: f32[1, 3, 6]) scanned(%xt = %x[0]: f32[3, 18]) stacked([1]) {
      %axis = constant i64[1] (0)
      %wzr = $f32[6, 12]
      %wn = $f32[6, 6]
      %one = constant f32[] (1)
      %b12 = constant i64[1] (12)
      %b18 = constant i64[1] (18)
      %last = constant i64[1] (-1)
      %zero = constant i64[1] (0)
      %h2 = squeeze(%h, %axis) : f32[3, 6]
      %p = matmul(%h2, %wzr) : f32[3, 12]
      %xzr = slice(%xt, %zero, %b12, %last) : f32[3, 12]
      %xn = slice(%xt, %b12, %b18, %last) : f32[3, 6]
      %s = add(%p, %xzr) : f32[3, 12]
      %a = sigmoid(%s) : f32[3, 12]
      %z, %r = split(%a) {axis = -1} : f32[3, 6], f32[3, 6]
      %rh = mul(%r, %h2) : f32[3, 6]
      %pn = matmul(%rh, %wn) : f32[3, 6]
      %sn = add(%pn, %xn) : f32[3, 6]
      %n = tanh(%sn) : f32[3, 6]
      %iz = sub(%one, %z) : f32[3, 6]
      %u = mul(%iz, %n) : f32[3, 6]
      %v = mul(%z, %h2) : f32[3, 6]
      %hn = add(%u, %v) : f32[3, 6]
      %hn3 = unsqueeze(%hn, %axis) : f32[1, 3, 6]
      yield %hn3, %hn
    } : f32[1, 3, 6], f32[3, 9, 6]
    yield "y" = %y, "h" = %hT
  })");
  EXPECT_THAT(steps, HasSubstr("highway loop, 9 steps, 3 rows"));
  EXPECT_THAT(steps, HasSubstr("gru, reset;"));
  EXPECT_THAT(steps, HasSubstr("gru, update;"));
}

// Of two states and nothing else.
TEST(ExecutableScan, LoopsThatReadNoSlices) {
  const std::string head = R"(graph @g (%a0: f32[4, 5], %b0: f32[4, 5]) {
  %trips = constant i64[] (7)
  %a_n, %b_n = scan trips(%trips) state(%a = %a0: f32[4, 5], %b = %b0: f32[4, 5]) {
)",
                    tail = R"(
    %an = tanh(%s) : f32[4, 5]
    %bn = mul(%an, %b) : f32[4, 5]
    yield %an, %bn
  } : f32[4, 5], f32[4, 5]
  yield "a" = %a_n, "b" = %b_n
}
)";
  EXPECT_THAT(check(head + "    %s = add(%a, %b) : f32[4, 5]" + tail), HasSubstr("element-wise"));
  EXPECT_THAT(check(head + R"(    %w = $f32[5, 5]
    %p = matmul(%a, %w) : f32[4, 5]
    %s = add(%p, %b) : f32[4, 5])" +
                    tail),
              HasSubstr("loop, 7 steps"));
}

TEST(ExecutableScan, ProjectionsAndConcatenatedLeftSides) {
  const std::string steps = check(R"(graph @g (%h0: f32[2, 3], %x: f32[6, 2, 4]) {
    %w = $f32[7, 16]
    %hT, %y = scan invariant(%v = %w: f32[7, 16]) state(%h = %h0: f32[2, 3])
        scanned(%xt = %x[0]: f32[2, 4]) stacked([0]) {
      %project = $f32[8, 3]
      %hx = concat(%h, %xt) {axis = -1} : f32[2, 7]
      %p = matmul(%hx, %v) : f32[2, 16]
      %a, %b = split(%p) {axis = 1} : f32[2, 8], f32[2, 8]
      %s = sigmoid(%a) : f32[2, 8]
      %m = mul(%s, %b) : f32[2, 8]
      %hn = matmul(%m, %project) : f32[2, 3]
      yield %hn, %s
    } : f32[2, 3], f32[6, 2, 8]
    yield "y" = %y, "h" = %hT
  })");
  EXPECT_THAT(steps, HasSubstr("highway loop, 6 steps, 2 rows"));
}

TEST(ExecutableScan, StatesThatChangePlaces) {
  const char* text = R"(graph @g (%a0: f32[5], %b0: f32[5], %x: f32[4, 5]) {
    %aT, %bT, %y, %z = scan state(%a = %a0: f32[5], %b = %b0: f32[5]) scanned(%xt = %x[0]: f32[5])
        stacked([0], [0]) {
      %s = OP(%a, %xt) : f32[5]
      yield %b, %s, %a, %xt
    } : f32[5], f32[5], f32[4, 5], f32[4, 5]
    yield "a" = %aT, "b" = %bT, "y" = %y, "z" = %z
  })";
  for (const char* op : {"add", "mod"}) {  // no program has mod: the body runs step by step
    std::string with = text;
    with.replace(with.find("OP"), 2, op);
    if (std::strcmp(op, "mod") == 0) with.replace(with.find("%xt) :"), 6, "%xt) {fmod = true} :");
    EXPECT_THAT(check(with),
                HasSubstr(op[0] == 'a' ? "highway element-wise loop" : "scan, 4 steps"));
  }
}

TEST(ExecutableScan, BodiesStepByStep) {
  EXPECT_THAT(check(R"(graph @g (%h0: f32[3, 4], %x: f32[5, 3, 4], %n: i64[3], %i0: i64[3]) {
    %axes = constant i64[1] (-1)
    %hT, %iT, %y = scan lengths(%n) batch_axis(0) invariant(%ax = %axes: i64[1])
        state(%h = %h0: f32[3, 4], %i = %i0: i64[3])
        scanned(%xt = %x[0 reverse]: f32[3, 4]) stacked([1 reverse]) {
      %one = constant i64[] (1)
      %w = $f32[4, 4]
      %p = matmul(%h, %w) : f32[3, 4]
      %s = softmax(%p) {axis = -1} : f32[3, 4]
      %hn = add(%s, %xt) : f32[3, 4]
      %in = add(%i, %one) : i64[3]
      yield %hn, %in, %s
    } : f32[3, 4], i64[3], f32[3, 5, 4]
    yield "h" = %hT, "i" = %iT, "y" = %y
  })"),
              HasSubstr("scan, 5 steps"));
}

// What the body read in its first operations it reads again in the next step.
TEST(ExecutableScan, InvariantsLiveUntilTheLastStep) {
  EXPECT_THAT(check(R"(graph @g (%m: f32[3, 4], %h0: f32[3, 4]) {
    %k = tanh(%m) : f32[3, 4]
    %trips = constant i64[] (5)
    %hT, %y = scan trips(%trips) invariant(%v = %k: f32[3, 4]) state(%h = %h0: f32[3, 4])
        stacked([0]) {
      %a = mul(%h, %v) : f32[3, 4]
      %b = softmax(%a) {axis = -1} : f32[3, 4]
      %c = softmax(%b) {axis = 0} : f32[3, 4]
      %d = softmax(%c) {axis = -1} : f32[3, 4]
      yield %d, %b
    } : f32[3, 4], f32[5, 3, 4]
    yield "h" = %hT, "y" = %y
  })"),
              HasSubstr("scan, 5 steps"));
}

TEST(ExecutableScan, ScansInScans) {
  check(R"(graph @g (%h0: f32[2, 3], %x: f32[4, 2, 3]) {
    %t = constant i64[] (3)
    %hT, %y = scan state(%h = %h0: f32[2, 3]) scanned(%xt = %x[0]: f32[2, 3]) stacked([0]) {
      %w = $f32[3, 3]
      %trips = constant i64[] (3)
      %hi, %z = scan trips(%trips) invariant(%u = %xt: f32[2, 3]) state(%g = %h: f32[2, 3])
          stacked([0]) {
        %v = $f32[3, 3]
        %p = matmul(%g, %v) : f32[2, 3]
        %s = add(%p, %u) : f32[2, 3]
        %gn = tanh(%s) : f32[2, 3]
        yield %gn, %gn
      } : f32[2, 3], f32[3, 2, 3]
      yield %hi, %z
    } : f32[2, 3], f32[4, 3, 2, 3]
    yield "y" = %y, "h" = %hT
  })");
}

// More states, and more different left sides, than the kernel takes.
TEST(ExecutableScan, LoopsPastTheKernelsLimits) {
  const auto cell = [](int states, bool products) {
    std::string inputs, slots, body, next, types, outputs;
    for (int i = 0; i < states; ++i) {
      const std::string n = std::to_string(i), comma = i > 0 ? ", " : "";
      inputs += "%a" + n + ": f32[2, 3], ";
      slots += comma + "%s" + n + " = %a" + n + ": f32[2, 3]";
      body += "%n" + n + " = sin(%s" + n + ") : f32[2, 3]\n";
      if (products) {
        body += "%w" + n + " = $f32[3, 3]\n%p" + n + " = matmul(%s" + n + ", %w" + n +
                ") : f32[2, 3]\n%q" + n + " = add(%p" + n + ", " +
                (i > 0 ? "%q" + std::to_string(i - 1) : "%xt") + ") : f32[2, 3]\n";
      }
      next += comma + (products && i + 1 == states ? "%q" : "%n") + n;
      types += comma + "f32[2, 3]";
      outputs += comma + "\"y" + n + "\" = %r" + n;
    }
    std::string results;
    for (int i = 0; i < states; ++i) results += (i > 0 ? ", %r" : "%r") + std::to_string(i);
    return "graph @g (" + inputs + "%x: f32[3, 2, 3]) {\n" + results + " = scan state(" + slots +
           ") scanned(%xt = %x[0]: f32[2, 3]) {\n" + body + "yield " + next + "\n} : " + types +
           "\nyield " + outputs + "\n}";
  };
  EXPECT_THAT(check(cell(5, true)), HasSubstr("highway loop, 3 steps"));
  EXPECT_THAT(check(cell(20, true)), HasSubstr("scan, 3 steps"));
  EXPECT_THAT(check(cell(100, false)), HasSubstr("scan, 3 steps"));
}

// A product of all steps runs some at a time where the loop needs its rows, whatever the direction.
TEST(ExecutableScan, FedLoops) {
  for (const char* direction : {"", " reverse"}) {
    for (const char* lengths : {"", "lengths(%n) batch_axis(0) "}) {
      for (const char* steps : {"1", "3", "150"}) {
        for (const char* rows : {"3", "5"}) {
          std::string text =
              R"(graph @g (%h0: f32[ROWS, 5], %x: f32[TIME, ROWS, 3], %n: i64[ROWS]) {
          %wx = $f32[3, 1200]
          %bias = $f32[1200]
          %px = matmul(%x, %wx) : f32[TIME, ROWS, 1200]
          %pb = add(%px, %bias) : f32[TIME, ROWS, 1200]
          %hT, %y = scan LENGTHSstate(%h = %h0: f32[ROWS, 5]) scanned(%xt = %pb[0DIR]: f32[ROWS, 1200])
              stacked([0DIR]) {
            %wh = $f32[5, 1200]
            %out = $f32[1200, 5]
            %ph = matmul(%h, %wh) : f32[ROWS, 1200]
            %p = add(%ph, %xt) : f32[ROWS, 1200]
            %t = tanh(%p) : f32[ROWS, 1200]
            %hp = matmul(%t, %out) : f32[ROWS, 5]
            %little = constant f32[] (0.01)
            %hs = mul(%hp, %little) : f32[ROWS, 5]
            %hn = tanh(%hs) : f32[ROWS, 5]
            yield %hn, %hn
          } : f32[ROWS, 5], f32[TIME, ROWS, 5]
          yield "y" = %y, "h" = %hT
        })";
          const auto replace = [&](const std::string& from, const std::string& to) {
            for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
              text.replace(at, from.size(), to);
            }
          };
          replace("TIME", steps);
          replace("LENGTHS", std::string(steps) == "150" ? lengths : "");
          replace("DIR", direction);
          replace("ROWS", rows);
          const std::string described = check(text);
          EXPECT_THAT(described, HasSubstr("1 steps,"));
          // For more rows, or in the only step, the loop has the product as its own.
          const bool own = std::string(steps) == "1" || std::string(rows) == "5";
          EXPECT_EQ(count(described, "fed, "), own ? 0U : 1U) << described;
        }
      }
    }
  }
}

// A GRU that resets after its product: one gate is of h alone and one of x alone, and the weights
// have no room for zeros in their places. A cell that the kernel doesn't know leaves the product
// with x before the loop instead.
TEST(ExecutableScan, GatesWithDifferentProducts) {
  const std::string text = R"(graph @g (%h0: f32[3, 6], %x: f32[TIME, 3, 4]) {
    %wx = $f32[4, 18]
    %bx = $f32[18]
    %mx = matmul(%x, %wx) : f32[TIME, 3, 18]
    %px = add(%mx, %bx) : f32[TIME, 3, 18]
    %hT = scan state(%h = %h0: f32[3, 6]) scanned(%xt = %px[0]: f32[3, 18]) {
      %wh = $f32[6, 18]
      %bh = $f32[6]
      %xr, %xz, %xn = split(%xt) {axis = 1} : f32[3, 6], f32[3, 6], f32[3, 6]
      %ph = matmul(%h, %wh) : f32[3, 18]
      %hr, %hz, %hn = split(%ph) {axis = 1} : f32[3, 6], f32[3, 6], f32[3, 6]
      %sr = add(%hr, %xr) : f32[3, 6]
      %r = sigmoid(%sr) : f32[3, 6]
      %sz = add(%hz, %xz) : f32[3, 6]
      %z = sigmoid(%sz) : f32[3, 6]
      %hb = add(%hn, %bh) : f32[3, 6]
      %rn = mul(%r, %hb) : f32[3, 6]
      %sn = add(%rn, %xn) : f32[3, 6]
      %n = tanh(%sn) : f32[3, 6]
      %d = sub(%h, %n) : f32[3, 6]
      %zd = mul(%z, %d) : f32[3, 6]
      %next = add(%zd, %n) : f32[3, 6]
      yield %next
    } : f32[3, 6]
    yield "h" = %hT
  })";
  const auto replaced = [&](const std::string& time, const std::string& activation) {
    std::string result = text;
    for (const auto& [from, to] : {std::pair{std::string("TIME"), time}, {"tanh", activation}}) {
      for (size_t at = result.find(from); at != std::string::npos;
           at = result.find(from, at + to.size())) {
        result.replace(at, from.size(), to);
      }
    }
    return result;
  };
  for (const char* time : {"1", "4"}) {
    const std::string known = check(replaced(time, "tanh"));
    EXPECT_THAT(known, HasSubstr("gru, reset after, both products, blend;"));
    EXPECT_EQ(count(known, "fed, "), 0U) << known;
    const std::string other = check(replaced(time, "sigmoid"));
    EXPECT_THAT(other, HasSubstr("6 units x 3 gates"));
    EXPECT_EQ(count(other, "fed, "), 1U) << other;
  }
}

TEST(ExecutableScan, OneStepFromZerosMultipliesNone) {
  const std::string x = "f32[1, 4, 3]", y = "f32[1, 4, 5]";
  const std::string slots = "scanned(%xt = %x[0]: f32[4, 3]) stacked([0])";
  const auto from = [&](const std::string& h0, std::string text) {
    const std::string argument = "%h0: f32[4, 5], ";
    text.erase(text.find(argument), argument.size());
    return text.insert(text.find("{") + 1, "\n  %h0 = constant f32[4, 5] (" + h0 + ")");
  };
  std::string zeros = "0";
  for (int i = 1; i < 20; ++i) zeros += ", 0";
  const std::string some = "0.5" + zeros.substr(1);
  const auto packed_bytes = [](const std::string& steps) {
    const size_t end = steps.find(" bytes packed");
    return std::stoi(steps.substr(steps.rfind(' ', end - 1)));
  };
  const std::string one_step = lstm("", x, slots, y);
  // Of the depths 3 and 5 one is left.
  const int whole = packed_bytes(check(from(some, one_step)));
  EXPECT_EQ(packed_bytes(check(from(zeros, one_step))) * 8, whole * 3);
  // The state of the second of two steps isn't zero.
  const std::string two_steps =
      lstm("", "f32[2, 4, 3]", "scanned(%xt = %x[0]: f32[4, 3]) stacked([0])", "f32[2, 4, 5]");
  EXPECT_EQ(packed_bytes(check(from(zeros, two_steps))), whole);
  // Nor is zero times infinity.
  std::string infinite = from(zeros, one_step), elements = "inf";
  for (int i = 1; i < 100; ++i) elements += ", 0.1";
  const std::string weights = "%wh = $f32[5, 20]";
  infinite.replace(infinite.find(weights), weights.size(),
                   "%wh = constant f32[5, 20] (" + elements + ")");
  EXPECT_EQ(packed_bytes(check(infinite)), whole);
}

// A stream's caller may keep its state in one place, which each step reads and writes.
TEST(ExecutableScan, StatesInPlace) {
  for (const int steps : {1, 2}) {
    const std::string t = std::to_string(steps);
    Random random(3);
    const auto graph =
        parse(with_constants("graph @g (%h0: f32[3, 150], %x: f32[" + t + R"(, 3, 2]) {
    %hT = scan state(%h = %h0: f32[3, 150]) scanned(%xt = %x[0]: f32[3, 2]) {
      %wh = $f32[150, 150]
      %wx = $f32[2, 150]
      %ph = matmul(%h, %wh) : f32[3, 150]
      %px = matmul(%xt, %wx) : f32[3, 150]
      %p = add(%ph, %px) : f32[3, 150]
      %hn = tanh(%p) : f32[3, 150]
      yield %hn
    } : f32[3, 150]
    yield "h" = %hT
  })",
                             random));
    PreparedGraph prepared(*graph, {});
    std::vector<Tensor> inputs = random_inputs(*graph, random);
    const std::vector<Tensor> expected = run(prepared, inputs);
    std::vector<Tensor> outputs;
    outputs.push_back(Tensor::borrow(ElementType::f32, {3, 150}, inputs[0].raw()));
    const std::vector<const Tensor*> pointers = {&inputs[0], &inputs[1]};
    prepared.run(pointers, outputs);
    EXPECT_TRUE(identical(outputs[0], expected[0])) << steps << " steps";
  }
}

TEST(ExecutableScan, NoSteps) {
  check(R"(graph @g (%h0: f32[2, 3], %x: f32[0, 2, 3]) {
    %hT, %y = scan state(%h = %h0: f32[2, 3]) scanned(%xt = %x[0]: f32[2, 3]) stacked([0]) {
      %hn = add(%h, %xt) : f32[2, 3]
      yield %hn, %hn
    } : f32[2, 3], f32[0, 2, 3]
    yield "y" = %y, "h" = %hT
  })");
}

TEST(ExecutableScan, DirectionsOfALayerRunAtOnce) {
  Random random;
  const auto graph = parse(with_constants(R"(graph @g (%x: f32[6, 2, 3]) {
    %zero = constant f32[2, 3] (0, 0, 0, 0, 0, 0)
    %a, %y = scan state(%h = %zero: f32[2, 3]) scanned(%xt = %x[0]: f32[2, 3]) stacked([0]) {
      %s = add(%h, %xt) : f32[2, 3]
      yield %s, %s
    } : f32[2, 3], f32[6, 2, 3]
    %b, %z = scan state(%h = %zero: f32[2, 3]) scanned(%xt = %x[0 reverse]: f32[2, 3])
        stacked([0 reverse]) {
      %s = add(%h, %xt) : f32[2, 3]
      yield %s, %s
    } : f32[2, 3], f32[6, 2, 3]
    %c = concat(%y, %z) {axis = 2} : f32[6, 2, 6]
    yield "c" = %c
  })",
                                          random));
  // Both loops, then the parts of the result one after the other.
  EXPECT_THAT(PreparedGraph(*graph, {.threads = 2}).describe(), HasSubstr("4 steps in 3 levels"));
}

// Cells of random operations on states, slices, invariants and constants, in random order of use.
std::string random_cell(Random& random) {
  const int64_t rows = random.integer(1, 3), width = random.integer(1, 9);
  const std::string type = "f32[" + std::to_string(rows) + ", " + std::to_string(width) + "]";
  const std::string square = "f32[" + std::to_string(width) + ", " + std::to_string(width) + "]";
  const std::string row = "f32[" + std::to_string(width) + "]";
  std::string body = "%bias = $" + row + "\n%half = constant f32[] (0.5)\n";
  std::vector<std::string> values = {"%h", "%c", "%xt", "%v"};
  const int64_t operations = random.integer(2, 14);
  const auto any = [&] {
    return values[static_cast<size_t>(random.integer(0, static_cast<int64_t>(values.size()) - 1))];
  };
  for (int64_t i = 0; i < operations; ++i) {
    const std::string n = std::to_string(i), value = "%t" + n;
    switch (random.integer(0, 5)) {
      case 0:
      case 1:
        body += "%w" + n + " = $" + square + "\n" + value + " = matmul(" + any() + ", %w" + n + ")";
        break;
      case 2:
        body += value + " = add(" + any() + ", " + any() + ")";
        break;
      case 3:
        body += value + " = add(" + any() + ", %bias)";
        break;
      case 4:
        body += value + " = mul(" + any() + ", %half)";
        break;
      default:
        body += value + " = tanh(" + any() + ")";
    }
    body += " : " + type + "\n";
    values.push_back(value);
  }
  // So that numbers stay in range however the cell grows them.
  body += "%hn = tanh(" + any() + ") : " + type + "\n%cn = sin(" + any() + ") : " + type + "\n";
  values.push_back("%hn");
  const std::string direction = random.integer(0, 1) == 0 ? "" : " reverse";
  const std::string whole = "f32[4, " + std::to_string(rows) + ", " + std::to_string(width) + "]";
  return "graph @g (%h0: " + type + ", %c0: " + type + ", %x: " + whole + ", %v0: " + type +
         ", %n: i64[" + std::to_string(rows) + "]) {\n%hT, %cT, %y = scan " +
         (random.integer(0, 2) == 0 ? "lengths(%n) batch_axis(0) " : "") +
         "invariant(%v = %v0: " + type + ") state(%h = %h0: " + type + ", %c = %c0: " + type +
         ") scanned(%xt = %x[0" + direction + "]: " + type + ") stacked([0" + direction + "]) {\n" +
         body + "yield %hn, %cn, " + any() + "\n} : " + type + ", " + type + ", " + whole +
         "\nyield \"y\" = %y, \"h\" = %hT, \"c\" = %cT\n}";
}

TEST(ExecutableScan, RandomCells) {
  size_t loops = 0;
  constexpr uint64_t kCells = 150;
  for (uint64_t seed = 1; seed <= kCells; ++seed) {
    Random random(seed);
    const std::string steps = check(random_cell(random), seed);
    loops += count(steps, "highway loop, 4 steps") + count(steps, "element-wise loop, 4 steps") > 0;
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_EQ(loops, kCells);
}

}  // namespace
}  // namespace refrain
