#include "frontend/equations/expression_parser.h"

#include <charconv>
#include <cmath>

namespace refrain::equations {

using Kind = Expression::Kind;

namespace {

// Calls f on every expression that a scan or decode is made of; some are null.
template <typename F>
void for_each_expression(const RightSide& side, const F& f) {
  const Clauses& clauses = side.scan ? side.scan->clauses : side.decode->clauses;
  std::ranges::for_each(clauses.from, f);
  std::ranges::for_each(clauses.given, f);
  f(clauses.lengths);
  const Machine* machine = side.scan ? &side.scan->machine : &side.decode->machine;
  for (; machine; machine = machine->inner.get()) {
    std::ranges::for_each(machine->sizes, f);
    f(machine->layers);
    f(machine->residual);
  }
  if (side.scan) std::ranges::for_each(side.scan->over, f);
  if (!side.decode) return;
  f(side.decode->start);
  f(side.decode->until);
  f(side.decode->length);
  for (const Argument& argument : side.decode->arguments) f(argument.value);
}

}  // namespace

ExpressionPtr ExpressionParser::make(Kind kind, Range range) {
  auto result = std::make_unique<Expression>();
  result->kind = kind;
  result->range = range;
  return result;
}

// Chains of operators are deep trees, too.
ExpressionPtr ExpressionParser::checked(ExpressionPtr tree) {
  const auto deeper = [&](const ExpressionPtr& child) {
    if (child) tree->depth = std::max(tree->depth, child->depth + 1);
  };
  for (const ExpressionPtr& operand : tree->operands) deeper(operand);
  for (const Argument& argument : tree->arguments) deeper(argument.value);
  if (tree->depth > kMaxDepth) fail(tree->range, "an expression of too many parts");
  return tree;
}

ExpressionPtr ExpressionParser::binary(ExpressionPtr left, const Token& token,
                                       ExpressionPtr right) {
  ExpressionPtr result = make(Kind::binary, join(left->range, right->range));
  result->text = token.text;
  result->operator_range = token.range;
  result->operands.push_back(std::move(left));
  result->operands.push_back(std::move(right));
  return checked(std::move(result));
}

ExpressionPtr ExpressionParser::expression() {
  const Nesting nesting(*this, peek().range);
  ExpressionPtr left = sum();
  if (at("==") || at("<") || at("<=") || at(">") || at(">=")) {
    const Token token = take();
    left = binary(std::move(left), token, sum());
  }
  return left;
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr left = term();
  while (at("+") || at("-")) {
    const Token token = take();
    left = binary(std::move(left), token, term());
  }
  return left;
}

ExpressionPtr ExpressionParser::term() {
  ExpressionPtr left = factor();
  while (at("*") || at("/")) {
    const Token token = take();
    left = binary(std::move(left), token, factor());
  }
  return left;
}

ExpressionPtr ExpressionParser::negated(ExpressionPtr (ExpressionParser::*operand_of)()) {
  const Nesting nesting(*this, peek().range);
  const Range begin = take().range;
  ExpressionPtr operand = (this->*operand_of)();
  ExpressionPtr result = make(Kind::negate, join(begin, operand->range));
  result->operands.push_back(std::move(operand));
  return checked(std::move(result));
}

ExpressionPtr ExpressionParser::factor() {
  return at("-") ? negated(&ExpressionParser::factor) : product();
}

ExpressionPtr ExpressionParser::product() {
  ExpressionPtr left = power();
  while (at("·")) {
    const Token token = take();
    left = binary(std::move(left), token, power());
  }
  return left;
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr left = postfix();
  if (!at("^")) return left;
  const Nesting nesting(*this, peek().range);
  const Token token = take();
  return binary(std::move(left), token, exponent());
}

ExpressionPtr ExpressionParser::exponent() {
  return at("-") ? negated(&ExpressionParser::exponent) : power();
}

ExpressionPtr ExpressionParser::postfix() {
  ExpressionPtr result = primary();
  while (at("[")) {
    const Nesting nesting(*this, peek().range);
    take();
    ExpressionPtr slice = make(Kind::index, result->range);
    slice->operands.push_back(std::move(result));
    const bool leading_dots = accept("..");
    if (leading_dots) expect(",", " and the features, x[.., 0:8] for example");
    ExpressionPtr first = at(":") ? nullptr : expression();
    if (accept(":")) {
      slice->kind = Kind::slice;
      slice->operands.push_back(std::move(first));
      slice->operands.push_back(at("]") || at(",") ? nullptr : expression());
    } else {
      slice->operands.push_back(std::move(first));
    }
    if (!leading_dots && accept(",")) {
      expect("..");
      slice->over_time = true;
    }
    expect("]");
    slice->range = since(slice->range);
    result = checked(std::move(slice));
  }
  return result;
}

std::vector<Argument> ExpressionParser::arguments() {
  std::vector<Argument> result;
  while (!accept(")")) {
    Argument argument;
    if (at(TokenKind::name) && at("=", 1)) {
      argument.name = name("an argument");
      take();
    }
    argument.value = expression();
    result.push_back(std::move(argument));
    if (!at(")")) expect(",", " or ')'");
  }
  return result;
}

ExpressionPtr ExpressionParser::primary() {
  const Token token = peek();
  switch (token.kind) {
    case TokenKind::number:
      return number();
    case TokenKind::string: {
      take();
      ExpressionPtr result = make(Kind::string, token.range);
      result->text = token.text;
      return result;
    }
    case TokenKind::name: {
      if (at_run()) return run_value();
      take();
      ExpressionPtr result = make(Kind::name, token.range);
      result->text = token.text;
      result->operator_range = token.range;
      if (accept("(")) {
        result->kind = Kind::call;
        result->arguments = arguments();
        result->range = since(token.range);
      }
      return checked(std::move(result));
    }
    default:
      break;
  }
  if (accept("(")) {
    ExpressionPtr first = expression();
    if (!at(",")) {
      expect(")", " or ','");
      return first;
    }
    ExpressionPtr result = make(Kind::tuple, token.range);
    result->operands.push_back(std::move(first));
    while (accept(",")) result->operands.push_back(expression());
    expect(")", " or ','");
    result->range = since(token.range);
    return checked(std::move(result));
  }
  if (accept("[")) {
    ExpressionPtr result = make(Kind::concat, token.range);
    do {
      result->operands.push_back(expression());
    } while (accept(","));
    expect("]", " or ','");
    result->range = since(token.range);
    return checked(std::move(result));
  }
  unexpected("an expression");
}

ExpressionPtr ExpressionParser::run_value() {
  const Nesting nesting(*this, peek().range);
  ExpressionPtr result = make(Kind::run, peek().range);
  auto side = std::make_shared<RightSide>(run());
  for_each_expression(*side, [&](const ExpressionPtr& part) {
    if (part) result->depth = std::max(result->depth, part->depth + 1);
  });
  result->range = side->range;
  result->run = std::move(side);
  return checked(std::move(result));
}

ExpressionPtr ExpressionParser::number() {
  const Token& token = take();
  ExpressionPtr result = make(Kind::number, token.range);
  const char* const end = token.text.data() + token.text.size();
  const auto [read, error] = std::from_chars(token.text.data(), end, result->number);
  if (error != std::errc() || read != end || !std::isfinite(result->number)) {
    fail(token.range, "this number is out of range", "expected less than 1.8e308");
  }
  return result;
}

}  // namespace refrain::equations
