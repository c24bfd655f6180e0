// The three ops that hold regions, their slots by role.
//
// scan   operands: [lengths] [trip_count] invariants... states... scanned...
//        body:     (invariants..., states..., slices...) -> (next states..., stacked slices...)
//        results:  final states..., stacked...
//   Runs its body T times. Step s handles time index t = s, or T-1-s if its slots run backward. T
//   is the extent of every scanned operand along its axis, and trip_count (i64 scalar, at least 0)
//   if given; one of the two must be there. A scanned operand's slice at t lacks the scanned axis;
//   a stacked result has the body's result of time t at index t along the stacked axis. States
//   start as their operands and end as results. lengths (i32 or i64, [B]) ends each sequence on its
//   own: at every t >= lengths[b] states keep their value and stacked slices are zero at index b of
//   axis `batch_axis` (of states and of slices, negative from the end). All slots of such a scan
//   run in one direction, so backward means each sequence from its own end. Each length must lie in
//   0..T.
//
// loop   operands: trip_count (i64 scalar), condition (bool scalar), invariants... states...
//        body:     (iteration (i64 scalar), invariants..., states...) -> (condition, next
//        states..., slices...) results:  final states..., stacked...
//   The body runs while iteration < trip_count and the last condition is true; slices are stacked
//   along a new axis 0.
//
// branch operands: condition (bool, one element), captures...; two regions, then and else, each
//        (captures...) -> (results...).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace refrain {

// One scanned operand or stacked result: along which axis (of the whole tensor; negative from the
// end) and whether time runs backward.
struct ScanSlot {
  int64_t axis = 0;
  bool reverse = false;
};

// Reads a scan node slot by slot. Cheap to make; the node must outlive it.
class ScanView {
 public:
  explicit ScanView(const Node& node);

  bool has_lengths() const { return lengths_; }
  bool has_trip_count() const { return trip_count_; }
  Value* lengths() const { return lengths_ ? node_.operand(0) : nullptr; }
  Value* trip_count() const { return trip_count_ ? node_.operand(lengths_) : nullptr; }
  int64_t batch_axis() const { return node_.integer(AttributeName::batch_axis); }

  size_t invariants() const { return invariants_; }
  size_t states() const { return states_; }
  size_t scanned() const { return node_.integers(AttributeName::scan_axes).size(); }
  size_t stacked() const { return node_.integers(AttributeName::stack_axes).size(); }
  ScanSlot scan_slot(size_t i) const;
  ScanSlot stack_slot(size_t i) const;

  // Operand indices of the slots.
  size_t invariant_operand(size_t i) const { return lengths_ + trip_count_ + i; }
  size_t state_operand(size_t i) const { return invariant_operand(invariants_ + i); }
  size_t scanned_operand(size_t i) const { return state_operand(states_ + i); }
  size_t operand_count() const { return scanned_operand(scanned()); }

  Region& body() const { return node_.region(0); }
  Value* invariant_argument(size_t i) const { return body().argument(i); }
  Value* state_argument(size_t i) const { return body().argument(invariants_ + i); }
  Value* slice_argument(size_t i) const { return body().argument(invariants_ + states_ + i); }
  Value* next_state(size_t i) const { return body().result(i); }
  Value* stacked_slice(size_t i) const { return body().result(states_ + i); }
  Value* final_state(size_t i) const { return node_.result(i); }
  Value* stacked_result(size_t i) const { return node_.result(states_ + i); }

 private:
  const Node& node_;
  size_t lengths_, trip_count_, invariants_, states_;
};

class LoopView {
 public:
  explicit LoopView(const Node& node);

  Value* trip_count() const { return node_.operand(0); }
  Value* condition() const { return node_.operand(1); }
  size_t invariants() const { return invariants_; }
  size_t states() const { return states_; }
  size_t stacked() const { return node_.result_count() - states_; }

  size_t invariant_operand(size_t i) const { return 2 + i; }
  size_t state_operand(size_t i) const { return 2 + invariants_ + i; }

  Region& body() const { return node_.region(0); }
  Value* iteration_argument() const { return body().argument(0); }
  Value* invariant_argument(size_t i) const { return body().argument(1 + i); }
  Value* state_argument(size_t i) const { return body().argument(1 + invariants_ + i); }
  Value* next_condition() const { return body().result(0); }
  Value* next_state(size_t i) const { return body().result(1 + i); }
  Value* stacked_slice(size_t i) const { return body().result(1 + states_ + i); }

 private:
  const Node& node_;
  size_t invariants_, states_;
};

// What makes a scan; the builder lays it out.
struct ScanSpec {
  Value* lengths = nullptr;     // optional
  Value* trip_count = nullptr;  // optional
  int64_t batch_axis = 0;
  std::vector<Value*> invariants, states, scanned;
  std::vector<ScanSlot> scan_slots, stack_slots;
};

// Operands and attributes of a scan node; its body has arguments and yield in the order of the
// roles.
std::vector<Value*> scan_operands(const ScanSpec& spec);
std::vector<Attribute> scan_attributes(const ScanSpec& spec);

}  // namespace refrain
