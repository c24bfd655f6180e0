#include <array>

#include "backends/reference/kernel.h"

namespace refrain::reference {

Kernel find_kernel(Op op) {
  static const auto* const table = [] {
    auto* kernels = new std::array<Kernel, kOpCount>{};
    for (auto family : {elementwise_kernels, product_kernels, window_kernels, reduction_kernels,
                        shape_kernels, indexing_kernels}) {
      for (const KernelEntry& entry : family())
        (*kernels)[static_cast<size_t>(entry.op)] = entry.kernel;
    }
    return kernels;
  }();
  return (*table)[static_cast<size_t>(op)];
}

bool overwrites(Op op) {
  switch (op) {
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze:
    case Op::transpose:
    case Op::concat:
    case Op::split:
    case Op::slice:
    case Op::gather:
    case Op::expand:
      return true;
    default:
      return is_elementwise(op);
  }
}

}  // namespace refrain::reference
