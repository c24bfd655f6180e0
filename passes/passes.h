// The passes themselves. Each fits Pass::run; passes/pass.h says what that promises.
#pragma once

#include "passes/pass.h"

namespace refrain::passes {

// Makes types as specific as inference can, in all regions; a graph's outputs follow.
bool infer(Graph& graph, const PassContext& context);

// Computes what depends on constants only (through the context's evaluator; without one only the
// rest is done); takes the region that a branch with a constant condition takes; drops loops that
// never run; moves small constants, and for loops and branches all of them, into the regions that
// use them.
bool fold(Graph& graph, const PassContext& context);

// Removes ops that change nothing: x * 1, transpose of transpose, a reshape to the same shape.
// Exact: no bit of a result changes, save a NaN's payload, so x + 0.0 stays (it turns -0.0 into
// 0.0) and so does x * 0.
bool simplify_algebra(Graph& graph, const PassContext& context);

// Computes extents: chains of shape, gather, concat, arithmetic become constants and `dims`; takes
// the regions of branches that they decide. A reshape whose extents are known only in part becomes
// one that copies them and infers one (-1), which for a tensor without elements may be an error
// where it was none.
bool simplify_shapes(Graph& graph, const PassContext& context);

// Merges nodes that compute the same.
bool cse(Graph& graph, const PassContext& context);

// Removes what no output depends on, slots of scans, loops and branches included.
bool dce(Graph& graph, const PassContext& context);

// Replaces each scan of known length, and each loop of known trip count without a condition, by
// copies of its body. A scan or loop whose length is not known stays. Throws Error past
// PassContext::max_unrolled_nodes.
bool unroll(Graph& graph, const PassContext& context);

// Makes every f32, f16 and bf16 an f64, inputs and outputs too: the same graph in more precision,
// as an oracle.
bool widen(Graph& graph, const PassContext& context);

}  // namespace refrain::passes
