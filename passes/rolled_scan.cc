#include "passes/rolled_scan.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "ir/clone.h"
#include "ir/error.h"
#include "passes/refine.h"

namespace refrain::passes::internal {
namespace {

using Kind = MemberOperand::Kind;

constexpr size_t kNoSlot = ~size_t{0};

// The values of iterations that have no node follow on from those that have.
std::vector<int64_t> continued(const std::vector<std::optional<int64_t>>& known, Dim extent) {
  size_t first = 0, last = known.size() - 1;
  while (!known[first]) ++first;
  while (!known[last]) --last;
  const int64_t step = last > first ? *known[first + 1] - *known[first] : 0;
  std::vector<int64_t> indices;
  for (size_t i = 0; i < known.size(); ++i) {
    int64_t index = 0;
    if (known[i]) {
      index = *known[i];
    } else if (i < first) {
      index = *known[first] - step * static_cast<int64_t>(first - i);
    } else {
      index = *known[last] + step * static_cast<int64_t>(i - last);
    }
    const bool inside = index >= 0 && (!extent.is_constant() || index < extent.extent());
    indices.push_back(inside ? index : i < first ? *known[first] : *known[last]);
  }
  return indices;
}

// The difference of neighbours, if it is the same everywhere and not 0.
std::optional<int64_t> step_of(const std::vector<int64_t>& indices) {
  if (indices.size() < 2) return {};
  const int64_t step = indices[1] - indices[0];
  for (size_t i = 2; i < indices.size(); ++i) {
    if (indices[i] - indices[i - 1] != step) return {};
  }
  return step == 0 ? std::nullopt : std::optional(step);
}

Tensor stack(const std::vector<Value*>& constants) {
  const TensorPtr one = constant_tensor(constants.front());
  std::vector<int64_t> extents(one->extents().begin(), one->extents().end());
  extents.insert(extents.begin(), static_cast<int64_t>(constants.size()));
  Tensor whole(one->type(), extents);
  const auto bytes = static_cast<size_t>(one->bytes());
  auto* to = static_cast<char*>(whole.raw());
  for (size_t i = 0; i < constants.size() && bytes > 0; ++i) {
    std::memcpy(to + i * bytes, constant_tensor(constants[i])->raw(), bytes);
  }
  return whole;
}

bool same_type(const ValueType& a, const ValueType& b) { return refines(a, b) && refines(b, a); }

ValueType slice_type(const ValueType& whole, size_t axis) {
  std::vector<Dim> dims = whole.shape.dims();
  dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
  return ValueType::tensor(whole.element, Shape(std::move(dims)));
}

}  // namespace

RolledScan::RolledScan(const Recurrence& recurrence, std::vector<MemberResult> stacked)
    : recurrence_(recurrence), stacked_(std::move(stacked)) {
  const std::vector<Member>& members = recurrence.members();
  slots_.resize(members.size());
  for (const size_t index : recurrence.order()) {
    const Member& member = members[index];
    for (size_t i = 0; i < member.operands.size(); ++i) {
      const MemberOperand& operand = member.operands[i];
      size_t slot = kNoSlot;
      if (operand.kind == Kind::invariant) {
        slot = constant_tensor(operand.value) ? kNoSlot : invariant(operand.value);
      } else if (operand.kind == Kind::member) {
        const int64_t delay = recurrence.delay(member, operand);
        if (delay > 0) slot = state({operand.member, operand.result}, delay);
      } else if (operand.kind != Kind::absent) {
        slot = scanned(member, i);
      }
      slots_[index].push_back(slot);
    }
  }
  for (State& state : states_) find_initial(state);
  for (const Scanned& slot : scanned_) {
    const auto step = slot.kind == Kind::element ? step_of(slot.indices) : std::nullopt;
    backward_ |= step && *step < 0;
  }
  find_externals();
}

void RolledScan::find_externals() {
  std::unordered_set<const Value*> known;
  const auto add = [&](Value* value) {
    if (!constant_tensor(value) && known.insert(value).second) externals_.push_back(value);
  };
  for (Value* value : invariants_) add(value);
  for (const State& state : states_) {
    if (state.initial) add(state.initial);
  }
  for (const Scanned& slot : scanned_) {
    if (slot.kind == Kind::element) add(slot.element.whole);
    for (Value* value : slot.values) add(value);
  }
}

size_t RolledScan::invariant(Value* value) {
  const auto found = std::find(invariants_.begin(), invariants_.end(), value);
  if (found != invariants_.end()) return static_cast<size_t>(found - invariants_.begin());
  invariants_.push_back(value);
  return invariants_.size() - 1;
}

size_t RolledScan::scanned(const Member& member, size_t operand) {
  const MemberOperand& read = member.operands[operand];
  Scanned slot{read.kind, {}, {}, {}};
  std::vector<std::optional<int64_t>> known;
  Value* last = nullptr;
  for (int64_t i = recurrence_.begin(); i < recurrence_.end(); ++i) {
    const Node* node = member.in(i);
    if (read.kind == Kind::element) {
      const auto element = node ? element_of(node->operand(operand)) : std::nullopt;
      known.push_back(element ? std::optional(element->index) : std::nullopt);
    } else {
      if (node) last = node->operand(operand);
      slot.values.push_back(last);
    }
  }
  if (read.kind == Kind::element) {
    slot.element = read.element;
    slot.element.index = 0;
    slot.element.keeps_axis = false;
    slot.indices = continued(known, read.element.whole->type().shape[read.element.axis]);
  } else {
    // Where the first iterations have none, that of the next will do.
    const auto some = std::find_if(slot.values.begin(), slot.values.end(),
                                   [](const Value* value) { return value; });
    for (auto it = slot.values.begin(); it != some; ++it) *it = *some;
    if (!slot.values.front()->type().shape.ranked()) {
      throw Error("values of unknown rank can't be stacked");
    }
  }
  const auto found = std::find(scanned_.begin(), scanned_.end(), slot);
  if (found != scanned_.end()) return static_cast<size_t>(found - scanned_.begin());
  scanned_.push_back(std::move(slot));
  return scanned_.size() - 1;
}

size_t RolledScan::state(const MemberResult& result, int64_t delay) {
  constexpr int64_t kMaxDelay = 8;
  if (delay > kMaxDelay) throw Error("a value is read after too many iterations");
  const auto find = [&](int64_t ago) {
    return std::find_if(states_.begin(), states_.end(), [&](const State& state) {
      return state.result == result && state.delay == ago;
    });
  };
  for (int64_t ago = 1; ago <= delay; ++ago) {
    if (find(ago) == states_.end()) states_.push_back({result, ago, nullptr});
  }
  return static_cast<size_t>(find(delay) - states_.begin());
}

// What the first iterations read in the place of a value that no iteration made.
void RolledScan::find_initial(State& state) const {
  const std::vector<Member>& members = recurrence_.members();
  const ValueType& type =
      members[state.result.member].nodes.front()->result(state.result.result)->type();
  for (const Member& member : members) {
    for (size_t i = 0; i < member.operands.size(); ++i) {
      const MemberOperand& read = member.operands[i];
      if (read.kind != Kind::member || read.member != state.result.member ||
          read.result != state.result.result) {
        continue;
      }
      const int64_t delay = recurrence_.delay(member, read);
      const Node* node =
          delay >= state.delay ? member.in(recurrence_.begin() + delay - state.delay) : nullptr;
      if (!node) continue;
      Value* initial = node->operand(i);
      if (state.initial && state.initial != initial)
        throw Error("a state begins with two values", state.initial->name(), initial->name());
      state.initial = initial;
    }
  }
  if (state.initial ? !same_type(state.initial->type(), type) : !type.shape.is_static()) {
    throw Error("a state's type changes with the first iteration", to_string(type),
                state.initial ? to_string(state.initial->type()) : "nothing");
  }
  if (!type.is_tensor()) throw Error("a state is no tensor", "a tensor", to_string(type));
}

std::optional<size_t> RolledScan::final_state(const MemberResult& result) const {
  for (size_t i = 0; i < states_.size(); ++i) {
    if (states_[i].result == result && states_[i].delay == 1) return i;
  }
  return {};
}

int64_t RolledScan::stacked_index(int64_t iteration) const {
  const int64_t step = iteration - recurrence_.begin();
  return backward_ ? iterations() - 1 - step : step;
}

// The tensor that is scanned for the slices.
Value* RolledScan::operand_of(const Scanned& scanned, Builder& builder,
                              const std::function<Value*(Value*)>& map, ScanSlot& slot) const {
  if (scanned.kind == Kind::constant) {
    slot.reverse = backward_;
    std::vector<Value*> values = scanned.values;
    if (backward_) std::reverse(values.begin(), values.end());
    return builder.constant(stack(values));
  }
  if (scanned.kind == Kind::outside) {
    slot.reverse = backward_;
    std::vector<Value*> parts;
    for (Value* value : scanned.values) parts.push_back(builder.unsqueeze(map(value), {0}));
    if (backward_) std::reverse(parts.begin(), parts.end());
    return builder.create(Op::concat, parts, {{AttributeName::axis, int64_t{0}}})->result();
  }
  Value* whole = map(scanned.element.whole);
  const auto axis = static_cast<int64_t>(scanned.element.axis);
  slot.axis = axis;
  const std::vector<int64_t>& indices = scanned.indices;
  const auto step = step_of(indices);
  if (!step) {
    slot.reverse = backward_;
    std::vector<int64_t> order = indices;
    if (backward_) std::reverse(order.begin(), order.end());
    return builder.op(Op::gather, {whole, builder.ints(order)}, {{AttributeName::axis, axis}});
  }
  slot.reverse = *step < 0;
  const int64_t first = slot.reverse ? indices.back() : indices.front();
  const int64_t last = slot.reverse ? indices.front() : indices.back();
  const int64_t stride = slot.reverse ? -*step : *step;
  if (stride == 1 && first == 0 && whole->type().shape[scanned.element.axis] == Dim(iterations()))
    return whole;
  return builder.op(Op::slice, {whole, builder.ints({first}), builder.ints({last + 1}),
                                builder.ints({axis}), builder.ints({stride})});
}

std::unique_ptr<Region> RolledScan::body() const {
  auto region = std::make_unique<Region>();
  const std::vector<Member>& members = recurrence_.members();
  const auto value_of = [&](const MemberResult& result) {
    return members[result.member].nodes.front()->result(result.result);
  };
  std::vector<Value*> invariants, states, slices;
  for (const Value* value : invariants_)
    invariants.push_back(region->add_argument(value->type(), value->name()));
  for (const State& state : states_) {
    const Value* value = value_of(state.result);
    states.push_back(region->add_argument(value->type(), value->name()));
  }
  for (const Scanned& slot : scanned_) {
    const bool element = slot.kind == Kind::element;
    const ValueType type = element ? slice_type(slot.element.whole->type(), slot.element.axis)
                                   : slot.values.front()->type();
    const std::string& name = element ? slot.element.whole->name() : slot.values.front()->name();
    slices.push_back(region->add_argument(type, name));
  }

  Builder builder(*region);
  std::unordered_map<const Value*, Value*> constants;
  std::unordered_map<size_t, std::vector<Value*>> made;
  for (const size_t index : recurrence_.order()) {
    const Member& member = members[index];
    const Node& sample = *member.nodes[member.nodes.size() / 2];
    std::vector<Value*> operands;
    for (size_t i = 0; i < member.operands.size(); ++i) {
      const MemberOperand& read = member.operands[i];
      const size_t slot = slots_[index][i];
      Value* operand = nullptr;
      if (read.kind == Kind::invariant && slot == kNoSlot) {
        Value*& copy = constants[read.value];
        if (!copy) {
          copy = builder.constant(constant_tensor(read.value));
          copy->set_name(read.value->name());
        }
        operand = copy;
      } else if (read.kind == Kind::invariant) {
        operand = invariants[slot];
      } else if (read.kind == Kind::member) {
        operand = slot == kNoSlot ? made.at(read.member)[read.result] : states[slot];
      } else if (read.kind != Kind::absent) {
        operand = slices[slot];
        if (read.kind == Kind::element && read.element.keeps_axis)
          operand = builder.unsqueeze(operand, {static_cast<int64_t>(read.element.axis)});
      }
      operands.push_back(operand);
    }
    std::vector<std::unique_ptr<Region>> regions;
    for (size_t i = 0; i < sample.region_count(); ++i)
      regions.push_back(clone_region(sample.region(i)));
    Node* node = region->insert(std::make_unique<Node>(sample.op(), operands, sample.attributes(),
                                                       sample.result_count(), std::move(regions),
                                                       sample.name()));
    std::vector<Value*>& results = made[index];
    for (size_t i = 0; i < sample.result_count(); ++i) {
      node->result(i)->set_type(sample.result(i)->type());
      node->result(i)->set_name(sample.result(i)->name());
      results.push_back(node->result(i));
    }
  }
  std::vector<Value*> yielded;
  for (const State& state : states_) {
    if (state.delay == 1) {
      yielded.push_back(made.at(state.result.member)[state.result.result]);
      continue;
    }
    for (size_t i = 0; i < states_.size(); ++i) {
      if (states_[i].result == state.result && states_[i].delay + 1 == state.delay)
        yielded.push_back(states[i]);
    }
  }
  for (const MemberResult& result : stacked_)
    yielded.push_back(made.at(result.member)[result.result]);
  builder.yield(yielded);
  return region;
}

Node* RolledScan::make(Builder& builder, const std::function<Value*(Value*)>& map) const {
  const auto outer = [&](Value* value) {
    return constant_tensor(value) ? builder.constant(constant_tensor(value)) : map(value);
  };
  ScanSpec spec;
  for (Value* value : invariants_) spec.invariants.push_back(map(value));
  for (const State& state : states_) {
    if (state.initial) {
      spec.states.push_back(outer(state.initial));
      continue;
    }
    const ValueType& type = recurrence_.members()[state.result.member]
                                .nodes.front()
                                ->result(state.result.result)
                                ->type();
    spec.states.push_back(builder.constant(Tensor(type.element, type.shape.extents())));
  }
  bool counted = false;  // by an operand of known extent
  for (const Scanned& slot : scanned_) {
    ScanSlot& where = spec.scan_slots.emplace_back();
    Value* operand = operand_of(slot, builder, outer, where);
    counted |= operand->type().shape[static_cast<size_t>(where.axis)] == Dim(iterations());
    spec.scanned.push_back(operand);
  }
  // Slices that are cut short by the end of a tensor are an error, as the elements were.
  if (!counted) spec.trip_count = builder.scalar(iterations());
  for (size_t i = 0; i < stacked_.size(); ++i) spec.stack_slots.push_back({0, backward_});
  return builder.scan(spec, body());
}

}  // namespace refrain::passes::internal
