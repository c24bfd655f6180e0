#include "frontend/driver/onnxruntime.h"

#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "ir/error.h"

namespace refrain {
namespace {

// The C API is a table of functions that only grows at its end: ONNX Runtime's
// onnxruntime_c_api.h, struct OrtApi, version 1 (of which all of these are). Debian does not
// package the header.
constexpr uint32_t kApiVersion = 10;
enum class Slot : size_t {
  get_error_message = 2,
  create_env = 3,
  create_session = 7,
  run = 9,
  create_session_options = 10,
  set_graph_optimization_level = 23,
  set_intra_threads = 24,
  set_inter_threads = 25,
  get_output_count = 31,
  get_output_name = 37,
  create_tensor_with_data = 49,
  get_tensor_data = 51,
  get_element_count = 64,
  get_type_and_shape = 65,
  create_cpu_memory_info = 69,
  allocator_free = 76,
  get_default_allocator = 78,
  release_env = 92,
  release_status = 93,
  release_memory_info = 94,
  release_session = 95,
  release_value = 96,
  release_type_and_shape = 99,
  release_session_options = 100,
};

// OrtApiBase.
struct ApiBase {
  void* const* (*get_api)(uint32_t version);
  const char* (*get_version)();
};

constexpr int kLogErrors = 3;          // ORT_LOGGING_LEVEL_ERROR
constexpr int kAllOptimizations = 99;  // ORT_ENABLE_ALL
constexpr int kDeviceAllocator = 0;    // OrtDeviceAllocator
constexpr int kDefaultMemory = 0;      // OrtMemTypeDefault

// ONNXTensorElementDataType, which numbers types as TensorProto.DataType does.
std::optional<int> onnx_type(ElementType type) {
  switch (type) {
    case ElementType::f32:
      return 1;
    case ElementType::u8:
      return 2;
    case ElementType::i8:
      return 3;
    case ElementType::u16:
      return 4;
    case ElementType::i16:
      return 5;
    case ElementType::i32:
      return 6;
    case ElementType::i64:
      return 7;
    case ElementType::boolean:
      return 9;
    case ElementType::f16:
      return 10;
    case ElementType::f64:
      return 11;
    case ElementType::u32:
      return 12;
    case ElementType::u64:
      return 13;
    case ElementType::bf16:
      return 16;
    default:
      return {};
  }
}

// The loaded library. It is never unloaded: its threads may outlive a session for a moment.
class Api {
  template <typename Result, typename... Arguments>
  auto function(Slot slot) const {
    return reinterpret_cast<Result (*)(Arguments...)>(table_[static_cast<size_t>(slot)]);
  }

 public:
  explicit Api(std::string path) {
    const char* variable = std::getenv("REFRAIN_ONNXRUNTIME");
    if (path.empty() && variable) path = variable;
    if (path.empty()) {
      throw Error("no path to ONNX Runtime",
                  "--onnxruntime PATH or REFRAIN_ONNXRUNTIME=PATH, the path of libonnxruntime.so",
                  "neither");
    }
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) throw Error(std::string("can't load ONNX Runtime: ") + dlerror());
    using GetBase = const ApiBase* (*)();
    const auto get_base = reinterpret_cast<GetBase>(dlsym(library, "OrtGetApiBase"));
    if (!get_base) throw Error("not ONNX Runtime, for it has no OrtGetApiBase: " + path);
    const ApiBase* base = get_base();
    version_ = base->get_version();
    table_ = base->get_api(kApiVersion);
    if (!table_) {
      throw Error("ONNX Runtime too old", "1." + std::to_string(kApiVersion) + " or newer",
                  version_);
    }
  }

  const std::string& version() const { return version_; }

  // Calls a function that returns a status. Arguments must be of the declared types exactly.
  template <typename... Arguments>
  void call(Slot slot, Arguments... arguments) const {
    void* status = function<void*, Arguments...>(slot)(arguments...);
    if (!status) return;
    const std::string message = function<const char*, const void*>(Slot::get_error_message)(status);
    release(Slot::release_status, status);
    throw Error("ONNX Runtime: " + message);
  }
  void release(Slot slot, void* object) const {
    if (object) function<void, void*>(slot)(object);
  }

 private:
  void* const* table_ = nullptr;
  std::string version_;
};

}  // namespace

struct OnnxRuntimeSession::State {
  explicit State(const std::string& library) : api(library) {}

  ~State() {
    for (void* value : inputs) api.release(Slot::release_value, value);
    for (void* value : outputs) api.release(Slot::release_value, value);
    api.release(Slot::release_session, session);
    api.release(Slot::release_session_options, options);
    api.release(Slot::release_memory_info, memory);
    api.release(Slot::release_env, environment);
  }

  void open(const std::string& model, int threads) {
    api.call(Slot::create_env, kLogErrors, "refrain", &environment);
    api.call(Slot::create_session_options, &options);
    api.call(Slot::set_intra_threads, options, threads);
    api.call(Slot::set_inter_threads, options, threads);
    api.call(Slot::set_graph_optimization_level, options, kAllOptimizations);
    api.call(Slot::create_session, environment, model.c_str(), static_cast<const void*>(options),
             &session);
    api.call(Slot::create_cpu_memory_info, kDeviceAllocator, kDefaultMemory, &memory);
  }

  void add_input(const std::string& name, const RuntimeValue& value) {
    if (!value.tensor || !onnx_type(value.tensor->type())) {
      throw Error("ONNX Runtime can't be given input " + name + ", which is no tensor of numbers");
    }
    const Tensor& tensor = *value.tensor;
    void* input = nullptr;
    // It only reads its inputs.
    api.call(Slot::create_tensor_with_data, static_cast<const void*>(memory),
             const_cast<void*>(tensor.raw()), static_cast<size_t>(tensor.bytes()),
             tensor.extents().data(), tensor.rank(), *onnx_type(tensor.type()), &input);
    inputs.push_back(input);
    tensors.push_back(value.tensor);
    input_names.push_back(name);
  }

  void name_outputs() {
    size_t count = 0;
    void* allocator = nullptr;
    api.call(Slot::get_output_count, static_cast<const void*>(session), &count);
    api.call(Slot::get_default_allocator, &allocator);
    for (size_t i = 0; i < count; ++i) {
      char* name = nullptr;
      api.call(Slot::get_output_name, static_cast<const void*>(session), i, allocator, &name);
      output_names.emplace_back(name);
      api.call(Slot::allocator_free, allocator, static_cast<void*>(name));
    }
    outputs.resize(count);
    for (const std::string& name : input_names) input_pointers.push_back(name.c_str());
    for (const std::string& name : output_names) output_pointers.push_back(name.c_str());
  }

  // The first run makes the outputs; the others write into them.
  void run() {
    api.call(Slot::run, session, static_cast<const void*>(nullptr), input_pointers.data(),
             static_cast<const void* const*>(inputs.data()), inputs.size(), output_pointers.data(),
             outputs.size(), outputs.data());
  }

  Api api;
  void *environment = nullptr, *options = nullptr, *session = nullptr, *memory = nullptr;
  std::vector<void*> inputs, outputs;
  std::vector<TensorPtr> tensors;  // what the inputs read
  std::vector<std::string> input_names, output_names;
  std::vector<const char*> input_pointers, output_pointers;
};

OnnxRuntimeSession::OnnxRuntimeSession(const std::string& library, const std::string& model,
                                       const Graph& graph, std::span<const RuntimeValue> inputs,
                                       int threads)
    : state_(std::make_unique<State>(library)) {
  if (std::filesystem::path(model).extension() != ".onnx")
    throw Error("ONNX Runtime runs .onnx files only").in_file(model);
  state_->open(model, threads);
  for (size_t i = 0; i < inputs.size(); ++i) state_->add_input(graph.input(i)->name(), inputs[i]);
  state_->name_outputs();
  state_->run();
}

OnnxRuntimeSession::~OnnxRuntimeSession() = default;

void OnnxRuntimeSession::run() { state_->run(); }

const std::string& OnnxRuntimeSession::version() const { return state_->api.version(); }

Tensor OnnxRuntimeSession::output(const std::string& name, ElementType type,
                                  std::vector<int64_t> extents) const {
  const State& state = *state_;
  for (size_t i = 0; i < state.outputs.size(); ++i) {
    if (state.output_names[i] != name) continue;
    void* info = nullptr;
    size_t count = 0;
    state.api.call(Slot::get_type_and_shape, static_cast<const void*>(state.outputs[i]), &info);
    state.api.call(Slot::get_element_count, static_cast<const void*>(info), &count);
    state.api.release(Slot::release_type_and_shape, info);
    Tensor result(type, std::move(extents));
    if (count != static_cast<size_t>(result.size())) {
      throw Error("ONNX Runtime's output " + name + " is of another size",
                  std::to_string(result.size()), std::to_string(count));
    }
    void* data = nullptr;
    state.api.call(Slot::get_tensor_data, state.outputs[i], &data);
    if (count > 0) std::memcpy(result.raw(), data, static_cast<size_t>(result.bytes()));
    return result;
  }
  throw Error("ONNX Runtime's session has no output " + name);
}

}  // namespace refrain
