#include "frontend/driver/executable.h"

#include <fmt/core.h>

#include <algorithm>

#include "backends/reference/bindings.h"
#include "ir/error.h"

namespace refrain {
namespace {

// Shapes that an executable is kept prepared for.
constexpr size_t kMostPrepared = 8;

}  // namespace

Executable::Executable(std::unique_ptr<Graph> graph, const ExecutableOptions& options)
    : graph_(std::move(graph)), options_(options) {
  if (options_.weights) return;
  options_.weights = std::make_shared<WeightStore>();
  options_.weights->add(*graph_);
}

const Executable::Prepared& Executable::prepared_for(std::span<const RuntimeValue> inputs) const {
  std::vector<std::vector<int64_t>> extents;
  for (const RuntimeValue& input : inputs) {
    extents.push_back(input.tensor ? input.tensor->extents() : std::vector<int64_t>());
  }
  const auto found = std::find_if(prepared_.begin(), prepared_.end(), [&](const Prepared& p) {
    return p.extents == extents &&
           std::all_of(p.values.begin(), p.values.end(), [&](const auto& v) {
             return identical(*v.second, *inputs[v.first].tensor);
           });
  });
  if (found != prepared_.end()) {
    found->last_use = ++uses_;
    return *found;
  }
  Prepared fresh;
  try {
    Preparation preparation = prepare(*graph_, inputs, options_);
    fresh.program = std::move(preparation.program);
    fresh.why = std::move(preparation.why);
    for (size_t i : preparation.decisive) {
      // A copy: the caller may write into its own.
      fresh.values.emplace_back(i, std::make_shared<const Tensor>(inputs[i].tensor->clone()));
    }
  } catch (const Error& error) {
    // A model may claim shapes that no run of it has; the reference backend only goes by what it
    // computes, and says what is wrong if something is.
    fresh.why = error.what();
  }
  fresh.extents = std::move(extents);
  fresh.last_use = ++uses_;
  if (prepared_.size() >= kMostPrepared) {
    prepared_.erase(std::min_element(
        prepared_.begin(), prepared_.end(),
        [](const Prepared& a, const Prepared& b) { return a.last_use < b.last_use; }));
  }
  return prepared_.emplace_back(std::move(fresh));
}

std::vector<RuntimeValue> Executable::run(std::span<const RuntimeValue> inputs) const {
  int64_t iterations = 0;
  return run(inputs, iterations);
}

std::vector<RuntimeValue> Executable::run(std::span<const RuntimeValue> inputs,
                                          int64_t& iterations) const {
  if (options_.backend != Backend::reference) {
    const std::lock_guard<std::mutex> lock(mutex_);
    reference::bind_inputs(*graph_, inputs);
    if (Program* program = prepared_for(inputs).program.get())
      return program->run(inputs, iterations);
  }
  options_.weights->check_all();
  return reference::run(*graph_, inputs, options_.limits, &iterations);
}

std::string Executable::describe(std::span<const RuntimeValue> inputs) const {
  if (options_.backend == Backend::reference) {
    return "backend reference\n" + reference_steps(*graph_);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  const Prepared& prepared = prepared_for(inputs);
  if (prepared.program) {
    return fmt::format("backend {}\n{}", name(options_.backend), prepared.program->describe());
  }
  return fmt::format("backend reference: {} can't run {}\n{}", name(options_.backend), prepared.why,
                     reference_steps(*graph_));
}

}  // namespace refrain
