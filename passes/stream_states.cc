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

bool StatePairs::matches(size_t input, const Value* output) const {
  const auto *whole = origins_.find(graph_.input(input)), *to = origins_.find(output);
  if (!whole || !to || to->origins.size() != whole->origins.size()) return false;
  if (output->type().element != graph_.input(input)->type().element) return false;
  for (size_t i = 0; i < states_.size(); ++i) {
    if (inputs_[i] != input) continue;
    const auto& from = origins_.find(states_[i].node->operand(states_[i].operand))->origins;
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

bool StatePairs::only_starts(size_t input) const {
  std::vector<const Value*> work = {graph_.input(input)};
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
      const bool moves =
          user->op() == Op::concat || (user->op() == Op::branch) == (use->index() > 0);
      if (!moves || user->result_count() == 0) return false;
      for (size_t i = 0; i < user->result_count(); ++i) {
        const Value* result = user->result(i);
        if (!origins_.find(result)) return false;
        if (seen.insert(result).second) work.push_back(result);
      }
    }
  }
  return true;
}

std::vector<size_t> StatePairs::in_order(size_t input) const {
  const auto* whole = origins_.find(graph_.input(input));
  if (!whole) return {};
  // By the first element that each starts with.
  std::vector<std::pair<int64_t, size_t>> starts;
  size_t count = 0;
  for (size_t i = 0; i < states_.size(); ++i) {
    if (inputs_[i] != input) continue;
    const auto& from = origins_.find(states_[i].node->operand(states_[i].operand))->origins;
    for (size_t e = 1; e < from.size(); ++e) {
      if (from[e].index != from[0].index + static_cast<int64_t>(e)) return {};
    }
    starts.emplace_back(from[0].index, i);
    count += from.size();
  }
  if (starts.empty() || count != whole->origins.size()) return {};
  std::sort(starts.begin(), starts.end());
  std::vector<size_t> order;
  int64_t next = 0;
  const auto share = static_cast<int64_t>(count / starts.size());
  for (const auto& [begin, state] : starts) {
    if (begin != next) return {};
    next += share;
    order.push_back(state);
  }
  if (order.size() > 1) {
    const Dim layers = graph_.input(input)->type().shape[0];
    if (!layers.is_constant() || layers.extent() % static_cast<int64_t>(order.size()) != 0)
      return {};
  }
  return order;
}

}  // namespace refrain::passes::internal
