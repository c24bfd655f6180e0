// Messages, word for word.
#include <gmock/gmock.h>

#include "support/equations.h"

namespace refrain {
namespace {

using testing::equations_error;
using ::testing::HasSubstr;
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
    |          ^^^ declare it: param W_y: f32[n, 64]; a weights file would say it, too)");
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
    |   ^ a state has one, which gives its next value: call what comes before otherwise)");
}

// A number takes the type of what is beside it, if that has it.
TEST(EquationsErrors, NumbersBesideWholeNumbers) {
  const std::string head = "input x: i64[T, B]\ninput b: bool[T, B]\n";
  EXPECT_EQ(equations_error(head + "output y = 1/(1 + 0.5*indices(x))\n"),
            R"(test.rfn:3:19: error: a fraction beside whole numbers
  3 | output y = 1/(1 + 0.5*indices(x))
    |                   ^^^ real(...) makes numbers of them that may have fractions)");
  for (const char* expression : {"x + 0.5", "x^0.5", "x > 1.5", "where(x > 1, 0.5, x)",
                                 "where(x > 1, x, 0.5)", "clip(x, 0.5, 2)", "clip(x, 0, 2.5)",
                                 "max(x, 0.5)", "mod(0.5, x)", "[x, 0.5]", "sequence(0.5, x)"}) {
    EXPECT_THAT(equations_error(head + "output y = " + expression + "\n"),
                HasSubstr("a fraction beside whole numbers"))
        << expression;
  }
  EXPECT_THAT(equations_error(head + "output y = b*2\n"),
              HasSubstr("a number beside truth values"));
  EXPECT_THAT(equations_error(head + "output y = mean(x, over = time)\n"),
              HasSubstr("the mean of whole numbers or truth values"));
  EXPECT_EQ(equations_error("input m: bool[T, B]\ninput x: f32[T, B]\noutput y = m*x\n"),
            R"(test.rfn:3:12: error: types do not fit in 'm * x': bool and f32
  3 | output y = m*x
    |            ^^^ real(...) makes f32 of bool)");
  for (const char* expression :
       {"(x > 0) + 1", "1 - b", "-b", "sum(b, over = time)", "max(b, b)"}) {
    EXPECT_THAT(equations_error(head + "output y = " + expression + "\n"),
                HasSubstr("real(...) makes numbers of them"))
        << expression;
  }
  for (const char* expression : {"x + 9223372036854775808", "where(x < 1e19, 1, 0)"}) {
    EXPECT_THAT(equations_error(head + "output y = " + expression + "\n"),
                HasSubstr("this number is too large beside i64"))
        << expression;
  }
  EXPECT_THAT(equations_error("input x: i32[T, B]\noutput y = clip(x, 0, 1e12)\n"),
              HasSubstr("this number is too large beside i32"));
  EXPECT_THAT(equations_error("input x: f32[T, B]\noutput y = where(x, 1, 0)\n"),
              HasSubstr("the condition of 'where' is f32"));
}

// What is outside of a cell is no parameter of it.
TEST(EquationsErrors, NamesThatCellsDoNotSee) {
  EXPECT_EQ(equations_error("weights uniform(seed = 1)\ninput x: f32[T, B, 8]\nk = 100\n"
                            "cell c(x, h[8]):\n  h = x + k\noutput y = scan c over x\n"),
            R"(test.rfn:5:11: error: 'k' is a value outside of the cell
  5 |   h = x + k
    |           ^ a cell sees it if it is given: cell c(...) given k, and where it is used: given k)");
  EXPECT_EQ(equations_error("weights uniform(seed = 1)\ninput x: f32[T, B, 8]\nH = 8\n"
                            "cell c(x, h[H]):\n  h = tanh(W·x)\noutput y = scan c over x\n"),
            R"(test.rfn:4:11: error: the size 'H' of state 'h' is a value
  4 | cell c(x, h[H]):
    |           ^ expected a constant: const H = ...)");
  // One that comes later is another thing.
  EXPECT_EQ(equations_error("weights uniform(seed = 1)\ninput x: f32[T, B, 8]\n"
                            "cell c(x, h[8]):\n  h = tanh(W·x + b)\n"
                            "b = scan c over x\noutput y = scan c over b\n"),
            "no error");
  EXPECT_THAT(equations_error(in_cell("  h = tanh(W^T·x)\n")),
              HasSubstr("the transpose of a matrix is transpose(...)"));
  EXPECT_THAT(equations_error(kHead + "cell c(x, h[-3]):\n  h = W·x\noutput y = scan c over x\n"),
              HasSubstr("test.rfn:4:13: error: a size that is no whole number from 1"));
}

TEST(EquationsErrors, NamesBeforeTheirLines) {
  EXPECT_EQ(equations_error("const J = K + 1\nconst K = 3\ninput x: f32[T, B]\noutput x\n"),
            R"(test.rfn:1:11: error: 'K' is used before line 2, which defines it
  1 | const J = K + 1
    |           ^)");
  EXPECT_THAT(equations_error("input x: f32[T, B]\nx = 3\noutput x\n"),
              HasSubstr("test.rfn:2:1: error: 'x' is there already, since line 1"));
  EXPECT_EQ(equations_error("input x: f32[T, B, 8]\ncell c(x, h[8]):\n  h = x\noutput y = c(x)\n"),
            R"(test.rfn:4:12: error: 'c' is a cell, and no function
  4 | output y = c(x)
    |            ^ expected: NAME = scan c over ...)");
}

// The parts of a decode count, all of them.
TEST(EquationsErrors, DeepDecodes) {
  const std::string cell =
      "weights uniform(seed = 1)\ninput s: f32[B, 4]\ncell w(t, s[4]):\n"
      "  s = tanh(W·[s, embedding(t, 5, 3)])\n  O: linear(s, 5)\n";
  std::string ones;
  for (int i = 0; i < 200; ++i) ones += " + 1";
  for (const char* part :
       {"start 0 until # length 3", "start 0 length #", "start # length 3",
        "start 0 length 3 sample(temperature = #)", "start 0 length 3 beam(#)"}) {
    std::string expression = "1";
    for (int i = 0; i < 3; ++i) {
      std::string decode = part;
      decode.replace(decode.find('#'), 1, expression);
      expression = "((decode w " + decode + " from s)" + ones + ")";
    }
    EXPECT_THAT(equations_error(cell + "output y = " + expression + "\n"),
                HasSubstr("an expression of too many parts"))
        << part;
  }
}

TEST(EquationsErrors, Reshape) {
  EXPECT_EQ(equations_error("input x: f32[T, B, 6]\noutput y = reshape(x, 2, 4)\n"),
            R"(test.rfn:2:12: error: shapes do not fit in 'reshape': [6] and [2, 4]
  2 | output y = reshape(x, 2, 4)
    |            ^^^^^^^^^^^^^^^^)");
  EXPECT_THAT(equations_error("input x: f32[T, B, 6]\noutput y = reshape(x, 1, 2, 3)\n"),
              HasSubstr("too many arguments"));
}

TEST(EquationsErrors, IndicesOfTime) {
  EXPECT_EQ(equations_error(in_cell("  h_t = tanh(W·h_{t-2})\n")),
            R"(test.rfn:5:17: error: an index of time that is neither t nor t-1
  5 |   h_t = tanh(W·h_{t-2})
    |                 ^^^^^^ what is older is kept in states of its own)");
  EXPECT_EQ(equations_error(in_cell("  z = W·h_t\n  h_t = tanh(z)\n")),
            R"(test.rfn:5:9: error: 'h_t' is used before its equation
  5 |   z = W·h_t
    |         ^^^ the state of the step before is h_{t-1})");
  EXPECT_THAT(equations_error(in_cell("  h_t = W·x_{t-1}\n")),
              HasSubstr("test.rfn:5:11: error: 'x' is no state, of which the cell knows the step"));
  EXPECT_THAT(equations_error(in_cell("  h_t = W·h_{t-1}\n", "h_t[4]")),
              HasSubstr("write h_{t-1} in its first line, too"));
  EXPECT_THAT(equations_error(in_cell("  h_{t-1} = W·x\n")),
              HasSubstr("an equation for 'h_{t-1}', which is over"));
  EXPECT_THAT(equations_error("input x: f32[T, B]\noutput y = x_{t}\n"),
              HasSubstr("test.rfn:2:12: error: an index of time outside of a cell"));
  EXPECT_THAT(equations_error("input x_{t}: f32[T, B]\noutput x_{t}\n"),
              HasSubstr("test.rfn:1:7: error: an index of time outside of a cell"));
}

TEST(EquationsErrors, SequencesOfDifferentLengths) {
  const std::string head = "input x: f32[T, B, 3]\ninput z: f32[S, B, 3]\n";
  EXPECT_EQ(equations_error(head + "output y = x + z\n"),
            R"(test.rfn:3:12: error: sequences of different lengths in 'x + z': T and S
  3 | output y = x + z
    |            ^^^^^)");
  for (const char* expression :
       {"[x, z]", "x·z", "attention(x, x, z)", "where(x > 0, x, z)", "where(z > 0, x, 0)"}) {
    EXPECT_THAT(equations_error(head + "output y = " + expression + "\n"),
                HasSubstr("sequences of different lengths"))
        << expression;
  }
}

// No further messages about what a bad file would have held.
TEST(EquationsErrors, AWeightsFileThatIsNotThere) {
  const std::string error = equations_error(
      "weights \"none.npz\"\ninput x: f32[T, B, 8]\nparam V: f32[3, 8]\ncell c(x, h[K]):\n"
      "  h = W·[h, x]\n  O: U·h\nz = V·x\ny = scan c over x\noutput q = linear(y, 3)\n");
  EXPECT_THAT(error, HasSubstr("test.rfn:1:9: error: "));
  EXPECT_EQ(error.find("error", error.find("error") + 1), std::string::npos) << error;
}

TEST(EquationsErrors, LinesThatEndAsOnWindows) {
  EXPECT_EQ(equations_error("input x: f32[T, B]\r\noutput y = sigmod(x)\r\n"),
            R"(test.rfn:2:12: error: unknown function 'sigmod'
  2 | output y = sigmod(x)
    |            ^^^^^^ did you mean 'sigmoid'?)");
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
