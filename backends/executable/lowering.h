// Internal to executables: from the nodes of a region to steps.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "backends/executable/conv_choice.h"
#include "backends/executable/depthwise_step.h"
#include "backends/executable/executable.h"
#include "backends/executable/pointwise.h"
#include "backends/executable/step.h"
#include "backends/executable/storage.h"
#include "backends/executable/window_chain.h"
#include "backends/highway/recurrent.h"
#include "ir/graph.h"

namespace refrain::executable {

// A step with its place in the order of the run.
struct OrderedStep {
  Step* step = nullptr;
  int64_t position = 0;
  size_t top = 0;  // index of the step of the top level that it is or belongs to
};

std::vector<int64_t> extents_of(const Value& value);
int64_t bytes_of(const Value& value);

// A value as rows: the last axis, and the product of the others.
struct RowForm {
  int64_t rows = 1, width = 1;
  bool operator==(const RowForm&) const = default;
};
RowForm row_form(const Value& value);

// Whether a scan reads the operand along its first axis, so that rows of steps follow each other.
bool may_be_fed(const Node& node, size_t operand);

// Lowers regions; values and constants of all of them are known to it by their addresses. The graph
// must outlive the steps.
class Lowering {
 public:
  Lowering(Storage& storage, const PrepareOptions& options, ConvChoice& conv_choice)
      : storage_(storage), options_(options), conv_choice_(conv_choice) {}

  // Appends the steps of a region, whose arguments have been given places. What the region yields
  // has a place afterwards. Throws Error for what supports() refuses.
  void lower(const Region& region, Steps& steps);

  Storage& storage() { return storage_; }
  const PrepareOptions& options() const { return options_; }

  // How long our loop and oneDNN's primitive took for so many steps of a recurrent layer, by what
  // the time depends on (see recurrent_step.h): layers of one shape are measured once.
  struct RecurrentTimes {
    int64_t steps = 0;
    double loop_us = 0, onednn_us = 0;
  };
  std::map<std::vector<int64_t>, RecurrentTimes>& recurrent_times() { return recurrent_times_; }

  Place place(const Value* value) const;  // absent for null
  void set_place(const Value* value, Place place) { places_[value] = place; }
  // A new arena buffer for the value.
  Place allocate(const Value* value);
  // The tensor that a value always has; null if it is none.
  const Tensor* constant(const Value* value) const;
  // An argument stands for a value outside.
  void alias(const Value* argument, const Value* outside);

  // Takes a position for a step and touches the buffers of its slots. Steps are ordered by their
  // calls; a step with others inside it is placed before and after them.
  void order(Step& step);
  void append(Steps& steps, std::unique_ptr<Step> step);

  // A position between steps.
  int64_t take_position() {
    ordered_.push_back({nullptr, position_, top_});
    return position_++;
  }

  const std::vector<OrderedStep>& ordered() const { return ordered_; }
  // Nodes that will be one program, not emitted yet: element-wise ones of one shape, perhaps with a
  // product whose epilogue they are; or those of a row program. Everything from outside that they
  // read has a place already.
  struct Group {
    std::vector<const Node*> nodes;
    const Node* product = nullptr;
    // Not null: the product is no matmul but this chain's last node.
    const DepthwiseChain* convolution = nullptr;
    const WindowChain* window = nullptr;  // likewise
    std::vector<int64_t> extents;
    uint64_t splits = 0;
    std::unordered_set<const Value*> inputs;
    int64_t rows = 0;  // not 0: a program of so many rows, whose nodes need not be of one shape

    bool holds(const Node* node) const;
  };
  // The product, not emitted yet, that ends in a value which has one reader and is all that the
  // outside reads of it; null if the value is none such. A loop that scans the value may run the
  // product itself.
  const Group* feed_of(const Value* value) const;
  // That loop does: the group is no more.
  void take_feed(const Value* value);
  // Emits what a value needs to have a place.
  void need(const Value* value, Steps& steps);

  // A product with its epilogue as a loop of one step, and what it reads, buffer by buffer; the
  // results' buffers follow those.
  struct ProductForm {
    highway::LoopSpec spec;
    int64_t rows = 0;
    std::vector<const Value*> reads;
    std::vector<int64_t> row_strides;  // of the reads; 0: the same for all rows
  };
  ProductForm product_form(const Group& group, const std::vector<const Value*>& results) const;

  // Steps inside other steps count as part of those.
  void enter() { ++depth_; }
  void leave() { --depth_; }

 private:
  void lower_node(const Node& node, Steps& steps);
  bool lower_view(const Node& node);
  bool lower_copy(const Node& node, Steps& steps);
  bool lower_pointwise(const Node& node, Steps& steps);
  bool lower_rows(const Node& node, Steps& steps);
  bool may_have_rows(const Group& group, int64_t rows) const;
  bool gains_by_rows(const Node& node, int64_t rows, const std::vector<Group*>& joined) const;
  bool start_product(const Node& node, Steps& steps);
  void find_convolutions(const Region& region, std::unordered_set<const Node*>& live);
  void start_convolution(const DepthwiseChain& chain, Steps& steps);
  void start_window(const WindowChain& chain, Steps& steps);
  bool lower_by_onednn(const Node& node, Steps& steps);
  bool lower_by_highway(const Node& node, Steps& steps);
  bool lower_gather(const Node& node, Steps& steps);
  bool lower_broadcast(const Node& node, Steps& steps);
  bool lower_move(const Node& node, Steps& steps);
  void append_for(const Node& node, std::unique_ptr<Step> step, Steps& steps);
  std::vector<const Tensor*> constants_of(const Node& node) const;
  void lower_by_reference(const Node& node, Steps& steps);

  Group* group_of(const Value* value) const;
  // Whether the group may take in the node, and what it reads besides the group's own values.
  bool fits(const Group& group, const Node& node) const;
  void flush(Group& group, Steps& steps);
  void flush_program(Group& group, Steps& steps, const std::vector<const Value*>& results);
  void flush_product(Group& group, Steps& steps, const std::vector<const Value*>& results);
  void flush_convolution(Group& group, Steps& steps, const std::vector<const Value*>& results);
  void flush_window(Group& group, Steps& steps, const std::vector<const Value*>& results);
  void flush_rows(Group& group, Steps& steps, const std::vector<const Value*>& results);

  Storage& storage_;
  const PrepareOptions& options_;
  ConvChoice& conv_choice_;
  std::unordered_map<const Value*, Place> places_;
  std::unordered_map<const Value*, const Tensor*> constants_;
  std::unordered_map<const Value*, Group*> open_;  // of values whose group is not emitted yet
  std::deque<std::unique_ptr<Group>> groups_;
  std::unordered_map<const Node*, DepthwiseChain> convolutions_;  // by their last node
  std::unordered_map<const Node*, WindowChain> windows_;          // likewise
  std::vector<OrderedStep> ordered_;
  std::map<std::vector<int64_t>, RecurrentTimes> recurrent_times_;
  int64_t position_ = 0;
  size_t top_ = 0;  // steps of the top level so far
  int depth_ = 0;
};

}  // namespace refrain::executable
