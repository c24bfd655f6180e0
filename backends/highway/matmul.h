// Products of matrices that are both known at run time only.
#pragma once

#include <cstdint>

namespace refrain::highway {

// c[n, m] = a[n, k] b[k, m], all dense, row-major. `c` overlaps nothing that is read. Each row's
// bits are the same whatever rows are computed beside it. No allocation, no lock; any thread.
void multiply(const float* a, const float* b, float* c, int64_t n, int64_t k, int64_t m);

}  // namespace refrain::highway
