#include <utility>

#include "frontend/embed/convert.h"
#include "frontend/embed/session_impl.h"
#include "ir/error.h"

namespace refrain {
namespace {

[[noreturn, gnu::cold]] void refuse(const Session::Impl* impl, Session::Impl::Mode asked) {
  if (!impl) throw Error("this session was moved from", "a session", "none");
  const bool step = asked == Session::Impl::Mode::steps;
  if (impl->mode == Session::Impl::Mode::unprepared) {
    throw Error("this session is not prepared",
                std::string(step ? "prepare_step()" : "prepare()") + " before", "none");
  }
  throw Error(step ? "step() of a session that is prepared for whole sequences"
                   : "run() of a session that is prepared for steps",
              step ? "prepare_step() before" : "prepare() before",
              step ? "prepare()" : "prepare_step()");
}

}  // namespace

Session::Session(const Model& model, const SessionOptions& options)
    : impl_(std::make_unique<Impl>(model.impl(), options)) {}
Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&& other) noexcept = default;
Session& Session::operator=(Session&& other) noexcept = default;
Session::~Session() = default;

Session::Impl& Session::impl() const {
  if (!impl_) refuse(nullptr, Impl::Mode::unprepared);
  return *impl_;
}

void Session::prepare(const Setup& setup) { impl().prepare(setup, Impl::Mode::sequence); }
void Session::prepare_step(const Setup& setup) { impl().prepare(setup, Impl::Mode::steps); }

RealTime Session::real_time() const {
  impl().form();
  return impl_->real_time;
}

const std::vector<TensorInfo>& Session::inputs() const { return impl().form().input_infos; }
const std::vector<TensorInfo>& Session::outputs() const { return impl().form().output_infos; }
const std::vector<StateInfo>& Session::states() const { return impl().form().state_infos; }

View Session::input(std::string_view name) { return impl().input(name); }
ConstView Session::output(std::string_view name) const { return impl().output(name); }
void Session::bind_input(std::string_view name, const ConstView& view) {
  impl().bind_input(name, view);
}
void Session::bind_output(std::string_view name, const View& view) {
  impl().bind_output(name, view);
}

void Session::run() {
  Impl* const impl = impl_.get();
  if (!impl || impl->mode != Impl::Mode::sequence) refuse(impl, Impl::Mode::sequence);
  impl->run();
}

void Session::step() {
  Impl* const impl = impl_.get();
  if (!impl || impl->mode != Impl::Mode::steps) refuse(impl, Impl::Mode::steps);
  impl->run();
}

Outputs Session::run(const Inputs& inputs) {
  Impl& impl = this->impl();
  bool fits = impl.mode == Impl::Mode::sequence;
  Setup setup;
  for (const auto& [name, view] : inputs) {
    setup.shapes.emplace(name, view.extents());
    if (!fits) continue;
    const size_t i = embed::find_name(impl.compiled->input_infos, name, "the session has no input");
    fits = impl.compiled->inputs[i].extents == view.extents();
  }
  if (!fits) {
    // Values that were fixed stay so.
    if (impl.compiled) {
      for (const auto& [index, tensor] : impl.compiled->fixed) {
        setup.values.emplace(impl.model->inputs[index].name,
                             ConstView(embed::data_type(tensor->type()),
                                       embed::to_extents(tensor->extents()), tensor->raw()));
      }
    }
    impl.prepare(setup, Impl::Mode::sequence);
  }
  impl.copy_in(inputs);
  run();
  return impl.copy_out();
}

Outputs Session::step(const Inputs& inputs) {
  if (!impl_ || impl_->mode != Impl::Mode::steps) refuse(impl_.get(), Impl::Mode::steps);
  impl_->copy_in(inputs);
  step();
  return impl_->copy_out();
}

View Session::state(std::string_view name) {
  Impl& impl = this->impl();
  return impl.states[impl.find_state(name)].now.view();
}

Array Session::read_state(std::string_view name) const {
  const Impl& impl = this->impl();
  return impl.states[impl.find_state(name)].now;
}

void Session::write_state(std::string_view name, const ConstView& value) {
  Impl& impl = this->impl();
  const size_t i = impl.find_state(name);
  const embed::StatePort& state = impl.compiled->states[i];
  embed::check_view(value, state.type, state.extents, "state \"" + std::string(name) + "\"");
  std::memmove(impl.states[i].now.view().raw(), value.raw(),
               static_cast<size_t>(embed::bytes_of(value)));
}

void Session::reset() {
  impl().form();
  impl_->reset();
}

Session Session::fork() const {
  const Impl& from = impl();
  from.form();
  auto made = std::make_unique<Impl>(from.model, from.options);
  made->compiled = from.compiled;
  made->mode = from.mode;
  made->instantiate();
  for (size_t i = 0; i < from.states.size(); ++i) {
    const ConstView value = from.states[i].now.view();
    std::memcpy(made->states[i].now.view().raw(), value.raw(),
                static_cast<size_t>(embed::bytes_of(value)));
  }
  return Session(std::move(made));
}

std::string Session::describe() const {
  impl().form();
  return impl_->describe();
}

}  // namespace refrain
