// Internal to the reference kernels: ops of the indexing family that move whole boxes.
#pragma once

#include "backends/reference/kernel.h"

namespace refrain::reference {

void slice(const KernelContext& context);
void pad(const KernelContext& context);
void trilu(const KernelContext& context);
void reverse_sequence(const KernelContext& context);

}  // namespace refrain::reference
