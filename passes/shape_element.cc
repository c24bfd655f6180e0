#include "passes/shape_element.h"

#include <algorithm>
#include <optional>

namespace refrain::passes {

bool provably_equal(const Element& a, const Element& b) {
  return a == b && a.kind != Element::Kind::unknown;
}

Element arithmetic(Op op, const Element& a, const Element& b) {
  if (a.is_number() && b.is_number()) {
    int64_t result = 0;
    switch (op) {
      case Op::add:
        return __builtin_add_overflow(a.number, b.number, &result) ? Element{}
                                                                   : Element::of_number(result);
      case Op::sub:
        return __builtin_sub_overflow(a.number, b.number, &result) ? Element{}
                                                                   : Element::of_number(result);
      case Op::mul:
        return __builtin_mul_overflow(a.number, b.number, &result) ? Element{}
                                                                   : Element::of_number(result);
      // Of extents only: nobody need know here which way a negative quotient rounds.
      case Op::div:
        return a.number >= 0 && b.number > 0 ? Element::of_number(a.number / b.number) : Element{};
      case Op::mod:
        return a.number >= 0 && b.number > 0 ? Element::of_number(a.number % b.number) : Element{};
      case Op::min:
        return Element::of_number(std::min(a.number, b.number));
      case Op::max:
        return Element::of_number(std::max(a.number, b.number));
      default:
        return {};
    }
  }
  switch (op) {
    case Op::add:
      return a.is(0) ? b : b.is(0) ? a : Element{};
    case Op::sub:
      return b.is(0) ? a : provably_equal(a, b) ? Element::of_number(0) : Element{};
    case Op::mul:
      if (a.is(0) || b.is(0)) return Element::of_number(0);
      return a.is(1) ? b : b.is(1) ? a : Element{};
    case Op::div:
      return b.is(1) ? a : Element{};
    case Op::min:
    case Op::max:
      if (provably_equal(a, b)) return a;
      // An extent is never below what is negative or 0.
      if (a.is_extent() && b.is_number() && b.number <= 0) return op == Op::max ? a : b;
      if (b.is_extent() && a.is_number() && a.number <= 0) return op == Op::max ? b : a;
      return {};
    default:
      return {};
  }
}

Element comparison(Op op, const Element& a, const Element& b) {
  // -1: a < b, 0: equal, 1: a > b
  std::optional<int> order;
  if (a.is_number() && b.is_number()) {
    order = a.number < b.number ? -1 : a.number > b.number;
  } else if (provably_equal(a, b)) {
    order = 0;
  } else if (a.is_extent() && b.is_number() && b.number < 0) {
    order = 1;
  } else if (b.is_extent() && a.is_number() && a.number < 0) {
    order = -1;
  }
  if (!order) return {};
  switch (op) {
    case Op::equal:
      return Element::of_number(*order == 0);
    case Op::less:
      return Element::of_number(*order < 0);
    case Op::less_equal:
      return Element::of_number(*order <= 0);
    case Op::greater:
      return Element::of_number(*order > 0);
    default:
      return Element::of_number(*order >= 0);
  }
}

Element logic(Op op, const Element& a, const Element& b) {
  const int64_t decides = op == Op::logical_or;  // the result, whatever the other operand is
  if (a.is(decides) || b.is(decides)) return Element::of_number(decides);
  return a.is_number() && b.is_number() ? Element::of_number(!decides) : Element{};
}

bool followed(ElementType type) {
  return type == ElementType::i64 || type == ElementType::i32 || type == ElementType::boolean;
}

Tensor tensor_of(const ValueType& type, const Elements& elements) {
  Tensor tensor(type.element, type.shape.extents());
  const auto fill = [&]<typename T>(std::type_identity<T>) {
    for (size_t i = 0; i < elements.size(); ++i)
      tensor.data<T>()[i] = static_cast<T>(elements[i].number);
  };
  switch (type.element) {
    case ElementType::boolean:
      fill(std::type_identity<bool>{});
      break;
    case ElementType::i32:
      fill(std::type_identity<int32_t>{});
      break;
    default:
      fill(std::type_identity<int64_t>{});
  }
  return tensor;
}

}  // namespace refrain::passes
