// Sequences that are known element by element disappear.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/reference/executor.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/passes.h"
#include "support/compare.h"
#include "support/random.h"

namespace refrain {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The text after the pass and dce; results must stay what they were.
std::string resolved(const std::string& text, bool expect_change = true) {
  const std::unique_ptr<Graph> before = parse(text), after = parse(text);
  EXPECT_EQ(passes::resolve_sequences(*after, {}), expect_change);
  EXPECT_NO_THROW(verify(*after));
  EXPECT_FALSE(passes::resolve_sequences(*after, {}));
  passes::dce(*after, {});
  testing::Random random(1);
  std::vector<RuntimeValue> inputs;
  for (size_t i = 0; i < before->input_count(); ++i) {
    const ValueType& type = before->input(i)->type();
    inputs.emplace_back(random.tensor(type.element, type.shape.extents()));
  }
  const auto expected = reference::run(*before, inputs), actual = reference::run(*after, inputs);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(testing::equal(*actual[i].tensor, *expected[i].tensor));
  }
  return print(*after);
}

TEST(ResolveSequences, InsertedOneByOne) {
  const std::string after = resolved(R"(graph @g (%a: f32[2], %b: f32[2]) {
  %e = sequence_empty() : seq<f32[*]>
  %s = sequence_insert(%e, %a) : seq<f32[*]>
  %one = constant i64[] (1)
  %t = sequence_insert(%s, %b, %one) : seq<f32[*]>
  %stacked = concat_from_sequence(%t) {new_axis = true} : f32[*]
  %joined = concat_from_sequence(%t) : f32[*]
  %length = sequence_length(%t) : i64[]
  %last = constant i64[] (-1)
  %y = sequence_at(%t, %last) : f32[*]
  yield "stacked" = %stacked, "joined" = %joined, "length" = %length, "y" = %y
}
)");
  EXPECT_THAT(after, Not(HasSubstr("sequence")));
  EXPECT_THAT(after, HasSubstr(": f32[2, 2]"));
  EXPECT_THAT(after, HasSubstr(": f32[4]"));
  EXPECT_THAT(after, HasSubstr("constant i64[] (2)"));
  EXPECT_THAT(after, HasSubstr("\"y\" = %b"));
}

TEST(ResolveSequences, Constructed) {
  const std::string after = resolved(R"(graph @g (%a: f32[2], %b: f32[3]) {
  %s = sequence_construct(%a, %b) : seq<f32[?]>
  %zero = constant i64[] (0)
  %y = sequence_at(%s, %zero) : f32[?]
  yield "y" = %y
}
)");
  EXPECT_THAT(after, HasSubstr("\"y\" = %a"));
}

TEST(ResolveSequences, WhatIsNotKnownStays) {
  // Inserted in front; erased from; of elements that differ in shape.
  const std::string after = resolved(R"(graph @g (%a: f32[2], %b: f32[3]) {
  %s = sequence_construct(%a, %b) : seq<f32[?]>
  %zero = constant i64[] (0)
  %t = sequence_insert(%s, %a, %zero) : seq<f32[?]>
  %x = sequence_at(%t, %zero) : f32[?]
  %u = sequence_erase(%s, %zero) : seq<f32[?]>
  %y = sequence_at(%u, %zero) : f32[?]
  %z = concat_from_sequence(%s) : f32[?]
  yield "x" = %x, "y" = %y, "z" = %z
}
)",
                                     false);
  EXPECT_THAT(after, HasSubstr("concat_from_sequence"));
}

TEST(ResolveSequences, LongOnesTakeLinearTime) {
  std::string text = "graph @g (%a: f32[1]) {\n  %s0 = sequence_empty() : seq<f32[*]>\n";
  constexpr int kCount = 50'000;
  for (int i = 0; i < kCount; ++i) {
    text += "  %s" + std::to_string(i + 1) + " = sequence_insert(%s" + std::to_string(i) +
            ", %a) : seq<f32[*]>\n";
  }
  text += "  %y = concat_from_sequence(%s" + std::to_string(kCount) +
          ") : f32[*]\n  yield \"y\" = %y\n}\n";
  const std::unique_ptr<Graph> graph = parse(text);
  EXPECT_TRUE(passes::resolve_sequences(*graph, {}));
  EXPECT_EQ(to_string(graph->output(0)->type()), "f32[50000]");
}

}  // namespace
}  // namespace refrain
