#include <algorithm>
#include <cstring>
#include <utility>

#include "frontend/embed/batch_queue.h"
#include "frontend/embed/convert.h"
#include "ir/error.h"

namespace refrain {

using embed::BatchQueue;
using embed::Compiled;
using embed::Port;

struct Batcher::Impl {
  Impl(const Model& model, const BatcherOptions& options)
      : queue(std::make_shared<BatchQueue>(model, options)) {
    queue->start();
  }
  ~Impl() { queue->shutdown(Pending::run); }

  std::shared_ptr<BatchQueue> queue;
};

struct Batcher::Stream::Impl {
  Impl(std::shared_ptr<BatchQueue> of, std::shared_ptr<BatchQueue::Stream> opened)
      : queue(std::move(of)), stream(std::move(opened)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { queue->close(stream); }
  std::string of(const char* kind, size_t i) const {
    const Compiled& one = queue->form().one();
    const bool input = *kind == 'i';
    return std::string(kind) + " \"" + (input ? one.input_infos[i] : one.output_infos[i]).name +
           "\"";
  }

  std::shared_ptr<BatchQueue> queue;
  std::shared_ptr<BatchQueue::Stream> stream;
};

namespace {

template <typename Impl>
Impl& checked(const std::shared_ptr<Impl>& impl, const char* what) {
  if (!impl) throw Error(std::string("this ") + what + " was moved from or closed");
  return *impl;
}

// Elements around an axis of a tensor.
struct AxisForm {
  AxisForm(const Port& port, size_t axis) {
    for (size_t i = 0; i < port.extents.rank(); ++i) {
      if (i < axis) outer *= static_cast<size_t>(port.extents[i]);
      if (i > axis) inner *= static_cast<size_t>(port.extents[i]);
    }
    inner *= size_of(port.type);
  }
  size_t outer = 1, inner = 1;  // inner: in bytes
};

Extents with_extent(const Extents& extents, size_t axis, int64_t extent) {
  std::vector<int64_t> changed = embed::to_vector(extents);
  changed[axis] = extent;
  return embed::to_extents(changed);
}

// Copies of what the copying submit() was given, step after step, and what it promised.
class Copies {
 public:
  Copies(const Compiled& one, const Inputs& given) : one_(one) {
    for (const auto& entry : given) {
      embed::find_name(one.input_infos, entry.first, "the streams have no input");
    }
    steps_ = count_steps(given);
    for (size_t i = 0; i < one.inputs.size(); ++i) add_input(i, view_of(given, i));
    for (const Port& port : one.outputs) {
      outputs_.emplace_back(port.type, stacked(port));
      output_pointers_.push_back(outputs_.back().view().raw());
    }
  }

  Batcher::Transfer transfer() {
    return {.inputs = input_pointers_.data(),
            .outputs = output_pointers_.data(),
            .steps = steps_,
            .done = [this](const Error* error) {
              if (error) {
                promise_.set_exception(std::make_exception_ptr(*error));
              } else {
                promise_.set_value(results());
              }
            }};
  }
  std::future<Outputs> future() { return promise_.get_future(); }

 private:
  const ConstView& view_of(const Inputs& given, size_t i) const {
    const auto found = given.find(one_.input_infos[i].name);
    if (found == given.end())
      throw Error("no value for input \"" + one_.input_infos[i].name + "\"");
    return found->second;
  }

  int64_t count_steps(const Inputs& given) const {
    int64_t steps = 0;
    for (size_t i = 0; i < one_.inputs.size(); ++i) {
      const Port& port = one_.inputs[i];
      const Extents& extents = view_of(given, i).extents();
      if (!port.axes.time_axis || extents.rank() != port.extents.rank()) continue;
      const int64_t here = extents[*port.axes.time_axis];
      if (here < 1) {
        throw Error("no steps in input \"" + one_.input_infos[i].name + "\"", "1 or more", "0");
      }
      if (steps > 0 && here != steps) {
        throw Error("inputs of different numbers of steps", std::to_string(steps),
                    std::to_string(here));
      }
      steps = here;
    }
    return std::max<int64_t>(steps, 1);
  }

  // What one port's steps are, one after the other.
  Extents stacked(const Port& port) const {
    std::vector<int64_t> extents = embed::to_vector(port.extents);
    if (extents.size() == Extents::kMaxRank) extents = {port.extents.count()};
    extents.insert(extents.begin(), steps_);
    return embed::to_extents(extents);
  }

  void add_input(size_t i, const ConstView& view) {
    const Port& port = one_.inputs[i];
    const bool over_time = port.axes.time_axis.has_value();
    const size_t axis = port.axes.time_axis.value_or(0);
    embed::check_view(view, port.type,
                      over_time ? with_extent(port.extents, axis, steps_) : port.extents,
                      "input \"" + one_.input_infos[i].name + "\"");
    Array& copy = inputs_.emplace_back(port.type, stacked(port));
    char* const to = static_cast<char*>(copy.view().raw());
    const char* const from = static_cast<const char*>(view.raw());
    const auto steps = static_cast<size_t>(steps_);
    const AxisForm form(port, over_time ? axis : port.extents.rank());
    for (size_t s = 0; s < steps; ++s) {
      for (size_t o = 0; o < form.outer; ++o) {
        const size_t at = over_time ? o * steps + s : o;
        std::memcpy(to + (s * form.outer + o) * form.inner, from + at * form.inner, form.inner);
      }
    }
    input_pointers_.push_back(to);
  }

  Outputs results() const {
    Outputs made;
    const auto steps = static_cast<size_t>(steps_);
    for (size_t i = 0; i < one_.outputs.size(); ++i) {
      const Port& port = one_.outputs[i];
      const bool over_time = port.axes.time_axis.has_value();
      const size_t axis = port.axes.time_axis.value_or(0);
      Array array(port.type, over_time ? with_extent(port.extents, axis, steps_) : port.extents);
      char* const to = static_cast<char*>(array.view().raw());
      const char* const from = static_cast<const char*>(outputs_[i].view().raw());
      const AxisForm form(port, over_time ? axis : port.extents.rank());
      for (size_t s = over_time ? 0 : steps - 1; s < steps; ++s) {
        for (size_t o = 0; o < form.outer; ++o) {
          const size_t at = over_time ? o * steps + s : o;
          std::memcpy(to + at * form.inner, from + (s * form.outer + o) * form.inner, form.inner);
        }
      }
      made.emplace(one_.output_infos[i].name, std::move(array));
    }
    return made;
  }

  const Compiled& one_;
  int64_t steps_ = 1;
  std::vector<Array> inputs_, outputs_;
  std::vector<const void*> input_pointers_;
  std::vector<void*> output_pointers_;
  std::promise<Outputs> promise_;
};

// Submissions are many and small: words for what is wrong are only found if something is.
void check_transfer(const Batcher::Transfer& transfer, const Batcher::Stream::Impl& impl) {
  const embed::BatchForm& form = impl.queue->form();
  const Compiled& one = form.one();
  if (transfer.steps < 1) {
    throw Error("wrong number of steps", "1 or more", std::to_string(transfer.steps));
  }
  if (!transfer.inputs && !one.inputs.empty()) throw Error("no inputs", "an array", "null");
  const auto check = [&](const void* at, const embed::RowPort& row, const Port& port,
                         const char* kind, size_t i) {
    if (at && reinterpret_cast<uintptr_t>(at) % row.alignment == 0) return;
    embed::check_view(ConstView(port.type, port.extents, at), port.type, port.extents,
                      impl.of(kind, i));
  };
  for (size_t i = 0; i < one.inputs.size(); ++i) {
    check(transfer.inputs[i], form.inputs()[i], one.inputs[i], "input", i);
  }
  for (size_t i = 0; transfer.outputs && i < one.outputs.size(); ++i) {
    if (transfer.outputs[i])
      check(transfer.outputs[i], form.outputs()[i], one.outputs[i], "output", i);
  }
}

}  // namespace

Batcher::Batcher(const Model& model, const BatcherOptions& options)
    : impl_(std::make_shared<Impl>(model, options)) {}
Batcher::~Batcher() = default;
Batcher::Batcher(Batcher&&) noexcept = default;
Batcher& Batcher::operator=(Batcher&&) noexcept = default;

const std::vector<TensorInfo>& Batcher::inputs() const {
  return checked(impl_, "batcher").queue->form().one().input_infos;
}
const std::vector<TensorInfo>& Batcher::outputs() const {
  return checked(impl_, "batcher").queue->form().one().output_infos;
}
const std::vector<StateInfo>& Batcher::states() const {
  return checked(impl_, "batcher").queue->form().one().state_infos;
}

Batcher::Stream Batcher::open() {
  BatchQueue& queue = *checked(impl_, "batcher").queue;
  return Stream(std::make_shared<Stream::Impl>(impl_->queue, queue.open()));
}
void Batcher::drain() { checked(impl_, "batcher").queue->drain(); }
void Batcher::shutdown(Pending pending) { checked(impl_, "batcher").queue->shutdown(pending); }
Batcher::Statistics Batcher::statistics() const {
  return checked(impl_, "batcher").queue->statistics();
}

Batcher::Stream::Stream(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Batcher::Stream::Stream(Stream&&) noexcept = default;
Batcher::Stream& Batcher::Stream::operator=(Stream&&) noexcept = default;
Batcher::Stream::~Stream() = default;
void Batcher::Stream::close() { impl_.reset(); }

std::future<Outputs> Batcher::Stream::submit(const Inputs& inputs) {
  Impl& impl = checked(impl_, "stream");
  auto copies = std::make_shared<Copies>(impl.queue->form().one(), inputs);
  std::future<Outputs> future = copies->future();
  BatchQueue::Job job{.transfer = copies->transfer(), .next_step = 0, .keeps = copies};
  impl.queue->submit(impl.stream, std::move(job), true);
  return future;
}

void Batcher::Stream::submit(Transfer transfer) {
  Impl& impl = checked(impl_, "stream");
  check_transfer(transfer, impl);
  impl.queue->submit(impl.stream, {.transfer = std::move(transfer), .next_step = 0, .keeps = {}},
                     true);
}

bool Batcher::Stream::try_submit(Transfer transfer) {
  Impl& impl = checked(impl_, "stream");
  check_transfer(transfer, impl);
  return impl.queue->submit(impl.stream,
                            {.transfer = std::move(transfer), .next_step = 0, .keeps = {}}, false);
}

void Batcher::Stream::reset() {
  Impl& impl = checked(impl_, "stream");
  impl.queue->with_state(*impl.stream, "resetting a stream",
                         [&](std::byte* state) { impl.queue->form().reset(state); });
}

Array Batcher::Stream::read_state(std::string_view name) {
  Impl& impl = checked(impl_, "stream");
  const Compiled& one = impl.queue->form().one();
  const size_t i = embed::find_name(one.state_infos, name, "the streams have no state");
  Array value(one.states[i].type, one.states[i].extents);
  const embed::RowPort& port = impl.queue->form().states()[i];
  impl.queue->with_state(*impl.stream, "reading a state", [&](const std::byte* state) {
    std::memcpy(value.view().raw(), state + port.offset, port.row_bytes());
  });
  return value;
}

void Batcher::Stream::write_state(std::string_view name, const ConstView& value) {
  Impl& impl = checked(impl_, "stream");
  const Compiled& one = impl.queue->form().one();
  const size_t i = embed::find_name(one.state_infos, name, "the streams have no state");
  embed::check_view(value, one.states[i].type, one.states[i].extents,
                    "state \"" + std::string(name) + "\"");
  const embed::RowPort& port = impl.queue->form().states()[i];
  impl.queue->with_state(*impl.stream, "writing a state", [&](std::byte* state) {
    std::memcpy(state + port.offset, value.raw(), port.row_bytes());
  });
}

}  // namespace refrain
