// Programs as instances of the known ones.
#include <gmock/gmock.h>

#include <algorithm>

#include "backends/highway/known_programs.h"
#include "backends/highway/match.h"

namespace refrain::highway {
namespace {

using ::testing::ElementsAre;

Instruction apply(Operation operation, uint8_t result, uint8_t a, uint8_t b = 0) {
  return {operation, result, {a, b, 0}};
}

TEST(Match, GatesInAnotherOrder) {
  // sigmoid of gate 1 resets the stream, that of gate 0 is handed on.
  const Program program{3,
                        {apply(Operation::sigmoid, 3, 0), apply(Operation::sigmoid, 4, 1),
                         apply(Operation::mul, 5, 2, 4)},
                        {3, 5}};
  const auto match = match_known(program, 2);
  ASSERT_TRUE(match);
  EXPECT_STREQ(kKnownPrograms[match->known].name, "gru, reset");
  EXPECT_THAT(match->inputs, ElementsAre(1, 0, 2));
}

// One gate in the place of two would be multiplied twice.
TEST(Match, AGateStandsForOneGateOnly) {
  const Program program{
      2, {apply(Operation::sigmoid, 2, 0), apply(Operation::mul, 3, 2, 1)}, {3, 2}};
  const auto match = match_known(program, 1);
  ASSERT_TRUE(match);
  EXPECT_STREQ(kKnownPrograms[match->known].name, "minimal gated unit, reset");
  EXPECT_THAT(match->inputs, ElementsAre(0, 1));
  const auto* const reset = std::ranges::find(kKnownPrograms, std::string_view("gru, reset"),
                                              [](const KnownProgram& k) { return k.name; });
  ASSERT_NE(reset, kKnownPrograms.end());
  EXPECT_FALSE(match_program(*reset, program, 1));
}

TEST(Match, AStreamIsNoGate) {
  const Program program{3,
                        {apply(Operation::sigmoid, 3, 0), apply(Operation::sigmoid, 4, 1),
                         apply(Operation::mul, 5, 2, 4)},
                        {3, 5}};
  const auto match = match_known(program, 1);
  EXPECT_FALSE(match);
}

}  // namespace
}  // namespace refrain::highway
