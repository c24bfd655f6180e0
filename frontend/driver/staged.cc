#include "frontend/driver/staged.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "frontend/driver/executable.h"
#include "frontend/driver/loop_program.h"
#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/control.h"
#include "ir/error.h"

namespace refrain {
namespace {

bool is_leaf(const Node& node) { return node.schema().kind == OpKind::leaf; }

// A graph of its own made of parts of another. What it takes from outside are its inputs.
class Part {
 public:
  Part() : graph_(std::make_unique<Graph>("part")) {}

  Graph& graph() { return *graph_; }
  // The values of the source that the inputs stand for.
  const std::vector<const Value*>& inputs() const { return inputs_; }

  void add(const Node& node) {
    for (const Value* operand : node.operands()) {
      if (operand) need(operand);
    }
    clone_node(node, graph_->body(), nullptr, map_);
  }

  void finish(const std::vector<const Value*>& outputs) {
    std::vector<Value*> values;
    std::vector<std::string> names;
    for (const Value* output : outputs) {
      need(output);
      values.push_back(map_.at(output));
      names.push_back("v" + std::to_string(names.size()));
    }
    graph_->set_outputs(values, std::move(names));
  }
  // The graph may be given away after it.
  std::unique_ptr<Graph> take() { return std::move(graph_); }

 private:
  void need(const Value* value) {
    if (map_.contains(value)) return;
    if (value->node() && is_leaf(*value->node())) {
      clone_node(*value->node(), graph_->body(), nullptr, map_);
      return;
    }
    inputs_.push_back(value);
    map_[value] = graph_->add_input(value->type(), "i" + std::to_string(inputs_.size()));
  }

  std::unique_ptr<Graph> graph_;
  ValueMap map_;
  std::vector<const Value*> inputs_;
};

// Nodes on which much time may go.
bool is_heavy(const Region& region) {
  for (const Node* node = region.first(); node; node = node->next()) {
    switch (node->op()) {
      case Op::matmul:
      case Op::einsum:
      case Op::conv:
      case Op::conv_transpose:
      case Op::scan:
      case Op::loop:
      case Op::branch:
        return true;
      default:
        break;
    }
  }
  return false;
}

class ReferenceProgram final : public Program {
 public:
  ReferenceProgram(std::unique_ptr<Graph> graph, const reference::Limits& limits)
      : graph_(std::move(graph)), limits_(limits) {}

  std::vector<RuntimeValue> run(std::span<const RuntimeValue> inputs,
                                int64_t& iterations) override {
    return reference::run(*graph_, inputs, limits_, &iterations);
  }
  std::string describe() const override { return "reference backend\n" + reference_steps(*graph_); }

 private:
  std::unique_ptr<Graph> graph_;
  reference::Limits limits_;
};

// A graph whose inputs' shapes are known when it runs.
class LaterProgram final : public Program {
 public:
  LaterProgram(std::unique_ptr<Graph> graph, const ExecutableOptions& options)
      : executable_(std::move(graph), options) {}

  std::vector<RuntimeValue> run(std::span<const RuntimeValue> inputs,
                                int64_t& iterations) override {
    return executable_.run(inputs, iterations);
  }
  std::string describe() const override {
    return "prepared when its shapes are known\n" + reference_steps(executable_.graph());
  }

 private:
  Executable executable_;
};

// Programs one after the other, each on values of those before it.
class StagedProgram final : public Program {
 public:
  explicit StagedProgram(size_t inputs) : slots_(inputs) {}

  size_t slots() const { return slots_; }
  // Reads these slots; its results are new ones, in order.
  void add(std::unique_ptr<Program> program, std::vector<size_t> reads, size_t results) {
    stages_.push_back({std::move(program), std::move(reads), slots_});
    slots_ += results;
  }
  size_t add_constant(TensorPtr tensor) {
    constants_.emplace_back(slots_, std::move(tensor));
    return slots_++;
  }
  void set_outputs(std::vector<size_t> outputs) { outputs_ = std::move(outputs); }

  std::vector<RuntimeValue> run(std::span<const RuntimeValue> inputs,
                                int64_t& iterations) override {
    std::vector<RuntimeValue> values(inputs.begin(), inputs.end());
    values.resize(slots_);
    for (const auto& [slot, tensor] : constants_) values[slot] = tensor;
    std::vector<RuntimeValue> operands;
    for (const Stage& stage : stages_) {
      operands.clear();
      for (size_t slot : stage.reads) operands.push_back(values[slot]);
      std::vector<RuntimeValue> results = stage.program->run(operands, iterations);
      std::move(results.begin(), results.end(),
                values.begin() + static_cast<std::ptrdiff_t>(stage.first));
    }
    std::vector<RuntimeValue> outputs;
    for (size_t slot : outputs_) outputs.push_back(values[slot]);
    return outputs;
  }

  std::string describe() const override {
    std::string text;
    for (size_t i = 0; i < stages_.size(); ++i) {
      text += fmt::format("stage {} of {}: {}", i + 1, stages_.size(),
                          stages_[i].program->steps() ? "" : stages_[i].program->describe());
      if (stages_[i].program->steps()) text += "prepared\n" + stages_[i].program->describe();
    }
    return text;
  }

 private:
  struct Stage {
    std::unique_ptr<Program> program;
    std::vector<size_t> reads;
    size_t first;  // slot of its results
  };
  size_t slots_;
  std::vector<std::pair<size_t, TensorPtr>> constants_;
  std::vector<Stage> stages_;
  std::vector<size_t> outputs_;
};

class Cutter {
 public:
  Cutter(const Graph& graph, const ExecutableOptions& options) : graph_(graph), options_(options) {
    later_ = options;
    --later_.max_cuts;
  }

  std::unique_ptr<Program> cut(std::string& why) {
    const Node* node = first_obstacle(why);
    if (!node || options_.max_cuts <= 0) return nullptr;
    // Once numbers that have been computed are known, the node may be no obstacle any more.
    const bool waits = reads_deciding_number(*node);
    if (!waits && node->op() != Op::loop) return nullptr;
    const Node* stage = waits ? nullptr : node;
    find_late(node);

    program_ = std::make_unique<StagedProgram>(graph_.input_count());
    for (size_t i = 0; i < graph_.input_count(); ++i) slots_[graph_.input(i)] = i;
    add_early();
    if (stage) add_stage(*stage);
    add_rest(stage);
    std::vector<size_t> outputs;
    for (size_t i = 0; i < graph_.output_count(); ++i) outputs.push_back(slot(graph_.output(i)));
    program_->set_outputs(std::move(outputs));
    return std::move(program_);
  }

 private:
  bool supported(const Node& node, std::string* why = nullptr) const {
    return PreparedGraph::supports(node, why, options_.limits.max_iterations);
  }

  const Node* first_obstacle(std::string& why) const {
    for (const Node* node = graph_.body().first(); node; node = node->next()) {
      if (!supported(*node, &why)) return node;
    }
    return nullptr;
  }

  // Whether the node reads a number that has been computed and decides something.
  static bool reads_deciding_number(const Node& node) {
    for (const Value* operand : node.operands()) {
      if (operand && operand->node() && !is_leaf(*operand->node()) && decides(operand)) return true;
    }
    return false;
  }

  // All that depends on the node or can't be prepared either.
  void find_late(const Node* node) {
    for (const Node* next = node; next; next = next->next()) {
      bool late = next == node || !supported(*next);
      for (const Value* operand : next->operands())
        late |= operand && operand->node() && late_.contains(operand->node());
      if (late && next->op() != Op::yield) late_.insert(next);
    }
  }

  bool is_early(const Value* value) const {
    return value->node() && !is_leaf(*value->node()) && !late_.contains(value->node());
  }

  // What can be computed first, and is read later or by the caller.
  void add_early() {
    std::vector<const Value*> outputs;
    std::unordered_set<const Value*> seen;
    const auto add = [&](const Value* value) {
      if (value && is_early(value) && seen.insert(value).second) outputs.push_back(value);
    };
    for (const Node* node = graph_.body().first(); node; node = node->next()) {
      if (!late_.contains(node) && node->op() != Op::yield) continue;
      for (const Value* operand : node->operands()) add(operand);
    }
    if (outputs.empty()) return;
    Part part;
    for (const Node* node = graph_.body().first(); node; node = node->next()) {
      if (node->op() != Op::yield && !is_leaf(*node) && !late_.contains(node)) part.add(*node);
    }
    part.finish(outputs);
    add_part(part, outputs, [&](std::unique_ptr<Graph> graph) {
      return make_program(std::make_unique<PreparedGraph>(*graph, prepare_options(options_)));
    });
  }

  // The loop itself.
  void add_stage(const Node& node) {
    std::unique_ptr<Program> program = make_loop(node, options_);
    std::vector<const Value*> results;
    for (size_t i = 0; i < node.result_count(); ++i) results.push_back(node.result(i));
    if (program) {
      std::vector<size_t> reads;
      for (const Value* operand : node.operands()) reads.push_back(slot(operand));
      const size_t first = program_->slots();
      program_->add(std::move(program), std::move(reads), results.size());
      for (size_t i = 0; i < results.size(); ++i) slots_[results[i]] = first + i;
      return;
    }
    Part part;
    part.add(node);
    part.finish(results);
    add_part(part, results, [&](std::unique_ptr<Graph> graph) {
      return std::make_unique<ReferenceProgram>(std::move(graph), options_.limits);
    });
  }

  // All that is left, without `stage` (null: there is none).
  void add_rest(const Node* stage) {
    std::vector<const Value*> outputs;
    std::unordered_set<const Value*> seen;
    Part part;
    for (const Node* node = graph_.body().first(); node; node = node->next()) {
      if (node != stage && late_.contains(node)) part.add(*node);
    }
    for (size_t i = 0; i < graph_.output_count(); ++i) {
      const Value* output = graph_.output(i);
      if (!slots_.contains(output) && output->node() && seen.insert(output).second)
        outputs.push_back(output);
    }
    if (outputs.empty()) return;
    part.finish(outputs);
    const bool heavy = is_heavy(part.graph().body());
    add_part(part, outputs, [&](std::unique_ptr<Graph> graph) -> std::unique_ptr<Program> {
      if (heavy) return std::make_unique<LaterProgram>(std::move(graph), later_);
      return std::make_unique<ReferenceProgram>(std::move(graph), options_.limits);
    });
  }

  template <typename Make>
  void add_part(Part& part, const std::vector<const Value*>& outputs, const Make& make) {
    std::vector<size_t> reads;
    for (const Value* input : part.inputs()) reads.push_back(slot(input));
    const size_t first = program_->slots();
    program_->add(make(part.take()), std::move(reads), outputs.size());
    for (size_t i = 0; i < outputs.size(); ++i) slots_[outputs[i]] = first + i;
  }

  // Where a value lies when the program runs.
  size_t slot(const Value* value) {
    if (const auto it = slots_.find(value); it != slots_.end()) return it->second;
    if (TensorPtr tensor = constant_tensor(value)) {
      return slots_[value] = program_->add_constant(std::move(tensor));
    }
    Part part;
    part.finish({value});
    add_part(part, {value}, [&](std::unique_ptr<Graph> graph) {
      return std::make_unique<ReferenceProgram>(std::move(graph), options_.limits);
    });
    return slots_.at(value);
  }

  const Graph& graph_;
  const ExecutableOptions& options_;
  ExecutableOptions later_;
  std::unordered_set<const Node*> late_;
  std::unique_ptr<StagedProgram> program_;
  std::unordered_map<const Value*, size_t> slots_;
};

}  // namespace

std::unique_ptr<Program> make_staged(const Graph& graph, const ExecutableOptions& options,
                                     std::string& why) {
  return Cutter(graph, options).cut(why);
}

}  // namespace refrain
