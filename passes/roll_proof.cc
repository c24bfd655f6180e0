#include "passes/roll_proof.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "ir/builder.h"
#include "ir/error.h"
#include "ir/hash.h"
#include "passes/element.h"
#include "passes/passes.h"

namespace refrain::passes::internal {
namespace {

// Folding may have taken one constant for two that differ in the signs of zeros: exporters compare
// them as numbers.
TensorPtr without_negative_zeros(const TensorPtr& tensor) {
  if (tensor->type() != ElementType::f32) return tensor;
  const std::span<const float> elements = tensor->data<float>();
  const bool any = std::any_of(elements.begin(), elements.end(),
                               [](float x) { return x == 0 && std::signbit(x); });
  if (!any) return tensor;
  Tensor copy(tensor->type(), tensor->extents());
  std::transform(elements.begin(), elements.end(), copy.data<float>().begin(),
                 [](float x) { return x + 0.0F; });
  return std::make_shared<const Tensor>(std::move(copy));
}

// Gives values numbers: equal ones to those that are the same ops on values of equal numbers.
class Numbers {
 public:
  size_t fresh() { return next_++; }

  size_t of_constant(const TensorPtr& tensor) {
    const auto known = tensors_.find(tensor.get());
    if (known != tensors_.end()) return known->second;
    const Attribute attribute{AttributeName::value, without_negative_zeros(tensor)};
    auto& same_hash = constants_[hash(attribute)];
    for (const auto& [other, number] : same_hash) {
      if (other == attribute) return tensors_[tensor.get()] = number;
    }
    same_hash.emplace_back(attribute, fresh());
    return tensors_[tensor.get()] = same_hash.back().second;
  }

  size_t of_element(size_t whole, size_t axis, int64_t index) {
    return look_up({~size_t{0}, whole, axis, static_cast<size_t>(index)});
  }

  size_t of_unsqueezed(size_t value, size_t axis) { return look_up({~size_t{1}, value, axis}); }

  size_t of_result(const Node& node, size_t result, const std::vector<size_t>& operands) {
    std::vector<size_t> key = {kind(node), result};
    key.insert(key.end(), operands.begin(), operands.end());
    return look_up(std::move(key));
  }

 private:
  struct KeyHash {
    size_t operator()(const std::vector<size_t>& key) const {
      size_t seed = key.size();
      for (const size_t part : key) seed = hash_combine(seed, part);
      return seed;
    }
  };

  size_t look_up(std::vector<size_t> key) {
    const auto [found, inserted] = keys_.try_emplace(std::move(key), next_);
    next_ += inserted;
    return found->second;
  }

  // The same for nodes that are the same but for their operands.
  size_t kind(const Node& node) {
    size_t seed = hash_combine(static_cast<size_t>(node.op()), node.operand_count());
    size_t attributes = 0;
    for (const Attribute& attribute : node.attributes()) attributes += hash(attribute);
    std::vector<const Node*>& same_hash = kinds_[hash_combine(seed, attributes)];
    for (const Node* other : same_hash) {
      if (alike(*other, node)) return reinterpret_cast<size_t>(other);
    }
    same_hash.push_back(&node);
    return reinterpret_cast<size_t>(&node);
  }

  static bool alike(const Node& a, const Node& b) {
    return a.op() == b.op() && a.operand_count() == b.operand_count() &&
           a.result_count() == b.result_count() && a.region_count() == 0 && b.region_count() == 0 &&
           a.attributes().size() == b.attributes().size() &&
           std::is_permutation(a.attributes().begin(), a.attributes().end(),
                               b.attributes().begin());
  }

  size_t next_ = 0;
  std::unordered_map<const Tensor*, size_t> tensors_;
  std::unordered_map<size_t, std::vector<std::pair<Attribute, size_t>>> constants_;
  std::unordered_map<size_t, std::vector<const Node*>> kinds_;
  std::unordered_map<std::vector<size_t>, size_t, KeyHash> keys_;
};

// The numbers of one graph's values. Values that `leaf` gives a number are not looked into.
class Numbering {
 public:
  Numbering(Numbers& numbers, std::function<bool(const Node*)> inside)
      : numbers_(numbers), inside_(std::move(inside)) {}

  void set(const Value* value, size_t number) { known_[value] = number; }

  // Iterative: a chain is as deep as the graph is long.
  size_t of(const Value* root) {
    std::vector<const Value*> stack = {root};
    while (!stack.empty()) {
      const Value* value = stack.back();
      if (known_.contains(value)) {
        stack.pop_back();
        continue;
      }
      const size_t before = stack.size();
      const std::optional<size_t> number = compute(value, stack);
      if (!number && stack.size() == before) throw Error("a value from nowhere", "", value->name());
      if (!number) continue;
      known_[value] = *number;
      stack.pop_back();
    }
    return known_.at(root);
  }

 private:
  // The number, or what has to be numbered first on the stack.
  std::optional<size_t> compute(const Value* value, std::vector<const Value*>& stack) {
    if (const TensorPtr tensor = constant_tensor(value)) return numbers_.of_constant(tensor);
    const Node* node = value->node();
    if (!node) return {};
    const auto number_of = [&](const Value* other) -> std::optional<size_t> {
      const auto found = known_.find(other);
      if (found != known_.end()) return found->second;
      stack.push_back(other);
      return {};
    };
    if (const auto element = element_of(value); element && !from_inside(element->whole)) {
      if (const Value* part = part_at(*element)) return number_of_part(number_of, part, *element);
      if (const TensorPtr part = constant_part(*element)) {
        const size_t number = numbers_.of_constant(part);
        return element->keeps_axis ? numbers_.of_unsqueezed(number, element->axis) : number;
      }
      const auto whole = number_of(element->whole);
      if (!whole) return {};
      const size_t number = numbers_.of_element(*whole, element->axis, element->index);
      return element->keeps_axis ? numbers_.of_unsqueezed(number, element->axis) : number;
    }
    if (!inside_(node) || node->region_count() > 0) return {};
    std::vector<size_t> operands;
    bool all = true;
    for (size_t i = 0; i < node->operand_count(); ++i) {
      const std::optional<size_t> number =
          node->operand(i) ? number_of(node->operand(i)) : std::optional<size_t>(~size_t{0});
      all = all && number;
      if (all) operands.push_back(*number);
    }
    if (!all) return {};
    if (node->op() == Op::unsqueeze) {
      const auto axes = constant_ints(node->operand(1));
      const Shape& shape = value->type().shape;
      if (axes && axes->size() == 1 && shape.ranked())
        return numbers_.of_unsqueezed(operands[0], normalize_axis((*axes)[0], shape.rank()));
    }
    return numbers_.of_result(*node, value->index(), operands);
  }

  template <typename F>
  std::optional<size_t> number_of_part(const F& number_of, const Value* part,
                                       const Element& element) {
    const Node* node = part->node();
    const auto axes =
        node && node->op() == Op::unsqueeze ? constant_ints(node->operand(1)) : std::nullopt;
    if (!axes || axes->size() != 1) return {};
    const std::optional<size_t> inner = number_of(node->operand(0));
    if (!inner || !element.keeps_axis) return inner;
    return numbers_.of_unsqueezed(*inner, element.axis);
  }

  // Whether a tensor is made by the iterations, and not what they have elements of.
  bool from_inside(const Value* value) const {
    const Node* node = value->node();
    return node && node->op() != Op::constant && node->op() != Op::concat &&
           !known_.contains(value) && inside_(node);
  }

  // An element along the first axis of a constant; null if it is none.
  TensorPtr constant_part(const Element& element) {
    const TensorPtr whole = constant_tensor(element.whole);
    if (!whole || element.axis != 0 || whole->size() == 0) return nullptr;
    auto& part = parts_[{whole.get(), element.index}];
    if (!part) {
      const auto extents = whole->extents();
      Tensor copy(whole->type(), std::vector<int64_t>(extents.begin() + 1, extents.end()));
      const auto bytes = static_cast<size_t>(copy.bytes());
      std::memcpy(
          copy.raw(),
          static_cast<const char*>(whole->raw()) + static_cast<size_t>(element.index) * bytes,
          bytes);
      part = std::make_shared<const Tensor>(std::move(copy));
    }
    return part;
  }

  // What was stacked at the element's place, if the whole is a stack of unsqueezed values.
  const Value* part_at(const Element& element) {
    const Node* node = element.whole->node();
    if (!node || node->op() != Op::concat || known_.contains(element.whole)) return nullptr;
    auto [found, fresh] = stacks_.try_emplace(node, true);
    if (fresh) {
      for (const Value* part : node->operands()) {
        const Node* maker = part->node();
        const auto axes =
            maker && maker->op() == Op::unsqueeze ? constant_ints(maker->operand(1)) : std::nullopt;
        found->second = found->second && axes && axes->size() == 1 &&
                        normalize_axis((*axes)[0], part->type().shape.rank()) == element.axis;
      }
    }
    if (!found->second) return nullptr;
    return node->operand(static_cast<size_t>(element.index));
  }

  Numbers& numbers_;
  std::function<bool(const Node*)> inside_;
  std::unordered_map<const Value*, size_t> known_;
  std::unordered_map<const Node*, bool> stacks_;
  std::map<std::pair<const Tensor*, int64_t>, TensorPtr> parts_;
};

}  // namespace

std::string prove(const Recurrence& recurrence, const RolledScan& scan,
                  const PassContext& context) {
  // The scan alone, its surroundings inputs, what it gives outputs.
  Graph alone;
  std::unordered_map<const Value*, Value*> inputs;
  for (const Value* value : scan.externals())
    inputs[value] = alone.add_input(value->type(), "x" + std::to_string(inputs.size()));
  Builder builder(alone.body());
  const Node* node = scan.make(builder, [&](Value* value) { return inputs.at(value); });
  std::vector<Value*> outputs;
  std::vector<std::string> names;
  for (size_t i = 0; i < node->result_count(); ++i) {
    outputs.push_back(node->result(i));
    names.push_back("y" + std::to_string(i));
  }
  alone.set_outputs(outputs, names);
  if (!unroll(alone, context)) return "its number of iterations is not known";
  if (recurrence.folded()) fold(alone, context);

  Numbers numbers;
  Numbering original(numbers, [&](const Node* n) { return recurrence.covers(n); });
  Numbering unrolled(numbers, [](const Node*) { return true; });
  // Elements of a tensor that is seen whole too are its elements in both.
  for (const Value* value : scan.externals()) {
    const auto element = element_of(value);
    if (!element || !inputs.contains(element->whole)) original.set(value, numbers.fresh());
  }
  for (const Value* value : scan.externals()) unrolled.set(inputs.at(value), original.of(value));

  const auto differs = [&](const MemberResult& result, int64_t iteration, const Value* value) {
    const Node* expected = recurrence.members()[result.member].in(iteration);
    return original.of(expected->result(result.result)) != unrolled.of(value);
  };
  const auto difference = [&](const MemberResult& result, int64_t iteration) {
    const Node* expected = recurrence.members()[result.member].in(iteration);
    return "unrolled again, " + std::string(name(expected->op())) + " '" +
           expected->display_name() + "' differs";
  };
  for (size_t i = 0; i < scan.stacked().size(); ++i) {
    const Node* stack = alone.output(scan.stacked_result(i))->node();
    if (!stack || stack->op() != Op::concat) return "it does not depend on anything outside";
    for (int64_t t = recurrence.begin(); t < recurrence.end(); ++t) {
      const MemberResult& result = scan.stacked()[i];
      if (!recurrence.members()[result.member].in(t)) continue;  // nothing read it
      const Node* part = stack->operand(static_cast<size_t>(scan.stacked_index(t)))->node();
      // Folding may have made the part a constant.
      const Value* value = part && part->op() == Op::unsqueeze ? part->operand(0) : nullptr;
      if (!value || differs(result, t, value)) return difference(result, t);
    }
  }
  for (size_t m = 0; m < recurrence.members().size(); ++m) {
    const size_t results = recurrence.members()[m].nodes.front()->result_count();
    for (size_t r = 0; r < results; ++r) {
      const auto state = scan.final_state({m, r});
      if (!state || !recurrence.members()[m].in(recurrence.end() - 1)) continue;
      if (differs({m, r}, recurrence.end() - 1, alone.output(*state)))
        return difference({m, r}, recurrence.end() - 1);
    }
  }
  return {};
}

}  // namespace refrain::passes::internal
