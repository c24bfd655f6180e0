#include "backends/executable/gather_step.h"

#include <cstring>

#include "backends/executable/lowering.h"
#include "ir/error.h"

namespace refrain::executable {

GatherStep::GatherStep(const Node& node)
    : node_(node), wide_(node.operand(1)->type().element == ElementType::i64) {
  const std::vector<int64_t> extents = extents_of(*node.operand(0));
  const size_t axis = normalize_axis(node.integer(AttributeName::axis), extents.size());
  extent_ = extents[axis];
  inner_bytes_ = static_cast<int64_t>(size_of(node.operand(0)->type().element));
  for (size_t i = 0; i < axis; ++i) outer_ *= extents[i];
  for (size_t i = axis + 1; i < extents.size(); ++i) inner_bytes_ *= extents[i];
  count_ = element_count(extents_of(*node.operand(1)));
}

void GatherStep::run() {
  const char *data = pointer(0), *indices = pointer(1);
  char* const result = pointer(2);
  const auto bytes = static_cast<size_t>(inner_bytes_);
  for (int64_t i = 0; i < count_; ++i) {
    int64_t index = 0;
    if (wide_) {
      std::memcpy(&index, indices + i * int64_t{sizeof index}, sizeof index);
    } else {
      int32_t narrow = 0;
      std::memcpy(&narrow, indices + i * int64_t{sizeof narrow}, sizeof narrow);
      index = narrow;
    }
    if (index < -extent_ || index >= extent_) {
      Error error("index out of range",
                  std::to_string(-extent_) + ".." + std::to_string(extent_ - 1),
                  std::to_string(index));
      error.at_node(node_.display_name(), std::string(name(node_.op())));
      throw error;
    }
    if (index < 0) index += extent_;
    for (int64_t o = 0; o < outer_; ++o) {
      std::memcpy(result + (o * count_ + i) * inner_bytes_,
                  data + (o * extent_ + index) * inner_bytes_, bytes);
    }
  }
}

std::string GatherStep::describe() const {
  return "gather " + std::to_string(outer_) + " x " + std::to_string(count_) + " x " +
         std::to_string(inner_bytes_) + " bytes";
}

}  // namespace refrain::executable
