#include <chrono>
#include <future>
#include <utility>

#include "frontend/python/bindings.h"

namespace refrain::python {
namespace {

// What is shared with Python and destroyed without holding up its other threads: the end of a
// batcher or stream waits for workers.
template <typename T>
struct ReleaseGil {
  void operator()(T* object) const {
    // A batcher may end with its last stream, which has let go already.
    std::optional<WithoutGil> others;
    if (PyGILState_Check()) others.emplace();
    delete object;
  }
};
template <typename T>
using Held = std::unique_ptr<T, ReleaseGil<T>>;

class Future {
 public:
  explicit Future(std::future<Outputs> future) : future_(future.share()) {}

  bool done() const {
    return future_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

  // The same dict every time.
  py::dict result(std::optional<double> timeout) {
    const auto start = std::chrono::steady_clock::now();
    const auto limit = std::chrono::duration<double>(timeout.value_or(0));
    // In short waits, so that an interrupt from the keyboard is seen.
    while (!wait(std::chrono::milliseconds(timeout && *timeout < 0.1 ? 1 : 50))) {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      if (timeout && std::chrono::steady_clock::now() - start >= limit) {
        PyErr_SetString(PyExc_TimeoutError, "the step is not done yet");
        throw py::error_already_set();
      }
    }
    const Outputs& outputs = future_.get();
    if (!result_) {
      const auto holder = std::make_shared<std::shared_future<Outputs>>(future_);
      py::dict result;
      for (const auto& [name, array] : outputs)
        result[py::str(name)] = to_numpy(array.view(), holder);
      result_ = std::move(result);
    }
    return *result_;
  }

 private:
  bool wait(std::chrono::milliseconds time) const {
    const std::shared_future<Outputs> future = future_;
    const WithoutGil others;
    return future.wait_for(time) == std::future_status::ready;
  }

  std::shared_future<Outputs> future_;
  std::optional<py::dict> result_;
};

struct PythonBatcher {
  PythonBatcher(const Model& model, const BatcherOptions& options) : batcher(model, options) {}
  Batcher batcher;
};

class PythonStream {
 public:
  explicit PythonStream(std::shared_ptr<PythonBatcher> batcher)
      : batcher_(std::move(batcher)), stream_(batcher_->batcher.open()) {}

  std::unique_ptr<Future> submit(const py::dict& inputs) {
    const BorrowedInputs borrowed = borrow_inputs(inputs, batcher_->batcher.inputs());
    const WithoutGil others;
    return std::make_unique<Future>(stream_.submit(borrowed.views));
  }
  void reset() {
    const WithoutGil others;
    stream_.reset();
  }
  py::array read_state(const std::string& name) {
    Array state;
    {
      const WithoutGil others;
      state = stream_.read_state(name);
    }
    return to_numpy(std::move(state));
  }
  void write_state(const std::string& name, const py::object& value) {
    DataType type = DataType::f32;
    for (const StateInfo& info : batcher_->batcher.states())
      if (info.name == name) type = info.type;
    const Borrowed borrowed = borrow(value, type, "state '" + name + "'", Access::copy);
    const WithoutGil others;
    stream_.write_state(name, borrowed.view);
  }
  void close() {
    const WithoutGil others;
    stream_.close();
  }

 private:
  std::shared_ptr<PythonBatcher> batcher_;
  Batcher::Stream stream_;
};

std::shared_ptr<PythonBatcher> make_batcher(const Model& model, int64_t max_batch, double max_delay,
                                            int threads, size_t queue_capacity, size_t max_streams,
                                            const Shapes& shapes, const Symbols& symbols,
                                            const Values& values) {
  if (!(max_delay >= 0 && max_delay <= 3600))
    throw Error("max_delay is out of range", "0 to 3600 seconds", std::to_string(max_delay));
  const BorrowedSetup setup = borrow_setup(shapes, symbols, values, model.inputs());
  BatcherOptions options;
  options.max_batch = max_batch;
  options.max_delay = std::chrono::microseconds(static_cast<int64_t>(max_delay * 1e6));
  options.threads = threads;
  options.queue_capacity = queue_capacity;
  options.max_streams = max_streams;
  options.setup = setup.setup;
  const WithoutGil others;
  return {new PythonBatcher(model, options), ReleaseGil<PythonBatcher>()};
}

}  // namespace

void bind_batchers(py::module_& module) {
  py::class_<Future>(module, "Future", "The outputs of steps that were submitted.")
      .def("done", &Future::done)
      .def("result", &Future::result, py::arg("timeout") = py::none(),
           "Waits, at most `timeout` seconds (then TimeoutError): arrays by name, or the error.");

  py::class_<PythonStream, Held<PythonStream>>(module, "Stream",
                                               "One stream of a batcher, with its own state.")
      .def("submit", &PythonStream::submit, py::arg("inputs"), py::keep_alive<0, 1>(),
           "One or, along the time axis, several steps; blocks while the queue is full.")
      .def("reset", &PythonStream::reset)
      .def("read_state", &PythonStream::read_state, py::arg("name"))
      .def("write_state", &PythonStream::write_state, py::arg("name"), py::arg("value"))
      .def("close", &PythonStream::close, "What has not run is cancelled.")
      .def("__enter__", [](py::object self) { return self; })
      .def("__exit__", [](PythonStream& stream, const py::args&) { stream.close(); });

  const BatcherOptions defaults;
  py::class_<PythonBatcher, std::shared_ptr<PythonBatcher>>(
      module, "Batcher", "Steps many independent streams of one model together.")
      .def(py::init(&make_batcher), py::arg("model"), py::kw_only(),
           py::arg("max_batch") = defaults.max_batch,
           py::arg("max_delay") = std::chrono::duration<double>(defaults.max_delay).count(),
           py::arg("threads") = defaults.threads,
           py::arg("queue_capacity") = defaults.queue_capacity,
           py::arg("max_streams") = defaults.max_streams, py::arg("shapes") = py::none(),
           py::arg("symbols") = py::none(), py::arg("values") = py::none(),
           "max_delay in seconds; shapes, symbols and values as of prepare, for one stream.")
      .def_property_readonly("inputs", [](PythonBatcher& self) { return self.batcher.inputs(); })
      .def_property_readonly("outputs", [](PythonBatcher& self) { return self.batcher.outputs(); })
      .def_property_readonly("states", [](PythonBatcher& self) { return self.batcher.states(); })
      .def(
          "open",
          [](const std::shared_ptr<PythonBatcher>& self) {
            return Held<PythonStream>(new PythonStream(self));
          },
          "A new stream in its initial state.")
      .def(
          "drain", [](PythonBatcher& self) { self.batcher.drain(); }, py::call_guard<WithoutGil>(),
          "Returns when nothing that was submitted is left to run.")
      .def(
          "shutdown",
          [](PythonBatcher& self, bool cancel) {
            self.batcher.shutdown(cancel ? Batcher::Pending::cancel : Batcher::Pending::run);
          },
          py::arg("cancel") = false, py::call_guard<WithoutGil>(),
          "Ends the batcher; what waits is run, or cancelled.")
      .def_property_readonly("steps",
                             [](PythonBatcher& self) { return self.batcher.statistics().steps; })
      .def_property_readonly("batches",
                             [](PythonBatcher& self) { return self.batcher.statistics().batches; })
      .def("__enter__", [](py::object self) { return self; })
      .def("__exit__", [](PythonBatcher& self, const py::args&) {
        const WithoutGil others;
        self.batcher.shutdown(Batcher::Pending::run);
      });
}

}  // namespace refrain::python
