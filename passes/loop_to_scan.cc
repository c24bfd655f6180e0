#include <algorithm>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/control.h"
#include "passes/add_slots.h"
#include "passes/affine.h"
#include "passes/element.h"
#include "passes/loop_sequences.h"
#include "passes/loop_trips.h"
#include "passes/passes.h"
#include "passes/refine.h"
#include "passes/slots.h"

namespace refrain::passes {
namespace {

using internal::Affine;
using internal::AffineReader;
using internal::constant_int;
using internal::Trips;

// Farther from the start no tensor has elements.
constexpr int64_t kMostOffset = int64_t{1} << 48;

// A node of the body that reads one slice of a tensor from before the loop in each iteration.
struct Read {
  Node* node;
  Value* whole;      // of the body
  size_t axis;       // from the front
  bool reverse;      // reads from the end
  bool exact;        // all of the axis is read
  int64_t first;     // where the part that is read begins, if not exact
  size_t unit_axes;  // axes of extent 1 that the result has in the place of `axis`
};

bool all_ones(const Shape& shape) {
  if (!shape.is_static()) return false;
  return std::all_of(shape.dims().begin(), shape.dims().end(),
                     [](Dim dim) { return dim.extent() == 1; });
}

Shape without_axis(const Shape& shape, size_t axis) {
  std::vector<Dim> dims = shape.dims();
  dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
  return Shape(std::move(dims));
}

class Converter {
 public:
  explicit Converter(Node* node) : node_(node), loop_(*node), reader_(loop_) {}

  // The scan that has taken the loop's place; null if it stays.
  Node* run() {
    std::optional<Trips> trips = trips_of(loop_, reader_);
    if (!trips) return nullptr;
    trips_ = std::move(*trips);
    for (Node* inner = loop_.body().first(); inner; inner = inner->next()) {
      if (std::optional<Read> read = read_of(inner)) reads_.push_back(*read);
    }
    return convert();
  }

 private:
  // What reads by the iteration.

  // Whether a value of the body is from before the loop, or may be made there again.
  bool is_outside(const Value* value) const {
    for (int depth = 0; depth < 8; ++depth) {
      if (value->is_argument()) {
        return value->index() > 0 && value->index() <= loop_.invariants();
      }
      switch (value->node()->op()) {
        case Op::constant:
          return true;
        case Op::transpose:  // these never fail
        case Op::cast:
          value = value->node()->operand(0);
          break;
        default:
          return false;
      }
    }
    return false;
  }

  Value* outside(const Value* value) {
    if (value->is_argument()) {
      return node_->operand(loop_.invariant_operand(value->index() - 1));
    }
    Value*& made = outside_[value];
    if (made) return made;
    const Node& inner = *value->node();
    ValueMap map;
    for (const Value* operand : inner.operands()) map[operand] = outside(operand);
    Node* copy = clone_node(inner, *node_->parent(), node_, map);
    internal::refine_types(*copy);
    return made = copy->result();
  }

  std::optional<Read> read_of(Node* node) const {
    if (node->op() != Op::gather && node->op() != Op::slice) return {};
    Value* whole = node->operand(0);
    const Shape& shape = whole->type().shape;
    if (!shape.ranked() || shape.rank() == 0 || !is_outside(whole)) return {};
    return node->op() == Op::gather ? read_of_gather(node) : read_of_slice(node);
  }

  std::optional<Read> read_of_gather(Node* node) const {
    Value *whole = node->operand(0), *index = node->operand(1);
    const Shape& shape = whole->type().shape;
    const size_t axis = normalize_axis(node->integer(AttributeName::axis), shape.rank());
    if (!all_ones(index->type().shape)) return {};
    const std::optional<Affine> position = reader_.read(index);
    if (!position) return {};
    Read read{node, whole, axis, false, false, 0, index->type().shape.rank()};
    if (!place(read, *position, shape[axis])) return {};
    // The argument that takes the place of the result knows no more than its operand does.
    if (read.unit_axes == 0 &&
        !refines(ValueType::tensor(whole->type().element, without_axis(shape, axis)),
                 node->result()->type())) {
      return {};
    }
    return read;
  }

  // A slice of one element along one axis. It reads nothing where the axis ends, so that must be
  // known not to happen.
  std::optional<Read> read_of_slice(Node* node) const {
    Value* whole = node->operand(0);
    const Shape& shape = whole->type().shape;
    if (node->operand(4) && constant_int(node->operand(4)) != 1) return {};
    const auto axes = node->operand(3) ? constant_int(node->operand(3)) : 0;
    const auto begin = reader_.read(node->operand(1)), end = reader_.read(node->operand(2));
    if (!axes || !begin || !end || begin->rate == 0 || plus(*begin, 1) != end) return {};
    Read read{node, whole, normalize_axis(*axes, shape.rank()), false, false, 0, 1};
    const Dim extent = shape[read.axis];
    if (!place(read, *begin, extent)) return {};
    if (!read.exact && !extent.is_constant()) return {};
    if (read.reverse && !begin->has_base() && begin->constant < 0) return {};
    return read;
  }

  bool covers(Dim extent) const {
    if (!trips_.number) return false;
    if (trips_.number->is_constant()) {
      return extent.is_constant() && extent.extent() == std::max<int64_t>(constant_trips(), 0);
    }
    return extent.is_symbol() && *trips_.number == Affine{.symbol = extent};
  }
  bool has_constant_trips() const { return trips_.number && trips_.number->is_constant(); }
  int64_t constant_trips() const { return trips_.number->constant; }

  // Fills in where a read at `position` in each iteration begins, and its direction; false if that
  // would not read the same.
  bool place(Read& read, const Affine& position, Dim extent) const {
    std::optional<int64_t> first;
    if (position.rate == 1 && !position.has_base()) {
      first = position.constant;
    } else if (position.rate == -1) {
      read.reverse = true;
      Affine start = position;
      start.rate = 0;
      if (start == Affine{.constant = -1}) {  // counted from the end
        if (!covers(extent)) return false;
        first = 0;
      } else if (const auto end = plus(start, 1); end && trips_.number) {
        first = constant_difference(*end, *trips_.number);  // the last index that is read
      }
    }
    if (!first || *first < 0 || *first > kMostOffset) return false;
    read.first = *first;
    read.exact = *first == 0 && covers(extent);
    if (extent.is_constant() && has_constant_trips()) {
      // An index that is out of range, in an iteration that runs, stays an error.
      return constant_trips() <= 0 || *first <= extent.extent() - constant_trips();
    }
    return true;
  }

  // The scan.

  Node* convert() {
    Builder before(*node_->parent(), node_);
    before.set_node_name(node_->name());
    count_ = make_trips(before, trips_);
    spec_.trip_count = count_;
    auto region = std::make_unique<Region>();
    std::vector<Value*> arguments(loop_.body().argument_count());
    const auto add_invariant = [&](size_t argument) {
      const Value* old = loop_.body().argument(argument);
      spec_.invariants.push_back(node_->operand(argument + 1));
      arguments[argument] = region->add_argument(old->type(), old->name());
    };
    for (size_t i = 0; i < loop_.invariants(); ++i) add_invariant(1 + i);
    std::vector<bool> is_state(loop_.states());
    const size_t first_state = 1 + loop_.invariants();
    for (size_t i = 0; i < loop_.states(); ++i) {
      // A state that is only passed on is an invariant.
      is_state[i] = loop_.next_state(i) != loop_.body().argument(first_state + i);
      if (!is_state[i]) add_invariant(first_state + i);
    }
    for (size_t i = 0; i < loop_.states(); ++i) {
      if (!is_state[i]) continue;
      const Value* old = loop_.body().argument(first_state + i);
      spec_.states.push_back(node_->operand(loop_.state_operand(i)));
      arguments[first_state + i] = region->add_argument(old->type(), old->name());
    }
    std::vector<Value*> slices;
    for (const Read& read : reads_) slices.push_back(slice_argument(before, *region, read));

    std::vector<Value*> results = internal::move_nodes(loop_.body(), arguments, *region, nullptr);
    results.erase(results.begin());  // the condition
    std::vector<Value*> yielded, old_results;
    for (size_t i = 0; i < results.size(); ++i) {
      if (i >= loop_.states() || is_state[i]) {
        yielded.push_back(results[i]);
        old_results.push_back(node_->result(i));
      } else if (!internal::replace_value(node_->result(i),
                                          node_->operand(loop_.state_operand(i)))) {
        node_->result(i)->replace_all_uses_with(node_->operand(loop_.state_operand(i)));
      }
    }
    region->insert(std::make_unique<Node>(Op::yield, yielded, std::vector<Attribute>{}, size_t{0}));
    for (size_t i = 0; i < reads_.size(); ++i) take_place(reads_[i], slices[i]);
    internal::erase_unused(*region);
    // The body is not in the loop any more, but what it reads of the iteration is.
    if (Value* iteration = loop_.iteration_argument(); !iteration->unused()) {
      iteration->replace_all_uses_with(iteration_argument(before, *region));
    }
    if (measured_) spec_.trip_count = nullptr;
    return build(before, std::move(region), old_results);
  }

  // The argument for what a read reads; reads of the same share one.
  Value* slice_argument(Builder& before, Region& region, const Read& read) {
    Value* whole = outside(read.whole);
    const bool whole_axis = read.exact;
    for (size_t i = 0; i < slots_.size(); ++i) {
      const Slot& slot = slots_[i];
      if (slot.whole == whole && slot.axis == read.axis && slot.reverse == read.reverse &&
          slot.exact == whole_axis && slot.first == read.first) {
        return slot.argument;
      }
    }
    Value* part = whole;
    if (!whole_axis) part = cut(before, whole, read);
    const Shape& shape = part->type().shape;
    measured_ |= whole_axis || (has_constant_trips() && shape[read.axis].is_constant());
    spec_.scanned.push_back(part);
    spec_.scan_slots.push_back({static_cast<int64_t>(read.axis), read.reverse});
    Value* argument = region.add_argument(
        ValueType::tensor(part->type().element, without_axis(shape, read.axis)));
    slots_.push_back({whole, read.axis, read.first, read.reverse, whole_axis, argument});
    return argument;
  }

  // The part of the axis that the loop reads. Where the axis is too short for that, the scan's
  // operands differ from its trip count, which is an error then as the index was before.
  Value* cut(Builder& before, Value* whole, const Read& read) {
    Value* end = nullptr;
    if (has_constant_trips()) {
      end = before.ints({read.first + std::max<int64_t>(constant_trips(), 0)});
    } else {
      end = before.reshape(count_, {1});
      if (read.first != 0) end = before.op(Op::add, {end, before.ints({read.first})});
    }
    return before.op(Op::slice, {whole, before.ints({read.first}), end,
                                 before.ints({static_cast<int64_t>(read.axis)})});
  }

  void take_place(const Read& read, Value* slice) {
    Value* value = slice;
    if (read.unit_axes > 0) {
      Builder builder(*read.node->parent(), read.node);
      builder.set_node_name(read.node->name());
      std::vector<int64_t> axes;
      for (size_t i = 0; i < read.unit_axes; ++i)
        axes.push_back(static_cast<int64_t>(read.axis + i));
      value = builder.op(Op::unsqueeze, {slice, builder.ints(axes)});
      value->set_type(internal::more_specific(value->type(), read.node->result()->type()));
    } else if (slice->name().empty()) {
      slice->set_name(read.node->result()->name());
    }
    read.node->result()->replace_all_uses_with(value);
    read.node->parent()->erase(read.node);
  }

  // 0, 1, 2...: a scanned operand, and not a state, so that what depends on it alone may leave.
  Value* iteration_argument(Builder& before, Region& region) {
    Value* numbers =
        before.op(Op::range, {before.scalar(int64_t{0}), count_, before.scalar(int64_t{1})});
    if (trips_.number && !trips_.number->symbol.is_unknown() && trips_.number->constant == 0) {
      numbers->set_type(ValueType::tensor(ElementType::i64, {trips_.number->symbol}));
    }
    spec_.scanned.push_back(numbers);
    spec_.scan_slots.push_back({});
    return region.add_argument(ValueType::tensor(ElementType::i64, {}),
                               loop_.iteration_argument()->name());
  }

  // Where the only thing that happens to a stacked result is that its axis 0 goes elsewhere, it is
  // stacked there.
  static Node* only_moved(const Value* result, int64_t& axis) {
    if (!result->has_one_use()) return nullptr;
    Node* user = result->first_use()->user();
    if (user->op() != Op::transpose) return nullptr;
    std::vector<int64_t> perm = user->integers(AttributeName::perm);
    const auto place = std::find(perm.begin(), perm.end(), 0);
    if (place == perm.end()) return nullptr;
    axis = place - perm.begin();
    perm.erase(place);
    return std::is_sorted(perm.begin(), perm.end()) ? user : nullptr;
  }

  Node* build(Builder& before, std::unique_ptr<Region> region,
              const std::vector<Value*>& old_results) {
    std::vector<Node*> moved;
    for (size_t i = spec_.states.size(); i < old_results.size(); ++i) {
      ScanSlot slot;
      moved.push_back(only_moved(old_results[i], slot.axis));
      spec_.stack_slots.push_back(slot);
    }
    Node* scan = before.scan(spec_, std::move(region));
    for (size_t i = 0; i < old_results.size(); ++i) {
      Value* old = old_results[i];
      Node* transpose = i < spec_.states.size() ? nullptr : moved[i - spec_.states.size()];
      Value* result = scan->result(i);
      const ValueType& type = transpose ? transpose->result()->type() : old->type();
      result->set_type(internal::more_specific(result->type(), type));
      result->set_name(transpose ? transpose->result()->name() : old->name());
      (transpose ? transpose->result() : old)->replace_all_uses_with(result);
      if (transpose) transpose->parent()->erase(transpose);
    }
    node_->parent()->erase(node_);
    return scan;
  }

  struct Slot {
    const Value* whole;
    size_t axis;
    int64_t first;
    bool reverse, exact;
    Value* argument;
  };

  Node* node_;
  LoopView loop_;
  AffineReader reader_;
  Trips trips_;
  std::vector<Read> reads_;
  std::vector<Slot> slots_;
  std::unordered_map<const Value*, Value*> outside_;
  ScanSpec spec_;
  Value* count_ = nullptr;
  bool measured_ = false;  // some scanned operand is as long as the loop runs
};

bool convert_loops(Region& region) {
  bool changed = false;
  for (Node* node = region.first(); node; node = node->next()) {
    if (node->op() == Op::split_to_sequence) changed |= internal::stack_split(node);
    for (size_t i = 0; i < node->region_count(); ++i) changed |= convert_loops(node->region(i));
    if (node->op() != Op::loop) continue;
    if (Node* stacked = internal::stack_sequences(node)) {
      node = stacked;
      changed = true;
    }
    // What loops before this one have become tells the extents of what it reads.
    changed |= internal::refine_types(*node);
    if (Node* scan = Converter(node).run()) {
      node = scan;
      changed = true;
    }
  }
  return changed;
}

}  // namespace

bool loop_to_scan(Graph& graph, const PassContext&) {
  const bool changed = convert_loops(graph.body());
  if (changed) internal::refine_types(graph);
  return changed;
}

}  // namespace refrain::passes
