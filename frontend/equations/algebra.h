// Arithmetic on values with time, batch and features: the language's operators in ops of the IR.
//
// A value's axes are its time axis, if it has one, its batch axis, if it has one (batch first, if
// the model's layout says so), then its features. Operators work on features, and carry time and
// batch along: where one operand lacks an axis that another has, it is the same all along it.
#pragma once

#include <string>
#include <vector>

#include "frontend/equations/source.h"
#include "ir/builder.h"

namespace refrain::equations {

struct Tensored {
  Value* value = nullptr;
  bool time = false, batch = false;

  size_t carried() const { return static_cast<size_t>(time) + static_cast<size_t>(batch); }
  ElementType element() const { return value->type().element; }
  Shape features() const;
  size_t rank() const { return value->type().shape.rank() - carried(); }  // of the features
};

// `[64, 32]`: the features' extents.
std::string describe_features(const Tensored& x);

// Adds nodes to one region. Throws Failure, at the given range, where operands do not fit.
class Algebra {
 public:
  Algebra(Region& region, bool batch_first) : builder_(region), batch_first_(batch_first) {}

  Builder& builder() { return builder_; }
  bool batch_first() const { return batch_first_; }

  int64_t time_axis(const Tensored& x) const { return x.batch && batch_first_ ? 1 : 0; }
  int64_t batch_axis(const Tensored& x) const { return x.time && !batch_first_ ? 1 : 0; }

  Tensored scalar(ElementType type, double value) { return {builder_.scalar(type, value)}; }
  // A number of the text, as the type of the tensor beside it.
  Tensored beside(const Tensored& x, double value, Range range);

  // Fails for truth values.
  static void require_numbers(const Tensored& x, const std::string& what, Range range);

  Tensored unary(Op op, const Tensored& x, std::vector<Attribute> attributes = {});
  // `what` is the operator or function in messages.
  Tensored elementwise(Op op, const Tensored& a, const Tensored& b, const std::string& what,
                       Range range);
  Tensored where(const Tensored& condition, const Tensored& a, const Tensored& b, Range range);
  // The product of a and b; names of the operands for messages. `transposed` makes the transpose of
  // a matrix without time and batch, in the way that suits where it comes from.
  Tensored product(const Tensored& a, const Tensored& b, const std::string& a_name,
                   const std::string& b_name, Range range);
  // W·x for a matrix given as its transpose, [n, m].
  Tensored product_by_transpose(const Tensored& transposed, const Tensored& x);
  // Scalars are vectors of one there.
  Tensored concat(std::vector<Tensored> parts, Range range);
  // Along the features' last axis, or time; bounds as in Python.
  Tensored slice(const Tensored& x, bool over_time, int64_t begin, int64_t end, Range range);
  Tensored index(const Tensored& x, bool over_time, int64_t at, Range range);
  Tensored reversed(const Tensored& x, Range range);
  // One after the other along time; what has no time axis is one step.
  Tensored join(const std::vector<Tensored>& parts, Range range);
  // The numbers of x's steps, from 0: i64, without features.
  Tensored indices(const Tensored& x, Range range);
  // Op::reduce_*; over time, or over the last axis of the features.
  Tensored reduce(Op op, const Tensored& x, bool over_time, Range range);
  Tensored arg_max(const Tensored& x, bool over_time, Range range);
  Tensored softmax(Op op, const Tensored& x, bool over_time, Range range);
  Tensored outer(const Tensored& a, const Tensored& b, Range range);
  Tensored transpose(const Tensored& x, Range range);
  Tensored attention(const Tensored& query, const Tensored& keys, const Tensored& values,
                     Range range);

  // [batch, features, time] for convolutions, and back; a scalar's features are one.
  Value* to_channels(const Tensored& x, Range range);
  Tensored from_channels(Value* channels, const Tensored& like, bool keep_scalar);

  // x with time and batch as `like` has them.
  Tensored expanded(const Tensored& x, const Tensored& like);
  // A tensor of shape [batch of `like`,] features..., filled with a scalar.
  Tensored filled(TensorPtr scalar, const Tensored& like, const std::vector<int64_t>& features);
  // The extent of the batch axis as a tensor i64[1].
  Value* batch_extent(const Tensored& like);

 private:
  // Where value's axis stands after those are inserted that `time`, `batch` and `rank` ask for.
  Value* aligned(const Tensored& x, bool time, bool batch, size_t rank);
  int64_t reduced_axis(const Tensored& x, bool over_time, const char* what, Range range);
  Value* unsqueezed(Value* x, const std::vector<int64_t>& axes);
  void require_same_time(const Tensored& a, const Tensored& b, const std::string& what,
                         Range range) const;
  static void require_same_type(const Tensored& a, const Tensored& b, const std::string& what,
                                Range range);
  [[noreturn]] void misfit(const Tensored& a, const Tensored& b, const std::string& what,
                           Range range);

  Builder builder_;
  bool batch_first_;
};

}  // namespace refrain::equations
