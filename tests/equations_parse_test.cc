// The tree of a description and the places of its parts.
#include <gtest/gtest.h>

#include "frontend/equations/parser.h"
#include "frontend/equations/utf8.h"

namespace refrain::equations {
namespace {

// The right side of `y = EXPRESSION` in brackets, as it binds.
std::string bound(const Expression& expression) {
  using Kind = Expression::Kind;
  const auto operand = [&](size_t i) {
    return expression.operands[i] ? bound(*expression.operands[i]) : "";
  };
  const auto all = [&] {
    std::string text;
    for (size_t i = 0; i < expression.operands.size(); ++i)
      text += (i > 0 ? ", " : "") + operand(i);
    return text;
  };
  switch (expression.kind) {
    case Kind::number:
      return std::to_string(expression.number).substr(0, 3);
    case Kind::string:
      return "\"" + expression.text + "\"";
    case Kind::name:
      return expression.text;
    case Kind::binary:
      return "(" + operand(0) + " " + expression.text + " " + operand(1) + ")";
    case Kind::negate:
      return "(-" + operand(0) + ")";
    case Kind::concat:
      return "[" + all() + "]";
    case Kind::tuple:
      return "<" + all() + ">";
    case Kind::slice:
      return operand(0) + (expression.over_time ? "t[" : "[") + operand(1) + ":" + operand(2) + "]";
    case Kind::index:
      return operand(0) + (expression.over_time ? "t[" : "[") + operand(1) + "]";
    case Kind::run:
      return expression.run->scan ? "scan" : "decode";
    case Kind::call: {
      std::string text = expression.text + "(";
      for (const Argument& argument : expression.arguments) {
        if (text.back() != '(') text += ", ";
        text +=
            argument.name.text + (argument.name.text.empty() ? "" : "=") + bound(*argument.value);
      }
      return text + ")";
    }
  }
  return "?";
}

std::string bound(const std::string& expression) {
  const Source source("test.rfn", "y = " + expression + "\n");
  std::vector<Problem> problems;
  const Program program = parse(source, problems);
  if (!problems.empty()) return problems[0].message;
  return bound(*program.statements[0].equation->value.expression);
}

TEST(EquationsParse, Precedence) {
  EXPECT_EQ(bound("r*W·h + b"), "((r * (W · h)) + b)");
  EXPECT_EQ(bound("1 - f*h - g"), "((1.0 - (f * h)) - g)");
  EXPECT_EQ(bound("-W·x^2"), "(-(W · (x ^ 2.0)))");
  EXPECT_EQ(bound("a/b*c @ d⊙e"), "(((a / b) * (c · d)) * e)");
  EXPECT_EQ(bound("2^-3^x"), "(2.0 ^ (-(3.0 ^ x)))");
  EXPECT_EQ(bound("a + b <= c − d"), "((a + b) <= (c - d))");
  EXPECT_EQ(bound("A·B·x"), "((A · B) · x)");
}

TEST(EquationsParse, BracketsOfAllKinds) {
  EXPECT_EQ(bound("W·[f*h, x]"), "(W · [(f * h), x])");
  EXPECT_EQ(bound("x[.., 1:]*x[:-1, ..] + x[3]"), "((x[1.0:] * xt[:(-1.0)]) + x[3.0])");
  EXPECT_EQ(bound("conv1d(x, filter = (-1, 2), causal = true)"),
            "conv1d(x, filter=<(-1.0), 2.0>, causal=true)");
  EXPECT_EQ(bound("f(\n  a,\n  b)"), "f(a, b)");
}

TEST(EquationsParse, Names) {
  EXPECT_EQ(bound("h~ + h' + h'' + α_1 + ĥ"), "((((h~ + h') + h'') + α_1) + ĥ)");
}

TEST(EquationsParse, PlacesAreThoseOfTheText) {
  const Source source("test.rfn",
                      "# é\ncell c(x, h[2]):\n  h = σ(W·x)\noutput y = scan c over z\n");
  std::vector<Problem> problems;
  const Program program = parse(source, problems);
  ASSERT_TRUE(problems.empty());
  ASSERT_EQ(program.statements.size(), 2u);
  const Cell& cell = *program.statements[0].cell;
  EXPECT_EQ(source.text(cell.name.range), "c");
  const Expression& call = *cell.equations[0].value.expression;
  EXPECT_EQ(source.text(call.range), "σ(W·x)");
  EXPECT_EQ(source.position(call.range.begin).line, 3u);
  EXPECT_EQ(source.position(call.range.begin).column, 7u);
  const Expression& product = *call.arguments[0].value;
  EXPECT_EQ(source.text(product.range), "W·x");
  EXPECT_EQ(source.position(product.range.begin).column, 9u);
  EXPECT_EQ(source.text(program.statements[1].value.scan->machine.range), "c");
}

TEST(EquationsParse, GoesOnBehindErrors) {
  const Source source("test.rfn", "y = (1 +)\nz = )\n");
  std::vector<Problem> problems;
  parse(source, problems);
  EXPECT_FALSE(problems.empty());
  const Source other("test.rfn", "y = 1 +\ncell c(x, h):\n  h = *\n  g = x +\nz = 2 3\n");
  problems.clear();
  parse(other, problems);
  ASSERT_EQ(problems.size(), 4u);
  EXPECT_EQ(other.position(problems[2].range.begin).line, 4u);
  EXPECT_EQ(problems[3].message, "unexpected '3'");
}

TEST(EquationsParse, Utf8) {
  const auto first = [](const std::string& text) {
    size_t at = 0;
    return next_code_point(text, at);
  };
  EXPECT_EQ(first("\xCF\x83"), U'σ');
  EXPECT_EQ(first("\xF0\x9F\x98\x80"), char32_t{0x1F600});
  EXPECT_EQ(first("\xC0\x80"), kInvalid);          // overlong
  EXPECT_EQ(first("\xED\xA0\x80"), kInvalid);      // a surrogate
  EXPECT_EQ(first("\xF4\x90\x80\x80"), kInvalid);  // beyond U+10FFFF
  EXPECT_EQ(first("\xE2\x82"), kInvalid);          // cut off
  EXPECT_EQ(first("\x80"), kInvalid);
}

}  // namespace
}  // namespace refrain::equations
