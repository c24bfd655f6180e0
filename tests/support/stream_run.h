// Running streams in tests: whole sequences in blocks.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ir/runtime_value.h"
#include "passes/stream.h"

namespace refrain::testing {

// Elements begin..end along an axis.
Tensor cut(const Tensor& tensor, size_t axis, int64_t begin, int64_t end);
// Tensors one behind the other along an axis.
Tensor join(const std::vector<TensorPtr>& parts, size_t axis);

// Runs the stream over a sequence on the reference backend, `block` steps at a time (fewer at the
// end), each with the form's look-ahead of `look_ahead` steps, which the last block has, too.
// `inputs` are the model's, of the whole sequence and the last look-ahead. Returns one value for
// each of the model's outputs: over time that of all blocks, without a time axis that of the last
// one.
std::vector<TensorPtr> run_in_blocks(const passes::StreamForm& form,
                                     const std::vector<RuntimeValue>& inputs, size_t outputs,
                                     int64_t block, int64_t look_ahead = 0);

// One run over all of `inputs`, from these states (by name; those that are missing start) to those
// that they become.
std::vector<TensorPtr> run_block(const passes::StreamForm& form,
                                 const std::vector<RuntimeValue>& inputs, size_t outputs,
                                 std::map<std::string, TensorPtr>& states);

}  // namespace refrain::testing
