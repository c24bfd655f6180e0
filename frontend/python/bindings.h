// The parts of the module, each registered by a function of its own.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "frontend/python/arrays.h"
#include "refrain/refrain.h"

namespace refrain::python {

// While it lives, other threads of Python go on. A thread that comes back when the interpreter has
// ended (a daemon) stops here for good: taking the lock would end the thread by unwinding
// destructors, which ends the process.
class WithoutGil {
 public:
  WithoutGil() : ends_(_Py_IsFinalizing()), state_(PyEval_SaveThread()) {}
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;
  ~WithoutGil() {
    while (!ends_ && _Py_IsFinalizing()) pause();
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      // The interpreter ended while this thread waited: pthread_exit() unwinds to here.
      for (;;) pause();
    }
  }

 private:
  bool ends_;  // the interpreter, by this very thread, which goes on
  PyThreadState* state_;
};

void bind_errors(py::module_& module);
void bind_models(py::module_& module);
void bind_sessions(py::module_& module);
void bind_batchers(py::module_& module);

// Arguments `shapes`, `symbols` and `values` of what is prepared; None: nothing.
using Shapes = std::optional<std::map<std::string, std::vector<int64_t>>>;
using Symbols = std::optional<std::map<std::string, int64_t>>;
using Values = std::optional<py::dict>;

// Arrays by name as the library takes them; the views are good as long as this is.
struct BorrowedInputs {
  std::vector<py::object> owners;
  Inputs views;
};

// Arrays, lists and numbers are taken as what the input of that name in `infos` is.
BorrowedInputs borrow_inputs(const py::dict& arrays, const std::vector<TensorInfo>& infos);

// A Setup whose values are borrowed; `infos` are the model's inputs.
struct BorrowedSetup {
  Setup setup;
  BorrowedInputs values;
};
BorrowedSetup borrow_setup(const Shapes& shapes, const Symbols& symbols, const Values& values,
                           const std::vector<TensorInfo>& infos);

// The element type of what is called `name`; f32 if nothing is, as the library then says.
DataType type_named(std::string_view name, const std::vector<TensorInfo>& infos);

}  // namespace refrain::python
