// Internal to executables: steps that run one kernel.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/executable/step.h"
#include "backends/executable/step_kernel.h"
#include "backends/highway/program.h"
#include "backends/reference/kernel.h"
#include "ir/graph.h"
#include "ir/tensor.h"

namespace refrain::executable {

// A node by the reference backend's kernel. Slots: the node's operands, then its results. The node
// must outlive it.
class ReferenceStep final : public Step {
 public:
  // `checked`: operands whose elements matter to the node's types are not constant, so that its
  // inference is run again with them each time.
  ReferenceStep(const Node& node, bool checked);

  void run() override;
  void rebind() override;
  std::string describe() const override;
  bool real_time() const override { return false; }

 private:
  const Node& node_;
  const bool checked_;
  reference::Kernel kernel_;
  std::vector<Tensor> operand_headers_, results_;
  std::vector<const Tensor*> operands_;
  bool clear_;  // results must be zero before
};

// A node by a prepared kernel. Slots: the node's operands, then its results.
class KernelStep final : public Step {
 public:
  KernelStep(const Node& node, std::unique_ptr<StepKernel> kernel)
      : operands_(node.operand_count()), kernel_(std::move(kernel)) {}

  void run() override;
  std::string describe() const override { return kernel_->describe(); }
  bool real_time() const override { return kernel_->real_time(); }

 private:
  size_t operands_;
  std::unique_ptr<StepKernel> kernel_;
};

// A pointwise program over a [rows, columns] space. Slots: inputs, then results, which are dense.
class ProgramStep final : public Step {
 public:
  struct Input {
    int64_t row_stride, column_stride;
  };
  ProgramStep(highway::Program program, int64_t rows, int64_t columns,
              const std::vector<Input>& inputs, int threads);

  void run() override;
  void rebind() override;
  std::string describe() const override;
  bool uses_workers() const override { return threads_ > 1 && rows_ >= 2 * grain(); }
  bool worth_a_task() const override { return rows_ >= grain(); }

 private:
  int64_t grain() const;
  void run_rows(int64_t begin, int64_t end) const;

  highway::Program program_;
  int64_t rows_, columns_;
  int threads_;
  std::vector<highway::ArrayOperand> inputs_;
  std::vector<float*> results_;
  std::vector<int64_t> result_strides_;
};

// Bytes that are worth a task to copy.
inline constexpr int64_t kWorthATask = 1 << 18;

// Copies bytes. Slots: from, to.
class CopyStep final : public Step {
 public:
  explicit CopyStep(int64_t bytes) : bytes_(bytes) {}

  void run() override;
  std::string describe() const override;
  bool worth_a_task() const override { return bytes_ >= kWorthATask; }

 private:
  int64_t bytes_;
};

// A copy of a box of elements by strides. Slots: from, to.
class StridedCopyStep final : public Step {
 public:
  // Outermost axis first; strides in bytes; `bytes` contiguous ones for each place.
  struct Axis {
    int64_t extent, from_stride, to_stride;
  };
  StridedCopyStep(std::string what, std::vector<Axis> axes, int64_t bytes);

  void run() override;
  std::string describe() const override;
  bool worth_a_task() const override;

 private:
  std::string what_;
  std::vector<Axis> axes_;
  int64_t bytes_;
};

// `[2, 3]` and the like, for descriptions.
std::string extents_text(const std::vector<int64_t>& extents);

}  // namespace refrain::executable
