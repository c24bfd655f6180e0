#include "frontend/decompile/decompile.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "frontend/decompile/axes.h"
#include "frontend/decompile/decompiler.h"
#include "frontend/decompile/node_kinds.h"
#include "ir/builder.h"
#include "ir/control.h"

namespace refrain::decompile {
namespace {

using Kind = Axis::Kind;

// Whether the language has the type.
bool has_word(ElementType type) {
  return type == ElementType::f32 || type == ElementType::f64 || type == ElementType::i32 ||
         type == ElementType::i64 || type == ElementType::boolean;
}

}  // namespace

Decompiled Decompiler::run() {
  for (const std::string& name : graph_.output_names()) output_names_.insert(identifier_of(name));
  add_inputs();
  add_region(graph_.body());
  add_outputs();
  assemble();
  return std::move(result_);
}

void Decompiler::add_inputs() {
  const auto axes = input_axes(graph_);
  for (size_t i = 0; i < graph_.input_count(); ++i) {
    const Value* input = graph_.input(i);
    const ValueType& type = input->type();
    const std::vector<Axis>& own = axes.at(input);
    if (!type.is_tensor() || !type.shape.ranked()) {
      line("# input " + identifier_of(input->name()) + " of type " + to_string(type));
      evaluation_.set(input, {});
      result_.complete = false;
      continue;
    }
    if (!has_word(type.element)) {
      line("# of a type that the language lacks:");
      result_.complete = false;
    }
    if (layout_ == 0) layout_ = layout_of(own);
    Symbolic symbolic{own, variables(identifier_of(input->name()), own), nullptr};
    constexpr size_t kMostInputs = 24;
    constexpr size_t kImage = 4;
    const bool too_many =
        symbolic.parts.size() > kMostInputs || (has_parts(own) && own.size() >= kImage);
    const std::vector<size_t> order = text_order(own, 0);
    if (too_many) {
      line("# input " + identifier_of(input->name()) + ": " + to_string(type));
      result_.complete = false;
    } else if (has_parts(own)) {
      line("# " + identifier_of(input->name()) + ": in the model one input, " + to_string(type));
    } else if (!std::is_sorted(order.begin(), order.end())) {
      line("# " + identifier_of(input->name()) + ": in the model " + to_string(type));
    }
    std::string list;
    for (const size_t k : order) {
      std::string axis = std::to_string(own[k].extent);
      if (own[k].kind != Kind::feature) {
        axis = symbols_.of(type.shape[k], own[k].kind);
        if (type.shape[k].is_constant()) axis += "=" + to_string(type.shape[k]);
      }
      list += (list.empty() ? "" : ", ") + axis;
    }
    for (size_t part = 0; part < symbolic.parts.size(); ++part) {
      const Expr& e = symbolic.parts[part];
      e->name = names_.take(e->name);
      used_.insert(e->name);
      if (!too_many) line(fmt::format("input {}: {}[{}]", e->name, name(type.element), list));
      result_.inputs.push_back({e->name, i, place_of(own, part), order});
    }
    evaluation_.set(input, std::move(symbolic));
  }
}

void Decompiler::add_region(const Region& region) {
  for (const Node* node = region.first(); node; node = node->next()) {
    if (node->op() == Op::yield) break;
    if (node->op() == Op::constant && add_indices(*node)) continue;
    if (evaluation_.evaluate(*node)) {
      if (!reads_for_one_scan(*node)) mark_shared(*node, evaluation_, false);
    } else if (node->op() == Op::scan && operands_known(*node)) {
      add_scan(*node);
    } else if (node->op() == Op::branch && operands_known(*node)) {
      add_branch(*node);
    } else if (node->op() == Op::dims || all_uniform(*node)) {
      evaluation_.set_uniform(*node);
    } else if (!add_indices(*node)) {
      add_unknown(*node);
    }
  }
}

bool Decompiler::add_indices(const Node& node) {
  std::optional<Dim> count;
  size_t rank = 1;
  if (node.op() == Op::range) {
    const auto from = uniform(node.operand(0)), by = uniform(node.operand(2));
    const Node* limit = node.operand(1)->node();
    if (from != 0.0 || by != 1.0 || !limit || limit->op() != Op::dims) return false;
    const auto& dims = limit->attribute<std::vector<Dim>>(AttributeName::dims);
    if (dims.size() == 1) count = dims[0];
  } else if (node.op() == Op::constant) {
    // Of a trace: a column of numbers, one a step.
    const Tensor& tensor = *node.attribute<TensorPtr>(AttributeName::value);
    rank = tensor.rank();
    if (tensor.type() != ElementType::i64 || rank < 2 || tensor.size() < 2 ||
        tensor.extents()[0] != tensor.size()) {
      return false;
    }
    const std::vector<int64_t> numbers = tensor.view().as_ints();
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (numbers[i] != static_cast<int64_t>(i)) return false;
    }
    count = Dim(tensor.size());
  }
  for (size_t i = 0; i < graph_.input_count() && count; ++i) {
    const Shape& shape = graph_.input(i)->type().shape;
    const Symbolic& input = evaluation_.at(graph_.input(i));
    for (size_t k = 0; k < input.axes.size(); ++k) {
      if (input.axes[k].kind != Kind::time || shape[k] != *count) continue;
      Symbolic indices{{{Kind::time, 0}}, {call("indices", {input.parts[0]}, 0)}, nullptr};
      indices.axes.resize(rank, {Kind::part, 1});
      evaluation_.set(node.result(), std::move(indices));
      return true;
    }
  }
  return false;
}

bool Decompiler::operands_known(const Node& node) const {
  for (const Value* operand : node.operands()) {
    if (operand && !evaluation_.known(operand)) return false;
  }
  return true;
}

void Decompiler::add_unknown(const Node& node) {
  if (!only_counts(node)) {
    line(comment_of(node));
    result_.complete = false;
  }
  for (size_t i = 0; i < node.result_count(); ++i) add_variable(node.result(i), "v");
  for (size_t i = 0; i < node.region_count(); ++i) {
    if (!has_scan(node.region(i))) continue;
    line("# inside of it:");
    for (size_t k = 0; k < node.region(i).argument_count(); ++k)
      add_variable(node.region(i).argument(k), identifier_of(node.region(i).argument(k)->name()));
    add_region(node.region(i));
    line("# behind it:");
  }
}

void Decompiler::add_variable(const Value* value, const std::string& wish) {
  std::vector<Axis> axes = default_axes(value->type());
  // The language's matrices work on features.
  for (const Use* use = value->first_use(); use; use = use->next()) {
    const Node& user = *use->user();
    if (user.op() != Op::matmul || use->index() != 0 || axes.empty()) continue;
    const TensorPtr matrix = constant_tensor(user.operand(1));
    if (matrix && matrix->rank() == 2) axes.back() = {Kind::feature, matrix->extents()[0]};
  }
  Symbolic symbolic{axes, variables(name_for(value, wish), axes), nullptr};
  evaluation_.set(value, std::move(symbolic));
  unknown_.insert(value);
}

void Decompiler::add_branch(const Node& node) {
  result_.complete = false;
  chooses_ = true;
  for (const Value* operand : node.operands()) {
    if (!operand) continue;
    for (const Expr& e : evaluation_.at(operand).parts) {
      if (operand != node.operand(0)) give_name(e, "v");
    }
  }
  const Symbolic& condition = evaluation_.at(node.operand(0));
  const std::string text = condition.parts.size() == 1 ? writer_.text(condition.parts[0], "")
                                                       : to_string(node.operand(0)->type());
  for (size_t side = 0; side < 2; ++side) {
    line(side == 0 ? "\n# if " + text + ":" : "# otherwise:");
    Region& region = node.region(side);
    for (size_t i = 0; i < region.argument_count(); ++i)
      evaluation_.set(region.argument(i), Symbolic(evaluation_.at(node.operand(1 + i))));
    add_region(region);
    for (size_t i = 0; i < node.result_count(); ++i)
      add_choice(node.result(i), region.result(i), side == 0);
  }
  line("# in both cases:");
}

void Decompiler::add_choice(const Value* result, const Value* chosen, bool first) {
  const Symbolic value = evaluation_.at(chosen);
  if (first && !value.constant && value.whole()) {
    evaluation_.set(result, {value.axes, variables(name_for(result, "v"), value.axes), nullptr});
  } else if (first) {
    add_variable(result, "v");
  }
  const std::vector<Expr>& targets = evaluation_.at(result).parts;
  if (targets.empty()) return;
  if (value.constant || value.parts.size() != targets.size()) {
    line("# " + targets[0]->name + ": " + to_string(chosen->type()));
    return;
  }
  for (size_t i = 0; i < targets.size(); ++i) {
    const Expr& e = value.parts[i];
    settle_arguments(e);
    line(targets[i]->name + " = " +
         (e->name.empty() ? writer_.text(e, targets[i]->name) : e->name));
  }
}

std::string Decompiler::name_for(const Value* value, const std::string& otherwise) {
  for (size_t i = 0; i < graph_.output_count(); ++i) {
    const std::string wish = identifier_of(graph_.output_names()[i]);
    if (graph_.output(i) != moved(value) || names_.taken(wish)) continue;
    used_.insert(wish);
    return names_.take(wish);
  }
  return free_name(otherwise);
}

std::string Decompiler::free_name(std::string wish) {
  while (output_names_.contains(wish)) wish += "_t";
  std::string name = names_.take(wish);
  while (output_names_.contains(name)) name = names_.take(wish);
  used_.insert(name);
  return name;
}

void Decompiler::give_name(const Expr& e, const std::string& wish) {
  if (!e->name.empty() || e->kind == Expression::Kind::number) return;
  settle_arguments(e);
  const std::string name = free_name(wish);
  equation(name, e);
  e->name = name;
  e->shared = true;
  seen_.insert(e);
}

void Decompiler::settle(const Expr& e) {
  share_repeats({e});
  std::vector<Expr> order;
  shared_in_order(e, order, seen_);
  for (const Expr& shared : order) {
    const std::string name = free_name("v");
    equation(name, shared);
    shared->name = name;
  }
}

void Decompiler::equation(const std::string& name, const Expr& e) {
  const size_t known = writer_.parameters().size();
  const std::string right = writer_.features_text(e, name);
  for (size_t i = known; i < writer_.parameters().size(); ++i) {
    const Writer::Parameter& parameter = writer_.parameters()[i];
    std::string list;
    for (const int64_t extent : parameter.tensor->extents())
      list += (list.empty() ? "" : ", ") + std::to_string(extent);
    line(fmt::format("param {}: {}[{}]", parameter.name, refrain::name(parameter.tensor->type()),
                     list));
    result_.complete &= has_word(parameter.tensor->type());
  }
  line(name + " = " + right);
}

void Decompiler::add_outputs() {
  for (size_t i = 0; i < graph_.output_count(); ++i) {
    const Value* output = graph_.output(i);
    const std::string name = identifier_of(graph_.output_names()[i]);
    const Symbolic& symbolic = evaluation_.at(output);
    if (unknown_.contains(output) && symbolic.parts.size() > 1) {
      line("# output " + name + ": " + to_string(output->type()));
      continue;
    }
    if (symbolic.constant || symbolic.parts.empty()) {
      line("# output " + name + ": " + (symbolic.constant ? "a constant, " : "") +
           to_string(output->type()));
      result_.complete = false;
      continue;
    }
    const int layout = layout_of(symbolic.axes);
    if (layout != 0 && layout != (layout_ == 2 ? 2 : 1)) {
      line("# " + name + ": time and batch in the other order in the model, " +
           to_string(output->type()));
    } else if (has_parts(symbolic.axes)) {
      line("# " + name + ": in the model " + to_string(output->type()));
    }
    for (size_t k = 0; k < symbolic.parts.size(); ++k) {
      const Expr& e = symbolic.parts[k];
      std::string own = symbolic.parts.size() == 1 ? name : name + "_" + std::to_string(k);
      // Something else has the name, an input or another output for example.
      if (written_outputs_.contains(own) || (e->name != own && used_.contains(own)))
        own = free_name(own + "_out");
      written_outputs_.insert(own);
      settle_arguments(e);
      result_.outputs.push_back(
          {own, i, place_of(symbolic.axes, k), text_order(symbolic.axes, layout_ == 2 ? 2 : 1)});
      if (e->name == own) {
        line("output " + own);
      } else if (e->name.empty()) {
        // A word of the language may be an output's name, but not a value's.
        const std::string local = names_.take(own);
        equation(local, e);
        if (e->shared) e->name = local;
        line(local == own ? "output " + own : "output " + own + " = " + local);
      } else {
        line("output " + own + " = " + e->name);
      }
    }
  }
}

void Decompiler::settle_arguments(const Expr& e) {
  if (!e->name.empty()) return;
  share_repeats({e});
  for (const Expr& argument : e->arguments) settle(argument);
}

void Decompiler::line(const std::string& text) { lines_ += text + "\n"; }

void Decompiler::assemble() {
  for (const Writer::Parameter& parameter : writer_.parameters())
    result_.weights.push_back({parameter.name, parameter.tensor});
  for (const NamedTensor& table : writer_.tables()) result_.weights.push_back(table);
  std::string head = "model " + identifier_of(graph_.name()) + "\n";
  if (!result_.complete) {
    head =
        "# The language has no words for what stands in comments with a type and an op.\n" + head;
    if (chooses_)
      head = "# What it computes depends on shapes, or values: give shapes with --shape.\n" + head;
  }
  if (!result_.weights.empty()) head += "weights \"" + weights_file_ + "\"\n";
  result_.text = head + lines_;
}

Decompiled decompile(const Graph& graph, const std::string& weights_file) {
  return Decompiler(graph, weights_file).run();
}

}  // namespace refrain::decompile
