#include "backends/naive/matmul.h"

#include <algorithm>

namespace refrain::naive {
namespace {

using dnnl::memory;

// Row-major strides.
memory::dims strides_of(const memory::dims& dims) {
  memory::dims strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strides;
}

memory::desc rows(const memory::dims& dims) {
  return {dims, memory::data_type::f32, strides_of(dims)};
}

// The operands as oneDNN wants them: equal rank, at least 2, batches in front.
struct Geometry {
  memory::dims a, b, c;
};

Geometry geometry(const Tensor& a, const Tensor& b) {
  memory::dims da(a.rank() == 1 ? 1 : 0, 1), db(b.extents().begin(), b.extents().end());
  da.insert(da.end(), a.extents().begin(), a.extents().end());
  if (b.rank() == 1) db = {b.extents()[0], 1};
  const auto is_one = [](int64_t extent) { return extent == 1; };
  if (std::all_of(db.begin(), db.end() - 2, is_one)) {
    // One matrix for all batches of a: they are rows of one product.
    db.erase(db.begin(), db.end() - 2);
    int64_t count = 1;
    for (size_t i = 0; i + 1 < da.size(); ++i) count *= da[i];
    da = {count, da.back()};
  }
  const size_t rank = std::max(da.size(), db.size());
  da.insert(da.begin(), rank - da.size(), 1);
  db.insert(db.begin(), rank - db.size(), 1);
  memory::dims dc = da;
  for (size_t i = 0; i + 2 < rank; ++i) dc[i] = std::max(da[i], db[i]);
  dc[rank - 1] = db[rank - 1];
  return {da, db, dc};
}

}  // namespace

memory MatmulContext::packed(const Tensor& constant, const memory::desc& from,
                             const memory::desc& wanted) {
  const auto [begin, end] = packed_.equal_range(&constant);
  for (auto i = begin; i != end; ++i) {
    if (i->second.rows == from && i->second.wanted == wanted) return i->second.memory;
  }
  // oneDNN takes sources without const; a reorder only reads them.
  memory source(from, engine_, const_cast<void*>(constant.raw()));
  memory target(wanted, engine_);
  dnnl::reorder(source, target).execute(stream_, source, target);
  stream_.wait();
  packed_.emplace(&constant, Packed{&constant, from, wanted, target});
  return target;
}

Matmul::Matmul(MatmulContext& context, const Tensor& a, const Tensor& b, bool constant_b, Tensor& c)
    : context_(&context) {
  const Geometry g = geometry(a, b);
  const memory::desc da = rows(g.a), db = rows(g.b), dc = rows(g.c);
  const memory::desc wanted =
      constant_b ? memory::desc(g.b, memory::data_type::f32, memory::format_tag::any) : db;
  const dnnl::matmul::primitive_desc descriptor(dnnl::matmul::desc(da, wanted, dc),
                                                context.engine());
  primitive_ = dnnl::matmul(descriptor);
  const auto at = [&](const memory::desc& desc, const Tensor& tensor) {
    return memory(desc, context.engine(), const_cast<void*>(tensor.raw()));
  };
  const bool pack = descriptor.weights_desc() != db;
  arguments_ = {
      {DNNL_ARG_SRC, at(da, a)},
      {DNNL_ARG_WEIGHTS, pack ? context.packed(b, db, descriptor.weights_desc()) : at(db, b)},
      {DNNL_ARG_DST, at(dc, c)}};
}

}  // namespace refrain::naive
