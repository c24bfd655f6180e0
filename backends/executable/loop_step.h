// Internal to executables: the loop kernel as a step.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backends/executable/executable.h"
#include "backends/executable/step.h"
#include "backends/highway/block_share.h"
#include "backends/highway/recurrent.h"
#include "ir/element_type.h"

namespace refrain::executable {

struct LoopShape {
  int64_t steps = 1;
  int64_t rows = 1;
  int64_t chunk = 0;      // steps that feeds run for at a time; 0: all
  bool backward = false;  // see RecurrentLoop::Run
};

// Slots, in this order: the loop's buffers; for each state where it starts (read), where it ends
// and scratch of its size; the lengths, if there are any; what feeds read.
//
// A feed is a product of which the loop scans the rows: it runs for a chunk of steps, into a buffer
// of that size, and then the loop does.
//
// On more than one thread the rows of products are split. Those of the loop are too if there are
// many; each step of few rows is split by unit blocks if it is worth that. Either way workers claim
// parts, and none is waited for that hasn't (see BlockShare).
class LoopStep final : public Step {
 public:
  // Of the options, threads and weights count.
  LoopStep(const highway::LoopSpec& spec, LoopShape shape, const PrepareOptions& options);

  // Slots so far are the loop's buffers; each state adds three more.
  void add_state(Place initial, Place final, Place scratch);
  // The lengths of `count` sequences; row b belongs to sequence sequence_of_row[b].
  void add_lengths(Place lengths, ElementType type, int64_t count,
                   std::vector<int64_t> sequence_of_row);

  // `product` is a loop of one step whose rows are those of all steps; its buffers are `reads`,
  // which move by `row_strides`, and then the loop's buffer `target`, whose rows have `columns`.
  // `reverse`: the loop reads it backward by a negative stride.
  void add_feed(const highway::LoopSpec& product, WeightStore* weights,
                const std::vector<Place>& reads, std::vector<int64_t> row_strides, size_t target,
                int64_t columns, bool reverse);
  // Time strides, in elements, of the loop's buffers, by which chunks move; 0 for those of feeds.
  void set_time_strides(std::vector<int64_t> strides) { time_strides_ = std::move(strides); }

  // Runs so many steps, at most the shape's, from now on: to be timed.
  void set_steps(int64_t steps) {
    shape_.steps = steps;
    rebind();
  }
  // Goes at the end of the description.
  void set_note(std::string note) { note_ = std::move(note); }

  void run() override;
  void rebind() override;
  bool uses_workers() const override;
  bool worth_a_task() const override;

  // A run in parts: start(), then all steps in consecutive parts of at most shape().chunk steps,
  // forward in time.
  void start();
  void run_part(int64_t begin, int64_t steps);
  // Leaves it to a wavefront to run the parts.
  void join_wavefront(const std::string& note);
  // Whether both may run in such parts, and any of this loop's steps once `earlier` has run the
  // same steps: it reads of what that writes rows of the same step only.
  bool follows(const LoopStep& earlier) const;

  const LoopShape& shape() const { return shape_; }
  int64_t step_cost() const;  // multiplications of a step, its feeds included
  // About how many times faster than one thread it runs on those that it was made for.
  double expected_gain() const;
  std::string describe() const override;
  int64_t own_bytes() const override;

 private:
  struct Feed {
    highway::RecurrentLoop product;
    size_t first_slot, target;
    std::vector<int64_t> row_strides;
    int64_t columns;
    bool reverse;
    int64_t row_cost;
    std::vector<float*> buffers;
    highway::RecurrentLoop::Run whole{};
  };
  bool run_at_once() const;
  bool states_overlap() const;
  void copy_states();
  void move_to(int64_t begin, int64_t steps);
  void run_feed(const Feed& feed, int64_t row_begin, int64_t row_end) const;
  void run_rows();
  int64_t begin_of(int64_t part) const;
  void choose_split(size_t stages);
  int64_t row_parts() const;

  highway::RecurrentLoop loop_;
  LoopShape shape_;
  std::string note_;
  int threads_;
  int64_t row_cost_;                                  // multiplications a row
  std::unique_ptr<highway::BlockShare> block_share_;  // of steps split by blocks
  int block_workers_ = 1;
  // Of rows: for each part of the steps moving there, parts of its feeds, parts of its rows.
  std::unique_ptr<highway::BlockShare> row_share_;
  int64_t row_workers_ = 1, loop_parts_ = 1;
  std::vector<int64_t> state_bytes_;
  std::vector<float*> buffers_, moved_, initial_, current_, next_;
  // Everything at once on the caller, where nothing needs more; how it is bound.
  bool at_once_ = false;
  highway::RecurrentLoop::Run whole_{}, part_{};
  std::vector<int64_t> time_strides_;
  std::vector<std::unique_ptr<Feed>> feeds_;
  std::optional<size_t> buffer_count_;  // none: all slots
  std::optional<size_t> first_state_;   // its slot; none: no states
  size_t lengths_slot_ = 0;
  ElementType lengths_type_ = ElementType::i64;
  std::vector<int64_t> sequence_of_row_, lengths_, row_lengths_, chunk_lengths_;
};

}  // namespace refrain::executable
