#include "backends/executable/conv_step.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "backends/executable/basic_steps.h"
#include "backends/executable/lowering.h"
#include "backends/executable/parallel.h"
#include "ir/builder.h"

namespace refrain::executable {
namespace {

// Rows of a product at once: as many as the loop kernel runs together.
constexpr int64_t kMostRows = highway::RecurrentLoop::kMostSharedRows;
// Gathered elements at once: 256 KiB.
constexpr int64_t kGathered = 1 << 16;
// With fewer places than this, rows of several sequences are better multiplied together, gathered.
constexpr int64_t kFewPlaces = 16;
constexpr int64_t kWorthAThread = 50'000;  // multiplications
// Groups are put together until a product has so many columns: lanes that would be idle multiply
// zeros then, and there are fewer products.
constexpr int64_t kFewestColumns = 16;

int64_t merged_groups(int64_t groups, int64_t filters) {
  for (int64_t merged = groups; merged > 1; --merged) {
    if (groups % merged == 0 && filters / merged >= kFewestColumns) return merged;
  }
  return 1;
}

// A program with a bias as its second input, added to the first.
highway::Program with_bias(const highway::Program& program) {
  highway::Program result;
  result.inputs = program.inputs + 1;
  // What follows the inputs moves up by two: the bias, and the sum that takes the first's place.
  const auto sum = static_cast<uint8_t>(result.inputs);
  const auto moved = [&](uint8_t value) -> uint8_t {
    if (value == 0) return sum;
    return static_cast<uint8_t>(value + (value < program.inputs ? 1 : 2));
  };
  result.code.push_back({highway::Operation::add, sum, {0, 1, 0}, 0, 0});
  for (highway::Instruction instruction : program.code) {
    for (uint8_t& operand : instruction.operands) operand = moved(operand);
    instruction.result = moved(instruction.result);
    result.code.push_back(instruction);
  }
  for (const uint8_t output : program.outputs) result.outputs.push_back(moved(output));
  return result;
}

}  // namespace

ConvStep::ConvStep(const WindowChain& chain, const highway::Program& program,
                   std::vector<bool> moves, const PrepareOptions& options)
    : batch_(chain.batch),
      channels_(chain.channels),
      filters_(chain.filters),
      rows_(chain.batch * chain.places()),
      moves_(std::move(moves)),
      results_(program.outputs.size()) {
  const TensorPtr bias = constant_tensor(chain.window->operand(2));
  if (bias) bias_ = bias->data<float>().data();
  const int64_t groups = merged_groups(chain.groups, chain.filters);
  depth_ = chain.channels / groups;
  for (const SlidingAxis& axis : chain.axes) depth_ *= axis.kernel;
  const int64_t row_cost = std::max<int64_t>(1, depth_ * filters_);
  parts_ = std::clamp<int64_t>(rows_ / std::max<int64_t>(1, kWorthAThread / row_cost), 1,
                               options.threads);
  products_.resize(static_cast<size_t>(groups));
  choose_mode(chain);
  make_products(chain, program, options.weights);
}

void ConvStep::choose_mode(const WindowChain& chain) {
  axes_ = chain.axes;
  const auto all = [](const SlidingAxis& axis) {
    return axis.kernel == axis.in && axis.out == 1 && axis.pad == 0 &&
           (axis.dilation == 1 || axis.kernel == 1);
  };
  const auto each = [](const SlidingAxis& axis) {
    return axis.kernel == 1 && axis.stride == 1 && axis.pad == 0 && axis.in == axis.out;
  };
  if (products_.size() == 1) {
    // Last axes that the window covers are channels, first ones that it doesn't are batches.
    for (; axes_.size() > 1 && all(axes_.back()); axes_.pop_back()) channels_ *= axes_.back().in;
    for (; axes_.size() > 1 && each(axes_.front()); axes_.erase(axes_.begin())) {
      batch_ *= axes_.front().in;
    }
  }
  places_ = rows_ / batch_;
  const SlidingAxis& axis = axes_.back();
  const bool piece =
      products_.size() == 1 && axes_.size() == 1 && (axis.dilation == 1 || axis.kernel == 1);
  const bool inside = axis.begin(0) >= 0 && axis.begin(axis.out - 1) + axis.kernel <= axis.in;
  if (piece && inside &&
      (axis.out == 1 || batch_ == 1 || (axis.pad == 0 && axis.in == axis.out * axis.stride))) {
    mode_ = Mode::uniform;
    offset_ = axis.begin(0) * channels_;
    row_stride_ = (axis.out == 1 ? axis.in : axis.stride) * channels_;
    block_rows_ = rows_;
  } else if (piece && (batch_ == 1 || places_ >= kFewPlaces)) {
    mode_ = Mode::sequence;
    row_stride_ = axis.stride * channels_;
    block_rows_ = std::min(places_, kMostRows);
  } else {
    block_rows_ = std::min(rows_, std::clamp<int64_t>(kGathered / depth_, 8, kMostRows));
    row_stride_ = depth_;
  }
}

void ConvStep::make_products(const WindowChain& chain, const highway::Program& program,
                             WeightStore* store) {
  const auto groups = static_cast<int64_t>(products_.size());
  const int64_t columns = filters_ / groups, merged = chain.groups / groups;
  const Tensor& weights = *constant_tensor(chain.window->operand(1));
  const float* const given = weights.data<float>().data();
  std::optional<WeightStore::Source> source;
  if (store) source = store->find(given, static_cast<size_t>(weights.bytes()));
  const int64_t own_channels = weights.extents()[1], own_columns = columns / merged;
  // Taps as they are read, in row-major order, by their place among those of the weights.
  std::vector<int64_t> taps{0};
  int64_t all_taps = 1;
  for (size_t i = 0; i < chain.axes.size(); ++i) {
    const SlidingAxis& axis = chain.axes[i];
    const int64_t extent = weights.extents()[2 + i];
    std::vector<int64_t> next;
    for (const int64_t tap : taps) {
      for (int64_t k = 0; k < axis.kernel; ++k) {
        next.push_back(tap * extent + axis.first_tap + k);
      }
    }
    taps = std::move(next);
    all_taps *= extent;
  }
  highway::LoopSpec spec;
  spec.rows = std::min(std::max<int64_t>(1, rows_ / parts_), std::min(block_rows_, kMostRows));
  highway::Stage& stage = spec.stages.emplace_back();
  stage.units = columns;
  stage.gates = 1;
  stage.program = bias_ ? with_bias(program) : program;
  highway::Product& product = stage.products.emplace_back();
  product.depth = depth_;
  product.left.row_stride = row_stride_;
  size_t buffer = 1;
  const auto stream = [&](bool moving) {
    highway::Stream result;
    result.kind = moving ? highway::Stream::Kind::rows : highway::Stream::Kind::units;
    result.buffer = buffer++;
    result.row_stride = moving ? filters_ : 0;
    return result;
  };
  if (bias_) stage.inputs.push_back(stream(false));
  for (const bool moving : moves_) stage.inputs.push_back(stream(moving));
  for (size_t i = 0; i < results_; ++i) stage.outputs.push_back(stream(true));
  std::vector<float> rows(static_cast<size_t>(depth_ * columns));
  for (int64_t group = 0; group < groups; ++group) {
    std::fill(rows.begin(), rows.end(), 0.0F);
    float* to = rows.data();
    for (const int64_t tap : taps) {
      for (int64_t part = 0; part < merged; ++part) {
        for (int64_t c = 0; c < own_channels; ++c, to += columns) {
          for (int64_t n = 0; n < own_columns; ++n) {
            const int64_t filter = (group * merged + part) * own_columns + n;
            to[part * own_columns + n] = given[(filter * own_channels + c) * all_taps + tap];
          }
        }
      }
    }
    product.weights = {{0, rows.data(), columns}};
    if (source) {
      product.origin = {source->constant, source->offset, own_channels, own_columns,
                        columns,          merged,         group,        all_taps};
      product.origin.insert(product.origin.end(), taps.begin(), taps.end());
    }
    for (highway::Stream& input : stage.inputs) input.offset = group * columns;
    for (highway::Stream& output : stage.outputs) output.offset = group * columns;
    products_[static_cast<size_t>(group)] = std::make_unique<highway::RecurrentLoop>(spec, store);
  }
  text_ = "highway conv " + extents_text(chain.x) + " by " + extents_text(weights.extents()) +
          " to " + extents_text(chain.y);
}

int64_t ConvStep::scratch_bytes() const {
  int64_t floats = 0;
  if (mode_ == Mode::sequence) {
    floats = ((block_rows_ - 1) * axes_[0].stride + axes_[0].kernel) * channels_;
  } else if (mode_ == Mode::gathered) {
    floats = block_rows_ * depth_;
  }
  return parts_ * floats * static_cast<int64_t>(sizeof(float));
}

// Rows of the result from those of the left side, the first of which is at `left`.
void ConvStep::multiply(size_t group, const float* left, int64_t begin, int64_t end) const {
  std::array<float*, 2 * highway::kMaxRegisters + 2> buffers;
  size_t count = 0;
  // Only read.
  buffers[count++] = const_cast<float*>(left);
  if (bias_) buffers[count++] = const_cast<float*>(bias_);
  for (size_t i = 0; i < moves_.size(); ++i) {
    buffers[count++] = floats(1 + i) + (moves_[i] ? begin * filters_ : 0);
  }
  for (size_t i = 0; i < results_; ++i) {
    buffers[count++] = floats(1 + moves_.size() + i) + begin * filters_;
  }
  products_[group]->run({.buffers = buffers.data(),
                         .state_current = nullptr,
                         .state_next = nullptr,
                         .steps = 1,
                         .row_begin = 0,
                         .row_end = end - begin});
}

// Rows [begin, end) of one sequence: where they lie, or a copy between zeros.
const float* ConvStep::sequence_rows(int64_t begin, int64_t end, float* scratch) const {
  const SlidingAxis& axis = axes_[0];
  const int64_t first = begin % places_, count = end - begin;
  const float* const x = floats(0) + begin / places_ * axis.in * channels_;
  const int64_t from = axis.begin(first), to = axis.begin(first + count - 1) + axis.kernel;
  if (from >= 0 && to <= axis.in) return x + from * channels_;
  const int64_t inside = std::clamp<int64_t>(0, from, to);
  const int64_t outside = std::clamp<int64_t>(axis.in, inside, to);
  const auto zero = [](float* at, int64_t elements) {
    std::memset(at, 0, static_cast<size_t>(elements) * sizeof(float));
  };
  zero(scratch, (inside - from) * channels_);
  std::memcpy(scratch + (inside - from) * channels_, x + inside * channels_,
              static_cast<size_t>((outside - inside) * channels_) * sizeof(float));
  zero(scratch + (outside - from) * channels_, (to - outside) * channels_);
  return scratch;
}

// The window of one row: for each tap the group's channels.
void ConvStep::gather(size_t group, int64_t row, float* to) const {
  const int64_t own = channels_ / static_cast<int64_t>(products_.size());
  const float* const x = floats(0) + static_cast<int64_t>(group) * own;
  const size_t count = axes_.size();
  std::array<int64_t, kMaxRank> begin{}, tap{};
  int64_t place = row;
  for (size_t i = count; i-- > 0;) {
    begin[i] = axes_[i].begin(place % axes_[i].out);
    place /= axes_[i].out;
  }
  const auto bytes = static_cast<size_t>(own) * sizeof(float);
  const SlidingAxis& last = axes_.back();
  const TapRange run = taps_inside(begin[count - 1], last.dilation, last.kernel, last.in);
  const bool piece = own == channels_ && last.dilation == 1;
  for (;;) {
    // All taps along the last axis.
    int64_t at = place;
    bool inside = true;
    for (size_t i = 0; i + 1 < count; ++i) {
      const int64_t index = begin[i] + tap[i] * axes_[i].dilation;
      inside = inside && index >= 0 && index < axes_[i].in;
      at = at * axes_[i].in + index;
    }
    if (inside && run.count > 0 && piece) {
      // One piece between what lies in padding.
      if (run.first > 0) std::memset(to, 0, static_cast<size_t>(run.first) * bytes);
      std::memcpy(to + run.first * own,
                  x + (at * last.in + begin[count - 1] + run.first) * channels_,
                  static_cast<size_t>(run.count) * bytes);
      const int64_t after = run.first + run.count;
      if (after < last.kernel) {
        std::memset(to + after * own, 0, static_cast<size_t>(last.kernel - after) * bytes);
      }
      to += last.kernel * own;
    } else {
      for (int64_t k = 0; k < last.kernel; ++k, to += own) {
        if (inside && k >= run.first && k < run.first + run.count) {
          std::memcpy(to, x + (at * last.in + begin[count - 1] + k * last.dilation) * channels_,
                      bytes);
        } else {
          std::memset(to, 0, bytes);
        }
      }
    }
    size_t i = count - 1;
    while (i-- > 0) {
      if (++tap[i] < axes_[i].kernel) break;
      tap[i] = 0;
    }
    if (i == static_cast<size_t>(-1)) return;
  }
}

void ConvStep::run_rows(int64_t begin, int64_t end, float* scratch) const {
  if (mode_ == Mode::uniform) {
    return multiply(0, floats(0) + offset_ + begin * row_stride_, begin, end);
  }
  for (int64_t row = begin; row < end;) {
    int64_t until = std::min(end, row + block_rows_);
    if (mode_ == Mode::sequence) {
      until = std::min(until, (row / places_ + 1) * places_);
      multiply(0, sequence_rows(row, until, scratch), row, until);
    } else {
      for (size_t group = 0; group < products_.size(); ++group) {
        for (int64_t i = row; i < until; ++i) gather(group, i, scratch + (i - row) * depth_);
        multiply(group, scratch, row, until);
      }
    }
    row = until;
  }
}

void ConvStep::run() {
  float* const scratch = floats(1 + moves_.size() + results_);
  const int64_t floats_a_part = scratch_bytes() / parts_ / static_cast<int64_t>(sizeof(float));
  for_rows(static_cast<int>(parts_), parts_, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      run_rows(rows_ * part / parts_, rows_ * (part + 1) / parts_, scratch + part * floats_a_part);
    }
  });
}

bool ConvStep::worth_a_task() const { return cost() >= kWorthAThread; }

int64_t ConvStep::own_bytes() const {
  int64_t bytes = 0;
  for (const auto& product : products_) bytes += product->packed_bytes();
  return bytes;
}

std::string ConvStep::describe() const {
  const char* const modes[] = {"windows in place", "windows in place but for padding",
                               "windows gathered"};
  std::string text = text_ + ", " + modes[static_cast<size_t>(mode_)];
  if (products_.size() > 1) text += ", " + std::to_string(products_.size()) + " products";
  if (parts_ > 1) text += ", rows over " + std::to_string(parts_) + " threads";
  return text + ": " + products_[0]->describe();
}

}  // namespace refrain::executable
