#include "ir/slice.h"

#include <algorithm>

namespace refrain {

SliceBounds clamp_slice(int64_t extent, int64_t begin, int64_t end, int64_t step) {
  const auto from_end = [&](int64_t i) { return i < 0 ? i + extent : i; };
  __int128 distance = 0;
  if (step > 0) {
    begin = std::clamp<int64_t>(from_end(begin), 0, extent);
    end = std::clamp<int64_t>(from_end(end), 0, extent);
    distance = static_cast<__int128>(end) - begin + step - 1;
  } else {
    begin = std::clamp<int64_t>(from_end(begin), -1, extent - 1);
    end = std::clamp<int64_t>(from_end(end), -1, extent - 1);
    distance = static_cast<__int128>(end) - begin + step + 1;
  }
  const __int128 count = distance / step;
  return {begin, step, count > 0 ? static_cast<int64_t>(count) : 0};
}

}  // namespace refrain
