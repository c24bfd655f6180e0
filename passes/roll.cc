#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/builder.h"
#include "ir/error.h"
#include "ir/hash.h"
#include "passes/passes.h"
#include "passes/recurrence.h"
#include "passes/refine.h"
#include "passes/restack.h"
#include "passes/roll_proof.h"
#include "passes/rolled_scan.h"

namespace refrain::passes {
namespace {

using internal::Member;
using internal::MemberResult;
using internal::Recurrence;
using internal::RolledScan;

// Fewest iterations that are made a loop.
constexpr int64_t kMinIterations = 3;
// Iterations back that a node's forerunner is looked for.
constexpr size_t kWindow = 8;
// Nodes of one kind in one iteration, one after the other, that are told apart.
constexpr size_t kMaxStride = 8;
// Chains that may lead to a node in vain before it is let be: all of one recurrence fail alike.
constexpr int kMaxFailures = 3;
// Nodes that may be looked at for each that there is, so that no graph takes time like the square
// of its nodes: in finding chains, and in all. A trace takes a few for each recurrence.
constexpr int64_t kChainEffort = 30, kEffort = 500;

size_t hash_type(const ValueType& type) {
  size_t seed = hash_combine(static_cast<size_t>(type.element), type.shape.rank());
  for (const Dim dim : type.shape.dims()) {
    seed = hash_combine(seed, dim.is_constant() ? static_cast<size_t>(dim.extent())
                              : dim.is_symbol() ? reinterpret_cast<size_t>(&dim.name())
                                                : ~size_t{0});
  }
  return seed;
}

bool is_weight(const Value* value) {
  const TensorPtr tensor = value ? constant_tensor(value) : nullptr;
  return tensor && is_float(tensor->type());
}

// Nodes of one kind with the same weights: what may be the same node of all iterations.
struct Uses {
  std::vector<Node*> nodes;  // in order
  bool weights = false;
};

class Roller {
 public:
  Roller(Region& region, const PassContext& context)
      : region_(region),
        context_(context),
        chain_effort_(kChainEffort * (static_cast<int64_t>(region.size()) + 1000)),
        effort_(kEffort * (static_cast<int64_t>(region.size()) + 1000)) {}

  bool run() {
    bool changed = false;
    // What a recurrence left may show another.
    while (roll_all()) {
      internal::restack(region_);
      changed = true;
    }
    return changed;
  }

 private:
  bool roll_all() {
    failures_.clear();
    number_nodes();
    std::vector<Uses> all = find_uses();
    // Recurrences that others depend on come first, so that their results are elements by then.
    // What has weights tells best what an iteration is.
    std::stable_sort(all.begin(), all.end(), [&](const Uses& a, const Uses& b) {
      if (a.weights != b.weights) return a.weights;
      return number(a.nodes.front()) < number(b.nodes.front());
    });
    bool changed = false;
    for (Uses& uses : all) {
      while (roll_one(uses)) changed = true;
    }
    return changed;
  }

  void number_nodes() {
    numbers_.clear();
    size_t next = 0;
    for (const Node* node = region_.first(); node; node = node->next()) numbers_[node] = next++;
  }
  size_t number(const Node* node) const { return numbers_.at(node); }

  std::vector<Uses> find_uses() const {
    std::unordered_map<size_t, size_t> index;
    std::vector<Uses> all;
    for (Node* node = region_.first(); node; node = node->next()) {
      if (node->schema().kind == OpKind::leaf || node->op() == Op::yield) continue;
      if (internal::element_of(node->result())) continue;
      size_t seed = hash_combine(static_cast<size_t>(node->op()), node->operand_count());
      bool weights = false;
      for (size_t i = 0; i < node->operand_count(); ++i) {
        const Value* operand = node->operand(i);
        if (!is_weight(operand)) continue;
        weights = true;
        seed = hash_combine(seed, hash_combine(i, reinterpret_cast<size_t>(operand)));
      }
      size_t attributes = 0;
      for (const Attribute& attribute : node->attributes()) attributes += hash(attribute);
      seed = hash_combine(seed, attributes);
      for (size_t i = 0; i < node->result_count(); ++i)
        seed = hash_combine(seed, hash_type(node->result(i)->type()));
      const auto [found, fresh] = index.try_emplace(seed, all.size());
      if (fresh) all.emplace_back();
      Uses& uses = all[found->second];
      uses.nodes.push_back(node);
      uses.weights = weights;
    }
    std::erase_if(all, [](const Uses& uses) { return uses.nodes.size() < kMinIterations; });
    return all;
  }

  // The nearest of a kind that nodes[i] depends on: its index, or i if there is none near.
  size_t forerunner(const std::vector<Node*>& nodes, size_t i) {
    const size_t least = number(nodes[i >= kWindow ? i - kWindow : 0]);
    std::unordered_set<const Node*> seen;
    std::vector<const Node*> stack = {nodes[i]};
    size_t nearest = i;
    while (!stack.empty() && --chain_effort_ > 0) {
      const Node* node = stack.back();
      stack.pop_back();
      for (size_t k = 0; k < node->operand_count(); ++k) {
        const Value* operand = node->operand(k);
        const Node* made = operand ? operand->node() : nullptr;
        const auto known = made ? numbers_.find(made) : numbers_.end();
        if (known == numbers_.end() || known->second < least || !seen.insert(made).second) continue;
        const auto at = std::lower_bound(
            nodes.begin(), nodes.end(), known->second,
            [&](const Node* other, size_t value) { return number(other) < value; });
        if (at != nodes.end() && *at == made) {
          const auto found = static_cast<size_t>(at - nodes.begin());
          if (nearest == i || found > nearest) nearest = found;
        } else {
          stack.push_back(made);
        }
      }
    }
    return nearest;
  }

  // All of them; empty if there are none.
  std::vector<size_t> forerunners(const std::vector<Node*>& nodes) {
    // One from the middle tells whether they form any chain.
    const size_t middle = nodes.size() / 2;
    if (forerunner(nodes, middle) == middle && forerunner(nodes, middle - 1) == middle - 1)
      return {};
    std::vector<size_t> before(nodes.size());
    for (size_t i = 0; i < nodes.size(); ++i) before[i] = forerunner(nodes, i);
    return before;
  }

  // The longest chain of nodes each of which depends on the one before.
  static std::vector<Node*> longest_chain(const std::vector<Node*>& nodes,
                                          const std::vector<size_t>& before) {
    std::vector<size_t> length(nodes.size(), 1);
    size_t best = 0;
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (before[i] != i) length[i] = length[before[i]] + 1;
      if (length[i] > length[best]) best = i;
    }
    std::vector<Node*> chain = {nodes[best]};
    for (size_t i = best; before[i] != i; i = before[i]) chain.push_back(nodes[before[i]]);
    std::reverse(chain.begin(), chain.end());
    return chain;
  }

  // Rolls one of the recurrences that these nodes belong to; false if none can be.
  bool roll_one(Uses& uses) {
    for (;;) {
      std::erase_if(uses.nodes, [&](const Node* node) { return taken_.contains(node); });
      if (uses.nodes.size() < static_cast<size_t>(kMinIterations)) return false;
      const std::vector<size_t> before = forerunners(uses.nodes);
      if (before.empty()) return false;
      if (roll_round(uses.nodes, before)) return true;
      const std::vector<Node*> chain = longest_chain(uses.nodes, before);
      if (chain.size() < static_cast<size_t>(kMinIterations)) return false;
      const auto failed = failures_.find(chain[chain.size() / 2]);
      if (effort_ > 0 && (failed == failures_.end() || failed->second < kMaxFailures)) {
        const std::string why = roll_best(chain);
        if (why.empty()) return true;
        refuse(chain, why);
      }
      // What can't be rolled from here is not tried again.
      const std::unordered_set<const Node*> tried(chain.begin(), chain.end());
      std::erase_if(uses.nodes, [&](const Node* node) { return tried.contains(node); });
    }
  }

  // Where states read each other in turn and none itself, or a state of some iterations ago, the
  // nodes of an iteration depend on those of `period` iterations before: as many chains as that
  // take turns. All of them in order are one recurrence.
  bool roll_round(const std::vector<Node*>& nodes, const std::vector<size_t>& before) {
    const size_t middle = nodes.size() / 2, period = middle - before[middle];
    if (period < 2 || effort_ <= 0) return false;
    size_t alike = 0;
    for (size_t i = period; i < nodes.size(); ++i) alike += before[i] + period == i;
    if (4 * alike < 3 * (nodes.size() - period)) return false;
    Recurrence recurrence(taken_);
    if (recurrence.find(nodes, period).empty() && is_one_series(recurrence) &&
        roll_recurrence(recurrence).empty()) {
      return true;
    }
    spend(recurrence);
    return false;
  }

  // False for what several series with the same weights would make in turn.
  static bool is_one_series(const Recurrence& recurrence) {
    using Kind = internal::MemberOperand::Kind;
    bool states = false, one_back = true, outside = false;
    for (const Member& member : recurrence.members()) {
      for (const internal::MemberOperand& operand : member.operands) {
        outside |= operand.kind == Kind::outside;
        if (operand.kind != Kind::member) continue;
        const int64_t delay = recurrence.delay(member, operand);
        states |= delay > 0;
        one_back &= delay <= 1;
      }
    }
    return states && (one_back || !outside);
  }

  // With the fewest nodes of the chain an iteration with which most of it is rolled. Returns an
  // empty string, or why it is not.
  std::string roll_best(const std::vector<Node*>& chain) {
    std::string why;
    std::optional<Recurrence> best;
    size_t most = 0;
    for (size_t stride = 1; stride <= kMaxStride && 2 * most < chain.size(); ++stride) {
      if (chain.size() / stride < static_cast<size_t>(kMinIterations)) break;
      Recurrence recurrence(taken_);
      std::string reason = recurrence.find(every(chain, stride));
      const int64_t iterations = recurrence.end() - recurrence.begin();
      if (reason.empty() && iterations >= kMinIterations) {
        const size_t covered = static_cast<size_t>(iterations) * stride;
        if (covered > most) most = covered, best.emplace(std::move(recurrence));
      } else {
        count_failure(recurrence);
        if (why.empty()) why = reason.empty() ? "too few iterations are alike" : std::move(reason);
      }
    }
    if (!best) return why;
    why = roll_recurrence(*best);
    if (!why.empty()) count_failure(*best);
    return why;
  }

  void count_failure(const Recurrence& recurrence) {
    for (const Member& member : recurrence.members()) {
      for (const Node* node : member.nodes) ++failures_[node];
    }
    spend(recurrence);
  }

  // What looking at a recurrence in vain has cost.
  void spend(const Recurrence& recurrence) {
    for (const Member& member : recurrence.members())
      effort_ -= static_cast<int64_t>(member.nodes.size());
  }

  static std::vector<Node*> every(const std::vector<Node*>& chain, size_t stride) {
    std::vector<Node*> nodes;
    for (size_t i = 0; i < chain.size(); i += stride) nodes.push_back(chain[i]);
    return nodes;
  }

  // Once a kind of chain and reason: all nodes of an iteration fail alike.
  void refuse(const std::vector<Node*>& chain, const std::string& why) {
    if (!context_.notes || !refused_.emplace(why, chain.size()).second) return;
    context_.notes->push_back("not rolled: " + std::to_string(chain.size()) + " x " +
                              std::string(name(chain.front()->op())) + " from '" +
                              chain.front()->display_name() + "': " + why);
  }

  std::string roll_recurrence(Recurrence& recurrence) {
    std::string why;
    for (int attempt = 0; attempt < 3; ++attempt) {
      if (recurrence.end() - recurrence.begin() < kMinIterations)
        return why.empty() ? "too few iterations are alike" : why;
      try {
        std::vector<Node*> dependents;
        if (!find_dependents(recurrence, dependents)) return "the graph takes too long";
        const RolledScan scan(recurrence, stacked_results(recurrence));
        why = check_externals(scan);
        if (!why.empty()) return why;
        why = internal::prove(recurrence, scan, context_);
        if (why.empty()) {
          commit(recurrence, scan, dependents);
          return {};
        }
      } catch (const Error& error) {
        why = error.what();
      }
      recurrence.drop_first();
    }
    return why;
  }

  // What is between the first and the last node of the recurrence, depends on it and is no part of
  // it.
  bool find_dependents(const Recurrence& recurrence, std::vector<Node*>& dependents) {
    first_ = last_ = nullptr;
    for (const Member& member : recurrence.members()) {
      for (Node* node : member.nodes) {
        if (!recurrence.covers(node)) continue;
        if (!first_ || number(node) < number(first_)) first_ = node;
        if (!last_ || number(node) > number(last_)) last_ = node;
      }
    }
    effort_ -= static_cast<int64_t>(number(last_) - number(first_) + region_.size());
    if (effort_ <= 0) return false;
    std::unordered_set<const Node*> tainted;
    for (Node* node = first_; node != last_->next(); node = node->next()) {
      const bool covered = recurrence.covers(node);
      bool depends = covered;
      for (size_t i = 0; i < node->operand_count() && !depends; ++i) {
        const Value* operand = node->operand(i);
        depends = operand && operand->node() && tainted.contains(operand->node());
      }
      if (!depends) continue;
      tainted.insert(node);
      if (!covered) dependents.push_back(node);
    }
    tainted_ = std::move(tainted);
    return true;
  }

  std::string check_externals(const RolledScan& scan) const {
    for (const Value* value : scan.externals()) {
      if (value->node() && tainted_.contains(value->node()))
        return "an operand from outside depends on the recurrence itself, " +
               value->node()->display_name();
    }
    return {};
  }

  static bool read_outside(const Recurrence& recurrence, const Value* value) {
    for (const Use* use = value->first_use(); use; use = use->next()) {
      if (!recurrence.covers(use->user())) return true;
    }
    return false;
  }

  // Results that something outside reads, but for states of which only the last value is.
  static std::vector<MemberResult> stacked_results(const Recurrence& recurrence) {
    std::vector<MemberResult> stacked;
    for (const size_t m : recurrence.order()) {
      const Member& member = recurrence.members()[m];
      for (size_t r = 0; r < member.nodes.front()->result_count(); ++r) {
        bool before = false, last = false;
        for (int64_t i = recurrence.begin(); i < recurrence.end() && !before; ++i) {
          const Node* node = member.in(i);
          if (!node || !read_outside(recurrence, node->result(r))) continue;
          (i + 1 < recurrence.end() ? before : last) = true;
        }
        if (before || (last && !is_state(recurrence, {m, r}))) stacked.push_back({m, r});
      }
    }
    return stacked;
  }

  static bool is_state(const Recurrence& recurrence, const MemberResult& result) {
    for (const Member& member : recurrence.members()) {
      for (const internal::MemberOperand& operand : member.operands) {
        if (operand.kind == internal::MemberOperand::Kind::member &&
            operand.member == result.member && operand.result == result.result &&
            recurrence.delay(member, operand) == 1) {
          return true;
        }
      }
    }
    return false;
  }

  void commit(const Recurrence& recurrence, const RolledScan& scan,
              const std::vector<Node*>& dependents) {
    const size_t before = region_.size();
    Node* position = last_->next();
    Builder builder(region_, position);
    builder.set_node_name(first_->name());
    Node* node = scan.make(builder, [](Value* value) { return value; });

    // The rest of the graph reads the scan's results.
    std::unordered_map<int64_t, Value*> indices;
    const auto index = [&](int64_t i) {
      Value*& value = indices[i];
      return value ? value : value = builder.scalar(i);
    };
    size_t covered = 0;
    for (size_t m = 0; m < recurrence.members().size(); ++m) {
      const Member& member = recurrence.members()[m];
      for (int64_t i = recurrence.begin(); i < recurrence.end(); ++i) {
        Node* old = member.in(i);
        if (!old) continue;
        ++covered;
        for (size_t r = 0; r < old->result_count(); ++r) {
          if (!read_outside(recurrence, old->result(r))) continue;
          Value* value = nullptr;
          const auto stacked =
              std::find(scan.stacked().begin(), scan.stacked().end(), MemberResult{m, r});
          if (stacked != scan.stacked().end()) {
            const auto slot = static_cast<size_t>(stacked - scan.stacked().begin());
            value = builder.op(Op::gather, {node->result(scan.stacked_result(slot)),
                                            index(scan.stacked_index(i))});
          } else {
            value = node->result(*scan.final_state({m, r}));
          }
          replaced_.emplace_back(old->result(r), value);
        }
      }
    }
    for (Node* dependent : dependents) region_.insert(region_.remove(dependent), position);
    for (const auto& [old, value] : replaced_) {
      value->set_type(internal::more_specific(value->type(), old->type()));
      if (value->name().empty()) value->set_name(old->name());
      old->replace_all_uses_with(value);
    }
    replaced_.clear();
    for (const Member& member : recurrence.members()) {
      for (Node* old : member.nodes) {
        if (!recurrence.covers(old)) continue;
        old->set_operands({});
        taken_.insert(old);
        graveyard_.push_back(region_.remove(old));
      }
    }
    number_nodes();
    if (context_.notes) {
      context_.notes->push_back("rolled: " + std::to_string(scan.iterations()) + " iterations of " +
                                std::to_string(recurrence.members().size()) + " nodes from '" +
                                node->display_name() + "', " + std::to_string(before) +
                                " nodes before, " + std::to_string(region_.size()) + " after");
    }
  }

  Region& region_;
  const PassContext& context_;
  std::unordered_map<const Node*, size_t> numbers_;
  std::unordered_set<const Node*> taken_;         // nodes that scans took the place of
  std::vector<std::unique_ptr<Node>> graveyard_;  // owns them, so that no address is used again
  std::unordered_set<const Node*> tainted_;  // what depends on the recurrence, within its range
  std::vector<std::pair<Value*, Value*>> replaced_;
  std::map<std::string, size_t> refused_;
  std::unordered_map<const Node*, int> failures_;  // of recurrences that a node seemed to be in
  int64_t chain_effort_, effort_;                  // nodes that may still be looked at
  Node *first_ = nullptr, *last_ = nullptr;
};

}  // namespace

bool roll(Graph& graph, const PassContext& context) {
  const bool changed = Roller(graph.body(), context).run();
  if (changed) internal::refine_types(graph);
  return changed;
}

}  // namespace refrain::passes
