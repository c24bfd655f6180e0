#include "backends/executable/storage.h"

#include <algorithm>
#include <string>
#include <utility>

#include "ir/error.h"

namespace refrain::executable {

Place Storage::arena(int64_t bytes) {
  Buffer& buffer = buffers_.emplace_back();
  buffer.bytes = bytes;
  return {static_cast<uint32_t>(buffers_.size() - 1), 0};
}

Place Storage::constant(TensorPtr tensor) {
  Buffer& buffer = buffers_.emplace_back();
  buffer.kind = BufferKind::constant;
  buffer.bytes = tensor->bytes();
  // Slots hold one type of pointer for all places; steps write only what they declared as written.
  buffer.constant = static_cast<char*>(const_cast<void*>(tensor->raw()));
  constants_.push_back(std::move(tensor));
  return {static_cast<uint32_t>(buffers_.size() - 1), 0};
}

Place Storage::input(size_t index, int64_t bytes) {
  Buffer& buffer = buffers_.emplace_back();
  buffer.kind = BufferKind::input;
  buffer.index = index;
  buffer.bytes = bytes;
  return {static_cast<uint32_t>(buffers_.size() - 1), 0};
}

void Storage::touch(Place place, int64_t position) {
  if (!place.absent()) touches_.emplace_back(place.buffer, position);
}

void Storage::make_output(Place place, size_t index) {
  Buffer& buffer = buffers_[place.buffer];
  buffer.kind = BufferKind::output;
  buffer.index = index;
}

void Storage::reserve(int64_t bytes, int64_t max_bytes) {
  if (bytes > max_bytes - reserved_) {
    throw Error("the executable needs too much memory",
                "at most " + std::to_string(max_bytes) + " bytes (see --max-memory)",
                std::to_string(bytes) + " more than " + std::to_string(reserved_));
  }
  reserved_ += bytes;
}

void Storage::plan(const std::vector<int64_t>& level, int64_t max_bytes) {
  std::vector<Interval> lives(buffers_.size(), {-1, -1, 0});
  for (const auto& [buffer, position] : touches_) {
    const int64_t at = level[static_cast<size_t>(position)];
    Interval& life = lives[buffer];
    if (life.first < 0 || at < life.first) life.first = at;
    life.last = std::max(life.last, at);
  }
  std::vector<Interval> intervals;
  std::vector<Buffer*> planned;
  for (size_t i = 0; i < buffers_.size(); ++i) {
    if (buffers_[i].kind != BufferKind::arena || lives[i].first < 0) continue;
    intervals.push_back({lives[i].first, lives[i].last, buffers_[i].bytes});
    planned.push_back(&buffers_[i]);
  }
  const ArenaPlan arena = plan_arena(intervals);
  reserve(arena.bytes, max_bytes);
  for (size_t i = 0; i < planned.size(); ++i) planned[i]->offset = arena.offsets[i];
  arena_ = std::make_unique<Tensor>(ElementType::u8, std::vector<int64_t>{arena.bytes});
}

char* Storage::resolve(Place place) const {
  if (place.absent()) return nullptr;
  const Buffer& buffer = buffers_[place.buffer];
  if (buffer.kind == BufferKind::constant) return buffer.constant + place.offset;
  if (buffer.kind != BufferKind::arena) return nullptr;
  return static_cast<char*>(arena_->raw()) + buffer.offset + place.offset;
}

}  // namespace refrain::executable
