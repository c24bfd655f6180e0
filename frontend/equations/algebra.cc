#include "frontend/equations/algebra.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace refrain::equations {
namespace {

constexpr const char* kRealHasFractions = "real(...) makes numbers of them that may have fractions";
constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();

bool broadcastable(const Shape& a, const Shape& b) {
  const Shape& wide = a.rank() >= b.rank() ? a : b;
  const Shape& narrow = a.rank() >= b.rank() ? b : a;
  for (size_t i = 0; i < narrow.rank(); ++i) {
    const Dim x = wide[wide.rank() - narrow.rank() + i], y = narrow[i];
    if (provably_different(x, y) && x != Dim(1) && y != Dim(1)) return false;
  }
  return true;
}

std::string named(const std::string& name, const Tensored& x) {
  return (name.empty() ? "" : name + " ") + describe_features(x);
}

}  // namespace

Shape Tensored::features() const {
  const std::vector<Dim>& dims = value->type().shape.dims();
  return Shape(std::vector<Dim>(dims.begin() + static_cast<std::ptrdiff_t>(carried()), dims.end()));
}

std::string describe_features(const Tensored& x) {
  return x.rank() == 0 ? "a scalar" : to_string(x.features());
}

void Algebra::misfit(const Tensored& a, const Tensored& b, const std::string& what, Range range) {
  fail(range, "shapes do not fit in " + what + ": " + describe_features(a) + " and " +
                  describe_features(b));
}

void Algebra::require_same_type(const Tensored& a, const Tensored& b, const std::string& what,
                                Range range) {
  const ElementType x = a.element(), y = b.element();
  if (x == y) return;
  std::string note;
  if (is_float(x) != is_float(y)) {
    note = "real(...) makes " + std::string(name(is_float(x) ? x : y)) + " of " +
           std::string(name(is_float(x) ? y : x));
  }
  fail(range,
       "types do not fit in " + what + ": " + std::string(name(x)) + " and " + std::string(name(y)),
       note);
}

void Algebra::require_numbers(const Tensored& x, const std::string& what, Range range) {
  if (x.element() != ElementType::boolean) return;
  fail(range, "truth values in " + what, "real(...) makes numbers of them");
}

void Algebra::require_same_time(const Tensored& a, const Tensored& b, const std::string& what,
                                Range range) const {
  if (!a.time || !b.time) return;
  const auto time = [&](const Tensored& x) {
    return x.value->type().shape[static_cast<size_t>(time_axis(x))];
  };
  const Dim x = time(a), y = time(b);
  const bool differ = provably_different(x, y) || (x.is_symbol() && y.is_symbol() && x != y);
  if (!differ) return;
  fail(range,
       "sequences of different lengths in " + what + ": " + to_string(x) + " and " + to_string(y));
}

Tensored Algebra::beside(const Tensored& x, double value, Range range) {
  const ElementType type = x.element();
  const bool boolean = type == ElementType::boolean;
  if (is_integer(type)) {
    const double limit = std::ldexp(1.0, static_cast<int>(8 * size_of(type)) - 1);
    if (!(value >= -limit && value < limit)) {
      fail(range, "this number is too large beside " + std::string(name(type)));
    }
  }
  if (boolean ? value != 0 && value != 1 : is_integer(type) && value != std::floor(value)) {
    fail(range, boolean ? "a number beside truth values" : "a fraction beside whole numbers",
         kRealHasFractions);
  }
  return scalar(type, value);
}

Value* Algebra::unsqueezed(Value* x, const std::vector<int64_t>& axes) {
  return axes.empty() ? x : builder_.op(Op::unsqueeze, {x, builder_.ints(axes)});
}

Value* Algebra::aligned(const Tensored& x, bool time, bool batch, size_t rank) {
  std::vector<bool> present;
  if (batch_first_) {
    if (batch) present.push_back(x.batch);
    if (time) present.push_back(x.time);
  } else {
    if (time) present.push_back(x.time);
    if (batch) present.push_back(x.batch);
  }
  for (size_t i = 0; i < rank; ++i) present.push_back(i + x.rank() >= rank);
  std::vector<int64_t> axes;
  // Broadcasting adds leading axes by itself.
  const auto first = std::find(present.begin(), present.end(), true);
  for (auto at = first; at != present.end(); ++at) {
    if (!*at) axes.push_back(at - first);
  }
  return unsqueezed(x.value, axes);
}

Tensored Algebra::unary(Op op, const Tensored& x, std::vector<Attribute> attributes) {
  return {builder_.op(op, {x.value}, std::move(attributes)), x.time, x.batch};
}

Tensored Algebra::elementwise(Op op, const Tensored& a, const Tensored& b, const std::string& what,
                              Range range) {
  if (!broadcastable(a.features(), b.features())) misfit(a, b, what, range);
  require_same_type(a, b, what, range);
  const bool compares = op == Op::equal || op == Op::less || op == Op::less_equal ||
                        op == Op::greater || op == Op::greater_equal;
  if (!compares) require_numbers(a, what, range);
  require_same_time(a, b, what, range);
  const bool time = a.time || b.time, batch = a.batch || b.batch;
  const size_t rank = std::max(a.rank(), b.rank());
  Value* const left = aligned(a, time, batch, rank);
  return {builder_.op(op, {left, aligned(b, time, batch, rank)}), time, batch};
}

Tensored Algebra::where(const Tensored& condition, const Tensored& a, const Tensored& b,
                        Range range) {
  if (!broadcastable(a.features(), b.features())) misfit(a, b, "'where'", range);
  if (!broadcastable(condition.features(), a.features())) misfit(condition, a, "'where'", range);
  if (!broadcastable(condition.features(), b.features())) misfit(condition, b, "'where'", range);
  const bool time = condition.time || a.time || b.time,
             batch = condition.batch || a.batch || b.batch;
  if (condition.element() != ElementType::boolean) {
    fail(range, "the condition of 'where' is " + std::string(name(condition.element())),
         "expected truth values, a comparison for example");
  }
  require_same_type(a, b, "'where'", range);
  require_same_time(a, b, "'where'", range);
  require_same_time(condition, a, "'where'", range);
  require_same_time(condition, b, "'where'", range);
  const size_t rank = std::max({condition.rank(), a.rank(), b.rank()});
  Value* const c = aligned(condition, time, batch, rank);
  Value* const x = aligned(a, time, batch, rank);
  return {builder_.op(Op::where, {c, x, aligned(b, time, batch, rank)}), time, batch};
}

Tensored Algebra::product_by_transpose(const Tensored& transposed, const Tensored& x) {
  return {builder_.op(Op::matmul, {x.value, transposed.value}), x.time, x.batch};
}

Tensored Algebra::product(const Tensored& a, const Tensored& b, const std::string& a_name,
                          const std::string& b_name, Range range) {
  require_same_type(a, b, "the product", range);
  require_same_time(a, b, "the product", range);
  const size_t ra = a.rank(), rb = b.rank();
  const auto scalar = [](size_t rank) { return rank == 0; };
  if (scalar(ra) || scalar(rb)) {
    fail(range, "a product of " + named(a_name, a) + " and " + named(b_name, b),
         "expected vectors or matrices; `*` multiplies element by element");
  }
  if (ra > 2 || rb > 2) fail(range, "a product of more than two axes");
  const Dim inner_a = a.features()[ra - 1], inner_b = b.features()[0];
  if (provably_different(inner_a, inner_b)) {
    fail(range, "shapes do not fit: " + named(a_name, a) + " · " + named(b_name, b) + ": " +
                    to_string(inner_a) + " against " + to_string(inner_b));
  }
  const bool time = a.time || b.time, batch = a.batch || b.batch;
  if (ra == 1 && rb == 1) {
    const auto plain = [](const Tensored& x) { return !x.time && !x.batch; };
    // A fixed vector is a matrix of one column.
    if (plain(a) != plain(b)) {
      const Tensored& fixed = plain(a) ? a : b;
      const Tensored& other = plain(a) ? b : a;
      Value* const column = unsqueezed(fixed.value, {1});
      Value* const result = builder_.op(Op::matmul, {other.value, column});
      return {builder_.squeeze(result, {-1}), time, batch};
    }
    const Tensored terms = elementwise(Op::mul, a, b, "the product", range);
    return reduce(Op::reduce_sum, terms, false, range);
  }
  if (ra == 1 && rb == 2 && !b.time && !b.batch) {
    return {builder_.op(Op::matmul, {a.value, b.value}), time, batch};
  }
  if (ra == 2 && rb == 1 && !a.time && !a.batch) {
    return product_by_transpose(transpose(a, range), b);
  }
  // A product of matrices for each step and sequence.
  Value* left = aligned(a, time, batch, ra);
  Value* right = aligned(b, time, batch, rb);
  if (ra == 1) left = unsqueezed(left, {-2});
  if (rb == 1) right = unsqueezed(right, {-1});
  Value* result = builder_.op(Op::matmul, {left, right});
  if (ra == 1) result = builder_.squeeze(result, {-2});
  if (rb == 1) result = builder_.squeeze(result, {-1});
  return {result, time, batch};
}

Value* Algebra::batch_extent(const Tensored& like) {
  const int64_t axis = batch_axis(like);
  const Dim batch = like.value->type().shape[static_cast<size_t>(axis)];
  if (batch.is_constant()) return builder_.ints({batch.extent()});
  if (batch.is_symbol()) {
    return builder_.op(Op::dims, {}, {{AttributeName::dims, std::vector<Dim>{batch}}});
  }
  return builder_.op(Op::shape, {like.value},
                     {{AttributeName::start, axis}, {AttributeName::end, axis + 1}});
}

Tensored Algebra::filled(TensorPtr scalar, const Tensored& like,
                         const std::vector<int64_t>& features) {
  Value* shape = nullptr;
  if (!like.batch) {
    shape = builder_.ints(features);
  } else {
    const Dim batch = like.value->type().shape[static_cast<size_t>(batch_axis(like))];
    std::vector<Dim> dims = {batch};
    for (int64_t extent : features) dims.emplace_back(extent);
    if (batch.is_symbol()) {
      shape = builder_.op(Op::dims, {}, {{AttributeName::dims, dims}});
    } else if (batch.is_constant()) {
      shape = builder_.ints(Shape(dims).extents());
    } else {
      shape =
          builder_.op(Op::concat, {batch_extent(like), shape}, {{AttributeName::axis, int64_t{0}}});
    }
  }
  Value* const value = builder_.op(Op::fill, {shape}, {{AttributeName::value, std::move(scalar)}});
  return {value, false, like.batch};
}

Tensored Algebra::expanded(const Tensored& x, const Tensored& like) {
  if (x.time == like.time && x.batch == like.batch) return x;
  const bool time = x.time || like.time, batch = x.batch || like.batch;
  // The extents of each carried axis, from whoever has it.
  std::vector<Value*> extents;
  const auto add = [&](bool wanted, bool mine, int64_t own_axis, int64_t other_axis) {
    if (!wanted) return;
    const int64_t axis = mine ? own_axis : other_axis;
    extents.push_back(builder_.op(Op::shape, {mine ? x.value : like.value},
                                  {{AttributeName::start, axis}, {AttributeName::end, axis + 1}}));
  };
  const auto add_time = [&] { add(time, x.time, time_axis(x), time_axis(like)); };
  const auto add_batch = [&] { add(batch, x.batch, batch_axis(x), batch_axis(like)); };
  if (batch_first_) {
    add_batch();
    add_time();
  } else {
    add_time();
    add_batch();
  }
  if (x.rank() > 0) {
    extents.push_back(builder_.op(Op::shape, {x.value},
                                  {{AttributeName::start, static_cast<int64_t>(x.carried())}}));
  }
  Value* const shape =
      builder_.create(Op::concat, extents, {{AttributeName::axis, int64_t{0}}})->result();
  Value* const result = builder_.op(Op::expand, {aligned(x, time, batch, x.rank()), shape});
  // Extents that a shape node tells are not known to inference; these are.
  std::vector<Dim> dims;
  const auto dim = [&](bool mine, int64_t own_axis, int64_t other_axis) {
    return mine ? x.value->type().shape[static_cast<size_t>(own_axis)]
                : like.value->type().shape[static_cast<size_t>(other_axis)];
  };
  const auto time_dim = [&] {
    if (time) dims.push_back(dim(x.time, time_axis(x), time_axis(like)));
  };
  const auto batch_dim = [&] {
    if (batch) dims.push_back(dim(x.batch, batch_axis(x), batch_axis(like)));
  };
  if (batch_first_) {
    batch_dim();
    time_dim();
  } else {
    time_dim();
    batch_dim();
  }
  const Shape features = x.features();
  for (Dim feature : features.dims()) dims.push_back(feature);
  result->set_type(ValueType::tensor(x.element(), Shape(std::move(dims))));
  return {result, time, batch};
}

Tensored Algebra::concat(std::vector<Tensored> parts, Range range) {
  // A scalar is a vector of one.
  for (Tensored& part : parts) {
    if (part.rank() == 0) part.value = unsqueezed(part.value, {-1});
  }
  Tensored like = parts[0];
  for (const Tensored& part : parts) {
    if (part.rank() != parts[0].rank()) misfit(parts[0], part, "the concatenation", range);
    require_same_type(parts[0], part, "the concatenation", range);
    for (size_t i = 0; i + 1 < part.rank(); ++i) {
      if (provably_different(part.features()[i], parts[0].features()[i])) {
        misfit(parts[0], part, "the concatenation", range);
      }
    }
    if (part.carried() > like.carried()) like = part;
  }
  std::vector<Value*> values;
  for (const Tensored& part : parts) {
    if (part.time && !like.time) like = part;
    require_same_time(part, like, "the concatenation", range);
    values.push_back(expanded(part, like).value);
  }
  if (values.size() == 1) return parts[0];
  return {builder_.create(Op::concat, values, {{AttributeName::axis, int64_t{-1}}})->result(),
          like.time, like.batch};
}

int64_t Algebra::reduced_axis(const Tensored& x, bool over_time, const char* what, Range range) {
  if (over_time) {
    if (!x.time) fail(range, std::string(what) + " over time of a value without a time axis");
    return time_axis(x);
  }
  if (x.rank() == 0) {
    fail(range, std::string(what) + " over the features of a scalar",
         x.time ? "write `over = time` for its steps" : "");
  }
  return static_cast<int64_t>(x.value->type().shape.rank()) - 1;
}

Tensored Algebra::slice(const Tensored& x, bool over_time, int64_t begin, int64_t end,
                        Range range) {
  const int64_t axis = reduced_axis(x, over_time, "a slice", range);
  const Dim extent = x.value->type().shape[static_cast<size_t>(axis)];
  if (extent.is_constant()) {
    const int64_t n = extent.extent();
    const auto inside = [&](int64_t at) { return at >= -n && at <= n; };
    if (!inside(begin) || (end != kEnd && !inside(end))) {
      fail(range, "a slice beyond the extent: " + std::to_string(begin) + ":" +
                      (end == kEnd ? "" : std::to_string(end)) + " of " + std::to_string(n));
    }
  }
  return {builder_.slice(x.value, axis, begin, end), x.time, x.batch};
}

Tensored Algebra::index(const Tensored& x, bool over_time, int64_t at, Range range) {
  const int64_t axis = reduced_axis(x, over_time, "an index", range);
  const Dim extent = x.value->type().shape[static_cast<size_t>(axis)];
  if (extent.is_constant() && (at < -extent.extent() || at >= extent.extent())) {
    fail(range, "an index beyond the extent: " + std::to_string(at) + " of " + to_string(extent));
  }
  Value* const part = builder_.slice(x.value, axis, at, at == -1 ? kEnd : at + 1);
  // A slice beyond a sequence's end is empty; squeezing it is then an error.
  return {builder_.squeeze(part, {axis}), x.time && !over_time, x.batch};
}

Tensored Algebra::reversed(const Tensored& x, Range range) {
  const int64_t axis = reduced_axis(x, true, "the reverse", range);
  return {builder_.op(Op::slice, {x.value, builder_.ints({-1}), builder_.ints({-kEnd}),
                                  builder_.ints({axis}), builder_.ints({-1})}),
          x.time, x.batch};
}

Tensored Algebra::join(const std::vector<Tensored>& parts, Range range) {
  Tensored like = parts[0];
  for (const Tensored& part : parts) {
    if (part.rank() != like.rank() || !broadcastable(part.features(), like.features()))
      misfit(parts[0], part, "the sequence", range);
    for (size_t i = 0; i < part.rank(); ++i) {
      if (provably_different(part.features()[i], parts[0].features()[i]))
        misfit(parts[0], part, "the sequence", range);
    }
    require_same_type(parts[0], part, "the sequence", range);
    if (part.batch && !like.batch) like = part;
  }
  std::vector<Value*> values;
  for (const Tensored& part : parts) {
    const Tensored whole = part.batch == like.batch
                               ? part
                               : expanded(part, {like.time ? index(like, true, 0, range) : like});
    values.push_back(whole.time ? whole.value
                                : unsqueezed(whole.value, {whole.batch && batch_first_ ? 1 : 0}));
  }
  const Tensored result{nullptr, true, like.batch};
  const int64_t axis = time_axis(result);
  return {builder_.create(Op::concat, values, {{AttributeName::axis, axis}})->result(), true,
          like.batch};
}

Tensored Algebra::indices(const Tensored& x, Range range) {
  const int64_t axis = reduced_axis(x, true, "the indices", range);
  const Dim time = x.value->type().shape[static_cast<size_t>(axis)];
  Value* count = nullptr;
  if (time.is_constant()) {
    count = builder_.scalar<int64_t>(time.extent());
  } else {
    count = builder_.squeeze(
        builder_.op(Op::shape, {x.value},
                    {{AttributeName::start, axis}, {AttributeName::end, axis + 1}}),
        {0});
  }
  Value* const result =
      builder_.op(Op::range, {builder_.scalar<int64_t>(0), count, builder_.scalar<int64_t>(1)});
  result->set_type(ValueType::tensor(ElementType::i64, {time}));
  return {result, true, false};
}

Tensored Algebra::reduce(Op op, const Tensored& x, bool over_time, Range range) {
  const int64_t axis = reduced_axis(x, over_time, "a reduction", range);
  if (op == Op::reduce_mean && !is_float(x.element())) {
    fail(range, "the mean of whole numbers or truth values", kRealHasFractions);
  }
  require_numbers(x, "a reduction", range);
  return {builder_.op(op, {x.value, builder_.ints({axis})}, {{AttributeName::keep_dims, false}}),
          x.time && !over_time, x.batch};
}

Tensored Algebra::arg_max(const Tensored& x, bool over_time, Range range) {
  const int64_t axis = reduced_axis(x, over_time, "argmax", range);
  return {builder_.op(Op::arg_max, {x.value},
                      {{AttributeName::axis, axis}, {AttributeName::keep_dims, false}}),
          x.time && !over_time, x.batch};
}

Tensored Algebra::softmax(Op op, const Tensored& x, bool over_time, Range range) {
  const int64_t axis = reduced_axis(x, over_time, "softmax", range);
  return {builder_.op(op, {x.value}, {{AttributeName::axis, axis}}), x.time, x.batch};
}

Tensored Algebra::outer(const Tensored& a, const Tensored& b, Range range) {
  if (a.rank() != 1 || b.rank() != 1) {
    fail(range, "outer of " + describe_features(a) + " and " + describe_features(b),
         "expected two vectors");
  }
  const Tensored column{unsqueezed(a.value, {-1}), a.time, a.batch};
  const Tensored row{unsqueezed(b.value, {-2}), b.time, b.batch};
  return elementwise(Op::mul, column, row, "outer", range);
}

Tensored Algebra::transpose(const Tensored& x, Range range) {
  if (x.rank() != 2) {
    fail(range, "the transpose of " + describe_features(x), "expected a matrix");
  }
  std::vector<int64_t> perm;
  for (size_t i = 0; i < x.carried() + 2; ++i) perm.push_back(static_cast<int64_t>(i));
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return {builder_.transpose(x.value, std::move(perm)), x.time, x.batch};
}

Tensored Algebra::attention(const Tensored& query, const Tensored& keys, const Tensored& values,
                            Range range) {
  if (!keys.time || !values.time) {
    fail(range, "attention to values without a time axis",
         "expected keys and values with one step for each thing to attend to");
  }
  if (query.rank() != 1 || keys.rank() != 1 || values.rank() != 1 ||
      provably_different(query.features()[0], keys.features()[0])) {
    fail(range, "shapes do not fit in attention: query " + describe_features(query) + ", keys " +
                    describe_features(keys) + ", values " + describe_features(values));
  }
  require_same_time(keys, values, "attention", range);
  const Dim size = query.features()[0];
  if (!size.is_constant()) fail(range, "attention to vectors of unknown size");
  const bool batch = query.batch || keys.batch || values.batch;
  // [batch, steps, features] of each.
  const auto matrix = [&](const Tensored& x) {
    Value* value = x.time ? x.value : unsqueezed(x.value, {-2});
    if (x.time && x.batch && !batch_first_) value = builder_.transpose(value, {1, 0, 2});
    return value;
  };
  Value* const k = matrix(keys);
  const bool sequences = k->type().shape.rank() == 3;
  const std::vector<int64_t> perm =
      sequences ? std::vector<int64_t>{0, 2, 1} : std::vector<int64_t>{1, 0};
  Value* scores = builder_.op(Op::matmul, {matrix(query), builder_.transpose(k, perm)});
  scores = builder_.op(
      Op::mul, {scores, builder_.scalar(query.element(),
                                        1 / std::sqrt(static_cast<double>(size.extent())))});
  scores = builder_.op(Op::softmax, {scores}, {{AttributeName::axis, int64_t{-1}}});
  Value* result = builder_.op(Op::matmul, {scores, matrix(values)});
  if (!query.time) return {builder_.squeeze(result, {-2}), false, batch};
  if (batch && !batch_first_) result = builder_.transpose(result, {1, 0, 2});
  return {result, true, batch};
}

Value* Algebra::to_channels(const Tensored& x, Range range) {
  if (!x.time || x.rank() > 1) {
    fail(range, "expected a sequence of vectors or scalars", x.time ? "" : "it has no time axis");
  }
  Value* value = x.rank() == 0 ? unsqueezed(x.value, {-1}) : x.value;
  if (!x.batch) value = unsqueezed(value, {batch_first_ ? 0 : 1});
  // From [time, batch, features] or [batch, time, features].
  return builder_.transpose(
      value, batch_first_ ? std::vector<int64_t>{0, 2, 1} : std::vector<int64_t>{1, 2, 0});
}

Tensored Algebra::from_channels(Value* channels, const Tensored& like, bool keep_scalar) {
  Value* value = builder_.transpose(
      channels, batch_first_ ? std::vector<int64_t>{0, 2, 1} : std::vector<int64_t>{2, 0, 1});
  if (!like.batch) value = builder_.squeeze(value, {batch_first_ ? 0 : 1});
  if (keep_scalar && like.rank() == 0) value = builder_.squeeze(value, {-1});
  return {value, true, like.batch};
}

}  // namespace refrain::equations
