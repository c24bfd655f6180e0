#include <algorithm>
#include <limits>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ir/builder.h"
#include "ir/control.h"
#include "ir/slice.h"
#include "passes/assume_states.h"
#include "passes/passes.h"
#include "passes/refine.h"
#include "passes/shape_element.h"
#include "passes/slots.h"

namespace refrain::passes {
namespace {

// Most elements of a value that is followed element by element: shapes, pads, bounds of slices.
constexpr int64_t kMaxElements = 64;

class ShapeSimplifier {
 public:
  explicit ShapeSimplifier(const Graph& graph)
      : trials_left_(4 * static_cast<int64_t>(count_nodes(graph.body()))) {
    for (size_t i = 0; i < graph.input_count(); ++i) {
      for (Dim dim : graph.input(i)->type().shape.dims()) {
        if (dim.is_symbol()) bound_.insert(&dim.name());
      }
    }
  }

  bool simplify(Region& region) {
    bool changed = false;
    for (Node* node = region.first(); node;) {
      Node* next = node->next();
      if (node->op() == Op::yield) break;
      if (node->op() == Op::branch) {
        if (Node* first = take_branch(node)) {
          changed = true;
          node = first;
          continue;
        }
      }
      changed |= internal::refine_types(*node);
      changed |= simplify_regions(*node);
      if (Node* settled = assume_states(node)) {
        node = settled;
        next = node->next();
        changed = true;
      }
      if (node->op() == Op::reshape) changed |= simplify_target(*node);
      if (node->op() == Op::slice) changed |= simplify_ends(*node);
      if (node->region_count() == 0 && node->result_count() == 1) changed |= materialize(node);
      node = next;
    }
    return changed;
  }

 private:
  bool simplify_regions(Node& node) {
    bool changed = false;
    for (size_t i = 0; i < node.region_count(); ++i) {
      changed |= seed_arguments(node, node.region(i));
      while (simplify(node.region(i))) {
        internal::refine_types(node);
        changed = true;
      }
    }
    return changed;
  }

  // What may be tried in all is bounded: loops in loops multiply it.
  Node* assume_states(Node* node) {
    if (!internal::has_open_states(*node)) return nullptr;
    trials_left_ -= static_cast<int64_t>(count_nodes(node->region()));
    if (trials_left_ < 0) return nullptr;
    return internal::assume_states(
        node, [this](Node& copy) { simplify_regions(copy); },
        [this](const Value* value) { known_.erase(value); });
  }

  // Exporters branch on ranks and extents, and each such branch decides the shapes that the next
  // one asks about; taking them as they become known settles them all in one go.
  Node* take_branch(Node* node) {
    if (!constant_tensor(node->operand(0))) return nullptr;
    for (size_t i = 0; i < node->region_count(); ++i) {
      // Some of these values go, and what is known of the others refers to arguments that go.
      internal::for_each_value(node->region(i), [&](const Value* value) { known_.erase(value); });
    }
    return internal::take_branch(node);
  }

  // What is known of operands is known of the arguments that stand for them. Where it can be
  // computed inside, the argument is left to dce.
  bool seed_arguments(const Node& node, Region& region) {
    size_t first = 0, count = region.argument_count(), first_operand = 1;
    if (node.op() == Op::scan) {
      const ScanView scan(node);
      count = scan.invariants(), first_operand = scan.invariant_operand(0);
    } else if (node.op() == Op::loop) {
      const LoopView loop(node);
      first = 1, count = loop.invariants(), first_operand = loop.invariant_operand(0);
    }
    bool changed = false;
    Builder builder(region, region.first());
    for (size_t i = 0; i < count; ++i) {
      Value* argument = region.argument(first + i);
      const auto it = known_.find(node.operand(first_operand + i));
      if (it == known_.end() || argument->unused()) continue;
      Elements elements = it->second;
      for (Element& element : elements) {
        if (element.kind == Element::Kind::extent) element = {};  // of a value of another region
      }
      if (Value* value = build(builder, argument->type(), elements)) {
        changed |= internal::replace_value(argument, value);
      }
      known_[argument] = std::move(elements);
    }
    return changed;
  }

  const Elements* known(const Value* value) {
    if (!value) return nullptr;
    if (const auto it = known_.find(value); it != known_.end()) return &it->second;
    const TensorPtr tensor = constant_tensor(value);
    if (!tensor || !followed(tensor->type()) || tensor->rank() > 1 || tensor->size() > kMaxElements)
      return nullptr;
    Elements elements;
    for (int64_t number : tensor->view().as_ints()) elements.push_back(Element::of_number(number));
    return &(known_[value] = std::move(elements));
  }

  std::optional<std::vector<int64_t>> numbers(const Value* value) {
    const Elements* elements = known(value);
    if (!elements) return std::nullopt;
    std::vector<int64_t> result;
    for (const Element& element : *elements) {
      if (!element.is_number()) return std::nullopt;
      result.push_back(element.number);
    }
    return result;
  }

  // The extent of an axis, by the same name for all tensors that provably have the same shape.
  static Element extent_of(const Value* x, size_t axis) {
    const Dim dim = x->type().shape[axis];
    if (!dim.is_unknown()) return Element::of_dim(dim);
    // The only operand of an element-wise op has its result's shape. A longer chain than this ends
    // up with several names for one extent, which costs a simplification and nothing else.
    for (int i = 0; i < 32 && x->node(); ++i) {
      const Node& node = *x->node();
      if (!is_elementwise(node.op()) || node.operand_count() != 1) break;
      x = node.operand(0);
    }
    return {Element::Kind::extent, static_cast<int64_t>(axis), {}, x};
  }

  // The elements of a node's only result, if some of them may be known.
  std::optional<Elements> evaluate(const Node& node) {
    const ValueType& type = node.result()->type();
    if (!type.is_tensor() || !followed(type.element) || !type.shape.is_static() ||
        type.shape.rank() > 1) {
      return std::nullopt;
    }
    const size_t count =
        type.shape.rank() == 0
            ? 1
            : static_cast<size_t>(std::min(type.shape[0].extent(), kMaxElements + 1));
    if (count > kMaxElements) return std::nullopt;
    std::optional<Elements> result = evaluate(node, count);
    if (result && result->size() != count) return std::nullopt;
    return result;
  }

  std::optional<Elements> evaluate(const Node& node, size_t count) {
    const auto operand = [&](size_t i) { return known(node.operand(i)); };
    Elements result;
    switch (node.op()) {
      case Op::dims:
        for (Dim dim : node.attribute<std::vector<Dim>>(AttributeName::dims))
          result.push_back(Element::of_dim(dim));
        return result;
      case Op::shape: {
        const Value* x = node.operand(0);
        if (!x->type().shape.ranked()) return std::nullopt;
        const auto rank = static_cast<int64_t>(x->type().shape.rank());
        int64_t begin = node.integer(AttributeName::start);
        begin = std::clamp<int64_t>(begin < 0 ? begin + rank : begin, 0, rank);
        for (size_t i = 0; i < count; ++i)
          result.push_back(extent_of(x, static_cast<size_t>(begin) + i));
        return result;
      }
      case Op::cast: {
        const Elements* x = operand(0);
        const ElementType to = node.result()->type().element;
        if (!x || to == ElementType::boolean) return std::nullopt;
        for (const Element& element : *x) {
          const bool narrows = to == ElementType::i32 && element.is_number() &&
                               element.number != static_cast<int32_t>(element.number);
          result.push_back(narrows ? Element{} : element);
        }
        return result;
      }
      case Op::reshape:
      case Op::squeeze:
      case Op::unsqueeze: {
        const Elements* x = operand(0);
        return x ? std::optional(*x) : std::nullopt;
      }
      case Op::gather:
        return gather(node);
      case Op::slice:
        return slice(node);
      case Op::concat:
        for (const Value* part : node.operands()) {
          const ValueType& type = part->type();
          if (const Elements* elements = known(part)) {
            result.insert(result.end(), elements->begin(), elements->end());
          } else if (type.shape.is_static() && type.shape.rank() == 1 &&
                     type.shape[0].extent() <= kMaxElements) {
            result.resize(result.size() + static_cast<size_t>(type.shape[0].extent()));
          } else {
            return std::nullopt;
          }
        }
        return result;
      case Op::expand:
      case Op::tile: {
        const Elements* x = operand(0);
        if (!x || x->size() != 1) return std::nullopt;
        return Elements(count, x->front());
      }
      case Op::reduce_prod: {
        const Elements* x = operand(0);
        if (!x || count != 1 || node.result()->type().element != ElementType::i64)
          return std::nullopt;
        Element product = Element::of_number(1);
        for (const Element& element : *x) product = arithmetic(Op::mul, product, element);
        return Elements{product};
      }
      case Op::add:
      case Op::sub:
      case Op::mul:
      case Op::div:
      case Op::mod:
      case Op::min:
      case Op::max:
        if (node.result()->type().element != ElementType::i64)
          return std::nullopt;  // others wrap around
        return binary(node, count, arithmetic);
      case Op::equal:
      case Op::less:
      case Op::less_equal:
      case Op::greater:
      case Op::greater_equal:
        return binary(node, count, comparison);
      case Op::logical_and:
      case Op::logical_or:
        return binary(node, count, logic);
      case Op::logical_not: {
        const Elements* x = operand(0);
        if (!x) return std::nullopt;
        for (const Element& element : *x) {
          result.push_back(element.is_number() ? Element::of_number(element.number == 0)
                                               : Element{});
        }
        return result;
      }
      case Op::where: {
        const Elements *condition = operand(0), *x = operand(1), *y = operand(2);
        if (!condition || !x || !y) return std::nullopt;
        for (size_t i = 0; i < count; ++i) {
          const Element &c = at(*condition, i), &a = at(*x, i), &b = at(*y, i);
          result.push_back(provably_equal(a, b) ? a
                           : !c.is_number()     ? Element{}
                           : c.number != 0      ? a
                                                : b);
        }
        return result;
      }
      default:
        return std::nullopt;
    }
  }

  // Element i, or the only one, broadcast.
  static const Element& at(const Elements& elements, size_t i) {
    static const Element kUnknown;
    if (elements.size() == 1) return elements[0];
    return i < elements.size() ? elements[i] : kUnknown;
  }

  std::optional<Elements> binary(const Node& node, size_t count,
                                 Element (*f)(Op, const Element&, const Element&)) {
    const Elements* x = known(node.operand(0));
    if (!x) return std::nullopt;
    const Elements* y = known(node.operand(1));
    if (!y) return std::nullopt;
    Elements result;
    for (size_t i = 0; i < count; ++i) result.push_back(f(node.op(), at(*x, i), at(*y, i)));
    return result;
  }

  std::optional<Elements> gather(const Node& node) {
    const auto indices = numbers(node.operand(1));
    const Elements* x = known(node.operand(0));
    if (!indices || !x || node.operand(0)->type().shape.rank() != 1) return std::nullopt;
    const auto size = static_cast<int64_t>(x->size());
    Elements result;
    for (int64_t index : *indices) {
      if (index < -size || index >= size) return std::nullopt;
      result.push_back((*x)[static_cast<size_t>(index < 0 ? index + size : index)]);
    }
    return result;
  }

  std::optional<Elements> slice(const Node& node) {
    const auto begin = numbers(node.operand(1)), end = numbers(node.operand(2));
    const auto step = node.operand(4) ? numbers(node.operand(4)) : std::vector<int64_t>{1};
    const Elements* x = known(node.operand(0));
    if (!begin || !end || !step || !x || begin->size() != 1 || end->size() != 1 ||
        step->size() != 1)
      return std::nullopt;
    if ((*step)[0] == 0 || node.operand(0)->type().shape.rank() != 1) return std::nullopt;
    const SliceBounds bounds =
        clamp_slice(static_cast<int64_t>(x->size()), (*begin)[0], (*end)[0], (*step)[0]);
    Elements result;
    for (int64_t i = 0; i < bounds.count; ++i)
      result.push_back((*x)[static_cast<size_t>(bounds.begin + i * bounds.step)]);
    return result;
  }

  // As `dims` would hold them: constants, and symbols that an input binds.
  std::optional<std::vector<Dim>> bindable(const Elements& elements) const {
    std::vector<Dim> dims;
    for (const Element& element : elements) {
      if (element.is_number() && element.number >= 0) {
        dims.push_back(element.number);
      } else if (element.kind == Element::Kind::symbol && bound_.contains(&element.symbol.name())) {
        dims.push_back(element.symbol);
      } else {
        return std::nullopt;
      }
    }
    return dims;
  }

  // A constant or `dims` of these elements; null if they are not known well enough.
  Value* build(Builder& builder, const ValueType& type, const Elements& elements) {
    Value* value = nullptr;
    if (!type.shape.is_static()) return nullptr;
    if (std::all_of(elements.begin(), elements.end(),
                    [](const Element& e) { return e.is_number(); })) {
      value = builder.constant(tensor_of(type, elements));
    } else if (const auto dims = bindable(elements); dims && type.element == ElementType::i64) {
      value = builder.op(
          Op::dims, {},
          {{AttributeName::dims, *dims}, {AttributeName::keep_dims, type.shape.rank() == 1}});
    } else {
      return nullptr;
    }
    known_[value] = elements;
    return value;
  }

  // Replaces a node whose elements are all known.
  bool materialize(Node* node) {
    if (node->op() == Op::constant || node->unused()) return false;
    const std::optional<Elements> elements = evaluate(*node);
    if (!elements) return false;
    known_[node->result()] = *elements;
    if (node->op() == Op::dims && !std::all_of(elements->begin(), elements->end(),
                                               [](const Element& e) { return e.is_number(); })) {
      return false;
    }
    Builder builder(*node->parent(), node);
    builder.set_node_name(node->name());
    Value* value = build(builder, node->result()->type(), *elements);
    if (!value) return false;
    if (!internal::replace_value(node->result(), value)) {
      known_.erase(value);
      node->parent()->erase(value->node());
      return false;
    }
    known_.erase(node->result());
    node->parent()->erase(node);
    return true;
  }

  // A reshape to extents of which some are not known: those that the operand has at the same place
  // are copied (0), and one may be left to the number of elements (-1), which gives a constant
  // again.
  bool simplify_target(Node& node) {
    const Value* target = node.operand(1);
    const Shape& from = node.operand(0)->type().shape;
    if (constant_tensor(target) || !from.ranked() || target->type().shape.rank() != 1) return false;
    const Elements* elements = known(target);
    if (!elements || bindable(*elements)) return false;
    std::vector<int64_t> extents;
    bool inferred = false, zero = false;
    for (size_t i = 0; i < elements->size(); ++i) {
      const Element& element = (*elements)[i];
      if (element.is_number()) {
        extents.push_back(element.number);
        if (element.number < -1 || (element.number == -1 && std::exchange(inferred, true)))
          return false;
        zero |= element.number == 0;
      } else {
        const bool copied = !node.flag(AttributeName::allow_zero) && i < from.rank() &&
                            provably_equal(extent_of(node.operand(0), i), element);
        extents.push_back(copied ? 0 : -1);
        if (!copied && std::exchange(inferred, true)) return false;
      }
    }
    if (zero && node.flag(AttributeName::allow_zero) && inferred) return false;
    Builder builder(*node.parent(), &node);
    node.set_operand(1, builder.ints(extents));
    internal::refine_types(node);
    return true;
  }

  // A slice that ends where its axis ends says so by the largest end, for any extent.
  bool simplify_ends(Node& node) {
    const Shape& shape = node.operand(0)->type().shape;
    const Elements* ends = known(node.operand(2));
    if (!ends || !shape.ranked() || constant_tensor(node.operand(2))) return false;
    const auto axes =
        node.operand(3) ? numbers(node.operand(3)) : std::optional<std::vector<int64_t>>();
    const auto steps =
        node.operand(4) ? numbers(node.operand(4)) : std::vector<int64_t>(ends->size(), 1);
    if ((node.operand(3) && !axes) || !steps || steps->size() != ends->size()) return false;
    if (axes && axes->size() != ends->size()) return false;
    std::vector<int64_t> constant;
    for (size_t i = 0; i < ends->size(); ++i) {
      const Element& end = (*ends)[i];
      int64_t axis = axes ? (*axes)[i] : static_cast<int64_t>(i);
      if (axis < 0) axis += static_cast<int64_t>(shape.rank());
      if (axis < 0 || axis >= static_cast<int64_t>(shape.rank())) return false;
      if (end.is_number()) {
        constant.push_back(end.number);
      } else if ((*steps)[i] > 0 &&
                 provably_equal(end, extent_of(node.operand(0), static_cast<size_t>(axis)))) {
        constant.push_back(std::numeric_limits<int64_t>::max());
      } else {
        return false;
      }
    }
    Builder builder(*node.parent(), &node);
    node.set_operand(2, builder.ints(constant));
    internal::refine_types(node);
    return true;
  }

  int64_t trials_left_;                           // nodes of bodies that may still be copied
  std::unordered_set<const std::string*> bound_;  // symbols that inputs bind; interned names
  std::unordered_map<const Value*, Elements> known_;
};

}  // namespace

bool simplify_shapes(Graph& graph, const PassContext&) {
  const bool changed = ShapeSimplifier(graph).simplify(graph.body());
  if (changed) internal::refine_types(graph);
  return changed;
}

}  // namespace refrain::passes
