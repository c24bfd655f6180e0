// Reference kernels: one plain function an op. They are the oracle, so they are written to be
// obviously right first; a contiguous inner loop where it costs no clarity.
#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"
#include "ir/tensor.h"

namespace refrain::reference {

// What a kernel works on. Operands fit the op's schema: the executor has run its shape inference on
// their actual shapes and contents. Results are allocated with the inferred types, zero, and alias
// no operand.
struct KernelContext {
  const Node& node;
  std::span<const Tensor* const> operands;  // null: absent
  std::span<Tensor> results;

  bool has(size_t i) const { return i < operands.size() && operands[i]; }
  const Tensor& operand(size_t i) const { return *operands[i]; }
  Tensor& result(size_t i = 0) const { return results[i]; }
};

// Fills the results. Throws Error where the operands' contents are wrong (an index out of range).
using Kernel = void (*)(const KernelContext& context);

struct KernelEntry {
  Op op;
  Kernel kernel;
};

// Each family's kernels; the executor's table is made of them. Floating-point types all compute in
// the precision of their own type, f16 and bf16 in float, rounded once at the end.
std::vector<KernelEntry>
elementwise_kernels();                       // elementwise.cc: OpKind::elementwise, cast among them
std::vector<KernelEntry> product_kernels();  // product.cc: matmul, einsum
std::vector<KernelEntry>
window_kernels();  // window.cc: conv, conv_transpose, max_pool, average_pool
std::vector<KernelEntry>
reduction_kernels();  // reduction.cc: reductions, arg, softmax, cum_sum, top_k
std::vector<KernelEntry>
shape_kernels();  // shape.cc: leaves and ops of schema_shape.cc, without dims
std::vector<KernelEntry> indexing_kernels();  // indexing.cc: ops of schema_indexing.cc

// The kernel of an op; null for control, sequence and optional ops and dims, which the executor
// runs.
Kernel find_kernel(Op op);

// True for ops whose kernels write every element of their results; the others want them to be zero
// before each call.
bool overwrites(Op op);

}  // namespace refrain::reference
