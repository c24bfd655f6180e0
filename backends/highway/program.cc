#include "backends/highway/program.h"

#include <bitset>
#include <cstdio>

#include "ir/error.h"

namespace refrain::highway {
namespace {

struct Description {
  const char* name;
  uint8_t operands;
  uint8_t parameters;  // how many of alpha, beta it has
};

// In the order of Operation.
constexpr Description kDescriptions[] = {
    {"constant", 0, 1},
    {"neg", 1, 0},
    {"abs", 1, 0},
    {"sign", 1, 0},
    {"sqrt", 1, 0},
    {"exp", 1, 0},
    {"log", 1, 0},
    {"erf", 1, 0},
    {"floor", 1, 0},
    {"ceil", 1, 0},
    {"round", 1, 0},
    {"sin", 1, 0},
    {"cos", 1, 0},
    {"sigmoid", 1, 0},
    {"tanh", 1, 0},
    {"relu", 1, 0},
    {"leaky_relu", 1, 1},
    {"elu", 1, 1},
    {"selu", 1, 2},
    {"hard_sigmoid", 1, 2},
    {"softplus", 1, 0},
    {"softsign", 1, 0},
    {"thresholded_relu", 1, 1},
    {"gelu", 1, 0},
    {"gelu_tanh", 1, 0},
    {"reciprocal", 1, 0},
    {"add", 2, 0},
    {"sub", 2, 0},
    {"mul", 2, 0},
    {"div", 2, 0},
    {"max", 2, 0},
    {"min", 2, 0},
    {"pow", 2, 0},
    {"prelu", 2, 0},
    {"equal", 2, 0},
    {"less", 2, 0},
    {"less_equal", 2, 0},
    {"greater", 2, 0},
    {"greater_equal", 2, 0},
    {"multiply_add", 3, 0},
    {"select", 3, 0},
    {"logical_not", 1, 0},
    {"truth", 1, 0},
    {"is_nan", 1, 0},
    {"not_equal", 2, 0},
};
constexpr size_t kOperations = std::size(kDescriptions);
static_assert(kOperations == static_cast<size_t>(Operation::not_equal) + 1);

const Description& describe(Operation operation) {
  const auto index = static_cast<size_t>(operation);
  if (index >= kOperations) {
    throw Error("unknown operation in a pointwise program",
                "a number below " + std::to_string(kOperations), std::to_string(index));
  }
  return kDescriptions[index];
}

std::string register_name(size_t index) { return "r" + std::to_string(index); }

std::string number(float value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", static_cast<double>(value));
  return text;
}

}  // namespace

size_t operand_count(Operation operation) { return describe(operation).operands; }

void check(const Program& program) {
  if (program.inputs > kMaxRegisters) {
    throw Error("too many inputs of a pointwise program",
                "at most " + std::to_string(kMaxRegisters), std::to_string(program.inputs));
  }
  std::bitset<kMaxRegisters> written;
  for (size_t i = 0; i < program.inputs; ++i) written.set(i);
  const auto expect_written = [&](size_t index) {
    if (index >= kMaxRegisters || !written[index]) {
      throw Error("a pointwise program reads a register that nothing wrote",
                  "an input or an earlier result", register_name(index));
    }
  };
  for (const Instruction& instruction : program.code) {
    const size_t operands = operand_count(instruction.operation);
    for (size_t i = 0; i < operands; ++i) expect_written(instruction.operands[i]);
    if (instruction.result >= kMaxRegisters) {
      throw Error("no such register in a pointwise program",
                  "a number below " + std::to_string(kMaxRegisters),
                  register_name(instruction.result));
    }
    if (written[instruction.result]) {
      throw Error("a pointwise program writes a register twice", "a register not used yet",
                  register_name(instruction.result));
    }
    written.set(instruction.result);
  }
  for (const uint8_t output : program.outputs) expect_written(output);
}

std::string to_string(const Program& program) {
  std::string text;
  for (const Instruction& instruction : program.code) {
    const Description& description = describe(instruction.operation);
    text += register_name(instruction.result) + " = " + description.name + '(';
    const char* separator = "";
    for (size_t i = 0; i < description.operands; ++i) {
      text += separator + register_name(instruction.operands[i]);
      separator = ", ";
    }
    for (size_t i = 0; i < description.parameters; ++i) {
      text += separator + number(i == 0 ? instruction.alpha : instruction.beta);
      separator = ", ";
    }
    text += ")\n";
  }
  text += "return";
  const char* separator = " ";
  for (const uint8_t output : program.outputs) {
    text += separator + register_name(output);
    separator = ", ";
  }
  return text + '\n';
}

}  // namespace refrain::highway
