#include "frontend/python/bindings.h"

namespace refrain::python {
namespace {

PyObject* error_type = nullptr;  // kept by the module

void raise(const Error& error) {
  py::object raised = py::handle(error_type)(py::str(error.what()));
  raised.attr("problem") = error.problem();
  raised.attr("expected") = error.expected();
  raised.attr("found") = error.found();
  raised.attr("node") = error.node();
  raised.attr("op") = error.op();
  raised.attr("file") = error.file();
  PyErr_SetObject(error_type, raised.ptr());
}

}  // namespace

void bind_errors(py::module_& module) {
  error_type = PyErr_NewExceptionWithDoc(
      "refrain.Error",
      "What was wrong, and where: problem, expected, found, node, op and file are strings, empty\n"
      "where there is nothing to say.",
      PyExc_Exception, nullptr);
  if (!error_type) throw py::error_already_set();
  module.attr("Error") = py::reinterpret_borrow<py::object>(error_type);
  for (const char* part : {"problem", "expected", "found", "node", "op", "file"})
    py::handle(error_type).attr(part) = "";
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const Error& error) {
      raise(error);
    }
  });
}

}  // namespace refrain::python
