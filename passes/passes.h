// The passes themselves. Each fits Pass::run; passes/pass.h says what that promises.
#pragma once

#include "passes/pass.h"

namespace refrain::passes {

// Makes types as specific as inference can, in all regions; a graph's outputs follow.
bool infer(Graph& graph, const PassContext& context);

// Gives symbols of dimensions one name where a scan reads them side by side as its steps: of those
// that inputs have, the first.
bool unify_symbols(Graph& graph, const PassContext& context);

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

// Merges constants that are the same, what is computed from those, and elements of tensors along an
// axis: what unrolled iterations have in common. (What else is the same twice in one iteration must
// stay for it to be like the others.)
bool merge_leaves(Graph& graph, const PassContext& context);

// Removes what no output depends on, slots of scans, loops and branches included.
bool dce(Graph& graph, const PassContext& context);

// A loop whose number of iterations is known before it starts, from its trip count or because its
// condition compares the iteration with something fixed, becomes a scan. Slices that its body reads
// by the iteration, forward or backward, become scanned operands; states that are only passed on,
// invariants; what else depends on the iteration scans the numbers 0, 1, 2... The trip count stays
// where no scanned operand is known to have that extent. Sequences that any loop builds element by
// element become stacked results, and the concatenation of none, which is an error, an empty
// tensor.
bool loop_to_scan(Graph& graph, const PassContext& context);

// Inside bodies of scans and loops, puts the body of a scan of one step, without lengths, in its
// place.
bool inline_steps(Graph& graph, const PassContext& context);

// A scan with states that the others depend on, but not the other way round, and a product by
// weights in between, as stacked cells have that one loop steps: becomes one scan for these states
// and another for the rest, which scans what the first one stacks. So does a product by weights
// that one scan stacks and only a later one reads step by step: it goes to that one. Not with
// lengths.
bool split_scans(Graph& graph, const PassContext& context);

// In the bodies of scans and loops, a product by a concatenation, from either side, of which some
// part depends on state, by a matrix that does not change there: becomes the sum of the parts'
// products. Results change by roundings.
bool split_concat(Graph& graph, const PassContext& context);

// In the bodies of scans and loops, products that share their left side, by matrices that don't
// change there: become parts of one product.
bool fuse_gates(Graph& graph, const PassContext& context);

// In the bodies of scans and loops, what is split or sliced along its last axis, depends on state
// and is element-wise: becomes element-wise on the parts of what it was computed from. Exact.
bool split_pointwise(Graph& graph, const PassContext& context);

// In the bodies of scans and loops, sums with products in them: what does not depend on state comes
// first, as products of all gates with one bias. Results change by roundings.
bool order_sums(Graph& graph, const PassContext& context);

// In the bodies of scans and loops, sums of weighted rows, by weights that depend on state, of rows
// that don't change there: become products. Results change by roundings.
bool weighted_sums(Graph& graph, const PassContext& context);

// In the bodies of scans and loops, products by weights that don't change there, of what a state
// selects or adds up from something that doesn't change either: that is multiplied before the loop,
// and the state selects or adds up products. Tables must be constant and their product within
// PassContext::max_folded_bytes and not many times larger than the weights; what is added up must
// have no more rows than the loop has steps, or twice as many in a batch of one. Results change by
// roundings.
bool precompute_products(Graph& graph, const PassContext& context);

// Takes out of the bodies of scans and loops what does not depend on their states. What is the same
// in every step runs once and becomes an invariant. What depends on the slices of a scan, all of
// them forward or all backward, runs once over all steps and becomes a scanned operand, at the
// widest point: a product with its bias, not the parts that it is split into; slices that are only
// looked at in another form stay. So does what is larger than the slices that it is made of: outer
// products of them, and, in a body whose states depend on each other by no products with what is
// the same in every step, and which runs with its values in registers, all that broadcasts them
// (exp(delta * A) is as large as the state). What might fail for some values leaves only a body
// that runs at least once for certain. The same arithmetic in the same order.
bool hoist(Graph& graph, const PassContext& context);

// Takes out of the bodies of scans products, softmaxes and reductions that only stacked results
// depend on, and what follows them: they run once over all steps, on what is stacked in their
// place. Stacked results that depend on scanned operands alone leave too. Sums over an axis of a
// state that is not stacked itself stay in such bodies as hoist leaves its outer products in. Scans
// with lengths stay as they are.
bool sink(Graph& graph, const PassContext& context);

// Replaces each scan of known length, and each loop of known trip count without a condition, by
// copies of its body. A scan or loop whose length is not known stays. Throws Error past
// PassContext::max_unrolled_nodes.
bool unroll(Graph& graph, const PassContext& context);

// Where the elements of a sequence are known (they were inserted one by one, or are the parts of a
// tensor), replaces what reads them: sequence_at by the element, sequence_length by a constant,
// concat_from_sequence by a concat.
bool resolve_sequences(Graph& graph, const PassContext& context);

// Tensors whose rows are written one by one (scatter_nd at constant indices), each once, become
// concats of the rows.
bool resolve_scatters(Graph& graph, const PassContext& context);

// Makes scans of what tracing has unrolled: finds chains of nodes of one kind, what belongs to them
// in every iteration, and what they read: states, invariants, elements of tensors that are scanned.
// Each scan is proved: unrolled again it is the nodes that it takes the place of, up to constants
// that fold in the first iteration. Where that fails the graph stays as it was. Says in
// PassContext::notes what it found.
bool roll(Graph& graph, const PassContext& context);

// Gives back the time axis that tracing froze: axes of inputs whose every step a scan reads get a
// symbol for their extent, and everything that follows from it. Changes nothing where something
// depends on the number of steps that was traced, and says what in PassContext::notes.
bool free_time(Graph& graph, const PassContext& context);

// Makes every f32, f16 and bf16 an f64, inputs and outputs too: the same graph in more precision,
// as an oracle.
bool widen(Graph& graph, const PassContext& context);

}  // namespace refrain::passes
