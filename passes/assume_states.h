// Internal to `passes`: shapes of states that follow from themselves.
#pragma once

#include <functional>

#include "ir/graph.h"

namespace refrain::passes::internal {

// What may be known of a state's shape can depend on branches in the body that only that shape
// decides. So: suppose that states have their initial values' types, simplify the body, and see
// whether the next values have them too; then they always do, and the body stays as simplified.
//
// `node` is a scan or loop. `simplify` works on a region until nothing is left to do and may throw
// Error; `forget` is called for each value that goes. Returns the node that took `node`'s place, or
// null if nothing changed; users' types are left to refine_types. Costs a few copies of the body
// and their simplification.
Node* assume_states(Node* node, const std::function<void(Node&)>& simplify,
                    const std::function<void(const Value*)>& forget);

// Whether there is anything to suppose.
bool has_open_states(const Node& node);

}  // namespace refrain::passes::internal
