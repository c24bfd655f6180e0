#include "frontend/driver/model.h"

#include <utility>

#include "frontend/embed/convert.h"
#include "frontend/embed/model_impl.h"
#include "ir/error.h"

namespace refrain {
namespace {

Backend backend_of(Kernels kernels) {
  switch (kernels) {
    case Kernels::highway:
      return Backend::highway;
    case Kernels::automatic:
      return Backend::automatic;
    case Kernels::onednn:
      return Backend::onednn;
    case Kernels::reference:
      return Backend::reference;
  }
  throw Error("no such choice of kernels", "0 to 3", std::to_string(static_cast<int>(kernels)));
}

const Model::Impl& checked(const std::shared_ptr<const Model::Impl>& impl) {
  if (!impl) throw Error("this model was moved from", "a model that was loaded", "none");
  return *impl;
}

void check(const LoadOptions& options) {
  backend_of(options.kernels);
  if (options.max_bytes < 0 || options.max_iterations < 0) {
    throw Error("a limit of a model is negative", "0 or more",
                std::to_string(std::min(options.max_bytes, options.max_iterations)));
  }
}

Model make(LoadedModel loaded, const LoadOptions& options, const std::string& file) {
  try {
    return Model(std::make_shared<const Model::Impl>(std::move(loaded), options));
  } catch (Error& error) {
    throw error.in_file(file);
  }
}

}  // namespace

Model::Impl::Impl(LoadedModel loaded, LoadOptions load_options) : options(std::move(load_options)) {
  const reference::Limits limits = executable_options(1).limits;
  if (options.dynamic_time) {
    if (loaded.weights) loaded.weights->check_all();
    optimize_dynamic_time(*loaded.graph, limits);
  } else {
    optimize(loaded, limits);
  }
  graph = std::move(loaded.graph);
  warnings = std::move(loaded.warnings);
  weights = loaded.weights ? std::move(loaded.weights) : std::make_shared<WeightStore>();
  weights->add(*graph);
  for (size_t i = 0; i < graph->input_count(); ++i) {
    inputs.push_back(embed::tensor_info(graph->input(i)->name(), graph->input(i)->type()));
  }
  for (size_t i = 0; i < graph->output_count(); ++i) {
    outputs.push_back(embed::tensor_info(graph->output_names()[i], graph->output(i)->type()));
  }
}

ExecutableOptions Model::Impl::executable_options(int threads) const {
  return {.backend = backend_of(options.kernels),
          .threads = threads,
          .limits = {.max_bytes = options.max_bytes, .max_iterations = options.max_iterations},
          .weights = weights};
}

const passes::StreamForm* Model::Impl::stream() const {
  std::call_once(streamed, [this] {
    try {
      auto made = std::make_unique<passes::StreamForm>(
          passes::make_stream(*graph, {.states = options.states}));
      states = embed::state_infos(*made->graph, made->states, inputs.size(), outputs.size());
      streaming.supported = true;
      if (made->time) streaming.time = made->time->name();
      if (made->batch) streaming.batch = made->batch->name();
      form = std::move(made);
    } catch (const Error& error) {
      streaming.why = error.what();
    }
  });
  return form.get();
}

Model Model::load(const std::string& path, const LoadOptions& options) {
  check(options);
  return make(load_model(path, options.max_bytes), options, path);
}

Model Model::from_memory(std::span<const std::byte> bytes, const LoadOptions& options,
                         const std::string& name) {
  check(options);
  if (!bytes.data() && !bytes.empty()) throw Error("no memory to load a model from").in_file(name);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return make(load_model_bytes(text, name, options.max_bytes), options, name);
}

const std::vector<TensorInfo>& Model::inputs() const { return checked(impl_).inputs; }
const std::vector<TensorInfo>& Model::outputs() const { return checked(impl_).outputs; }
const std::vector<std::string>& Model::warnings() const { return checked(impl_).warnings; }

const std::vector<StateInfo>& Model::states() const {
  checked(impl_).stream();
  return impl_->states;
}

const Streaming& Model::streaming() const {
  checked(impl_).stream();
  return impl_->streaming;
}

namespace embed {

std::vector<StateInfo> state_infos(const Graph& graph,
                                   const std::vector<passes::StreamState>& states,
                                   size_t model_inputs, size_t model_outputs) {
  std::vector<StateInfo> infos;
  for (const passes::StreamState& state : states) {
    StateInfo& info = infos.emplace_back();
    static_cast<TensorInfo&>(info) = tensor_info(state.name, graph.input(state.input)->type());
    if (state.input < model_inputs) info.input = graph.input(state.input)->name();
    if (state.output < model_outputs) info.output = graph.output_names()[state.output];
  }
  return infos;
}

}  // namespace embed
}  // namespace refrain
