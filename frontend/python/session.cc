#include <mutex>
#include <utility>

#include "frontend/python/bindings.h"

namespace refrain::python {
namespace {

// A session with what its bound buffers need to stay alive, for one thread at a time: while a run
// has let other threads of Python go on, they get an error instead of half of a result.
class PythonSession {
 public:
  PythonSession(Model model, Session session)
      : model_(std::move(model)), session_(std::move(session)) {}

  void prepare(const Shapes& shapes, const Symbols& symbols, const Values& values) {
    const Use use(*this);
    const BorrowedSetup setup = borrow_setup(shapes, symbols, values, model_.inputs());
    {
      const WithoutGil others;
      session_.prepare(setup.setup);
    }
    bound_.clear();
  }

  void prepare_step(const Shapes& shapes, const Symbols& symbols, const Values& values,
                    int64_t block, int64_t look_ahead) {
    const Use use(*this);
    BorrowedSetup setup = borrow_setup(shapes, symbols, values, model_.inputs());
    setup.setup.block = block;
    setup.setup.look_ahead = look_ahead;
    {
      const WithoutGil others;
      session_.prepare_step(setup.setup);
    }
    bound_.clear();
  }

  RealTime real_time() {
    const Use use(*this);
    return session_.real_time();
  }
  std::vector<TensorInfo> inputs() {
    const Use use(*this);
    return session_.inputs();
  }
  std::vector<TensorInfo> outputs() {
    const Use use(*this);
    return session_.outputs();
  }
  std::vector<StateInfo> states() {
    const Use use(*this);
    return session_.states();
  }

  py::object run(const std::optional<py::dict>& inputs) {
    return go(
        inputs, [this] { session_.run(); },
        [this](const Inputs& views) { return session_.run(views); });
  }
  py::object step(const std::optional<py::dict>& inputs) {
    return go(
        inputs, [this] { session_.step(); },
        [this](const Inputs& views) { return session_.step(views); });
  }

  void bind_input(const std::string& name, const py::object& array) {
    bind("input '" + name + "'", name, array, session_.inputs(), false);
  }
  void bind_output(const std::string& name, const py::object& array) {
    bind("output '" + name + "'", name, array, session_.outputs(), true);
  }

  // A copy: the buffer itself goes when the session is prepared anew.
  py::array output(const std::string& name) {
    const Use use(*this);
    return to_numpy(Array(session_.output(name)));
  }
  py::array read_state(const std::string& name) {
    const Use use(*this);
    return to_numpy(session_.read_state(name));
  }
  void write_state(const std::string& name, const py::object& value) {
    const Use use(*this);
    DataType type = DataType::f32;
    for (const StateInfo& info : session_.states())
      if (info.name == name) type = info.type;
    session_.write_state(name, borrow(value, type, "state '" + name + "'", Access::copy).view);
  }
  void reset() {
    const Use use(*this);
    session_.reset();
  }
  std::unique_ptr<PythonSession> fork() {
    const Use use(*this);
    return std::make_unique<PythonSession>(model_, session_.fork());
  }
  std::string describe() {
    const Use use(*this);
    return session_.describe();
  }

 private:
  class Use {
   public:
    explicit Use(PythonSession& session) : lock_(session.busy_, std::try_to_lock) {
      if (!lock_) throw Error("a session is used by two threads at once");
    }

   private:
    std::unique_lock<std::mutex> lock_;
  };

  template <typename Bound, typename Copied>
  py::object go(const std::optional<py::dict>& inputs, Bound&& bound, Copied&& copied) {
    const Use use(*this);
    if (!inputs) {
      const WithoutGil others;
      bound();
    } else {
      const BorrowedInputs borrowed = borrow_inputs(*inputs, model_.inputs());
      Outputs outputs;
      {
        const WithoutGil others;
        outputs = copied(borrowed.views);
      }
      return to_numpy(std::move(outputs));
    }
    return py::none();
  }

  // `array` None: the session's own buffer again.
  void bind(const std::string& what, const std::string& name, const py::object& array,
            const std::vector<TensorInfo>& infos, bool output) {
    const Use use(*this);
    Borrowed borrowed;
    if (!array.is_none()) borrowed = borrow(array, type_named(name, infos), what, Access::share);
    if (output) {
      if (!array.is_none() && !borrowed.writable)
        throw Error(what + " can't be bound", "an array that can be written", "a read-only one");
      session_.bind_output(name, View(borrowed.view.type(), borrowed.view.extents(),
                                      const_cast<void*>(borrowed.view.raw())));
    } else {
      session_.bind_input(name, borrowed.view);
    }
    // Only now the array before it may go.
    bound_[what] = std::move(borrowed.owner);
  }

  Model model_;
  std::map<std::string, py::object> bound_;  // outlives the session, which is destroyed first
  Session session_;
  std::mutex busy_;
};

}  // namespace

void bind_sessions(py::module_& module) {
  py::class_<RealTime>(module, "RealTime", "Whether steps allocate nothing and take no lock.")
      .def_readonly("guaranteed", &RealTime::guaranteed)
      .def_readonly("why", &RealTime::why, "It is not; '' if it is.")
      .def("__bool__", [](const RealTime& real_time) { return real_time.guaranteed; });

  py::class_<PythonSession>(module, "Session", "Runs a model; for one thread at a time.")
      .def(py::init([](const Model& model, int threads) {
             return std::make_unique<PythonSession>(model, Session(model, {.threads = threads}));
           }),
           py::arg("model"), py::kw_only(), py::arg("threads") = 1)
      .def("prepare", &PythonSession::prepare, py::kw_only(), py::arg("shapes") = py::none(),
           py::arg("symbols") = py::none(), py::arg("values") = py::none(),
           "Compiles for whole sequences of these shapes of inputs, or extents of symbols;\n"
           "values: inputs that keep one value.")
      .def(
          "prepare_step", &PythonSession::prepare_step, py::kw_only(),
          py::arg("shapes") = py::none(), py::arg("symbols") = py::none(),
          py::arg("values") = py::none(), py::arg("block") = 1, py::arg("look_ahead") = 0,
          "Compiles for steps of `block` time steps, with the state carried from each to the next.")
      .def_property_readonly("real_time", &PythonSession::real_time)
      .def_property_readonly("inputs", &PythonSession::inputs)
      .def_property_readonly("outputs", &PythonSession::outputs)
      .def_property_readonly("states", &PythonSession::states)
      .def("run", &PythonSession::run, py::arg("inputs") = py::none(),
           "One whole sequence: arrays by name in, arrays by name out. Prepares for the shapes of\n"
           "the inputs if need be. Without inputs it runs on the buffers and returns None.")
      .def("step", &PythonSession::step, py::arg("inputs") = py::none(),
           "One block of steps, the state carried on. Without inputs on the buffers.")
      .def("bind_input", &PythonSession::bind_input, py::arg("name"), py::arg("array"),
           "From now on the array's own memory is read (dense, of the input's type); None ends it.")
      .def("bind_output", &PythonSession::bind_output, py::arg("name"), py::arg("array"),
           "From now on the array's own memory is written; None ends it.")
      .def("output", &PythonSession::output, py::arg("name"), "A copy of what the last run gave.")
      .def("read_state", &PythonSession::read_state, py::arg("name"), "A copy of a state.")
      .def("write_state", &PythonSession::write_state, py::arg("name"), py::arg("value"))
      .def("reset", &PythonSession::reset, "All states get their initial values.")
      .def("fork", &PythonSession::fork, "A session that goes on from here by itself.")
      .def("describe", &PythonSession::describe, "What a run does, a line a step.");

  const py::object model = module.attr("Model");
  model.attr("session") = py::cpp_function(
      [](const Model& self, int threads) {
        return std::make_unique<PythonSession>(self, Session(self, {.threads = threads}));
      },
      py::name("session"), py::is_method(model), py::kw_only(), py::arg("threads") = 1);
}

}  // namespace refrain::python
