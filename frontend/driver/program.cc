#include "frontend/driver/program.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include "backends/reference/bindings.h"
#include "frontend/driver/model.h"
#include "frontend/driver/staged.h"
#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/control.h"
#include "ir/error.h"
#include "passes/passes.h"
#include "passes/specialize.h"

namespace refrain {
namespace {

// What preparation cannot do without, for graphs that are to be run as they are.
constexpr passes::PipelineEntry kBindShapes[] = {
    {"infer", "the extents that binding made known"},
    {"simplify_shapes", "trip counts become constants"},
    {"fold", "the rest of what constants decide"},
};

constexpr std::pair<std::string_view, Backend> kBackends[] = {
    {"auto", Backend::automatic},
    {"reference", Backend::reference},
    {"highway", Backend::highway},
    {"onednn", Backend::onednn},
};

// Extents of a tensor, bounds of a slice along each axis, and the like.
constexpr int64_t kMostNumbers = 2 * kMaxRank;

KernelChoice kernels_of(Backend backend) {
  switch (backend) {
    case Backend::highway:
      return KernelChoice::highway;
    case Backend::onednn:
      return KernelChoice::onednn;
    default:
      return KernelChoice::automatic;
  }
}

class StepsProgram final : public Program {
 public:
  explicit StepsProgram(std::unique_ptr<PreparedGraph> graph) : graph_(std::move(graph)) {}

  std::vector<RuntimeValue> run(std::span<const RuntimeValue> inputs, int64_t&) override {
    std::vector<const Tensor*> tensors;
    for (const RuntimeValue& input : inputs) tensors.push_back(input.tensor.get());
    std::vector<Tensor> outputs = graph_->make_outputs();
    graph_->run(tensors, outputs);
    std::vector<RuntimeValue> values;
    for (Tensor& output : outputs) values.emplace_back(std::move(output));
    return values;
  }
  std::string describe() const override { return graph_->describe(); }
  PreparedGraph* steps() override { return graph_.get(); }

 private:
  std::unique_ptr<PreparedGraph> graph_;
};

// The symbols of a type by the extents of a value of this type.
void bind(const ValueType& type, const Tensor& tensor, std::map<std::string, int64_t>& symbols) {
  if (!type.shape.ranked()) return;
  for (size_t i = 0; i < type.shape.rank(); ++i) {
    if (type.shape[i].is_symbol()) symbols[type.shape[i].name()] = tensor.extents()[i];
  }
}

// The arguments that stand for an operand, unchanged, in the regions of its node.
std::vector<const Value*> arguments_of(const Node& node, size_t operand) {
  size_t first_operand = 1, first_argument = 0, count = node.operand_count() - 1;
  if (node.op() == Op::scan) {
    const ScanView scan(node);
    first_operand = scan.invariant_operand(0), count = scan.invariants();
  } else if (node.op() == Op::loop) {
    const LoopView loop(node);
    first_operand = loop.invariant_operand(0), count = loop.invariants(), first_argument = 1;
  }
  std::vector<const Value*> arguments;
  if (operand < first_operand || operand >= first_operand + count) return arguments;
  for (size_t i = 0; i < node.region_count(); ++i)
    arguments.push_back(node.region(i).argument(operand - first_operand + first_argument));
  return arguments;
}

bool may_decide(const ValueType& type) {
  return type.is_tensor() && !is_float(type.element) && type.shape.is_static() &&
         element_count(type.shape.extents()) <= kMostNumbers;
}

void append_steps(std::string& out, const Region& region, const std::string& prefix, int depth) {
  size_t number = 0;
  for (const Node* node = region.first(); node; node = node->next()) {
    if (node->op() == Op::constant || node->op() == Op::yield) continue;
    const std::string step = prefix + std::to_string(number++);
    std::string types;
    for (size_t i = 0; i < node->result_count(); ++i) {
      types += (i > 0 ? ", " : "") + to_string(node->result(i)->type());
    }
    out += fmt::format("{:<10} {:<22} {:<32} {}\n", step,
                       std::string(static_cast<size_t>(2 * depth), ' ').append(name(node->op())),
                       types, node->display_name());
    for (size_t i = 0; i < node->region_count(); ++i) {
      append_steps(out, node->region(i),
                   node->region_count() > 1 ? fmt::format("{}.{}.", step, i) : step + ".",
                   depth + 1);
    }
  }
}

// The reference backend's, on constants that are checked before they are read.
class CheckingEvaluator final : public Evaluator {
 public:
  explicit CheckingEvaluator(const ExecutableOptions& options)
      : evaluator_(reference::make_evaluator(options.limits)), weights_(options.weights.get()) {}

  std::vector<TensorPtr> evaluate(const Node& node, std::span<const TensorPtr> operands) override {
    for (const TensorPtr& operand : operands) {
      if (operand && weights_) weights_->check(operand->raw());
    }
    return evaluator_->evaluate(node, operands);
  }

 private:
  std::unique_ptr<Evaluator> evaluator_;
  WeightStore* weights_;
};

}  // namespace

// The reference backend has one kernel an op and gives every result a tensor of its own.
std::string reference_steps(const Graph& graph) {
  std::string out = fmt::format("{:<10} {:<22} {:<32} {}\n", "step", "kernel", "results", "from");
  append_steps(out, graph.body(), "", 0);
  return out;
}

std::string_view name(Backend backend) {
  for (const auto& [text, value] : kBackends) {
    if (value == backend) return text;
  }
  return "?";
}

Backend backend_from_name(std::string_view name) {
  std::string available;
  for (const auto& [text, value] : kBackends) {
    if (text == name) return value;
    available += (available.empty() ? "" : ", ") + std::string(text);
  }
  throw Error("no such backend: " + std::string(name) + "; available: " + available);
}

bool decides(const Value* value) {
  if (!may_decide(value->type())) return false;
  std::vector<const Value*> work = {value};
  std::unordered_set<const Value*> seen = {value};
  const auto follow = [&](const Value* next) {
    if (may_decide(next->type()) && seen.insert(next).second) work.push_back(next);
  };
  while (!work.empty()) {
    const Value* current = work.back();
    work.pop_back();
    for (const Use* use = current->first_use(); use; use = use->next()) {
      const Node& node = *use->user();
      if (node.region_count() > 0) {
        if (node.op() == Op::scan && ScanView(node).trip_count() == current) return true;
        if (node.op() == Op::branch && use->index() == 0) return true;
        for (const Value* argument : arguments_of(node, use->index())) follow(argument);
        continue;
      }
      for (size_t i = 0; i < node.result_count(); ++i) {
        const Value* result = node.result(i);
        if (result->type().is_tensor() && !result->type().shape.is_static()) return true;
        follow(result);
      }
    }
  }
  return false;
}

void simplify_bound(Graph& graph, const ExecutableOptions& options) {
  CheckingEvaluator evaluator(options);
  passes::PassContext context;
  context.evaluator = &evaluator;
  passes::run_pipeline(graph, kBindShapes, context);
  passes::resolve_sequences(graph, {});
  if (options.optimize) passes::run_pipeline(graph, passes::default_pipeline(), context);
  // Passes have read them, in some other way.
  if (options.weights) options.weights->check_absent(graph);
}

PrepareOptions prepare_options(const ExecutableOptions& options) {
  return {.kernels = kernels_of(options.backend),
          .threads = options.threads,
          .max_bytes = options.limits.max_bytes,
          .max_iterations = options.limits.max_iterations,
          .weights = options.weights.get()};
}

std::unique_ptr<Program> make_program(std::unique_ptr<PreparedGraph> graph) {
  return std::make_unique<StepsProgram>(std::move(graph));
}

Preparation prepare(const Graph& graph, std::span<const RuntimeValue> inputs,
                    const ExecutableOptions& options) {
  reference::bind_inputs(graph, inputs);  // that they fit
  Preparation result;
  std::unique_ptr<Graph> copy = clone_graph(graph);
  std::map<std::string, int64_t> symbols;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ValueType type = copy->input(i)->type();
    if (!type.is_tensor() || !inputs[i].tensor) {
      result.why = "input " + copy->input(i)->name() + " of type " + to_string(type);
      return result;
    }
    bind(type, *inputs[i].tensor, symbols);
    // Dimensions without a name are bound by this input's type only.
    copy->input(i)->set_type(
        ValueType::tensor(type.element, Shape::of_extents(inputs[i].tensor->extents())));
  }
  passes::specialize(*copy, symbols);
  simplify_bound(*copy, options);
  const bool supported = PreparedGraph::supports(*copy, &result.why, options.limits.max_iterations);
  for (size_t i = 0; !supported && i < inputs.size(); ++i) {
    if (!decides(copy->input(i))) continue;
    Builder builder(copy->body(), copy->body().first());
    copy->input(i)->replace_all_uses_with(builder.constant(inputs[i].tensor->clone()));
    result.decisive.push_back(i);
  }
  if (!result.decisive.empty()) simplify_bound(*copy, options);
  if (supported || (!result.decisive.empty() &&
                    PreparedGraph::supports(*copy, &result.why, options.limits.max_iterations))) {
    result.program = make_program(std::make_unique<PreparedGraph>(*copy, prepare_options(options)));
  } else {
    if (options.weights) options.weights->check_all();
    result.program = make_staged(*copy, options, result.why);
  }
  return result;
}

}  // namespace refrain
