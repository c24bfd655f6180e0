#include "backends/highway/match.h"

#include <algorithm>
#include <utility>

namespace refrain::highway {
namespace {

// A node of the expressions of a program: an input, or an operation on earlier nodes.
struct Node {
  std::optional<Operation> operation;  // none: an input
  std::vector<size_t> operands;
  float alpha = 0, beta = 0;
  size_t input = 0;

  friend bool operator==(const Node&, const Node&) = default;
};

bool commutes(Operation operation) {
  return operation == Operation::add || operation == Operation::mul;
}

// The expressions of a program, equal ones shared; multiply_add is written as its two operations.
struct Expressions {
  std::vector<Node> nodes;
  std::vector<size_t> outputs;

  size_t intern(Node node) {
    if (node.operation && commutes(*node.operation)) std::ranges::sort(node.operands);
    // Programs are small (kMaxRegisters): a linear search will do. An alpha that is NaN equals
    // nothing, which only costs sharing.
    const auto found = std::ranges::find(nodes, node);
    if (found != nodes.end()) return static_cast<size_t>(found - nodes.begin());
    nodes.push_back(std::move(node));
    return nodes.size() - 1;
  }
};

Expressions expressions_of(size_t inputs, std::span<const Instruction> code,
                           std::span<const uint8_t> outputs) {
  Expressions result;
  std::vector<size_t> values(kMaxRegisters);
  for (size_t i = 0; i < inputs; ++i) values[i] = result.intern({{}, {}, 0, 0, i});
  for (const Instruction& instruction : code) {
    const uint8_t* operands = instruction.operands;
    size_t value;
    if (instruction.operation == Operation::multiply_add) {
      const size_t product =
          result.intern({Operation::mul, {values[operands[0]], values[operands[1]]}});
      value = result.intern({Operation::add, {product, values[operands[2]]}});
    } else {
      Node node{instruction.operation, {}, instruction.alpha, instruction.beta, 0};
      for (size_t i = 0; i < operand_count(instruction.operation); ++i)
        node.operands.push_back(values[operands[i]]);
      value = result.intern(std::move(node));
    }
    values[instruction.result] = value;
  }
  for (const uint8_t output : outputs) result.outputs.push_back(values[output]);
  return result;
}

// How often each node is read, by nodes that outputs depend on or as an output.
std::vector<size_t> uses_of(const Expressions& expressions) {
  std::vector<size_t> uses(expressions.nodes.size(), 0);
  for (const size_t output : expressions.outputs) ++uses[output];
  // Operands come before their readers.
  for (size_t i = expressions.nodes.size(); i-- > 0;) {
    if (uses[i] == 0) continue;
    for (const size_t operand : expressions.nodes[i].operands) ++uses[operand];
  }
  return uses;
}

// Replaces add(gate, stream), where nothing else reads the gate, by the gate. Returns whether there
// was one.
bool take_initial(Expressions& expressions, size_t gates,
                  std::vector<std::vector<uint8_t>>& initials) {
  const std::vector<size_t> uses = uses_of(expressions);
  std::vector<Node>& nodes = expressions.nodes;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (uses[i] == 0 || nodes[i].operation != Operation::add) continue;
    for (const bool swap : {false, true}) {
      const size_t gate = nodes[i].operands[swap], stream = nodes[i].operands[!swap];
      if (nodes[gate].operation || nodes[gate].input >= gates || uses[gate] != 1) continue;
      if (nodes[stream].operation || nodes[stream].input < gates) continue;
      initials[nodes[gate].input].push_back(static_cast<uint8_t>(nodes[stream].input));
      for (Node& node : nodes) std::ranges::replace(node.operands, i, gate);
      std::ranges::replace(expressions.outputs, i, gate);
      return true;
    }
  }
  return false;
}

Program program_of(const Expressions& expressions, size_t inputs) {
  Program program{inputs, {}, {}};
  const std::vector<size_t> uses = uses_of(expressions);
  const std::vector<Node>& nodes = expressions.nodes;
  std::vector<uint8_t> registers(nodes.size(), 0);
  const auto next = [&] { return static_cast<uint8_t>(inputs + program.code.size()); };
  // Products that the only node that reads them does itself.
  std::vector<bool> fused(nodes.size(), false);
  std::vector<int> factor(nodes.size(), -1);
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (uses[i] == 0 || nodes[i].operation != Operation::add) continue;
    for (const int k : {0, 1}) {
      const size_t operand = nodes[i].operands[static_cast<size_t>(k)];
      if (nodes[operand].operation != Operation::mul || uses[operand] != 1) continue;
      factor[i] = k;
      fused[operand] = true;
      break;
    }
  }
  // A node can come before its operands only by take_initial, whose gates come first of all.
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    if (!node.operation) registers[i] = static_cast<uint8_t>(node.input);
    if (!node.operation || uses[i] == 0 || fused[i]) continue;
    Instruction instruction{*node.operation, next(), {}, node.alpha, node.beta};
    if (factor[i] >= 0) {
      const size_t product = node.operands[static_cast<size_t>(factor[i])];
      const size_t term = node.operands[static_cast<size_t>(1 - factor[i])];
      instruction.operation = Operation::multiply_add;
      instruction.operands[0] = registers[nodes[product].operands[0]];
      instruction.operands[1] = registers[nodes[product].operands[1]];
      instruction.operands[2] = registers[term];
    } else {
      for (size_t k = 0; k < node.operands.size(); ++k)
        instruction.operands[k] = registers[node.operands[k]];
    }
    registers[i] = instruction.result;
    program.code.push_back(instruction);
  }
  for (const size_t output : expressions.outputs) program.outputs.push_back(registers[output]);
  return program;
}

// Which node of a program stands for each node of a known one.
using Binding = std::vector<std::optional<size_t>>;

class Matcher {
 public:
  Matcher(const Expressions& known, size_t known_gates, const Expressions& program, size_t gates)
      : known_(known), program_(program), known_gates_(known_gates), gates_(gates) {}

  // Tries to make node `k` of the known program stand for node `p`; leaves `binding` as it was if
  // that fails.
  bool unify(size_t k, size_t p, Binding& binding) const {
    if (binding[k]) return *binding[k] == p;
    const Node &a = known_.nodes[k], &b = program_.nodes[p];
    if (!a.operation) {
      if (b.operation || (a.input < known_gates_) != (b.input < gates_)) return false;
      binding[k] = p;
      return true;
    }
    if (a.operation != b.operation || a.alpha != b.alpha || a.beta != b.beta) return false;
    const size_t count = a.operands.size();
    for (const bool swap : {false, true}) {
      if (swap && !commutes(*a.operation)) break;
      Binding attempt = binding;
      bool matches = true;
      for (size_t i = 0; i < count && matches; ++i)
        matches = unify(a.operands[i], b.operands[swap ? count - 1 - i : i], attempt);
      if (!matches) continue;
      attempt[k] = p;
      binding = std::move(attempt);
      return true;
    }
    return false;
  }

 private:
  const Expressions &known_, &program_;
  size_t known_gates_, gates_;
};

std::optional<Match> match_one(const KnownProgram& candidate, const Expressions& program,
                               size_t gates) {
  const Expressions known =
      expressions_of(candidate.inputs, candidate.program(),
                     std::span(candidate.outputs).first(candidate.output_count));
  std::vector<size_t> values = program.outputs;
  std::ranges::sort(values);
  const auto duplicates = std::ranges::unique(values);
  values.erase(duplicates.begin(), duplicates.end());
  if (values.size() != candidate.output_count) return std::nullopt;
  const Matcher matcher(known, candidate.gates, program, gates);
  do {
    Binding binding(known.nodes.size());
    bool matches = true;
    for (size_t o = 0; o < values.size() && matches; ++o)
      matches = matcher.unify(known.outputs[o], values[o], binding);
    // Two gates of the known program that are one here would be multiplied twice.
    for (size_t i = 1; i < candidate.gates && matches; ++i) {
      const auto before = std::span(binding).first(i);
      matches = std::ranges::find(before, binding[i]) == before.end();
    }
    if (!matches) continue;
    Match match{0, {}, {}};
    // The inputs come first among the nodes, and each of them has a use.
    for (size_t i = 0; i < candidate.inputs; ++i)
      match.inputs.push_back(static_cast<uint8_t>(program.nodes[*binding[i]].input));
    for (const size_t output : program.outputs)
      match.outputs.push_back(
          static_cast<uint8_t>(std::ranges::find(values, output) - values.begin()));
    return match;
  } while (std::ranges::next_permutation(values).found);
  return std::nullopt;
}

}  // namespace

NormalProgram normalize(const Program& program, size_t gates) {
  Expressions expressions = expressions_of(program.inputs, program.code, program.outputs);
  NormalProgram result{{}, std::vector<std::vector<uint8_t>>(gates)};
  while (take_initial(expressions, gates, result.initials)) {
  }
  result.program = program_of(expressions, program.inputs);
  return result;
}

std::optional<Match> match_known(const Program& program, size_t gates) {
  const Expressions expressions = expressions_of(program.inputs, program.code, program.outputs);
  for (size_t i = 0; i < kKnownPrograms.size(); ++i) {
    std::optional<Match> match = match_one(kKnownPrograms[i], expressions, gates);
    if (!match) continue;
    match->known = i;
    return match;
  }
  return std::nullopt;
}

std::optional<Match> match_program(const KnownProgram& known, const Program& program,
                                   size_t gates) {
  return match_one(known, expressions_of(program.inputs, program.code, program.outputs), gates);
}

}  // namespace refrain::highway
