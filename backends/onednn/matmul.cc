#include <algorithm>

#include "backends/onednn/primitive.h"

namespace refrain::onednn {
namespace {

using dnnl::memory;

// The operands as oneDNN wants them: equal rank, at least 2, batches in front.
struct Geometry {
  memory::dims a, b, c;
};

Geometry geometry(memory::dims a, memory::dims b) {
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  if (std::all_of(b.begin(), b.end() - 2, [](int64_t extent) { return extent == 1; })) {
    // One matrix for all batches of a: they are rows of one product.
    b.erase(b.begin(), b.end() - 2);
    int64_t rows = 1;
    for (size_t i = 0; i + 1 < a.size(); ++i) rows *= a[i];
    a = {rows, a.back()};
  }
  const size_t rank = std::max(a.size(), b.size());
  a.insert(a.begin(), rank - a.size(), 1);
  b.insert(b.begin(), rank - b.size(), 1);
  memory::dims c = a;
  for (size_t i = 0; i + 2 < rank; ++i) c[i] = std::max(a[i], b[i]);
  c[rank - 1] = b[rank - 1];
  return {std::move(a), std::move(b), std::move(c)};
}

}  // namespace

std::unique_ptr<StepKernel> make_matmul(const Node& node, Constants constants,
                                        const KernelOptions& options) {
  const Geometry g = geometry(dims_of(*node.operand(0)), dims_of(*node.operand(1)));
  const memory::desc a = dense(g.a), b = dense(g.b), c = dense(g.c);
  const dnnl::matmul::primitive_desc descriptor(
      dnnl::matmul::desc(a, constants[1] ? any_layout(g.b) : b, c), user_scratchpad(),
      cpu_engine());
  auto kernel = std::make_unique<PrimitiveKernel>(options);
  const memory weights = kernel->operand_as(1, constants[1], b, descriptor.weights_desc());
  kernel->add(dnnl::matmul(descriptor),
              {{DNNL_ARG_SRC, kernel->operand(0, a)},
               {DNNL_ARG_WEIGHTS, weights},
               {DNNL_ARG_DST, kernel->result(0, c)}},
              descriptor.scratchpad_desc());
  kernel->finish();
  kernel->set_description("onednn matmul " + text(g.a) + " by " + text(g.b) + ", " +
                          descriptor.impl_info_str());
  return kernel;
}

}  // namespace refrain::onednn
