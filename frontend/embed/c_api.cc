// The C API: each function is the public C++ one, its errors translated.
#include "frontend/embed/c_handles.h"

using refrain::Error;
using refrain::Extents;
using refrain::View;
using refrain::embed::CPorts;
using refrain::embed::guarded;
using refrain::embed::read_struct;
using refrain::embed::Refusal;
using refrain::embed::require;
using refrain::embed::setup_of;
using refrain::embed::translate;
using refrain::embed::view_of;
using refrain::embed::write_struct;

namespace {

refrain::LoadOptions load_options(const refrain_load_options* options) {
  const refrain_load_options own = read_struct(options, "options");
  refrain::LoadOptions made;
  if (own.state_count > 0) require(own.states, "options: states");
  for (size_t i = 0; i < own.state_count; ++i) {
    made.states.emplace_back(&require(own.states[i].input, "options: the input of a state"),
                             &require(own.states[i].output, "options: the output of a state"));
  }
  made.dynamic_time = own.dynamic_time != 0;
  made.kernels = static_cast<refrain::Kernels>(own.kernels);
  if (own.max_bytes != 0) made.max_bytes = own.max_bytes;
  if (own.max_iterations != 0) made.max_iterations = own.max_iterations;
  return made;
}

refrain::BatcherOptions batcher_options(const refrain_batcher_options* options) {
  const refrain_batcher_options own = read_struct(options, "options");
  refrain::BatcherOptions made;
  if (own.max_batch != 0) made.max_batch = own.max_batch;
  if (own.max_delay_us != 0) {
    made.max_delay = std::chrono::microseconds(std::max<int64_t>(own.max_delay_us, 0));
  }
  if (own.threads != 0) made.threads = own.threads;
  if (own.queue_capacity != 0) made.queue_capacity = own.queue_capacity;
  if (own.max_streams != 0) made.max_streams = own.max_streams;
  made.setup = setup_of(own.setup);
  return made;
}

void count(const CPorts& ports, refrain_port port, size_t* to) {
  require(to, "count") = ports.of(port).count();
}

void info(const CPorts& ports, refrain_port port, size_t index, refrain_tensor_info* to) {
  write_struct(to, ports.of(port).at(index), "info");
}

void copy(const refrain::Array& from, const refrain_tensor* into) {
  const View to = view_of(into, "tensor");
  if (to.type() != from.type() || !(to.extents() == from.extents())) {
    throw Error("the tensor does not have the state's type and shape");
  }
  const size_t bytes = static_cast<size_t>(from.extents().count()) * size_of(from.type());
  if (bytes == 0) return;
  require(static_cast<char*>(to.raw()), "tensor: data");
  std::memcpy(to.raw(), from.view().raw(), bytes);
}

const CPorts& ports_of(const refrain_session* session) {
  if (!require(session, "session").is_prepared) session->session.inputs();  // says what is missing
  return session->ports;
}

refrain::Batcher::Transfer transfer_of(const refrain_transfer* transfer) {
  const refrain_transfer own = read_struct(&require(transfer, "transfer"), "transfer");
  refrain::Batcher::Transfer made{.inputs = own.inputs, .outputs = own.outputs};
  if (own.steps != 0) made.steps = own.steps;
  if (own.done) {
    made.done = [done = own.done, context = own.context](const Error* error) {
      done(context, error ? error->what() : nullptr);
    };
  }
  return made;
}

}  // namespace

extern "C" {

uint32_t refrain_api_version(void) noexcept { return REFRAIN_API_VERSION; }
const char* refrain_version(void) noexcept { return refrain::version(); }

refrain_status refrain_model_load(const char* path, const refrain_load_options* options,
                                  refrain_model** model) noexcept {
  return guarded([&] {
    require(model, "model");
    *model = new refrain_model(refrain::Model::load(&require(path, "path"), load_options(options)));
  });
}

refrain_status refrain_model_from_memory(const void* bytes, size_t size,
                                         const refrain_load_options* options,
                                         refrain_model** model) noexcept {
  return guarded([&] {
    require(model, "model");
    if (size > 0) require(static_cast<const char*>(bytes), "bytes");
    *model = new refrain_model(refrain::Model::from_memory(
        {static_cast<const std::byte*>(bytes), size}, load_options(options)));
  });
}

void refrain_model_free(refrain_model* model) noexcept { delete model; }

refrain_status refrain_model_count(const refrain_model* model, refrain_port port,
                                   size_t* to) noexcept {
  return guarded([&] { count(require(model, "model").ports(), port, to); });
}

refrain_status refrain_model_info(const refrain_model* model, refrain_port port, size_t index,
                                  refrain_tensor_info* to) noexcept {
  return guarded([&] { info(require(model, "model").ports(), port, index, to); });
}

refrain_status refrain_model_streaming(const refrain_model* model,
                                       refrain_streaming* streaming) noexcept {
  return guarded([&] {
    const refrain::Streaming& from = require(model, "model").model.streaming();
    refrain_streaming own{};
    own.supported = from.supported;
    own.why = from.why.c_str();
    own.time = from.time.c_str();
    own.batch = from.batch.c_str();
    write_struct(streaming, own, "streaming");
  });
}

refrain_status refrain_model_warning_count(const refrain_model* model, size_t* to) noexcept {
  return guarded([&] { require(to, "count") = require(model, "model").model.warnings().size(); });
}

refrain_status refrain_model_warning(const refrain_model* model, size_t index,
                                     const char** warning) noexcept {
  return guarded([&] {
    const std::vector<std::string>& warnings = require(model, "model").model.warnings();
    if (index >= warnings.size()) {
      throw Error("no such warning", "less than " + std::to_string(warnings.size()),
                  std::to_string(index));
    }
    require(warning, "warning") = warnings[index].c_str();
  });
}

refrain_status refrain_session_create(const refrain_model* model,
                                      const refrain_session_options* options,
                                      refrain_session** session) noexcept {
  return guarded([&] {
    require(session, "session");
    const refrain_session_options own = read_struct(options, "options");
    refrain::SessionOptions made;
    if (own.threads != 0) made.threads = own.threads;
    *session = new refrain_session(refrain::Session(require(model, "model").model, made));
  });
}

void refrain_session_free(refrain_session* session) noexcept { delete session; }

refrain_status refrain_session_prepare(refrain_session* session,
                                       const refrain_setup* setup) noexcept {
  return guarded([&] {
    require(session, "session").session.prepare(setup_of(setup));
    session->prepared();
  });
}

refrain_status refrain_session_prepare_step(refrain_session* session,
                                            const refrain_setup* setup) noexcept {
  return guarded([&] {
    require(session, "session").session.prepare_step(setup_of(setup));
    session->prepared();
  });
}

refrain_status refrain_session_real_time(const refrain_session* session, int32_t* guaranteed,
                                         const char** why) noexcept {
  return guarded([&] {
    ports_of(session);
    if (guaranteed) *guaranteed = session->real_time.guaranteed;
    if (why) *why = session->real_time.why.c_str();
  });
}

refrain_status refrain_session_count(const refrain_session* session, refrain_port port,
                                     size_t* to) noexcept {
  return guarded([&] { count(ports_of(session), port, to); });
}

refrain_status refrain_session_info(const refrain_session* session, refrain_port port, size_t index,
                                    refrain_tensor_info* to) noexcept {
  return guarded([&] { info(ports_of(session), port, index, to); });
}

refrain_status refrain_session_buffer(refrain_session* session, refrain_port port, const char* name,
                                      refrain_tensor* tensor) noexcept {
  return guarded([&] {
    refrain::Session& of = require(session, "session").session;
    require(name, "name");
    ports_of(session).of(port);  // that there is such a kind
    refrain::ConstView view;
    if (port == REFRAIN_INPUT) view = of.input(name);
    if (port == REFRAIN_OUTPUT) view = of.output(name);
    if (port == REFRAIN_STATE) view = of.state(name);
    session->extents.assign(view.extents().begin(), view.extents().end());
    refrain_tensor own{};
    own.type = static_cast<refrain_type>(view.type());
    own.rank = static_cast<int32_t>(session->extents.size());
    own.extents = session->extents.data();
    own.data = const_cast<void*>(view.raw());  // outputs are only to be read, as the header says
    write_struct(tensor, own, "tensor");
  });
}

refrain_status refrain_session_bind(refrain_session* session, refrain_port port, const char* name,
                                    const refrain_tensor* tensor) noexcept {
  return guarded([&] {
    refrain::Session& of = require(session, "session").session;
    require(name, "name");
    const View view = tensor ? view_of(tensor, "tensor") : View();
    if (tensor && !view.raw()) throw Error("no memory to bind", "elements", "null");
    if (port == REFRAIN_INPUT) {
      of.bind_input(name, view);
    } else if (port == REFRAIN_OUTPUT) {
      of.bind_output(name, view);
    } else {
      throw Refusal{REFRAIN_INVALID_ARGUMENT, "only inputs and outputs can be bound"};
    }
  });
}

refrain_status refrain_session_run(refrain_session* session) noexcept {
  return guarded([&] { require(session, "session").session.run(); });
}

refrain_status refrain_session_step(refrain_session* session) noexcept {
  return guarded([&] { require(session, "session").session.step(); });
}

refrain_status refrain_session_read_state(const refrain_session* session, const char* name,
                                          const refrain_tensor* into) noexcept {
  return guarded(
      [&] { copy(require(session, "session").session.read_state(&require(name, "name")), into); });
}

refrain_status refrain_session_write_state(refrain_session* session, const char* name,
                                           const refrain_tensor* value) noexcept {
  return guarded([&] {
    require(session, "session")
        .session.write_state(&require(name, "name"), view_of(value, "tensor"));
  });
}

refrain_status refrain_session_reset(refrain_session* session) noexcept {
  return guarded([&] { require(session, "session").session.reset(); });
}

refrain_status refrain_session_fork(const refrain_session* session,
                                    refrain_session** fork) noexcept {
  return guarded([&] {
    require(fork, "fork");
    auto made = std::make_unique<refrain_session>(require(session, "session").session.fork());
    made->prepared();
    *fork = made.release();
  });
}

refrain_status refrain_batcher_create(const refrain_model* model,
                                      const refrain_batcher_options* options,
                                      refrain_batcher** batcher) noexcept {
  return guarded([&] {
    require(batcher, "batcher");
    *batcher = new refrain_batcher(require(model, "model").model, batcher_options(options));
  });
}

void refrain_batcher_free(refrain_batcher* batcher) noexcept { delete batcher; }

refrain_status refrain_batcher_count(const refrain_batcher* batcher, refrain_port port,
                                     size_t* to) noexcept {
  return guarded([&] { count(require(batcher, "batcher").ports, port, to); });
}

refrain_status refrain_batcher_info(const refrain_batcher* batcher, refrain_port port, size_t index,
                                    refrain_tensor_info* to) noexcept {
  return guarded([&] { info(require(batcher, "batcher").ports, port, index, to); });
}

refrain_status refrain_batcher_drain(refrain_batcher* batcher) noexcept {
  return guarded([&] { require(batcher, "batcher").batcher.drain(); });
}

refrain_status refrain_batcher_shutdown(refrain_batcher* batcher, int32_t cancel) noexcept {
  using Pending = refrain::Batcher::Pending;
  return guarded([&] {
    require(batcher, "batcher").batcher.shutdown(cancel ? Pending::cancel : Pending::run);
  });
}

refrain_status refrain_batcher_get_statistics(const refrain_batcher* batcher,
                                              refrain_batcher_statistics* statistics) noexcept {
  return guarded([&] {
    const refrain::Batcher::Statistics from = require(batcher, "batcher").batcher.statistics();
    refrain_batcher_statistics own{};
    own.steps = from.steps;
    own.batches = from.batches;
    write_struct(statistics, own, "statistics");
  });
}

refrain_status refrain_stream_open(refrain_batcher* batcher, refrain_stream** stream) noexcept {
  return guarded([&] {
    require(stream, "stream");
    *stream = new refrain_stream(require(batcher, "batcher").batcher.open());
  });
}

void refrain_stream_close(refrain_stream* stream) noexcept { delete stream; }

refrain_status refrain_stream_submit(refrain_stream* stream,
                                     const refrain_transfer* transfer) noexcept {
  return guarded([&] { require(stream, "stream").stream.submit(transfer_of(transfer)); });
}

refrain_status refrain_stream_try_submit(refrain_stream* stream,
                                         const refrain_transfer* transfer) noexcept {
  return guarded([&] {
    if (require(stream, "stream").stream.try_submit(transfer_of(transfer))) return;
    throw Refusal{REFRAIN_QUEUE_FULL, "the queue is full"};
  });
}

refrain_status refrain_stream_reset(refrain_stream* stream) noexcept {
  return guarded([&] { require(stream, "stream").stream.reset(); });
}

refrain_status refrain_stream_read_state(refrain_stream* stream, const char* name,
                                         const refrain_tensor* into) noexcept {
  return guarded(
      [&] { copy(require(stream, "stream").stream.read_state(&require(name, "name")), into); });
}

refrain_status refrain_stream_write_state(refrain_stream* stream, const char* name,
                                          const refrain_tensor* value) noexcept {
  return guarded([&] {
    require(stream, "stream").stream.write_state(&require(name, "name"), view_of(value, "tensor"));
  });
}

const refrain_api* refrain_get_api(uint32_t version) noexcept {
  static const refrain_api kApi = {
      .struct_size = sizeof(refrain_api),
      .version = REFRAIN_API_VERSION,
      .library_version = refrain_version,
      .last_error = refrain_last_error,
      .model_load = refrain_model_load,
      .model_from_memory = refrain_model_from_memory,
      .model_free = refrain_model_free,
      .model_count = refrain_model_count,
      .model_info = refrain_model_info,
      .model_streaming = refrain_model_streaming,
      .model_warning_count = refrain_model_warning_count,
      .model_warning = refrain_model_warning,
      .session_create = refrain_session_create,
      .session_free = refrain_session_free,
      .session_prepare = refrain_session_prepare,
      .session_prepare_step = refrain_session_prepare_step,
      .session_real_time = refrain_session_real_time,
      .session_count = refrain_session_count,
      .session_info = refrain_session_info,
      .session_buffer = refrain_session_buffer,
      .session_bind = refrain_session_bind,
      .session_run = refrain_session_run,
      .session_step = refrain_session_step,
      .session_read_state = refrain_session_read_state,
      .session_write_state = refrain_session_write_state,
      .session_reset = refrain_session_reset,
      .session_fork = refrain_session_fork,
      .batcher_create = refrain_batcher_create,
      .batcher_free = refrain_batcher_free,
      .batcher_count = refrain_batcher_count,
      .batcher_info = refrain_batcher_info,
      .batcher_drain = refrain_batcher_drain,
      .batcher_shutdown = refrain_batcher_shutdown,
      .batcher_get_statistics = refrain_batcher_get_statistics,
      .stream_open = refrain_stream_open,
      .stream_close = refrain_stream_close,
      .stream_submit = refrain_stream_submit,
      .stream_try_submit = refrain_stream_try_submit,
      .stream_reset = refrain_stream_reset,
      .stream_read_state = refrain_stream_read_state,
      .stream_write_state = refrain_stream_write_state,
  };
  return version >= 1 && version <= REFRAIN_API_VERSION ? &kApi : nullptr;
}

}  // extern "C"
