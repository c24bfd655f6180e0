// Internal to `embed`: steps of several streams as one run. No threads, no queues.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "frontend/embed/compiled.h"
#include "frontend/embed/session_impl.h"
#include "refrain/refrain.h"

namespace refrain::embed {

// An input, output or state of a batch of n rows: `outer` times n rows of `bytes`. One row by
// itself is dense.
struct RowPort {
  int64_t outer = 1;
  size_t bytes = 0;
  size_t alignment = 1;
  size_t offset = 0;  // of a state in what a stream keeps
  size_t row_bytes() const { return static_cast<size_t>(outer) * bytes; }
};

// A model compiled to step batches of several sizes. Immutable.
class BatchForm {
 public:
  // Throws Error, with the reason, if the model can't be stepped, its rows are not independent, or
  // it can't be prepared.
  BatchForm(const std::shared_ptr<const Model::Impl>& model, const Setup& setup, int64_t max_batch);

  // One stream.
  const Compiled& one() const { return *sizes_[0].compiled; }
  size_t state_bytes() const { return state_bytes_; }  // of all states of a stream
  void reset(std::byte* state) const;                  // to the initial values

  struct Size {
    int64_t rows;
    std::shared_ptr<const Compiled> compiled;
  };
  const std::vector<Size>& sizes() const { return sizes_; }
  const std::vector<RowPort>& inputs() const { return inputs_; }
  const std::vector<RowPort>& outputs() const { return outputs_; }
  const std::vector<RowPort>& states() const { return states_; }

 private:
  std::vector<Size> sizes_;  // ascending, the first of one row
  std::vector<RowPort> inputs_, outputs_, states_;
  size_t state_bytes_ = 0;
};

// One step of one stream.
struct RowWork {
  std::byte* state = nullptr;           // BatchForm::state_bytes(), read and written
  const void* const* inputs = nullptr;  // one an input of the form, steps one after the other
  void* const* outputs = nullptr;       // likewise; it or an entry may be null
  int64_t step = 0;                     // which of them
  std::unique_ptr<const Error> error;   // it failed; the state is as it was
};

// Belongs to one thread at a time. Doesn't allocate while it runs, except for errors.
class BatchRunner {
 public:
  explicit BatchRunner(const BatchForm& form);  // which must outlive it

  // As one batch; at most the form's largest.
  void run(std::span<RowWork> rows);

 private:
  struct Lane {
    int64_t rows;
    std::unique_ptr<Session::Impl> session;
    std::vector<char*> inputs, states;              // where rows go
    std::vector<const char*> outputs, next_states;  // and come from
  };
  void run(Lane& lane, std::span<RowWork> rows);

  const BatchForm& form_;
  std::vector<Lane> lanes_;
};

}  // namespace refrain::embed
