#include "ir/graph.h"

#include <utility>

#include "ir/error.h"

namespace refrain {

void Use::set(Value* value) {
  if (value_) {
    *previous_ = next_;
    if (next_) next_->previous_ = previous_;
  }
  value_ = value;
  next_ = nullptr;
  previous_ = nullptr;
  if (value_) {
    next_ = value_->first_use_;
    if (next_) next_->previous_ = &next_;
    previous_ = &value_->first_use_;
    value_->first_use_ = this;
  }
}

Value::~Value() {
  while (first_use_) first_use_->set(nullptr);
}

Region* Value::region() const { return node_ ? node_->parent() : argument_of_; }

void Value::replace_all_uses_with(Value* other) {
  if (other == this) return;
  while (first_use_) {
    Use* use = first_use_;
    use->user()->set_operand(use->index(), other);
  }
}

Node::Node(Op op, std::span<Value* const> operands, std::vector<Attribute> attributes,
           size_t result_count, std::vector<std::unique_ptr<Region>> regions, std::string name)
    : op_(op),
      result_count_(static_cast<uint32_t>(result_count)),
      results_(result_count ? new Value[result_count] : nullptr),
      attributes_(std::move(attributes)),
      regions_(std::move(regions)),
      name_(std::move(name)) {
  set_operands(operands);
  for (uint32_t i = 0; i < result_count_; ++i) {
    results_[i].node_ = this;
    results_[i].index_ = i;
    results_[i].type_.shape = Shape::unranked();
  }
  for (const auto& region : regions_) region->owner_ = this;
  for (const AttributeSpec& spec : schema().attributes) {
    if (spec.default_value && !find_attribute(spec.name)) {
      attributes_.push_back({spec.name, *spec.default_value});
    }
  }
}

Node::~Node() = default;

std::string Node::display_name() const {
  if (!name_.empty()) return name_;
  return result_count_ > 0 ? results_[0].name() : std::string();
}

std::vector<Value*> Node::operands() const {
  std::vector<Value*> values(operand_count_);
  for (size_t i = 0; i < values.size(); ++i) values[i] = operands_[i].value();
  return values;
}

void Node::set_operands(std::span<Value* const> values) {
  // Trailing absent operands carry no meaning; without them equal nodes look equal.
  while (!values.empty() && !values.back()) values = values.first(values.size() - 1);
  operands_.reset(values.empty() ? nullptr : new Use[values.size()]);
  operand_count_ = static_cast<uint32_t>(values.size());
  for (uint32_t i = 0; i < operand_count_; ++i) {
    operands_[i].user_ = this;
    operands_[i].index_ = i;
    operands_[i].set(values[i]);
  }
}

bool Node::unused() const {
  for (size_t i = 0; i < result_count_; ++i) {
    if (!results_[i].unused()) return false;
  }
  return true;
}

void Node::set_attribute(AttributeName name, AttributeValue value) {
  for (Attribute& attribute : attributes_) {
    if (attribute.name == name) {
      attribute.value = std::move(value);
      return;
    }
  }
  attributes_.push_back({name, std::move(value)});
}

const AttributeValue* Node::find_attribute(AttributeName name) const {
  for (const Attribute& attribute : attributes_) {
    if (attribute.name == name) return &attribute.value;
  }
  return nullptr;
}

const AttributeValue& Node::required_attribute(AttributeName name) const {
  const AttributeValue* value = find_attribute(name);
  if (!value) {
    throw Error("missing attribute", std::string(refrain::name(name)))
        .at_node(display_name(), std::string(refrain::name(op_)));
  }
  return *value;
}

Region::~Region() {
  // Users before what they use, so that no use outlives its value.
  while (last_) erase(last_);
}

Value* Region::add_argument(ValueType type, std::string name) {
  Value& value = arguments_.emplace_back();
  value.argument_of_ = this;
  value.index_ = static_cast<uint32_t>(arguments_.size() - 1);
  value.type_ = std::move(type);
  value.name_ = std::move(name);
  return &value;
}

Node* Region::insert(std::unique_ptr<Node> owned, Node* position) {
  Node* node = owned.release();
  node->parent_ = this;
  node->next_ = position;
  node->previous_ = position ? position->previous_ : last_;
  (node->previous_ ? node->previous_->next_ : first_) = node;
  (position ? position->previous_ : last_) = node;
  ++size_;
  return node;
}

std::unique_ptr<Node> Region::remove(Node* node) {
  (node->previous_ ? node->previous_->next_ : first_) = node->next_;
  (node->next_ ? node->next_->previous_ : last_) = node->previous_;
  node->parent_ = nullptr;
  node->previous_ = node->next_ = nullptr;
  --size_;
  return std::unique_ptr<Node>(node);
}

Node* Region::yield() const {
  if (!has_yield()) throw Error("a region does not end in a yield");
  return last_;
}

void Graph::set_outputs(std::span<Value* const> values, std::vector<std::string> names) {
  if (values.size() != names.size()) {
    throw Error("a graph needs one name for each output", std::to_string(values.size()),
                std::to_string(names.size()));
  }
  if (body_->has_yield()) body_->erase(body_->last());
  body_->insert(std::make_unique<Node>(Op::yield, values, std::vector<Attribute>{}, 0));
  output_names_ = std::move(names);
}

size_t count_nodes(const Region& region) {
  size_t count = region.size();
  for (const Node* node = region.first(); node; node = node->next()) {
    for (size_t i = 0; i < node->region_count(); ++i) count += count_nodes(node->region(i));
  }
  return count;
}

}  // namespace refrain
