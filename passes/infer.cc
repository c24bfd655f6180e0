#include "passes/passes.h"
#include "passes/refine.h"

namespace refrain::passes {

bool infer(Graph& graph, const PassContext&) { return internal::refine_types(graph); }

}  // namespace refrain::passes
