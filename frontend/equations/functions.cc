// The functions of the language; docs/language.md lists them.
#include <algorithm>
#include <cmath>
#include <functional>

#include "frontend/equations/evaluator.h"

namespace refrain::equations {
namespace {

// The arguments of one call, by position or by name, each to be asked for once.
class Call {
 public:
  Call(Evaluator& in, const Expression& call)
      : evaluator(in), algebra(in.algebra()), expression(call) {
    for (const Argument& argument : expression.arguments) {
      if (argument.name.text.empty()) {
        if (!named_.empty()) {
          fail(argument.value->range, "an argument by position behind one by name");
        }
        positional_.push_back(argument.value.get());
      } else if (!named_.emplace(argument.name.text, &argument).second) {
        fail(argument.name.range, "'" + argument.name.text + "' is given twice");
      }
    }
  }

  size_t count() const { return positional_.size(); }
  Range range() const { return expression.range; }
  Range name_range() const { return expression.operator_range; }

  // The next argument by position, or by its name; null if there is none.
  const Expression* optional(const std::string& name) {
    known_.push_back(name);
    if (const auto at = named_.find(name); at != named_.end()) {
      const Expression* const value = at->second->value.get();
      named_.erase(at);
      return value;
    }
    return next_ < positional_.size() ? positional_[next_++] : nullptr;
  }
  const Expression& required(const std::string& name) {
    if (const Expression* const value = optional(name)) return *value;
    fail(expression.range, "'" + expression.text + "' needs an argument '" + name + "'");
  }
  // An argument that has no place, only a name.
  const Expression* keyword(const std::string& name) {
    known_.push_back(name);
    const auto at = named_.find(name);
    if (at == named_.end()) return nullptr;
    const Expression* const value = at->second->value.get();
    named_.erase(at);
    return value;
  }
  Tensored tensor(const std::string& name) { return evaluator.tensor(required(name)); }
  double number(const std::string& name, double otherwise) {
    const Expression* const value = optional(name);
    return value ? evaluator.number(*value) : otherwise;
  }
  int64_t integer(const std::string& name, int64_t otherwise, int64_t least) {
    const Expression* const value = optional(name);
    return value ? evaluator.integer(*value, least, Evaluator::kMaxExtent) : otherwise;
  }
  int64_t size(const std::string& name) { return evaluator.size(required(name)); }
  bool flag(const std::string& name, bool otherwise) {
    const Expression* const value = optional(name);
    return value ? evaluator.flag(*value) : otherwise;
  }
  // `over = time`; `over = features`.
  bool over_time() {
    const Expression* const over = keyword("over");
    if (!over || (over->kind == Expression::Kind::name && over->text == "features")) return false;
    if (over->kind == Expression::Kind::name && over->text == "time") return true;
    fail(over->range, "expected 'time' or 'features'");
  }
  std::string prefix() {
    const Expression* const given = keyword("weights");
    return given ? evaluator.string(*given) : evaluator.function_prefix(expression.text);
  }
  void finish() const {
    if (next_ < positional_.size()) {
      fail(positional_[next_]->range, "too many arguments of '" + expression.text + "'");
    }
    if (!named_.empty()) {
      const Name& name = named_.begin()->second->name;
      fail(name.range, "'" + expression.text + "' has no argument '" + name.text + "'",
           suggestion(name.text, known_));
    }
  }

  Tensored weight(const Weight& weight) { return {evaluator.weight(weight, false)}; }
  Tensored scalar(const Tensored& like, double value) {
    return algebra.scalar(like.element(), value);
  }

  Evaluator& evaluator;
  Algebra& algebra;
  const Expression& expression;

 private:
  std::vector<const Expression*> positional_;
  std::map<std::string, const Argument*> named_;
  std::vector<std::string> known_;
  size_t next_ = 0;
};

using Function = std::function<Operand(Call&)>;

Function unary(Op op) {
  return [op](Call& call) -> Operand {
    const Tensored x = call.tensor("x");
    call.finish();
    return call.algebra.unary(op, x);
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

// max and min: of two tensors, or a reduction.
Function extremum(Op binary, Op reduction) {
  return [binary, reduction](Call& call) -> Operand {
    if (call.count() < 2) {
      const Tensored x = call.tensor("x");
      const bool over_time = call.over_time();
      call.finish();
      return call.algebra.reduce(reduction, x, over_time, call.range());
    }
    const Operand left = call.evaluator.evaluate(call.required("a"));
    const Expression& second = call.required("b");
    const Operand right = call.evaluator.evaluate(second);
    call.finish();
    const auto *x = std::get_if<double>(&left), *y = std::get_if<double>(&right);
    if (x && y) return binary == Op::max ? std::max(*x, *y) : std::min(*x, *y);
    Tensored a, b;
    if (x) {
      b = call.evaluator.tensor(right, second.range);
      a = call.scalar(b, *x);
    } else {
      a = call.evaluator.tensor(left, call.range());
      b = y ? call.scalar(a, *y) : call.evaluator.tensor(right, second.range);
    }
    return call.algebra.elementwise(binary, a, b, "'" + call.expression.text + "'", call.range());
  };
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
  const double low = call.evaluator.number(call.required("low"));
  const double high = call.evaluator.number(call.required("high"));
  call.finish();
  x = call.algebra.elementwise(Op::max, x, call.scalar(x, low), "clip", call.range());
  return call.algebra.elementwise(Op::min, x, call.scalar(x, high), "clip", call.range());
}

Operand where(Call& call) {
  const Tensored condition = call.tensor("condition");
  const Expression &first = call.required("a"), &second = call.required("b");
  call.finish();
  const Operand left = call.evaluator.evaluate(first), right = call.evaluator.evaluate(second);
  const auto *x = std::get_if<double>(&left), *y = std::get_if<double>(&right);
  Tensored a, b;
  if (x && !y) {
    b = call.evaluator.tensor(right, second.range);
    a = call.scalar(b, *x);
  } else {
    a = call.evaluator.tensor(left, first.range);
    b = y ? call.scalar(a, *y) : call.evaluator.tensor(right, second.range);
  }
  return call.algebra.where(condition, a, b, call.range());
}

Function step(int64_t at) {
  return [at](Call& call) -> Operand {
    const Tensored x = call.tensor("x");
    call.finish();
    return call.algebra.index(x, true, at, call.range());
  };
}

Operand reverse(Call& call) {
  const Tensored x = call.tensor("x");
  call.finish();
  return call.algebra.reversed(x, call.range());
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

using Ints = std::vector<int64_t>;

Operand conv1d(Call& call) {
  const Tensored x = call.tensor("x");
  const Expression* const filter = call.keyword("filter");
  std::vector<double> taps;
  int64_t channels = 0, kernel = 0;
  if (filter) {
    const Operand given = call.evaluator.evaluate(*filter);
    const auto* tuple = std::get_if<std::vector<double>>(&given);
    if (!tuple) fail(filter->range, "expected a tuple of numbers, (-1, 2, -1) for example");
    taps = *tuple;
    kernel = static_cast<int64_t>(taps.size());
  } else {
    channels = call.size("channels");
    kernel = call.size("kernel");
  }
  const int64_t stride = call.integer("stride", 1, 1), padding = call.integer("padding", 0, 0),
                dilation = call.integer("dilation", 1, 1);
  const bool causal = call.flag("causal", false);
  const int64_t groups = filter ? 1 : call.integer("groups", 1, 1);
  const bool bias = !filter && call.flag("bias", true);
  const std::string prefix = filter ? "" : call.prefix();
  call.finish();
  Algebra& a = call.algebra;
  Builder& b = a.builder();
  Value* const sequence = a.to_channels(x, call.range());
  const Dim features = sequence->type().shape[1];
  if (!features.is_constant()) fail(call.range(), "a convolution of an unknown number of features");
  const int64_t size = features.extent();
  const int64_t before = causal ? (kernel - 1) * dilation : padding;
  std::vector<Attribute> attributes = {{AttributeName::strides, Ints{stride}},
                                       {AttributeName::dilations, Ints{dilation}},
                                       {AttributeName::pads, Ints{before, causal ? 0 : padding}},
                                       {AttributeName::groups, filter ? size : groups}};
  if (filter) {
    if (size * kernel > (int64_t{1} << 24)) fail(call.range(), "a filter of too many features");
    Tensor weights(x.element(), {size, 1, kernel});
    visit(x.element(), [&]<typename T>(std::type_identity<T>) {
      const std::span<T> elements = weights.data<T>();
      for (size_t i = 0; i < elements.size(); ++i) {
        if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
          elements[i] = static_cast<T>(taps[i % taps.size()]);
        }
      }
    });
    if (!is_float(x.element())) fail(call.range(), "a convolution of whole numbers");
    return a.from_channels(b.op(Op::conv, {sequence, b.constant(std::move(weights))}, attributes),
                           x, true);
  }
  if (size % groups != 0 || channels % groups != 0) {
    fail(call.range(), "groups do not divide " + std::to_string(size) + " features and " +
                           std::to_string(channels) + " channels");
  }
  const Weight w = call.evaluator.function_parameter(
      prefix, "weight", {channels, size / groups, kernel}, call.name_range());
  std::vector<Value*> operands = {sequence, call.weight(w).value};
  if (bias) {
    const Weight offset =
        call.evaluator.function_parameter(prefix, "bias", {channels}, call.name_range());
    operands.push_back(call.weight(offset).value);
  }
  return a.from_channels(b.create(Op::conv, operands, attributes)->result(), x, false);
}

Function pool(Op op) {
  return [op](Call& call) -> Operand {
    const Tensored x = call.tensor("x");
    const int64_t kernel = call.size("kernel"), stride = call.integer("stride", kernel, 1),
                  padding = call.integer("padding", 0, 0);
    call.finish();
    std::vector<Attribute> attributes = {{AttributeName::kernel, Ints{kernel}},
                                         {AttributeName::strides, Ints{stride}},
                                         {AttributeName::pads, Ints{padding, padding}}};
    // As PyTorch counts.
    if (op == Op::average_pool) attributes.push_back({AttributeName::count_include_pad, true});
    Algebra& a = call.algebra;
    Value* const sequence = a.to_channels(x, call.range());
    return a.from_channels(a.builder().op(op, {sequence}, attributes), x, true);
  };
}

const std::map<std::string, Function>& functions() {
  static const auto* const table = [] {
    auto* result = new std::map<std::string, Function>{
        {"sigmoid", unary(Op::sigmoid)},
        {"σ", unary(Op::sigmoid)},
        {"tanh", unary(Op::tanh)},
        {"relu", unary(Op::relu)},
        {"exp", unary(Op::exp)},
        {"log", unary(Op::log)},
        {"sqrt", unary(Op::sqrt)},
        {"abs", unary(Op::abs)},
        {"sign", unary(Op::sign)},
        {"erf", unary(Op::erf)},
        {"sin", unary(Op::sin)},
        {"cos", unary(Op::cos)},
        {"floor", unary(Op::floor)},
        {"ceil", unary(Op::ceil)},
        {"round", unary(Op::round)},
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
        {"sum", reduction(Op::reduce_sum)},
        {"mean", reduction(Op::reduce_mean)},
        {"softmax", softmax(Op::softmax)},
        {"log_softmax", softmax(Op::log_softmax)},
        {"argmax", arg_max},
        {"clip", clip},
        {"where", where},
        {"last", step(-1)},
        {"first", step(0)},
        {"reverse", reverse},
        {"outer", outer},
        {"transpose", transpose},
        {"attention", attention},
        {"one_hot", one_hot},
        {"embedding", embedding},
        {"linear", linear},
        {"layer_norm", layer_norm},
        {"conv1d", conv1d},
        {"max_pool1d", pool(Op::max_pool)},
        {"avg_pool1d", pool(Op::average_pool)},
    };
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
    fail(expression.operator_range, "unknown function '" + expression.text + "'",
         suggestion(expression.text, function_names()));
  }
  Call call(evaluator, expression);
  return at->second(call);
}

}  // namespace refrain::equations
