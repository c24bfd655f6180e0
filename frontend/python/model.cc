#include <span>
#include <utility>

#include "frontend/python/bindings.h"

namespace refrain::python {
namespace {

constexpr std::pair<const char*, Kernels> kKernels[] = {{"highway", Kernels::highway},
                                                        {"automatic", Kernels::automatic},
                                                        {"onednn", Kernels::onednn},
                                                        {"reference", Kernels::reference}};

Kernels kernels_named(const std::string& name) {
  for (const auto& [known, kernels] : kKernels)
    if (name == known) return kernels;
  throw Error("no such kernels", "highway, automatic, onednn or reference", name);
}

Model load(const py::object& model, std::vector<std::pair<std::string, std::string>> states,
           bool dynamic_time, const std::string& kernels, int64_t max_bytes, int64_t max_iterations,
           const std::string& name) {
  LoadOptions options;
  options.states = std::move(states);
  options.dynamic_time = dynamic_time;
  options.kernels = kernels_named(kernels);
  options.max_bytes = max_bytes;
  options.max_iterations = max_iterations;
  if (PyObject_CheckBuffer(model.ptr())) {
    const py::buffer_info bytes = py::reinterpret_borrow<py::buffer>(model).request();
    if (!PyBuffer_IsContiguous(bytes.view(), 'C'))
      throw Error("a model in memory is not contiguous");
    const auto* first = static_cast<const std::byte*>(bytes.ptr);
    const size_t size = static_cast<size_t>(bytes.size) * static_cast<size_t>(bytes.itemsize);
    const WithoutGil others;
    return Model::from_memory({first, size}, options, name);
  }
  const auto path = py::cast<std::string>(
      py::module_::import("os").attr("fsdecode")(py::module_::import("os").attr("fspath")(model)));
  const WithoutGil others;
  return Model::load(path, options);
}

// The extents: whole numbers, names, None where an axis has neither; None if not even their number
// is known.
py::object shape_of(const TensorInfo& info) {
  if (!info.ranked) return py::none();
  py::tuple shape(info.dimensions.size());
  for (size_t i = 0; i < info.dimensions.size(); ++i) {
    const Dimension& dimension = info.dimensions[i];
    if (dimension.extent >= 0)
      shape[i] = dimension.extent;
    else if (dimension.symbol.empty())
      shape[i] = py::none();
    else
      shape[i] = dimension.symbol;
  }
  return shape;
}

void bind_infos(py::module_& module) {
  py::class_<TensorInfo>(module, "TensorInfo", "An input or output as the model declares it.")
      .def_readonly("name", &TensorInfo::name)
      .def_property_readonly(
          "type", [](const TensorInfo& info) { return name_of(info.type); }, "f32, i64, ...")
      .def_property_readonly(
          "dtype", [](const TensorInfo& info) { return dtype_of(info.type); },
          "numpy's; uint16 for bf16")
      .def_property_readonly("shape", &shape_of,
                             "Of each axis its extent, its name or None; None if unknown.")
      .def("__repr__", [](const TensorInfo& info) {
        return "<refrain.TensorInfo '" + info.name + "' " + info.text + ">";
      });
  py::class_<StateInfo, TensorInfo>(module, "StateInfo", "A state that steps carry.")
      .def_readonly("input", &StateInfo::input, "The model's input that it is, or ''.")
      .def_readonly("output", &StateInfo::output, "The model's output that it is, or ''.")
      .def("__repr__", [](const StateInfo& info) {
        return "<refrain.StateInfo '" + info.name + "' " + info.text + ">";
      });
  py::class_<Streaming>(module, "Streaming", "Whether a model can be stepped, and what a step is.")
      .def_readonly("supported", &Streaming::supported)
      .def_readonly("why", &Streaming::why, "It is not supported; '' if it is.")
      .def_readonly("time", &Streaming::time, "Name of the number of steps in a block, or ''.")
      .def_readonly("batch", &Streaming::batch, "Name of the batch, or ''.")
      .def("__bool__", [](const Streaming& streaming) { return streaming.supported; });
}

}  // namespace

DataType type_named(std::string_view name, const std::vector<TensorInfo>& infos) {
  for (const TensorInfo& info : infos)
    if (info.name == name) return info.type;
  return DataType::f32;
}

BorrowedInputs borrow_inputs(const py::dict& arrays, const std::vector<TensorInfo>& infos) {
  BorrowedInputs inputs;
  for (const auto& [key, value] : arrays) {
    const auto name = py::cast<std::string>(key);
    Borrowed borrowed =
        borrow(value, type_named(name, infos), "input '" + name + "'", Access::copy);
    inputs.owners.push_back(std::move(borrowed.owner));
    inputs.views.emplace(name, borrowed.view);
  }
  return inputs;
}

BorrowedSetup borrow_setup(const Shapes& shapes, const Symbols& symbols, const Values& values,
                           const std::vector<TensorInfo>& infos) {
  BorrowedSetup result;
  if (shapes)
    for (const auto& [name, extents] : *shapes)
      result.setup.shapes.emplace(name, Extents(std::span<const int64_t>(extents)));
  if (symbols) result.setup.symbols.insert(symbols->begin(), symbols->end());
  if (values) {
    result.values = borrow_inputs(*values, infos);
    result.setup.values = result.values.views;
  }
  return result;
}

void bind_models(py::module_& module) {
  bind_infos(module);
  py::class_<Model>(module, "Model",
                    "What a file holds, compiled: immutable, for any number of threads.")
      .def_property_readonly("inputs", &Model::inputs)
      .def_property_readonly("outputs", &Model::outputs)
      .def_property_readonly("states", &Model::states,
                             "What steps carry; empty if the model can't be stepped.")
      .def_property_readonly("streaming", &Model::streaming)
      .def_property_readonly("warnings", &Model::warnings)
      .def("__repr__", [](const Model& model) {
        std::string text = "<refrain.Model";
        for (const TensorInfo& info : model.inputs()) text += " " + info.name + ": " + info.text;
        text += " ->";
        for (const TensorInfo& info : model.outputs()) text += " " + info.name + ": " + info.text;
        return text + ">";
      });

  const LoadOptions defaults;
  module.def("load", &load, py::arg("model"), py::kw_only(), py::arg("states") = py::tuple(),
             py::arg("dynamic_time") = defaults.dynamic_time, py::arg("kernels") = "highway",
             py::arg("max_bytes") = defaults.max_bytes,
             py::arg("max_iterations") = defaults.max_iterations, py::arg("name") = "memory",
             "A model from a file, or from the bytes of one (called `name` in messages).\n\n"
             "states: pairs of an input and an output that are one state.\n"
             "dynamic_time: free the time axis that tracing froze.\n"
             "kernels: highway (Refrain's own), automatic, onednn or reference.\n"
             "max_bytes, max_iterations: limits for the model and what runs it.");
}

}  // namespace refrain::python
