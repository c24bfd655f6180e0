#include "backends/executable/move_step.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <numeric>
#include <utility>

#include "backends/executable/basic_steps.h"
#include "backends/reference/kernel.h"

namespace refrain::executable {
namespace {

// Elements of a result whose moves are worked out beforehand, and of runs on average: shorter ones
// would take more memory than what they move.
constexpr int64_t kMostElements = 1 << 22, kShortRun = 4, kMostShortRuns = 4096;

bool only_moves(Op op) {
  return op == Op::pad || op == Op::tile || op == Op::trilu || op == Op::reverse_sequence;
}

// Operand that may be anything: what pad fills with.
bool is_value(const Node& node, size_t operand) { return node.op() == Op::pad && operand == 2; }

std::vector<MoveStep::Run> runs_of(std::span<const int64_t> sources) {
  std::vector<MoveStep::Run> runs;
  for (const int64_t source : sources) {
    const int64_t from = source - 1;
    if (!runs.empty()) {
      MoveStep::Run& run = runs.back();
      const int64_t step = from - (run.from + (run.count - 1) * run.step);
      const bool filling = run.from < 0 || from < 0;
      if (filling          ? run.from < 0 && from < 0
          : run.count == 1 ? std::abs(step) <= 1
                           : step == run.step) {
        run.step = filling ? 0 : step;
        ++run.count;
        continue;
      }
    }
    runs.push_back({from, 1, 0});
  }
  return runs;
}

template <size_t N>
void repeat(char* to, const char* from, int64_t count, int64_t step) {
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * static_cast<int64_t>(N), from + i * step, N);
  }
}

}  // namespace

void MoveStep::run() {
  const char* const x = pointer(0);
  constexpr int64_t kZero = 0;
  const char* const value = pointer(1) ? pointer(1) : reinterpret_cast<const char*>(&kZero);
  char* to = pointer(2);
  for (const Run& run : runs_) {
    const char* const from = run.from < 0 ? value : x + run.from * element_bytes_;
    const int64_t bytes = run.count * element_bytes_, step = run.step * element_bytes_;
    if (run.step == 1) {
      std::memcpy(to, from, static_cast<size_t>(bytes));
    } else if (element_bytes_ == 4) {
      repeat<4>(to, from, run.count, step);
    } else if (element_bytes_ == 8) {
      repeat<8>(to, from, run.count, step);
    } else if (element_bytes_ == 2) {
      repeat<2>(to, from, run.count, step);
    } else {
      repeat<1>(to, from, run.count, step);
    }
    to += bytes;
  }
}

std::string MoveStep::describe() const {
  return what_ + ", " + std::to_string(runs_.size()) + " runs of elements";
}

bool MoveStep::worth_a_task() const {
  const int64_t count =
      std::accumulate(runs_.begin(), runs_.end(), int64_t{0},
                      [](int64_t sum, const Run& run) { return sum + run.count; });
  return count * element_bytes_ >= kWorthATask;
}

std::unique_ptr<MoveStep> make_move(const Lowering& lowering, const Node& node) {
  if (!only_moves(node.op())) return nullptr;
  const std::vector<int64_t> from = extents_of(*node.operand(0)), to = extents_of(*node.result());
  const int64_t count = element_count(to);
  if (count > kMostElements || element_count(from) > kMostElements) return nullptr;
  // The reference kernel moves the elements' numbers, from 1 on; what it fills with is 0.
  Tensor numbers(ElementType::i64, from), moved(ElementType::i64, to);
  const auto elements = numbers.data<int64_t>();
  std::iota(elements.begin(), elements.end(), int64_t{1});
  const Tensor zero = Tensor::scalar<int64_t>(0);
  std::vector<const Tensor*> operands{&numbers};
  for (size_t i = 1; i < node.operand_count(); ++i) {
    const Value* operand = node.operand(i);
    if (operand && is_value(node, i)) {
      if (element_count(extents_of(*operand)) != 1)
        return nullptr;  // its kernel says what is wrong
      operands.push_back(&zero);
      continue;
    }
    operands.push_back(operand ? lowering.constant(operand) : nullptr);
    if (operand && !operands.back()) return nullptr;
  }
  reference::find_kernel(node.op())({node, operands, std::span(&moved, 1)});
  std::vector<MoveStep::Run> runs = runs_of(moved.data<int64_t>());
  const auto found = static_cast<int64_t>(runs.size());
  if (found > kMostShortRuns && count / found < kShortRun) return nullptr;
  return std::make_unique<MoveStep>(std::string(name(node.op())) + " " + extents_text(to),
                                    std::move(runs),
                                    static_cast<int64_t>(size_of(node.result()->type().element)));
}

}  // namespace refrain::executable
