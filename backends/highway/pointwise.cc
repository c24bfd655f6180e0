#include <algorithm>
#include <bitset>
#include <cstring>

#include "backends/highway/program.h"
#include "backends/highway/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/highway/pointwise.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, because it and what follows is compiled for each target.
#include "backends/highway/program-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {

// Places are taken in order of rows, then columns, a tile of them at a time. A tile may span rows.
class ArrayProgram {
 public:
  ArrayProgram(const Program& program, int64_t columns, const ArrayOperand* inputs,
               float* const* results, const int64_t* result_row_strides)
      : program_(program),
        columns_(columns),
        inputs_(inputs),
        results_(results),
        result_row_strides_(result_row_strides) {
    size_t registers = program.inputs;
    for (const Instruction& instruction : program.code) {
      registers = std::max<size_t>(registers, instruction.result + size_t{1});
    }
    // As long a tile as there is room for, but no longer than what amortises choosing the code.
    while (registers * stride_ > kScratch) stride_ /= 2;
    for (size_t r = 0; r < registers; ++r) values_[r] = scratch_ + r * stride_;
    // A result may lie where an input does, and is stored before later ones are read.
    for (const uint8_t output : program.outputs) {
      if (output < program.inputs) must_copy_.set(output);
    }
  }

  void run(int64_t rows) {
    const auto stride = static_cast<int64_t>(stride_);
    int64_t row = 0, column = 0;
    for (int64_t left = rows * columns_; left > 0; left -= stride) {
      run_tile(row, column, std::min(left, stride));
      column += stride;
      row += column / columns_;
      column %= columns_;
    }
  }

 private:
  static constexpr size_t kScratch = 8192;  // elements
  static constexpr size_t kLongestTile = 128;
  static_assert(kScratch / kMaxRegisters >= 64, "tiles must hold a vector of any target");

  void run_tile(int64_t row, int64_t column, int64_t count) {
    const hn::CappedTag<float, 64> d;
    const size_t lanes = hn::Lanes(d);
    const size_t padded = (static_cast<size_t>(count) + lanes - 1) / lanes * lanes;
    const bool whole = padded == static_cast<size_t>(count) && column + count <= columns_;
    for (size_t i = 0; i < program_.inputs; ++i) {
      const ArrayOperand& input = inputs_[i];
      if (whole && input.column_stride == 1 && !must_copy_[i]) {
        values_[i] = input.data + row * input.row_stride + column;
        continue;
      }
      float* const to = scratch_ + i * stride_;
      values_[i] = to;
      for_each_segment(row, column, count, [&](int64_t r, int64_t c, int64_t n, int64_t at) {
        const float* const from = input.data + r * input.row_stride;
        if (input.column_stride == 0) {
          std::fill_n(to + at, n, *from);
        } else {
          std::memcpy(to + at, from + c, static_cast<size_t>(n) * sizeof(float));
        }
      });
      std::fill(to + count, to + padded, 0.0f);
    }
    RunTile(d, program_.code.data(), program_.code.size(), {values_, scratch_, stride_, padded});
    for (size_t k = 0; k < program_.outputs.size(); ++k) {
      const float* const from = values_[program_.outputs[k]];
      for_each_segment(row, column, count, [&](int64_t r, int64_t c, int64_t n, int64_t at) {
        std::memcpy(results_[k] + r * result_row_strides_[k] + c, from + at,
                    static_cast<size_t>(n) * sizeof(float));
      });
    }
  }

  // The parts of rows that a tile consists of: f(row, column, length, where in the tile).
  template <class F>
  void for_each_segment(int64_t row, int64_t column, int64_t count, F f) const {
    for (int64_t at = 0; at < count;) {
      const int64_t length = std::min(columns_ - column, count - at);
      f(row, column, length, at);
      at += length;
      column = 0;
      ++row;
    }
  }

  const Program& program_;
  const int64_t columns_;
  const ArrayOperand* const inputs_;
  float* const* const results_;
  const int64_t* const result_row_strides_;
  std::bitset<kMaxRegisters> must_copy_;
  size_t stride_ = kLongestTile;
  const float* values_[kMaxRegisters];
  HWY_ALIGN float scratch_[kScratch];
};

void RunProgram(const Program& program, int64_t rows, int64_t columns, const ArrayOperand* inputs,
                float* const* results, const int64_t* result_row_strides) {
  ArrayProgram(program, columns, inputs, results, result_row_strides).run(rows);
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace refrain::highway {
namespace {
HWY_EXPORT(RunProgram);

// Whether the whole space can be walked as if it were one row.
bool one_row(const Program& program, int64_t columns, const ArrayOperand* inputs,
             const int64_t* result_row_strides) {
  for (size_t i = 0; i < program.inputs; ++i) {
    const bool element = inputs[i].row_stride == 0 && inputs[i].column_stride == 0;
    const bool dense = inputs[i].row_stride == columns && inputs[i].column_stride == 1;
    if (!element && !dense) return false;
  }
  return std::all_of(result_row_strides, result_row_strides + program.outputs.size(),
                     [columns](int64_t stride) { return stride == columns; });
}

}  // namespace

void run_program(const Program& program, int64_t rows, int64_t columns, const ArrayOperand* inputs,
                 float* const* results, const int64_t* result_row_strides) {
  if (rows <= 0 || columns <= 0) return;
  // Short rows would be copied piece by piece.
  if (rows > 1 && one_row(program, columns, inputs, result_row_strides)) {
    columns *= rows;
    rows = 1;
  }
  HWY_DYNAMIC_DISPATCH(RunProgram)
  (program, rows, columns, inputs, results, result_row_strides);
}

}  // namespace refrain::highway

#endif  // HWY_ONCE
