// What happens to the sums of a panel of rows and units: known programs in registers, any other
// instruction by instruction.
//
// Include from code that foreach_target.h compiles again for each target.

#if defined(REFRAIN_BACKENDS_HIGHWAY_EPILOGUES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef REFRAIN_BACKENDS_HIGHWAY_EPILOGUES_INL_H_
#undef REFRAIN_BACKENDS_HIGHWAY_EPILOGUES_INL_H_
#else
#define REFRAIN_BACKENDS_HIGHWAY_EPILOGUES_INL_H_
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "backends/highway/known_programs.h"
#include "backends/highway/math-inl.h"
#include "backends/highway/product-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The first `count` lanes from memory, the others 0; nothing beyond them is touched.
HWY_INLINE Vector LoadFirst(const float* from, size_t count) {
  const Floats d;
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  return hn::MaskedLoad(hn::FirstN(d, count), d, from);
#else
  HWY_ALIGN float lanes[kLanes] = {};
  std::memcpy(lanes, from, count * sizeof(float));
  return hn::Load(d, lanes);
#endif
}

HWY_INLINE void StoreFirst(Vector v, float* to, size_t count) {
  const Floats d;
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  hn::BlendedStore(v, hn::FirstN(d, count), d, to);
#else
  HWY_ALIGN float lanes[kLanes];
  hn::Store(v, d, lanes);
  std::memcpy(to, lanes, count * sizeof(float));
#endif
}

// A stream at one step: element (row, unit) lies at data[row * row_stride + unit].
struct InputRows {
  const float* data;
  int64_t row_stride;
};
struct OutputRows {
  float* data;
  int64_t row_stride;
  size_t value;
};

// Rows x vectors of units, whose gates lie at gates[gate * gate_stride + (row * vectors + vector) *
// kLanes]; `last` units of a row's last vector exist (0: all).
struct Panel {
  float* gates;
  size_t gate_stride;
  const int64_t* rows;
  size_t row_count, vectors, last;
  int64_t unit;
  const InputRows* inputs;
  size_t input_count;
  const OutputRows* outputs;
  size_t output_count;
};

// One instruction of a known program; `registers` are indexed by constants only, so that they are
// registers.
template <size_t kKnown, size_t kStep>
HWY_INLINE void Execute(Vector* registers) {
  const Floats d;
  constexpr Instruction kCode = kKnownPrograms[kKnown].code[kStep];
  constexpr Operation kOperation = kCode.operation;
  const Vector a = registers[kCode.operands[0]];
  const Vector b = registers[kCode.operands[1]];
  const Vector c = registers[kCode.operands[2]];
  Vector& result = registers[kCode.result];
  if constexpr (kOperation == Operation::constant) {
    result = hn::Set(d, kCode.alpha);
  } else if constexpr (kOperation == Operation::sigmoid) {
    result = Sigmoid(d, a);
  } else if constexpr (kOperation == Operation::tanh) {
    result = Tanh(d, a);
  } else if constexpr (kOperation == Operation::relu) {
    result = Relu(d, a);
  } else if constexpr (kOperation == Operation::add) {
    result = hn::Add(a, b);
  } else if constexpr (kOperation == Operation::sub) {
    result = hn::Sub(a, b);
  } else if constexpr (kOperation == Operation::mul) {
    result = hn::Mul(a, b);
  } else {
    static_assert(kOperation == Operation::multiply_add, "an operation known programs lack");
    result = hn::MulAdd(a, b, c);
  }
}

template <size_t kKnown, size_t... kStep>
HWY_INLINE void ExecuteAll([[maybe_unused]] Vector* registers, std::index_sequence<kStep...>) {
  (Execute<kKnown, kStep>(registers), ...);
}

// The streams of a known program at one place, to the registers after the gates.
template <size_t kKnown>
HWY_INLINE void LoadStreams(const Panel& panel, Vector* registers, int64_t row, int64_t unit,
                            size_t count) {
  const Floats d;
  constexpr KnownProgram kProgram = kKnownPrograms[kKnown];
  HWY_UNROLL(8)
  for (size_t i = kProgram.gates; i < kProgram.inputs; ++i) {
    const InputRows& input = panel.inputs[i - kProgram.gates];
    const float* from = input.data + row * input.row_stride + unit;
    registers[i] = HWY_LIKELY(count == kLanes) ? hn::LoadU(d, from) : LoadFirst(from, count);
  }
}

template <size_t kKnown>
HWY_INLINE void StoreOutputs(const Panel& panel, const Vector* registers, int64_t row, int64_t unit,
                             size_t count) {
  const Floats d;
  constexpr KnownProgram kProgram = kKnownPrograms[kKnown];
  const OutputRows* output = panel.outputs;
  HWY_UNROLL(2)
  for (size_t value = 0; value < kProgram.output_count; ++value) {
    // Outputs are sorted by value.
    for (; output != panel.outputs + panel.output_count && output->value == value; ++output) {
      float* to = output->data + row * output->row_stride + unit;
      if (HWY_LIKELY(count == kLanes)) {
        hn::StoreU(registers[kProgram.outputs[value]], d, to);
      } else {
        StoreFirst(registers[kProgram.outputs[value]], to, count);
      }
    }
  }
}

template <size_t kKnown, size_t kFirst, size_t... kStep>
HWY_INLINE void ExecuteFrom([[maybe_unused]] Vector* registers, std::index_sequence<kStep...>) {
  (Execute<kKnown, kFirst + kStep>(registers), ...);
}

// What a pass over all places of a panel does: see KnownProgram::first. Only the last pass stores
// outputs, because these may lie where the rest reads its streams.
enum class Pass { whole, first, rest };

template <size_t kKnown, Pass kPass>
HWY_INLINE void RunPass(const Panel& panel) {
  const Floats d;
  constexpr KnownProgram kProgram = kKnownPrograms[kKnown];
  constexpr size_t kFirst = kPass == Pass::rest ? kProgram.first : 0;
  constexpr size_t kEnd = kPass == Pass::first ? kProgram.first : kProgram.instructions;
  float* gates = panel.gates;
  const size_t places = panel.row_count * panel.vectors;
  // One loop over both, because each activation has many constants, which stay in registers.
  for (size_t place = 0, r = 0, j = 0; place < places; ++place, gates += kLanes) {
    Vector registers[32];
    HWY_UNROLL(8)
    for (size_t g = 0; g < kProgram.gates; ++g)
      registers[g] = hn::Load(d, gates + g * panel.gate_stride);
    if constexpr (kPass == Pass::rest) registers[kProgram.handed] = registers[0];
    const size_t count = panel.last != 0 && j + 1 == panel.vectors ? panel.last : kLanes;
    const int64_t row = panel.rows[r], unit = panel.unit + static_cast<int64_t>(j * kLanes);
    LoadStreams<kKnown>(panel, registers, row, unit, count);
    ExecuteFrom<kKnown, kFirst>(registers, std::make_index_sequence<kEnd - kFirst>());
    if constexpr (kPass == Pass::first) {
      hn::Store(registers[kProgram.handed], d, gates);
    } else {
      StoreOutputs<kKnown>(panel, registers, row, unit, count);
    }
    if (++j == panel.vectors) j = 0, ++r;
  }
}

// Fewer places than these don't make up for the constants of a second pass.
constexpr size_t kLeastTwoPassPlaces = 6;

template <size_t kKnown>
void RunKnown(const Panel& panel) {
  if constexpr (kKnownPrograms[kKnown].first > 0) {
    if (panel.row_count * panel.vectors >= kLeastTwoPassPlaces) {
      RunPass<kKnown, Pass::first>(panel);
      return RunPass<kKnown, Pass::rest>(panel);
    }
  }
  RunPass<kKnown, Pass::whole>(panel);
}

using KnownFunction = void (*)(const Panel&);

template <size_t... kKnown>
constexpr auto KnownFunctions(std::index_sequence<kKnown...>) {
  return std::array<KnownFunction, sizeof...(kKnown)>{RunKnown<kKnown>...};
}
constexpr auto kKnownFunctions = KnownFunctions(std::make_index_sequence<kKnownPrograms.size()>());

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
