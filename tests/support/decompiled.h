// What a printed model's text has of the model's inputs and outputs.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "frontend/decompile/decompile.h"
#include "ir/tensor.h"

namespace refrain::testing {

inline Tensor piece_of(const Tensor& whole, const decompile::Piece& piece) {
  std::vector<int64_t> extents, strides(whole.rank(), 1), index(piece.order.size());
  for (size_t i = whole.rank(); i-- > 1;) strides[i - 1] = strides[i] * whole.extents()[i];
  int64_t offset = 0;
  for (size_t i = 0; i < whole.rank(); ++i)
    offset += std::max<int64_t>(piece.index[i], 0) * strides[i];
  for (const size_t axis : piece.order) extents.push_back(whole.extents()[axis]);
  Tensor result(whole.type(), extents);
  const int64_t size = result.size() == 0 ? 1 : result.bytes() / result.size();
  for (int64_t n = 0; n < result.size(); ++n) {
    int64_t rest = n, from = offset;
    for (size_t k = extents.size(); k-- > 0; rest /= extents[k])
      from += rest % extents[k] * strides[piece.order[k]];
    std::memcpy(static_cast<char*>(result.raw()) + n * size,
                static_cast<const char*>(whole.raw()) + from * size, static_cast<size_t>(size));
  }
  return result;
}

}  // namespace refrain::testing
