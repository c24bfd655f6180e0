// Transposing matrices of four-byte elements.
#pragma once

#include <cstdint>

namespace refrain::highway {

// Element (i, j) of `from` [rows, columns], at i * from_stride + j * 4 bytes, goes to element (j,
// i) of `to` [columns, rows], at j * to_stride + i * 4 bytes. The two don't overlap. Strides are in
// bytes. No allocation, no lock; any thread.
void transpose(const char* from, int64_t from_stride, int64_t rows, int64_t columns, char* to,
               int64_t to_stride);

}  // namespace refrain::highway
