#include "backends/executable/loop_form.h"

#include <algorithm>
#include <utility>

#include "backends/executable/loop_finder.h"

namespace refrain::executable {

using highway::Stream;

bool LoopFinder::find_rows() {
  rows_ = -1;
  const auto agree = [&](const Value& value) {
    const RowForm form = row_form(value);
    if (rows_ < 0) rows_ = form.rows;
    return is_f32(value) && form.rows == rows_ && form.rows > 0 && form.width > 0;
  };
  for (size_t i = 0; i < view_.states(); ++i) {
    if (!agree(*view_.state_argument(i))) return false;
    form_.spec.state_sizes.push_back(row_form(*view_.state_argument(i)).width);
  }
  for (size_t i = 0; i < view_.stacked(); ++i) {
    if (!view_.stacked_result(i)->unused() && !agree(*view_.stacked_slice(i))) return false;
  }
  return rows_ > 0;
}

// Which sequence each row belongs to, the same for all states and slices.
bool LoopFinder::find_sequences() {
  if (!view_.has_lengths()) return true;
  // With lengths the loop itself runs backward; without, each slot may have its own direction.
  for (size_t i = 0; i < view_.scanned(); ++i) backward_ |= view_.scan_slot(i).reverse;
  for (size_t i = 0; i < view_.stacked(); ++i) backward_ |= view_.stack_slot(i).reverse;
  const auto agree = [&](const Value& value) {
    const std::vector<int64_t> extents = extents_of(value);
    const size_t axis = normalize_axis(view_.batch_axis(), extents.size());
    if (axis + 1 == extents.size()) return false;
    int64_t inner = 1;
    for (size_t i = axis + 1; i + 1 < extents.size(); ++i) inner *= extents[i];
    std::vector<int64_t> sequences;
    for (int64_t row = 0; row < rows_; ++row) sequences.push_back(row / inner % extents[axis]);
    if (form_.sequence_of_row.empty()) form_.sequence_of_row = sequences;
    return form_.sequence_of_row == sequences;
  };
  for (size_t i = 0; i < view_.states(); ++i) {
    if (!agree(*view_.state_argument(i))) return false;
  }
  for (size_t i = 0; i < view_.stacked(); ++i) {
    if (!view_.stacked_result(i)->unused() && !agree(*view_.stacked_slice(i))) return false;
  }
  return true;
}

// Products that feed the loop run for so many steps at a time that what they write is still in
// cache when the loop reads it, but for enough rows to be worth reading their weights.
void LoopFinder::find_chunk() {
  constexpr int64_t kBytes = 256 << 10, kRows = 64;
  chunk_ = steps_;
  for (size_t i = 0; i < view_.scanned(); ++i) {
    const Value* whole = node_.operand(view_.scanned_operand(i));
    if (take_feeds_ || !lowering_.feed_of(whole)) continue;
    const int64_t step_bytes = std::max<int64_t>(1, bytes_of(*whole) / steps_);
    chunk_ =
        std::min(chunk_, std::max({int64_t{1}, kBytes / step_bytes, (kRows + rows_ - 1) / rows_}));
  }
}

size_t LoopFinder::buffer(const Value* value, bool written) {
  const auto [found, fresh] = buffers_.try_emplace({value, written}, form_.buffers.size());
  if (fresh) form_.buffers.push_back({value, 0, written});
  return found->second;
}

// How the slices of a scanned or stacked tensor lie in it, if their rows are equally far apart.
std::optional<Stream> LoopFinder::whole_stream(const Value* whole, ScanSlot slot, int64_t width,
                                               bool written) {
  const std::vector<int64_t> extents = extents_of(*whole);
  const size_t axis = normalize_axis(slot.axis, extents.size());
  if (axis + 1 == extents.size() && !(width == 1 && rows_ == 1)) return {};
  int64_t before = 1, between = 1;
  for (size_t i = 0; i < axis; ++i) before *= extents[i];
  for (size_t i = axis + 1; i + 1 < extents.size(); ++i) between *= extents[i];
  Stream stream;
  stream.buffer = buffer(whole, written);
  stream.time_stride = between * width;
  if (before == 1) {
    stream.row_stride = width;
  } else if (between == 1) {
    stream.row_stride = steps_ * width;
  } else {
    return {};
  }
  LoopBuffer& taken = form_.buffers[stream.buffer];
  if (!written && lowering_.feed_of(whole)) taken.fed = true;
  if (slot.reverse && !view_.has_lengths()) {
    stream.offset = ((taken.fed ? chunk_ : steps_) - 1) * stream.time_stride;
    stream.time_stride = -stream.time_stride;
  }
  return stream;
}

std::optional<LoopForm> LoopFinder::run() {
  if (!find_rows() || !find_sequences()) return {};
  find_chunk();
  for (size_t i = 0; i < view_.states(); ++i) {
    const int64_t width = form_.spec.state_sizes[i];
    const size_t next = expression(view_.next_state(i), 0, width);
    Stream stream;
    stream.kind = Stream::Kind::state;
    stream.buffer = i;
    stream.row_stride = width;
    if (failed_) return {};
    writer_.output(next, stream);
  }
  for (size_t i = 0; i < view_.stacked(); ++i) {
    const Value* whole = view_.stacked_result(i);
    if (whole->unused()) continue;
    const int64_t width = row_form(*view_.stacked_slice(i)).width;
    const size_t slice = expression(view_.stacked_slice(i), 0, width);
    const auto stream = whole_stream(whole, view_.stack_slot(i), width, true);
    if (failed_ || !stream) return {};
    writer_.output(slice, *stream);
  }
  if (!writer_.write(rows_, form_)) return {};
  form_.spec.rows = rows_;
  form_.shape = {.steps = steps_, .rows = rows_, .chunk = chunk_, .backward = backward_};
  return std::move(form_);
}

namespace {

int64_t weight_bytes(const highway::LoopSpec& spec) {
  int64_t floats = 0;
  for (const highway::Stage& stage : spec.stages) {
    for (const highway::Product& product : stage.products) {
      floats += product.depth * stage.gates * stage.units;
    }
  }
  return floats * static_cast<int64_t>(sizeof(float));
}

// Whether a loop had better compute the products that feed it itself, in each step: then their sums
// need not be written and read again, but their weights are read once a step instead of once for
// the rows of many steps. As measured: where these come from a near cache or serve many rows.
bool takes_feeds(const LoopForm& form) {
  constexpr int64_t kFirstLevel = 32 << 10, kSecondLevel = 512 << 10;
  const int64_t bytes = weight_bytes(form.spec), rows = form.shape.rows;
  return form.shape.steps == 1 || bytes <= kFirstLevel || (rows >= 4 && bytes <= kSecondLevel) ||
         rows >= 16;
}

}  // namespace

std::optional<LoopForm> find_loop_form(const Lowering& lowering, const Node& node, int64_t steps) {
  std::optional<LoopForm> own = LoopFinder(lowering, node, steps, true).run();
  if (own && (own->taken.empty() || (!own->padded && takes_feeds(*own)))) return own;
  std::optional<LoopForm> fed = LoopFinder(lowering, node, steps, false).run();
  return fed ? std::move(fed) : std::move(own);
}

}  // namespace refrain::executable
