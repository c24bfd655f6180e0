// Internal to executables: steps and the places of values.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace refrain::executable {

// Where a value's elements begin: a buffer of Storage and bytes into it.
struct Place {
  static constexpr uint32_t kAbsent = UINT32_MAX;
  uint32_t buffer = kAbsent;
  int64_t offset = 0;

  bool absent() const { return buffer == kAbsent; }
};

// One entry of the flat list. It names the places that it works on when it is made; their pointers
// are filled in once they are known, and again when a caller's tensors move.
class Step {
 public:
  virtual ~Step() = default;

  virtual void run() = 0;
  // Some of `pointers` changed. Doesn't allocate.
  virtual void rebind() {}
  virtual std::string describe() const = 0;
  // Whether it spreads its work over workers (see parallel.h): it then runs in an arena of them.
  virtual bool uses_workers() const { return false; }
  // Whether it takes long enough to be a task beside others; some ten microseconds.
  virtual bool worth_a_task() const { return true; }
  // Whether runs allocate nothing, take no lock and make no system call.
  virtual bool real_time() const { return true; }
  // Of packed weights and the like, which lie outside the arena.
  virtual int64_t own_bytes() const { return 0; }

  // Returns the place's index. An absent place's pointer is null.
  size_t reads(Place place) { return add(place, false); }
  size_t writes(Place place) { return add(place, true); }

  struct Slot {
    Place place;
    bool written = false;
  };
  const std::vector<Slot>& slots() const { return slots_; }
  void set_pointer(size_t i, void* pointer) { pointers_[i] = pointer; }

 protected:
  char* pointer(size_t i) const { return static_cast<char*>(pointers_[i]); }
  float* floats(size_t i) const { return static_cast<float*>(pointers_[i]); }
  void* const* pointers() const { return pointers_.data(); }

 private:
  size_t add(Place place, bool written) {
    slots_.push_back({place, written});
    pointers_.push_back(nullptr);
    return slots_.size() - 1;
  }

  std::vector<Slot> slots_;
  std::vector<void*> pointers_;
};

using Steps = std::vector<std::unique_ptr<Step>>;

}  // namespace refrain::executable
