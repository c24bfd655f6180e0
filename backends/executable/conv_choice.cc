#include "backends/executable/conv_choice.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>

#include "backends/executable/basic_steps.h"
#include "backends/executable/conv_step.h"
#include "backends/onednn/kernels.h"
#include "ir/builder.h"
#include "ir/tensor.h"

namespace refrain::executable {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kLeastWork = 500'000;  // multiplications
constexpr int kRuns = 4;
constexpr double kTimeBound = 20'000;  // microseconds, after which no further run is made
constexpr double kWorthwhile = 0.95;   // of our own time

std::vector<int64_t> sizes_of(const WindowChain& chain) {
  std::vector<int64_t> sizes = {chain.batch, chain.channels, chain.filters, chain.groups};
  for (const SlidingAxis& axis : chain.axes) {
    sizes.insert(sizes.end(),
                 {axis.in, axis.out, axis.kernel, axis.stride, axis.dilation, axis.pad});
  }
  return sizes;
}

int64_t work_of(const WindowChain& chain) {
  double work = static_cast<double>(chain.batch * chain.places()) *
                static_cast<double>(chain.filters * (chain.channels / chain.groups));
  for (const SlidingAxis& axis : chain.axes) work *= static_cast<double>(axis.kernel);
  return static_cast<int64_t>(std::min(work, 1e18));
}

// Microseconds of the fastest run.
template <typename Run>
double time_of(const Run& run) {
  double best = std::numeric_limits<double>::infinity(), total = 0;
  for (int i = 0; i < kRuns && total < kTimeBound; ++i) {
    const Clock::time_point begin = Clock::now();
    run();
    const double time = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
    total += time;
    best = std::min(best, time);
  }
  return best;
}

std::vector<const Tensor*> constants_of(const Node& window) {
  std::vector<const Tensor*> constants;
  for (size_t i = 0; i < window.operand_count(); ++i) {
    constants.push_back(window.operand(i) ? constant_tensor(window.operand(i)).get() : nullptr);
  }
  return constants;
}

// A transpose of [N, C, spatial...] to channels last, or back.
double time_of_copy(const std::vector<int64_t>& last, const float* from, float* to, bool back) {
  const int64_t batch = last[0], channels = last.back();
  const int64_t places = element_count(last) / std::max<int64_t>(1, batch * channels);
  constexpr auto kElement = static_cast<int64_t>(sizeof(float));
  const int64_t rows = back ? channels : places, columns = back ? places : channels;
  StridedCopyStep copy("transpose",
                       {{batch, rows * columns * kElement, rows * columns * kElement},
                        {rows, kElement, columns * kElement},
                        {columns, rows * kElement, kElement}},
                       kElement);
  // Only read.
  copy.set_pointer(copy.reads(Place()), const_cast<float*>(from));
  copy.set_pointer(copy.writes(Place()), to);
  return time_of([&] { copy.run(); });
}

}  // namespace

bool ConvChoice::considers(const WindowChain& chain) const {
  return options_.kernels == KernelChoice::automatic && chain.window->op() == Op::conv &&
         work_of(chain) >= kLeastWork;
}

const ConvChoice::Times& ConvChoice::times_of(const WindowChain& chain) {
  const auto [found, fresh] = times_.try_emplace(sizes_of(chain));
  Times& times = found->second;
  if (!fresh) return times;
  highway::Program nothing;
  nothing.inputs = 1;
  nothing.outputs = {0};
  ConvStep own(chain, nothing, {}, options_);
  Tensor x(ElementType::f32, chain.x), y(ElementType::f32, chain.y);
  // Of the input's and of the result's size.
  Tensor scratch(ElementType::u8, {std::max({own.scratch_bytes(), x.bytes(), y.bytes()})});
  uint32_t state = 1;
  for (float& element : x.data<float>()) {
    state = state * 1664525U + 1013904223U;
    element = static_cast<float>(state >> 8) / static_cast<float>(1U << 24) - 0.5F;
  }
  own.set_pointer(own.reads(Place()), x.raw());
  own.set_pointer(own.writes(Place()), y.raw());
  own.set_pointer(own.writes(Place()), scratch.raw());
  times.own = time_of([&] { own.run(); });
  const std::vector<const Tensor*> constants = constants_of(*chain.window);
  std::vector<const void*> operands = {x.raw()};
  for (size_t i = 1; i < constants.size(); ++i) {
    operands.push_back(constants[i] ? constants[i]->raw() : nullptr);
  }
  void* const results[] = {y.raw()};
  for (const bool last : {true, false}) {
    const std::unique_ptr<StepKernel> kernel =
        onednn::make_kernel(*chain.window, constants, {.channels_last = last});
    double& time = last ? times.onednn_last : times.onednn_first;
    time = kernel ? time_of([&] { kernel->run(operands.data(), results); })
                  : std::numeric_limits<double>::infinity();
  }
  auto* const other = static_cast<float*>(scratch.raw());
  times.copy_in = time_of_copy(chain.x, x.data<float>().data(), other, false);
  times.copy_out = time_of_copy(chain.y, y.data<float>().data(), other, true);
  return times;
}

bool ConvChoice::move_channels(const Node& window, bool copies_in, bool copies_out) {
  if (window.op() == Op::conv_transpose) return options_.kernels == KernelChoice::highway;
  if (!copies_in && !copies_out) return true;
  const std::optional<WindowChain> chain = window_geometry(window);
  if (!chain || !considers(*chain)) return true;
  const Times& times = times_of(*chain);
  return std::min(times.own, times.onednn_last) + (copies_in ? times.copy_in : 0) +
             (copies_out ? times.copy_out : 0) <=
         times.onednn_first;
}

std::unique_ptr<StepKernel> ConvChoice::faster_by_onednn(const WindowChain& chain) {
  if (!considers(chain)) return nullptr;
  const Times& times = times_of(chain);
  if (times.onednn_last >= kWorthwhile * times.own) return nullptr;
  return onednn::make_kernel(*chain.window, constants_of(*chain.window), {.channels_last = true});
}

}  // namespace refrain::executable
