#include "frontend/equations/infer.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace refrain::equations {

using Kind = Expression::Kind;

// --- extents ---

Extents::Id Extents::fresh() {
  const auto id = static_cast<Id>(entries_.size());
  entries_.push_back({id, std::nullopt});
  return id;
}

Extents::Id Extents::constant(int64_t extent) {
  const Id id = fresh();
  entries_[id].value = extent;
  return id;
}

Extents::Id Extents::root(Id id) const {
  while (entries_[id].parent != id) {
    entries_[id].parent = entries_[entries_[id].parent].parent;
    id = entries_[id].parent;
  }
  return id;
}

std::optional<int64_t> Extents::value(Id id) const { return entries_[root(id)].value; }

void Extents::unify(Id a, Id b) {
  a = root(a);
  b = root(b);
  if (a == b) return;
  const std::optional<int64_t> va = entries_[a].value, vb = entries_[b].value;
  if (va && vb) return;  // equal, or a contradiction that lowering reports
  if (va) std::swap(a, b);
  entries_[a].parent = b;
  ++learnt_;
}

bool names_matrix(const std::string& name) {
  const auto at = [&](size_t i) { return i < name.size() ? static_cast<uint8_t>(name[i]) : 0; };
  if (at(0) >= 'A' && at(0) <= 'Z') return true;
  return at(0) == 0xCE && at(1) >= 0x91 && at(1) <= 0xA9;  // Α to Ω
}

// --- cells ---

void CellInference::run() {
  constexpr int kMaxPasses = 16;
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    const size_t before = extents_.learnt(), parameters = parameters_.size();
    locals_ = values_;
    size_t known = 0;
    for (const Equation& equation : cell_.equations) {
      if (!equation.value.expression) continue;
      const Abstract value = evaluate(*equation.value.expression);
      for (const Name& target : equation.targets) {
        const auto state = values_.find(target.text);
        if (state != values_.end() && state->second.features) {
          const Features& features = *state->second.features;
          expect(*equation.value.expression, features);
          if (value.features && value.features->size() == features.size()) {
            for (size_t i = 0; i < features.size(); ++i) {
              extents_.unify((*value.features)[i], features[i]);
            }
          }
          locals_[target.text] = {features, value.time};
        } else {
          locals_[target.text] = value;
        }
      }
      known += value.features.has_value();
    }
    for (const auto& [name, parameter] : parameters_) known += parameter.features.has_value();
    const size_t after = extents_.learnt();
    if (pass > 0 && before == after && parameters == parameters_.size() && known == known_count_) {
      break;
    }
    known_count_ = known;
  }
}

CellInference::Parameter& CellInference::parameter(const std::string& name, Range use) {
  const auto [at, added] = index_.emplace(name, parameters_.size());
  if (added) {
    Parameter parameter;
    parameter.first_use = use;
    if (const auto known = known_ ? known_(name) : std::nullopt) {
      parameter.features.emplace();
      for (int64_t extent : *known) parameter.features->push_back(extents_.constant(extent));
    }
    parameters_.emplace_back(name, std::move(parameter));
  }
  return parameters_[at->second].second;
}

std::optional<double> CellInference::number(const Expression& expression) const {
  switch (expression.kind) {
    case Kind::number:
      return expression.number;
    case Kind::name: {
      if (const auto size = sizes_.find(expression.text); size != sizes_.end()) {
        const auto value = extents_.value(size->second);
        return value ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
      }
      const auto constant = constants_.find(expression.text);
      return constant == constants_.end() ? std::nullopt : std::optional(constant->second);
    }
    case Kind::negate: {
      const auto value = number(*expression.operands[0]);
      return value ? std::optional(-*value) : std::nullopt;
    }
    case Kind::binary: {
      const auto a = number(*expression.operands[0]), b = number(*expression.operands[1]);
      if (!a || !b) return std::nullopt;
      if (expression.text == "+") return *a + *b;
      if (expression.text == "-") return *a - *b;
      if (expression.text == "*") return *a * *b;
      if (expression.text == "/") return *a / *b;
      if (expression.text == "^") return std::pow(*a, *b);
      return std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

Extents::Id CellInference::extent(const Expression& expression) {
  if (expression.kind == Kind::name) {
    const auto size = sizes_.find(expression.text);
    if (size != sizes_.end()) return size->second;
  }
  const auto value = number(expression);
  constexpr double kMaxExtent = 2147483647;
  if (!value || !(*value >= 0 && *value <= kMaxExtent) || *value != std::floor(*value)) {
    return extents_.fresh();
  }
  return extents_.constant(static_cast<int64_t>(*value));
}

CellInference::Parameter* CellInference::open_parameter(const Expression& expression) {
  if (expression.kind != Kind::name) return nullptr;
  const auto at = index_.find(expression.text);
  if (at == index_.end() || locals_.contains(expression.text)) return nullptr;
  Parameter& parameter = parameters_[at->second].second;
  return parameter.features ? nullptr : &parameter;
}

void CellInference::expect(const Expression& expression, const Features& features) {
  if (Parameter* open = open_parameter(expression)) {
    open->features = features;
    return;
  }
  switch (expression.kind) {
    case Kind::negate:
      expect(*expression.operands[0], features);
      break;
    case Kind::binary:
      if (expression.text == "·") break;
      for (const ExpressionPtr& operand : expression.operands) expect(*operand, features);
      break;
    case Kind::call:
      // Functions of one tensor keep its shape, but for reductions, which have no open operand.
      if (expression.arguments.size() == 1 && elementwise_call(expression)) {
        expect(*expression.arguments[0].value, features);
      }
      break;
    default:
      break;
  }
}

bool CellInference::elementwise_call(const Expression& expression) {
  static const std::set<std::string> kOthers = {
      "sum",        "mean",       "max",       "min",       "argmax",  "last",
      "first",      "outer",      "one_hot",   "embedding", "linear",  "conv1d",
      "max_pool1d", "avg_pool1d", "attention", "transpose", "reshape", "indices"};
  return !kOthers.contains(expression.text);
}

Abstract CellInference::evaluate(const Expression& expression) {
  switch (expression.kind) {
    case Kind::number:
      return scalar();
    case Kind::name: {
      if (const auto local = locals_.find(expression.text); local != locals_.end()) {
        return local->second;
      }
      if (constants_.contains(expression.text) || sizes_.contains(expression.text)) {
        return scalar();
      }
      if (expression.text == "true" || expression.text == "false" || expression.text == "time") {
        return {};
      }
      return {parameter(expression.text, expression.range).features, false};
    }
    case Kind::negate:
      return evaluate(*expression.operands[0]);
    case Kind::binary:
      if (expression.text == "^") exponents_.insert(expression.operands[1]->text);
      return expression.text == "·" ? product(*expression.operands[0], *expression.operands[1])
                                    : elementwise(*expression.operands[0], *expression.operands[1]);
    case Kind::concat:
      return concat(expression);
    case Kind::slice:
    case Kind::index:
      return slice(expression);
    case Kind::call:
      return call(expression);
    case Kind::string:
    case Kind::tuple:
    case Kind::run:
      return {};
  }
  return {};
}

Abstract CellInference::elementwise(const Expression& left, const Expression& right) {
  Abstract a = evaluate(left), b = evaluate(right);
  const bool time = a.time || b.time;
  // A side that is open is taken to be like the other, unless that is a scalar, which says nothing.
  if (!a.features && b.features && !b.features->empty()) {
    expect(left, *b.features);
    a.features = b.features;  // evaluated again, a chain of such would take exponential time
  }
  if (!b.features && a.features && !a.features->empty()) {
    expect(right, *a.features);
    b.features = a.features;
  }
  if (!a.features || !b.features) return {std::nullopt, time};
  const bool a_wider = a.features->size() >= b.features->size();
  const Features& wide = a_wider ? *a.features : *b.features;
  const Features& narrow = a_wider ? *b.features : *a.features;
  Features result = wide;
  const size_t offset = wide.size() - narrow.size();
  for (size_t i = 0; i < narrow.size(); ++i) {
    const auto x = extents_.value(wide[offset + i]), y = extents_.value(narrow[i]);
    if (x == 1) result[offset + i] = narrow[i];
    if (x != 1 && y != 1) extents_.unify(wide[offset + i], narrow[i]);
  }
  return {std::move(result), time};
}

Abstract CellInference::product(const Expression& left, const Expression& right) {
  Abstract a = evaluate(left), b = evaluate(right);
  const bool time = a.time || b.time;
  if (Parameter* open = open_parameter(left); open && b.features && !b.features->empty()) {
    const Extents::Id inner = b.features->front();
    open->features = names_matrix(left.text) ? Features{extents_.fresh(), inner} : Features{inner};
    a.features = open->features;
  }
  if (Parameter* open = open_parameter(right); open && a.features && !a.features->empty()) {
    const Extents::Id inner = a.features->back();
    open->features = names_matrix(right.text) ? Features{inner, extents_.fresh()} : Features{inner};
    b.features = open->features;
  }
  if (!a.features || !b.features || a.features->empty() || b.features->empty()) {
    return {std::nullopt, time};
  }
  extents_.unify(a.features->back(), b.features->front());
  Features result(a.features->begin(), a.features->end() - 1);
  result.insert(result.end(), b.features->begin() + 1, b.features->end());
  return {std::move(result), time};
}

Abstract CellInference::concat(const Expression& expression) {
  Abstract result;
  std::optional<Features> features;
  int64_t sum = 0;
  bool known = true;
  for (const ExpressionPtr& operand : expression.operands) {
    const Abstract part = evaluate(*operand);
    result.time = result.time || part.time;
    if (!part.features) {
      known = false;
      continue;
    }
    const Features vector =
        part.features->empty() ? Features{extents_.constant(1)} : *part.features;
    if (!features) features = vector;
    const auto extent = extents_.value(vector.back());
    known = known && extent && !__builtin_add_overflow(sum, *extent, &sum);
  }
  if (!features) return result;
  features->back() = known ? extents_.constant(sum) : extents_.fresh();
  result.features = std::move(features);
  return result;
}

Abstract CellInference::slice(const Expression& expression) {
  Abstract value = evaluate(*expression.operands[0]);
  if (expression.over_time) {
    value.time = expression.kind == Kind::slice;
    return value;
  }
  if (!value.features || value.features->empty()) return value;
  if (expression.kind == Kind::index) {
    value.features->pop_back();
    return value;
  }
  const auto whole = extents_.value(value.features->back());
  const auto bound = [&](size_t i, int64_t otherwise) -> std::optional<int64_t> {
    if (!expression.operands[i]) return otherwise;
    const auto given = number(*expression.operands[i]);
    if (!given || std::abs(*given) > 2147483647) return std::nullopt;
    const auto at = static_cast<int64_t>(*given);
    return std::clamp<int64_t>(at < 0 ? at + *whole : at, 0, *whole);
  };
  const auto begin = whole ? bound(1, 0) : std::nullopt;
  const auto end = whole ? bound(2, *whole) : std::nullopt;
  value.features->back() =
      begin && end ? extents_.constant(std::max<int64_t>(0, *end - *begin)) : extents_.fresh();
  return value;
}

Abstract CellInference::call(const Expression& expression) {
  const std::string& name = expression.text;
  const auto& arguments = expression.arguments;
  std::vector<const Expression*> positional;
  bool over_time = false;
  for (const Argument& argument : arguments) {
    if (argument.name.text.empty()) positional.push_back(argument.value.get());
    if (argument.name.text == "over") over_time = true;
  }
  if (positional.empty()) return {};
  const auto argument = [&](size_t i, const char* keyword) -> const Expression* {
    if (i < positional.size()) return positional[i];
    for (const Argument& a : arguments) {
      if (a.name.text == keyword) return a.value.get();
    }
    return nullptr;
  };
  const auto sized = [&](const Expression* size) {
    const bool time = evaluate(*positional[0]).time;
    return size ? Abstract{Features{extent(*size)}, time} : Abstract{};
  };
  if (name == "linear") return sized(argument(1, "size"));
  if (name == "one_hot") return sized(argument(1, "size"));
  if (name == "embedding") return sized(argument(2, "size"));
  if (name == "conv1d") return sized(argument(1, "channels"));
  if (positional.size() == 2 && (name == "max" || name == "min" || name == "mod")) {
    return elementwise(*positional[0], *positional[1]);
  }
  Abstract value = evaluate(*positional[0]);
  if (name == "where" && positional.size() == 3) {
    return elementwise(*positional[1], *positional[2]);
  }
  if (name == "attention" && positional.size() == 3) {
    const Abstract values = evaluate(*positional[2]);
    return {values.features, value.time};
  }
  if (name == "outer" && positional.size() == 2) {
    const Abstract other = evaluate(*positional[1]);
    if (!value.features || !other.features) return {};
    Features features = *value.features;
    features.insert(features.end(), other.features->begin(), other.features->end());
    return {std::move(features), value.time || other.time};
  }
  if (name == "reshape") {
    Features features;
    double size = 1;  // of what a vector must be; 0: not known
    for (size_t i = 1; i < positional.size(); ++i) {
      features.push_back(extent(*positional[i]));
      size *= static_cast<double>(extents_.value(features.back()).value_or(0));
    }
    if (value.features && value.features->size() == 1 && size >= 1 && size < 2147483648.0)
      extents_.unify(value.features->front(), extents_.constant(static_cast<int64_t>(size)));
    return {std::move(features), value.time};
  }
  if (name == "transpose") {
    if (value.features) std::reverse(value.features->begin(), value.features->end());
    return value;
  }
  for (size_t i = 1; i < positional.size(); ++i) evaluate(*positional[i]);  // finds parameters
  if (name == "indices") return {Features{}, true};
  if (name == "sequence") value.time = true;
  const bool reduces =
      name == "sum" || name == "mean" || name == "max" || name == "min" || name == "argmax";
  if (reduces && !over_time) {
    if (value.features && !value.features->empty()) value.features->pop_back();
  } else if (reduces || name == "last" || name == "first") {
    value.time = false;
  }
  return value;
}

}  // namespace refrain::equations
