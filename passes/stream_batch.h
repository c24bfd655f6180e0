// Internal to `passes`: whether a stream's graph treats the rows of a batch one by one.
#pragma once

#include "passes/stream.h"

namespace refrain::passes::internal {

// Sets form.batch and the ports' batch_axis, or form.why_no_batch.
void find_batch(StreamForm& form);

}  // namespace refrain::passes::internal
