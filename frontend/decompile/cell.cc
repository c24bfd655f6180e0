#include "frontend/decompile/cell.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "frontend/decompile/equation_order.h"
#include "frontend/decompile/node_kinds.h"
#include "frontend/decompile/roles.h"
#include "ir/builder.h"

namespace refrain::decompile {
namespace {

using Kind = Expression::Kind;

bool is_cut(const Node& node) { return node.op() == Op::split || node.op() == Op::slice; }

bool is_activation(Op op) {
  switch (op) {
    case Op::sigmoid:
    case Op::tanh:
    case Op::relu:
    case Op::hard_sigmoid:
    case Op::softmax:
    case Op::elu:
    case Op::softplus:
    case Op::softsign:
    case Op::leaky_relu:
    case Op::gelu:
      return true;
    default:
      return false;
  }
}

// An activation of something with a name is no gate.
bool is_gate(const Expr& e) {
  const Expr& inside = e->arguments[0];
  return !inside->shared && (inside->kind == Kind::call || inside->kind == Kind::product);
}

class CellMaker {
 public:
  CellMaker(const Node& node, const Evaluation& outer, Parts& parts, Names& cell_names)
      : node_(node),
        scan_(node),
        outer_(outer),
        cell_names_(cell_names),
        parts_(parts),
        evaluation_(parts) {}

  Cell make() {
    cell_.decoder = find_decoder(node_);
    name_leaves();
    bind_arguments();
    evaluate();
    collect_results();
    order_states();
    reserve_outer_names();
    name_equations();
    write();
    for (const auto& [leaf, name] : renamed_) leaf->name = name;
    return std::move(cell_);
  }

 private:
  // What the cell reads of the model around it keeps its name, so that the cell's own must differ.
  // A sequence that has no name of its own there is called x here.
  void name_leaves() {
    std::vector<Expr> sequences;
    for (size_t i = 0; i < scan_.operand_count(); ++i) {
      const Value* operand = node_.operand(i);
      const bool scanned = i >= scan_.scanned_operand(0);
      for (const Expr& e : outer_.at(operand).parts) {
        walk(
            e, [](const Expr& at) { return at->name.empty(); },
            [&](const Expr& at) {
              if (at->name.empty()) return;
              const bool sequence = scanned && has_time(at);
              (sequence ? sequences_ : given_).insert(at->name);
              if (sequence) sequences.push_back(at);
            });
      }
    }
    if (sequences_.size() == 1 && is_made_up(*sequences_.begin()) && !given_.contains("x")) {
      for (const Expr& leaf : sequences) {
        if (leaf->name == "x") continue;
        renamed_.emplace_back(leaf, leaf->name);
        leaf->name = "x";
      }
      sequences_ = {"x"};
    }
    for (const std::string& name : given_) names_.reserve(name);
    for (const std::string& name : sequences_) names_.reserve(name);
  }

  // What is computed here as it is around the cell is the same expression, and may have a name
  // there: another sequence, if it has a time axis.
  void reserve_outer_names() {
    for (const auto* roots : {&next_, &outputs_}) {
      for (const Expr& root : *roots) {
        walk(
            root, [](const Expr& at) { return at->name.empty(); },
            [&](const Expr& at) {
              if (at->name.empty() || given_.contains(at->name) || is_state(at)) return;
              names_.reserve(at->name);
              if (has_time(at)) sequences_.insert(at->name);
            });
      }
    }
  }

  // v, v_2, y_t and the like.
  static bool is_made_up(const std::string& name) {
    if (name.empty() || (name[0] != 'v' && name[0] != 'y')) return false;
    return name.find_first_not_of("_t0123456789", 1) == std::string::npos;
  }

  // What the sequences have in front of their features.
  void find_batch() {
    for (size_t i = 0; i < scan_.scanned(); ++i) {
      const ValueType& slice = scan_.slice_argument(i)->type();
      if (slice.shape.ranked() && slice.shape.rank() == 2 && is_float(slice.element))
        batch_ = slice.shape[0];
    }
  }

  void bind_arguments() {
    find_batch();
    for (size_t i = 0; i < scan_.invariants(); ++i) {
      evaluation_.set(scan_.invariant_argument(i),
                      outer_.at(node_.operand(scan_.invariant_operand(i))));
    }
    for (size_t i = 0; i < scan_.states(); ++i) {
      const Value* argument = scan_.state_argument(i);
      const Value* initial = node_.operand(scan_.state_operand(i));
      std::vector<Axis> axes = outer_.at(initial).axes;
      const bool carried = std::any_of(
          axes.begin(), axes.end(), [](const Axis& axis) { return axis.kind == Axis::Kind::time; });
      if (is_zero(initial) || carried || axes.size() != argument->type().shape.rank()) {
        axes = slice_axes(argument->type(), batch_);
      }
      cell_.state_axes.push_back(axes);
      if (cell_.decoder && (cell_.decoder->token == i || cell_.decoder->done == i)) {
        const bool token = cell_.decoder->token == i;
        Expr e = variable(names_.take(token ? "token" : "done"), 0);
        if (token) sequences_.insert(e->name);
        evaluation_.set(argument, {axes, {e}, nullptr});
        continue;
      }
      if (!is_float(argument->type().element)) {
        cell_.complete = false;
        comments_.push_back("# states are real numbers, here " + to_string(argument->type()));
      }
      std::string base = identifier_of(argument->name());
      // feed_11 of an exporter that numbers names: the state is feed.
      while (base.size() > 1 && base.back() >= '0' && base.back() <= '9') base.pop_back();
      while (base.size() > 1 && base.back() == '_') base.pop_back();
      // h.1, h_in, h0: the state is h.
      for (const char* letter : {"h", "c", "s"}) {
        if (base.size() <= 4 && base.starts_with(letter)) base = letter;
      }
      const bool made_up = base == "v" || base.size() > 12 || base.ends_with("output");
      if (made_up) base = i == 0 ? "h" : i == 1 ? "c" : "s";
      Symbolic state{axes, {}, nullptr};
      const size_t count = variables("", axes).size();
      for (size_t k = 0; k < count; ++k) {
        Expr e = variables(names_.take(base), axes)[0];
        if (count > 1) e->name = names_.take(base);
        state.parts.push_back(e);
        state_variables_.push_back(e);
        cell_.states.push_back(i);
        cell_.state_parts.push_back(k);
      }
      evaluation_.set(argument, std::move(state));
    }
    for (size_t i = 0; i < scan_.scanned(); ++i) {
      Symbolic slice = outer_.at(node_.operand(scan_.scanned_operand(i)));
      int64_t axis = scan_.scan_slot(i).axis;
      if (axis < 0) axis += static_cast<int64_t>(slice.axes.size());
      if (!slice.constant && static_cast<size_t>(axis) < slice.axes.size()) {
        slice.axes.erase(slice.axes.begin() + axis);
      }
      evaluation_.set(scan_.slice_argument(i), std::move(slice));
    }
  }

  void evaluate() {
    const Region& body = scan_.body();
    for (size_t i = 0; i < body.argument_count(); ++i) share_argument(body.argument(i));
    for (const Node* node = body.first(); node && node->op() != Op::yield; node = node->next()) {
      if (cell_.decoder && cell_.decoder->choice.contains(node)) continue;
      if (evaluation_.evaluate(*node)) {
        mark_shared(*node, evaluation_, true);
        continue;
      }
      if (node->op() == Op::dims) {
        evaluation_.set_uniform(*node);
        continue;
      }
      cell_.complete = false;
      comments_.push_back(comment_of(*node));
      if (node->op() == Op::scan) add_inner(*node);
      for (size_t i = 0; i < node->result_count(); ++i) {
        const Value* result = node->result(i);
        const std::vector<Axis> axes = slice_axes(result->type());
        evaluation_.set(result, {axes, variables(names_.take("v"), axes), nullptr});
        for (const Expr& e : evaluation_.at(result).parts) unknown_.insert(e.get());
      }
    }
  }

  // A loop in a loop: the language has no words for it, but for its cell.
  void add_inner(const Node& node) {
    for (const Value* operand : node.operands()) {
      if (operand && !evaluation_.known(operand)) return;
    }
    Cell cell = make_cell(node, evaluation_, parts_, cell_names_);
    comments_.back() += ", of " + cell.name;
    for (std::string& text : cell.inner) cell_.inner.push_back(std::move(text));
    cell_.inner.push_back(std::move(cell.text));
    for (NamedTensor& weight : cell.weights) cell_.weights.push_back(std::move(weight));
  }

  // A projection of the input that is read whole in several places is computed once a step.
  void share_argument(const Value* argument) {
    size_t whole = 0;
    for (const Use* use = argument->first_use(); use; use = use->next())
      whole += !is_cut(*use->user());
    if (whole == 0 || argument->has_one_use()) return;
    for (const Expr& e : evaluation_.at(argument).parts) {
      if (e->kind == Kind::call || e->kind == Kind::product || e->kind == Kind::lookup)
        e->shared = true;
    }
  }

  void collect_results() {
    for (size_t k = 0; k < state_variables_.size(); ++k) {
      const Symbolic& next = evaluation_.at(scan_.next_state(cell_.states[k]));
      const Symbolic& state = evaluation_.at(scan_.state_argument(cell_.states[k]));
      const auto parts = evaluation_.over(next, state.axes);
      if (!parts || cell_.state_parts[k] >= parts->size()) {
        cell_.complete = false;
        comments_.push_back("# " + state_variables_[k]->name +
                            ": its next value has no words here");
        next_.push_back(state_variables_[k]);
      } else {
        next_.push_back((*parts)[cell_.state_parts[k]]);
      }
      Expr& e = next_.back();
      if (e->kind == Kind::call || e->kind == Kind::product) e->shared = true;
    }
    if (cell_.decoder) add_scores();
    for (size_t i = 0; i < scan_.stacked(); ++i) {
      if (cell_.decoder && cell_.decoder->stacked == i) {
        cell_.stacked_axes.push_back(cell_.state_axes[cell_.decoder->token]);
        continue;
      }
      const Value* result = scan_.stacked_slice(i);
      Symbolic slice = evaluation_.at(result);
      if (slice.constant) {
        slice.axes = slice_axes(result->type(), batch_);
        slice.parts = evaluation_.over(slice, slice.axes).value_or(std::vector<Expr>{});
      }
      const bool features = !slice.axes.empty() && slice.axes.back().kind == Axis::Kind::feature;
      if (slice.parts.empty() || (features && slice.axes.back().extent > kMostFeatures)) {
        cell_.complete = false;
        comments_.push_back("# an output that is the same at every step");
      } else if (features) {
        for (Expr& part : slice.parts) part = as_vector(part, slice.axes.back().extent);
      }
      cell_.stacked_axes.push_back(slice.axes);
      outputs_.insert(outputs_.end(), slice.parts.begin(), slice.parts.end());
      cell_.outputs.insert(cell_.outputs.end(), slice.parts.size(), i);
    }
  }

  // What chooses the next token is the first output.
  void add_scores() {
    const Symbolic& scores = evaluation_.at(cell_.decoder->scores);
    if (scores.constant || scores.parts.size() != 1 || scores.parts[0]->width == 0) {
      cell_.complete = false;
      comments_.push_back("# its scores have no words here");
      return;
    }
    outputs_.push_back(scores.parts[0]);
    cell_.outputs.push_back(cell_.decoder->stacked.value_or(0));
    for (size_t i = 0; i < scan_.stacked(); ++i)
      scores.parts[0]->shared |= scan_.stacked_slice(i) == cell_.decoder->scores;
  }

  // The state that is put out comes first: then nothing has to be said of outputs.
  void order_states() {
    for (size_t k = 1; outputs_.size() == 1 && k < next_.size(); ++k) {
      if (next_[k] != outputs_[0] || next_[0] == outputs_[0]) continue;
      const auto front = [&](auto& list) {
        std::rotate(list.begin(), list.begin() + static_cast<ptrdiff_t>(k),
                    list.begin() + static_cast<ptrdiff_t>(k) + 1);
      };
      front(next_);
      front(state_variables_);
      front(cell_.states);
      front(cell_.state_parts);
    }
  }

  void name_equations() {
    const Roles roles = find_roles(state_variables_, next_);
    cell_.name = cell_names_.take(roles.cell + "_cell");
    equations_ = order_equations(state_variables_, next_, outputs_, roles, names_);
  }

  bool is_state(const Expr& e) const {
    return std::find(state_variables_.begin(), state_variables_.end(), e) != state_variables_.end();
  }

  void write() {
    Writer writer(names_, cell_.name + ".");
    writer.from_state = [&](const Expr& e) {
      bool found = false;
      walk(
          e, [](const Expr&) { return true; }, [&](const Expr& at) { found |= is_state(at); });
      return found;
    };
    for (const Equation& equation : equations_) local_.insert(equation.name);
    std::string lines;
    for (const std::string& comment : comments_) lines += "  " + comment + "\n";
    for (const Equation& equation : equations_) {
      const bool named = equation.name.empty();
      // A state has its features whatever its next value is.
      const bool state = std::ranges::any_of(
          state_variables_, [&](const Expr& own) { return own->name == equation.name; });
      const std::string target = target_of(equation.name);
      const std::string right = named   ? equation.e->name
                                : state ? writer.text(equation.e, target)
                                        : writer.features_text(equation.e, target);
      lines += equation.output ? "  O: " : "  ";
      // A state may have its name from what stands for it in the text only by now.
      lines += named ? right + "\n"
                     : equation.name + " = " +
                           (equation.e->name.empty() || equation.e->name == equation.name
                                ? right
                                : equation.e->name) +
                           "\n";
      collect_leaves(equation);
    }
    if (cell_.scanned.empty() && !cell_.decoder) add_any_sequence();
    // In other scopes they have other names.
    for (const Equation& equation : equations_) {
      const bool own = equation.e->kind != Kind::variable && equation.e->name == equation.name;
      if (own) equation.e->name.clear();
    }
    std::string head = "cell " + cell_.name + "(" + list_of(cell_.scanned);
    for (const Expr& state : state_variables_) {
      head += (head.ends_with('(') ? "" : ", ") + state->name;
      head += "[" + (state->width > 0 ? rows_of(state) + std::to_string(state->width) : "") + "]";
    }
    head += ")";
    for (size_t i = 0; i < cell_.given.size(); ++i)
      head += (i == 0 ? " given " : ", ") + cell_.given[i]->name;
    cell_.text = head + ":\n" + lines;
    for (const Writer::Parameter& parameter : writer.parameters())
      cell_.weights.push_back({cell_.name + "." + parameter.name, parameter.tensor});
    for (const NamedTensor& table : writer.tables()) cell_.weights.push_back(table);
  }

  // A cell that reads nothing of its sequence still has as many steps, and as many rows: which the
  // numbers of the steps have not.
  void add_any_sequence() {
    const auto has_rows = [](const Expr& e) {
      bool found = false;
      walk(
          e, [](const Expr& at) { return at->function != "indices"; },
          [&](const Expr& at) { found |= at->timed; });
      return found;
    };
    for (size_t i = 0; i < scan_.scanned() && cell_.scanned.empty(); ++i) {
      for (const Expr& e : evaluation_.at(scan_.slice_argument(i)).parts) {
        walk(
            e, [](const Expr& at) { return at->name.empty(); },
            [&](const Expr& at) {
              if (cell_.scanned.empty() && sequences_.contains(at->name) && has_rows(at))
                cell_.scanned.push_back(at);
            });
      }
    }
  }

  // `8, ` of a state that is a matrix of 8 rows.
  std::string rows_of(const Expr& state) const {
    for (size_t k = 0; k < state_variables_.size(); ++k) {
      if (state_variables_[k] != state) continue;
      const Symbolic& symbolic = evaluation_.at(scan_.state_argument(cell_.states[k]));
      if (!symbolic.matrix()) return "";
      return std::to_string(symbolic.axes[symbolic.axes.size() - 2].extent) + ", ";
    }
    return "";
  }

  // Parameters of a plain recurrence need no mark: W, U and b.
  std::string target_of(const std::string& name) const {
    return cell_.name.starts_with("rnn_cell") ? "" : name;
  }

  static std::string list_of(const std::vector<Expr>& variables) {
    std::string list;
    for (const Expr& e : variables) list += (list.empty() ? "" : ", ") + e->name;
    return variables.size() > 1 ? "(" + list + ")" : list;
  }

  // What the cell reads of the model around it.
  void collect_leaves(const Equation& equation) {
    const auto is_own = [&](const Expr& at) {
      return at == equation.e && at->name == equation.name;
    };
    walk(
        equation.e, [&](const Expr& at) { return at->name.empty() || is_own(at); },
        [&](const Expr& at) {
          if (at->name.empty() || local_.contains(at->name) || is_state(at) ||
              unknown_.contains(at.get()) || !leaves_.insert(at->name).second) {
            return;
          }
          (sequences_.contains(at->name) ? cell_.scanned : cell_.given).push_back(at);
        });
  }

  const Node& node_;
  ScanView scan_;
  const Evaluation& outer_;
  Names names_;
  Names& cell_names_;
  Parts& parts_;
  Evaluation evaluation_;
  Cell cell_;
  std::vector<Expr> state_variables_, next_, outputs_;
  std::vector<std::string> comments_;
  std::vector<Equation> equations_;
  std::set<std::string> local_, leaves_, sequences_, given_;
  Dim batch_ = Dim::unknown();
  std::vector<std::pair<Expr, std::string>>
      renamed_;  // leaves with the names that they have outside
  std::set<const Expression*> unknown_;
};

}  // namespace

std::string comment_of(const Node& node) {
  std::string text = "# ";
  for (size_t i = 0; i < node.result_count(); ++i) {
    text += (i > 0 ? ", " : "") + to_string(node.result(i)->type());
  }
  text += " = " + std::string(name(node.op())) + "(";
  for (size_t i = 0; i < node.operand_count(); ++i) {
    text += (i > 0 ? ", " : "") + (node.operand(i) ? to_string(node.operand(i)->type()) : "_");
  }
  return text + ")" + (node.name().empty() ? "" : " of " + identifier_of(node.name()));
}

void mark_shared(const Node& node, const Evaluation& evaluation, bool activations) {
  for (size_t i = 0; i < node.result_count(); ++i) {
    const Value* result = node.result(i);
    const Symbolic& symbolic = evaluation.at(result);
    if (symbolic.constant) continue;
    size_t uses = 0, whole = 0;
    for (const Use* use = result->first_use(); use; use = use->next()) {
      ++uses;
      whole += !is_cut(*use->user());
    }
    for (const Expr& e : symbolic.parts) {
      if (e->kind != Kind::call && e->kind != Kind::product && e->kind != Kind::lookup &&
          e->kind != Kind::concat) {
        continue;
      }
      e->shared |=
          (uses > 1 && whole > 0) || (activations && is_activation(node.op()) && is_gate(e));
    }
  }
}

Cell make_cell(const Node& node, const Evaluation& outer, Parts& parts, Names& cell_names) {
  return CellMaker(node, outer, parts, cell_names).make();
}

}  // namespace refrain::decompile
