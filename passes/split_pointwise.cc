// Parts of element-wise results become element-wise results of parts: split(a + b) = split(a) +
// split(b), so that what is cut is a product or a slice of an input, and each gate of a cell an
// expression of its own, however the cell was written.
//
// Only in the bodies of scans and loops, along the last axis. Slices that share their operand and
// don't overlap become one split. What does not depend on state stays whole: it leaves the loop as
// one value. Exact.
#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "passes/body.h"
#include "passes/passes.h"

namespace refrain::passes {
namespace {

using internal::Body;
using internal::Cut;
using internal::cut_along;
using internal::Dependence;

// More parts than this stay together: gates are few, and each element-wise op would become as many.
constexpr size_t kMaxParts = 16;

std::vector<Value*> values_of(const Node& node) {
  std::vector<Value*> values;
  for (size_t i = 0; i < node.result_count(); ++i) values.push_back(node.result(i));
  return values;
}

// The extent of the last axis, if it is known.
std::optional<int64_t> width_of(const Value* value) {
  const Shape& shape = value->type().shape;
  if (!value->type().is_tensor() || !shape.ranked() || shape.rank() == 0) return std::nullopt;
  const Dim last = shape[shape.rank() - 1];
  return last.is_constant() ? std::optional(last.extent()) : std::nullopt;
}

struct Piece {
  int64_t begin, end;
  std::vector<Value*> values;
};

// What the value's users take of it along its last axis, in order; none if one of them takes more
// than that, or parts overlap. The users themselves are added to `users`.
std::vector<Piece> pieces_of(const Value* value, std::vector<Node*>& users) {
  const size_t axis = value->type().shape.rank() - 1;
  std::vector<Piece> pieces;
  for (const Use* use = value->first_use(); use; use = use->next()) {
    Node* user = use->user();
    if ((user->op() != Op::split && user->op() != Op::slice) || use->index() != 0) return {};
    users.push_back(user);
    std::optional<Cut> cut = cut_along(user->result(), axis);
    for (Value* part : values_of(*user)) {
      const std::optional<int64_t> width = width_of(part);
      if (!cut || !width) return {};
      if (part->index() > 0) cut = Cut{cut->whole, cut->end, cut->end + *width};
      if (part->unused()) continue;
      if (*width == 0) return {};  // nothing, which somebody reads
      pieces.push_back({cut->begin, cut->end, {part}});
    }
  }
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::vector<Piece> distinct;
  for (Piece& piece : pieces) {
    if (!distinct.empty() && distinct.back().begin == piece.begin &&
        distinct.back().end == piece.end) {
      distinct.back().values.push_back(piece.values[0]);
    } else if (!distinct.empty() && distinct.back().end > piece.begin) {
      return {};
    } else {
      distinct.push_back(std::move(piece));
    }
  }
  return distinct;
}

// A split along the last axis, right after the value is made.
Node* insert_split(Body& body, Value* value, const std::vector<int64_t>& sizes) {
  Node* position = value->is_argument() ? body.region().first() : value->node()->next();
  Builder builder(body.region(), position);
  if (!value->is_argument()) builder.set_node_name(value->node()->name());
  const std::vector<Value*> operands = {value, builder.ints(sizes)};
  return builder.create(Op::split, operands, {{AttributeName::axis, int64_t{-1}}}, sizes.size());
}

class Splitter {
 public:
  explicit Splitter(Body& body) : body_(body) {}

  bool run() {
    // Users first: what is pushed up lands on nodes that are still to come.
    for (Node* node = body_.region().last(); node; node = node->previous()) {
      if (node->op() == Op::yield || body_.retired(node)) continue;
      std::unordered_map<Value*, Node*> splits;
      for (Value* value : values_of(*node)) {
        if (Node* split = only_split(value)) splits.emplace(value, split);
      }
      if (splits.empty()) continue;
      if (node->op() == Op::split) {
        flatten(*node, splits);
      } else {
        push_up(*node, *splits.begin()->second);
      }
    }
    for (size_t i = 0; i < body_.region().argument_count(); ++i) {
      only_split(body_.region().argument(i));
    }
    return changed_;
  }

 private:
  // The split that is the value's only user, after all that take parts of it have become one.
  Node* only_split(Value* value) {
    if (!width_of(value) || body_.dependence(value) == Dependence::none) return nullptr;
    std::vector<Node*> users;
    const std::vector<Piece> pieces = pieces_of(value, users);
    if (users.size() == 1 && users[0]->op() == Op::split && !pieces.empty()) return users[0];
    if (pieces.size() < 2) return nullptr;
    std::vector<int64_t> sizes;
    std::vector<size_t> index;
    int64_t end = 0;
    for (const Piece& piece : pieces) {
      if (piece.begin > end) sizes.push_back(piece.begin - end);
      index.push_back(sizes.size());
      sizes.push_back(piece.end - piece.begin);
      end = piece.end;
    }
    if (*width_of(value) > end) sizes.push_back(*width_of(value) - end);
    Node* split = insert_split(body_, value, sizes);
    for (size_t i = 0; i < pieces.size(); ++i) {
      for (Value* part : pieces[i].values) body_.replace(part, split->result(index[i]));
    }
    for (Node* user : users) body_.retire(user);
    changed_ = true;
    return split;
  }

  // Splits of parts of a split: one with more parts, in the place of `outer`.
  void flatten(Node& outer, const std::unordered_map<Value*, Node*>& splits) {
    const size_t last = outer.result()->type().shape.rank() - 1;
    if (normalize_axis(outer.integer(AttributeName::axis), last + 1) != last) return;
    std::vector<int64_t> sizes;
    std::vector<Value*> old;
    for (Value* value : values_of(outer)) {
      const auto it = splits.find(value);
      const std::vector<Value*> pieces =
          it == splits.end() ? std::vector<Value*>{value} : values_of(*it->second);
      for (Value* piece : pieces) {
        const std::optional<int64_t> width = width_of(piece);
        if (!width) return;
        old.push_back(piece);
        sizes.push_back(*width);
      }
    }
    Builder builder(body_.region(), &outer);
    builder.set_node_name(outer.name());
    const std::vector<Value*> operands = {outer.operand(0), builder.ints(sizes)};
    const Node* split =
        builder.create(Op::split, operands, {{AttributeName::axis, int64_t{-1}}}, sizes.size());
    for (size_t i = 0; i < old.size(); ++i) body_.replace(old[i], split->result(i));
    for (const auto& [part, inner] : splits) body_.retire(inner);
    body_.retire(&outer);
    changed_ = true;
  }

  void push_up(Node& node, Node& split) {
    if (!is_elementwise(node.op()) || node.result_count() != 1) return;
    if (split.result_count() > kMaxParts) return;
    if (body_.dependence(node.result()) != Dependence::state) return;
    const int64_t width = *width_of(node.result());
    if (width <= 1) return;
    for (const Value* operand : node.operands()) {
      if (!operand || !operand->type().shape.ranked()) return;
      if (operand->type().shape.rank() == 0) continue;
      const std::optional<int64_t> extent = width_of(operand);
      if (extent != 1 && extent != width) return;
    }
    std::vector<int64_t> sizes;
    for (const Value* part : values_of(split)) sizes.push_back(*width_of(part));
    std::unordered_map<Value*, Node*> splits;
    for (Value* operand : node.operands()) {
      if (operand->type().shape.rank() == 0 || width_of(operand) != width) continue;
      if (!splits.contains(operand)) splits[operand] = insert_split(body_, operand, sizes);
    }
    Builder builder(body_.region(), &node);
    builder.set_node_name(node.name());
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (split.result(i)->unused()) continue;
      std::vector<Value*> operands = node.operands();
      for (Value*& operand : operands) {
        if (const auto it = splits.find(operand); it != splits.end()) {
          operand = it->second->result(i);
        }
      }
      body_.replace(split.result(i),
                    builder.create(node.op(), operands, node.attributes())->result());
    }
    body_.retire(&split);
    body_.retire(&node);
    changed_ = true;
  }

  Body& body_;
  bool changed_ = false;
};

}  // namespace

bool split_pointwise(Graph& graph, const PassContext&) {
  return internal::for_each_body(graph.body(), [](Body& body) { return Splitter(body).run(); });
}

}  // namespace refrain::passes
