// Internal to executables: a scan whose body is a list of steps.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/executable/step.h"
#include "ir/element_type.h"

namespace refrain::executable {

// A tensor cut along an axis: `outer` blocks of `steps` times `inner` bytes.
struct Cut {
  int64_t outer = 1, inner = 0;
  bool reverse = false;
};

// A tensor whose batch axis, of the lengths' extent, has `outer` blocks before and `inner` bytes
// after it.
struct Batches {
  int64_t outer = 1, inner = 0;
};

// Runs its body once a step of time. What the body reads and yields has fixed places: slices are
// copied into and out of them.
class ScanStep final : public Step {
 public:
  explicit ScanStep(int64_t steps) : steps_(steps) {}

  void add_slice(Place whole, Place slice, Cut cut);
  // `value`: what the body reads; at the end the final value. `next`: what it yields. With
  // `staging` (not absent) next values are gathered there first, because they may lie where other
  // states do.
  void add_state(Place initial, Place value, Place next, Place staging, int64_t bytes,
                 Batches batches);
  void add_stack(Place slice, Place whole, Cut cut, Batches batches);
  void add_lengths(Place lengths, ElementType type, int64_t count, bool backward);
  void set_body(Steps body) { body_ = std::move(body); }

  void run() override;
  std::string describe() const override;

 private:
  struct Slice {
    size_t whole, slice;
    Cut cut;
  };
  struct State {
    size_t initial, value, next, staging;
    bool staged;
    int64_t bytes;
    Batches batches;
  };
  struct Stack {
    size_t slice, whole;
    Cut cut;
    Batches batches;
  };
  void run_step(int64_t step);
  void keep_or_take(const State& state, const char* next, int64_t t);

  int64_t steps_;
  std::vector<Slice> slices_;
  std::vector<State> states_;
  std::vector<Stack> stacks_;
  Steps body_;
  size_t lengths_slot_ = 0;
  ElementType lengths_type_ = ElementType::i64;
  bool backward_ = false;
  std::vector<int64_t> lengths_;
};

// The lengths of sequences as a kernel's caller gave them, i32 or i64. Throws Error if one does not
// lie in 0..steps.
void read_lengths(const char* data, ElementType type, int64_t steps, std::vector<int64_t>& lengths);

}  // namespace refrain::executable
