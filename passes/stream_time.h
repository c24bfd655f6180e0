// Internal to `passes`: a graph over a whole sequence made one over a block of it.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"
#include "passes/axis_rules.h"

namespace refrain::passes::internal {

// What a value has to do with time.
//
// The whole run goes over T steps, a block over n of them that begin at step t, with a look-ahead
// of L more. A value over time has T + whole elements along its axis in the whole run and n + block
// in the block; element j of the block is element t + j of the whole run. So an input has whole = 0
// and block = L; p steps of padding in front add p to both; a window over k steps takes k - 1 from
// both. A value that is computed from nothing later than the block and its look-ahead never has
// block > whole + L.
struct TimeTrace {
  enum class Kind : uint8_t {
    fixed,   // does not depend on time
    steps,   // one element a step along `axis`
    latest,  // of the steps so far, without a time axis: what the last one gives
    extent   // integers that tell the number of steps
  };
  Kind kind = Kind::fixed;
  size_t axis = 0;
  int64_t whole = 0, block = 0;

  bool is_steps() const { return kind == Kind::steps; }
};

// A state that a graph hides, made an input: `next` is what it is for the next block.
struct HiddenState {
  std::string name;
  Value* input = nullptr;
  Value* next = nullptr;
  TensorPtr initial;  // null: zeros
};

// A state of a scan that runs forward over time.
struct CarriedState {
  std::string name;
  Node* scan = nullptr;
  size_t operand = 0;  // the initial value
  Value* final = nullptr;
};

class TimeStream {
 public:
  // Symbol `time` is the number of steps in types of `graph`'s inputs; it has become that of a
  // block and its look-ahead when the graph has been rewritten. With `blocks`, what runs backward
  // starts anew in each.
  TimeStream(Graph& graph, Dim time, bool blocks, int64_t look_ahead);

  // Rewrites the graph so that every value over time is of one block, but for the scans' states,
  // which stay as they are: `carried` tells them. Throws Error where something depends on later
  // steps. The graph is of no use any more then.
  void run();

  const std::vector<HiddenState>& hidden() const { return hidden_; }
  const std::vector<CarriedState>& carried() const { return carried_; }
  // Whether something reads a few steps before each, or adds up to each.
  bool has_windows() const { return windows_; }
  // The time axis of a value, if it has one.
  std::optional<size_t> time_axis(const Value* value) const;
  // A name for a state that nothing else has.
  std::string unique_name(const std::string& base);
  static std::string state_name(const Node& node, const std::string& own);

 private:
  TimeTrace trace(const Value* value) const;
  void set_steps(Value* value, size_t axis, int64_t whole, int64_t block);
  void visit(Node& node);
  void visit_plain(Node& node);
  void visit_control(Node& node);
  void visit_scan(Node& node);
  void split_scan(Node& node, int64_t ahead);
  void count_steps(Node& node, int64_t less);
  bool feeds_the_future(const Node& node) const;
  void find_what_reads_ahead();
  void finish_outputs();

  // Ops that work along the time axis.
  void visit_along(Node& node, const TimeTrace& x);
  void visit_slice(Node& node, const TimeTrace& x);
  void visit_gather(Node& node, const TimeTrace& x);
  void visit_pad(Node& node, const TimeTrace& x);
  void visit_concat(Node& node, const TimeTrace& x);
  void visit_window(Node& node, const TimeTrace& x);
  void visit_cum_sum(Node& node, const TimeTrace& x);
  void visit_reduction(Node& node, const TimeTrace& x);
  // The numbers of the steps, 0, 1, 2...
  void visit_range(Node& node);
  // Makes the number of steps a hidden state, if it is none yet, for what comes behind a node.
  void count_steps_so_far(Node& position);

  // A hidden state of `like`'s type with `extent` elements along the time axis.
  Value* add_hidden(const Node& node, const Value* like, size_t axis, int64_t extent,
                    TensorPtr initial);
  // x behind the last `steps` steps before the block, which are kept as a state.
  Value* with_history(Node& node, Value* x, int64_t steps, TensorPtr initial);
  // x without what goes beyond `block`.
  Value* shortened(Builder& builder, Value* x, int64_t block);
  // Makes all operands over time that a node reads equally long.
  void align(Node& node, int64_t most);
  void replace(Node& node, Value* with, const TimeTrace& trace);

  Graph& graph_;
  Dim time_;
  bool blocks_;
  int64_t look_ahead_;
  std::unordered_map<const Value*, TimeTrace> traces_;
  bool windows_ = false;
  std::unordered_set<const Node*> read_ahead_;  // whose results something later reads ahead of
  std::unordered_set<std::string> names_;
  std::vector<HiddenState> hidden_;
  std::vector<CarriedState> carried_;
  Value *steps_before_ = nullptr, *steps_after_ = nullptr;  // this block; null if nobody asks
};

}  // namespace refrain::passes::internal
