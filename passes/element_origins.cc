#include "passes/element_origins.h"

#include <numeric>
#include <utility>

#include "ir/error.h"
#include "ir/slice.h"
#include "passes/element.h"
#include "passes/stream_initial.h"

namespace refrain::passes::internal {
namespace {

// Most elements that are followed in all.
constexpr int64_t kMaxElements = int64_t{1} << 24;

// Products of extents before and behind an axis.
struct Strides {
  int64_t outer = 1, extent = 0, inner = 1;
  Strides(const std::vector<int64_t>& extents, size_t axis) : extent(extents[axis]) {
    for (size_t i = 0; i < axis; ++i) outer *= extents[i];
    for (size_t i = axis + 1; i < extents.size(); ++i) inner *= extents[i];
  }
};

// A scalar of which it is known that it is 0.
bool is_zero(const Value* value) {
  const auto known = initial_value(value);
  return known && !known->tensor && value->type().shape == Shape{};
}

int64_t next_prime(int64_t n) {
  for (++n;; ++n) {
    bool prime = true;
    for (int64_t d = 2; prime && d * d <= n; ++d) prime = n % d != 0;
    if (prime) return n;
  }
}

}  // namespace

ElementOrigins::ElementOrigins(const Graph& graph) : budget_(kMaxElements) {
  int64_t prime = 1;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    const Shape& shape = graph.input(i)->type().shape;
    for (const Dim dim : shape.dims()) {
      if (!dim.is_symbol() || symbols_.contains(dim.name())) continue;
      prime = next_prime(prime);
      symbols_[dim.name()] = prime;
    }
  }
}

std::optional<std::vector<int64_t>> ElementOrigins::extents_of(const ValueType& type) const {
  if (!type.is_tensor() || !type.shape.ranked()) return std::nullopt;
  std::vector<int64_t> extents;
  for (const Dim dim : type.shape.dims()) {
    if (dim.is_constant()) {
      extents.push_back(dim.extent());
    } else if (dim.is_symbol() && symbols_.contains(dim.name())) {
      extents.push_back(symbols_.at(dim.name()));
    } else {
      return std::nullopt;
    }
  }
  return extents;
}

const ElementOrigins::Elements* ElementOrigins::find(const Value* value) const {
  const auto found = elements_.find(value);
  return found == elements_.end() ? nullptr : &found->second;
}

void ElementOrigins::put(const Value* value, Elements elements) {
  const auto count = static_cast<int64_t>(elements.origins.size());
  if (count > budget_) return;
  budget_ -= count;
  elements_.insert_or_assign(value, std::move(elements));
}

void ElementOrigins::add_source(const Value* value, std::optional<int64_t> count) {
  Elements elements;
  elements.extents = extents_of(value->type());
  if (elements.extents) {
    try {
      count = element_count(*elements.extents);
    } catch (const Error&) {
      return;
    }
  }
  if (!count || *count > budget_) return;
  elements.origins.reserve(static_cast<size_t>(*count));
  for (int64_t i = 0; i < *count; ++i) elements.origins.push_back({value, i});
  put(value, std::move(elements));
}

std::optional<ElementOrigins::Elements> ElementOrigins::picked(
    const Elements& from, size_t axis, const std::vector<int64_t>& coordinates,
    bool keeps_axis) const {
  const Strides strides(*from.extents, axis);
  Elements to;
  to.extents = from.extents;
  if (keeps_axis) {
    (*to.extents)[axis] = static_cast<int64_t>(coordinates.size());
  } else {
    to.extents->erase(to.extents->begin() + static_cast<std::ptrdiff_t>(axis));
  }
  if (strides.outer * strides.inner > budget_ / (1 + static_cast<int64_t>(coordinates.size())))
    return std::nullopt;
  for (int64_t o = 0; o < strides.outer; ++o) {
    for (int64_t at : coordinates) {
      if (at < 0) at += strides.extent;
      if (at < 0 || at >= strides.extent) return std::nullopt;
      const auto begin = from.origins.begin() + ((o * strides.extent + at) * strides.inner);
      to.origins.insert(to.origins.end(), begin, begin + strides.inner);
    }
  }
  return to;
}

std::optional<ElementOrigins::Elements> ElementOrigins::concatenated(const Node& node) const {
  std::vector<const Elements*> parts;
  bool shaped = true;
  size_t total = 0;
  for (const Value* operand : node.operands()) {
    parts.push_back(find(operand));
    if (!parts.back()) return std::nullopt;
    total += parts.back()->origins.size();
    if (total > static_cast<size_t>(budget_)) return std::nullopt;
    shaped = shaped && parts.back()->extents;
  }
  const int64_t given = node.integer(AttributeName::axis);
  Elements to;
  int64_t outer = 1;
  if (shaped && !parts[0]->extents->empty()) {
    to.extents = parts[0]->extents;
    const size_t axis = normalize_axis(given, to.extents->size());
    outer = Strides(*to.extents, axis).outer;
    (*to.extents)[axis] = 0;
    for (const Elements* part : parts) (*to.extents)[axis] += (*part->extents)[axis];
  } else if (given != 0) {
    return std::nullopt;
  }
  for (int64_t o = 0; o < outer; ++o) {
    for (const Elements* part : parts) {
      const auto count = static_cast<int64_t>(part->origins.size()) / outer;
      const auto begin = part->origins.begin() + o * count;
      to.origins.insert(to.origins.end(), begin, begin + count);
    }
  }
  return to;
}

std::optional<ElementOrigins::Elements> ElementOrigins::moved(const Node& node,
                                                              size_t result) const {
  if (node.op() == Op::concat) return concatenated(node);
  if (node.op() == Op::add) {
    for (size_t i = 0; i < 2; ++i) {
      const Elements* from = find(node.operand(i));
      if (from && is_zero(node.operand(1 - i))) return *from;
    }
    return std::nullopt;
  }
  const Elements* from = find(node.operand(0));
  if (!from) return std::nullopt;
  switch (node.op()) {
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze:
      return Elements{extents_of(node.result()->type()), from->origins};
    default:
      break;
  }
  if (!from->extents) return std::nullopt;
  const size_t rank = from->extents->size();
  switch (node.op()) {
    case Op::transpose: {
      const auto& perm = node.integers(AttributeName::perm);
      std::vector<int64_t> strides(rank, 1);
      for (size_t i = rank; i-- > 1;) strides[i - 1] = strides[i] * (*from->extents)[i];
      Elements to{std::vector<int64_t>(rank), {}};
      for (size_t i = 0; i < rank; ++i)
        (*to.extents)[i] = (*from->extents)[normalize_axis(perm[i], rank)];
      std::vector<int64_t> index(rank);
      for (size_t n = 0; n < from->origins.size(); ++n) {
        int64_t at = 0;
        for (size_t i = 0; i < rank; ++i) at += index[i] * strides[normalize_axis(perm[i], rank)];
        to.origins.push_back(from->origins[static_cast<size_t>(at)]);
        for (size_t i = rank; i-- > 0 && ++index[i] == (*to.extents)[i];) index[i] = 0;
      }
      return to;
    }
    case Op::slice: {
      const auto slice = constant_slice(node);
      if (!slice) return std::nullopt;
      const SliceBounds bounds =
          clamp_slice((*from->extents)[slice->axis], slice->begin, slice->end, slice->step);
      std::vector<int64_t> at;
      for (int64_t i = 0; i < bounds.count; ++i) at.push_back(bounds.begin + i * bounds.step);
      return picked(*from, slice->axis, at, true);
    }
    case Op::gather: {
      const auto indices = constant_ints(node.operand(1));
      if (!indices || node.operand(1)->type().shape.rank() > 1) return std::nullopt;
      return picked(*from, normalize_axis(node.integer(AttributeName::axis), rank), *indices,
                    node.operand(1)->type().shape.rank() > 0);
    }
    case Op::split: {
      const size_t axis = normalize_axis(node.integer(AttributeName::axis), rank);
      int64_t begin = 0;
      for (size_t i = 0; i <= result; ++i) {
        const Dim extent = node.result(i)->type().shape.ranked()
                               ? node.result(i)->type().shape[axis]
                               : Dim::unknown();
        if (!extent.is_constant()) return std::nullopt;
        if (i < result) {
          begin += extent.extent();
          continue;
        }
        std::vector<int64_t> at(static_cast<size_t>(extent.extent()));
        std::iota(at.begin(), at.end(), begin);
        return picked(*from, axis, at, true);
      }
      return std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

// What it gives is known if both ways give the same elements in the same order.
void ElementOrigins::follow_branch(const Node& node) {
  for (size_t r = 0; r < 2; ++r) {
    const Region& region = node.region(r);
    for (size_t i = 0; i < region.argument_count(); ++i) {
      if (const Elements* elements = find(node.operand(i + 1))) put(region.argument(i), *elements);
    }
    for (const Node* inner = region.first(); inner; inner = inner->next()) follow(*inner);
  }
  for (size_t i = 0; i < node.result_count(); ++i) {
    const Elements *a = find(node.region(0).result(i)), *b = find(node.region(1).result(i));
    if (!a || !b || a->origins != b->origins) continue;
    Elements both = *a;
    if (a->extents != b->extents) both.extents.reset();
    put(node.result(i), std::move(both));
  }
}

void ElementOrigins::follow(const Node& node) {
  if (node.op() == Op::branch) return follow_branch(node);
  if (node.region_count() > 0) return;
  for (size_t i = 0; i < node.result_count(); ++i) {
    if (auto elements = moved(node, i)) put(node.result(i), std::move(*elements));
  }
}

}  // namespace refrain::passes::internal
