#include "frontend/embed/session_impl.h"

#include <algorithm>
#include <cstring>

#include "frontend/embed/convert.h"
#include "ir/clone.h"
#include "ir/control.h"
#include "ir/error.h"

namespace refrain {
namespace {

std::string quoted(const char* kind, std::string_view name) {
  return std::string(kind) + " \"" + std::string(name) + "\"";
}

size_t byte_size(const ConstView& view) { return static_cast<size_t>(embed::bytes_of(view)); }

bool overlap(const ConstView& a, const ConstView& b) {
  const auto begin = [](const ConstView& v) { return reinterpret_cast<uintptr_t>(v.raw()); };
  return byte_size(a) > 0 && byte_size(b) > 0 && begin(a) < begin(b) + byte_size(b) &&
         begin(b) < begin(a) + byte_size(a);
}

Tensor borrowed(DataType type, const Extents& extents, const void* data) {
  return Tensor::borrow(embed::element_type(type), embed::to_vector(extents),
                        const_cast<void*>(data));  // inputs are only read
}

// The same elements in the same order.
bool only_reshapes(Op op) { return op == Op::reshape || op == Op::squeeze || op == Op::unsqueeze; }

// Whether a state can be computed in the place where it was: nothing reads the input but, as its
// initial state, the loop whose final state the output is.
bool in_place(const Graph& graph, const embed::StatePort& state) {
  const Value* in = graph.input(state.input);
  const Value* out = graph.output(state.output);
  const auto yields = [&](const Value* value) {
    size_t count = 0;
    for (const Use* use = value->first_use(); use; use = use->next()) {
      count += use->user()->op() == Op::yield;
    }
    return count;
  };
  if (yields(out) != 1) return false;
  const Use* use = in->first_use();
  while (in->has_one_use() && only_reshapes(use->user()->op()) && use->index() == 0) {
    in = use->user()->result();
    use = in->first_use();
  }
  while (out->node() && only_reshapes(out->node()->op())) out = out->node()->operand(0);
  if (!in->has_one_use() || use->user()->op() != Op::scan || out->node() != use->user())
    return false;
  const ScanView scan(*use->user());
  for (size_t i = 0; i < scan.states(); ++i) {
    if (scan.state_operand(i) == use->index()) return out->index() == i;
  }
  return false;
}

}  // namespace

Session::Impl::Impl(std::shared_ptr<const Model::Impl> of, const SessionOptions& session_options)
    : model(std::move(of)), options(session_options) {
  if (!model) throw Error("this model was moved from", "a model that was loaded", "none");
  if (options.threads < 1) {
    throw Error("wrong number of threads", "1 or more", std::to_string(options.threads));
  }
}

const embed::Compiled& Session::Impl::form() const {
  if (mode == Mode::unprepared) {
    throw Error("this session is not prepared", "prepare() or prepare_step() before", "none");
  }
  return *compiled;
}

void Session::Impl::prepare(const Setup& setup, Mode to) {
  Impl made(model, options);
  made.compiled =
      embed::compile(model, setup, to == Mode::steps ? embed::Form::steps : embed::Form::sequence,
                     options.threads);
  made.mode = to;
  made.instantiate();
  *this = std::move(made);
}

void Session::Impl::instantiate() {
  const embed::Compiled& form = *compiled;
  if (form.prepared) {
    prepared = std::make_unique<PreparedGraph>(*form.graph, prepare_options(form.options));
  } else {
    program = std::make_unique<Executable>(clone_graph(*form.graph), form.options);
  }
  real_time.why = form.why;
  if (real_time.why.empty()) prepared->real_time(&real_time.why);
  real_time.guaranteed = real_time.why.empty();
  const auto buffer = [](const embed::Port& port) {
    Buffer made;
    if (!port.is_static) return made;
    made.own = Array(port.type, port.extents);
    made.at = made.own.view();
    return made;
  };
  for (const embed::Port& port : form.inputs) inputs.push_back(buffer(port));
  for (const embed::Port& port : form.outputs) outputs.push_back(buffer(port));
  for (const embed::StatePort& state : form.states) {
    State& made = states.emplace_back();
    made.now = Array(state.type, state.extents);
    if (!form.prepared || !in_place(*form.graph, state)) made.next = made.now;
  }
  reset();
  place();
}

void Session::Impl::reset() {
  for (size_t i = 0; i < states.size(); ++i) {
    const Tensor& initial = *compiled->states[i].initial;
    std::memcpy(states[i].now.view().raw(), initial.raw(), static_cast<size_t>(initial.bytes()));
  }
}

// Tells the executable where everything is, and the ports of outputs that are states.
void Session::Impl::place() {
  const embed::Compiled& form = *compiled;
  const Graph& graph = *form.graph;
  // Several states may be one output.
  std::vector<void*> results_at(graph.output_count(), nullptr);
  carries.clear();
  for (size_t i = 0; i < states.size(); ++i) {
    const embed::StatePort& port = form.states[i];
    View now = states[i].now.view();
    void*& at = results_at[port.output];
    if (!at) at = states[i].next ? states[i].next->view().raw() : now.raw();
    if (at != now.raw()) carries.push_back({now.raw(), at, byte_size(now)});
    for (size_t k = 0; k < form.outputs.size(); ++k) {
      if (form.outputs[k].index == port.output) outputs[k].at = now;
    }
  }
  if (!prepared) return;
  for (size_t k = 0; k < outputs.size(); ++k) {
    void*& at = results_at[form.outputs[k].index];
    if (!at) at = const_cast<void*>(outputs[k].at.raw());
  }
  std::vector<const void*> inputs_at(graph.input_count(), nullptr);
  for (size_t k = 0; k < inputs.size(); ++k) inputs_at[form.inputs[k].index] = inputs[k].at.raw();
  for (size_t i = 0; i < states.size(); ++i) {
    inputs_at[form.states[i].input] = states[i].now.view().raw();
  }
  for (const auto& [index, tensor] : form.fixed) inputs_at[index] = tensor->raw();
  std::vector<Tensor> in, out;
  std::vector<const Tensor*> in_pointers;
  for (size_t i = 0; i < inputs_at.size(); ++i) {
    const ValueType& type = graph.input(i)->type();
    in.push_back(
        Tensor::borrow(type.element, type.shape.extents(), const_cast<void*>(inputs_at[i])));
  }
  for (size_t i = 0; i < results_at.size(); ++i) {
    const ValueType& type = graph.output(i)->type();
    out.push_back(Tensor::borrow(type.element, type.shape.extents(), results_at[i]));
  }
  for (const Tensor& tensor : in) in_pointers.push_back(&tensor);
  prepared->bind(in_pointers, out);
}

// What can't be prepared: everything is looked up and allocated anew.
void Session::Impl::run_program() {
  const embed::Compiled& form = *compiled;
  std::vector<RuntimeValue> values(form.graph->input_count());
  for (size_t k = 0; k < inputs.size(); ++k) {
    const embed::Port& port = form.inputs[k];
    values[port.index] = borrowed(port.type, port.extents, inputs[k].at.raw());
  }
  for (size_t i = 0; i < states.size(); ++i) {
    const embed::StatePort& port = form.states[i];
    values[port.input] = borrowed(port.type, port.extents, states[i].now.view().raw());
  }
  for (const auto& [index, tensor] : form.fixed) values[index] = tensor;
  std::vector<RuntimeValue> made = program->run(values);
  for (RuntimeValue& value : made) {
    // A result may be an input itself, whose memory goes on to change.
    const bool borrows = std::any_of(values.begin(), values.end(), [&](const RuntimeValue& v) {
      return v.tensor->raw() == value.tensor->raw();
    });
    if (borrows) value = value.tensor->clone();
  }
  for (const embed::StatePort& port : form.states) {
    const Tensor& tensor = *made[port.output].tensor;
    if (tensor.extents() == embed::to_vector(port.extents)) continue;
    throw Error("a step changed the shape of a state",
                to_string(Shape::of_extents(port.extents.span())),
                to_string(Shape::of_extents(tensor.extents())));
  }
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (!outputs[k].bound) continue;
    const Tensor& tensor = *made[form.outputs[k].index].tensor;
    const ConstView is(outputs[k].at.type(), embed::to_extents(tensor.extents()), tensor.raw());
    embed::check_view(outputs[k].at, is.type(), is.extents(),
                      "the memory bound to " + quoted("output", form.output_infos[k].name));
  }
  for (size_t k = 0; k < outputs.size(); ++k) {
    const Tensor& tensor = *made[form.outputs[k].index].tensor;
    const auto bytes = static_cast<size_t>(tensor.bytes());
    if (outputs[k].bound && bytes > 0) {
      std::memcpy(const_cast<void*>(outputs[k].at.raw()), tensor.raw(), bytes);
    } else if (!outputs[k].bound) {
      outputs[k].at =
          ConstView(form.outputs[k].type, embed::to_extents(tensor.extents()), tensor.raw());
    }
  }
  for (size_t i = 0; i < states.size(); ++i) {
    const View now = states[i].now.view();
    std::memcpy(now.raw(), made[form.states[i].output].tensor->raw(), byte_size(now));
  }
  results = std::move(made);
}

View Session::Impl::input(std::string_view name) const {
  const size_t i = embed::find_name(form().input_infos, name, "the session has no input");
  if (inputs[i].bound) {
    throw Error(quoted("input", name) + " is bound to the caller's memory", "the session's own",
                "the caller's");
  }
  const ConstView& at = inputs[i].at;
  return {at.type(), at.extents(), const_cast<void*>(at.raw())};  // `own` is not constant
}

ConstView Session::Impl::output(std::string_view name) const {
  const size_t i = embed::find_name(form().output_infos, name, "the session has no output");
  if (!outputs[i].at.raw()) {
    throw Error("the shape of " + quoted("output", name) + " depends on data", "a run before",
                "none");
  }
  return outputs[i].at;
}

size_t Session::Impl::find_state(std::string_view name) const {
  return embed::find_name(form().state_infos, name, "the session has no state");
}

void Session::Impl::check_overlap(const ConstView& view, const std::string& what, size_t except,
                                  bool is_output) const {
  const auto check = [&](const ConstView& other, const std::string& of) {
    if (overlap(view, other)) throw Error("the memory for " + what + " overlaps that of " + of);
  };
  for (size_t i = 0; i < states.size(); ++i) {
    check(states[i].now.view(), quoted("state", compiled->state_infos[i].name));
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (is_output && i == except) continue;
    check(outputs[i].at, quoted("output", compiled->output_infos[i].name));
  }
  for (size_t i = 0; is_output && i < inputs.size(); ++i) {
    check(inputs[i].at, quoted("input", compiled->input_infos[i].name));
  }
}

void Session::Impl::bind_input(std::string_view name, const ConstView& view) {
  const size_t i = embed::find_name(form().input_infos, name, "the session has no input");
  const bool back = !view.raw() && view.extents().rank() == 0;
  if (!back) {
    const std::string what = quoted("input", name);
    embed::check_view(view, compiled->inputs[i].type, compiled->inputs[i].extents, what);
    check_overlap(view, what, i, false);
  }
  inputs[i].at = back ? ConstView(inputs[i].own) : view;
  inputs[i].bound = !back;
  place();
}

void Session::Impl::bind_output(std::string_view name, const View& view) {
  const size_t i = embed::find_name(form().output_infos, name, "the session has no output");
  const std::string what = quoted("output", name);
  const embed::Port& port = compiled->outputs[i];
  for (size_t k = 0; k < states.size(); ++k) {
    if (compiled->states[k].output != port.index) continue;
    throw Error(what + " is a state, whose memory is the session's", "state() to read it",
                "memory for it");
  }
  const bool back = !view.raw() && view.extents().rank() == 0;
  if (!back) {
    // Where the shape depends on data, runs check it.
    embed::check_view(view, port.type, port.is_static ? port.extents : view.extents(), what);
    check_overlap(view, what, i, true);
  }
  if (!back) {
    outputs[i].at = view;
  } else {
    outputs[i].at = port.is_static ? ConstView(outputs[i].own) : ConstView();
  }
  outputs[i].bound = !back;
  place();
}

void Session::Impl::copy_in(const Inputs& given) {
  const std::vector<TensorInfo>& infos = form().input_infos;
  for (const auto& [name, view] : given) {
    const size_t i = embed::find_name(infos, name, "the session has no input");
    embed::check_view(view, compiled->inputs[i].type, compiled->inputs[i].extents,
                      quoted("input", name));
  }
  for (size_t i = 0; i < infos.size(); ++i) {
    if (given.contains(infos[i].name)) {
      if (!inputs[i].bound) continue;
      throw Error(quoted("input", infos[i].name) + " is bound to the caller's memory",
                  "values there", "values here");
    }
    if (!inputs[i].bound) throw Error("no value for " + quoted("input", infos[i].name));
  }
  for (const auto& [name, view] : given) {
    const size_t i = embed::find_name(infos, name, "the session has no input");
    const size_t bytes = byte_size(view);
    if (bytes > 0) std::memmove(inputs[i].own.view().raw(), view.raw(), bytes);
  }
}

Outputs Session::Impl::copy_out() const {
  Outputs copies;
  for (size_t i = 0; i < outputs.size(); ++i) {
    copies.emplace(compiled->output_infos[i].name, Array(outputs[i].at));
  }
  return copies;
}

std::string Session::Impl::describe() const {
  if (prepared) return prepared->describe();
  std::vector<RuntimeValue> values;
  for (size_t i = 0; i < compiled->graph->input_count(); ++i) {
    const ValueType& type = compiled->graph->input(i)->type();
    values.emplace_back(Tensor(type.element, type.shape.extents()));
  }
  for (const auto& [index, tensor] : compiled->fixed) values[index] = tensor;
  return program->describe(values);
}

}  // namespace refrain
