#include "backends/naive/naive.h"

#include <cstring>
#include <deque>
#include <map>
#include <unordered_map>
#include <vector>

#include "backends/onednn/kernels.h"
#include "backends/reference/kernel.h"
#include "ir/error.h"

namespace refrain::naive {
namespace {

// Why a node can't be run; empty if it can.
std::string obstacle(const Node& node) {
  if (node.op() == Op::yield || node.op() == Op::constant) return {};
  if (!reference::find_kernel(node.op())) {
    return "op " + std::string(name(node.op())) + " is left after unrolling";
  }
  for (size_t i = 0; i < node.result_count(); ++i) {
    const ValueType& type = node.result(i)->type();
    if (!type.is_tensor() || !type.shape.is_static()) {
      return "a result of type " + to_string(type) + ", not a tensor of constant shape";
    }
  }
  return {};
}

// Results of a node side by side, as kernels take them, and their types.
using Buffers = std::vector<Tensor>;
using BufferKey = std::vector<std::pair<ElementType, std::vector<int64_t>>>;

struct Step {
  const Node* node = nullptr;
  reference::Kernel kernel = nullptr;
  std::vector<const Tensor*> operands;
  std::span<Tensor> results;
  std::unique_ptr<StepKernel> onednn;  // in the place of the kernel
  std::vector<const void*> operand_data;
  std::vector<void*> result_data;
  bool clear = false;  // results must be zero before
};

}  // namespace

struct Executable::Plan {
  Plan(const Graph& graph, int thread_count, int64_t max_bytes)
      : threads(thread_count), budget(std::make_shared<MemoryBudget>(max_bytes)) {
    for (size_t i = 0; i < graph.input_count(); ++i) {
      const ValueType& type = graph.input(i)->type();
      inputs.emplace_back(type.element, type.shape.extents(), budget);
      tensors[graph.input(i)] = &inputs.back();
    }
    count_uses(graph.body());
    for (const Node* node = graph.body().first(); node; node = node->next()) add(*node);
    for (size_t i = 0; i < graph.output_count(); ++i)
      outputs.push_back(tensors.at(graph.output(i)));
  }

  // A node's buffers die with the last use of its last result; what the graph yields never dies.
  void count_uses(const Region& region) {
    for (const Node* node = region.first(); node; node = node->next()) {
      for (size_t i = 0; i < node->operand_count(); ++i) {
        const Value* operand = node->operand(i);
        if (operand && operand->node()) ++uses[operand->node()];
      }
    }
  }

  void release(const Node* node) {
    const auto found = live.find(node);
    if (found == live.end()) return;
    free[found->second.first].push_back(found->second.second);
    live.erase(found);
  }

  Buffers& take_buffers(const Node& node) {
    BufferKey key;
    for (size_t i = 0; i < node.result_count(); ++i) {
      key.emplace_back(node.result(i)->type().element, node.result(i)->type().shape.extents());
    }
    std::vector<Buffers*>& candidates = free[key];
    Buffers* buffers = nullptr;
    if (!candidates.empty()) {
      buffers = candidates.back();
      candidates.pop_back();
    } else {
      buffers = &pool.emplace_back();
      for (const auto& [type, extents] : key) buffers->emplace_back(type, extents, budget);
    }
    live.emplace(&node, std::pair(std::move(key), buffers));
    return *buffers;
  }

  void add(const Node& node) {
    if (node.op() == Op::yield) return;
    if (node.op() == Op::constant) {
      tensors[node.result()] = node.attribute<TensorPtr>(AttributeName::value).get();
      return;
    }
    Step& step = steps.emplace_back();
    step.node = &node;
    for (size_t i = 0; i < node.operand_count(); ++i) {
      step.operands.push_back(node.operand(i) ? tensors.at(node.operand(i)) : nullptr);
    }
    step.results = take_buffers(node);
    for (size_t i = 0; i < node.result_count(); ++i) tensors[node.result(i)] = &step.results[i];
    if (!prepare_onednn(step)) {
      step.kernel = reference::find_kernel(node.op());
      step.clear = !reference::overwrites(node.op());
    }
    for (size_t i = 0; i < node.operand_count(); ++i) {
      const Node* source = node.operand(i) ? node.operand(i)->node() : nullptr;
      if (source && --uses.at(source) == 0) release(source);
    }
    if (!uses.contains(&node)) release(&node);  // nobody reads it
  }

  // Products, convolutions and pooling, as far as oneDNN has them.
  bool prepare_onednn(Step& step) {
    std::vector<const Tensor*> constants;
    for (size_t i = 0; i < step.operands.size(); ++i) {
      const Value* operand = step.node->operand(i);
      const bool constant = operand && operand->node() && operand->node()->op() == Op::constant;
      constants.push_back(constant ? step.operands[i] : nullptr);
    }
    step.onednn = onednn::make_kernel(*step.node, constants, {threads, &shared});
    if (!step.onednn) return false;
    for (const Tensor* operand : step.operands)
      step.operand_data.push_back(operand ? operand->raw() : nullptr);
    for (Tensor& result : step.results) step.result_data.push_back(result.raw());
    return true;
  }

  int threads;
  std::shared_ptr<MemoryBudget> budget;
  onednn::SharedBuffers shared;
  std::deque<Tensor> inputs;
  std::deque<Buffers> pool;
  std::map<BufferKey, std::vector<Buffers*>> free;
  std::unordered_map<const Node*, std::pair<BufferKey, Buffers*>> live;
  std::unordered_map<const Node*, size_t> uses;
  std::unordered_map<const Value*, const Tensor*> tensors;
  std::deque<Step> steps;
  std::vector<const Tensor*> outputs;
};

bool supports(const Graph& graph, std::string* why) {
  std::string found;
  for (size_t i = 0; i < graph.input_count() && found.empty(); ++i) {
    const ValueType& type = graph.input(i)->type();
    if (!type.is_tensor() || !type.shape.is_static()) {
      found = "input " + graph.input(i)->name() + " of type " + to_string(type);
    }
  }
  for (const Node* node = graph.body().first(); node && found.empty(); node = node->next()) {
    found = obstacle(*node);
  }
  if (why) *why = found;
  return found.empty();
}

Executable::Executable(const Graph& graph, int threads, int64_t max_bytes) {
  std::string why;
  if (!supports(graph, &why)) throw Error("the naive baseline can't run this graph: " + why);
  plan_ = std::make_unique<Plan>(graph, threads, max_bytes);
}

Executable::~Executable() = default;

void Executable::set_input(size_t i, const Tensor& value) {
  Tensor& input = plan_->inputs[i];
  if (value.type() != input.type() || value.extents() != input.extents()) {
    const auto text = [](const Tensor& tensor) {
      return to_string(ValueType::tensor(tensor.type(), Shape::of_extents(tensor.extents())));
    };
    throw Error("wrong type of input " + std::to_string(i), text(input), text(value));
  }
  if (value.bytes() > 0) std::memcpy(input.raw(), value.raw(), static_cast<size_t>(value.bytes()));
}

void Executable::run() {
  for (Step& step : plan_->steps) {
    if (step.onednn) {
      step.onednn->run(step.operand_data.data(), step.result_data.data());
      continue;
    }
    if (step.clear) {
      for (Tensor& result : step.results) {
        if (result.bytes() > 0) std::memset(result.raw(), 0, static_cast<size_t>(result.bytes()));
      }
    }
    step.kernel({*step.node, step.operands, step.results});
  }
}

const Tensor& Executable::output(size_t i) const { return *plan_->outputs[i]; }

}  // namespace refrain::naive
