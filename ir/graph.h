// The graph: values, nodes, uses and regions.
//
// A Graph owns one Region; a Region owns its arguments and an ordered list of nodes that ends in a
// `yield`; a Node owns its results and its nested regions. Every region is closed: its nodes use
// only values of the same region. What a nested region needs from outside comes in through operands
// of the node that holds it (constants are cloned into it instead).
//
// Nothing here is thread-safe; a graph that nobody changes may be read by any number of threads.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/attribute.h"
#include "ir/op.h"
#include "ir/shape.h"

namespace refrain {

class Node;
class Region;
class Value;

// Deepest nesting of regions that any part of Refrain accepts; it bounds every recursion over them.
inline constexpr int kMaxRegionDepth = 64;

// One operand of one node: a link in the list of its value's uses.
class Use {
 public:
  Use() = default;
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use() { set(nullptr); }

  Value* value() const { return value_; }
  Node* user() const { return user_; }
  size_t index() const { return index_; }
  Use* next() const { return next_; }

 private:
  friend class Node;
  friend class Value;
  void set(Value* value);

  Value* value_ = nullptr;
  Node* user_ = nullptr;
  uint32_t index_ = 0;
  Use* next_ = nullptr;
  Use** previous_ = nullptr;  // the pointer that points here
};

// An SSA value: a node's result or a region's argument.
class Value {
 public:
  Value() = default;
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;
  ~Value();  // uses that are left become absent operands

  const ValueType& type() const { return type_; }
  void set_type(ValueType type) { type_ = std::move(type); }
  // A name for people; not necessarily unique, may be empty. The text form makes it unique.
  const std::string& name() const { return name_; }
  void set_name(std::string name) { name_ = std::move(name); }

  Node* node() const { return node_; }     // whose result it is; null for an argument
  Region* region() const;                  // where it is defined
  size_t index() const { return index_; }  // among the results or the arguments
  bool is_argument() const { return !node_; }

  Use* first_use() const { return first_use_; }
  bool unused() const { return !first_use_; }
  bool has_one_use() const { return first_use_ && !first_use_->next(); }
  void replace_all_uses_with(Value* other);

 private:
  friend class Node;
  friend class Region;
  friend class Use;

  ValueType type_;
  std::string name_;
  Node* node_ = nullptr;
  Region* argument_of_ = nullptr;
  uint32_t index_ = 0;
  Use* first_use_ = nullptr;
};

class Node {
 public:
  // Attributes that the schema has a default for are filled in. The result types are f32[*] until
  // they are set; Builder::create is the usual way, which infers them.
  Node(Op op, std::span<Value* const> operands, std::vector<Attribute> attributes,
       size_t result_count, std::vector<std::unique_ptr<Region>> regions = {},
       std::string name = {});
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node();

  Op op() const { return op_; }
  const OpSchema& schema() const { return refrain::schema(op_); }
  // Where the node came from (the node's name in the model's file), for messages; may be empty.
  const std::string& name() const { return name_; }
  void set_name(std::string name) { name_ = std::move(name); }
  // The name, or if it has none the first result's.
  std::string display_name() const;

  size_t operand_count() const { return operand_count_; }
  Value* operand(size_t i) const { return i < operand_count_ ? operands_[i].value() : nullptr; }
  void set_operand(size_t i, Value* value) { operands_[i].set(value); }
  std::vector<Value*> operands() const;
  void set_operands(std::span<Value* const> values);

  size_t result_count() const { return result_count_; }
  Value* result(size_t i = 0) const { return &results_[i]; }
  bool unused() const;  // no result has a use

  const std::vector<Attribute>& attributes() const { return attributes_; }
  void set_attribute(AttributeName name, AttributeValue value);
  const AttributeValue* find_attribute(AttributeName name) const;
  // The attribute's value; the node must have it, and of this type (the schema says so).
  template <typename T>
  const T& attribute(AttributeName name) const {
    return std::get<T>(required_attribute(name));
  }
  bool flag(AttributeName name) const { return attribute<bool>(name); }
  int64_t integer(AttributeName name) const { return attribute<int64_t>(name); }
  double real(AttributeName name) const { return attribute<double>(name); }
  const std::vector<int64_t>& integers(AttributeName name) const {
    return attribute<std::vector<int64_t>>(name);
  }
  const std::string& string(AttributeName name) const { return attribute<std::string>(name); }

  size_t region_count() const { return regions_.size(); }
  Region& region(size_t i = 0) const { return *regions_[i]; }

  Region* parent() const { return parent_; }
  Node* previous() const { return previous_; }
  Node* next() const { return next_; }

 private:
  friend class Region;
  const AttributeValue& required_attribute(AttributeName name) const;

  Op op_;
  uint32_t operand_count_ = 0;
  uint32_t result_count_ = 0;
  std::unique_ptr<Use[]> operands_;
  std::unique_ptr<Value[]> results_;
  std::vector<Attribute> attributes_;
  std::vector<std::unique_ptr<Region>> regions_;
  std::string name_;
  Region* parent_ = nullptr;
  Node* previous_ = nullptr;
  Node* next_ = nullptr;
};

class Region {
 public:
  Region() = default;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  ~Region();

  size_t argument_count() const { return arguments_.size(); }
  Value* argument(size_t i) { return &arguments_[i]; }
  const Value* argument(size_t i) const { return &arguments_[i]; }
  Value* add_argument(ValueType type, std::string name = {});

  Node* first() const { return first_; }
  Node* last() const { return last_; }
  bool empty() const { return !first_; }
  // Number of nodes, the yield included, nested regions not.
  size_t size() const { return size_; }

  // Inserts before `position`, or at the end if that is null; the region takes ownership.
  Node* insert(std::unique_ptr<Node> node, Node* position = nullptr);
  // Takes a node out; its results must have no uses left, or only uses that go with it.
  std::unique_ptr<Node> remove(Node* node);
  void erase(Node* node) { remove(node); }

  // The yield at the end. Throws Error if the region has none.
  Node* yield() const;
  bool has_yield() const { return last_ && last_->op() == Op::yield; }
  size_t result_count() const { return yield()->operand_count(); }
  Value* result(size_t i) const { return yield()->operand(i); }

  Node* owner() const { return owner_; }  // the node that holds this region; null for a graph's own

 private:
  friend class Node;
  std::deque<Value> arguments_;
  Node* first_ = nullptr;
  Node* last_ = nullptr;
  size_t size_ = 0;
  Node* owner_ = nullptr;
};

// A whole program: a region whose arguments are the inputs, with names for inputs and outputs.
// Input names are their values' names (unique); output i is the region's result i.
class Graph {
 public:
  explicit Graph(std::string name = "main") : name_(std::move(name)), body_(new Region) {}

  const std::string& name() const { return name_; }
  void set_name(std::string name) { name_ = std::move(name); }
  Region& body() { return *body_; }
  const Region& body() const { return *body_; }

  size_t input_count() const { return body_->argument_count(); }
  Value* input(size_t i) const { return body_->argument(i); }
  Value* add_input(ValueType type, std::string name) {
    return body_->add_argument(std::move(type), std::move(name));
  }
  size_t output_count() const { return output_names_.size(); }
  const std::vector<std::string>& output_names() const { return output_names_; }
  Value* output(size_t i) const { return body_->result(i); }
  // Ends the body with a yield of these values under these names.
  void set_outputs(std::span<Value* const> values, std::vector<std::string> names);

 private:
  std::string name_;
  std::unique_ptr<Region> body_;
  std::vector<std::string> output_names_;
};

// Number of nodes of a region and of all regions inside it.
size_t count_nodes(const Region& region);

}  // namespace refrain
