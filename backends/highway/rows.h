// Row programs: what happens to the rows of tensors between products. Besides element-wise
// operations they hold what mixes the elements of a row: sums, means, softmax, parts and
// concatenations. A layer normalisation with the gates that follow is one such program.
//
// A program works on registers of its own width each, of which every row has a set. Rows don't
// depend on each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "backends/highway/program.h"

namespace refrain::highway {

inline constexpr size_t kMaxRowRegisters = 512;
inline constexpr int64_t kMaxRowWidth = 1 << 14;

enum class RowOperation : uint8_t {
  map,       // `map` of each element
  copy,      // of `width` elements
  sum,       // of a row's `width` elements, as all others down to `dot` one element
  mean,      //
  max,       // NaN if one is
  min,       //
  dot,       // of two rows
  mean_dot,  // divided by the width
  softmax,   // over `width` elements
  log_softmax,
};

// Elements [offset, offset + width) of a register, or its first for every element.
struct RowView {
  size_t reg = 0;
  int64_t offset = 0;
  bool broadcast = false;  // of registers of width 1 only
};

struct RowInstruction {
  RowOperation operation = RowOperation::map;
  int64_t width = 1;  // of the operands
  RowView result;     // a new register; only copies may write parts of one
  RowView operands[3];
  Operation map = Operation::constant;
  float alpha = 0, beta = 0;
};

size_t operand_count(const RowInstruction& instruction);

enum class RowElement : uint8_t { f32, boolean, i32, i64 };

struct RowInput {
  RowElement element = RowElement::f32;  // converted to f32
  int64_t width = 1;
  bool one_row = false;  // the same for all rows
};

struct RowOutput {
  RowView from;
  int64_t width = 1;
  RowElement element = RowElement::f32;  // or boolean: not 0
};

struct RowProgram {
  std::vector<RowInput> inputs;  // the first registers
  std::vector<int64_t> widths;   // of the other registers
  std::vector<RowInstruction> code;
  std::vector<RowOutput> outputs;
};

// A program made ready; immutable. Any number of threads may run it at once, each with its own
// scratch.
class RowKernel {
 public:
  // Throws Error if a register is read before it is written or a part lies outside its register.
  explicit RowKernel(RowProgram program);

  // Rows [begin, end) of dense inputs and outputs; an output overlaps no input. `scratch`, aligned
  // for vectors, is initialised (to anything). No allocation, no lock.
  void run(int64_t begin, int64_t end, const void* const* inputs, void* const* outputs,
           float* scratch) const;

  int64_t scratch_floats() const { return scratch_floats_; }
  const RowProgram& program() const { return program_; }

  // Where a register lies while a tile of rows is worked on.
  struct Home {
    enum class Kind : uint8_t { scratch, input, output } kind = Kind::scratch;
    size_t index = 0;
    int64_t offset = 0;  // in scratch, in floats a row of a tile
    int64_t stride = 0;  // from row to row; 0: one for all
  };
  const std::vector<Home>& homes() const { return homes_; }
  int64_t tile_rows() const { return tile_rows_; }

 private:
  int64_t width_of(size_t reg) const;
  void check() const;
  void choose_homes();
  void place_in_scratch();

  RowProgram program_;
  std::vector<Home> homes_;
  int64_t tile_rows_ = 1, scratch_floats_ = 0;
};

}  // namespace refrain::highway
