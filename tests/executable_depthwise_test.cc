// Depthwise convolutions between transposes, in prepared graphs, against the reference backend.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/prepared.h"

namespace refrain {
namespace {

using ::testing::AllOf;
using testing::check;
using ::testing::HasSubstr;
using ::testing::Not;

// Causal, with a bias, and SiLU behind it, as a Mamba block has it.
constexpr const char* kCausal = R"(graph @g (%x: f32[2, @T, @C]) {
  %w = $f32[@C, 1, 4]
  %bias = $f32[@C]
  %zero = constant i64[1] (0)
  %steps = constant i64[1] (@T)
  %two = constant i64[1] (2)
  %a = transpose(%x) {perm = [0, 2, 1]} : f32[2, @C, @T]
  %b = conv(%a, %w, %bias) {strides = [1], dilations = [1], pads = [3, 3], groups = @C} : f32[2, @C, @P]
  %c = slice(%b, %zero, %steps, %two) : f32[2, @C, @T]
  %d = transpose(%c) {perm = [0, 2, 1]} : f32[2, @T, @C]
  %s = sigmoid(%d) : f32[2, @T, @C]
  %y = mul(%d, %s) : f32[2, @T, @C]
  yield "y" = %y@MORE
})";

std::string replaced(std::string text, const std::string& mark, const std::string& by) {
  for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
    text.replace(at, mark.size(), by);
  }
  return text;
}

std::string causal(int64_t steps, int64_t channels, const std::string& more = "") {
  std::string text = replaced(kCausal, "@T", std::to_string(steps));
  text = replaced(text, "@P", std::to_string(steps + 3));
  return replaced(replaced(text, "@C", std::to_string(channels)), "@MORE", more);
}

TEST(ExecutableDepthwise, OneStepWithWhatFollows) {
  for (const int64_t steps : {1, 2, 37, 200}) {
    for (const int64_t channels : {3, 16, 40, 256}) {
      const std::string found = check(causal(steps, channels));
      EXPECT_THAT(found, HasSubstr("1 steps"));
      EXPECT_THAT(found, HasSubstr("depthwise conv"));
    }
  }
}

TEST(ExecutableDepthwise, TheConvolutionIsAResultToo) {
  for (const char* more : {", \"d\" = %d", ", \"s\" = %s, \"d\" = %d"}) {
    EXPECT_THAT(check(causal(37, 40, more)), HasSubstr("1 steps"));
  }
}

TEST(ExecutableDepthwise, OthersReadWhatLiesBetween) {
  for (const char* more : {", \"c\" = %c", ", \"b\" = %b", ", \"a\" = %a"}) {
    EXPECT_THAT(check(causal(37, 40, more)), Not(HasSubstr("1 steps")));
  }
}

TEST(ExecutableDepthwise, TimeFirstStridesAndOtherOperands) {
  const std::string found = check(R"(graph @g (%x: f32[21, 3, 18], %z: f32[8, 3, 18]) {
    %w = $f32[18, 1, 3]
    %scale = $f32[18]
    %one = constant i64[1] (1)
    %most = constant i64[1] (9223372036854775807)
    %two = constant i64[1] (-1)
    %a = transpose(%x) {perm = [1, 2, 0]} : f32[3, 18, 21]
    %b = conv(%a, %w) {strides = [2], dilations = [3], pads = [1, 1], groups = 18} : f32[3, 18, 9]
    %c = slice(%b, %one, %most, %two) : f32[3, 18, 8]
    %d = transpose(%c) {perm = [2, 0, 1]} : f32[8, 3, 18]
    %e = mul(%d, %scale) : f32[8, 3, 18]
    %f = tanh(%e) : f32[8, 3, 18]
    %y = add(%f, %z) : f32[8, 3, 18]
    yield "y" = %y
  })");
  EXPECT_THAT(found, HasSubstr("1 steps"));
}

TEST(ExecutableDepthwise, ChannelsThatAreSlicedAreReadWhereTheyAre) {
  for (const char* perm : {"[0, 2, 1]", "[1, 2, 0]"}) {
    const bool batch_first = perm[1] == '0';
    const std::string batch = batch_first ? "2" : "9", steps = batch_first ? "9" : "2";
    std::string text = replaced(R"(graph @g (%x: f32[2, 9, 40]) {
      %w = $f32[17, 1, 2]
      %begin = constant i64[1] (-20)
      %end = constant i64[1] (-3)
      %last = constant i64[1] (2)
      %s = slice(%x, %begin, %end, %last) : f32[2, 9, 17]
      %a = transpose(%s) {perm = @P} : f32[@B, 17, @T]
      %b = conv(%a, %w) {strides = [1], dilations = [1], pads = [0, 1], groups = 17} : f32[@B, 17, @T]
      %y = transpose(%b) {perm = [0, 2, 1]} : f32[@B, @T, 17]
      yield "y" = %y
    })",
                                "@P", perm);
    text = replaced(replaced(text, "@B", batch), "@T", steps);
    EXPECT_THAT(check(text), HasSubstr("1 steps"));
  }
}

TEST(ExecutableDepthwise, OtherConvolutionsStayWhatTheyAre) {
  EXPECT_THAT(check(R"(graph @g (%x: f32[2, 9, 8]) {
    %w = $f32[8, 2, 3]
    %a = transpose(%x) {perm = [0, 2, 1]} : f32[2, 8, 9]
    %b = conv(%a, %w) {strides = [1], dilations = [1], pads = [0, 0], groups = 4} : f32[2, 8, 7]
    %y = transpose(%b) {perm = [0, 2, 1]} : f32[2, 7, 8]
    yield "y" = %y
  })"),
              Not(HasSubstr("depthwise conv ")));
}

TEST(ExecutableDepthwise, ChannelsThatComeFirstAreTransposed) {
  EXPECT_THAT(check(R"(graph @g (%x: f32[2, 8, 9]) {
    %w = $f32[8, 1, 3]
    %y = conv(%x, %w) {strides = [1], dilations = [1], pads = [0, 0], groups = 8} : f32[2, 8, 7]
    yield "y" = %y
  })"),
              AllOf(HasSubstr("depthwise conv "), HasSubstr("3 steps")));
}

}  // namespace
}  // namespace refrain
