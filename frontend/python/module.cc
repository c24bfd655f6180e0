// The module refrain._core, all of which the package refrain gives out as its own.
#include "frontend/python/bindings.h"

PYBIND11_MODULE(_core, module) {
  using namespace refrain::python;
  // Classes and messages show the package's name.
  const py::object name = module.attr("__name__");
  module.attr("__name__") = "refrain";
  module.attr("__version__") = refrain::version();
  bind_errors(module);
  bind_models(module);
  bind_sessions(module);
  bind_batchers(module);
  module.attr("__name__") = name;
}
