#include "backends/executable/basic_steps.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "backends/executable/parallel.h"
#include "backends/highway/transpose.h"
#include "backends/reference/runtime_inference.h"
#include "ir/error.h"

namespace refrain::executable {
namespace {

Tensor header(const ValueType& type) {
  return Tensor::borrow(type.element, type.shape.extents(), nullptr);
}

}  // namespace

std::string extents_text(const std::vector<int64_t>& extents) {
  return to_string(Shape::of_extents(extents));
}

ReferenceStep::ReferenceStep(const Node& node, bool checked)
    : node_(node),
      checked_(checked),
      kernel_(reference::find_kernel(node.op())),
      clear_(!reference::overwrites(node.op())) {
  operand_headers_.reserve(node.operand_count());
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Value* operand = node.operand(i);
    operand_headers_.push_back(operand ? header(operand->type())
                                       : Tensor::borrow(ElementType::u8, {0}, nullptr));
    operands_.push_back(operand ? &operand_headers_.back() : nullptr);
  }
  for (size_t i = 0; i < node.result_count(); ++i) {
    results_.push_back(header(node.result(i)->type()));
  }
}

void ReferenceStep::rebind() {
  for (size_t i = 0; i < operand_headers_.size(); ++i) operand_headers_[i].rebind(pointer(i));
  for (size_t i = 0; i < results_.size(); ++i) {
    results_[i].rebind(pointer(operand_headers_.size() + i));
  }
}

void ReferenceStep::run() {
  try {
    if (checked_) {
      const std::vector<ValueType> types = reference::infer_concrete(node_, operands_);
      for (size_t i = 0; i < types.size(); ++i) {
        if (types[i].shape.extents() == results_[i].extents()) continue;
        throw Error("a result has another shape than the model says",
                    to_string(node_.result(i)->type()), to_string(types[i]));
      }
    }
    if (clear_) {
      for (Tensor& result : results_) {
        if (result.bytes() > 0) {
          std::memset(result.raw(), 0, static_cast<size_t>(result.bytes()));
        }
      }
    }
    kernel_({node_, operands_, results_});
  } catch (Error& error) {
    error.at_node(node_.display_name(), std::string(name(node_.op())));
    throw;
  }
}

std::string ReferenceStep::describe() const {
  std::string text = "reference " + std::string(name(node_.op()));
  for (const Tensor& result : results_) text += " " + extents_text(result.extents());
  return text;
}

void KernelStep::run() { kernel_->run(pointers(), pointers() + operands_); }

ProgramStep::ProgramStep(highway::Program program, int64_t rows, int64_t columns,
                         const std::vector<Input>& inputs, int threads)
    : program_(std::move(program)), rows_(rows), columns_(columns), threads_(threads) {
  highway::check(program_);
  for (const Input& input : inputs)
    inputs_.push_back({nullptr, input.row_stride, input.column_stride});
  results_.resize(program_.outputs.size());
  result_strides_.assign(program_.outputs.size(), columns);
}

void ProgramStep::rebind() {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    inputs_[i].data = floats(i);
  }
  for (size_t i = 0; i < results_.size(); ++i) {
    results_[i] = floats(inputs_.size() + i);
  }
}

void ProgramStep::run_rows(int64_t begin, int64_t end) const {
  highway::ArrayOperand inputs[highway::kMaxRegisters];
  float* results[highway::kMaxRegisters];
  for (size_t i = 0; i < inputs_.size(); ++i) {
    inputs[i] = inputs_[i];
    inputs[i].data += begin * inputs[i].row_stride;
  }
  for (size_t i = 0; i < results_.size(); ++i) results[i] = results_[i] + begin * columns_;
  highway::run_program(program_, end - begin, columns_, inputs, results, result_strides_.data());
}

int64_t ProgramStep::grain() const {
  constexpr int64_t kWorthAThread = 16384;  // elements
  return std::max<int64_t>(1, kWorthAThread / std::max<int64_t>(1, columns_));
}

void ProgramStep::run() {
  for_rows(threads_, rows_, grain(), [&](int64_t begin, int64_t end) { run_rows(begin, end); });
}

std::string ProgramStep::describe() const {
  return "pointwise [" + std::to_string(rows_) + ", " + std::to_string(columns_) + "], " +
         std::to_string(program_.code.size()) + " operations, " + std::to_string(inputs_.size()) +
         " inputs";
}

void CopyStep::run() {
  if (bytes_ > 0) std::memcpy(pointer(1), pointer(0), static_cast<size_t>(bytes_));
}

std::string CopyStep::describe() const { return "copy " + std::to_string(bytes_) + " bytes"; }

StridedCopyStep::StridedCopyStep(std::string what, std::vector<Axis> axes, int64_t bytes)
    : what_(std::move(what)), bytes_(bytes) {
  // Axes that go on where the one inside ends are one axis.
  for (const Axis& axis : axes) {
    if (axis.extent == 1) continue;
    if (!axes_.empty() && axes_.back().from_stride == axis.extent * axis.from_stride &&
        axes_.back().to_stride == axis.extent * axis.to_stride) {
      axes_.back() = {axes_.back().extent * axis.extent, axis.from_stride, axis.to_stride};
    } else {
      axes_.push_back(axis);
    }
  }
  while (!axes_.empty() && axes_.back().from_stride == bytes_ && axes_.back().to_stride == bytes_) {
    bytes_ *= axes_.back().extent;
    axes_.pop_back();
  }
}

namespace {

template <typename Move>
void walk(const StridedCopyStep::Axis* axis, const StridedCopyStep::Axis* end, const char* from,
          char* to, const Move& move) {
  if (axis == end) return move(from, to);
  for (int64_t i = 0; i < axis->extent; ++i) {
    walk(axis + 1, end, from + i * axis->from_stride, to + i * axis->to_stride, move);
  }
}

// A box of two axes, read along the one and written along the other, square by square: so that
// lines are still in cache when their next element is.
template <size_t N>
void transpose(const StridedCopyStep::Axis& outer, const StridedCopyStep::Axis& inner,
               const char* from, char* to) {
  if constexpr (N == sizeof(float)) {
    return highway::transpose(from, inner.from_stride, inner.extent, outer.extent, to,
                              outer.to_stride);
  }
  constexpr int64_t kSide = 16;
  for (int64_t i = 0; i < outer.extent; i += kSide) {
    const int64_t rows = std::min(kSide, outer.extent - i);
    for (int64_t k = 0; k < inner.extent; k += kSide) {
      const int64_t columns = std::min(kSide, inner.extent - k);
      for (int64_t row = i; row < i + rows; ++row) {
        for (int64_t column = k; column < k + columns; ++column) {
          std::memcpy(to + row * outer.to_stride + column * inner.to_stride,
                      from + row * outer.from_stride + column * inner.from_stride, N);
        }
      }
    }
  }
}

template <size_t N>
void walk_elements(const StridedCopyStep::Axis* axes, size_t count, const char* from, char* to) {
  constexpr auto kElement = static_cast<int64_t>(N);
  if (count >= 2 && axes[count - 1].to_stride == kElement &&
      axes[count - 2].from_stride == kElement) {
    walk(axes, axes + count - 2, from, to, [&](const char* source, char* target) {
      transpose<N>(axes[count - 2], axes[count - 1], source, target);
    });
    return;
  }
  // The innermost axis as a loop of moves of known size.
  const StridedCopyStep::Axis inner = axes[count - 1];
  walk(axes, axes + count - 1, from, to, [&](const char* source, char* target) {
    for (int64_t i = 0; i < inner.extent; ++i) {
      std::memcpy(target + i * inner.to_stride, source + i * inner.from_stride, N);
    }
  });
}

}  // namespace

void StridedCopyStep::run() {
  const size_t count = axes_.size();
  if (count > 0 && bytes_ == 4) {
    walk_elements<4>(axes_.data(), count, pointer(0), pointer(1));
  } else if (count > 0 && bytes_ == 8) {
    walk_elements<8>(axes_.data(), count, pointer(0), pointer(1));
  } else {
    const auto bytes = static_cast<size_t>(bytes_);
    walk(axes_.data(), axes_.data() + count, pointer(0), pointer(1),
         [&](const char* source, char* target) { std::memcpy(target, source, bytes); });
  }
}

bool StridedCopyStep::worth_a_task() const {
  int64_t bytes = bytes_;
  for (const Axis& axis : axes_) bytes *= axis.extent;  // of tensors: no overflow
  return bytes >= kWorthATask;
}

std::string StridedCopyStep::describe() const {
  std::string text = what_ + " by strides:";
  for (const Axis& axis : axes_) text += " " + std::to_string(axis.extent) + " x";
  return text + " " + std::to_string(bytes_) + " bytes";
}

}  // namespace refrain::executable
