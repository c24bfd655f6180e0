#include "backends/executable/loop_step.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "backends/executable/parallel.h"
#include "backends/executable/scan_step.h"

namespace refrain::executable {
namespace {

// In multiplications: what is worth a task of a product; what is worth a worker for all steps of
// some rows, a few microseconds; what for one stage of one step, half of one where meeting the
// others takes half of that. Rows that can be split instead meet nobody.
constexpr int64_t kWorthAThread = 50'000, kWorthARowsWorker = 300'000, kWorthABlockWorker = 25'000,
                  kRatherThanRows = 50'000;
// Of a worker, so that one that starts late may do less: of products, and of a loop if it has
// enough rows for large parts.
constexpr int64_t kParts = 3, kRowsOfAPart = 96;
// With fewer rows a worker, steps are rather split by blocks: a row tile pays for each weight that
// is read, and weights that one cache doesn't hold may fit into two.
constexpr int64_t kRowsAWorker = 8;

// Of rows that cost so many multiplications each.
int64_t grain_of(int64_t row_cost) {
  return std::max<int64_t>(1, kWorthAThread / std::max<int64_t>(1, row_cost));
}

}  // namespace

LoopStep::LoopStep(const highway::LoopSpec& spec, LoopShape shape, const PrepareOptions& options)
    : loop_(spec, options.weights), shape_(shape), threads_(options.threads), row_cost_(1) {
  if (shape_.chunk == 0) shape_.chunk = std::max<int64_t>(1, shape_.steps);
  for (const highway::Stage& stage : spec.stages) {
    row_cost_ += stage.units * static_cast<int64_t>(stage.program.code.size());
    for (const highway::Product& product : stage.products) {
      row_cost_ += product.depth * stage.gates * stage.units;
    }
  }
  for (const int64_t size : spec.state_sizes) {
    state_bytes_.push_back(size * shape.rows * static_cast<int64_t>(sizeof(float)));
  }
  initial_.resize(spec.state_sizes.size());
  current_.resize(spec.state_sizes.size());
  next_.resize(spec.state_sizes.size());
  if (threads_ > 1) choose_split(spec.stages.size());
}

void LoopStep::choose_split(size_t stages) {
  using highway::BlockShare;
  const auto phases = static_cast<int64_t>(std::max<size_t>(stages, 1));
  const bool few = shape_.rows < kRowsAWorker * threads_ &&
                   shape_.rows <= highway::RecurrentLoop::kMostSharedRows;
  if (!few || shape_.steps > BlockShare::kMostPhases / phases) return;
  std::vector<int64_t> blocks = loop_.blocks();
  if (blocks.empty()) return;
  const int64_t most = *std::max_element(blocks.begin(), blocks.end());
  const int64_t cost = row_cost_ * shape_.rows / phases;
  const int64_t worth = shape_.rows < threads_ ? kWorthABlockWorker : kRatherThanRows;
  const int64_t workers = std::min({int64_t{threads_}, cost / worth, most});
  if (workers < 2 || most > BlockShare::kMostBlocks) return;
  block_workers_ = static_cast<int>(workers);
  block_share_ = std::make_unique<BlockShare>(std::move(blocks), block_workers_);
}

void LoopStep::add_state(Place initial, Place final, Place scratch) {
  const size_t slot = reads(initial);
  if (!buffer_count_) buffer_count_ = slot;
  if (!first_state_) first_state_ = slot;
  writes(final);
  writes(scratch);
}

void LoopStep::add_lengths(Place lengths, ElementType type, int64_t count,
                           std::vector<int64_t> sequence_of_row) {
  lengths_.resize(static_cast<size_t>(count));
  lengths_slot_ = reads(lengths);
  if (!buffer_count_) buffer_count_ = lengths_slot_;
  lengths_type_ = type;
  sequence_of_row_ = std::move(sequence_of_row);
  row_lengths_.resize(sequence_of_row_.size());
  chunk_lengths_.resize(sequence_of_row_.size());
}

void LoopStep::add_feed(const highway::LoopSpec& product, WeightStore* weights,
                        const std::vector<Place>& reads_places, std::vector<int64_t> row_strides,
                        size_t target, int64_t columns, bool reverse) {
  const size_t first = slots().size();
  if (!buffer_count_) buffer_count_ = first;
  for (const Place place : reads_places) reads(place);
  const highway::Stage& stage = product.stages[0];
  feeds_.push_back(std::unique_ptr<Feed>(new Feed{highway::RecurrentLoop(product, weights),
                                                  first,
                                                  target,
                                                  std::move(row_strides),
                                                  columns,
                                                  reverse,
                                                  stage.products[0].depth * stage.units,
                                                  {},
                                                  {}}));
  feeds_.back()->buffers.resize(reads_places.size() + 1);
}

void LoopStep::rebind() {
  buffers_.resize(buffer_count_.value_or(slots().size()));
  for (size_t i = 0; i < buffers_.size(); ++i) buffers_[i] = floats(i);
  moved_ = buffers_;
  for (size_t i = 0; i < current_.size(); ++i) {
    const size_t slot = *first_state_ + 3 * i;
    initial_[i] = floats(slot);
    current_[i] = floats(slot + 1);
    next_[i] = floats(slot + 2);
  }
  if (row_parts() > 1 && !row_share_) {
    row_workers_ = row_parts();
    loop_parts_ = std::clamp(shape_.rows / kRowsOfAPart, row_workers_, kParts * row_workers_);
    row_share_ = std::make_unique<highway::BlockShare>(
        std::vector<int64_t>{1, kParts * row_workers_, loop_parts_},
        static_cast<int>(row_workers_));
  }
  at_once_ = run_at_once();
  whole_ = {.buffers = buffers_.data(),
            .state_current = current_.data(),
            .state_next = next_.data(),
            .steps = shape_.steps,
            .row_begin = 0,
            .row_end = shape_.rows,
            .backward = shape_.backward};
  if (shape_.steps == 1 && !states_overlap()) whole_.state_initial = initial_.data();
  for (const std::unique_ptr<Feed>& feed : feeds_) {
    const size_t reads_count = feed->row_strides.size();
    for (size_t i = 0; i < reads_count; ++i) feed->buffers[i] = floats(feed->first_slot + i);
    const int64_t skipped = feed->reverse ? shape_.chunk - shape_.steps : 0;
    feed->buffers[reads_count] = buffers_[feed->target] + skipped * shape_.rows * feed->columns;
    feed->whole = {.buffers = feed->buffers.data(),
                   .state_current = nullptr,
                   .state_next = nullptr,
                   .steps = 1,
                   .row_begin = 0,
                   .row_end = shape_.steps * shape_.rows};
  }
}

// Whether a run is one of the loop kernel over all rows and steps, after one of each feed.
bool LoopStep::run_at_once() const {
  return row_lengths_.empty() && shape_.chunk >= shape_.steps && !uses_workers();
}

// Whether a state's initial value shares memory with what one step writes.
bool LoopStep::states_overlap() const {
  for (size_t i = 0; i < initial_.size(); ++i) {
    const char* const begin = pointer(*first_state_ + 3 * i);
    for (size_t k = 0; k < current_.size(); ++k) {
      const char* const written = pointer(*first_state_ + 3 * k + 1);
      // Pointers into different tensors compare as integers.
      const auto apart = [](const char* a, int64_t bytes, const char* b) {
        return reinterpret_cast<uintptr_t>(a) + static_cast<uintptr_t>(bytes) <=
               reinterpret_cast<uintptr_t>(b);
      };
      if (!apart(begin, state_bytes_[i], written) && !apart(written, state_bytes_[k], begin)) {
        return true;
      }
    }
  }
  return false;
}

void LoopStep::copy_states() {
  for (size_t i = 0; i < current_.size(); ++i) {
    if (state_bytes_[i] > 0) {
      std::memcpy(current_[i], initial_[i], static_cast<size_t>(state_bytes_[i]));
    }
  }
}

// Points feeds and the loop at steps begin .. begin + steps - 1. Feeds write their rows into the
// target from its begin on; for a loop that reads backward those of as many steps from the end, up
// to the target's end.
void LoopStep::move_to(int64_t begin, int64_t steps) {
  for (const std::unique_ptr<Feed>& feed : feeds_) {
    const int64_t first = feed->reverse ? shape_.steps - begin - steps : begin;
    const size_t reads_count = feed->row_strides.size();
    for (size_t i = 0; i < reads_count; ++i) {
      feed->buffers[i] = floats(feed->first_slot + i) + first * shape_.rows * feed->row_strides[i];
    }
    const int64_t skipped = feed->reverse ? shape_.chunk - steps : 0;
    feed->buffers[reads_count] = buffers_[feed->target] + skipped * shape_.rows * feed->columns;
  }
  for (size_t i = 0; i < time_strides_.size(); ++i) {
    moved_[i] = buffers_[i] + begin * time_strides_[i];
  }
  for (size_t row = 0; row < row_lengths_.size(); ++row) {
    chunk_lengths_[row] = std::clamp<int64_t>(row_lengths_[row] - begin, 0, steps);
  }
  const bool whole = std::all_of(chunk_lengths_.begin(), chunk_lengths_.end(),
                                 [steps](int64_t length) { return length == steps; });
  part_ = {.buffers = moved_.data(),
           .state_current = current_.data(),
           .state_next = next_.data(),
           .steps = steps,
           .row_begin = 0,
           .row_end = shape_.rows,
           .lengths = whole ? nullptr : chunk_lengths_.data(),
           .backward = shape_.backward};
}

void LoopStep::run_feed(const Feed& feed, int64_t row_begin, int64_t row_end) const {
  feed.product.run({.buffers = feed.buffers.data(),
                    .state_current = nullptr,
                    .state_next = nullptr,
                    .steps = 1,
                    .row_begin = row_begin,
                    .row_end = row_end});
}

void LoopStep::run_part(int64_t begin, int64_t steps) {
  move_to(begin, steps);
  for (const std::unique_ptr<Feed>& feed : feeds_) {
    for_rows(threads_, steps * shape_.rows, grain_of(feed->row_cost),
             [&](int64_t row_begin, int64_t row_end) { run_feed(*feed, row_begin, row_end); });
  }
  if (!block_share_) return loop_.run(part_);
  block_share_->begin();
  on_workers(block_workers_, [&] { loop_.run_shared(part_, *block_share_); });
}

// All parts on some workers, which meet before and after each one's feeds.
void LoopStep::run_rows() {
  const int64_t feed_parts = kParts * row_workers_;
  const int64_t chunks = (shape_.steps + shape_.chunk - 1) / shape_.chunk;
  row_share_->begin();
  on_workers(static_cast<int>(row_workers_), [&] {
    highway::BlockShare::Worker worker(*row_share_);
    for (; worker.step() < chunks; worker.next()) {
      const int64_t begin = begin_of(worker.step());
      const int64_t steps = std::min(shape_.chunk, shape_.steps - begin);
      for (highway::BlockShare::Blocks claimed; worker.claim(1, claimed);) {
        const int64_t part = claimed.begin;
        if (worker.stage() == 0) {
          move_to(begin, steps);
        } else if (worker.stage() == 1) {
          const int64_t rows = steps * shape_.rows;
          for (const std::unique_ptr<Feed>& feed : feeds_) {
            run_feed(*feed, rows * part / feed_parts, rows * (part + 1) / feed_parts);
          }
        } else {
          highway::RecurrentLoop::Run run = part_;
          run.row_begin = shape_.rows * part / loop_parts_;
          run.row_end = shape_.rows * (part + 1) / loop_parts_;
          loop_.run(run);
        }
      }
    }
  });
}

// The first step of the part with this index in the order of the run.
int64_t LoopStep::begin_of(int64_t part) const {
  const int64_t chunks = (shape_.steps + shape_.chunk - 1) / shape_.chunk;
  return shape_.chunk * (shape_.backward ? chunks - 1 - part : part);
}

void LoopStep::start() {
  if (!row_lengths_.empty()) {
    read_lengths(pointer(lengths_slot_), lengths_type_, shape_.steps, lengths_);
    for (size_t row = 0; row < row_lengths_.size(); ++row) {
      row_lengths_[row] = lengths_[static_cast<size_t>(sequence_of_row_[row])];
    }
  }
  copy_states();
}

void LoopStep::run() {
  if (at_once_) {
    for (const std::unique_ptr<Feed>& feed : feeds_) feed->product.run(feed->whole);
    if (whole_.state_initial == nullptr) copy_states();
    return loop_.run(whole_);
  }
  start();
  if (row_share_) return run_rows();
  const int64_t chunks = (shape_.steps + shape_.chunk - 1) / shape_.chunk;
  for (int64_t i = 0; i < chunks; ++i) {
    run_part(begin_of(i), std::min(shape_.chunk, shape_.steps - begin_of(i)));
  }
}

// Into how many parts the rows are split.
int64_t LoopStep::row_parts() const {
  if (block_share_) return 1;
  const auto whole = static_cast<double>(step_cost()) * static_cast<double>(shape_.steps);
  const auto worth = static_cast<int64_t>(
      std::min(whole / static_cast<double>(kWorthARowsWorker), static_cast<double>(threads_)));
  return std::clamp<int64_t>(worth, 1, shape_.rows);
}

bool LoopStep::uses_workers() const {
  bool feeds = false;
  for (const std::unique_ptr<Feed>& feed : feeds_) {
    feeds |= threads_ > 1 && shape_.chunk * shape_.rows >= 2 * grain_of(feed->row_cost);
  }
  return block_share_ || row_parts() > 1 || feeds;
}

bool LoopStep::worth_a_task() const {
  return step_cost() >= kWorthAThread / std::max<int64_t>(1, shape_.steps);
}

void LoopStep::join_wavefront(const std::string& note) {
  threads_ = 1;
  block_share_.reset();
  note_ += note;
}

int64_t LoopStep::step_cost() const {
  int64_t cost = row_cost_;
  for (const std::unique_ptr<Feed>& feed : feeds_) cost += feed->row_cost;
  return cost * shape_.rows;
}

double LoopStep::expected_gain() const {
  // Of a worker, as measured on two threads: meeting the others takes its time at each step, tiles
  // of fewer rows read weights more often.
  constexpr double kOfBlocks = 0.9, kOfSmallBlocks = 0.75, kOfRows = 0.95, kOfFewRows = 0.75;
  constexpr int64_t kSmall = 100'000;  // multiplications
  if (block_share_) {
    const auto phases = static_cast<int64_t>(loop_.blocks().size());
    const bool small = row_cost_ * shape_.rows / phases < kSmall * block_workers_;
    return block_workers_ * (small ? kOfSmallBlocks : kOfBlocks);
  }
  const bool few = shape_.rows < kRowsAWorker * threads_;
  return static_cast<double>(row_parts()) * (few ? kOfFewRows : kOfRows);
}

bool LoopStep::follows(const LoopStep& earlier) const {
  if (shape_.backward || earlier.shape_.backward || shape_.steps != earlier.shape_.steps) {
    return false;
  }
  // How slot i moves with time, in elements; 0: it doesn't, or can't be told.
  const auto stride = [](const LoopStep& step, size_t i) -> int64_t {
    if (i < step.time_strides_.size()) return step.time_strides_[i];
    for (const std::unique_ptr<Feed>& feed : step.feeds_) {
      if (i < feed->first_slot || i - feed->first_slot >= feed->row_strides.size()) continue;
      return feed->reverse ? 0 : feed->row_strides[i - feed->first_slot] * step.shape_.rows;
    }
    return 0;
  };
  bool linked = false;
  for (size_t i = 0; i < slots().size(); ++i) {
    const Slot& slot = slots()[i];
    if (slot.place.absent()) continue;
    for (size_t k = 0; k < earlier.slots().size(); ++k) {
      const Slot& other = earlier.slots()[k];
      if (other.place.buffer != slot.place.buffer || !(slot.written || other.written)) continue;
      const bool in_step = !slot.written && other.place.offset == slot.place.offset &&
                           stride(*this, i) > 0 && stride(*this, i) == stride(earlier, k);
      if (!in_step) return false;
      linked = true;
    }
  }
  return linked;
}

int64_t LoopStep::own_bytes() const {
  int64_t bytes = loop_.packed_bytes();
  for (const std::unique_ptr<Feed>& feed : feeds_) bytes += feed->product.packed_bytes();
  return bytes;
}

std::string LoopStep::describe() const {
  std::string text = "highway loop, " + std::to_string(shape_.steps) + " steps, " +
                     std::to_string(shape_.rows) + " rows";
  if (shape_.backward) text += ", backward";
  if (!row_lengths_.empty()) text += ", lengths";
  if (block_share_) {
    text += ", unit blocks over " + std::to_string(block_workers_) + " threads";
  } else if (row_parts() > 1) {
    text += ", rows over " + std::to_string(row_parts()) + " threads";
  }
  text += ": " + loop_.describe();
  for (const std::unique_ptr<Feed>& feed : feeds_) {
    text += "; fed, " + std::to_string(shape_.chunk) + " steps at a time, by " +
            feed->product.describe();
  }
  return text + note_;
}

}  // namespace refrain::executable
