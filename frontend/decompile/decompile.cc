#include "frontend/decompile/decompile.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "frontend/decompile/axes.h"
#include "frontend/decompile/cell.h"
#include "frontend/decompile/interface.h"
#include "frontend/decompile/node_kinds.h"
#include "frontend/decompile/symbolic.h"
#include "frontend/decompile/writer.h"
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

class Decompiler {
 public:
  Decompiler(const Graph& graph, std::string weights_file)
      : graph_(graph),
        weights_file_(std::move(weights_file)),
        evaluation_(parts_),
        symbols_(graph),
        writer_(names_, "") {
    writer_.from_state = [](const Expr&) { return false; };
  }

  Decompiled run() {
    for (const std::string& name : graph_.output_names()) output_names_.insert(identifier_of(name));
    add_inputs();
    add_region(graph_.body());
    add_outputs();
    assemble();
    return std::move(result_);
  }

 private:
  // --- inputs ---

  void add_inputs() {
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

  // --- nodes ---

  void add_uniform(const Node& node) {
    for (size_t i = 0; i < node.result_count(); ++i) {
      // A number is the same along every axis.
      const double value = uniform(node.result(i)).value_or(0);
      auto all =
          std::make_shared<const Tensor>(Tensor::scalar(node.result(i)->type().element, value));
      evaluation_.set(node.result(i), {{}, {}, std::move(all)});
    }
  }

  void add_region(const Region& region) {
    for (const Node* node = region.first(); node; node = node->next()) {
      if (node->op() == Op::yield) break;
      if (evaluation_.evaluate(*node)) {
        mark_shared(*node, evaluation_, false);
      } else if (node->op() == Op::scan && operands_known(*node)) {
        add_scan(*node);
      } else if (node->op() == Op::branch && operands_known(*node)) {
        add_branch(*node);
      } else if (node->op() == Op::dims || all_uniform(*node)) {
        add_uniform(*node);
      } else if (!add_indices(*node)) {
        add_unknown(*node);
      }
    }
  }

  // The numbers of the steps of an input: range(0, T, 1).
  bool add_indices(const Node& node) {
    if (node.op() != Op::range) return false;
    const TensorPtr from = constant_tensor(node.operand(0)), by = constant_tensor(node.operand(2));
    const Node* limit = node.operand(1)->node();
    if (!from || !by || from->view().as_doubles()[0] != 0 || by->view().as_doubles()[0] != 1 ||
        !limit || limit->op() != Op::dims) {
      return false;
    }
    const auto& dims = limit->attribute<std::vector<Dim>>(AttributeName::dims);
    for (size_t i = 0; i < graph_.input_count(); ++i) {
      const Shape& shape = graph_.input(i)->type().shape;
      const Symbolic& input = evaluation_.at(graph_.input(i));
      for (size_t k = 0; k < input.axes.size(); ++k) {
        if (dims.size() != 1 || input.axes[k].kind != Kind::time || shape[k] != dims[0]) continue;
        evaluation_.set(node.result(),
                        {{{Kind::time, 0}}, {call("indices", {input.parts[0]}, 0)}, nullptr});
        return true;
      }
    }
    return false;
  }

  bool operands_known(const Node& node) const {
    for (const Value* operand : node.operands()) {
      if (operand && !evaluation_.known(operand)) return false;
    }
    return true;
  }

  void add_unknown(const Node& node) {
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

  void add_variable(const Value* value, const std::string& wish) {
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

  // The language has no choice between equations: both follow each other, under comments.
  void add_branch(const Node& node) {
    result_.complete = false;
    const Symbolic& condition = evaluation_.at(node.operand(0));
    const std::string text = condition.parts.size() == 1 ? writer_.text(condition.parts[0], "")
                                                         : to_string(node.operand(0)->type());
    for (size_t i = 0; i < node.result_count(); ++i) add_variable(node.result(i), "v");
    for (size_t side = 0; side < 2; ++side) {
      line(side == 0 ? "\n# if " + text + ":" : "# otherwise:");
      Region& region = node.region(side);
      for (size_t i = 0; i < region.argument_count(); ++i)
        evaluation_.set(region.argument(i), Symbolic(evaluation_.at(node.operand(1 + i))));
      add_region(region);
      for (size_t i = 0; i < node.result_count(); ++i) add_choice(node.result(i), region.result(i));
    }
    line("# in both cases:");
  }

  void add_choice(const Value* result, const Value* chosen) {
    const Symbolic& value = evaluation_.at(chosen);
    const std::vector<Expr>& targets = evaluation_.at(result).parts;
    if (targets.empty()) return;
    if (value.constant || value.parts.size() != targets.size()) {
      line("# " + targets[0]->name + ": " + to_string(chosen->type()));
      return;
    }
    for (size_t i = 0; i < targets.size(); ++i) {
      settle(value.parts[i]);
      line(targets[i]->name + " = " + writer_.text(value.parts[i], targets[i]->name));
    }
  }

  // Output names are kept for what is put out.
  std::string name_for(const Value* value, const std::string& otherwise) {
    for (size_t i = 0; i < graph_.output_count(); ++i) {
      const std::string wish = identifier_of(graph_.output_names()[i]);
      if (graph_.output(i) != value || names_.taken(wish)) continue;
      used_.insert(wish);
      return names_.take(wish);
    }
    return free_name(otherwise);
  }

  std::string free_name(std::string wish) {
    while (output_names_.contains(wish)) wish += "_t";
    return names_.take(wish);
  }

  // Gives an expression an equation of its own, if it is more than a name or a number.
  void give_name(const Expr& e, const std::string& wish) {
    if (!e->name.empty() || e->kind == Expression::Kind::number) return;
    settle_arguments(e);
    const std::string name = free_name(wish);
    equation(name, e);
    e->name = name;
    e->shared = true;
    seen_.insert(e.get());
  }

  // Equations for what is shared in an expression.
  void settle(const Expr& e) {
    std::vector<Expr> order;
    shared_in_order(e, order, seen_);
    for (const Expr& shared : order) {
      const std::string name = free_name("v");
      equation(name, shared);
      shared->name = name;
    }
  }

  void equation(const std::string& name, const Expr& e) {
    const size_t known = writer_.parameters().size();
    const std::string right = writer_.text(e, name);
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

  // --- scans ---

  // Makes what a scan runs over a sequence that the cell can be written of. What takes another's
  // place has its own back when the scan is written.
  using Replaced = std::vector<std::pair<const Value*, Symbolic>>;
  void replace(const Value* value, Symbolic symbolic, Replaced& replaced) {
    replaced.emplace_back(value, evaluation_.at(value));
    evaluation_.set(value, std::move(symbolic));
  }

  // Says what has no words, if something has none.
  std::string prepare_sequences(const Node& node, Replaced& replaced) {
    const ScanView scan(node);
    std::string problem = scan.scanned() == 0 ? "it runs over no sequence" : "";
    std::set<std::string> given;
    for (size_t i = 0; i < scan.invariants(); ++i) {
      for (const Expr& e : evaluation_.at(node.operand(scan.invariant_operand(i))).parts)
        collect_names(e, given);
    }
    for (size_t i = 0; i < scan.scanned(); ++i) {
      const Value* whole = node.operand(scan.scanned_operand(i));
      const Shape& slice = scan.slice_argument(i)->type().shape;
      Symbolic symbolic = evaluation_.at(whole);
      int64_t axis = scan.scan_slot(i).axis;
      if (axis < 0) axis += static_cast<int64_t>(slice.ranked() ? slice.rank() + 1 : 0);
      const auto place = static_cast<size_t>(axis);
      if (!symbolic.constant && place < symbolic.axes.size() && symbolic.whole() &&
          symbolic.axes[place].kind == Kind::part && part_extents(symbolic.axes).size() == 1) {
        // Several vectors are a sequence of them.
        const int64_t width = symbolic.parts[0]->width;
        symbolic.parts = {call("sequence", std::move(symbolic.parts), width)};
        symbolic.axes[place] = {Kind::time, 0};
        replace(whole, symbolic, replaced);
      }
      if (symbolic.constant || symbolic.axes.size() <= place ||
          symbolic.axes[place].kind != Kind::time || !symbolic.whole()) {
        std::vector<Axis> axes = slice_axes(scan.slice_argument(i)->type());
        axes.insert(axes.begin() + std::min<ptrdiff_t>(axis, std::ssize(axes)), {Kind::time, 0});
        Symbolic unknown{axes, variables(free_name("x"), axes), nullptr};
        problem = identifier_of(whole->name()) + " is " +
                  (symbolic.constant ? "a constant, " : "") + to_string(whole->type());
        replace(whole, std::move(unknown), replaced);
        continue;
      }
      const bool turned = scan.scan_slot(i).reverse != scan.scan_slot(0).reverse;
      // Truth values and whole numbers are no sequences of features: they come by a name.
      bool own = turned || !is_float(whole->type().element);
      for (const Expr& e : symbolic.parts) {
        std::set<std::string> names;
        collect_names(e, names);
        own |= std::any_of(names.begin(), names.end(),
                           [&](const std::string& name) { return given.contains(name); });
        if (own) continue;
        // What looks at other steps is no equation of a step.
        walk(
            e, [](const Expr& at) { return at->name.empty(); },
            [](const Expr& at) { at->shared |= at->name.empty() && reads_other_steps(*at); });
      }
      if (!own) continue;
      for (Expr& e : symbolic.parts) {
        if (turned) e = call("reverse", {e}, e->width);
        settle_arguments(e);
        const std::string name = free_name(e->name.empty() ? "v" : e->name);
        if (e->name.empty()) {
          equation(name, e);
        } else {
          line(name + " = " + e->name);
        }
        e = variable(name, e->width);
      }
      replace(whole, std::move(symbolic), replaced);
    }
    return problem;
  }

  static std::string group(const std::vector<std::string>& list) {
    std::string text;
    for (const std::string& item : list) text += (text.empty() ? "" : ", ") + item;
    return list.size() > 1 ? "(" + text + ")" : text;
  }

  void add_scan(const Node& node) {
    const ScanView scan(node);
    Replaced replaced;
    std::string problem = prepare_sequences(node, replaced);
    for (const Value* operand : node.operands()) {
      if (!operand || evaluation_.at(operand).constant) continue;
      for (const Expr& e : evaluation_.at(operand).parts) settle(e);
    }
    Cell cell = make_cell(node, evaluation_, parts_, names_, cell_names_);
    result_.complete &= cell.complete;
    for (const std::string& inner : cell.inner) {
      result_.cells.push_back(inner);
      lines_ += "\n" + inner;
    }
    result_.cells.push_back(cell.text);
    lines_ += "\n" + cell.text + "\n";
    for (NamedTensor& weight : cell.weights) result_.weights.push_back(std::move(weight));

    std::vector<std::string> over, from, given, targets;
    for (const Expr& e : cell.scanned) over.push_back(e->name);
    for (const Expr& e : cell.given) given.push_back(e->name);
    bool zero = true, finals = false;
    for (size_t k = 0; k < cell.states.size(); ++k) {
      const Value* initial = node.operand(scan.state_operand(cell.states[k]));
      zero &= is_zero(initial);
      finals |= !node.result(cell.states[k])->unused();
      if (const auto number = uniform(initial)) {
        from.push_back(number_text(*number));
        continue;
      }
      const auto parts = evaluation_.over(evaluation_.at(initial), cell.state_axes[cell.states[k]]);
      const bool known = parts && cell.state_parts[k] < parts->size();
      if (known) give_name((*parts)[cell.state_parts[k]], "s_0");
      from.push_back(known ? reference((*parts)[cell.state_parts[k]]) : "0");
      result_.complete &= known;
    }
    add_results(node, cell, finals, targets);
    std::string text = group(targets);
    if (cell.decoder) {
      text += " = decode " + cell.name + start_of(node, *cell.decoder);
    } else {
      text += " = scan " + cell.name;
      if (!over.empty()) text += " over " + group(over);
    }
    if (scan.scanned() > 0 && scan.scan_slot(0).reverse) text += " reverse";
    if (!zero) text += " from " + group(from);
    if (!given.empty()) text += " given " + group(given);
    if (scan.has_lengths()) {
      const Symbolic& lengths = evaluation_.at(scan.lengths());
      if (lengths.constant || lengths.parts.size() != 1) {
        result_.complete = false;
      } else {
        text += " lengths " + writer_.text(lengths.parts[0], "n");
      }
    }
    if (cell.decoder) {
      problem = !cell.decoder->length ? "its length is no constant"
                : over.empty()        ? "it reads no token"
                                      : "";
    } else if (over.empty()) {
      problem = "it reads no sequence";  // which need not be read
    }
    const bool says = problem.empty();
    line(says ? text : "# " + text + ": " + problem);
    result_.complete &= says;
    for (auto& [value, own] : replaced) evaluation_.set(value, std::move(own));
  }

  // A name or a number.
  std::string reference(const Expr& e) {
    give_name(e, "v");
    return e->name.empty() ? writer_.text(e, "") : e->name;
  }

  std::string start_of(const Node& node, const Decoder& decoder) {
    const Value* start = node.operand(ScanView(node).state_operand(decoder.token));
    const Symbolic& symbolic = evaluation_.at(start);
    const std::optional<double> number = uniform(start);
    std::string text = " start ";
    if (number) {
      text += number_text(*number);
    } else if (symbolic.parts.size() == 1) {
      text += reference(symbolic.parts[0]);
    } else {
      text += identifier_of(start->name());
      result_.complete = false;
    }
    if (decoder.done) text += " until " + std::to_string(decoder.until);
    return text + " length " + (decoder.length ? std::to_string(*decoder.length) : "N");
  }

  // Outputs first, then all states or none.
  void add_results(const Node& node, const Cell& cell, bool finals,
                   std::vector<std::string>& targets) {
    const ScanView scan(node);
    // The tokens come first, whoever reads them.
    const bool tokens = cell.decoder && cell.decoder->stacked;
    if (cell.decoder && !tokens) targets.push_back(free_name("text"));
    if (!cell.decoder && cell.outputs.empty()) targets.push_back(free_name("y"));
    size_t next = cell.decoder && !tokens ? 1 : 0;
    for (size_t i = 0; i < scan.stacked(); ++i) {
      const Value* result = scan.stacked_result(i);
      std::vector<Axis> axes = cell.stacked_axes[i];
      int64_t at = scan.stack_slot(i).axis;
      if (at < 0) at += static_cast<int64_t>(axes.size()) + 1;
      // Steps of what the cell was given come out as features.
      for (Axis& axis : axes) {
        if (axis.kind == Kind::time) axis = {Kind::feature, 0};
      }
      axes.insert(axes.begin() + at, {Kind::time, 0});
      const bool turned =
          scan.scanned() > 0 && scan.stack_slot(i).reverse != scan.scan_slot(0).reverse;
      const std::string name = turned ? free_name("y") : name_for(result, "y");
      Symbolic symbolic{axes, variables(name, axes), nullptr};
      for (Expr& e : symbolic.parts) {
        if (next++ < cell.outputs.size()) {
          const bool first = tokens && cell.decoder->stacked == i;
          targets.insert(first ? targets.begin() : targets.end(), e->name);
        }
        if (turned) e = call("reverse", {e}, e->width);
      }
      evaluation_.set(result, std::move(symbolic));
    }
    for (size_t k = 0; k < cell.states.size(); ++k) {
      const size_t state_index = cell.states[k];
      const Value* result = node.result(state_index);
      const std::vector<Axis>& axes = cell.state_axes[state_index];
      Symbolic symbolic{axes, {}, nullptr};
      if (cell.state_parts[k] > 0) symbolic = evaluation_.at(result);
      Expr e = variables("", axes)[0];
      e->name = finals ? name_for(result, k == 0 ? "h_T" : k == 1 ? "c_T" : "s_T") : "";
      symbolic.parts.push_back(e);
      if (finals) targets.push_back(e->name);
      evaluation_.set(result, std::move(symbolic));
    }
  }

  // --- outputs ---

  void add_outputs() {
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
        // Something else has the name, an input for example.
        if (e->name != own && used_.contains(own)) own = free_name(own + "_out");
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

  // Like settle, but e's own name is the output's.
  void settle_arguments(const Expr& e) {
    if (!e->name.empty()) return;
    for (const Expr& argument : e->arguments) settle(argument);
  }

  void line(const std::string& text) { lines_ += text + "\n"; }

  void assemble() {
    for (const Writer::Parameter& parameter : writer_.parameters())
      result_.weights.push_back({parameter.name, parameter.tensor});
    for (const NamedTensor& table : writer_.tables()) result_.weights.push_back(table);
    std::string head = "model " + identifier_of(graph_.name()) + "\n";
    if (!result_.complete) {
      head =
          "# The language has no words for what stands in comments with a type and an op.\n" + head;
    }
    if (!result_.weights.empty()) head += "weights \"" + weights_file_ + "\"\n";
    result_.text = head + lines_;
  }

  const Graph& graph_;
  std::string weights_file_, lines_;
  Parts parts_;
  Evaluation evaluation_;
  Names names_, cell_names_;
  AxisNames symbols_;
  Writer writer_;
  std::set<std::string> output_names_, used_;  // used_: of values that outputs may be called like
  std::set<const Expression*> seen_;
  std::set<const Value*> unknown_;
  int layout_ = 0;
  Decompiled result_;
};

}  // namespace

Decompiled decompile(const Graph& graph, const std::string& weights_file) {
  return Decompiler(graph, weights_file).run();
}

}  // namespace refrain::decompile
