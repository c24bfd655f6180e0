#include "frontend/equations/evaluator.h"

#include <cmath>
#include <limits>

namespace refrain::equations {
namespace {

using Kind = Expression::Kind;

double arithmetic(const std::string& op, double a, double b, Range range) {
  const double result = op == "+"   ? a + b
                        : op == "-" ? a - b
                        : op == "*" ? a * b
                        : op == "/" ? a / b
                                    : std::pow(a, b);
  if (!std::isfinite(result)) fail(range, "this number is out of range");
  return result;
}

bool comparison(const std::string& op) {
  return op == "==" || op == "<" || op == "<=" || op == ">" || op == ">=";
}

bool compare(const std::string& op, double a, double b) {
  return op == "==" ? a == b : op == "<" ? a < b : op == "<=" ? a <= b : op == ">" ? a > b : a >= b;
}

Op op_of(const std::string& op) {
  static const std::map<std::string, Op> kOps = {
      {"+", Op::add},     {"-", Op::sub},           {"*", Op::mul},  {"/", Op::div},
      {"^", Op::pow},     {"==", Op::equal},        {"<", Op::less}, {"<=", Op::less_equal},
      {">", Op::greater}, {">=", Op::greater_equal}};
  return kOps.at(op);
}

// The name of a bare name, for messages.
std::string name_of(const Expression& expression) {
  return expression.kind == Kind::name ? expression.text : "";
}

const char* kind_of(const Operand& operand) {
  constexpr const char* kKinds[] = {"a tensor",      "a parameter",        "a number",
                                    "a truth value", "a tuple of numbers", "a string"};
  return kKinds[operand.index()];
}

}  // namespace

void Context::add(const Problem& problem) {
  if (problems.size() >= kMaxProblems) return;
  // Layers of a stack fail at the same place in the same way.
  for (const Problem& known : problems) {
    if (known.range.begin == problem.range.begin && known.message == problem.message) return;
  }
  problems.push_back(problem);
}

void Context::charge(size_t bytes, Range range) {
  constexpr size_t kMaxWork = size_t{8} << 20;
  work += bytes + 100;
  if (work > kMaxWork) fail(range, "the model is too large: its cells are used too often");
}

Operand Evaluator::evaluate(const Expression& expression) {
  try {
    return evaluate_unchecked(expression);
  } catch (const Error& error) {
    std::string message = error.problem();
    if (!error.found().empty()) message += ": " + error.found();
    fail(expression.range, message, error.expected().empty() ? "" : "expected " + error.expected());
  }
}

Operand Evaluator::evaluate_unchecked(const Expression& expression) {
  switch (expression.kind) {
    case Kind::number:
      return expression.number;
    case Kind::string:
      return expression.text;
    case Kind::name:
      if (expression.text == "true") return true;
      if (expression.text == "false") return false;
      return lookup(expression.text, expression.range);
    case Kind::call:
      return call_function(*this, expression);
    case Kind::binary:
      return expression.text == "·" ? product(expression) : binary(expression);
    case Kind::negate: {
      const Operand operand = evaluate(*expression.operands[0]);
      if (const auto* value = std::get_if<double>(&operand)) return -*value;
      const Tensored x = tensor(operand, expression.operands[0]->range);
      Algebra::require_numbers(x, "a negation", expression.range);
      return algebra_.unary(Op::neg, x);
    }
    case Kind::concat:
      return concat(expression);
    case Kind::tuple: {
      std::vector<double> numbers;
      for (const ExpressionPtr& part : expression.operands) numbers.push_back(number(*part));
      return numbers;
    }
    case Kind::slice:
    case Kind::index:
      return slice(expression);
    case Kind::run:
      return run_value(*expression.run);
  }
  fail(expression.range, "an expression of unknown kind");
}

std::vector<Tensored> Evaluator::side_by_side(const std::vector<const Expression*>& expressions) {
  std::vector<Operand> operands;
  for (const Expression* part : expressions) operands.push_back(evaluate(*part));
  return side_by_side(operands, expressions);
}

std::vector<Tensored> Evaluator::side_by_side(const std::vector<Operand>& operands,
                                              const std::vector<const Expression*>& expressions) {
  std::vector<Tensored> parts(operands.size());
  const Tensored* like = nullptr;
  for (size_t i = 0; i < operands.size(); ++i) {
    if (std::holds_alternative<double>(operands[i])) continue;
    parts[i] = tensor(operands[i], expressions[i]->range);
    if (!like) like = &parts[i];
  }
  for (size_t i = 0; i < operands.size(); ++i) {
    if (const auto* value = std::get_if<double>(&operands[i])) {
      parts[i] = like ? algebra_.beside(*like, *value, expressions[i]->range)
                      : algebra_.scalar(context_.real, *value);
    }
  }
  return parts;
}

Operand Evaluator::concat(const Expression& expression) {
  std::vector<const Expression*> parts;
  for (const ExpressionPtr& part : expression.operands) parts.push_back(part.get());
  return algebra_.concat(side_by_side(parts), expression.range);
}

Operand Evaluator::binary(const Expression& expression) {
  const Expression &left = *expression.operands[0], &right = *expression.operands[1];
  const std::string& op = expression.text;
  const Operand a = evaluate(left), b = evaluate(right);
  const auto *x = std::get_if<double>(&a), *y = std::get_if<double>(&b);
  if (x && y) {
    if (comparison(op)) return compare(op, *x, *y);
    return arithmetic(op, *x, *y, expression.range);
  }
  const std::vector<Tensored> sides = side_by_side({a, b}, {&left, &right});
  const std::string what = "'" + (name_of(left).empty() ? "" : name_of(left) + " ") + op +
                           (name_of(right).empty() ? "" : " " + name_of(right)) + "'";
  return algebra_.elementwise(op_of(op), sides[0], sides[1], what, expression.range);
}

Operand Evaluator::product(const Expression& expression) {
  const Expression &left = *expression.operands[0], &right = *expression.operands[1];
  const Operand a = evaluate(left), b = evaluate(right);
  const auto* matrix = std::get_if<Weight>(&a);
  const Tensored v = tensor(b, right.range);
  if (matrix && matrix->tensor->rank() == 2 && v.rank() == 1 && v.element() == context_.real &&
      !provably_different(v.features()[0], matrix->tensor->extents()[1])) {
    return algebra_.product_by_transpose({weight(*matrix, true)}, v);
  }
  return algebra_.product(tensor(a, left.range), v, name_of(left), name_of(right),
                          expression.range);
}

Operand Evaluator::slice(const Expression& expression) {
  const Tensored x = tensor(*expression.operands[0]);
  if (expression.kind == Kind::index) {
    const int64_t at = integer(*expression.operands[1], -kMaxExtent, kMaxExtent);
    return algebra_.index(x, expression.over_time, at, expression.range);
  }
  const auto bound = [&](size_t i, int64_t otherwise) {
    return expression.operands[i] ? integer(*expression.operands[i], -kMaxExtent, kMaxExtent)
                                  : otherwise;
  };
  const int64_t begin = bound(1, 0);
  const int64_t end = bound(2, std::numeric_limits<int64_t>::max());
  return algebra_.slice(x, expression.over_time, begin, end, expression.range);
}

Tensored Evaluator::tensor(const Expression& expression) {
  return tensor(evaluate(expression), expression.range);
}

Tensored Evaluator::tensor(const Operand& operand, Range range) {
  if (const auto* tensored = std::get_if<Tensored>(&operand)) return *tensored;
  if (const auto* parameter = std::get_if<Weight>(&operand)) return {weight(*parameter, false)};
  if (const auto* value = std::get_if<double>(&operand)) {
    return algebra_.scalar(context_.real, *value);
  }
  if (const auto* value = std::get_if<bool>(&operand)) {
    return algebra_.scalar(ElementType::boolean, *value ? 1 : 0);
  }
  fail(range, std::string("expected a tensor, found ") + kind_of(operand));
}

double Evaluator::number(const Expression& expression) {
  const Operand operand = evaluate(expression);
  if (const auto* value = std::get_if<double>(&operand)) return *value;
  fail(expression.range, std::string("expected a number, found ") + kind_of(operand));
}

int64_t Evaluator::integer(const Expression& expression, int64_t least, int64_t most) {
  const double value = number(expression);
  if (value != std::floor(value)) fail(expression.range, "expected a whole number");
  if (!(value >= static_cast<double>(least) && value <= static_cast<double>(most))) {
    fail(expression.range, "this number is out of range",
         "expected " + std::to_string(least) + " to " + std::to_string(most));
  }
  return static_cast<int64_t>(value);
}

bool Evaluator::flag(const Expression& expression) {
  const Operand operand = evaluate(expression);
  if (const auto* value = std::get_if<bool>(&operand)) return *value;
  fail(expression.range, std::string("expected true or false, found ") + kind_of(operand));
}

std::string Evaluator::string(const Expression& expression) {
  const Operand operand = evaluate(expression);
  if (const auto* value = std::get_if<std::string>(&operand)) return *value;
  fail(expression.range, std::string("expected a string, found ") + kind_of(operand));
}

Weight Evaluator::function_parameter(const std::string& prefix, const std::string& parameter,
                                     std::vector<int64_t> shape, Range use) {
  ParameterRequest request;
  request.names = {joined(prefix, parameter) + name_suffix()};
  request.shown = request.names[0];
  request.shape = std::move(shape);
  request.element = context_.real;
  request.use = use;
  return context_.parameters.get(request);
}

}  // namespace refrain::equations
