// What the kernels made of oneDNN primitives share: threads, memory, execution.
#pragma once

#include <omp.h>

#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backends/onednn/kernels.h"

namespace refrain::onednn {

dnnl::engine& cpu_engine();

// OpenMP's number of threads for the calling thread, given back at the end. It is a store to
// thread-local memory: cheap enough for every run. Primitives are chosen by it, so that it is set
// while they are made, too.
class ThreadScope {
 public:
  explicit ThreadScope(int threads) : before_(omp_get_max_threads()) {
    if (before_ != threads) omp_set_num_threads(threads);
    changed_ = before_ != threads;
  }
  ~ThreadScope() {
    if (changed_) omp_set_num_threads(before_);
  }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
  bool changed_ = false;
};

struct SharedBuffers::State {
  struct Packed {
    dnnl::memory::desc from, to;
    dnnl::memory memory;
  };
  std::unordered_multimap<const void*, Packed> packed;  // by the constant's elements
  std::vector<dnnl::memory> scratchpads;
};

// Row-major.
dnnl::memory::desc dense(const dnnl::memory::dims& dims);
// dense(), in whatever layout the primitive likes best.
dnnl::memory::desc any_layout(const dnnl::memory::dims& dims);
// The extents of an operand or a result, which are constant.
inline dnnl::memory::dims dims_of(const Value& value) { return value.type().shape.extents(); }
// "2x3".
std::string text(const dnnl::memory::dims& dims);
// With memory for scratch from outside.
dnnl::primitive_attr user_scratchpad();

// One or more primitives, run one after the other, whose arguments are operands, results and memory
// of their own. After construction a run allocates nothing but what oneDNN itself does (kernels.h).
class PrimitiveKernel : public StepKernel {
 public:
  explicit PrimitiveKernel(const KernelOptions& options);

  // Memory that takes the place of an operand, of a result, at each run.
  dnnl::memory operand(size_t i, const dnnl::memory::desc& desc);
  dnnl::memory result(size_t i, const dnnl::memory::desc& desc);
  // An operand in the layout `wanted`: a constant is brought into it now, anything else at each run
  // before the primitives that are added after this.
  dnnl::memory operand_as(size_t i, const Tensor* constant, const dnnl::memory::desc& desc,
                          const dnnl::memory::desc& wanted);
  // A result for a primitive that writes it in the layout `written`. finish() adds what brings it
  // into its own.
  dnnl::memory result_from(size_t i, const dnnl::memory::desc& desc,
                           const dnnl::memory::desc& written);
  void finish();
  // `scratchpad` is what the primitive's descriptor asks for.
  void add(dnnl::primitive primitive, std::vector<std::pair<int, dnnl::memory>> arguments,
           const dnnl::memory::desc& scratchpad);

  void set_description(std::string text) { description_ = std::move(text); }
  std::string describe() const override { return description_; }
  void run(const void* const* operands, void* const* results) override;

 private:
  struct Binding {
    dnnl::memory memory;
    size_t index;
    const void* bound;
  };
  struct Execution {
    dnnl::primitive primitive;
    std::vector<std::pair<int, dnnl::memory>> keep;
    std::vector<dnnl_exec_arg_t> arguments;  // of `keep`
  };

  void add_reorder(dnnl::memory& from, dnnl::memory& to);
  static void bind(Binding& binding, const void* elements);

  std::unique_ptr<SharedBuffers> own_;
  SharedBuffers::State* buffers_;  // only while the kernel is made
  int threads_;
  dnnl::stream stream_;
  std::vector<Binding> operands_, results_;
  std::vector<std::pair<dnnl::memory, dnnl::memory>> unfinished_;
  std::vector<Execution> executions_;
  std::string description_;
};

// One kernel a file; each throws dnnl::error where oneDNN refuses, and returns null where it would
// give something else.
using Constants = std::span<const Tensor* const>;
std::unique_ptr<StepKernel> make_matmul(const Node&, Constants, const KernelOptions&);
std::unique_ptr<StepKernel> make_convolution(const Node&, Constants, const KernelOptions&);
std::unique_ptr<StepKernel> make_transposed_convolution(const Node&, Constants,
                                                        const KernelOptions&);
std::unique_ptr<StepKernel> make_pooling(const Node&, const KernelOptions&);

}  // namespace refrain::onednn
