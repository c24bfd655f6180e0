// Internal to executables: slices by indices that are known at run time only.
#pragma once

#include <cstdint>
#include <string>

#include "backends/executable/step.h"
#include "ir/graph.h"

namespace refrain::executable {

// A gather whose operands have constant shapes. Slots: data, indices, result. The node must outlive
// it.
class GatherStep final : public Step {
 public:
  explicit GatherStep(const Node& node);

  // Throws Error if an index is out of range.
  void run() override;
  std::string describe() const override;

 private:
  const Node& node_;
  int64_t outer_ = 1, extent_ = 1, inner_bytes_ = 1, count_ = 1;
  bool wide_;  // indices are i64, not i32
};

}  // namespace refrain::executable
