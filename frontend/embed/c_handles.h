// Internal to `embed`: what the C API's handles are, and its errors.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "refrain/refrain.h"
#include "refrain/refrain_c.h"

namespace refrain::embed {

// TensorInfo and StateInfo as C reads them.
class CInfos {
 public:
  CInfos() = default;
  explicit CInfos(const std::vector<TensorInfo>& infos);
  explicit CInfos(const std::vector<StateInfo>& infos);

  size_t count() const { return entries_.size(); }
  refrain_tensor_info at(size_t index) const;  // throws Error past the end

 private:
  struct Entry {
    StateInfo info;
    std::vector<int64_t> extents;
    std::vector<const char*> symbols;  // of info.dimensions
  };
  void add(const StateInfo& info);
  std::vector<std::unique_ptr<Entry>> entries_;
};

struct CPorts {
  CInfos inputs, outputs, states;
  const CInfos& of(refrain_port port) const;  // throws Refusal for another
};

// A call that can't be understood.
struct Refusal {
  refrain_status status;
  std::string message;
};

[[noreturn]] void refuse_null(const char* what);

template <typename T>
T& require(T* pointer, const char* what) {
  if (!pointer) refuse_null(what);
  return *pointer;
}

// In a catch block: what the exception means to C; remembers its message for this thread.
refrain_status translate() noexcept;

template <typename F>
refrain_status guarded(const F& f) noexcept {
  try {
    f();
    return REFRAIN_OK;
  } catch (...) {
    return translate();
  }
}

// Refuses a size that can't be, and bytes beyond the library's struct unless they are zero.
void check_struct(const void* given, size_t given_size, size_t own_size, const char* what);

// A struct of the caller's, what it does not have zero; all zero if it is null.
template <typename T>
T read_struct(const T* given, const char* what) {
  T own{};
  if (!given) return own;
  check_struct(given, given->struct_size, sizeof(T), what);
  std::memcpy(static_cast<void*>(&own), given, std::min(given->struct_size, sizeof(T)));
  return own;
}

// Fills a struct of the caller's as far as it goes.
template <typename T>
void write_struct(T* to, const T& own, const char* what) {
  const size_t size = require(to, what).struct_size;
  if (size < sizeof(size_t)) check_struct(to, size, sizeof(T), what);
  constexpr size_t kSkip = sizeof(size_t);  // struct_size itself
  std::memcpy(reinterpret_cast<char*>(to) + kSkip, reinterpret_cast<const char*>(&own) + kSkip,
              std::min(size, sizeof(T)) - kSkip);
}

// A tensor of the caller's. Its type, rank and extents are checked.
View view_of(const refrain_tensor* tensor, const char* what);
Setup setup_of(const refrain_setup* setup);

}  // namespace refrain::embed

struct refrain_model {
  explicit refrain_model(refrain::Model loaded);
  const refrain::embed::CPorts& ports() const;

  refrain::Model model;

 private:
  mutable std::once_flag listed_;
  mutable refrain::embed::CPorts ports_;
};

struct refrain_session {
  explicit refrain_session(refrain::Session made) : session(std::move(made)) {}
  void prepared();  // lists what it has now

  refrain::Session session;
  bool is_prepared = false;
  refrain::embed::CPorts ports;
  refrain::RealTime real_time;
  std::vector<int64_t> extents;  // of the buffer that was asked for last
};

struct refrain_batcher {
  refrain_batcher(const refrain::Model& model, const refrain::BatcherOptions& options);

  refrain::Batcher batcher;
  refrain::embed::CPorts ports;
};

struct refrain_stream {
  explicit refrain_stream(refrain::Batcher::Stream opened) : stream(std::move(opened)) {}
  refrain::Batcher::Stream stream;
};
