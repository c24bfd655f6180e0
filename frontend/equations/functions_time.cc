// The functions of the language that look along time; docs/language.md lists them.
#include <algorithm>

#include "frontend/equations/call.h"

namespace refrain::equations {
namespace {

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

// What is given one after the other; what has no time is one step.
Operand sequence(Call& call) {
  std::vector<const Expression*> parts = {&call.required("first")};
  while (const Expression* next = call.optional("next")) parts.push_back(next);
  call.finish();
  return call.algebra.join(call.evaluator.side_by_side(parts), call.range());
}

Operand indices(Call& call) {
  const Tensored x = call.tensor("x");
  call.finish();
  return call.algebra.indices(x, call.range());
}

Operand pad(Call& call) {
  const Tensored x = call.tensor("x");
  const int64_t before = call.integer("before", 0, 0), after = call.integer("after", 0, 0);
  const Expression* const mode = call.keyword("mode");
  const std::string name = mode ? call.evaluator.string(*mode) : "zero";
  call.finish();
  if (name != "zero" && name != "reflect" && name != "edge")
    fail(mode->range, "unknown padding '" + name + "'", "expected zero, reflect or edge");
  if (!x.time) fail(call.range(), "padding of a value without a time axis");
  Builder& b = call.algebra.builder();
  const int64_t axis = call.algebra.time_axis(x);
  return Tensored{b.op(Op::pad, {x.value, b.ints({before, after}), nullptr, b.ints({axis})},
                       {{AttributeName::mode, name == "zero" ? std::string("constant") : name}}),
                  x.time, x.batch};
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

}  // namespace

void add_time_functions(std::map<std::string, Function>& functions) {
  functions.insert({{"last", step(-1)},
                    {"first", step(0)},
                    {"reverse", reverse},
                    {"sequence", sequence},
                    {"indices", indices},
                    {"pad", pad},
                    {"conv1d", conv1d},
                    {"max_pool1d", pool(Op::max_pool)},
                    {"avg_pool1d", pool(Op::average_pool)}});
}

}  // namespace refrain::equations
