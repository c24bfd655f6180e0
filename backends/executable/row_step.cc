#include "backends/executable/row_step.h"

#include <algorithm>
#include <utility>

#include "backends/executable/parallel.h"

namespace refrain::executable {
namespace {

constexpr int64_t kWorthAThread = 65536;  // elements that instructions make

int64_t row_cost(const highway::RowProgram& program) {
  int64_t cost = 1;
  for (const highway::RowInstruction& instruction : program.code) cost += instruction.width;
  return cost;
}

}  // namespace

RowStep::RowStep(highway::RowProgram program, int64_t rows, int threads)
    : kernel_(std::move(program)), rows_(rows) {
  const int64_t grain = std::max<int64_t>(1, kWorthAThread / row_cost(kernel_.program()));
  parts_ = std::clamp<int64_t>(rows / grain, 1, threads);
}

int64_t RowStep::scratch_bytes() const {
  return parts_ * kernel_.scratch_floats() * static_cast<int64_t>(sizeof(float));
}

void RowStep::run() {
  const size_t inputs = kernel_.program().inputs.size(), outputs = kernel_.program().outputs.size();
  void* const* const from = pointers();
  float* const scratch = floats(inputs + outputs);
  for_rows(static_cast<int>(parts_), parts_, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      kernel_.run(rows_ * part / parts_, rows_ * (part + 1) / parts_, from, from + inputs,
                  scratch + part * kernel_.scratch_floats());
    }
  });
}

std::string RowStep::describe() const {
  return "rows of " + std::to_string(rows_) + ", " + std::to_string(kernel_.program().code.size()) +
         " operations, " + std::to_string(kernel_.program().inputs.size()) + " inputs";
}

}  // namespace refrain::executable
