#include "frontend/decompile/symbolic.h"

#include <algorithm>
#include <cmath>

#include "ir/builder.h"
#include "ir/error.h"

namespace refrain::decompile {
namespace {

using Kind = Axis::Kind;

// The language's name of an element-wise op; null if it has none.
const char* function_of(Op op) {
  switch (op) {
    case Op::add:
      return "+";
    case Op::sub:
      return "-";
    case Op::mul:
      return "*";
    case Op::div:
      return "/";
    case Op::pow:
      return "^";
    case Op::equal:
      return "==";
    case Op::less:
      return "<";
    case Op::less_equal:
      return "<=";
    case Op::greater:
      return ">";
    case Op::greater_equal:
      return ">=";
    case Op::neg:
    case Op::abs:
    case Op::sign:
    case Op::sqrt:
    case Op::exp:
    case Op::log:
    case Op::erf:
    case Op::floor:
    case Op::ceil:
    case Op::round:
    case Op::sin:
    case Op::cos:
    case Op::sigmoid:
    case Op::tanh:
    case Op::relu:
    case Op::leaky_relu:
    case Op::elu:
    case Op::hard_sigmoid:
    case Op::softplus:
    case Op::softsign:
    case Op::max:
    case Op::min:
    case Op::mod:
    case Op::where:
      return name(op).data();
    default:
      return nullptr;
  }
}

bool has_default_attributes(const Node& node) {
  const std::vector<AttributeSpec>& specs = node.schema().attributes;
  return std::all_of(specs.begin(), specs.end(), [&](const AttributeSpec& spec) {
    const AttributeValue* value = node.find_attribute(spec.name);
    return !value || (spec.default_value && *value == *spec.default_value);
  });
}

int64_t width_of(const std::vector<Axis>& axes) {
  for (size_t i = axes.size(); i-- > 0;) {
    if (axes[i].kind == Kind::feature) return axes[i].extent;
  }
  return 0;
}

}  // namespace

int64_t count_of(const std::vector<int64_t>& extents) {
  int64_t count = 1;
  for (const int64_t extent : extents)
    count = std::min(count, kMostParts + 1) * std::min(extent, kMostParts + 1);
  return std::min(count, kMostParts + 1);
}

size_t offset_of(const std::vector<int64_t>& index, const std::vector<int64_t>& extents) {
  int64_t offset = 0;
  for (size_t i = 0; i < extents.size(); ++i)
    offset = offset * extents[i] + (extents[i] == 1 ? 0 : index[i]);
  return static_cast<size_t>(offset);
}

std::optional<size_t> Symbolic::feature_axis() const {
  for (size_t i = axes.size(); i-- > 0;) {
    if (axes[i].kind == Kind::feature) return i;
  }
  return std::nullopt;
}

bool Symbolic::matrix() const {
  return std::count_if(axes.begin(), axes.end(),
                       [](const Axis& axis) { return axis.kind == Kind::feature; }) > 1;
}

bool Symbolic::whole() const {
  return static_cast<int64_t>(parts.size()) == count_of(part_extents(axes));
}

std::vector<int64_t> part_extents(const std::vector<Axis>& axes) {
  std::vector<int64_t> extents;
  for (const Axis& axis : axes) {
    if (axis.kind == Kind::part) extents.push_back(axis.extent);
  }
  return extents;
}

Symbolic with_features(Symbolic symbolic) {
  if (symbolic.constant || symbolic.axes.empty() || symbolic.feature_axis()) return symbolic;
  Axis& last = symbolic.axes.back();
  if (last.kind == Kind::part && last.extent == 1) last.kind = Kind::feature;
  return symbolic;
}

std::optional<std::vector<int64_t>> constant_ints(const Value* value) {
  const TensorPtr tensor = value ? constant_tensor(value) : nullptr;
  if (!tensor || !is_integer(tensor->type())) return std::nullopt;
  return tensor->view().as_ints();
}

std::vector<Axis> default_axes(const ValueType& type) {
  std::vector<Axis> axes;
  if (!type.shape.ranked()) return axes;
  for (size_t i = 0; i < type.shape.rank(); ++i) {
    const Dim dim = type.shape[i];
    if (!dim.is_constant()) {
      const bool batch = dim.is_symbol() && (dim.name() == "B" || dim.name() == "N" ||
                                             dim.name().starts_with("batch"));
      axes.push_back({batch ? Kind::batch : Kind::time, 0});
    } else {
      const bool features = i + 1 == type.shape.rank() &&
                            (is_float(type.element) || type.element == ElementType::boolean);
      axes.push_back({features ? Kind::feature : Kind::part, dim.extent()});
    }
  }
  // Of two that may be time, the second is the batch.
  size_t times = 0;
  const bool batch = std::any_of(axes.begin(), axes.end(),
                                 [](const Axis& axis) { return axis.kind == Kind::batch; });
  for (Axis& axis : axes) {
    if (axis.kind == Kind::time && times++ == 1 && !batch) axis.kind = Kind::batch;
  }
  return axes;
}

std::vector<Axis> slice_axes(const ValueType& type, const Dim& batch) {
  std::vector<Axis> axes = default_axes(type);
  if (axes.size() == 3 && !batch.is_unknown() && type.shape[0] == batch &&
      type.shape[1].is_constant() && axes[2].kind == Kind::feature) {
    return {{Kind::batch, 0}, {Kind::feature, type.shape[1].extent()}, axes[2]};
  }
  for (size_t i = 0; i < axes.size(); ++i) {
    if (i + 2 == axes.size() || (i + 1 == axes.size() && axes[i].kind == Kind::time))
      axes[i] = {Kind::batch, 0};
  }
  return axes;
}

std::vector<Expr> variables(const std::string& name, const std::vector<Axis>& axes) {
  const int64_t count = count_of(part_extents(axes));
  std::vector<Expr> result;
  for (int64_t i = 0; i < std::min(count, kMostParts); ++i) {
    result.push_back(variable(count == 1 ? name : name + "_" + std::to_string(i), width_of(axes)));
    result.back()->timed = std::any_of(axes.begin(), axes.end(),
                                       [](const Axis& axis) { return axis.kind == Kind::time; });
  }
  return result;
}

std::optional<Symbolic> Evaluation::elementwise(const Node& node) {
  std::string function;
  if (node.op() == Op::cast) {
    const ValueType& from = node.operand(0)->type();
    // Rounding to few bits has no word.
    const auto wide = [](ElementType type) {
      return type == ElementType::f32 || type == ElementType::f64;
    };
    const auto whole = [](ElementType type) {
      return type == ElementType::i32 || type == ElementType::i64;
    };
    const ElementType to = node.result()->type().element;
    if (at(node.operand(0)).constant) return std::nullopt;
    if (to == ElementType::f32 && (from.element == ElementType::boolean || whole(from.element))) {
      Symbolic result = at(node.operand(0));
      for (Expr& part : result.parts) part = call("real", {part}, part->width);
      return result;
    }
    const bool same = (wide(from.element) && wide(to)) || (whole(from.element) && whole(to));
    if (!same) return std::nullopt;
    return at(node.operand(0));
  }
  if (node.op() == Op::mod && node.flag(AttributeName::fmod)) return std::nullopt;
  if (const char* known = function_of(node.op())) function = known;
  const bool selu = node.op() == Op::selu;
  if (selu && has_default_attributes(node)) function = "selu";
  if (node.op() == Op::gelu && !node.flag(AttributeName::approximate)) function = "gelu";
  if (function.empty()) return std::nullopt;
  if ((node.op() == Op::max || node.op() == Op::min) && node.operand_count() != 2)
    return std::nullopt;
  std::vector<const Symbolic*> operands;
  for (const Value* operand : node.operands()) operands.push_back(&at(operand));
  std::vector<Expr> parameters;
  for (const AttributeName parameter : {AttributeName::alpha, AttributeName::beta}) {
    if (!selu && node.find_attribute(parameter)) parameters.push_back(number(node.real(parameter)));
  }
  return combine(function, operands, parameters);
}

// Axes are aligned at their ends.
std::optional<Symbolic> Evaluation::combine(const std::string& function,
                                            const std::vector<const Symbolic*>& operands,
                                            const std::vector<Expr>& parameters) {
  if (operands.size() == 2) {
    if (auto result = with_column(function, *operands[0], *operands[1])) return result;
  }
  // The axes of the result: those of the operand with the most, features as wide as the widest.
  std::vector<Axis> axes;
  for (const Symbolic* each : operands) {
    const Symbolic& operand = *each;
    if (operand.constant) continue;
    const size_t lacking =
        operand.axes.size() > axes.size() ? operand.axes.size() - axes.size() : 0;
    axes.insert(axes.begin(), operand.axes.begin(),
                operand.axes.begin() + static_cast<ptrdiff_t>(lacking));
    for (size_t k = 0; k < operand.axes.size(); ++k) {
      Axis& axis = axes[axes.size() - operand.axes.size() + k];
      if (axis.kind == Kind::part && axis.extent == 1) axis = operand.axes[k];
      if (axis.kind == operand.axes[k].kind)
        axis.extent = std::max(axis.extent, operand.axes[k].extent);
    }
  }
  for (const Symbolic* each : operands) {
    const Symbolic& operand = *each;
    if (!operand.constant) continue;
    const std::vector<int64_t>& shape = operand.constant->extents();
    if (shape.size() > axes.size()) return std::nullopt;
    for (size_t k = 0; k < shape.size(); ++k) {
      Axis& axis = axes[axes.size() - shape.size() + k];
      const bool last = k + 1 == shape.size();
      const bool features = std::any_of(
          axes.begin(), axes.end(), [](const Axis& other) { return other.kind == Kind::feature; });
      if (axis.kind == Kind::part && axis.extent == 1 && shape[k] > 1 && last && !features)
        axis.kind = Kind::feature;
      if (axis.kind == Kind::part || axis.kind == Kind::feature)
        axis.extent = std::max(axis.extent, shape[k]);
    }
  }
  if (axes.empty() && !operands.empty() && operands[0]->constant) return std::nullopt;
  if (std::count_if(axes.begin(), axes.end(),
                    [](const Axis& axis) { return axis.kind == Kind::time; }) > 1) {
    return std::nullopt;
  }
  std::vector<std::vector<Expr>> parts;
  for (const Symbolic* operand : operands) {
    std::optional<std::vector<Expr>> own = over(*operand, axes);
    if (!own) return std::nullopt;
    parts.push_back(std::move(*own));
  }
  Symbolic result{axes, {}, nullptr};
  for (size_t part = 0; part < parts[0].size(); ++part) {
    std::vector<Expr> arguments;
    for (const std::vector<Expr>& own : parts) {
      const bool repeats = own[part]->width == 1 && width_of(axes) > 1;
      arguments.push_back(repeats ? scalar(own[part]) : own[part]);
    }
    arguments.insert(arguments.end(), parameters.begin(), parameters.end());
    result.parts.push_back(call(function, std::move(arguments), width_of(axes)));
  }
  return result;
}

std::optional<Symbolic> Evaluation::matmul(const Node& node) {
  const Symbolic& w = at(node.operand(1));
  if (!at(node.operand(0)).constant && !w.constant) return product(at(node.operand(0)), w);
  const Symbolic x = with_features(at(node.operand(0)));
  if (x.constant || !w.constant || w.constant->rank() != 2 || x.axes.empty() || x.matrix() ||
      x.axes.back().kind != Kind::feature || x.axes.back().extent != w.constant->extents()[0]) {
    return std::nullopt;
  }
  Symbolic result{x.axes, {}, nullptr};
  result.axes.back().extent = w.constant->extents()[1];
  const int64_t depth = x.axes.back().extent;
  if (depth > kMostFeatures) return std::nullopt;
  for (const Expr& part : x.parts)
    result.parts.push_back(parts_.product(w.constant, as_vector(part, depth)));
  return result;
}

std::optional<Symbolic> Evaluation::gather(const Node& node) {
  const Symbolic &data = at(node.operand(0)), &indices = at(node.operand(1));
  const auto rank = static_cast<int64_t>(data.constant ? data.constant->rank() : data.axes.size());
  int64_t axis = node.integer(AttributeName::axis);
  if (axis < 0) axis += rank;
  if (data.constant) {
    if (rank != 2 || axis != 0 || indices.constant || indices.feature_axis()) return std::nullopt;
    if (!is_float(data.constant->type())) return std::nullopt;
    Symbolic result{indices.axes, {}, nullptr};
    result.axes.push_back({Kind::feature, data.constant->extents()[1]});
    for (const Expr& part : indices.parts)
      result.parts.push_back(parts_.lookup(data.constant, part));
    return result;
  }
  // One step, or one part.
  if (!indices.constant || indices.constant->rank() != 0) return std::nullopt;
  const int64_t index = indices.constant->view().as_ints()[0];
  const auto place = static_cast<size_t>(axis);
  Symbolic result = data;
  if (data.axes[place].kind == Kind::time) {
    if (index < -1) return std::nullopt;
    for (Expr& part : result.parts) part = step(part, index);
  } else if (data.axes[place].kind == Kind::part) {
    const int64_t begin = index < 0 ? index + data.axes[place].extent : index;
    std::optional<Symbolic> one = cut(data, place, begin, begin + 1);
    if (!one) return std::nullopt;
    result = std::move(*one);
  } else {
    return std::nullopt;
  }
  result.axes.erase(result.axes.begin() + axis);
  return result;
}

std::optional<Symbolic> Evaluation::reduce(const Node& node) {
  const Symbolic& x = at(node.operand(0));
  const bool soft = node.op() == Op::softmax || node.op() == Op::log_softmax;
  std::vector<int64_t> axes;
  if (soft) {
    axes = {node.integer(AttributeName::axis)};
  } else if (const auto given = constant_ints(node.operand(1))) {
    axes = *given;
  }
  if (x.constant || axes.size() != 1) return std::nullopt;
  const auto axis =
      static_cast<size_t>(axes[0] < 0 ? axes[0] + static_cast<int64_t>(x.axes.size()) : axes[0]);
  if (axis >= x.axes.size()) return std::nullopt;
  if (!soft && x.axes[axis].kind == Kind::part && x.axes[axis].extent == 1) {
    Symbolic same = x;  // one element is its own mean
    if (!node.flag(AttributeName::keep_dims))
      same.axes.erase(same.axes.begin() + static_cast<ptrdiff_t>(axis));
    return same;
  }
  const bool over_time = x.axes[axis].kind == Kind::time;
  if (x.axes[axis].kind != Kind::feature && !over_time) return std::nullopt;
  if (x.matrix() && !over_time && (soft || axis != x.feature_axis())) return std::nullopt;
  const char* function = node.op() == Op::reduce_mean  ? "mean"
                         : node.op() == Op::reduce_sum ? "sum"
                         : node.op() == Op::reduce_max ? "max"
                         : node.op() == Op::reduce_min ? "min"
                                                       : name(node.op()).data();
  Symbolic result{x.axes, {}, nullptr};
  if (over_time) {
    for (const Expr& part : x.parts)
      result.parts.push_back(call(function + std::string(kOverTime), {part}, part->width));
    if (soft) return result;
    result.axes[axis] = {Kind::part, 1};
    if (!node.flag(AttributeName::keep_dims))
      result.axes.erase(result.axes.begin() + static_cast<ptrdiff_t>(axis));
    return result;
  }
  if (x.axes[axis].extent > kMostFeatures) return std::nullopt;
  for (const Expr& part : x.parts) {
    result.parts.push_back(call(function, {as_vector(part, x.axes[axis].extent)},
                                soft         ? part->width
                                : x.matrix() ? x.axes[axis - 1].extent
                                             : 0));
  }
  if (!soft) {
    result.axes[axis].extent = 1;
    if (!node.flag(AttributeName::keep_dims))
      result.axes.erase(result.axes.begin() + static_cast<ptrdiff_t>(axis));
  }
  return result;
}

bool Evaluation::evaluate(const Node& node) {
  for (const Value* operand : node.operands()) {
    if (!operand) continue;
    const auto known = values_.find(operand);
    if (known == values_.end()) return false;
    const Shape& shape = operand->type().shape;
    const Symbolic& symbolic = known->second;
    if (symbolic.constant) continue;
    if (!shape.ranked() || shape.rank() != symbolic.axes.size() || !symbolic.whole()) {
      return false;
    }
  }
  if (node.region_count() > 0) return false;
  std::optional<Symbolic> result;
  switch (node.op()) {
    case Op::constant:
      result = Symbolic{{}, {}, node.attribute<TensorPtr>(AttributeName::value)};
      break;
    case Op::matmul:
      result = matmul(node);
      break;
    case Op::einsum:
      result = einsum(node);
      break;
    case Op::gather:
      result = gather(node);
      break;
    case Op::reduce_mean:
    case Op::reduce_sum:
    case Op::reduce_max:
    case Op::reduce_min:
    case Op::softmax:
    case Op::log_softmax:
      result = reduce(node);
      break;
    case Op::concat:
      result = concat(node);
      break;
    case Op::expand:
      result = expand(node);
      break;
    case Op::split:
      return split(node);
    case Op::slice:
      result = slice(node);
      break;
    case Op::conv:
      result = convolution(node);
      break;
    case Op::max_pool:
    case Op::average_pool:
      result = pool(node);
      break;
    case Op::pad:
      result = pad(node);
      break;
    case Op::arg_max:
      result = arg_max(node);
      break;
    case Op::transpose:
      result = transpose(node);
      break;
    case Op::unsqueeze:
      result = unsqueeze(node);
      break;
    case Op::squeeze:
      result = squeeze(node);
      break;
    case Op::reshape:
      result = reshape(node);
      break;
    default:
      if (is_elementwise(node.op())) result = elementwise(node);
  }
  if (!result) return false;
  set(node.result(), std::move(*result));
  return true;
}

}  // namespace refrain::decompile
