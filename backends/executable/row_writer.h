// Internal to executables: nodes as row programs.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backends/executable/lowering.h"
#include "backends/highway/rows.h"
#include "ir/graph.h"

namespace refrain::executable {

// Of how many rows a program would be that the node is part of; none if it can't be part of one.
// `inside` tells which values are made by the same program.
std::optional<int64_t> rows_of(const Lowering& lowering, const Node& node,
                               const std::function<bool(const Value*)>& inside);

// Whether the node reads only its first operand at run time.
bool reads_first_only(const Node& node);

// Writes nodes of one number of rows, all of which rows_of() takes.
class RowWriter {
 public:
  // The first registers are `inputs`.
  RowWriter(const Lowering& lowering, const std::vector<const Node*>& nodes,
            const std::vector<const Value*>& inputs, int64_t rows);

  highway::RowProgram write(const std::vector<const Value*>& results);

 private:
  struct Part {
    size_t reg;
    int64_t offset, width;
  };
  size_t new_register(int64_t width);
  Part part(const Value* value);
  Part emit(const Node& node, const Value* value);
  Part map(highway::Operation operation, int64_t width, const std::vector<Part>& operands,
           float alpha = 0, float beta = 0);
  Part reduce(const Node& node);
  Part join(const Node& node);
  Part element_wise(const Node& node);
  highway::RowView operand(Part part, int64_t width);
  const Node* inner(const Value* value, Op op) const;

  const Lowering& lowering_;
  std::unordered_map<const Node*, bool> members_;
  std::unordered_map<const Value*, Part> parts_;
  std::vector<std::pair<Part, size_t>> copied_;  // elements that have a register of their own
  highway::RowProgram program_;
};

}  // namespace refrain::executable
