#include "frontend/equations/parser.h"

#include "frontend/equations/expression_parser.h"
#include "frontend/equations/time_index.h"

namespace refrain::equations {
namespace {

using Kind = Expression::Kind;

const std::vector<std::string> kStatements = {"model", "weights", "const", "input",
                                              "param", "cell",    "output"};

class Parser : private ExpressionParser {
 public:
  Parser(const Source& source, std::vector<Problem>& problems)
      : ExpressionParser(tokenize(source, problems).tokens), problems_(problems) {}

  Program program() {
    Program result;
    while (!at(TokenKind::end) && problems_.size() < kMaxProblems) {
      try {
        result.statements.push_back(statement());
      } catch (const Failure& failure) {
        problems_.push_back(failure.problem);
        recover();
      }
    }
    return result;
  }

 private:
  void end_statement() {
    if (!at(TokenKind::newline)) {
      const bool scan = at("from") || at("given") || at("over") || at("reverse");
      unexpected(scan ? "'scan' in front, or the end of the line" : "the end of the line");
    }
    take();
  }

  // Goes on behind the statement, its block included.
  void recover() {
    surface();
    while (!at(TokenKind::end) && !at(TokenKind::newline)) take();
    if (at(TokenKind::newline)) take();
    if (!in_cell_ && at(TokenKind::indent)) {
      while (!at(TokenKind::end) && !at(TokenKind::dedent)) take();
    }
    if (!in_cell_ && at(TokenKind::dedent)) take();
  }

  // --- statements ---

  Statement statement() {
    Statement result;
    const Range begin = peek().range;
    if (at(TokenKind::indent)) {
      fail(begin, "an indented line outside of a cell");
    }
    // `input = ...` would be an equation.
    const bool keyword =
        peek(1).kind == TokenKind::name || peek(1).kind == TokenKind::string || at("param");
    if (keyword && accept("model")) {
      result.kind = Statement::Kind::model;
      result.name = name("a name for the model");
    } else if (keyword && accept("weights")) {
      result.kind = Statement::Kind::weights;
      weights(result);
    } else if (keyword && accept("const")) {
      result.kind = Statement::Kind::constant;
      result.name = name("a name for the constant");
      expect("=");
      result.value.expression = expression();
    } else if (keyword && accept("input")) {
      result.kind = Statement::Kind::input;
      result.name = name("a name for the input");
      expect(":");
      result.type = type();
    } else if (keyword && at("param")) {
      result.kind = Statement::Kind::parameter;
      result.parameter = std::make_unique<ParameterSyntax>(parameter());
    } else if (keyword && at("cell")) {
      result.kind = Statement::Kind::cell;
      result.cell = std::make_unique<Cell>(cell());
      result.range = since(begin);
      return result;
    } else if (keyword && accept("output")) {
      result.kind = Statement::Kind::output;
      result.name = name("a name for the output");
      if (accept("=")) result.value = right_side();
    } else {
      result.kind = Statement::Kind::equation;
      if (at(TokenKind::name) && peek(1).kind == TokenKind::name) {
        const std::string note = suggestion(peek().text, kStatements);
        if (!note.empty()) fail(begin, "unknown statement " + describe(peek()), note);
      }
      result.equation = std::make_unique<Equation>(equation());
    }
    result.range = since(begin);
    end_statement();
    return result;
  }

  void weights(Statement& result) {
    if (at(TokenKind::string)) {
      result.string = string("a file");
    } else if (accept("uniform")) {
      expect("(");
      result.arguments = arguments();
    } else {
      unexpected("a file's name in quotes, or uniform(seed = 1)");
    }
  }

  TypeSyntax type() {
    TypeSyntax result;
    const Range begin = peek().range;
    result.element = name("a type: f32, f64, i32, i64 or bool");
    expect("[", " and the axes, f32[T, B, 28] for example");
    while (!accept("]")) {
      Axis axis;
      axis.range = peek().range;
      const bool named = at(TokenKind::name) && (at(",", 1) || at("]", 1) || at("=", 1));
      if (named) {
        axis.name = name("an axis");
        if (accept("=")) axis.extent = expression();
      } else {
        axis.extent = expression();
      }
      axis.range = since(axis.range);
      result.axes.push_back(std::move(axis));
      if (!at("]")) expect(",", " or ']'");
    }
    result.range = since(begin);
    return result;
  }

  ParameterSyntax parameter() {
    ParameterSyntax result;
    const Range begin = take().range;
    if (at("(")) {
      result.names = names("a parameter's name");
      expect("=");
      result.file_name = string("the tensor's name in the weights file, in quotes");
    } else {
      result.names.push_back(name("a parameter's name"));
      expect(":");
      result.type = type();
      if (accept("=")) {
        result.file_name = string("the tensor's name in the weights file, in quotes");
      }
    }
    result.range = since(begin);
    return result;
  }

  // ( name, name, ... )
  std::vector<Name> names(const char* what) {
    std::vector<Name> result;
    expect("(");
    do {
      result.push_back(name(what));
    } while (accept(","));
    expect(")", " or ','");
    return result;
  }

  Cell cell() {
    Cell result;
    const Range begin = take().range;
    result.name = name("a name for the cell");
    expect("(");
    if (at("(")) {
      result.inputs = names("a name for what is scanned");
    } else {
      result.inputs.push_back(name("a name for what is scanned"));
    }
    while (accept(",")) {
      State state;
      state.name = name("a name for a state");
      if (accept("[")) {
        state.size.emplace();
        if (!at("]")) {
          do {
            state.size->push_back(expression());
          } while (accept(","));
        }
        expect("]", " or ','");
      }
      result.states.push_back(std::move(state));
    }
    expect(")", " or ','");
    if (accept("given")) {
      if (at("(")) {
        result.given = names("a name for a given value");
      } else {
        do {
          result.given.push_back(name("a name for a given value"));
        } while (accept(","));
      }
    }
    expect(":");
    result.range = since(begin);
    if (!at(TokenKind::newline)) unexpected("the cell's equations, indented, in the lines below");
    take();
    if (!at(TokenKind::indent)) {
      fail(result.range, "a cell without equations",
           "expected indented equations in the lines below");
    }
    take();
    in_cell_ = true;
    while (!at(TokenKind::dedent) && !at(TokenKind::end) && problems_.size() < kMaxProblems) {
      try {
        if (at("param") && !at("=", 1)) {
          result.parameters.push_back(parameter());
        } else {
          result.equations.push_back(cell_equation());
        }
        end_statement();
      } catch (const Failure& failure) {
        problems_.push_back(failure.problem);
        recover();
      }
    }
    in_cell_ = false;
    if (at(TokenKind::dedent)) take();
    if (!problems_.empty()) return result;
    try {
      resolve_time_indices(result);
    } catch (const Failure& failure) {
      problems_.push_back(failure.problem);
    }
    return result;
  }

  Equation cell_equation() {
    const Range begin = peek().range;
    Equation::Label label = Equation::Label::none;
    if ((at("R") || at("O")) && at(":", 1)) {
      label = take().text == "R" ? Equation::Label::recurrence : Equation::Label::output;
      take();
    }
    Equation result;
    // `O: expression`
    const bool target = at(TokenKind::name) && at("=", 1);
    if (label == Equation::Label::output && !target) {
      result.value.expression = expression();
      result.value.range = result.value.expression->range;
    } else {
      result.targets.push_back(name("an equation"));
      expect("=");
      result.value.expression = expression();
      result.value.range = result.value.expression->range;
    }
    result.label = label;
    result.range = since(begin);
    return result;
  }

  Equation equation() {
    Equation result;
    const Range begin = peek().range;
    if (at("(")) {
      result.targets = names("a name");
    } else {
      do {
        result.targets.push_back(name("a statement or an equation"));
      } while (accept(","));
    }
    expect("=");
    result.value = right_side();
    result.range = since(begin);
    return result;
  }

  RightSide right_side() {
    if (at_run()) return run();  // by itself it gives all of its results
    RightSide result;
    result.expression = expression();
    result.range = result.expression->range;
    return result;
  }

  RightSide run() override {
    const Range begin = peek().range;
    if (in_cell_) {
      fail(begin, "a scan inside a cell", "expected it outside, its result scanned or given");
    }
    RightSide result;
    if (at("scan")) {
      result.scan = std::make_unique<Scan>(scan());
    } else {
      result.decode = std::make_unique<Decode>(decode());
    }
    result.range = since(begin);
    return result;
  }

  // --- scans ---

  Machine machine() {
    const Nesting nesting(*this, peek().range);
    Machine result;
    const Range begin = peek().range;
    if (at("bidirectional") || at("stack")) {
      const bool stack = take().text == "stack";
      result.kind = stack ? Machine::Kind::stack : Machine::Kind::bidirectional;
      expect("(");
      result.inner = std::make_unique<Machine>(machine());
      if (stack) {
        expect(",", " and layers = ...");
        expect("layers");
        expect("=");
        result.layers = expression();
        if (accept(",")) {
          expect("residual");
          expect("=");
          result.residual = expression();
        }
      }
      expect(")");
    } else {
      result.cell = name("a cell");
      if (accept("(")) {
        do {
          result.sizes.push_back(expression());
        } while (accept(","));
        expect(")", " or ','");
      }
    }
    result.range = since(begin);
    return result;
  }

  // One expression, or several in brackets.
  std::vector<ExpressionPtr> values(Range& range) {
    std::vector<ExpressionPtr> result;
    range = peek().range;
    ExpressionPtr value = expression();
    if (value->kind == Kind::tuple) {
      result = std::move(value->operands);
    } else {
      result.push_back(std::move(value));
    }
    range = since(range);
    return result;
  }

  // True if one of the clauses of scans and decodes was there.
  bool clause(Clauses& clauses) {
    const Range begin = peek().range;
    const auto once = [&](bool given) {
      if (given) fail(begin, "'" + std::string(peek().text) + "' is given twice");
      take();
    };
    if (at("from")) {
      once(!clauses.from.empty());
      clauses.from = values(clauses.from_range);
    } else if (at("given")) {
      once(!clauses.given.empty());
      clauses.given = values(clauses.given_range);
    } else if (at("lengths")) {
      once(clauses.lengths != nullptr);
      clauses.lengths = expression();
    } else if (at("with")) {
      once(clauses.weights.has_value());
      expect("weights");
      clauses.weights = string("a prefix of names in the weights file, in quotes");
    } else {
      return false;
    }
    return true;
  }

  Scan scan() {
    Scan result;
    take();
    result.machine = machine();
    expect("over", " and what is scanned");
    result.over = values(result.over_range);
    if (accept("reverse")) result.reverse = true;
    while (clause(result.clauses)) {
    }
    return result;
  }

  Decode decode() {
    Decode result;
    take();
    result.machine = machine();
    bool chosen = false;
    for (bool more = true; more;) {
      const Range begin = peek().range;
      if (!result.start && accept("start")) {
        result.start = expression();
      } else if (!result.until && accept("until")) {
        result.until = expression();
      } else if (!result.length && accept("length")) {
        result.length = expression();
      } else if (!chosen && (at("greedy") || at("sample") || at("beam"))) {
        chosen = true;
        const std::string_view text = take().text;
        result.choice = text == "greedy"   ? Decode::Choice::greedy
                        : text == "sample" ? Decode::Choice::sample
                                           : Decode::Choice::beam;
        if (text != "greedy") {
          expect("(");
          result.arguments = arguments();
        }
        result.choice_range = since(begin);
      } else {
        more = clause(result.clauses);
      }
    }
    if (!result.start) unexpected("'start' and the first token");
    if (!result.length) unexpected("'length' and the largest number of tokens");
    return result;
  }

  std::vector<Problem>& problems_;
  bool in_cell_ = false;
};

}  // namespace

Program parse(const Source& source, std::vector<Problem>& problems) {
  Parser parser(source, problems);
  if (!problems.empty()) return {};
  return parser.program();
}

}  // namespace refrain::equations
