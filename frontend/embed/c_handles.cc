#include "frontend/embed/c_handles.h"

#include <exception>
#include <new>

namespace refrain::embed {
namespace {

thread_local std::string last_error;

refrain_status remember(refrain_status status, const char* message) noexcept {
  try {
    last_error = message;
  } catch (...) {
    last_error.clear();
  }
  return status;
}

}  // namespace

CInfos::CInfos(const std::vector<TensorInfo>& infos) {
  for (const TensorInfo& info : infos) {
    StateInfo plain;
    static_cast<TensorInfo&>(plain) = info;
    add(plain);
  }
}

CInfos::CInfos(const std::vector<StateInfo>& infos) {
  for (const StateInfo& info : infos) add(info);
}

void CInfos::add(const StateInfo& info) {
  Entry& entry = *entries_.emplace_back(std::make_unique<Entry>());
  entry.info = info;
  for (const Dimension& dimension : entry.info.dimensions) {
    entry.extents.push_back(dimension.extent);
    entry.symbols.push_back(dimension.symbol.c_str());
  }
}

refrain_tensor_info CInfos::at(size_t index) const {
  if (index >= entries_.size()) {
    throw Error("no such index", "less than " + std::to_string(entries_.size()),
                std::to_string(index));
  }
  const Entry& entry = *entries_[index];
  refrain_tensor_info info{};
  info.struct_size = sizeof(info);
  info.name = entry.info.name.c_str();
  info.type = static_cast<refrain_type>(entry.info.type);
  info.rank = entry.info.ranked ? static_cast<int32_t>(entry.extents.size()) : -1;
  info.extents = entry.extents.data();
  info.symbols = entry.symbols.data();
  info.input = entry.info.input.c_str();
  info.output = entry.info.output.c_str();
  return info;
}

const CInfos& CPorts::of(refrain_port port) const {
  switch (port) {
    case REFRAIN_INPUT:
      return inputs;
    case REFRAIN_OUTPUT:
      return outputs;
    case REFRAIN_STATE:
      return states;
  }
  throw Refusal{REFRAIN_INVALID_ARGUMENT, "no such kind of port: expected 0 to 2"};
}

void refuse_null(const char* what) {
  throw Refusal{REFRAIN_INVALID_ARGUMENT, std::string(what) + " is null"};
}

refrain_status translate() noexcept {
  try {
    throw;
  } catch (const Refusal& refusal) {
    return remember(refusal.status, refusal.message.c_str());
  } catch (const Error& error) {
    return remember(REFRAIN_ERROR, error.what());
  } catch (const std::bad_alloc&) {
    return remember(REFRAIN_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return remember(REFRAIN_INTERNAL, error.what());
  } catch (...) {
    return remember(REFRAIN_INTERNAL, "an exception of an unknown type");
  }
}

void check_struct(const void* given, size_t given_size, size_t own_size, const char* what) {
  constexpr size_t kMost = 4096;
  const auto refuse = [&](const std::string& why) {
    throw Refusal{REFRAIN_INVALID_ARGUMENT, std::string(what) + ": " + why};
  };
  if (given_size < sizeof(size_t) || given_size > kMost) {
    refuse("struct_size is " + std::to_string(given_size) + ", expected " +
           std::to_string(own_size));
  }
  const char* const bytes = static_cast<const char*>(given);
  for (size_t i = own_size; i < given_size; ++i) {
    if (bytes[i] != 0) refuse("it has fields that this version of the library does not know");
  }
}

View view_of(const refrain_tensor* tensor, const char* what) {
  const refrain_tensor own = read_struct(&require(tensor, what), what);
  if (own.rank < 0 || own.rank > static_cast<int32_t>(Extents::kMaxRank)) {
    throw Refusal{REFRAIN_INVALID_ARGUMENT, std::string(what) + ": rank is " +
                                                std::to_string(own.rank) + ", expected 0 to " +
                                                std::to_string(Extents::kMaxRank)};
  }
  if (own.rank > 0) require(own.extents, what);
  const auto type = static_cast<DataType>(own.type);
  size_of(type);  // that there is such a type
  return {type, Extents({own.extents, static_cast<size_t>(own.rank)}), own.data};
}

Setup setup_of(const refrain_setup* setup) {
  const refrain_setup own = read_struct(setup, "setup");
  Setup made;
  if (own.shape_count > 0) require(own.shapes, "setup: shapes");
  for (size_t i = 0; i < own.shape_count; ++i) {
    const refrain_shape& shape = own.shapes[i];
    require(shape.name, "setup: the name of a shape");
    if (shape.rank < 0)
      throw Error("wrong rank of a shape", "0 or more", std::to_string(shape.rank));
    if (shape.rank > 0) require(shape.extents, "setup: the extents of a shape");
    made.shapes.insert_or_assign(shape.name,
                                 Extents({shape.extents, static_cast<size_t>(shape.rank)}));
  }
  if (own.symbol_count > 0) require(own.symbols, "setup: symbols");
  for (size_t i = 0; i < own.symbol_count; ++i) {
    require(own.symbols[i].symbol, "setup: the name of a symbol");
    made.symbols.insert_or_assign(own.symbols[i].symbol, own.symbols[i].extent);
  }
  if (own.value_count > 0) require(own.values, "setup: values");
  for (size_t i = 0; i < own.value_count; ++i) {
    require(own.values[i].name, "setup: the name of a value");
    made.values.insert_or_assign(own.values[i].name, view_of(own.values[i].tensor, "setup: value"));
  }
  if (own.block != 0) made.block = own.block;
  made.look_ahead = own.look_ahead;
  return made;
}

}  // namespace refrain::embed

refrain_model::refrain_model(refrain::Model loaded) : model(std::move(loaded)) {}

const refrain::embed::CPorts& refrain_model::ports() const {
  std::call_once(listed_, [this] {
    using refrain::embed::CInfos;
    ports_ = {CInfos(model.inputs()), CInfos(model.outputs()), CInfos(model.states())};
  });
  return ports_;
}

void refrain_session::prepared() {
  using refrain::embed::CInfos;
  ports = {CInfos(session.inputs()), CInfos(session.outputs()), CInfos(session.states())};
  real_time = session.real_time();
  is_prepared = true;
}

refrain_batcher::refrain_batcher(const refrain::Model& model,
                                 const refrain::BatcherOptions& options)
    : batcher(model, options) {
  using refrain::embed::CInfos;
  ports = {CInfos(batcher.inputs()), CInfos(batcher.outputs()), CInfos(batcher.states())};
}

extern "C" const char* refrain_last_error(void) noexcept {
  return refrain::embed::last_error.c_str();
}
