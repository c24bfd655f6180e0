#include "frontend/decompile/decompile.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "frontend/decompile/axes.h"
#include "frontend/decompile/cell.h"
#include "frontend/decompile/symbolic.h"
#include "frontend/decompile/writer.h"
#include "ir/control.h"

namespace refrain::decompile {
namespace {

using Kind = Axis::Kind;

bool has_parts(const std::vector<Axis>& axes) {
  return std::any_of(axes.begin(), axes.end(),
                     [](const Axis& axis) { return axis.kind == Kind::part; });
}

// Time before batch, or after it; 0 if it has not both.
int layout_of(const std::vector<Axis>& axes) {
  int time = -1, batch = -1;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i].kind == Kind::time) time = static_cast<int>(i);
    if (axes[i].kind == Kind::batch) batch = static_cast<int>(i);
  }
  return time < 0 || batch < 0 ? 0 : time < batch ? 1 : 2;
}

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
        writer_(names_, "") {
    writer_.from_state = [](const Expr&) { return false; };
  }

  Decompiled run() {
    for (const std::string& name : graph_.output_names()) output_names_.insert(identifier_of(name));
    add_inputs();
    for (const Node* node = graph_.body().first(); node; node = node->next()) {
      if (node->op() == Op::yield) break;
      if (evaluation_.evaluate(*node)) {
        mark_shared(*node, evaluation_, false);
      } else if (node->op() == Op::scan && scan_fits(*node)) {
        add_scan(*node);
      } else if (node->op() != Op::dims && !zero_only(*node)) {
        add_unknown(*node);
      } else {
        add_zero(*node);
      }
    }
    add_outputs();
    assemble();
    return std::move(result_);
  }

 private:
  // --- inputs ---

  std::string symbol_of(const Dim& dim, Kind kind) {
    const std::string name = dim.is_symbol() ? identifier_of(dim.name()) : "";
    const bool batch_name = name == "B" || name == "N" || name == "batch";
    if (kind == Kind::batch) return batch_name ? name : "B";
    if (!name.empty() && !batch_name) return name;
    // Frozen: one name an extent.
    const auto [at, fresh] = frozen_.emplace(dim.is_constant() ? dim.extent() : -1, "");
    if (fresh) at->second = frozen_.size() == 1 ? "T" : "T" + std::to_string(frozen_.size());
    return at->second;
  }

  void add_inputs() {
    const auto axes = input_axes(graph_);
    for (size_t i = 0; i < graph_.input_count(); ++i) {
      const Value* input = graph_.input(i);
      const ValueType& type = input->type();
      const std::vector<Axis>& own = axes.at(input);
      if (!type.is_tensor() || !type.shape.ranked()) {
        line("# input " + identifier_of(input->name()) + " of type " + to_string(type));
        result_.complete = false;
        continue;
      }
      if (!has_word(type.element)) {
        line("# of a type that the language lacks:");
        result_.complete = false;
      }
      if (has_parts(own)) {
        line("# " + identifier_of(input->name()) + ": in the model one input, " + to_string(type));
      }
      std::string list;
      for (size_t k = 0; k < own.size(); ++k) {
        if (own[k].kind == Kind::part) continue;
        std::string axis = std::to_string(own[k].extent);
        if (own[k].kind != Kind::feature) {
          axis = symbol_of(type.shape[k], own[k].kind);
          if (type.shape[k].is_constant()) axis += "=" + to_string(type.shape[k]);
        }
        list += (list.empty() ? "" : ", ") + axis;
      }
      if (layout_ == 0) layout_ = layout_of(own);
      Symbolic symbolic{own, variables(identifier_of(input->name()), own), nullptr};
      for (const Expr& e : symbolic.parts) {
        e->name = names_.take(e->name);
        line(fmt::format("input {}: {}[{}]", e->name, name(type.element), list));
      }
      evaluation_.set(input, std::move(symbolic));
    }
  }

  // --- nodes ---

  // What is used for nothing but initial states, all zero.
  static bool zero_only(const Node& node) {
    for (size_t i = 0; i < node.result_count(); ++i) {
      if (!is_zero(node.result(i))) return false;
    }
    return node.result_count() > 0;
  }

  void add_zero(const Node& node) {
    for (size_t i = 0; i < node.result_count(); ++i) {
      const std::vector<Axis> axes = default_axes(node.result(i)->type());
      Symbolic zero{axes, {}, nullptr};
      for (size_t k = 0; k < variables("", axes).size(); ++k) zero.parts.push_back(number(0));
      evaluation_.set(node.result(i), std::move(zero));
    }
  }

  void add_unknown(const Node& node) {
    line(comment_of(node));
    result_.complete = false;
    for (size_t i = 0; i < node.result_count(); ++i) add_variable(node.result(i));
  }

  void add_variable(const Value* value) {
    const std::vector<Axis> axes = default_axes(value->type());
    Symbolic symbolic{axes, variables(name_for(value, "v"), axes), nullptr};
    evaluation_.set(value, std::move(symbolic));
  }

  // Output names are kept for what is put out.
  std::string name_for(const Value* value, const std::string& otherwise) {
    for (size_t i = 0; i < graph_.output_count(); ++i) {
      const std::string wish = identifier_of(graph_.output_names()[i]);
      if (graph_.output(i) == value && !names_.taken(wish)) return names_.take(wish);
    }
    return free_name(otherwise);
  }

  std::string free_name(const std::string& wish) {
    return names_.take(output_names_.contains(wish) ? wish + "_1" : wish);
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

  // All slots run one way; states and slices have words.
  bool scan_fits(const Node& node) const {
    const ScanView scan(node);
    if (scan.scanned() == 0 || scan.has_trip_count()) return false;
    for (size_t i = 0; i < scan.scanned(); ++i) {
      const Value* whole = node.operand(scan.scanned_operand(i));
      if (!whole->type().shape.ranked() || scan.scan_slot(i).reverse != scan.scan_slot(0).reverse)
        return false;
      int64_t axis = scan.scan_slot(i).axis;
      if (axis < 0) axis += static_cast<int64_t>(whole->type().shape.rank());
      const Symbolic& symbolic = evaluation_.at(whole);
      if (symbolic.constant || symbolic.axes[static_cast<size_t>(axis)].kind != Kind::time)
        return false;
    }
    for (size_t i = 0; i < scan.stacked(); ++i) {
      if (scan.stack_slot(i).reverse != scan.scan_slot(0).reverse) return false;
    }
    return true;
  }

  static std::string group(const std::vector<std::string>& list) {
    std::string text;
    for (const std::string& item : list) text += (text.empty() ? "" : ", ") + item;
    return list.size() > 1 ? "(" + text + ")" : text;
  }

  void add_scan(const Node& node) {
    const ScanView scan(node);
    for (const Value* operand : node.operands()) {
      if (!operand || evaluation_.at(operand).constant) continue;
      for (const Expr& e : evaluation_.at(operand).parts) settle(e);
    }
    Cell cell = make_cell(node, evaluation_, parts_, names_, cell_names_);
    result_.complete &= cell.complete;
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
      if (is_zero(initial)) {
        from.push_back("0");
        continue;
      }
      const auto parts = evaluation_.over(evaluation_.at(initial), cell.state_axes[cell.states[k]]);
      const bool known = parts && cell.state_parts[k] < parts->size();
      from.push_back(known ? writer_.text((*parts)[cell.state_parts[k]], "h0") : "0");
      result_.complete &= known;
    }
    add_results(node, cell, finals, targets);
    std::string text = group(targets) + " = scan " + cell.name + " over " + group(over);
    if (scan.scan_slot(0).reverse) text += " reverse";
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
    if (over.empty()) result_.complete = false;
    line(text);
  }

  // Outputs first, then all states or none.
  void add_results(const Node& node, const Cell& cell, bool finals,
                   std::vector<std::string>& targets) {
    const ScanView scan(node);
    if (cell.outputs.empty()) targets.push_back(free_name("y"));
    size_t next = 0;
    for (size_t i = 0; i < scan.stacked(); ++i) {
      const Value* result = scan.stacked_result(i);
      std::vector<Axis> axes = cell.stacked_axes[i];
      int64_t at = scan.stack_slot(i).axis;
      if (at < 0) at += static_cast<int64_t>(axes.size()) + 1;
      axes.insert(axes.begin() + at, {Kind::time, 0});
      Symbolic symbolic{axes, variables(name_for(result, "y"), axes), nullptr};
      for (const Expr& e : symbolic.parts) {
        if (next++ < cell.outputs.size()) targets.push_back(e->name);
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
      if (symbolic.constant || symbolic.parts.empty()) {
        line("# output " + name + ": a constant, " + to_string(output->type()));
        result_.complete = false;
        continue;
      }
      const int layout = layout_of(symbolic.axes);
      if (layout != 0 && layout != layout_) {
        line("# " + name + ": time and batch in the other order in the model, " +
             to_string(output->type()));
      } else if (has_parts(symbolic.axes)) {
        line("# " + name + ": in the model " + to_string(output->type()));
      }
      for (size_t k = 0; k < symbolic.parts.size(); ++k) {
        const Expr& e = symbolic.parts[k];
        const std::string own = symbolic.parts.size() == 1 ? name : name + "_" + std::to_string(k);
        settle_arguments(e);
        if (e->name == own) {
          line("output " + own);
        } else if (e->name.empty()) {
          const std::string local = names_.taken(own) ? free_name("v") : names_.take(own);
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
  Writer writer_;
  std::set<std::string> output_names_;
  std::map<int64_t, std::string> frozen_;
  std::set<const Expression*> seen_;
  int layout_ = 0;
  Decompiled result_;
};

}  // namespace

Decompiled decompile(const Graph& graph, const std::string& weights_file) {
  return Decompiler(graph, weights_file).run();
}

}  // namespace refrain::decompile
