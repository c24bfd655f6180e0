#include "ir/shape.h"

#include <deque>
#include <mutex>
#include <unordered_map>

#include "ir/error.h"
#include "ir/identifier.h"

namespace refrain {
namespace {

class SymbolTable {
 public:
  int64_t intern(std::string_view name) {
    const std::lock_guard lock(mutex_);
    if (const auto it = index_.find(name); it != index_.end()) return it->second;
    names_.emplace_back(name);
    const int64_t index = static_cast<int64_t>(names_.size()) - 1;
    index_.emplace(names_.back(), index);
    return index;
  }

  const std::string& name(int64_t index) {
    const std::lock_guard lock(mutex_);
    return names_[static_cast<size_t>(index)];  // a deque's elements never move
  }

 private:
  std::mutex mutex_;
  std::deque<std::string> names_;
  std::unordered_map<std::string_view, int64_t> index_;
};

SymbolTable& symbols() {
  static SymbolTable table;
  return table;
}

}  // namespace

Dim::Dim(int64_t extent) : code_(extent) {
  if (extent < 0) throw Error("negative dimension", "0 or more", std::to_string(extent));
}

Dim Dim::symbol(std::string_view name) {
  if (name.empty()) throw Error("a dimension's name is empty");
  Dim dim;
  dim.code_ = -2 - symbols().intern(name);
  return dim;
}

const std::string& Dim::name() const { return symbols().name(-2 - code_); }

bool provably_equal(Dim a, Dim b) { return a == b && !a.is_unknown(); }

bool provably_different(Dim a, Dim b) { return a.is_constant() && b.is_constant() && a != b; }

Dim join(Dim a, Dim b) { return a == b ? a : Dim::unknown(); }

Dim meet(Dim a, Dim b) {
  if (provably_different(a, b)) {
    throw Error("dimensions differ", to_string(a), to_string(b));
  }
  if (a.is_constant() || b.is_unknown()) return a;
  return b;
}

Shape Shape::unranked() {
  Shape shape;
  shape.ranked_ = false;
  return shape;
}

Shape Shape::of_extents(std::span<const int64_t> extents) {
  return Shape(std::vector<Dim>(extents.begin(), extents.end()));
}

bool Shape::is_static() const {
  if (!ranked_) return false;
  for (Dim dim : dims_) {
    if (!dim.is_constant()) return false;
  }
  return true;
}

std::vector<int64_t> Shape::extents() const {
  std::vector<int64_t> result;
  result.reserve(dims_.size());
  for (Dim dim : dims_) result.push_back(dim.extent());
  return result;
}

Shape join(const Shape& a, const Shape& b) {
  if (!a.ranked() || !b.ranked() || a.rank() != b.rank()) return Shape::unranked();
  std::vector<Dim> dims(a.rank());
  for (size_t i = 0; i < dims.size(); ++i) dims[i] = join(a[i], b[i]);
  return Shape(std::move(dims));
}

Shape meet(const Shape& a, const Shape& b) {
  if (!a.ranked()) return b;
  if (!b.ranked()) return a;
  if (a.rank() != b.rank()) throw Error("shapes differ in rank", to_string(a), to_string(b));
  std::vector<Dim> dims(a.rank());
  for (size_t i = 0; i < dims.size(); ++i) dims[i] = meet(a[i], b[i]);
  return Shape(std::move(dims));
}

Shape broadcast(const Shape& a, const Shape& b) {
  if (!a.ranked() || !b.ranked()) return Shape::unranked();
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  std::vector<Dim> dims = longer.dims();
  const size_t lead = longer.rank() - shorter.rank();
  for (size_t i = lead; i < dims.size(); ++i) {
    const Dim x = longer[i], y = shorter[i - lead];
    if (y == Dim(1) || provably_equal(x, y)) continue;
    if (x == Dim(1)) {
      dims[i] = y;
    } else if (provably_different(x, y)) {
      throw Error("shapes don't broadcast", "equal extents or 1 at each axis",
                  to_string(a) + " and " + to_string(b));
    } else if (x.is_constant() || y.is_constant()) {
      dims[i] = x.is_constant() ? x : y;  // not 1, so the other one is 1 or equal to it
    } else {
      dims[i] = Dim::unknown();
    }
  }
  return Shape(std::move(dims));
}

size_t normalize_axis(int64_t axis, size_t rank) {
  const auto signed_rank = static_cast<int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) {
    throw Error(
        "axis out of range",
        "an axis in " + std::to_string(-signed_rank) + ".." + std::to_string(signed_rank - 1),
        std::to_string(axis));
  }
  return static_cast<size_t>(axis < 0 ? axis + signed_rank : axis);
}

ValueType join(const ValueType& a, const ValueType& b) {
  if (a.element != b.element || a.kind != b.kind) {
    throw Error("types differ", to_string(a), to_string(b));
  }
  return {a.element, join(a.shape, b.shape), a.kind, a.optional || b.optional};
}

bool refines(const ValueType& a, const ValueType& b) {
  if (a.element != b.element || a.kind != b.kind || (a.optional && !b.optional)) return false;
  if (!b.shape.ranked()) return true;
  if (!a.shape.ranked() || a.shape.rank() != b.shape.rank()) return false;
  for (size_t i = 0; i < a.shape.rank(); ++i) {
    if (!b.shape[i].is_unknown() && a.shape[i] != b.shape[i]) return false;
  }
  return true;
}

std::string to_string(Dim dim) {
  if (dim.is_constant()) return std::to_string(dim.extent());
  if (dim.is_unknown()) return "?";
  return quote_unless_identifier(dim.name());
}

std::string to_string(const Shape& shape) {
  if (!shape.ranked()) return "[*]";
  std::string text = "[";
  for (size_t i = 0; i < shape.rank(); ++i) {
    if (i > 0) text += ", ";
    text += to_string(shape[i]);
  }
  return text + "]";
}

std::string to_string(const ValueType& type) {
  std::string text(name(type.element));
  text += to_string(type.shape);
  if (type.kind == ValueType::Kind::sequence) text = "seq<" + text + ">";
  if (type.optional) text = "opt<" + text + ">";
  return text;
}

}  // namespace refrain
