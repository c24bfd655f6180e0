// What a description says, as a tree. Every part knows its place in the text. Grammar and meaning:
// docs/language.md.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frontend/equations/source.h"

namespace refrain::equations {

// Deepest tree; it bounds every recursion over expressions and machines.
inline constexpr int kMaxDepth = 256;

struct Name {
  std::string text;
  Range range;
};

struct Expression;
struct RightSide;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Argument {
  Name name;  // empty text: by position
  ExpressionPtr value;
};

struct Expression {
  enum class Kind : uint8_t {
    number,
    string,
    name,
    call,    // text(arguments)
    binary,  // operands: left, right; text: the operator
    negate,
    concat,
    tuple,
    slice,  // operands: what is sliced, begin, end; the bounds may be null
    index,  // operands: what is indexed, the index
    run,    // the first result of a scan or decode
  };
  Kind kind;
  Range range;
  Range operator_range;  // of the operator, or the name of a call
  double number = 0;
  std::string text;
  bool over_time = false;  // of a slice or an index
  int depth = 1;
  std::vector<ExpressionPtr> operands;
  std::vector<Argument> arguments;
  std::shared_ptr<const RightSide> run;
};

// A cell with its sizes, or what is built of one.
struct Machine {
  enum class Kind : uint8_t { cell, bidirectional, stack };
  Kind kind = Kind::cell;
  Range range;
  Name cell;
  std::vector<ExpressionPtr> sizes;
  std::unique_ptr<Machine> inner;
  ExpressionPtr layers, residual;  // of a stack; residual may be null
};

struct Clauses {
  std::vector<ExpressionPtr> from, given;  // one a value
  Range from_range, given_range;
  ExpressionPtr lengths;
  std::optional<Name> weights;
};

struct Scan {
  Machine machine;
  std::vector<ExpressionPtr> over;
  Range over_range;
  bool reverse = false;
  Clauses clauses;
};

struct Decode {
  Machine machine;                     // a cell
  ExpressionPtr start, until, length;  // until may be null
  enum class Choice : uint8_t { greedy, sample, beam } choice = Choice::greedy;
  Range choice_range;
  std::vector<Argument> arguments;  // of the choice
  Clauses clauses;
};

// What may stand on the right of an equation: one of the three.
struct RightSide {
  Range range;
  ExpressionPtr expression;
  std::unique_ptr<Scan> scan;
  std::unique_ptr<Decode> decode;
};

struct Axis {
  Name name;             // empty text: none
  ExpressionPtr extent;  // null: not given; a lone name is in `name` only
  Range range;
};

struct TypeSyntax {
  Name element;
  std::vector<Axis> axes;
  Range range;
};

struct ParameterSyntax {
  std::vector<Name> names;  // more than one: rows of one tensor
  std::optional<TypeSyntax> type;
  std::optional<Name> file_name;
  Range range;
};

struct Equation {
  enum class Label : uint8_t { none, recurrence, output } label = Label::none;
  std::vector<Name> targets;  // none: `O: expression`
  RightSide value;
  Range range;
};

struct State {
  Name name;
  std::optional<std::vector<ExpressionPtr>> size;
};

struct Cell {
  Name name;
  std::vector<Name> inputs;
  std::vector<State> states;
  std::vector<Name> given;
  std::vector<ParameterSyntax> parameters;
  std::vector<Equation> equations;
  Range range;
};

struct Statement {
  enum class Kind : uint8_t { model, weights, constant, input, parameter, cell, equation, output };
  Kind kind;
  Range range;
  Name name;                        // model, constant, input, output
  std::optional<Name> string;       // weights: the file
  std::vector<Argument> arguments;  // weights uniform(...)
  std::optional<TypeSyntax> type;   // input
  std::unique_ptr<ParameterSyntax> parameter;
  std::unique_ptr<Cell> cell;
  std::unique_ptr<Equation> equation;
  RightSide value;  // constant, output (may be empty)
};

struct Program {
  std::vector<Statement> statements;
};

}  // namespace refrain::equations
