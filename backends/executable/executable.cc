#include "backends/executable/executable.h"

#include <fmt/core.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "backends/executable/basic_steps.h"
#include "backends/executable/channels_last.h"
#include "backends/executable/flush_denormals.h"
#include "backends/executable/lower_scan.h"
#include "backends/executable/lowering.h"
#include "backends/executable/schedule.h"
#include "ir/clone.h"
#include "ir/error.h"

namespace refrain {
namespace {

using executable::Buffer;
using executable::BufferKind;
using executable::CopyStep;
using executable::FlushDenormals;
using executable::Lowering;
using executable::make_schedule;
using executable::OrderedStep;
using executable::Place;
using executable::Step;
using executable::Steps;
using executable::Storage;

bool is_static(const Value& value) {
  return value.type().is_tensor() && value.type().shape.is_static();
}

std::string typed(const Value& value) { return "a value of type " + to_string(value.type()); }

std::string obstacle(const Region& region, int64_t steps_left);

// Why a node can't be prepared; empty if it can. `steps_left`: that scans may take which read
// nothing.
std::string obstacle(const Node& node, int64_t steps_left) {
  if (node.op() == Op::yield) return {};
  const std::string op = "op " + std::string(name(node.op()));
  const bool leaf = node.op() == Op::constant || node.op() == Op::dims;
  if (!leaf && node.op() != Op::scan && !reference::find_kernel(node.op())) return op;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (node.operand(i) && !is_static(*node.operand(i))) return typed(*node.operand(i));
  }
  for (size_t i = 0; i < node.result_count(); ++i) {
    if (!is_static(*node.result(i))) return typed(*node.result(i)) + " of " + op;
  }
  if (node.op() == Op::dims) {
    for (const Dim dim : node.attribute<std::vector<Dim>>(AttributeName::dims)) {
      if (!dim.is_constant()) return "an extent that is not constant";
    }
  }
  if (node.op() != Op::scan) return {};
  // Scans inside take their steps in each of this one's.
  const int64_t repeats = std::max<int64_t>(executable::scan_steps(node).value_or(1), 1);
  if (std::string why = obstacle(node.region(), steps_left / repeats); !why.empty()) return why;
  return executable::scan_obstacle(node, steps_left);
}

std::string obstacle(const Region& region, int64_t steps_left) {
  for (size_t i = 0; i < region.argument_count(); ++i) {
    if (!is_static(*region.argument(i))) return typed(*region.argument(i));
  }
  for (const Node* node = region.first(); node; node = node->next()) {
    if (std::string why = obstacle(*node, steps_left); !why.empty()) return why;
  }
  return {};
}

}  // namespace

struct PreparedGraph::Plan {
  Plan(const Graph& source, const PrepareOptions& prepare_options)
      : graph(clone_graph(source)), options(prepare_options) {
    executable::ConvChoice conv_choice(options);
    if (options.kernels != KernelChoice::onednn) {
      executable::move_channels_last(graph->body(), conv_choice);
    }
    Lowering lowering(storage, options, conv_choice);
    for (size_t i = 0; i < graph->input_count(); ++i) {
      const Value* input = graph->input(i);
      lowering.set_place(input, storage.input(i, executable::bytes_of(*input)));
    }
    lowering.lower(graph->body(), steps);
    place_outputs(lowering);
    ordered = lowering.ordered();
    order();
    resolve();
    options.weights = nullptr;  // it may be gone from now on
  }

  // An output is written where the caller wants it, if its buffer is nothing else.
  void place_outputs(Lowering& lowering) {
    for (size_t i = 0; i < graph->output_count(); ++i) {
      const Value* output = graph->output(i);
      const Place place = lowering.place(output);
      const Buffer& buffer = storage.buffer(place);
      const int64_t bytes = executable::bytes_of(*output);
      storage.reserve(bytes, options.max_bytes);  // whoever makes them
      if (buffer.kind == BufferKind::arena && place.offset == 0 && buffer.bytes == bytes) {
        storage.make_output(place, i);
        continue;
      }
      const Place copy = storage.arena(bytes);
      storage.make_output(copy, i);
      auto step = std::make_unique<CopyStep>(bytes);
      step->reads(place);
      step->writes(copy);
      lowering.append(steps, std::move(step));
    }
  }

  void order() {
    std::vector<int64_t> level_of_position(ordered.size());
    if (options.threads <= 1) {
      std::iota(level_of_position.begin(), level_of_position.end(), int64_t{0});
    } else {
      schedule = make_schedule(steps, ordered, storage, options.threads);
      for (size_t p = 0; p < ordered.size(); ++p) {
        level_of_position[p] = schedule.level_of_step[ordered[p].top];
      }
      if (schedule.uses_workers) workers.emplace(options.threads);
    }
    storage.plan(level_of_position, options.max_bytes);
  }

  // Fills in the pointers that never change, and remembers those that a run brings.
  void resolve() {
    for (const OrderedStep& entry : ordered) {
      if (!entry.step) continue;
      bool external = false;
      for (size_t i = 0; i < entry.step->slots().size(); ++i) {
        const Place place = entry.step->slots()[i].place;
        entry.step->set_pointer(i, storage.resolve(place));
        if (place.absent()) continue;
        const Buffer& buffer = storage.buffer(place);
        if (buffer.kind == BufferKind::constant && options.weights) {
          options.weights->check(buffer.constant);
        }
        if (buffer.kind != BufferKind::input && buffer.kind != BufferKind::output) continue;
        external = true;
        fixups.push_back(
            {entry.step, i, buffer.kind == BufferKind::output, buffer.index, place.offset});
      }
      entry.step->rebind();
      if (external) moving.push_back(entry.step);
    }
    bound.assign(graph->input_count() + graph->output_count(), nullptr);
  }

  void bind(std::span<const Tensor* const> inputs, std::span<Tensor> outputs) {
    bool moved = false;
    for (size_t i = 0; i < bound.size(); ++i) {
      const void* data = i < inputs.size() ? inputs[i]->raw() : outputs[i - inputs.size()].raw();
      moved |= bound[i] != data;
      bound[i] = data;
    }
    is_bound = true;
    if (!moved) return;
    for (const Fixup& fixup : fixups) {
      // Inputs are only read: slots have one type of pointer for all places.
      char* const base =
          static_cast<char*>(fixup.output ? outputs[fixup.index].raw()
                                          : const_cast<void*>(inputs[fixup.index]->raw()));
      fixup.step->set_pointer(fixup.slot, base + fixup.offset);
    }
    for (Step* step : moving) step->rebind();
  }

  void run_levels() {
    for (const executable::Level& level : schedule.levels) {
      const auto run_others = [&level] {
        for (Step* step : level.others) step->run();
      };
      if (level.tasks.size() <= 1) {
        for (Step* step : level.tasks) step->run();
        run_others();
        continue;
      }
      tbb::task_group group;
      for (size_t i = 1; i < level.tasks.size(); ++i) {
        group.run([step = level.tasks[i]] {
          const FlushDenormals flush;
          step->run();
        });
      }
      group.run_and_wait([&] {
        const FlushDenormals flush;
        run_others();
        level.tasks[0]->run();
      });
    }
  }

  struct Fixup {
    Step* step;
    size_t slot;
    bool output;
    size_t index;
    int64_t offset;
  };

  std::unique_ptr<Graph> graph;
  PrepareOptions options;
  Storage storage;
  Steps steps;
  std::vector<OrderedStep> ordered;  // those inside others too
  executable::Schedule schedule;     // with more than one thread
  std::optional<tbb::task_arena> workers;
  std::vector<Fixup> fixups;
  std::vector<Step*> moving;
  std::vector<const void*> bound;  // where inputs and outputs were in the last run
  bool is_bound = false;
};

bool PreparedGraph::supports(const Graph& graph, std::string* why, int64_t max_iterations) {
  const std::string found = obstacle(graph.body(), max_iterations);
  if (why) *why = found;
  return found.empty();
}

bool PreparedGraph::supports(const Node& node, std::string* why, int64_t max_iterations) {
  const std::string found = obstacle(node, max_iterations);
  if (why) *why = found;
  return found.empty();
}

PreparedGraph::PreparedGraph(const Graph& graph, const PrepareOptions& options) {
  std::string why;
  if (!supports(graph, &why, options.max_iterations))
    throw Error("this graph can't be prepared: " + why);
  if (options.threads < 1) {
    throw Error("wrong number of threads", "1 or more", std::to_string(options.threads));
  }
  plan_ = std::make_unique<Plan>(graph, options);
}

PreparedGraph::~PreparedGraph() = default;

void PreparedGraph::bind(std::span<const Tensor* const> inputs, std::span<Tensor> outputs) {
  const Graph& graph = *plan_->graph;
  const auto check = [](const Tensor& tensor, const Value& value, const char* what, size_t i) {
    const std::vector<Dim>& dims = value.type().shape.dims();
    bool same = tensor.type() == value.type().element && tensor.rank() == dims.size();
    for (size_t k = 0; k < dims.size() && same; ++k) same = tensor.extents()[k] == dims[k].extent();
    if (same) return;
    throw Error(std::string("wrong type of ") + what + " " + std::to_string(i),
                to_string(value.type()),
                to_string(ValueType::tensor(tensor.type(), Shape::of_extents(tensor.extents()))));
  };
  if (inputs.size() != graph.input_count() || outputs.size() != graph.output_count()) {
    throw Error("wrong number of inputs or outputs",
                fmt::format("{} and {}", graph.input_count(), graph.output_count()),
                fmt::format("{} and {}", inputs.size(), outputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) check(*inputs[i], *graph.input(i), "input", i);
  for (size_t i = 0; i < outputs.size(); ++i) check(outputs[i], *graph.output(i), "output", i);
  plan_->bind(inputs, outputs);
}

void PreparedGraph::run() {
  if (!plan_->is_bound) throw Error("a run without inputs and outputs", "bind() before", "none");
  const FlushDenormals flush;
  if (plan_->workers) {
    plan_->workers->execute([this] {
      // Perhaps on another thread.
      const FlushDenormals flush_there;
      plan_->run_levels();
    });
  } else if (!plan_->schedule.levels.empty()) {
    plan_->run_levels();
  } else {
    for (const std::unique_ptr<Step>& step : plan_->steps) step->run();
  }
}

std::vector<Tensor> PreparedGraph::make_outputs() const {
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < plan_->graph->output_count(); ++i) {
    const ValueType& type = plan_->graph->output(i)->type();
    outputs.emplace_back(type.element, type.shape.extents());
  }
  return outputs;
}

bool PreparedGraph::real_time(std::string* why) const {
  std::string found;
  if (plan_->options.threads > 1) found = "runs on more than one thread";
  for (const OrderedStep& entry : plan_->ordered) {
    if (!found.empty()) break;
    if (entry.step && !entry.step->real_time())
      found = "a step that may allocate: " + entry.step->describe();
  }
  if (why) *why = found;
  return found.empty();
}

std::string PreparedGraph::describe() const {
  const Storage& storage = plan_->storage;
  const auto places = [&](const Step& step, bool written) {
    std::string text;
    for (const Step::Slot& slot : step.slots()) {
      if (slot.place.absent() || slot.written != written) continue;
      const Buffer& buffer = storage.buffer(slot.place);
      std::string base;
      int64_t offset = slot.place.offset;
      switch (buffer.kind) {
        case BufferKind::arena:
          offset += buffer.offset;
          break;
        case BufferKind::constant:
          base = "constant";
          break;
        case BufferKind::input:
          base = fmt::format("%{}", plan_->graph->input(buffer.index)->name());
          break;
        case BufferKind::output:
          base = fmt::format("\"{}\"", plan_->graph->output_names()[buffer.index]);
          break;
      }
      if (offset > 0 || base.empty()) base += fmt::format("+{}", offset);
      text += (text.empty() ? "" : " ") + base;
    }
    return text;
  };
  std::string out;
  for (const OrderedStep& entry : plan_->ordered) {
    if (!entry.step) continue;
    const bool inside = entry.step != plan_->steps[entry.top].get();
    out += fmt::format("{}{:<4} {}\n{}       {} -> {}\n", inside ? "  " : "", entry.top,
                       entry.step->describe(), inside ? "  " : "", places(*entry.step, false),
                       places(*entry.step, true));
  }
  out += fmt::format("{} steps", plan_->steps.size());
  if (!plan_->schedule.levels.empty()) {
    out += fmt::format(" in {} levels on {}", plan_->schedule.levels.size(),
                       plan_->workers ? fmt::format("{} threads", plan_->options.threads)
                                      : "one thread: no step is worth more");
  }
  return out + fmt::format(", arena of {} bytes\n", arena_bytes());
}

int64_t PreparedGraph::arena_bytes() const { return plan_->storage.arena_bytes(); }

}  // namespace refrain
