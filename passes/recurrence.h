// Internal to `passes`: the repeated part of an unrolled graph.
//
// A recurrence is a set of members. A member stands for one node of the loop's body: it holds that
// node's occurrences, one an iteration, with consecutive numbers of its own. Where an occurrence
// reads another member's, it reads it at a fixed distance, in the members' numbers, in every
// iteration. What the members are is found out on two neighbouring iterations in the middle of the
// graph, where nothing irregular is; from there they are followed to both ends.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/graph.h"
#include "passes/element.h"

namespace refrain::passes::internal {

struct MemberOperand {
  enum class Kind : uint8_t {
    absent,
    invariant,  // one value for all iterations
    element,    // an element of one tensor for each, see element_of
    constant,   // a constant for each
    outside,    // any value from outside for each
    member,     // a result of a member
  };
  Kind kind = Kind::absent;
  Value* value = nullptr;  // invariant
  Element element;         // of which the index is another in each iteration
  size_t member = 0;       // whose result is read, `distance` occurrences ago by its own numbers
  size_t result = 0;
  int64_t distance = 0;
};

struct Member {
  std::vector<MemberOperand> operands;
  std::deque<Node*> nodes;
  int64_t first = 0;  // number of nodes[0]
  int64_t shift = 0;  // iteration of an occurrence: its number plus this; set by align()

  int64_t end() const { return first + static_cast<int64_t>(nodes.size()); }
  bool has(int64_t number) const { return number >= first && number < end(); }
  Node* at(int64_t number) const { return nodes[static_cast<size_t>(number - first)]; }
  // By iteration; null where there is none.
  Node* in(int64_t iteration) const {
    return has(iteration - shift) ? at(iteration - shift) : nullptr;
  }
};

// Two nodes that may be occurrences of one member, as far as that depends on them alone.
bool same_kind(const Node& a, const Node& b);

class Recurrence {
 public:
  // Values of nodes in `taken` are from outside.
  explicit Recurrence(const std::unordered_set<const Node*>& taken) : taken_(taken) {}

  // Finds the recurrence that a chain of nodes belongs to, one an iteration, each dependent on the
  // one `period` before. Returns an empty string, or why there is none.
  std::string find(const std::vector<Node*>& chain, size_t period = 1);

  const std::vector<Member>& members() const { return members_; }
  // Members in an order in which each follows those that it reads in the same iteration.
  const std::vector<size_t>& order() const { return order_; }
  // Iterations by the distance of an operand: 0 is the same one.
  int64_t delay(const Member& reader, const MemberOperand& operand) const {
    return operand.distance + reader.shift - members_[operand.member].shift;
  }
  // Iterations begin .. end-1 have all their nodes, but for some that nothing reads in the last
  // and, if `folded` is true, some in the first ones whose values are constants.
  int64_t begin() const { return begin_; }
  int64_t end() const { return end_; }
  bool folded() const { return folded_; }
  // Leaves the first iteration, or all whose folded nodes could not be restored, outside.
  void drop_first();
  // Whether the node is a member's occurrence in one of these iterations.
  bool covers(const Node* node) const;

 private:
  struct Place {
    size_t member;
    int64_t number;
  };
  std::string find_around(const std::vector<Node*>& chain, size_t middle, size_t period);
  bool meets_an_end() const;
  const Place* place(const Node* node) const;
  bool free(const Node* node) const { return !taken_.contains(node) && !places_.contains(node); }
  size_t add_member(Node* a, Node* b);
  bool put(size_t member, int64_t number, Node* node);
  std::string classify(size_t member, size_t operand);
  bool classify_outer(const Value* a, const Value* b, MemberOperand& found) const;
  void add_readers();
  // Nodes of the two iterations in the middle, each with its twin.
  using Pairs = std::vector<std::pair<Node*, Node*>>;
  bool collect(Node* a, Node* b, Pairs& pairs) const;
  bool fits(const Member& member, int64_t number, const Node& node) const;
  Node* candidate(size_t member, int64_t number) const;
  void extend();
  std::string align();
  void align_rest(std::vector<bool>& aligned);
  void delay_folded(int64_t iterations);
  std::string find_order();
  void find_iterations();
  bool read_in(size_t member, int64_t iteration) const;

  const std::unordered_set<const Node*>& taken_;
  std::vector<Member> members_;
  std::unordered_map<const Node*, Place> places_;
  // For each member, who reads it: member and operand.
  std::vector<std::vector<std::pair<size_t, size_t>>> readers_;
  std::vector<size_t> order_;
  int64_t bulk_ = 0;  // number of the first of the two neighbours that it was found from
  int64_t begin_ = 0, end_ = 0;
  bool folded_ = false;
};

}  // namespace refrain::passes::internal
