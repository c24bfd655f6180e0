// Internal to frontend/decompile: tensors as expressions of the features of one step of one
// sequence.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "frontend/decompile/expression.h"
#include "ir/graph.h"

namespace refrain::decompile {

// What an axis of a tensor is in the language, which carries time and batch along by itself. A
// `part` is an axis that it lacks: its elements are several expressions.
struct Axis {
  enum class Kind : uint8_t { time, batch, part, feature };
  Kind kind = Kind::feature;
  int64_t extent = 0;  // of parts and features
};

struct Symbolic {
  std::vector<Axis> axes;   // at most one of time; of features at most two, of a matrix the last
  std::vector<Expr> parts;  // in the order of the part axes, the last fastest
  TensorPtr constant;       // instead of both: its axes are what those of its partner are

  std::optional<size_t> feature_axis() const;  // the last
  bool matrix() const;
  // Whether it has all its parts: values with very many of them have only some.
  bool whole() const;
};

std::vector<int64_t> part_extents(const std::vector<Axis>& axes);

// Most expressions that one value may be.
inline constexpr int64_t kMostParts = 64;
// Number of parts, at most kMostParts + 1.
int64_t count_of(const std::vector<int64_t>& extents);

// Calls f with the index of each part, one number a part axis, in order.
template <typename F>
void for_each_part(const std::vector<int64_t>& extents, F&& f) {
  std::vector<int64_t> index(extents.size());
  for (int64_t n = 0; n < count_of(extents); ++n) {
    int64_t rest = n;
    for (size_t i = extents.size(); i-- > 0;) {
      index[i] = rest % extents[i];
      rest /= extents[i];
    }
    f(index);
  }
}

// Where the part of an index lies; along an axis of extent 1 every index is 0.
size_t offset_of(const std::vector<int64_t>& index, const std::vector<int64_t>& extents);

// Evaluates nodes one after the other.
class Evaluation {
 public:
  explicit Evaluation(Parts& parts) : parts_(parts) {}

  void set(const Value* value, Symbolic symbolic) { values_[value] = std::move(symbolic); }
  const Symbolic& at(const Value* value) const { return values_.at(value); }
  bool known(const Value* value) const { return values_.contains(value); }

  // Results that are one number (node_kinds.h: uniform), or extents, which are never looked at.
  void set_uniform(const Node& node);
  // A node without regions. False, and nothing is set, if the language has no words for it.
  bool evaluate(const Node& node);

  // A value as expressions over given axes; none if it does not fit them.
  std::optional<std::vector<Expr>> over(const Symbolic& value, const std::vector<Axis>& axes);

 private:
  std::optional<Symbolic> elementwise(const Node& node);
  std::optional<Symbolic> matmul(const Node& node);
  std::optional<Symbolic> product(const Symbolic& x, const Symbolic& y);
  std::optional<Symbolic> with_column(const std::string& function, const Symbolic& x,
                                      const Symbolic& y);
  std::optional<Symbolic> combine(const std::string& function,
                                  const std::vector<const Symbolic*>& operands,
                                  const std::vector<Expr>& parameters);
  std::optional<Symbolic> einsum(const Node& node);
  std::optional<Symbolic> slice(const Node& node);
  std::optional<Symbolic> convolution(const Node& node);
  std::optional<Symbolic> single_step(const Node& node);
  std::optional<Symbolic> pool(const Node& node);
  std::optional<Symbolic> pad(const Node& node);
  std::optional<Symbolic> arg_max(const Node& node);
  std::optional<Symbolic> gather(const Node& node);
  std::optional<Symbolic> reduce(const Node& node);
  std::optional<Symbolic> concat(const Node& node);
  bool align(std::vector<Symbolic>& pieces, const Symbolic& like, size_t place);
  std::optional<Symbolic> expand(const Node& node);
  std::optional<Symbolic> sequence(const Node& node, size_t place);
  std::optional<Symbolic> reshape(const Node& node);
  std::optional<Symbolic> transpose(const Node& node);
  std::optional<Symbolic> unsqueeze(const Node& node);
  std::optional<Symbolic> squeeze(const Node& node);
  std::optional<Symbolic> cut(const Symbolic& x, size_t axis, int64_t begin, int64_t end);
  bool split(const Node& node);

  Parts& parts_;
  std::unordered_map<const Value*, Symbolic> values_;
};

// A value with one part along its last axis and no features, which may as well be one feature: as
// that.
Symbolic with_features(Symbolic symbolic);

// The integers that a value is, if it is constant.
std::optional<std::vector<int64_t>> constant_ints(const Value* value);

// Axes of a value of which nothing else is known: the last of floats, if its extent is a constant,
// is features, symbols are the batch if they are called so, otherwise time; other constants parts.
std::vector<Axis> default_axes(const ValueType& type);

// The same for a state or a slice: what is before its features is the batch. One of three axes
// whose first is `batch`, if that is known, is a matrix.
std::vector<Axis> slice_axes(const ValueType& type, const Dim& batch = Dim::unknown());

// Expressions of new variables of a value's name: one, or NAME_0, NAME_1 if it has parts.
std::vector<Expr> variables(const std::string& name, const std::vector<Axis>& axes);

}  // namespace refrain::decompile
