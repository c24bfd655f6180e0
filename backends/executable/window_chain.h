// Internal to executables: convolutions and pooling between transposes.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/graph.h"

namespace refrain::executable {

// One spatial axis: place i of the result covers places i * stride + k * dilation - pad, for k in
// [0, kernel), of the input (of a transposed convolution, the other way round). A convolution reads
// only taps [0, kernel) of the weights' axis from `first_tap` on: the others meet nothing but
// padding.
struct SlidingAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, pad = 0;
  int64_t first_tap = 0;

  // Where the window of place i begins.
  int64_t begin(int64_t i) const { return i * stride - pad; }
};

// Taps k of [0, kernel) with 0 <= begin + k * dilation < extent: `count` from `first` on.
struct TapRange {
  int64_t first = 0, count = 0;
};
TapRange taps_inside(int64_t begin, int64_t dilation, int64_t kernel, int64_t extent);

// A convolution, transposed or not, or a pooling that takes its channels from the last axis of
// `input` and puts them back into the last axis of its result: transpose, conv, transpose. Nothing
// else reads what lies between. move_channels_last() makes such chains.
struct WindowChain {
  const Value* input = nullptr;     // [batch, spatial..., channels]
  const Node* window = nullptr;     // conv, conv_transpose, max_pool, average_pool
  const Node* last = nullptr;       // the transpose that ends it
  std::vector<const Node*> inner;   // those before the last
  std::vector<int64_t> x, y;        // extents of the input and of the result, channels last
  int64_t batch = 1, channels = 1;  // of the input
  int64_t groups = 1, filters = 1;  // filters: channels of the result
  std::vector<SlidingAxis> axes;

  int64_t places() const {  // of the result, in one batch entry
    int64_t count = 1;
    for (const SlidingAxis& axis : axes) count *= axis.out;
    return count;
  }
};

// The chain that ends in a transpose, or none. Everything is f32 and has elements; weights and bias
// are constants of the graph.
std::optional<WindowChain> window_chain(const Node& last);
// What would be the chain of such a node if its channels came last: without the values and nodes
// around it. None for nodes that chains are not made of.
std::optional<WindowChain> window_geometry(const Node& window);

}  // namespace refrain::executable
