#include "passes/reshaped_axis.h"

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "passes/element.h"

namespace refrain::passes::internal {
namespace {

// A product of extents, as far as it is known.
struct Product {
  int64_t constant = 1;
  std::vector<std::string> symbols;  // sorted
  bool known = true;

  explicit Product(std::span<const Dim> dims) {
    for (const Dim dim : dims) {
      if (dim.is_symbol()) {
        symbols.push_back(dim.name());
      } else if (!dim.is_constant() || __builtin_mul_overflow(constant, dim.extent(), &constant)) {
        known = false;
      }
    }
    std::sort(symbols.begin(), symbols.end());
  }
};

bool same(std::span<const Dim> a, std::span<const Dim> b) {
  const Product x(a), y(b);
  return x.known && y.known && x.constant == y.constant && x.symbols == y.symbols;
}

}  // namespace

std::optional<size_t> reshaped_axis(const Node& reshape, size_t axis) {
  const Shape &from = reshape.operand(0)->type().shape, &to = reshape.result()->type().shape;
  if (!from.ranked() || !to.ranked()) return std::nullopt;
  const auto target = constant_ints(reshape.operand(1));
  const bool zero_copies = !reshape.flag(AttributeName::allow_zero);
  const auto copied = [&](size_t i) {
    return target && zero_copies && i < target->size() && (*target)[i] == 0;
  };
  const std::span<const Dim> a(from.dims()), b(to.dims());
  for (size_t place = b.size(); place-- > 0;) {
    // What both have in front is the same without being known.
    size_t front = 0;
    while (front < axis && front < place && (copied(front) || provably_equal(a[front], b[front])))
      ++front;
    const bool before = same(a.subspan(front, axis - front), b.subspan(front, place - front));
    size_t back = 0;
    while (back < a.size() - axis - 1 && back < b.size() - place - 1 &&
           provably_equal(a[a.size() - 1 - back], b[b.size() - 1 - back]))
      ++back;
    const bool behind = same(a.subspan(axis + 1, a.size() - axis - 1 - back),
                             b.subspan(place + 1, b.size() - place - 1 - back));
    const bool itself = provably_equal(a[axis], b[place]) || (axis == place && copied(place));
    // The third follows from the other two: there are as many elements as before.
    if (before + behind + itself >= 2) return place;
  }
  return std::nullopt;
}

}  // namespace refrain::passes::internal
