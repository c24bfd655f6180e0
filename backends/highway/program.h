// Pointwise programs: what is left of a graph between its products.
//
// A program is straight-line code over registers, each of which stands for one f32 element of every
// place that the program is applied to; places don't depend on each other. It is data, so that any
// cell has an epilogue; kernels recognise the common ones and run these from code of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace refrain::highway {

enum class Operation : uint8_t {
  constant,  // alpha
  // one operand
  neg,
  abs,
  sign,
  sqrt,
  exp,
  log,
  erf,
  floor,
  ceil,
  round,
  sin,
  cos,
  sigmoid,
  tanh,
  relu,
  leaky_relu,    // alpha
  elu,           // alpha
  selu,          // alpha, beta = gamma
  hard_sigmoid,  // alpha, beta
  softplus,
  softsign,
  thresholded_relu,  // alpha
  gelu,
  gelu_tanh,
  reciprocal,
  // two operands
  add,
  sub,
  mul,
  div,
  max,
  min,
  pow,
  prelu,
  equal,
  less,
  less_equal,
  greater,
  greater_equal,  // 1 or 0
  // three operands
  multiply_add,  // a * b + c, rounded once or twice
  select,        // a != 0 ? b : c
  // truth values, which are 1 and 0
  logical_not,  // a == 0
  truth,        // a != 0; NaN is true
  is_nan,
  not_equal,  // of two operands; NaN differs from everything
};

inline constexpr size_t kMaxRegisters = 128;

struct Instruction {
  Operation operation;
  uint8_t result;       // a register that nothing wrote before
  uint8_t operands[3];  // as many as the operation has
  float alpha = 0, beta = 0;

  friend bool operator==(const Instruction&, const Instruction&) = default;
};

struct Program {
  size_t inputs = 0;  // registers 0 .. inputs-1 hold these at the start
  std::vector<Instruction> code;
  std::vector<uint8_t> outputs;  // registers to be stored; one may be stored twice

  friend bool operator==(const Program&, const Program&) = default;
};

size_t operand_count(Operation operation);

// Checks what kernels rely on: registers below kMaxRegisters, written before they are read, once.
// Throws Error.
void check(const Program& program);

// For people: `r4 = sigmoid(r0)`, one instruction a line.
std::string to_string(const Program& program);

// How an input or output of an array program moves: by element, or not at all.
struct ArrayOperand {
  const float* data;
  // Element (i, j) of a [rows, columns] iteration space lies at data[i * row_stride + j *
  // column_stride]; column_stride is 0 or 1.
  int64_t row_stride, column_stride;
};

// Applies a program to every place of a [rows, columns] space. Results are data[i * row_stride + j]
// and must not overlap inputs unless they are exactly the same places. No allocation, no lock; any
// thread.
void run_program(const Program& program, int64_t rows, int64_t columns, const ArrayOperand* inputs,
                 float* const* results, const int64_t* result_row_strides);

}  // namespace refrain::highway
