#include "backends/executable/conv_transpose_step.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "backends/executable/basic_steps.h"
#include "backends/highway/pooling.h"
#include "ir/builder.h"

namespace refrain::executable {
namespace {

// Elements of products at once: 256 KiB.
constexpr int64_t kAtOnce = 1 << 16;

}  // namespace

ConvTransposeStep::ConvTransposeStep(const WindowChain& chain)
    : axes_(chain.axes), channels_(chain.channels), filters_(chain.filters) {
  const TensorPtr bias = constant_tensor(chain.window->operand(2));
  if (bias) bias_ = bias->data<float>().data();
  int64_t taps = 1;
  rows_ = result_rows_ = chain.batch;
  for (const SlidingAxis& axis : axes_) {
    taps *= axis.kernel;
    rows_ *= axis.in;
    result_rows_ *= axis.out;
  }
  const int64_t own_channels = channels_ / chain.groups, own_filters = filters_ / chain.groups;
  columns_ = taps * own_filters;
  block_rows_ = std::min(
      rows_, std::clamp<int64_t>(kAtOnce / columns_, 1, highway::RecurrentLoop::kMostSharedRows));
  highway::LoopSpec spec;
  spec.rows = block_rows_;
  highway::Stage& stage = spec.stages.emplace_back();
  stage.units = columns_;
  stage.gates = 1;
  stage.program.inputs = 1;
  stage.program.outputs = {0};
  highway::Product& product = stage.products.emplace_back();
  product.depth = own_channels;
  product.left.row_stride = channels_;
  highway::Stream& output = stage.outputs.emplace_back();
  output.buffer = 1;
  output.row_stride = columns_;
  const Tensor& weights = *constant_tensor(chain.window->operand(1));
  const float* from = weights.data<float>().data();  // [channels, filters of a group, taps]
  std::vector<float> rows(static_cast<size_t>(own_channels * columns_));
  for (int64_t group = 0; group < chain.groups; ++group) {
    for (int64_t c = 0; c < own_channels; ++c) {
      for (int64_t n = 0; n < own_filters; ++n) {
        for (int64_t tap = 0; tap < taps; ++tap) {
          rows[static_cast<size_t>(c * columns_ + tap * own_filters + n)] = *from++;
        }
      }
    }
    product.weights = {{0, rows.data(), columns_}};
    products_.push_back(std::make_unique<highway::RecurrentLoop>(spec));
  }
  text_ = "highway conv_transpose " + extents_text(chain.x) + " by " +
          extents_text(weights.extents()) + " to " + extents_text(chain.y);
}

int64_t ConvTransposeStep::own_bytes() const {
  int64_t bytes = 0;
  for (const auto& product : products_) bytes += product->packed_bytes();
  return bytes;
}

// The bias, or zeros.
void ConvTransposeStep::start() const {
  const auto bytes = static_cast<size_t>(filters_) * sizeof(float);
  float* const y = floats(1);
  if (!bias_) {
    std::memset(y, 0, static_cast<size_t>(result_rows_) * bytes);
    return;
  }
  for (int64_t row = 0; row < result_rows_; ++row) std::memcpy(y + row * filters_, bias_, bytes);
}

// The products of one row of the input, by taps, to the rows of the result.
void ConvTransposeStep::add(size_t group, int64_t row, const float* taps) const {
  const size_t count = axes_.size();
  const int64_t own = filters_ / static_cast<int64_t>(products_.size());
  std::array<int64_t, kMaxRank> begin{}, tap{};
  int64_t batch = row;
  for (size_t i = count; i-- > 0;) {
    begin[i] = axes_[i].begin(batch % axes_[i].in);
    batch /= axes_[i].in;
  }
  for (bool more = true; more; taps += own) {
    int64_t to = batch;
    bool inside = true;
    for (size_t i = 0; i < count; ++i) {
      const int64_t place = begin[i] + tap[i] * axes_[i].dilation;
      inside = inside && place >= 0 && place < axes_[i].out;
      to = to * axes_[i].out + place;
    }
    if (inside) {
      highway::pool(highway::Pooling::sum, taps, 1, 0, own, false,
                    floats(1) + to * filters_ + static_cast<int64_t>(group) * own);
    }
    more = false;
    for (size_t i = count; i-- > 0 && !more;) {
      more = ++tap[i] < axes_[i].kernel;
      if (!more) tap[i] = 0;
    }
  }
}

void ConvTransposeStep::run() {
  start();
  const int64_t own = channels_ / static_cast<int64_t>(products_.size());
  float* const scratch = floats(2);
  for (int64_t row = 0; row < rows_; row += block_rows_) {
    const int64_t count = std::min(block_rows_, rows_ - row);
    for (size_t group = 0; group < products_.size(); ++group) {
      float* const buffers[] = {floats(0) + row * channels_ + static_cast<int64_t>(group) * own,
                                scratch};
      products_[group]->run({.buffers = buffers,
                             .state_current = nullptr,
                             .state_next = nullptr,
                             .steps = 1,
                             .row_begin = 0,
                             .row_end = count});
      for (int64_t i = 0; i < count; ++i) add(group, row + i, scratch + i * columns_);
    }
  }
}

}  // namespace refrain::executable
