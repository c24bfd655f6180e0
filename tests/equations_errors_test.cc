// Messages, word for word.
#include <gtest/gtest.h>

#include "support/equations.h"

namespace refrain {
namespace {

using testing::equations_error;
using testing::named;

const std::string kHead = "weights uniform(seed = 1)\nconst H = 64\ninput x: f32[T, B, 28]\n";

std::string in_cell(const std::string& equations, const std::string& states = "h[H]") {
  return kHead + "cell net(x, " + states + "):\n" + equations + "output y = scan net over x\n";
}

TEST(EquationsErrors, MisspeltFunction) {
  EXPECT_EQ(equations_error(in_cell("  h = sigmod(W·[h, x] + b)\n")),
            R"(test.rfn:5:7: error: unknown function 'sigmod'
  5 |   h = sigmod(W·[h, x] + b)
    |       ^^^^^^ did you mean 'sigmoid'?)");
}

TEST(EquationsErrors, ProductThatDoesNotFit) {
  EXPECT_EQ(equations_error(in_cell("  param W_h: f32[H, 32]\n  h = tanh(W_h·x)\n")),
            R"(test.rfn:6:12: error: shapes do not fit: W_h [64, 32] · x [28]: 32 against 28
  6 |   h = tanh(W_h·x)
    |            ^^^^^)");
}

TEST(EquationsErrors, ColumnsCountCharacters) {
  EXPECT_EQ(equations_error(in_cell("  α = σ(W·x)\n  h = tanh(U·x + V·h)*α + foo(β)\n")),
            R"(test.rfn:6:27: error: unknown function 'foo'
  6 |   h = tanh(U·x + V·h)*α + foo(β)
    |                           ^^^)");
}

TEST(EquationsErrors, SumThatDoesNotFit) {
  EXPECT_EQ(equations_error(in_cell("  h = tanh(x + h)\n")),
            R"(test.rfn:5:12: error: shapes do not fit in 'x + h': [28] and [64]
  5 |   h = tanh(x + h)
    |            ^^^^^)");
}

TEST(EquationsErrors, SeveralAtOnce) {
  EXPECT_EQ(equations_error(in_cell("  f = sigmod(W·x)\n  g = tan(V·x)\n  h = f*h + g\n") +
                            "output z = relux(y)\n"),
            R"(test.rfn:5:7: error: unknown function 'sigmod'
  5 |   f = sigmod(W·x)
    |       ^^^^^^ did you mean 'sigmoid'?
test.rfn:6:7: error: unknown function 'tan'
  6 |   g = tan(V·x)
    |       ^^^ did you mean 'tanh'?
test.rfn:9:12: error: unknown function 'relux'
  9 | output z = relux(y)
    |            ^^^^^ did you mean 'relu'?)");
}

TEST(EquationsErrors, NamesOutsideOfCells) {
  EXPECT_EQ(equations_error(kHead + "hidden = relu(x)\noutput y = hiden*2\n"),
            R"(test.rfn:5:12: error: unknown name 'hiden'
  5 | output y = hiden*2
    |            ^^^^^ did you mean 'hidden'?)");
  EXPECT_EQ(equations_error(kHead + "output y = Q·x\n"),
            R"(test.rfn:4:12: error: unknown name 'Q'
  4 | output y = Q·x
    |            ^ a parameter outside of cells is declared: param Q: f32[...])");
}

TEST(EquationsErrors, OpenShapes) {
  EXPECT_EQ(equations_error(in_cell("  h = tanh(W·[h, x])\n  O: y = W_y·h\n")),
            R"(test.rfn:6:10: error: the shape of 'W_y' does not follow from the equations: [?, 64]
  6 |   O: y = W_y·h
    |          ^^^ declare it: param W_y: f32[...])");
  EXPECT_EQ(equations_error(kHead + "output y = scan lstm over x\n"),
            R"(test.rfn:4:17: error: the size of state 'h' is not known
  4 | output y = scan lstm over x
    |                 ^^^^ write it here: lstm(64))");
}

TEST(EquationsErrors, WeightsFile) {
  const std::string text =
      "weights \"w.safetensors\"\ninput x: f32[T, B, 2]\ncell net(x, h[3]):\n"
      "  h = tanh(W·[h, x] + b)\noutput y = scan net over x\n";
  const auto w = [](std::vector<int64_t> extents) { return Tensor(ElementType::f32, extents); };
  EXPECT_EQ(equations_error(text, {named("net.W", w({3, 5})), named("net.B", w({3}))}),
            R"(test.rfn:4:23: error: no tensor 'net.b' in w.safetensors
  4 |   h = tanh(W·[h, x] + b)
    |                       ^ did you mean 'net.B'?)");
  EXPECT_EQ(equations_error(text, {named("net.W", w({3, 6})), named("net.b", w({3}))}),
            R"(test.rfn:4:12: error: shapes do not fit: W [3, 6] · [5]: 6 against 5
  4 |   h = tanh(W·[h, x] + b)
    |            ^^^^^^^^)");
  const std::string missing =
      equations_error("weights \"missing.npz\"\ninput x: f32[T, B, 2]\noutput x\n");
  EXPECT_TRUE(missing.starts_with("test.rfn:1:9: error: ")) << missing;
  EXPECT_NE(missing.find("missing.npz: no such file"), std::string::npos) << missing;
}

TEST(EquationsErrors, BuiltInCells) {
  const auto w = [](std::vector<int64_t> extents) { return Tensor(ElementType::f32, extents); };
  EXPECT_EQ(
      equations_error(
          "weights \"w.safetensors\"\ninput x: f32[T, B, 2]\n"
          "output y = scan lstm(4) over x\n",
          {named("lstm.weight_ih_l0", w({16, 3})), named("lstm.weight_hh_l0", w({16, 4}))}),
      R"(test.rfn:3:17: error: in cell 'lstm': shapes do not fit: W_ii [4, 3] · x [2]: 3 against 2
  3 | output y = scan lstm(4) over x
    |                 ^^^^^^^)");
}

TEST(EquationsErrors, States) {
  EXPECT_EQ(equations_error(in_cell("  g = tanh(W·x)\n")),
            R"(test.rfn:4:13: error: no equation gives the next value of state 'h'
  4 | cell net(x, h[H]):
    |             ^)");
  EXPECT_EQ(equations_error(in_cell("  h = tanh(c + W·x)\n  c = h\n")),
            R"(test.rfn:5:12: error: 'c' is used before its equation
  5 |   h = tanh(c + W·x)
    |            ^ if it is a state, name it in the cell's first line: c[...])");
  EXPECT_EQ(equations_error(in_cell("  h = tanh(W·x)\n  h = h + 1\n")),
            R"(test.rfn:6:3: error: 'h' has two equations
  6 |   h = h + 1
    |   ^ a state has one, which gives its next value)");
}

TEST(EquationsErrors, Syntax) {
  EXPECT_EQ(equations_error("input x: f32[T, B, 2\noutput x\n"),
            R"(test.rfn:1:13: error: this bracket is never closed
  1 | input x: f32[T, B, 2
    |             ^)");
  EXPECT_EQ(equations_error("inptu x: f32[T, B, 2]\noutput x\n"),
            R"(test.rfn:1:1: error: unknown statement 'inptu'
  1 | inptu x: f32[T, B, 2]
    | ^^^^^ did you mean 'input'?)");
  EXPECT_EQ(equations_error("input x: f32[T, B, 2]\ny = x +\noutput y\n"),
            R"(test.rfn:2:8: error: unexpected end of the line
  2 | y = x +
    |        ^ expected an expression)");
  EXPECT_EQ(equations_error("input x: f32[T, B, 2]\ny = 2x\noutput y\n"),
            R"(test.rfn:2:5: error: a number runs into a name
  2 | y = 2x
    |     ^^ expected an operator or a space between)");
  EXPECT_EQ(equations_error("input x: f32[T, B, 2] $\noutput x\n"),
            R"(test.rfn:1:23: error: this character means nothing here
  1 | input x: f32[T, B, 2] $
    |                       ^)");
}

TEST(EquationsErrors, HostileText) {
  EXPECT_EQ(equations_error("const a = 1\nconst \xC3\x28 = 2\n"),
            "test.rfn:2:7: error: the text is not valid UTF-8");
  EXPECT_NE(equations_error("output y = " + std::string(100000, '(')).find("never closed"),
            std::string::npos);
  const std::string deep = std::string(100000, '(') + "1" + std::string(100000, ')');
  EXPECT_NE(equations_error("output y = " + deep).find("nested too deeply"), std::string::npos);
  std::string chain = "output y = 1";
  for (int i = 0; i < 100000; ++i) chain += "+1";
  EXPECT_NE(equations_error(chain).find("too many parts"), std::string::npos);
  EXPECT_NE(equations_error("const a = 1e999\n").find("out of range"), std::string::npos);
  EXPECT_NE(equations_error("weights uniform()\ninput x: f32[T, B, 2]\n"
                            "output y = linear(x, 2000000000)\n")
                .find("too large"),
            std::string::npos);
  std::string stack = "lstm(1)";
  for (int i = 0; i < 20; ++i) stack = "stack(" + stack + ", layers = 1000)";
  EXPECT_NE(equations_error("weights uniform()\ninput x: f32[T, B, 2]\noutput y = scan " + stack +
                            " over x\n")
                .find("too many layers"),
            std::string::npos);
}

}  // namespace
}  // namespace refrain
