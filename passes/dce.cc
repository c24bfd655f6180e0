#include <unordered_set>
#include <vector>

#include "ir/control.h"
#include "passes/passes.h"
#include "passes/slots.h"

namespace refrain::passes {
namespace {

// Which values some output depends on, through all regions at once: a state is live if its final
// value or its argument is, which makes what feeds it live, and so on around the loop.
class Liveness {
 public:
  explicit Liveness(const Graph& graph) {
    for (Value* output : graph.body().yield()->operands()) mark(output);
    do {
      drain();
    } while (keep_lengths());
  }

  bool live(const Value* value) const { return live_.contains(value); }
  bool live(const Node& node) const {
    for (size_t i = 0; i < node.result_count(); ++i) {
      if (live(node.result(i))) return true;
    }
    return false;
  }

 private:
  void mark(Value* value) {
    if (value && live_.insert(value).second) pending_.push_back(value);
  }

  void drain() {
    while (!pending_.empty()) {
      Value* value = pending_.back();
      pending_.pop_back();
      if (value->is_argument()) {
        if (Node* owner = value->region()->owner()) mark_argument(*owner, value->index());
      } else {
        mark_result(*value->node(), value->index());
      }
    }
  }

  void mark_argument(Node& node, size_t argument) {
    if (node.op() == Op::loop && argument == 0) return;
    mark(node.operand(internal::operand_of_argument(node, argument)));
    if (node.op() == Op::scan) {
      const ScanView scan(node);
      if (argument >= scan.invariants())
        mark_state(node, argument - scan.invariants(), scan.states());
    } else if (node.op() == Op::loop) {
      const LoopView loop(node);
      if (argument > loop.invariants())
        mark_state(node, argument - 1 - loop.invariants(), loop.states());
    }
  }

  // A live state is live as a whole; its result keeps the node's own needs live.
  void mark_state(Node& node, size_t state, size_t states) {
    if (state < states) mark(node.result(state));
  }

  void mark_result(Node& node, size_t result) {
    switch (node.op()) {
      case Op::scan: {
        const ScanView scan(node);
        mark(scan.lengths());
        mark(scan.trip_count());
        if (!scan.has_trip_count()) unmeasured_.insert(&node);
        if (result < scan.states()) mark(scan.state_argument(result));
        mark(scan.body().result(result));
        break;
      }
      case Op::loop: {
        const LoopView loop(node);
        mark(loop.trip_count());
        mark(loop.condition());
        mark(loop.next_condition());
        if (result < loop.states()) mark(loop.state_argument(result));
        mark(loop.body().result(1 + result));
        break;
      }
      case Op::branch:
        mark(node.operand(0));
        for (size_t i = 0; i < node.region_count(); ++i) mark(node.region(i).result(result));
        break;
      default:
        for (size_t i = 0; i < node.operand_count(); ++i) mark(node.operand(i));
    }
  }

  // A scan that reads no slice any more still takes its length from a scanned operand.
  bool keep_lengths() {
    for (Node* node : unmeasured_) {
      const ScanView scan(*node);
      bool measured = false;
      for (size_t i = 0; i < scan.scanned(); ++i) measured |= live(scan.slice_argument(i));
      if (!measured) mark(scan.slice_argument(0));
    }
    unmeasured_.clear();
    return !pending_.empty();
  }

  std::unordered_set<const Value*> live_;
  std::vector<Value*> pending_;
  std::unordered_set<Node*> unmeasured_;
};

bool any_dead(const std::vector<bool>& live, size_t first) {
  for (size_t i = first; i < live.size(); ++i) {
    if (!live[i]) return true;
  }
  return false;
}

bool sweep(Region& region, const Liveness& liveness) {
  bool changed = false;
  // Users first, so that what goes has no users left.
  for (Node* node = region.last(); node;) {
    Node* previous = node->previous();
    if (node->op() != Op::yield && !liveness.live(*node)) {
      region.erase(node);
      changed = true;
    } else if (node->region_count() > 0) {
      internal::KeptSlots kept;
      for (size_t i = 0; i < node->result_count(); ++i)
        kept.results.push_back(liveness.live(node->result(i)));
      const Region& first = node->region(0);
      for (size_t i = 0; i < first.argument_count(); ++i) {
        bool live = false;
        for (size_t r = 0; r < node->region_count(); ++r)
          live |= liveness.live(node->region(r).argument(i));
        kept.arguments.push_back(live);
      }
      const size_t first_slot = node->op() == Op::loop ? 1 : 0;
      for (size_t r = 0; r < node->region_count(); ++r) {
        // The yield first lets go of what the dead results were.
        Node* yield = node->region(r).yield();
        for (size_t i = 0; i < node->result_count(); ++i) {
          if (!kept.results[i]) yield->set_operand(i + first_slot, nullptr);
        }
        changed |= sweep(node->region(r), liveness);
      }
      if (any_dead(kept.results, 0) || any_dead(kept.arguments, first_slot)) {
        internal::keep_slots(node, kept);
        changed = true;
      }
    }
    node = previous;
  }
  return changed;
}

}  // namespace

bool dce(Graph& graph, const PassContext&) { return sweep(graph.body(), Liveness(graph)); }

}  // namespace refrain::passes
