#include "frontend/driver/rivals.h"

#include <memory>

#include "backends/naive/naive.h"
#include "backends/onednn/kernels.h"
#include "frontend/driver/baseline.h"
#include "frontend/driver/model.h"
#include "frontend/driver/onednn_layer.h"
#include "frontend/driver/onnxruntime.h"
#include "ir/error.h"

namespace refrain {
namespace {

// As it was imported: what passes made of it is what the rivals are to be compared with.
std::unique_ptr<Graph> imported(const std::string& model, const RivalOptions& options) {
  return load_graph(model, options.limits.max_bytes);
}

}  // namespace

Rival naive_rival(const std::string& model, std::span<const RuntimeValue> inputs,
                  const RivalOptions& options) {
  Rival rival{.name = "naive", .version = onednn::version(), .run = {}, .why = {}};
  struct Program {
    std::unique_ptr<Graph> graph;
    naive::Executable executable;
  };
  std::unique_ptr<Graph> graph = imported(model, options);
  try {
    bind_shapes(*graph, inputs);
    graph = unrolled(*graph, options.limits);
    const Graph& flat = *graph;
    const auto program = std::shared_ptr<Program>(
        new Program{std::move(graph), {flat, options.threads, options.limits.max_bytes}});
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].tensor) throw Error("input " + std::to_string(i) + " is no tensor");
      program->executable.set_input(i, *inputs[i].tensor);
    }
    rival.run = [program] { program->executable.run(); };
  } catch (const Error& error) {
    rival.why = error.what();
  }
  return rival;
}

Rival onednn_rival(const std::string& model, std::span<const RuntimeValue> inputs,
                   const RivalOptions& options) {
  Rival rival{.name = "onednn", .version = onednn::version(), .run = {}, .why = {}};
  std::unique_ptr<Graph> imported = load_graph(model, options.limits.max_bytes);
  const std::shared_ptr<OnednnLayer> layer =
      OnednnLayer::find(std::move(imported), inputs, options.threads, options.limits, &rival.why);
  if (layer) rival.run = [layer] { layer->run(); };
  return rival;
}

Rival onnxruntime_rival(const std::string& library, const std::string& model, const Graph& graph,
                        std::span<const RuntimeValue> inputs, const RivalOptions& options) {
  const auto session =
      std::make_shared<OnnxRuntimeSession>(library, model, graph, inputs, options.threads);
  return {.name = "onnxruntime",
          .version = session->version(),
          .run = [session] { session->run(); },
          .why = {}};
}

}  // namespace refrain
