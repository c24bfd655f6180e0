#include "frontend/equations/cell_shapes.h"

#include <algorithm>
#include <cmath>

#include "frontend/equations/infer.h"
#include "frontend/equations/time_index.h"

namespace refrain::equations {
namespace {

using Kind = Expression::Kind;

constexpr size_t kMaxSizes = 64;

// Names in a size that are no constants: the cell's own sizes.
void collect_sizes(const Expression& expression, const std::map<std::string, Operand>& constants,
                   std::vector<std::string>& sizes) {
  if (expression.kind == Kind::name && !constants.contains(expression.text) &&
      std::find(sizes.begin(), sizes.end(), expression.text) == sizes.end()) {
    if (sizes.size() == kMaxSizes) fail(expression.range, "a cell of too many sizes");
    sizes.push_back(expression.text);
  }
  for (const ExpressionPtr& operand : expression.operands) {
    if (operand) collect_sizes(*operand, constants, sizes);
  }
}

std::string open_shape(const Extents& extents, const std::optional<Features>& features) {
  if (!features) return "unknown";
  std::string text = "[";
  for (size_t i = 0; i < features->size(); ++i) {
    const auto value = extents.value((*features)[i]);
    text += (i > 0 ? ", " : "") + (value ? std::to_string(*value) : "?");
  }
  return text + "]";
}

// For a declaration, with what is known of it.
std::string declared_shape(const Extents& extents, const CellInference::Parameter& parameter) {
  if (!parameter.features) return "[...]";
  std::string text = open_shape(extents, parameter.features);
  std::ranges::replace(text, '?', 'n');
  return text;
}

bool is_function(const std::string& name) {
  const auto& known = function_names();
  return std::find(known.begin(), known.end(), name) != known.end();
}

std::optional<std::vector<int64_t>> known(const Extents& extents, const Features& features) {
  std::vector<int64_t> shape;
  for (const Extents::Id id : features) {
    const auto value = extents.value(id);
    if (!value) return std::nullopt;
    shape.push_back(*value);
  }
  return shape;
}

}  // namespace

std::map<std::string, Declared> declarations(const Cell& cell) {
  std::map<std::string, Declared> result;
  for (const ParameterSyntax& parameter : cell.parameters) {
    for (size_t i = 0; i < parameter.names.size(); ++i) {
      const Name& name = parameter.names[i];
      if (!result.emplace(name.text, Declared{&parameter, i}).second) {
        fail(name.range, "'" + name.text + "' is declared twice");
      }
    }
  }
  return result;
}

ParameterRequest request_of(const CellUse& use, const std::map<std::string, Declared>& declared,
                            const std::string& name) {
  ParameterRequest request;
  request.shown = name;
  const std::string own_suffix = use.suffix();
  const auto at = declared.find(name);
  if (at == declared.end() || !at->second.syntax->file_name) {
    request.names = {joined(use.prefix, name) + own_suffix};
    return request;
  }
  request.part = at->second.part;
  request.parts = at->second.syntax->names.size();
  const std::string& pattern = at->second.syntax->file_name->text;
  const size_t hole = pattern.find("{}");
  if (hole == std::string::npos) {
    request.names = {joined(use.prefix, pattern) + own_suffix};
    return request;
  }
  const auto with = [&](const std::string& layer) {
    return joined(use.prefix, pattern.substr(0, hole) + layer + pattern.substr(hole + 2));
  };
  const std::string layer =
      (use.layer.empty() ? "_l0" : use.layer) + (use.backward ? "_reverse" : "");
  request.names = {with(layer)};
  if (!use.numbered) request.names.push_back(with(""));
  return request;
}

CellShapes infer_shapes(const CellUseContext& in) {
  Context& context = in.context;
  const CellUse& use = in.use;
  const Cell& cell = use.cell;
  const ScanInputs& inputs = in.inputs;
  CellShapes shapes;
  bool failed = false;
  std::map<std::string, double> constants;
  for (const auto& [name, value] : in.constants) {
    if (const auto* number = std::get_if<double>(&value)) constants[name] = *number;
  }
  CellInference inference(cell, constants);
  Extents& extents = inference.extents();
  std::vector<std::string> sizes;
  for (const State& state : cell.states) {
    if (!state.size) continue;
    for (const ExpressionPtr& size : *state.size) collect_sizes(*size, in.constants, sizes);
  }
  if (use.sizes.size() > sizes.size() && !use.sizes.empty()) {
    fail(use.range, "cell '" + cell.name.text + "' has " + std::to_string(sizes.size()) +
                        " open sizes, and here are " + std::to_string(use.sizes.size()));
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    inference.set_size(sizes[i],
                       i < use.sizes.size() ? extents.constant(use.sizes[i]) : extents.fresh());
  }
  const auto features_of = [&](const Tensored& x) {
    Features features;
    const Shape shape = x.features();
    for (Dim dim : shape.dims()) {
      features.push_back(dim.is_constant() ? extents.constant(dim.extent()) : extents.fresh());
    }
    return features;
  };
  for (size_t i = 0; i < cell.inputs.size(); ++i) {
    inference.set(cell.inputs[i].text,
                  {in.reads_tokens ? Features{} : features_of(inputs.scanned[i]), false});
  }
  for (size_t i = 0; i < cell.given.size(); ++i) {
    inference.set(cell.given[i].text, {features_of(inputs.given[i]), inputs.given[i].time});
  }
  std::vector<Features> states;
  for (size_t i = 0; i < cell.states.size(); ++i) {
    Features features;
    if (cell.states[i].size) {
      for (const ExpressionPtr& size : *cell.states[i].size) {
        const auto number = inference.number(*size);
        if (number && (*number < 1 || *number != std::floor(*number))) {
          fail(size->range, "a size that is no whole number from 1");
        }
        features.push_back(inference.extent(*size));
      }
    } else if (!inputs.initial.empty()) {
      features = features_of(inputs.initial[i]);
    } else {
      features.push_back(extents.fresh());
    }
    if (!inputs.initial.empty()) {
      const Features given = features_of(inputs.initial[i]);
      for (size_t k = 0; given.size() == features.size() && k < given.size(); ++k) {
        extents.unify(features[k], given[k]);
      }
    }
    inference.set(cell.states[i].name.text, {features, false});
    inference.set(name_before(cell.states[i].name.text), {features, false});
    states.push_back(std::move(features));
  }
  std::vector<std::pair<std::string, Features>> declared;
  for (const ParameterSyntax& parameter : cell.parameters) {
    if (!parameter.type) continue;
    Features features;
    for (const Axis& axis : parameter.type->axes) {
      if (axis.extent) {
        features.push_back(inference.extent(*axis.extent));
      } else {
        Expression name;
        name.kind = Kind::name;
        name.text = axis.name.text;
        features.push_back(inference.extent(name));
      }
    }
    inference.set(parameter.names[0].text, {features, false});
    declared.emplace_back(parameter.names[0].text, std::move(features));
  }
  inference.set_known([&](const std::string& name) {
    const ParameterRequest request = request_of(use, in.declared, name);
    return context.parameters.shape(request.names, request.parts);
  });
  inference.run();
  if (context.parameters.poisoned()) throw Poisoned{};  // what it would have said is missing

  for (size_t i = 0; i < states.size(); ++i) {
    const auto shape = known(extents, states[i]);
    if (!shape) {
      const std::string& name = cell.states[i].name.text;
      for (const std::string& size : sizes) {
        if (!in.outer.computes(size, cell.range) || extents.value(inference.size(size))) continue;
        fail(cell.states[i].name.range,
             "the size '" + size + "' of state '" + name + "' is a value",
             "expected a constant: const " + size + " = ...");
      }
      fail(use.range, "the size of state '" + name + "' is not known",
           sizes.empty() ? "write it in the cell's first line: " + name + "[64]"
                         : "write it here: " + cell.name.text + "(64)");
    }
    shapes.states.push_back(*shape);
  }
  for (auto& [name, features] : declared) {
    if (const auto shape = known(extents, features)) shapes.parameters[name] = *shape;
  }
  for (const auto& [name, parameter] : inference.parameters()) {
    if (name != "T" || !inference.exponents().contains(name)) continue;
    fail(parameter.first_use, "an exponent that is a parameter",
         "the transpose of a matrix is transpose(...)");
  }
  for (const auto& [name, parameter] : inference.parameters()) {
    if (!use.built_in && in.outer.computes(name, cell.range) && !in.declared.contains(name)) {
      context.add({parameter.first_use, "'" + name + "' is a value outside of the cell",
                   "a cell sees it if it is given: cell " + cell.name.text + "(...) given " + name +
                       ", and where it is used: given " + name});
      failed = true;
      continue;
    }
    const auto shape = parameter.features ? known(extents, *parameter.features) : std::nullopt;
    if (shape) {
      shapes.parameters[name] = *shape;
    } else if (!in.targets.contains(name) && !is_function(name)) {
      context.add({parameter.first_use,
                   "the shape of '" + name + "' does not follow from the equations: " +
                       open_shape(extents, parameter.features),
                   "declare it: param " + name + ": f32" + declared_shape(extents, parameter) +
                       "; a weights file would say it, too"});
      failed = true;
    }
  }
  for (const std::string& size : sizes) {
    Expression name;
    name.kind = Kind::name;
    name.text = size;
    if (const auto value = extents.value(inference.extent(name))) {
      shapes.sizes[size] = static_cast<double>(*value);
    }
  }
  if (failed) throw Poisoned{};
  return shapes;
}

}  // namespace refrain::equations
