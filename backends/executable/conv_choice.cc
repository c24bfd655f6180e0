#include "backends/executable/conv_choice.h"

#include <algorithm>
#include <chrono>
#include <vector>

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

template <typename Run>
double microseconds(const Run& run) {
  const Clock::time_point begin = Clock::now();
  run();
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

bool is_faster(StepKernel& kernel, const WindowChain& chain, const PrepareOptions& options) {
  highway::Program nothing;
  nothing.inputs = 1;
  nothing.outputs = {0};
  ConvStep own(chain, nothing, {}, options.threads);
  Tensor x(ElementType::f32, extents_of(*chain.input));
  Tensor y(ElementType::f32, extents_of(*chain.last->result()));
  Tensor scratch(ElementType::u8, {own.scratch_bytes()});
  uint32_t state = 1;
  for (float& element : x.data<float>()) {
    state = state * 1664525U + 1013904223U;
    element = static_cast<float>(state >> 8) / static_cast<float>(1U << 24) - 0.5F;
  }
  own.set_pointer(own.reads(Place()), x.raw());
  own.set_pointer(own.writes(Place()), y.raw());
  own.set_pointer(own.writes(Place()), scratch.raw());
  std::vector<const void*> operands = {x.raw()};
  for (size_t i = 1; i < chain.window->operand_count(); ++i) {
    const TensorPtr constant = constant_tensor(chain.window->operand(i));
    operands.push_back(constant ? constant->raw() : nullptr);
  }
  void* const results[] = {y.raw()};
  const auto run_own = [&] { own.run(); };
  const auto run_onednn = [&] { kernel.run(operands.data(), results); };
  double own_us = 0, onednn_us = 0, total = 0;
  for (int i = 0; i < kRuns && total < kTimeBound; ++i) {
    const double first = microseconds(run_own), second = microseconds(run_onednn);
    total += first + second;
    own_us = i == 0 ? first : std::min(own_us, first);
    onednn_us = i == 0 ? second : std::min(onednn_us, second);
  }
  return onednn_us < kWorthwhile * own_us;
}

}  // namespace

std::unique_ptr<StepKernel> faster_by_onednn(Lowering& lowering, const WindowChain& chain) {
  const PrepareOptions& options = lowering.options();
  if (options.kernels != KernelChoice::automatic || work_of(chain) < kLeastWork) return nullptr;
  std::map<std::vector<int64_t>, bool>& known = lowering.onednn_faster();
  const std::vector<int64_t> sizes = sizes_of(chain);
  const auto found = known.find(sizes);
  if (found != known.end() && !found->second) return nullptr;
  std::vector<const Tensor*> constants;
  for (size_t i = 0; i < chain.window->operand_count(); ++i) {
    constants.push_back(chain.window->operand(i) ? lowering.constant(chain.window->operand(i))
                                                 : nullptr);
  }
  std::unique_ptr<StepKernel> kernel =
      onednn::make_kernel(*chain.window, constants, {.channels_last = true});
  if (!kernel) return nullptr;
  const bool faster = found != known.end() || is_faster(*kernel, chain, options);
  known[sizes] = faster;
  return faster ? std::move(kernel) : nullptr;
}

}  // namespace refrain::executable
