#include "backends/executable/einsum_step.h"

#include <algorithm>

#include "backends/executable/basic_steps.h"
#include "backends/executable/lowering.h"
#include "ir/einsum.h"

namespace refrain::executable {

EinsumStep::EinsumStep(const Node& node) : operands_(node.operand_count()) {
  std::vector<size_t> ranks;
  for (size_t i = 0; i < operands_; ++i) ranks.push_back(extents_of(*node.operand(i)).size());
  const EinsumPlan plan = parse_einsum(node.string(AttributeName::equation), ranks);
  std::vector<Loop> labels(static_cast<size_t>(plan.labels));
  for (Loop& label : labels) label.strides.assign(operands_, 0);
  for (size_t i = 0; i < operands_; ++i) {
    const std::vector<int64_t> extents = extents_of(*node.operand(i));
    int64_t stride = 1;
    for (size_t axis = extents.size(); axis-- > 0;) {
      Loop& label = labels[static_cast<size_t>(plan.operands[i][axis])];
      if (extents[axis] != 1) {
        label.extent = extents[axis];
        label.strides[i] += stride;  // a label used twice walks the diagonal
      }
      stride *= extents[axis];
    }
  }
  const int64_t results = element_count(extents_of(*node.result()));
  empty_ = results == 0;
  for (size_t label = 0; label < labels.size(); ++label) {
    const bool kept = std::ranges::find(plan.result, static_cast<int>(label)) != plan.result.end();
    if (!kept) summed_.loops.push_back(labels[label]);
  }
  for (const int label : plan.result) kept_.loops.push_back(labels[static_cast<size_t>(label)]);
  inner_.strides.assign(operands_, 0);
  if (!kept_.loops.empty()) {
    inner_ = kept_.loops.back();
    kept_.loops.pop_back();
  }
  for (Walk* walk : {&kept_, &summed_}) {
    walk->index.assign(walk->loops.size(), 0);
    walk->offsets.assign(operands_, 0);
  }
  text_ = "einsum " + node.string(AttributeName::equation) + " to " +
          extents_text(extents_of(*node.result()));
}

bool EinsumStep::Walk::next() {
  for (size_t i = loops.size(); i-- > 0;) {
    const Loop& loop = loops[i];
    for (size_t k = 0; k < offsets.size(); ++k) offsets[k] += loop.strides[k];
    if (++index[i] < loop.extent) return true;
    for (size_t k = 0; k < offsets.size(); ++k) offsets[k] -= loop.strides[k] * loop.extent;
    index[i] = 0;
  }
  return false;
}

void EinsumStep::run() {
  if (empty_) return;
  float* out = floats(operands_);
  const int64_t count = inner_.extent;
  const bool no_terms =
      std::ranges::any_of(summed_.loops, [](const Loop& loop) { return loop.extent == 0; });
  do {
    std::fill_n(out, count, 0.0F);
    if (!no_terms) {
      do {
        // Each operand's element for the first place along the inner label.
        const auto element = [&](size_t i) {
          return floats(i) + kept_.offsets[i] + summed_.offsets[i];
        };
        for (int64_t j = 0; j < count; ++j) {
          float product = 1;
          for (size_t i = 0; i < operands_; ++i) product *= element(i)[j * inner_.strides[i]];
          out[j] += product;
        }
      } while (summed_.next());
    }
    out += count;
  } while (kept_.next());
}

}  // namespace refrain::executable
