#include "backends/highway/rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "backends/highway/targets.h"
#include "ir/error.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/highway/rows.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, because it and what follows is compiled for each target.
#include "backends/highway/program-inl.h"
#include "hwy/highway.h"

#ifndef REFRAIN_BACKENDS_HIGHWAY_ROWS_CC_
#define REFRAIN_BACKENDS_HIGHWAY_ROWS_CC_
namespace refrain::highway {

// Registers are padded to whole vectors of any target, and one more for parts that end within them.
inline constexpr int64_t kRowPadding = 16;

inline int64_t padded(int64_t width) {
  return (width + kRowPadding - 1) / kRowPadding * kRowPadding;
}

}  // namespace refrain::highway
#endif

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {

using RowTag = hn::CappedTag<float, static_cast<size_t>(kRowPadding)>;
using RowVector = hn::Vec<RowTag>;

// The operands of one instruction: element j of operand k lies at values[k][j * steps[k]], where a
// step of 0 stands for a vector of equal elements.
struct RowTile {
  const float* values[3];
  size_t steps[3];
  float* result;
  size_t elements;  // whole vectors
};

template <class D, class F>
HWY_INLINE void MapTile(D d, const Instruction&, const RowTile& tile, F f) {
  const size_t lanes = hn::Lanes(d);
  for (size_t j = 0; j < tile.elements; j += lanes) {
    hn::StoreU(f(hn::LoadU(d, tile.values[0] + j * tile.steps[0])), d, tile.result + j);
  }
}

template <class D, class F>
HWY_INLINE void MapTile2(D d, const Instruction&, const RowTile& tile, F f) {
  const size_t lanes = hn::Lanes(d);
  for (size_t j = 0; j < tile.elements; j += lanes) {
    hn::StoreU(f(hn::LoadU(d, tile.values[0] + j * tile.steps[0]),
                 hn::LoadU(d, tile.values[1] + j * tile.steps[1])),
               d, tile.result + j);
  }
}

template <class D, class F>
HWY_INLINE void MapTile3(D d, const Instruction&, const RowTile& tile, F f) {
  const size_t lanes = hn::Lanes(d);
  for (size_t j = 0; j < tile.elements; j += lanes) {
    hn::StoreU(f(hn::LoadU(d, tile.values[0] + j * tile.steps[0]),
                 hn::LoadU(d, tile.values[1] + j * tile.steps[1]),
                 hn::LoadU(d, tile.values[2] + j * tile.steps[2])),
               d, tile.result + j);
  }
}

template <class F>
HWY_INLINE void MapElements(const Instruction&, const RowTile& tile, F f) {
  for (size_t j = 0; j < tile.elements; ++j) tile.result[j] = f(tile.values[0][j * tile.steps[0]]);
}

template <class F>
HWY_INLINE void MapElements2(const Instruction&, const RowTile& tile, F f) {
  for (size_t j = 0; j < tile.elements; ++j) {
    tile.result[j] = f(tile.values[0][j * tile.steps[0]], tile.values[1][j * tile.steps[1]]);
  }
}

template <class D, class V>
HWY_INLINE void FillTile(D d, const Instruction&, const RowTile& tile, V value) {
  for (size_t j = 0; j < tile.elements; j += hn::Lanes(d)) hn::StoreU(value, d, tile.result + j);
}

// combine() over the elements that each() gives vector by vector, by four chains; what lies beyond
// the width counts as `neutral`.
template <class Each, class Combine>
HWY_INLINE RowVector Fold(int64_t width, float neutral, Each each, Combine combine) {
  const RowTag d;
  const size_t lanes = hn::Lanes(d), count = static_cast<size_t>(width);
  const RowVector none = hn::Set(d, neutral);
  RowVector a0 = none, a1 = none, a2 = none, a3 = none;
  size_t j = 0;
  for (; j + 4 * lanes <= count; j += 4 * lanes) {
    a0 = combine(a0, each(j));
    a1 = combine(a1, each(j + lanes));
    a2 = combine(a2, each(j + 2 * lanes));
    a3 = combine(a3, each(j + 3 * lanes));
  }
  for (; j + lanes <= count; j += lanes) a0 = combine(a0, each(j));
  if (j < count) {
    a1 = combine(a1, hn::IfThenElse(hn::FirstN(d, count - j), each(j), none));
  }
  return combine(combine(a0, a1), combine(a2, a3));
}

HWY_INLINE float Total(RowVector v) {
  const RowTag d;
  return hn::GetLane(hn::SumOfLanes(d, v));
}

// The largest (smallest) lane; NaN if there is one.
template <bool kLargest>
HWY_INLINE float Extreme(RowVector v) {
  const RowTag d;
  HWY_ALIGN float lanes[kRowPadding];
  hn::Store(v, d, lanes);
  float best = lanes[0];
  for (size_t i = 1; i < hn::Lanes(d); ++i) {
    const bool better = kLargest ? lanes[i] > best : lanes[i] < best;
    if (better || std::isnan(lanes[i])) best = lanes[i];
  }
  return best;
}

HWY_INLINE float Largest(const float* x, int64_t width) {
  const RowTag d;
  return Extreme<true>(Fold(
      width, -std::numeric_limits<float>::infinity(),
      [=](size_t j) HWY_ATTR { return hn::LoadU(d, x + j); },
      [](RowVector a, RowVector b) HWY_ATTR { return Larger(a, b); }));
}

HWY_INLINE float Smallest(const float* x, int64_t width) {
  const RowTag d;
  return Extreme<false>(Fold(
      width, std::numeric_limits<float>::infinity(),
      [=](size_t j) HWY_ATTR { return hn::LoadU(d, x + j); },
      [](RowVector a, RowVector b) HWY_ATTR { return Smaller(a, b); }));
}

HWY_INLINE float Sum(const float* x, int64_t width) {
  const RowTag d;
  return Total(Fold(
      width, 0, [=](size_t j) HWY_ATTR { return hn::LoadU(d, x + j); },
      [](RowVector a, RowVector b) HWY_ATTR { return hn::Add(a, b); }));
}

HWY_INLINE float Dot(const float* x, const float* y, int64_t width) {
  const RowTag d;
  return Total(Fold(
      width, 0,
      [=](size_t j) HWY_ATTR { return hn::Mul(hn::LoadU(d, x + j), hn::LoadU(d, y + j)); },
      [](RowVector a, RowVector b) HWY_ATTR { return hn::Add(a, b); }));
}

template <bool kLog>
HWY_INLINE void Softmax(const float* x, int64_t width, float* result) {
  const RowTag d;
  const RowVector most = hn::Set(d, Largest(x, width));
  const float sum = Total(Fold(
      width, 0,
      [=](size_t j) HWY_ATTR {
        const RowVector shifted = hn::Sub(hn::LoadU(d, x + j), most);
        const RowVector power = Exp(d, shifted);
        hn::StoreU(kLog ? shifted : power, d, result + j);
        return power;
      },
      [](RowVector a, RowVector b) HWY_ATTR { return hn::Add(a, b); }));
  const RowVector scale = hn::Set(d, kLog ? std::log(sum) : sum);
  for (size_t j = 0; j < static_cast<size_t>(width); j += hn::Lanes(d)) {
    const RowVector v = hn::LoadU(d, result + j);
    hn::StoreU(kLog ? hn::Sub(v, scale) : hn::Div(v, scale), d, result + j);
  }
}

// One tile of rows after the other.
class RowRun {
 public:
  RowRun(const RowKernel& kernel, const void* const* inputs, void* const* outputs, float* scratch)
      : kernel_(kernel), inputs_(inputs), outputs_(outputs), scratch_(scratch) {}

  void Run(int64_t begin, int64_t end) {
    for (row_ = begin; row_ < end; row_ += rows_) {
      rows_ = std::min(kernel_.tile_rows(), end - row_);
      for (size_t i = 0; i < kernel_.program().inputs.size(); ++i) Load(i);
      for (const RowInstruction& instruction : kernel_.program().code) Execute(instruction);
      for (size_t i = 0; i < kernel_.program().outputs.size(); ++i) Store(i);
      first_ = false;
    }
  }

 private:
  // Of the tile's first row.
  float* Base(size_t reg) const {
    const RowKernel::Home& home = kernel_.homes()[reg];
    switch (home.kind) {
      case RowKernel::Home::Kind::input:
        // Inputs are only read: registers have one type of pointer for all homes.
        return const_cast<float*>(static_cast<const float*>(inputs_[home.index])) +
               row_ * home.stride;
      case RowKernel::Home::Kind::output:
        return static_cast<float*>(outputs_[home.index]) + row_ * home.stride;
      case RowKernel::Home::Kind::scratch:
        break;
    }
    return scratch_ + home.offset * kernel_.tile_rows();
  }

  template <class T>
  static void Convert(const T* from, int64_t count, float* to) {
    for (int64_t j = 0; j < count; ++j) to[j] = static_cast<float>(from[j]);
  }

  void Load(size_t i) const {
    const RowInput& input = kernel_.program().inputs[i];
    const RowKernel::Home& home = kernel_.homes()[i];
    if (home.kind == RowKernel::Home::Kind::input || (input.one_row && !first_)) return;
    const int64_t rows = input.one_row ? 1 : rows_, width = input.width;
    const int64_t at = input.one_row ? 0 : row_ * width;
    for (int64_t r = 0; r < rows; ++r) {
      float* const to = Base(i) + r * home.stride;
      const int64_t from = at + r * width;
      switch (input.element) {
        case RowElement::f32:
          std::memcpy(to, static_cast<const float*>(inputs_[i]) + from,
                      static_cast<size_t>(width) * sizeof(float));
          break;
        case RowElement::boolean:
          Convert(static_cast<const bool*>(inputs_[i]) + from, width, to);
          break;
        case RowElement::i32:
          Convert(static_cast<const int32_t*>(inputs_[i]) + from, width, to);
          break;
        case RowElement::i64:
          Convert(static_cast<const int64_t*>(inputs_[i]) + from, width, to);
          break;
      }
      if (width == 1) Fill(to, *to);
    }
  }

  // A register of one element holds it in every lane.
  static void Fill(float* to, float value) {
    const RowTag d;
    for (size_t j = 0; j < kRowPadding; j += hn::Lanes(d)) hn::StoreU(hn::Set(d, value), d, to + j);
  }

  void Execute(const RowInstruction& i) const {
    const RowKernel::Home& home = kernel_.homes()[i.result.reg];
    float* const result = Base(i.result.reg) + i.result.offset;
    const size_t operands = operand_count(i);
    const float* values[3] = {};
    int64_t strides[3] = {};
    for (size_t k = 0; k < operands; ++k) {
      values[k] = Base(i.operands[k].reg) + i.operands[k].offset;
      strides[k] = kernel_.homes()[i.operands[k].reg].stride;
    }
    if (i.operation == RowOperation::map) return Map(i, home.stride, values, strides, result);
    for (int64_t r = 0; r < rows_; ++r) {
      const float *x = values[0] + r * strides[0], *y = values[1] + r * strides[1];
      float* const to = result + r * home.stride;
      switch (i.operation) {
        case RowOperation::copy:
          std::memcpy(to, x, static_cast<size_t>(i.width) * sizeof(float));
          if (i.width == 1 && i.result.offset == 0 && Width(i.result.reg) == 1) Fill(to, *x);
          break;
        case RowOperation::sum:
          Fill(to, Sum(x, i.width));
          break;
        case RowOperation::mean:
          Fill(to, Sum(x, i.width) / static_cast<float>(i.width));
          break;
        case RowOperation::max:
          Fill(to, Largest(x, i.width));
          break;
        case RowOperation::min:
          Fill(to, Smallest(x, i.width));
          break;
        case RowOperation::dot:
          Fill(to, Dot(x, y, i.width));
          break;
        case RowOperation::mean_dot:
          Fill(to, Dot(x, y, i.width) / static_cast<float>(i.width));
          break;
        case RowOperation::softmax:
          Softmax<false>(x, i.width, to);
          if (i.width == 1) Fill(to, *to);
          break;
        case RowOperation::log_softmax:
          Softmax<true>(x, i.width, to);
          if (i.width == 1) Fill(to, *to);
          break;
        case RowOperation::map:
          break;
      }
    }
  }

  int64_t Width(size_t reg) const {
    const RowProgram& program = kernel_.program();
    const size_t inputs = program.inputs.size();
    return reg < inputs ? program.inputs[reg].width : program.widths[reg - inputs];
  }

  void Map(const RowInstruction& i, int64_t stride, const float* const* values,
           const int64_t* strides, float* result) const {
    const Instruction instruction{i.map, 0, {0, 0, 0}, i.alpha, i.beta};
    const size_t operands = operand_count(i.map);
    // All rows at once, if they follow each other or stay in all operands.
    const int64_t row = i.width == 1 ? kRowPadding : padded(i.width);
    const int64_t rows = stride == 0 ? 1 : rows_;
    bool together = rows == 1 || stride == row;
    RowTile tile{};
    for (size_t k = 0; k < operands; ++k) {
      tile.values[k] = values[k];
      tile.steps[k] = i.operands[k].broadcast ? 0 : 1;
      together =
          together && (rows == 1 || strides[k] == (i.operands[k].broadcast ? int64_t{0} : row));
    }
    tile.result = result;
    tile.elements = static_cast<size_t>(together ? rows * row : row);
    const RowTag d;
    for (int64_t r = 0; r < (together ? 1 : rows); ++r) {
      RunInstruction(d, instruction, tile);
      tile.result += stride;
      for (size_t k = 0; k < operands; ++k) tile.values[k] += strides[k];
    }
  }

  void Store(size_t i) const {
    const RowOutput& output = kernel_.program().outputs[i];
    const RowKernel::Home& home = kernel_.homes()[output.from.reg];
    if (home.kind == RowKernel::Home::Kind::output && home.index == i) return;
    const float* from = Base(output.from.reg) + output.from.offset;
    for (int64_t r = 0; r < rows_; ++r, from += home.stride) {
      const int64_t at = (row_ + r) * output.width;
      if (output.element == RowElement::boolean) {
        bool* const to = static_cast<bool*>(outputs_[i]) + at;
        for (int64_t j = 0; j < output.width; ++j) to[j] = from[j] != 0;
      } else {
        std::memcpy(static_cast<float*>(outputs_[i]) + at, from,
                    static_cast<size_t>(output.width) * sizeof(float));
      }
    }
  }

  const RowKernel& kernel_;
  const void* const* const inputs_;
  void* const* const outputs_;
  float* const scratch_;
  int64_t row_ = 0, rows_ = 0;
  bool first_ = true;
};

void RunRows(const RowKernel& kernel, int64_t begin, int64_t end, const void* const* inputs,
             void* const* outputs, float* scratch) {
  RowRun(kernel, inputs, outputs, scratch).Run(begin, end);
}

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace refrain::highway {
namespace {

HWY_EXPORT(RunRows);

// Of a tile, so that it stays in the first-level cache beside weights that pass through.
constexpr int64_t kTileFloats = 4096, kMostTileRows = 64;

}  // namespace

size_t operand_count(const RowInstruction& instruction) {
  switch (instruction.operation) {
    case RowOperation::map:
      return operand_count(instruction.map);
    case RowOperation::dot:
    case RowOperation::mean_dot:
      return 2;
    default:
      return 1;
  }
}

RowKernel::RowKernel(RowProgram program) : program_(std::move(program)) {
  check();
  choose_homes();
  place_in_scratch();
}

int64_t RowKernel::width_of(size_t reg) const {
  const size_t inputs = program_.inputs.size();
  return reg < inputs ? program_.inputs[reg].width : program_.widths[reg - inputs];
}

void RowKernel::check() const {
  const size_t registers = program_.inputs.size() + program_.widths.size();
  const auto fail = [](const char* problem, const std::string& expected, const std::string& found) {
    throw Error(std::string("wrong row program: ") + problem, expected, found);
  };
  if (registers > kMaxRowRegisters)
    fail("too many registers", std::to_string(kMaxRowRegisters), std::to_string(registers));
  for (size_t r = 0; r < registers; ++r) {
    if (width_of(r) < 1 || width_of(r) > kMaxRowWidth)
      fail("width of a register", "1 to " + std::to_string(kMaxRowWidth),
           std::to_string(width_of(r)));
  }
  std::vector<bool> written(registers);
  for (size_t i = 0; i < program_.inputs.size(); ++i) written[i] = true;
  const auto inside = [&](const RowView& view, int64_t width) {
    if (view.reg >= registers || view.offset < 0 || width < 1 || width > kMaxRowWidth ||
        view.offset + width > width_of(view.reg))
      fail("a part outside its register", "elements of the register",
           std::to_string(view.offset) + " + " + std::to_string(width));
  };
  const auto readable = [&](const RowView& view, int64_t width) {
    inside(view, view.broadcast ? 1 : width);
    if (!written[view.reg])
      fail("a register is read before it is written", "an earlier result",
           "r" + std::to_string(view.reg));
    if (view.broadcast && width_of(view.reg) != 1)
      fail("one element for all", "a register of width 1", std::to_string(width_of(view.reg)));
  };
  for (const RowInstruction& i : program_.code) {
    const bool map = i.operation == RowOperation::map;
    for (size_t k = 0; k < operand_count(i); ++k) {
      readable(i.operands[k], i.width);
      // Only maps broadcast; an element out of the midst of a register fills no vector.
      if (!map && i.operands[k].broadcast) fail("broadcast", "the operand of a map", "another");
      if (map && i.width == 1 && width_of(i.operands[k].reg) != 1)
        fail("a map of one element", "a register of width 1", "a part of a wider one");
    }
    const bool one = i.operation >= RowOperation::sum && i.operation <= RowOperation::mean_dot;
    inside(i.result, one ? 1 : i.width);
    const bool part = width_of(i.result.reg) != (one ? 1 : i.width);
    if (i.result.reg < program_.inputs.size() || i.result.broadcast ||
        (i.operation != RowOperation::copy && (part || written[i.result.reg])))
      fail("result", "a new register", "r" + std::to_string(i.result.reg));
    written[i.result.reg] = true;
  }
  for (const RowOutput& output : program_.outputs) {
    readable(output.from, output.width);
    if (output.element != RowElement::f32 && output.element != RowElement::boolean)
      fail("type of an output", "f32 or bool", "an integer");
  }
}

namespace {

// Whether the vectors that an instruction reads of a register end within its width.
bool reads_inside(const RowInstruction& instruction, size_t reg, int64_t width) {
  for (size_t k = 0; k < operand_count(instruction); ++k) {
    const RowView& operand = instruction.operands[k];
    if (operand.reg == reg && operand.offset + padded(instruction.width) > width) return false;
  }
  return true;
}

}  // namespace

// Inputs and outputs of whole vectors are registers where they lie; all else is in scratch.
void RowKernel::choose_homes() {
  const size_t inputs = program_.inputs.size();
  homes_.resize(inputs + program_.widths.size());
  for (size_t r = 0; r < homes_.size(); ++r) {
    homes_[r].stride = padded(width_of(r));
    if (r >= inputs) continue;
    const RowInput& input = program_.inputs[r];
    if (input.one_row) homes_[r].stride = 0;
    // A part of whole vectors may be read beyond its end, but not beyond the row's.
    bool whole = input.element == RowElement::f32 && input.width % kRowPadding == 0;
    for (const RowInstruction& i : program_.code) {
      whole = whole && reads_inside(i, r, input.width);
    }
    if (whole) homes_[r] = {Home::Kind::input, r, 0, homes_[r].stride};
  }
  for (const RowInstruction& i : program_.code) {
    if (i.operation == RowOperation::map && i.map == Operation::constant)
      homes_[i.result.reg].stride = 0;
  }
  for (size_t o = 0; o < program_.outputs.size(); ++o) {
    const RowOutput& output = program_.outputs[o];
    const size_t r = output.from.reg;
    bool direct = output.element == RowElement::f32 && output.width % kRowPadding == 0 &&
                  output.width == width_of(r) && homes_[r].kind == Home::Kind::scratch &&
                  homes_[r].stride > 0 && r >= inputs;
    for (const RowInstruction& i : program_.code) {
      direct = direct && reads_inside(i, r, output.width);
    }
    if (direct) homes_[r] = {Home::Kind::output, o, 0, output.width};
  }
}

// Registers share memory if they are not needed at the same time.
void RowKernel::place_in_scratch() {
  struct Life {
    size_t first = SIZE_MAX, last = 0;
    int64_t floats = 0;
  };
  std::vector<Life> lives(homes_.size());
  const auto touch = [&](size_t reg, size_t at) {
    lives[reg].first = std::min(lives[reg].first, at);
    lives[reg].last = std::max(lives[reg].last, at);
  };
  for (size_t i = 0; i < program_.inputs.size(); ++i) {
    touch(i, 0);
    // They stay from tile to tile.
    if (program_.inputs[i].one_row) touch(i, program_.code.size() + 1);
  }
  for (size_t at = 0; at < program_.code.size(); ++at) {
    touch(program_.code[at].result.reg, at + 1);
    for (size_t k = 0; k < operand_count(program_.code[at]); ++k) {
      touch(program_.code[at].operands[k].reg, at + 1);
    }
  }
  for (const RowOutput& output : program_.outputs) touch(output.from.reg, program_.code.size() + 1);

  std::vector<size_t> placed;
  int64_t total = 0;
  for (size_t r = 0; r < homes_.size(); ++r) {
    if (homes_[r].kind != Home::Kind::scratch) continue;
    lives[r].floats = padded(width_of(r)) + kRowPadding;
    std::vector<std::pair<int64_t, int64_t>> taken;
    for (const size_t other : placed) {
      if (lives[other].first <= lives[r].last && lives[r].first <= lives[other].last)
        taken.emplace_back(homes_[other].offset, homes_[other].offset + lives[other].floats);
    }
    std::sort(taken.begin(), taken.end());
    int64_t offset = 0;
    for (const auto& [begin, end] : taken) {
      if (offset + lives[r].floats <= begin) break;
      offset = std::max(offset, end);
    }
    homes_[r].offset = offset;
    total = std::max(total, offset + lives[r].floats);
    placed.push_back(r);
  }
  tile_rows_ = std::clamp<int64_t>(kTileFloats / std::max<int64_t>(1, total), 1, kMostTileRows);
  scratch_floats_ = tile_rows_ * total;
}

void RowKernel::run(int64_t begin, int64_t end, const void* const* inputs, void* const* outputs,
                    float* scratch) const {
  HWY_DYNAMIC_DISPATCH(RunRows)(*this, begin, end, inputs, outputs, scratch);
}

}  // namespace refrain::highway

#endif  // HWY_ONCE
