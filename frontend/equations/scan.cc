#include "frontend/equations/scan.h"

#include <algorithm>

#include "frontend/equations/cell.h"
#include "frontend/equations/parser.h"
#include "frontend/equations/prelude.h"

namespace refrain::equations {
namespace {

constexpr int64_t kMaxLayers = 1024;

// The built-in cells by name.
const std::map<std::string, const Cell*>& prelude() {
  static const auto* const cells = [] {
    std::vector<Problem> problems;
    static const auto* const program = new Program(parse(Source("prelude", kPrelude), problems));
    auto* result = new std::map<std::string, const Cell*>;
    for (const Statement& statement : program->statements) {
      result->emplace(statement.cell->name.text, statement.cell.get());
    }
    return result;
  }();
  return *cells;
}

class MachineRun {
 public:
  MachineRun(Evaluator& evaluator, const Cells& cells, const std::string& prefix)
      : evaluator_(evaluator), cells_(cells), prefix_(prefix) {}

  // Where in the machine a cell stands.
  struct Place {
    std::string layer;
    bool backward = false;
    bool numbered = false;
  };

  ScanResults run(const Machine& machine, const ScanInputs& inputs, const Place& place) {
    switch (machine.kind) {
      case Machine::Kind::cell:
        return run_one(machine, inputs, place);
      case Machine::Kind::bidirectional:
        return bidirectional(machine, inputs, place);
      case Machine::Kind::stack:
        return stack(machine, inputs, place);
    }
    return {};
  }

 private:
  ScanResults run_one(const Machine& machine, const ScanInputs& inputs, const Place& place) {
    const Cell& cell = cells_.find(machine.cell);
    CellUse use{.cell = cell,
                .built_in = cells_.built_in(cell),
                .range = machine.range,
                .sizes = {},
                .prefix = prefix_,
                .layer = place.layer,
                .backward = place.backward,
                .numbered = place.numbered};
    for (const ExpressionPtr& size : machine.sizes) use.sizes.push_back(evaluator_.size(*size));
    if (!use.built_in) return run_cell(evaluator_, use, inputs);
    const size_t before = evaluator_.context().problems.size();
    std::vector<Problem>& problems = evaluator_.context().problems;
    try {
      return run_cell(evaluator_, use, inputs);
    } catch (const Failure& failure) {
      problems.push_back(failure.problem);
    } catch (const Poisoned&) {
    }
    // Places in the built-in cells' text mean nothing to the reader.
    if (problems.size() == before) throw Poisoned{};
    Problem problem = problems[before];
    problems.resize(before);
    const bool there = problem.range.begin == machine.range.begin;
    if (!there) problem.message = "in cell '" + cell.name.text + "': " + problem.message;
    fail(machine.range, problem.message, problem.note);
  }

  ScanResults bidirectional(const Machine& machine, const ScanInputs& inputs, const Place& place) {
    ScanInputs forward = inputs, backward = inputs;
    split_initial(inputs, 2, 0, forward);
    split_initial(inputs, 2, 1, backward);
    backward.reverse = !inputs.reverse;
    ScanResults result = run(*machine.inner, forward, {place.layer, false, true});
    ScanResults back = run(*machine.inner, backward, {place.layer, true, true});
    for (size_t i = 0; i < result.outputs.size(); ++i) {
      result.outputs[i] =
          evaluator_.algebra().concat({result.outputs[i], back.outputs[i]}, machine.range);
    }
    result.finals.insert(result.finals.end(), back.finals.begin(), back.finals.end());
    return result;
  }

  ScanResults stack(const Machine& machine, const ScanInputs& inputs, const Place& place) {
    const int64_t layers = evaluator_.integer(*machine.layers, 1, kMaxLayers);
    const bool residual = machine.residual && evaluator_.flag(*machine.residual);
    if (inputs.scanned.size() != 1) {
      fail(machine.range, "a stack of cells with several inputs", "expected one input");
    }
    ScanInputs layer = inputs;
    ScanResults result;
    std::vector<Tensored> finals;
    for (int64_t i = 0; i < layers; ++i) {
      split_initial(inputs, static_cast<size_t>(layers), static_cast<size_t>(i), layer);
      result = run(*machine.inner, layer,
                   {place.layer + "_l" + std::to_string(i), place.backward, true});
      Tensored& output = result.outputs[0];
      const Tensored& input = layer.scanned[0];
      if (residual && input.features() == output.features()) {
        output = evaluator_.algebra().elementwise(Op::add, output, input, "the residual sum",
                                                  machine.range);
      }
      layer.scanned[0] = output;
      finals.insert(finals.end(), result.finals.begin(), result.finals.end());
    }
    result.finals = std::move(finals);
    return result;
  }

  // The part-th of equal parts of the initial states.
  static void split_initial(const ScanInputs& inputs, size_t parts, size_t part,
                            ScanInputs& result) {
    const size_t count = inputs.initial.size() / parts;
    const auto begin = static_cast<std::ptrdiff_t>(part * count);
    const auto end = begin + static_cast<std::ptrdiff_t>(count);
    result.initial.assign(inputs.initial.begin() + begin, inputs.initial.begin() + end);
    result.initial_ranges.assign(inputs.initial_ranges.begin() + begin,
                                 inputs.initial_ranges.begin() + end);
  }

  Evaluator& evaluator_;
  const Cells& cells_;
  const std::string& prefix_;
};

size_t state_count(Evaluator& evaluator, const Cells& cells, const Machine& machine) {
  switch (machine.kind) {
    case Machine::Kind::cell:
      return cells.find(machine.cell).states.size();
    case Machine::Kind::bidirectional:
      return 2 * state_count(evaluator, cells, *machine.inner);
    case Machine::Kind::stack: {
      const auto layers = static_cast<size_t>(evaluator.integer(*machine.layers, 1, kMaxLayers));
      const size_t count = layers * state_count(evaluator, cells, *machine.inner);
      constexpr size_t kMaxStates = 4096;
      if (count > kMaxStates) fail(machine.range, "a stack of too many layers");
      return count;
    }
  }
  return 0;
}

}  // namespace

void Cells::add(const Cell& cell) {
  if (!cells_.emplace(cell.name.text, &cell).second) {
    fail(cell.name.range, "a second cell '" + cell.name.text + "'");
  }
}

bool Cells::contains(const std::string& name) const {
  return cells_.contains(name) || prelude().contains(name);
}

const Cell& Cells::find(const Name& name) const {
  if (const auto at = cells_.find(name.text); at != cells_.end()) return *at->second;
  if (const auto at = prelude().find(name.text); at != prelude().end()) return *at->second;
  std::vector<std::string> known;
  for (const auto& [cell, unused] : cells_) known.push_back(cell);
  for (const auto& [cell, unused] : prelude()) known.push_back(cell);
  fail(name.range, "unknown cell '" + name.text + "'", suggestion(name.text, known));
}

bool Cells::built_in(const Cell& cell) const {
  const auto at = prelude().find(cell.name.text);
  return at != prelude().end() && at->second == &cell;
}

const Cell& core(const Cells& cells, const Machine& machine) {
  const Machine* inner = &machine;
  while (inner->inner) inner = inner->inner.get();
  return cells.find(inner->cell);
}

ScanResults run_machine(Evaluator& evaluator, const Cells& cells, const Machine& machine,
                        const ScanInputs& inputs) {
  const size_t states = state_count(evaluator, cells, machine);
  if (!inputs.initial.empty() && inputs.initial.size() != states) {
    fail(join(inputs.initial_ranges.front(), inputs.initial_ranges.back()),
         "the scan has " + std::to_string(states) + " states, and here are " +
             std::to_string(inputs.initial.size()));
  }
  return MachineRun(evaluator, cells, inputs.prefix).run(machine, inputs, {});
}

}  // namespace refrain::equations
