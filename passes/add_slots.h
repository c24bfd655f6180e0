// Internal to `passes`: scans and loops with more slots, and what moves through them.
#pragma once

#include <vector>

#include "ir/control.h"
#include "ir/graph.h"

namespace refrain::passes::internal {

// Slots to add, each behind those of its role. An argument takes the place of a value of the body
// (`instead`) for all users in it; it has the type of `operand`, or of its slice, which must be at
// least as specific.
struct AddedSlots {
  struct Argument {
    Value* operand;
    Value* instead;
    ScanSlot slot = {};  // scanned operands only
  };
  struct Stacked {
    Value* slice;  // of the body
    ScanSlot slot;
  };
  std::vector<Argument> invariants;
  std::vector<Argument> scanned;  // of a scan only
  std::vector<Stacked> stacked;   // of a scan only
};

// Makes the scan or loop anew with more slots and erases the old one. Nodes of the body are moved,
// not copied. Returns the new node.
Node* add_slots(Node* node, const AddedSlots& added);

// Erases the nodes of a region that nobody uses, users first. Returns whether there were any.
bool erase_unused(Region& region);

// The number of a scan's steps, as far as its operands' and results' types tell it.
Dim scan_extent(const ScanView& scan);

}  // namespace refrain::passes::internal
