// Scans of a model: the sequences that they run over, their cells, and what comes out.
#include <algorithm>

#include "frontend/decompile/decompiler.h"
#include "frontend/decompile/node_kinds.h"
#include "ir/control.h"

namespace refrain::decompile {

using Kind = Axis::Kind;

void Decompiler::replace(const Value* value, Symbolic symbolic, Replaced& replaced) {
  replaced.emplace_back(value, evaluation_.at(value));
  evaluation_.set(value, std::move(symbolic));
}

std::string Decompiler::prepare_sequences(const Node& node, Replaced& replaced) {
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
      problem = identifier_of(whole->name()) + " is " + (symbolic.constant ? "a constant, " : "") +
                to_string(whole->type());
      replace(whole, std::move(unknown), replaced);
      continue;
    }
    const bool turned = scan.scan_slot(i).reverse != scan.scan_slot(0).reverse;
    // Truth values and whole numbers are no sequences of features: they come by a name.
    bool own = turned || !is_float(whole->type().element), constant = true;
    for (const Expr& e : symbolic.parts) {
      std::set<std::string> names;
      collect_names(e, names);
      constant &= names.empty();
      own |= std::any_of(names.begin(), names.end(),
                         [&](const std::string& name) { return given.contains(name); });
      if (own) continue;
      // What looks at other steps is no equation of a step.
      walk(
          e, [](const Expr& at) { return at->name.empty(); },
          [](const Expr& at) { at->shared |= at->name.empty() && reads_other_steps(*at); });
    }
    if (!own || constant) continue;
    for (Expr& e : symbolic.parts) {
      if (turned) e = call("reverse", {e}, e->width);
      settle_arguments(e);
      const std::string name = free_name(e->name.empty() ? "v" : e->name);
      if (e->name.empty()) {
        equation(name, e);
      } else {
        line(name + " = " + e->name);
      }
      const bool timed = has_time(e);
      e = variable(name, e->width);
      e->timed = timed;
    }
    replace(whole, std::move(symbolic), replaced);
  }
  return problem;
}

std::string Decompiler::group(const std::vector<std::string>& list) {
  std::string text;
  for (const std::string& item : list) text += (text.empty() ? "" : ", ") + item;
  return list.size() > 1 ? "(" + text + ")" : text;
}

void Decompiler::add_scan(const Node& node) {
  const ScanView scan(node);
  Replaced replaced;
  std::string problem = prepare_sequences(node, replaced);
  for (const Value* operand : node.operands()) {
    if (!operand || evaluation_.at(operand).constant) continue;
    for (const Expr& e : evaluation_.at(operand).parts) settle(e);
  }
  Cell cell = make_cell(node, evaluation_, parts_, cell_names_);
  result_.complete &= cell.complete;
  for (const std::string& inner : cell.inner) {
    result_.cells.push_back(inner);
    lines_ += "\n" + inner;
  }
  const std::string name = write_cell(cell);
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
    const Symbolic& whole = evaluation_.at(initial);
    from.push_back(known                     ? reference((*parts)[cell.state_parts[k]])
                   : whole.parts.size() == 1 ? reference(whole.parts[0])
                                             : identifier_of(initial->name()));
    result_.complete &= known;
  }
  add_results(node, cell, finals, targets);
  std::string text = group(targets);
  if (cell.decoder) {
    text += " = decode " + name + start_of(node, *cell.decoder);
  } else {
    text += " = scan " + name;
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
  if (name != cell.name) text += " with weights \"" + cell.name + "\"";
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

std::string Decompiler::write_cell(const Cell& cell) {
  const std::string body = cell.text.substr(cell.text.find('('));
  const bool plain =
      !cell.weights.empty() && cell.inner.empty() && body.find("weights = \"") == std::string::npos;
  const auto [at, fresh] = written_.emplace(plain ? body : cell.name, cell.name);
  if (fresh) {
    result_.cells.push_back(cell.text);
    lines_ += "\n" + cell.text + "\n";
  }
  return at->second;
}

std::string Decompiler::reference(const Expr& e) {
  give_name(e, "v");
  return e->name.empty() ? writer_.text(e, "") : e->name;
}

std::string Decompiler::start_of(const Node& node, const Decoder& decoder) {
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

void Decompiler::add_results(const Node& node, const Cell& cell, bool finals,
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

}  // namespace refrain::decompile
