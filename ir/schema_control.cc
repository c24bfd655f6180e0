#include "ir/control.h"
#include "ir/schema.h"

namespace refrain::internal {
namespace {

void require_refines(const ValueType& found, const ValueType& expected, const char* what,
                     size_t slot) {
  if (!refines(found, expected)) {
    throw Error(std::string(what) + " " + std::to_string(slot) + " does not fit its region's type",
                to_string(expected), to_string(found));
  }
}

void require_arguments(const Region& region, size_t arguments, size_t results) {
  if (region.argument_count() != arguments) {
    fail("wrong number of region arguments", std::to_string(arguments),
         std::to_string(region.argument_count()));
  }
  if (region.result_count() != results) {
    fail("wrong number of region results", std::to_string(results),
         std::to_string(region.result_count()));
  }
}

void require_scalar(const InferenceContext& c, size_t i, ElementType element) {
  const ValueType& type = tensor_operand(c, i);
  if (type.element != element || (type.shape.ranked() && type.shape.rank() != 0)) {
    fail("wrong operand type", std::string(name(element)) + "[]", to_string(type));
  }
}

// A shape without one axis, or with one more.
Shape without_axis(const Shape& shape, int64_t axis) {
  if (!shape.ranked()) return shape;
  std::vector<Dim> dims = shape.dims();
  dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(normalize_axis(axis, dims.size())));
  return Shape(std::move(dims));
}

Shape with_axis(const Shape& shape, int64_t axis, Dim extent) {
  if (!shape.ranked()) return shape;
  std::vector<Dim> dims = shape.dims();
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(normalize_axis(axis, dims.size() + 1)),
              extent);
  return Shape(std::move(dims));
}

// Slot counts come from attributes, so they may be nonsense; checked before a view uses them.
size_t count_attribute(const InferenceContext& c, AttributeName name) {
  const int64_t count = c.node().integer(name);
  if (count < 0 || count > static_cast<int64_t>(c.operand_count())) {
    throw Error("wrong number in attribute " + std::string(refrain::name(name)),
                "at most the number of operands", std::to_string(count));
  }
  return static_cast<size_t>(count);
}

void require_parallel(const InferenceContext& c, AttributeName axes, AttributeName reverse) {
  if (c.node().integers(axes).size() != c.node().integers(reverse).size()) {
    fail("attributes differ in length", std::string(name(axes)), std::string(name(reverse)));
  }
}

void check_one_direction(const ScanView& scan) {
  std::optional<bool> reverse;
  const auto check = [&](ScanSlot slot) {
    if (reverse && *reverse != slot.reverse) {
      fail("a scan with lengths runs in one direction", "all slots forward or all backward",
           "both");
    }
    reverse = slot.reverse;
  };
  for (size_t i = 0; i < scan.scanned(); ++i) check(scan.scan_slot(i));
  for (size_t i = 0; i < scan.stacked(); ++i) check(scan.stack_slot(i));
}

// The number of steps, and the check that all that tell it agree.
Dim scan_extent(const InferenceContext& c, const ScanView& scan) {
  Dim extent;
  if (scan.has_trip_count()) {
    const size_t i = scan.has_lengths() ? 1 : 0;
    require_scalar(c, i, ElementType::i64);
    if (const auto dims = c.dims(i); dims && dims->size() == 1) extent = dims->front();
  }
  for (size_t i = 0; i < scan.scanned(); ++i) {
    const ValueType& type = tensor_operand(c, scan.scanned_operand(i));
    if (!type.shape.ranked()) continue;
    const size_t axis = normalize_axis(scan.scan_slot(i).axis, type.shape.rank());
    if (provably_different(extent, type.shape[axis])) {
      fail("scanned operands differ in length", to_string(extent), to_string(type));
    }
    extent = meet(extent, type.shape[axis]);
  }
  return extent;
}

Types scan(const InferenceContext& c) {
  const size_t invariants = count_attribute(c, A::invariants);
  const size_t states = count_attribute(c, A::states);
  require_parallel(c, A::scan_axes, A::scan_reverse);
  require_parallel(c, A::stack_axes, A::stack_reverse);
  const ScanView view(c.node());
  const size_t scanned = view.scanned(), stacked = view.stacked();
  if (c.operand_count() != view.operand_count()) {
    fail("wrong number of operands for the scan's slots", std::to_string(view.operand_count()),
         std::to_string(c.operand_count()));
  }
  if (c.result_count() != states + stacked) {
    fail("wrong number of results for the scan's slots", std::to_string(states + stacked),
         std::to_string(c.result_count()));
  }
  if (scanned == 0 && !view.has_trip_count()) {
    fail("a scan needs to know its length", "a scanned operand or a trip count", "neither");
  }
  for (size_t i = 0; i < c.operand_count(); ++i) {
    if (!c.has_operand(i)) fail("a scan's operand is absent", "a value in every slot", "none");
  }
  require_arguments(view.body(), invariants + states + scanned, states + stacked);
  if (view.has_lengths()) {
    index_operand(c, 0);
    require_rank(c, 0, 1);
    check_one_direction(view);
  }
  const Dim extent = scan_extent(c, view);

  for (size_t i = 0; i < invariants; ++i) {
    require_refines(c.operand(view.invariant_operand(i)), view.invariant_argument(i)->type(),
                    "invariant", i);
  }
  for (size_t i = 0; i < scanned; ++i) {
    const ValueType& whole = tensor_operand(c, view.scanned_operand(i));
    require_refines(
        ValueType::tensor(whole.element, without_axis(whole.shape, view.scan_slot(i).axis)),
        view.slice_argument(i)->type(), "scanned operand", i);
  }
  Types results;
  for (size_t i = 0; i < states; ++i) {
    const ValueType& initial = c.operand(view.state_operand(i));
    const ValueType& next = view.next_state(i)->type();
    require_refines(initial, view.state_argument(i)->type(), "initial state", i);
    require_refines(next, view.state_argument(i)->type(), "next state", i);
    if (view.has_lengths() && !next.is_tensor()) {
      fail("a scan with lengths holds tensor states only", "a tensor", to_string(next));
    }
    results.push_back(join(initial, next));
  }
  for (size_t i = 0; i < stacked; ++i) {
    const ValueType& slice = view.stacked_slice(i)->type();
    if (!slice.is_tensor()) fail("only tensors can be stacked", "a tensor", to_string(slice));
    results.push_back(
        ValueType::tensor(slice.element, with_axis(slice.shape, view.stack_slot(i).axis, extent)));
  }
  return results;
}

Types loop(const InferenceContext& c) {
  const size_t invariants = count_attribute(c, A::invariants);
  const size_t states = count_attribute(c, A::states);
  if (c.operand_count() != 2 + invariants + states || c.result_count() < states) {
    fail("wrong number of operands or results for the loop's slots",
         std::to_string(2 + invariants + states), std::to_string(c.operand_count()));
  }
  for (size_t i = 0; i < c.operand_count(); ++i) {
    if (!c.has_operand(i)) fail("a loop's operand is absent", "a value in every slot", "none");
  }
  const LoopView view(c.node());
  require_scalar(c, 0, ElementType::i64);
  require_scalar(c, 1, ElementType::boolean);
  require_arguments(view.body(), 1 + invariants + states, 1 + states + view.stacked());
  require_refines(ValueType::tensor(ElementType::i64, {}), view.iteration_argument()->type(),
                  "iteration", 0);
  require_refines(view.next_condition()->type(),
                  ValueType::tensor(ElementType::boolean, Shape::unranked()), "condition", 0);
  for (size_t i = 0; i < invariants; ++i) {
    require_refines(c.operand(view.invariant_operand(i)), view.invariant_argument(i)->type(),
                    "invariant", i);
  }
  Types results;
  for (size_t i = 0; i < states; ++i) {
    const ValueType& initial = c.operand(view.state_operand(i));
    require_refines(initial, view.state_argument(i)->type(), "initial state", i);
    require_refines(view.next_state(i)->type(), view.state_argument(i)->type(), "next state", i);
    results.push_back(join(initial, view.next_state(i)->type()));
  }
  for (size_t i = 0; i < view.stacked(); ++i) {
    const ValueType& slice = view.stacked_slice(i)->type();
    if (!slice.is_tensor()) fail("only tensors can be stacked", "a tensor", to_string(slice));
    results.push_back(ValueType::tensor(slice.element, with_axis(slice.shape, 0, Dim::unknown())));
  }
  return results;
}

Types branch(const InferenceContext& c) {
  const ValueType& condition = tensor_operand(c, 0);
  if (condition.element != ElementType::boolean) {
    fail("wrong type of the condition", "a bool tensor of one element", to_string(condition));
  }
  const Node& node = c.node();
  for (size_t r = 0; r < 2; ++r) {
    require_arguments(node.region(r), c.operand_count() - 1, c.result_count());
    for (size_t i = 1; i < c.operand_count(); ++i) {
      if (!c.has_operand(i)) fail("a branch's operand is absent", "a value in every slot", "none");
      require_refines(c.operand(i), node.region(r).argument(i - 1)->type(), "capture", i - 1);
    }
  }
  Types results;
  for (size_t i = 0; i < c.result_count(); ++i) {
    results.push_back(join(node.region(0).result(i)->type(), node.region(1).result(i)->type()));
  }
  return results;
}

Types yield(const InferenceContext&) { return {}; }

}  // namespace

std::vector<OpSchema> control_schemas() {
  const std::vector<int64_t> none;
  return {
      {.op = Op::scan,
       .kind = OpKind::control,
       .min_operands = 0,
       .max_operands = kVariadic,
       .min_results = 0,
       .max_results = kVariadic,
       .regions = 1,
       .attributes = {{A::lengths, AT::boolean, false},
                      {A::trip_count, AT::boolean, false},
                      {A::batch_axis, AT::integer, int64_t{0}},
                      {A::invariants, AT::integer, int64_t{0}},
                      {A::states, AT::integer, int64_t{0}},
                      {A::scan_axes, AT::integers, none},
                      {A::scan_reverse, AT::integers, none},
                      {A::stack_axes, AT::integers, none},
                      {A::stack_reverse, AT::integers, none}},
       .infer = scan},
      {.op = Op::loop,
       .kind = OpKind::control,
       .min_operands = 2,
       .max_operands = kVariadic,
       .min_results = 0,
       .max_results = kVariadic,
       .regions = 1,
       .attributes = {{A::invariants, AT::integer, int64_t{0}},
                      {A::states, AT::integer, int64_t{0}}},
       .infer = loop},
      {.op = Op::branch,
       .kind = OpKind::control,
       .min_operands = 1,
       .max_operands = kVariadic,
       .min_results = 0,
       .max_results = kVariadic,
       .regions = 2,
       .infer = branch},
      {.op = Op::yield,
       .kind = OpKind::terminator,
       .min_operands = 0,
       .max_operands = kVariadic,
       .min_results = 0,
       .max_results = 0,
       .infer = yield},
  };
}

}  // namespace refrain::internal
