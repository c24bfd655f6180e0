// Internal to `passes`: a recurrence as a scan.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "ir/control.h"
#include "ir/graph.h"
#include "passes/recurrence.h"

namespace refrain::passes::internal {

// A member's result.
struct MemberResult {
  size_t member = 0, result = 0;
  friend auto operator<=>(const MemberResult&, const MemberResult&) = default;
};

// What the scan of a recurrence reads and makes; its slots in order.
class RolledScan {
 public:
  // `stacked` are the results that are needed of other iterations than the last, or are no state.
  // Throws Error where the recurrence makes no scan.
  RolledScan(const Recurrence& recurrence, std::vector<MemberResult> stacked);

  // The values outside the recurrence that the scan depends on, constants aside; each once.
  const std::vector<Value*>& externals() const { return externals_; }

  // Makes the scan, with `map` for the values from outside.
  Node* make(Builder& builder, const std::function<Value*(Value*)>& map) const;

  const std::vector<MemberResult>& stacked() const { return stacked_; }
  // The scan's result for the value after the last iteration, if the member's result is a state.
  std::optional<size_t> final_state(const MemberResult& result) const;
  size_t stacked_result(size_t i) const { return states_.size() + i; }
  // Where an iteration's value lies in a stacked result.
  int64_t stacked_index(int64_t iteration) const;
  int64_t iterations() const { return recurrence_.end() - recurrence_.begin(); }

 private:
  // One slice an iteration.
  struct Scanned {
    MemberOperand::Kind kind;
    Element element;               // of a tensor: which axis; index and keeps_axis are not used
    std::vector<int64_t> indices;  // an iteration each
    std::vector<Value*> values;    // constants or values from outside
    friend bool operator==(const Scanned&, const Scanned&) = default;
  };
  struct State {
    MemberResult result;
    int64_t delay;   // iterations ago
    Value* initial;  // null: anything; nothing that is there reads it
  };

  size_t invariant(Value* value);
  size_t scanned(const Member& member, size_t operand);
  size_t state(const MemberResult& result, int64_t delay);
  void find_initial(State& state) const;
  void find_externals();
  Value* operand_of(const Scanned& scanned, Builder& builder,
                    const std::function<Value*(Value*)>& map, ScanSlot& slot) const;
  std::unique_ptr<Region> body() const;

  const Recurrence& recurrence_;
  std::vector<MemberResult> stacked_;
  std::vector<Value*> invariants_;
  std::vector<State> states_;
  std::vector<Scanned> scanned_;
  std::vector<std::vector<size_t>> slots_;  // by member and operand: index into the above
  std::vector<Value*> externals_;
  bool backward_ = false;
};

}  // namespace refrain::passes::internal
