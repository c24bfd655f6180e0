// The text form of graphs: print, parse, print is the identity.
//
//   graph @NAME (%x: f32[T, B, 64], ...) {
//     %w = constant f32[2] (0.5, 1)
//     %y = matmul(%x, %w) {axis = 1} : f32[T, B] @"node name"
//     %h, %s = scan lengths(%n) trips(%t) batch_axis(1)
//         invariant(%w1 = %w: f32[2])  state(%h0 = %init: f32[B])
//         scanned(%xt = %x[0]: f32[B], %xr = %x[0 reverse]: f32[B])  stacked([0], [0 reverse]) {
//       ...
//       yield %next, %slice, %slice2
//     } : f32[B], f32[T, B]
//     %r = loop trips(%n) while(%c) iteration(%i) invariant(...) state(...) { ... } : TYPES
//     %b = branch(%c) then(%a1 = %a: TYPE) { ... } else(%a2 = %a: TYPE) { ... } : TYPES
//     yield "out" = %y
//   }
//
// A value is `%` and an identifier, a quoted string, or, if it has no name, a number. `_` is an
// absent operand. Attributes that have their default value are left out. A tensor is its type and
// then its elements: `(1, 2)`; `splat(0)` if all are equal; `hex"..."`, the bytes as they lie in
// memory (little endian), if they are many; a NaN is written as its bits, `0x7fc00000`; `blob(3)`
// if they lie elsewhere, for files that keep them beside the text. `#` starts a comment.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ir/graph.h"

namespace refrain {

struct PrintOptions {
  // False leaves out the elements of tensors of more than 16: `(...)`. Such a text doesn't parse.
  bool all_elements = true;
  // The number of a tensor whose elements lie elsewhere; none for others. Null: none do.
  std::function<std::optional<int64_t>(const Tensor&)> blob = nullptr;
};

std::string print(const Graph& graph, const PrintOptions& options = {});

struct ParseOptions {
  // The tensor whose elements are the blob of this number (any number at all), of this type and
  // these extents; throws Error if there is no such one. Null: no tensor lies elsewhere.
  std::function<TensorPtr(int64_t number, ElementType type, const std::vector<int64_t>& extents)>
      blob = nullptr;
};

// Parses and verifies. Throws Error with `file`, line and column.
std::unique_ptr<Graph> parse(std::string_view text, const std::string& file = "<text>",
                             const ParseOptions& options = {});

}  // namespace refrain
