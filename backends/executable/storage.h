// Internal to executables: the buffers that values lie in.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "backends/executable/arena.h"
#include "backends/executable/step.h"
#include "ir/tensor.h"

namespace refrain::executable {

enum class BufferKind : uint8_t { arena, constant, input, output };

struct Buffer {
  BufferKind kind = BufferKind::arena;
  int64_t bytes = 0;
  size_t index = 0;          // of the graph's input or output
  char* constant = nullptr;  // never written
  int64_t offset = 0;        // in the arena, once planned
};

class Storage {
 public:
  Place arena(int64_t bytes);
  Place constant(TensorPtr tensor);  // kept alive
  Place input(size_t index, int64_t bytes);

  const Buffer& buffer(Place place) const { return buffers_[place.buffer]; }
  const std::deque<Buffer>& buffers() const { return buffers_; }
  // A step at this position reads or writes the buffer.
  void touch(Place place, int64_t position);
  // The arena buffer becomes an output's own memory.
  void make_output(Place place, size_t index);

  // Memory of other kinds counts towards the limit too. Throws Error past `max_bytes`.
  void reserve(int64_t bytes, int64_t max_bytes);

  // Gives every arena buffer its offset and allocates the arena, zeroed. `level[p]` stands for
  // position p: buffers may share memory only if they live at different levels. Throws Error past
  // `max_bytes`.
  void plan(const std::vector<int64_t>& level, int64_t max_bytes);

  // Of places in the arena or of constants, once planned; null for others.
  char* resolve(Place place) const;
  int64_t arena_bytes() const { return arena_ ? arena_->bytes() : 0; }

 private:
  std::deque<Buffer> buffers_;
  std::vector<std::pair<uint32_t, int64_t>> touches_;  // buffers and positions
  std::vector<TensorPtr> constants_;
  std::unique_ptr<Tensor> arena_;
  int64_t reserved_ = 0;
};

}  // namespace refrain::executable
