#include "passes/stream_states.h"

#include <algorithm>
#include <unordered_set>

namespace refrain::passes::internal {

StatePairs::StatePairs(const Graph& graph, const std::vector<size_t>& inputs,
                       const std::vector<LoopState>& states)
    : graph_(graph), states_(states), origins_(graph), inputs_(states.size()) {
  for (const size_t input : inputs) origins_.add_source(graph.input(input));
  std::unordered_map<const Node*, std::vector<size_t>> of_node;
  for (size_t i = 0; i < states.size(); ++i) of_node[states[i].node].push_back(i);
  for (const Node* node = graph.body().first(); node; node = node->next()) {
    const auto found = of_node.find(node);
    if (found == of_node.end()) {
      origins_.follow(*node);
      continue;
    }
    for (const size_t i : found->second) {
      const auto* initial = origins_.find(node->operand(states[i].operand));
      if (!initial) {
        origins_.add_source(states[i].final);
        continue;
      }
      origins_.add_source(states[i].final, static_cast<int64_t>(initial->origins.size()));
      const auto& from = initial->origins;
      if (from.empty() || !from[0].source->is_argument()) continue;
      const bool one = std::all_of(from.begin(), from.end(), [&](const auto& origin) {
        return origin.source == from[0].source;
      });
      if (one) inputs_[i] = from[0].source->index();
    }
  }
}

const std::vector<ElementOrigins::Origin>& StatePairs::starts(size_t i) const {
  return origins_.find(states_[i].node->operand(states_[i].operand))->origins;
}

bool StatePairs::matches(size_t input, const Value* output) const {
  const auto *whole = origins_.find(graph_.input(input)), *to = origins_.find(output);
  if (!whole || !to || to->origins.size() != whole->origins.size()) return false;
  if (output->type().element != graph_.input(input)->type().element) return false;
  for (size_t i = 0; i < states_.size(); ++i) {
    if (inputs_[i] != input) continue;
    const auto& from = starts(i);
    for (size_t e = 0; e < from.size(); ++e) {
      const ElementOrigins::Origin expected{states_[i].final, static_cast<int64_t>(e)};
      if (to->origins[static_cast<size_t>(from[e].index)] != expected) return false;
    }
  }
  return true;
}

std::optional<size_t> StatePairs::output_of(size_t input) const {
  for (size_t i = 0; i < graph_.output_count(); ++i) {
    if (matches(input, graph_.output(i))) return i;
  }
  return std::nullopt;
}

std::optional<size_t> StatePairs::output_like(size_t state) const {
  const auto* final = origins_.find(states_[state].final);
  for (size_t i = 0; final && i < graph_.output_count(); ++i) {
    const auto* to = origins_.find(graph_.output(i));
    if (to && to->origins == final->origins) return i;
  }
  return std::nullopt;
}

StatePairs::Read StatePairs::read_by_others(size_t input) const {
  const Value* const whole = graph_.input(input);
  const auto* elements = origins_.find(whole);
  if (!elements) return Read::states;
  std::vector<bool> of_states(elements->origins.size(), false);
  for (size_t i = 0; i < states_.size(); ++i) {
    if (inputs_[i] != input) continue;
    for (const auto& origin : starts(i)) of_states[static_cast<size_t>(origin.index)] = true;
  }
  Read read = Read::nothing;
  std::vector<const Value*> work = {whole};
  std::unordered_set<const Value*> seen(work.begin(), work.end());
  while (!work.empty()) {
    const Value* value = work.back();
    work.pop_back();
    for (const Use* use = value->first_use(); use; use = use->next()) {
      const Node* user = use->user();
      const bool starts = std::any_of(states_.begin(), states_.end(), [&](const LoopState& state) {
        return state.node == user && state.operand == use->index();
      });
      if (starts || user->op() == Op::shape) continue;
      bool moves = user->op() == Op::concat || (user->op() == Op::branch) == (use->index() > 0);
      moves = moves && user->result_count() > 0;
      for (size_t i = 0; i < user->result_count(); ++i)
        moves = moves && origins_.find(user->result(i));
      for (size_t i = 0; moves && i < user->result_count(); ++i) {
        if (seen.insert(user->result(i)).second) work.push_back(user->result(i));
      }
      if (moves) continue;
      read = Read::rest;
      for (const auto& origin : origins_.find(value)->origins) {
        if (origin.source == whole && of_states[static_cast<size_t>(origin.index)])
          return Read::states;
      }
    }
  }
  return read;
}

std::vector<std::optional<size_t>> StatePairs::shares(size_t input) const {
  const auto* whole = origins_.find(graph_.input(input));
  if (!whole) return {};
  std::vector<std::pair<size_t, size_t>> firsts;  // element, state
  size_t share = 0;
  for (size_t i = 0; i < states_.size(); ++i) {
    if (inputs_[i] != input) continue;
    const auto& from = starts(i);
    for (size_t e = 1; e < from.size(); ++e) {
      if (from[e].index != from[0].index + static_cast<int64_t>(e)) return {};
    }
    if (share > 0 && share != from.size()) return {};
    share = from.size();
    firsts.emplace_back(static_cast<size_t>(from[0].index), i);
  }
  if (share == 0 || whole->origins.size() % share != 0) return {};
  std::vector<std::optional<size_t>> held(whole->origins.size() / share);
  for (const auto& [first, state] : firsts) {
    if (first % share != 0 || held[first / share]) return {};
    held[first / share] = state;
  }
  if (held.size() > 1) {
    const Dim layers = graph_.input(input)->type().shape[0];
    if (!layers.is_constant() || layers.extent() % static_cast<int64_t>(held.size()) != 0)
      return {};
  }
  return held;
}

}  // namespace refrain::passes::internal
