// Internal to executables: convolutions with the channels beside each other in memory.
#pragma once

#include "backends/executable/conv_choice.h"
#include "ir/graph.h"

namespace refrain::executable {

// Rewrites a region, and those inside it, so that convolutions with constant weights and pooling
// (f32, constant shapes) stand between two transposes that bring the channels from the last axis
// and back there, all for which `choice` has nothing better:
//
//   x [N, C, spatial...]  ->  transpose(conv(transpose(transpose(x))))
//
// There a window of a sequence is one piece of memory and the result of a product with it a row, so
// that no kernel has to rearrange anything. What follows elementwise, slices, concatenations, pads
// and transposes of such a result move to its channels-last form too; transposes that undo each
// other are not made. The region must be one of a graph of the caller's own; it computes the same.
void move_channels_last(Region& region, ConvChoice& choice);

}  // namespace refrain::executable
