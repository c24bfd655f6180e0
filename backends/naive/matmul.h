// One f32 matrix product prepared as a oneDNN primitive.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <span>
#include <tuple>
#include <vector>

#include "ir/tensor.h"

namespace refrain::naive {

// What all products of one graph share: oneDNN's engine and stream, and constant weights that were
// packed already (an unrolled graph multiplies by the same weights at every step).
class MatmulContext {
 public:
  MatmulContext() : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}

  dnnl::engine& engine() { return engine_; }
  dnnl::stream& stream() { return stream_; }
  // `constant` (a [K, N] or batched matrix in rows) in the layout `wanted`.
  dnnl::memory packed(const Tensor& constant, const dnnl::memory::desc& rows,
                      const dnnl::memory::desc& wanted);

 private:
  struct Packed {
    const Tensor* constant;
    dnnl::memory::desc rows, wanted;
    dnnl::memory memory;
  };
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::multimap<const Tensor*, Packed> packed_;
};

// c = a b with numpy's rules (vectors, broadcast batches). All tensors are f32, not empty, and must
// outlive it; their buffers are read and written at each run.
class Matmul {
 public:
  // `constant_b`: b never changes, so it is packed for the primitive now.
  Matmul(MatmulContext& context, const Tensor& a, const Tensor& b, bool constant_b, Tensor& c);
  void run() { primitive_.execute(context_->stream(), arguments_); }

 private:
  MatmulContext* context_;
  dnnl::matmul primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

}  // namespace refrain::naive
