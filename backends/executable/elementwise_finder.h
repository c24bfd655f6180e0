// Internal to executables: how the element-wise form of a scan is found (see elementwise_form.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backends/executable/elementwise_form.h"
#include "backends/executable/elementwise_space.h"
#include "ir/control.h"

namespace refrain::executable {

// What a value of a scan body is, as far as the loop goes: a register, or memory that becomes one
// when it is computed with; and which axis of the space each of its axes is, none for extents of 1.
struct ElementwiseView {
  std::optional<size_t> value;  // of the loop's registers
  Memory memory;                // if it is none yet
  std::vector<int64_t> extents;
  std::vector<int> axes;
};

// Reads a scan's body node by node (elementwise_nodes.cc) and writes it as a loop. For one call of
// run().
class ElementwiseFinder {
 public:
  ElementwiseFinder(const Lowering& lowering, const Node& node, int64_t steps)
      : lowering_(lowering), node_(node), view_(node), steps_(steps) {}

  std::optional<ElementwiseForm> run();

 private:
  // What a register of the loop is; registers are numbered once all are known.
  struct Register {
    enum class Kind : uint8_t { input, state, code } kind;
    size_t index = 0;  // among those of its kind
  };
  struct Code {
    highway::Instruction instruction;
    std::vector<size_t> operands;
    std::vector<int> axes;  // with those that are summed over
    bool sums = false;
  };
  struct Yielded {
    size_t value;
    SpaceTensor to;
  };

  const Tensor* constant(const Value* value) const;
  const Tensor* constant_memory(const Value* whole) const;
  std::optional<std::vector<int64_t>> ints(const Value* value) const;
  bool find_arguments();
  bool find_node(const Node& node);
  bool set(const Value* value, ElementwiseView view);
  std::optional<size_t> register_of(const Value* value);
  size_t add_code(const highway::Instruction& instruction, std::vector<size_t> operands,
                  std::vector<int> axes, bool sums = false);
  size_t add_sum(size_t of, std::vector<int> axes) {
    return add_code({}, {of}, std::move(axes), true);
  }

  bool elementwise(const Node& node);
  bool matmul(const Node& node);
  bool einsum(const Node& node);
  bool reduction(const Node& node);
  bool sum_over(int axis);
  bool take_axes(const Node& node, const std::vector<int>& from);
  bool reshape(const Node& node);
  bool transpose(const Node& node);
  bool expand(const Node& node);
  bool split(const Node& node);
  bool slice(const Node& node);
  bool part(const Value* from, const Value* to, size_t along, int64_t begin, int64_t step);
  bool yielded();
  Memory slot_memory(const Value* whole, ScanSlot slot) const;

  bool has_form() const;
  highway::SpacePlace place(const Space& space, const SpaceTensor& tensor, bool written);
  ElementwiseForm write();
  static void add_sequence_axis(highway::ElementwiseLoopSpec& spec);

  const Lowering& lowering_;
  const Node& node_;
  const ScanView view_;
  const int64_t steps_;

  SpaceAxes axes_;
  std::unordered_map<const Value*, ElementwiseView> views_;
  std::vector<Register> registers_;
  std::vector<SpaceTensor> inputs_, initial_;
  std::vector<Yielded> next_, outputs_;
  std::vector<Code> code_;
  std::map<float, size_t> numbers_;
  int summed_ = kNoAxis, batch_ = kNoAxis;
  ElementwiseForm form_;
};

}  // namespace refrain::executable
