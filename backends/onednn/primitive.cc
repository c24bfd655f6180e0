#include "backends/onednn/primitive.h"

#include <algorithm>

#include "ir/error.h"

namespace refrain::onednn {

using dnnl::memory;

dnnl::engine& cpu_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

std::string version() {
  const dnnl_version_t* version = dnnl_version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
         std::to_string(version->patch);
}

SharedBuffers::SharedBuffers() : state_(std::make_unique<State>()) {}
SharedBuffers::~SharedBuffers() = default;

memory::desc dense(const memory::dims& dims) {
  memory::dims strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return {dims, memory::data_type::f32, strides};
}

memory::desc any_layout(const memory::dims& dims) {
  return {dims, memory::data_type::f32, memory::format_tag::any};
}

std::string text(const memory::dims& dims) {
  std::string result;
  for (memory::dim extent : dims) {
    if (!result.empty()) result += 'x';
    result += std::to_string(extent);
  }
  return result;
}

dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

PrimitiveKernel::PrimitiveKernel(const KernelOptions& options)
    : own_(options.buffers ? nullptr : std::make_unique<SharedBuffers>()),
      buffers_(options.buffers ? &options.buffers->state() : &own_->state()),
      threads_(options.threads),
      stream_(cpu_engine()) {}

memory PrimitiveKernel::operand(size_t i, const memory::desc& desc) {
  memory result(desc, cpu_engine(), nullptr);
  operands_.push_back({result, i, nullptr});
  return result;
}

memory PrimitiveKernel::result(size_t i, const memory::desc& desc) {
  memory result(desc, cpu_engine(), nullptr);
  results_.push_back({result, i, nullptr});
  return result;
}

memory PrimitiveKernel::operand_as(size_t i, const Tensor* constant, const memory::desc& desc,
                                   const memory::desc& wanted) {
  if (desc == wanted) return operand(i, desc);
  if (!constant) {
    memory from = operand(i, desc), to(wanted, cpu_engine());
    add_reorder(from, to);
    return to;
  }
  const auto [begin, end] = buffers_->packed.equal_range(constant->raw());
  for (auto found = begin; found != end; ++found) {
    if (found->second.from == desc && found->second.to == wanted) return found->second.memory;
  }
  // oneDNN takes sources without const; a reorder only reads them.
  memory from(desc, cpu_engine(), const_cast<void*>(constant->raw()));
  memory to(wanted, cpu_engine());
  dnnl::reorder(from, to).execute(stream_, from, to);
  stream_.wait();
  buffers_->packed.emplace(constant->raw(), SharedBuffers::State::Packed{desc, wanted, to});
  return to;
}

memory PrimitiveKernel::result_from(size_t i, const memory::desc& desc,
                                    const memory::desc& written) {
  memory own = result(i, desc);
  if (desc == written) return own;
  memory from(written, cpu_engine());
  unfinished_.emplace_back(from, own);
  return from;
}

void PrimitiveKernel::finish() {
  for (auto& [from, to] : unfinished_) add_reorder(from, to);
  unfinished_.clear();
  buffers_ = nullptr;
  own_.reset();
}

void PrimitiveKernel::add_reorder(memory& from, memory& to) {
  const dnnl::reorder::primitive_desc descriptor(from, to, user_scratchpad());
  add(dnnl::reorder(descriptor), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}},
      descriptor.scratchpad_desc());
}

void PrimitiveKernel::add(dnnl::primitive primitive, std::vector<std::pair<int, memory>> arguments,
                          const memory::desc& scratchpad) {
  if (scratchpad.get_size() > 0) {
    auto& scratchpads = buffers_->scratchpads;
    auto found = std::find_if(scratchpads.begin(), scratchpads.end(),
                              [&](const memory& m) { return m.get_desc() == scratchpad; });
    if (found == scratchpads.end()) {
      found = scratchpads.insert(found, memory(scratchpad, cpu_engine()));
    }
    arguments.emplace_back(DNNL_ARG_SCRATCHPAD, *found);
  }
  Execution& execution = executions_.emplace_back();
  execution.primitive = std::move(primitive);
  execution.keep = std::move(arguments);
  for (const auto& [id, memory] : execution.keep) {
    execution.arguments.push_back({id, memory.get()});
  }
}

void PrimitiveKernel::bind(Binding& binding, const void* elements) {
  if (binding.bound == elements) return;
  binding.memory.set_data_handle(const_cast<void*>(elements));
  binding.bound = elements;
}

void PrimitiveKernel::run(const void* const* operands, void* const* results) {
  for (Binding& binding : operands_) bind(binding, operands[binding.index]);
  for (Binding& binding : results_) bind(binding, results[binding.index]);
  const ThreadScope scope(threads_);
  for (const Execution& execution : executions_) {
    // The C function: the C++ one would copy the arguments into a vector first.
    const dnnl_status_t status = dnnl_primitive_execute(
        execution.primitive.get(), stream_.get(), static_cast<int>(execution.arguments.size()),
        execution.arguments.data());
    if (status != dnnl_success) throw Error("oneDNN failed to run " + description_);
  }
}

namespace {

// f32 tensors of constant shape, none empty.
bool fits(const Value* value) {
  if (!value) return true;  // an absent bias
  const ValueType& type = value->type();
  return type.is_tensor() && type.element == ElementType::f32 && type.shape.is_static() &&
         type.shape.rank() < DNNL_MAX_NDIMS && element_count(type.shape.extents()) > 0;
}

std::unique_ptr<StepKernel> choose(const Node& node, Constants constants,
                                   const KernelOptions& options) {
  switch (node.op()) {
    case Op::matmul:
      return make_matmul(node, constants, options);
    case Op::conv:
      return make_convolution(node, constants, options);
    case Op::conv_transpose:
      return make_transposed_convolution(node, constants, options);
    case Op::max_pool:
    case Op::average_pool:
      return make_pooling(node, options);
    default:
      return nullptr;
  }
}

bool supported(Op op) {
  return op == Op::matmul || op == Op::conv || op == Op::conv_transpose || op == Op::max_pool ||
         op == Op::average_pool;
}

}  // namespace

std::unique_ptr<StepKernel> make_kernel(const Node& node, Constants constants,
                                        const KernelOptions& options) {
  if (!supported(node.op()) || node.result_count() != 1 || !fits(node.result())) return nullptr;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (!fits(node.operand(i))) return nullptr;
  }
  const ThreadScope scope(options.threads);
  try {
    return choose(node, constants, options);
  } catch (const dnnl::error&) {
    return nullptr;  // a shape or an attribute that it does not implement
  }
}

}  // namespace refrain::onednn
