// The functions of the language; docs/language.md lists them.
#include <algorithm>
#include <cmath>

#include "frontend/equations/call.h"

namespace refrain::equations {
namespace {

// `of_number`: what a number becomes, for constants; otherwise it is a tensor.
Function unary(Op op, double (*of_number)(double) = nullptr) {
  return [op, of_number](Call& call) -> Operand {
    const Expression& expression = call.required("x");
    call.finish();
    const Operand x = call.evaluator.evaluate(expression);
    const auto* number = std::get_if<double>(&x);
    if (number && of_number) {
      const double result = of_number(*number);
      if (!std::isfinite(result)) fail(call.range(), "this number is out of range");
      return result;
    }
    return call.algebra.unary(op, call.evaluator.tensor(x, expression.range));
  };
}

Operand leaky_relu(Call& call) {
  const Tensored x = call.tensor("x");
  const double alpha = call.number("alpha", 0.01);
  call.finish();
  return call.algebra.unary(Op::leaky_relu, x, {{AttributeName::alpha, alpha}});
}

Operand elu(Call& call) {
  const Tensored x = call.tensor("x");
  const double alpha = call.number("alpha", 1);
  call.finish();
  return call.algebra.unary(Op::elu, x, {{AttributeName::alpha, alpha}});
}

Operand hard_sigmoid(Call& call) {
  const Tensored x = call.tensor("x");
  const double alpha = call.number("alpha", 0.2), beta = call.number("beta", 0.5);
  call.finish();
  return call.algebra.unary(Op::hard_sigmoid, x,
                            {{AttributeName::alpha, alpha}, {AttributeName::beta, beta}});
}

Operand silu(Call& call) {
  const Tensored x = call.tensor("x");
  call.finish();
  return call.algebra.elementwise(Op::mul, x, call.algebra.unary(Op::sigmoid, x), "silu",
                                  call.range());
}

// Of two tensors or numbers.
Operand binary(Call& call, Op op, double (*of_numbers)(double, double)) {
  const Expression &first = call.required("a"), &second = call.required("b");
  call.finish();
  const Operand left = call.evaluator.evaluate(first), right = call.evaluator.evaluate(second);
  const auto *x = std::get_if<double>(&left), *y = std::get_if<double>(&right);
  if (x && y) return of_numbers(*x, *y);
  const std::vector<Tensored> sides = call.evaluator.side_by_side({left, right}, {&first, &second});
  return call.algebra.elementwise(op, sides[0], sides[1], "'" + call.expression.text + "'",
                                  call.range());
}

// max and min: of two tensors, or a reduction.
Function extremum(Op op, Op reduction) {
  return [op, reduction](Call& call) -> Operand {
    if (call.count() >= 2) {
      return binary(
          call, op,
          op == Op::max ? [](double x, double y) { return std::max(x, y); }
                        : [](double x, double y) { return std::min(x, y); });
    }
    const Tensored x = call.tensor("x");
    const bool over_time = call.over_time();
    call.finish();
    return call.algebra.reduce(reduction, x, over_time, call.range());
  };
}

// What is left of a division; it has the divisor's sign.
Operand mod(Call& call) {
  return binary(call, Op::mod, [](double x, double y) { return x - y * std::floor(x / y); });
}

// Whole numbers and truth values as numbers of the parameters' type.
Operand real(Call& call) {
  const Tensored x = call.tensor("x");
  call.finish();
  return Tensored{call.algebra.builder().cast(x.value, call.evaluator.context().real), x.time,
                  x.batch};
}

Function reduction(Op op) {
  return [op](Call& call) -> Operand {
    const Tensored x = call.tensor("x");
    const bool over_time = call.over_time();
    call.finish();
    return call.algebra.reduce(op, x, over_time, call.range());
  };
}

Function softmax(Op op) {
  return [op](Call& call) -> Operand {
    const Tensored x = call.tensor("x");
    const bool over_time = call.over_time();
    call.finish();
    return call.algebra.softmax(op, x, over_time, call.range());
  };
}

Operand arg_max(Call& call) {
  const Tensored x = call.tensor("x");
  const bool over_time = call.over_time();
  call.finish();
  return call.algebra.arg_max(x, over_time, call.range());
}

Operand clip(Call& call) {
  Tensored x = call.tensor("x");
  const Expression &low = call.required("low"), &high = call.required("high");
  call.finish();
  const auto bound = [&](const Expression& limit) {
    return call.algebra.beside(x, call.evaluator.number(limit), limit.range);
  };
  x = call.algebra.elementwise(Op::max, x, bound(low), "clip", call.range());
  return call.algebra.elementwise(Op::min, x, bound(high), "clip", call.range());
}

Operand where(Call& call) {
  const Tensored condition = call.tensor("condition");
  const Expression &first = call.required("a"), &second = call.required("b");
  call.finish();
  const std::vector<Tensored> sides = call.evaluator.side_by_side({&first, &second});
  return call.algebra.where(condition, sides[0], sides[1], call.range());
}

Operand outer(Call& call) {
  const Tensored a = call.tensor("a"), b = call.tensor("b");
  call.finish();
  return call.algebra.outer(a, b, call.range());
}

Operand transpose(Call& call) {
  const Tensored x = call.tensor("x");
  call.finish();
  return call.algebra.transpose(x, call.range());
}

// Features in the same order, row by row, as a vector or a matrix.
Operand reshape(Call& call) {
  const Tensored x = call.tensor("x");
  std::vector<int64_t> shape = {call.size("rows")};
  if (const Expression* const columns = call.optional("columns"))
    shape.push_back(call.evaluator.size(*columns));
  call.finish();
  const Shape from = x.features(), to = Shape::of_extents(shape);
  if (!from.is_static()) fail(call.range(), "a reshape of an unknown number of features");
  if (element_count(from.extents()) != element_count(shape)) {
    fail(call.range(),
         "shapes do not fit in 'reshape': " + describe_features(x) + " and " + to_string(to));
  }
  shape.insert(shape.begin(), x.carried(), 0);  // which keeps them
  Builder& b = call.algebra.builder();
  return Tensored{b.op(Op::reshape, {x.value, b.ints(shape)}), x.time, x.batch};
}

Operand attention(Call& call) {
  const Tensored query = call.tensor("query"), keys = call.tensor("keys"),
                 values = call.tensor("values");
  call.finish();
  return call.algebra.attention(query, keys, values, call.range());
}

void require_tokens(Call& call, const Tensored& x) {
  if (x.element() != ElementType::i64 && x.element() != ElementType::i32) {
    fail(call.range(), "'" + call.expression.text + "' of " + std::string(name(x.element())),
         "expected whole numbers, i64 or i32");
  }
}

Operand one_hot(Call& call) {
  const Tensored x = call.tensor("tokens");
  const int64_t size = call.size("size");
  call.finish();
  require_tokens(call, x);
  Builder& b = call.algebra.builder();
  const ElementType real = call.evaluator.context().real;
  Value* const values =
      b.op(Op::concat, {b.reshape(b.scalar(real, 0), {1}), b.reshape(b.scalar(real, 1), {1})},
           {{AttributeName::axis, int64_t{0}}});
  return Tensored{b.op(Op::one_hot, {x.value, b.scalar<int64_t>(size), values}), x.time, x.batch};
}

Operand embedding(Call& call) {
  const Tensored x = call.tensor("tokens");
  const int64_t rows = call.size("rows"), size = call.size("size");
  const std::string prefix = call.prefix();
  call.finish();
  require_tokens(call, x);
  if (x.rank() != 0) {
    fail(call.range(), "tokens with features: " + describe_features(x),
         "expected one number a step, i64[T, B]");
  }
  const Weight table =
      call.evaluator.function_parameter(prefix, "weight", {rows, size}, call.name_range());
  return Tensored{call.algebra.builder().op(Op::gather, {call.weight(table).value, x.value},
                                            {{AttributeName::axis, int64_t{0}}}),
                  x.time, x.batch};
}

// The extent of the only axis of features.
int64_t vector_size(Call& call, const Tensored& x) {
  if (x.rank() != 1 || !x.features()[0].is_constant()) {
    fail(call.range(), "'" + call.expression.text + "' of " + describe_features(x),
         "expected a vector");
  }
  return x.features()[0].extent();
}

Operand linear(Call& call) {
  const Tensored x = call.tensor("x");
  const int64_t size = call.size("size");
  const bool bias = call.flag("bias", true);
  const std::string prefix = call.prefix();
  call.finish();
  const Weight w = call.evaluator.function_parameter(prefix, "weight", {size, vector_size(call, x)},
                                                     call.name_range());
  const Tensored y = call.algebra.product_by_transpose({call.evaluator.weight(w, true)}, x);
  if (!bias) return y;
  const Weight b = call.evaluator.function_parameter(prefix, "bias", {size}, call.name_range());
  return call.algebra.elementwise(Op::add, y, call.weight(b), "linear", call.range());
}

Operand layer_norm(Call& call) {
  const Tensored x = call.tensor("x");
  const double eps = call.number("eps", 1e-5);
  const std::string prefix = call.prefix();
  call.finish();
  const int64_t size = vector_size(call, x);
  Algebra& a = call.algebra;
  const auto kept_mean = [&](const Tensored& of) {
    return Tensored{a.builder().op(Op::reduce_mean, {of.value, a.builder().ints({-1})}), of.time,
                    of.batch};
  };
  const auto combine = [&](Op op, const Tensored& u, const Tensored& v) {
    return a.elementwise(op, u, v, "layer_norm", call.range());
  };
  const Tensored centered = combine(Op::sub, x, kept_mean(x));
  const Tensored variance = kept_mean(combine(Op::mul, centered, centered));
  const Tensored deviation = a.unary(Op::sqrt, combine(Op::add, variance, call.scalar(x, eps)));
  const Tensored inverse = combine(Op::div, call.scalar(x, 1), deviation);
  const Weight w = call.evaluator.function_parameter(prefix, "weight", {size}, call.name_range());
  const Weight b = call.evaluator.function_parameter(prefix, "bias", {size}, call.name_range());
  const Tensored scaled = combine(Op::mul, combine(Op::mul, centered, inverse), call.weight(w));
  return combine(Op::add, scaled, call.weight(b));
}

const std::map<std::string, Function>& functions() {
  static const auto* const table = [] {
    auto* result = new std::map<std::string, Function>{
        {"sigmoid", unary(Op::sigmoid)},
        {"σ", unary(Op::sigmoid)},
        {"tanh", unary(Op::tanh)},
        {"relu", unary(Op::relu)},
        {"exp", unary(Op::exp, std::exp)},
        {"log", unary(Op::log, std::log)},
        {"sqrt", unary(Op::sqrt, std::sqrt)},
        {"abs", unary(Op::abs, std::abs)},
        {"sign", unary(Op::sign)},
        {"erf", unary(Op::erf)},
        {"sin", unary(Op::sin, std::sin)},
        {"cos", unary(Op::cos, std::cos)},
        {"floor", unary(Op::floor, std::floor)},
        {"ceil", unary(Op::ceil, std::ceil)},
        {"round", unary(Op::round, std::nearbyint)},
        {"softplus", unary(Op::softplus)},
        {"softsign", unary(Op::softsign)},
        {"gelu", unary(Op::gelu)},
        {"selu", unary(Op::selu)},
        {"silu", silu},
        {"leaky_relu", leaky_relu},
        {"elu", elu},
        {"hard_sigmoid", hard_sigmoid},
        {"max", extremum(Op::max, Op::reduce_max)},
        {"min", extremum(Op::min, Op::reduce_min)},
        {"mod", mod},
        {"real", real},
        {"sum", reduction(Op::reduce_sum)},
        {"mean", reduction(Op::reduce_mean)},
        {"softmax", softmax(Op::softmax)},
        {"log_softmax", softmax(Op::log_softmax)},
        {"argmax", arg_max},
        {"clip", clip},
        {"where", where},
        {"outer", outer},
        {"transpose", transpose},
        {"reshape", reshape},
        {"attention", attention},
        {"one_hot", one_hot},
        {"embedding", embedding},
        {"linear", linear},
        {"layer_norm", layer_norm},
    };
    add_time_functions(*result);
    return result;
  }();
  return *table;
}

}  // namespace

const std::vector<std::string>& function_names() {
  static const auto* const names = [] {
    auto* result = new std::vector<std::string>;
    for (const auto& [name, function] : functions()) result->push_back(name);
    return result;
  }();
  return *names;
}

Operand call_function(Evaluator& evaluator, const Expression& expression) {
  const auto at = functions().find(expression.text);
  if (at == functions().end()) {
    if (evaluator.is_cell(expression.text)) {
      fail(expression.operator_range, "'" + expression.text + "' is a cell, and no function",
           "expected: NAME = scan " + expression.text + " over ...");
    }
    fail(expression.operator_range, "unknown function '" + expression.text + "'",
         suggestion(expression.text, function_names()));
  }
  Call call(evaluator, expression);
  return at->second(call);
}

}  // namespace refrain::equations
