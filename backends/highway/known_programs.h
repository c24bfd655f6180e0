// Programs that the loop kernel has straight-line code for.
//
// A known program is data like any other: the kernel's templates turn its instructions into code
// at compile time, with all values in registers. A stage's program is an instance of one if it
// computes the same expressions of its own gates and streams in any order (see match.h); to make
// another cell known is to add its instructions here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "backends/highway/program.h"

namespace refrain::highway {

struct KnownProgram {
  const char* name;
  size_t gates;   // inputs 0 .. gates-1
  size_t inputs;  // gates, then streams
  size_t instructions;
  std::array<Instruction, 12> code;
  size_t output_count;
  std::array<uint8_t, 2> outputs;
  // A program whose values wait for each other for long runs in two passes over the places, because
  // a processor looks ahead over more places of a short pass: the first `first` instructions (0:
  // one pass), then the rest, which reads of their results only register `handed`, and not gate 0.
  size_t first = 0;
  uint8_t handed = 0;
  // Only for stages of two products that are skewed: see StagePlan.
  bool skewed = false;

  constexpr std::span<const Instruction> program() const {
    return std::span(code).first(instructions);
  }
};

namespace known {

constexpr Instruction apply(Operation operation, uint8_t result, uint8_t a, uint8_t b = 0,
                            uint8_t c = 0) {
  return {operation, result, {a, b, c}};
}
constexpr Instruction one(uint8_t result) { return {Operation::constant, result, {}, 1.0F}; }

using enum Operation;

// h = gate; the sum of a product and what is added to it.
inline constexpr KnownProgram kIdentity{"identity", 1, 1, 0, {}, 1, {0}};
inline constexpr KnownProgram kTanh{"tanh", 1, 1, 1, {apply(tanh, 1, 0)}, 1, {1}};
inline constexpr KnownProgram kRelu{"relu", 1, 1, 1, {apply(relu, 1, 0)}, 1, {1}};
inline constexpr KnownProgram kSigmoid{"sigmoid", 1, 1, 1, {apply(sigmoid, 1, 0)}, 1, {1}};

// Gates f, i, g, o; stream c. c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c').
inline constexpr KnownProgram kLstm{
    "lstm",
    4,
    5,
    8,
    {apply(sigmoid, 5, 0), apply(sigmoid, 6, 1), apply(tanh, 7, 2), apply(mul, 9, 6, 7),
     apply(multiply_add, 10, 5, 4, 9), apply(sigmoid, 8, 3), apply(tanh, 11, 10),
     apply(mul, 12, 8, 11)},
    2,
    {10, 12},
    5,
    10};

// Gates r, z, n; streams x, h. n' = tanh(x + sigmoid(r) n), h' = (1 - z') n' + z' h.
inline constexpr KnownProgram kGruResetAfter{
    "gru, reset after",
    3,
    5,
    8,
    {apply(sigmoid, 5, 0), apply(multiply_add, 7, 5, 2, 3), apply(sigmoid, 6, 1), apply(tanh, 8, 7),
     one(9), apply(sub, 10, 9, 6), apply(mul, 11, 6, 4), apply(multiply_add, 12, 10, 8, 11)},
    1,
    {12},
    2,
    7};

// The same with h' = n' + z' (h - n').
inline constexpr KnownProgram kGruResetAfterBlend{
    "gru, reset after, blend",
    3,
    5,
    6,
    {apply(sigmoid, 5, 0), apply(multiply_add, 7, 5, 2, 3), apply(sigmoid, 6, 1), apply(tanh, 8, 7),
     apply(sub, 9, 4, 8), apply(multiply_add, 10, 6, 9, 8)},
    1,
    {10},
    2,
    7};

// The same two where x is a gate too, of a product of its own: gates x, r, z, n; stream h.
inline constexpr KnownProgram kGruBothProducts{
    "gru, reset after, both products",
    4,
    5,
    8,
    {apply(sigmoid, 5, 1), apply(multiply_add, 7, 5, 3, 0), apply(sigmoid, 6, 2), apply(tanh, 8, 7),
     one(9), apply(sub, 10, 9, 6), apply(mul, 11, 6, 4), apply(multiply_add, 12, 10, 8, 11)},
    1,
    {12},
    2,
    7,
    true};
inline constexpr KnownProgram kGruBothProductsBlend{
    "gru, reset after, both products, blend",
    4,
    5,
    6,
    {apply(sigmoid, 5, 1), apply(multiply_add, 7, 5, 3, 0), apply(sigmoid, 6, 2), apply(tanh, 8, 7),
     apply(sub, 9, 4, 8), apply(multiply_add, 10, 6, 9, 8)},
    1,
    {10},
    2,
    7,
    true};

// Gates r, z; stream h: sigmoid(r) h and sigmoid(z). What a GRU needs before its second product.
inline constexpr KnownProgram kGruReset{
    "gru, reset", 2, 3, 3, {apply(sigmoid, 3, 0), apply(mul, 4, 3, 2), apply(sigmoid, 5, 1)}, 2,
    {4, 5}};

// Gate f; stream h: sigmoid(f) h and sigmoid(f). The same for a unit of one gate.
inline constexpr KnownProgram kMinimalReset{
    "minimal gated unit, reset", 1, 2, 2, {apply(sigmoid, 2, 0), apply(mul, 3, 2, 1)}, 2, {3, 2}};

// Gate n; streams z, h: (1 - z) tanh(n) + z h. The second half of such a GRU.
inline constexpr KnownProgram kGruUpdate{"gru, update",
                                         1,
                                         3,
                                         5,
                                         {apply(tanh, 3, 0), one(4), apply(sub, 5, 4, 1),
                                          apply(mul, 6, 1, 2), apply(multiply_add, 7, 5, 3, 6)},
                                         1,
                                         {7}};
inline constexpr KnownProgram kGruUpdateBlend{
    "gru, update, blend",
    1,
    3,
    3,
    {apply(tanh, 3, 0), apply(sub, 4, 2, 3), apply(multiply_add, 5, 1, 4, 3)},
    1,
    {5}};

}  // namespace known

inline constexpr std::array kKnownPrograms{
    known::kIdentity,
    known::kTanh,
    known::kRelu,
    known::kSigmoid,
    known::kLstm,
    known::kGruResetAfter,
    known::kGruReset,
    known::kGruUpdate,
    known::kGruResetAfterBlend,
    known::kGruBothProducts,
    known::kGruBothProductsBlend,
    known::kGruUpdateBlend,
    known::kMinimalReset,
};

inline constexpr size_t kIdentity = 0;  // the index of known::kIdentity

}  // namespace refrain::highway
