#include <algorithm>
#include <cmath>
#include <utility>

#include "backends/executable/loop_finder.h"
#include "backends/executable/pointwise.h"
#include "ir/slice.h"

namespace refrain::executable {
namespace {

using highway::Stream;

// Deepest chain of operations that is followed; deeper bodies run step by step.
constexpr int kMaxDepth = 500;

bool is_truth(const Value& value) { return value.type().element == ElementType::boolean; }

}  // namespace

size_t LoopFinder::expression(const Value* value, int64_t offset, int64_t width) {
  if (failed_) return 0;
  const Piece piece{value, offset, width};
  const auto found = known_.find(piece);
  if (found != known_.end()) return found->second;
  if (++depth_ > kMaxDepth) fail();
  const size_t made = failed_ ? 0 : make(piece);
  --depth_;
  known_[piece] = made;
  return made;
}

size_t LoopFinder::make(const Piece& piece) {
  const Value* value = piece.value;
  if (value->is_argument()) return argument(value, piece);
  const Node& node = *value->node();
  if (!is_f32(*value) && !is_truth(*value)) return fail();
  switch (node.op()) {
    case Op::constant:
      return is_f32(*value) ? outside(value, value, piece) : fail();
    case Op::cast:
      // Truth values are 1 and 0 here as well.
      if (!is_truth(*node.operand(0))) return fail();
      return expression(node.operand(0), piece.offset, piece.width);
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze:
      // The same rows and columns; other shapes in between don't matter.
      if (row_form(*value).width != row_form(*node.operand(0)).width) return fail();
      return expression(node.operand(0), piece.offset, piece.width);
    case Op::split:
      return split(node, value, piece);
    case Op::slice:
      return slice(node, piece);
    case Op::concat:
      return concatenation(node, piece);
    case Op::matmul:
      return product(node, piece);
    case Op::add:
      return sum(node, piece);
    default:
      return operation(node, piece);
  }
}

size_t LoopFinder::argument(const Value* value, const Piece& piece) {
  if (is_truth(*value)) return widened(value, piece);
  if (!is_f32(*value)) return fail();
  const size_t index = value->index(), invariants = view_.invariants();
  if (index < invariants) {
    return outside(value, node_.operand(view_.invariant_operand(index)), piece);
  }
  if (row_form(*value).rows != rows_) return fail();
  Stream stream;
  if (index < invariants + view_.states()) {
    stream.kind = Stream::Kind::state;
    stream.buffer = index - invariants;
    stream.row_stride = row_form(*value).width;
  } else {
    const size_t slot = index - invariants - view_.states();
    const Value* scanned = node_.operand(view_.scanned_operand(slot));
    if (const Lowering::Group* feed = taken_feed(value)) {
      const bool reverse = view_.scan_slot(slot).reverse && !view_.has_lengths();
      return fed(scanned, *feed, reverse, piece);
    }
    const auto whole = whole_stream(scanned, view_.scan_slot(slot), row_form(*value).width, false);
    if (!whole) return fail();
    stream = *whole;
  }
  stream.offset += piece.offset;
  return writer_.stream(stream, piece.width);
}

// The feed of a slice of which the loop computes the product itself.
const Lowering::Group* LoopFinder::taken_feed(const Value* slice) {
  const size_t first = view_.invariants() + view_.states();
  if (!take_feeds_ || !slice->is_argument() || slice->index() < first) return nullptr;
  const Value* scanned = node_.operand(view_.scanned_operand(slice->index() - first));
  const Lowering::Group* feed = lowering_.feed_of(scanned);
  if (feed && std::find(form_.taken.begin(), form_.taken.end(), scanned) == form_.taken.end()) {
    form_.taken.push_back(scanned);
  }
  return feed;
}

// The product is one of the loop's own; its left side moves with time.
size_t LoopFinder::fed(const Value* value, const Lowering::Group& feed, bool reverse,
                       const Piece& piece) {
  if (++depth_ > kMaxDepth) return fail();
  const Node* node = value->node();
  size_t made = 0;
  if (node && feed.holds(node) && node == feed.product) {
    const Value* left = node->operand(0);
    // One stream for all pieces, so that their gates become one product.
    const auto [known, first] = fed_.try_emplace({left, reverse}, 0);
    if (first) {
      Stream stream;
      stream.buffer = buffer(left, false);
      stream.row_stride = row_form(*left).width;
      stream.time_stride = (reverse ? -rows_ : rows_) * stream.row_stride;
      if (reverse) stream.offset = (1 - steps_) * stream.time_stride;
      known->second = writer_.stream(stream, stream.row_stride);
    }
    Expression gate;
    gate.kind = Expression::Kind::gate;
    gate.width = piece.width;
    gate.terms.push_back({known->second, lowering_.constant(node->operand(1)), 0, piece.offset});
    gate.shared = !node->result()->has_one_use();
    made = writer_.gate(std::move(gate));
  } else if (node && feed.holds(node)) {
    std::vector<size_t> operands;
    for (size_t i = 0; i < node->operand_count(); ++i) {
      operands.push_back(fed(node->operand(i), feed, reverse, piece));
    }
    made = node->op() == Op::add ? writer_.sum(operands, piece.width, true)
                                 : writer_.operation(*instruction_of(*node), operands, piece.width);
  } else {
    made = outside(value, value, piece);
  }
  --depth_;
  return made;
}

// An invariant or a constant: one number, one row for all rows, or rows that stay.
size_t LoopFinder::outside(const Value* inner, const Value* outer, const Piece& piece) {
  const Tensor* tensor = inner->node() && inner->node()->op() == Op::constant
                             ? inner->node()->attribute<TensorPtr>(AttributeName::value).get()
                             : lowering_.constant(outer);
  if (const auto number = single_element(tensor)) return writer_.constant(*number, piece.width);
  const RowForm form = row_form(*inner);
  Stream stream;
  if (form.rows == 1) {
    stream.kind = Stream::Kind::units;
  } else if (form.rows == rows_) {
    stream.row_stride = form.width;
  } else {
    return fail();
  }
  stream.buffer = buffer(outer, false);
  stream.offset = piece.offset;
  return writer_.stream(stream, piece.width);
}

std::optional<float> LoopFinder::number(const Value* value) const {
  const Tensor* tensor = lowering_.constant(value);
  if (value->node() && value->node()->op() == Op::constant) {
    tensor = value->node()->attribute<TensorPtr>(AttributeName::value).get();
  } else if (value->is_argument() && value->index() < view_.invariants()) {
    tensor = lowering_.constant(node_.operand(view_.invariant_operand(value->index())));
  }
  return single_element(tensor);
}

// The operand of an element-wise node at the place of a piece of its result.
size_t LoopFinder::operand(const Value* value, const Value* result, const Piece& piece) {
  const RowForm form = row_form(*value), whole = row_form(*result);
  if (form.width == whole.width) return expression(value, piece.offset, piece.width);
  if (const auto constant = number(value)) return writer_.constant(*constant, piece.width);
  return form.width == 1 ? widened(value, piece) : fail();
}

// An operation of single elements is done for all columns.
size_t LoopFinder::widened_operation(const Node& node, const Piece& piece) {
  const auto instruction = instruction_of_truths(node);
  if (!instruction || row_form(*node.result()).width != 1 || ++depth_ > kMaxDepth) return fail();
  std::vector<size_t> operands;
  for (size_t i = 0; i < node.operand_count() && !failed_; ++i) {
    const auto constant = number(node.operand(i));
    operands.push_back(constant ? writer_.constant(*constant, piece.width)
                                : widened(node.operand(i), piece));
  }
  --depth_;
  return failed_ ? 0 : writer_.operation(*instruction, std::move(operands), piece.width);
}

// A slice or an invariant of truth values, or of one element for all columns of a row, as a stream
// of f32 of whole rows, which is made before the loop.
size_t LoopFinder::widened(const Value* value, const Piece& piece) {
  while (const Node* node = value->node()) {
    const bool view = node->op() == Op::reshape || node->op() == Op::squeeze ||
                      node->op() == Op::unsqueeze ||
                      (node->op() == Op::cast && is_f32(*value) && is_truth(*node->operand(0)));
    if (!view) return widened_operation(*node, piece);
    value = node->operand(0);
  }
  const size_t first = view_.invariants() + view_.states();
  if (value->index() >= view_.invariants() && value->index() < first) return fail();
  if (!is_f32(*value) && !is_truth(*value)) return fail();
  const bool scanned = value->index() >= first;
  const size_t operand = scanned ? view_.scanned_operand(value->index() - first)
                                 : view_.invariant_operand(value->index());
  const Value* whole = node_.operand(operand);
  const int64_t count = element_count(extents_of(*value));
  if (count != rows_ && count != rows_ * row_form(*piece.value).width) return fail();
  LoopBuffer buffer{whole};
  buffer.repeated = count == rows_ ? piece.width : 1;
  Stream stream;
  stream.row_stride = buffer.repeated * count / rows_;
  stream.offset = count == rows_ ? 0 : piece.offset;
  if (scanned) {
    const ScanSlot slot = view_.scan_slot(value->index() - first);
    if (normalize_axis(slot.axis, extents_of(*whole).size()) != 0 || lowering_.feed_of(whole))
      return fail();
    stream.time_stride = rows_ * stream.row_stride;
    if (slot.reverse && !view_.has_lengths()) {
      stream.offset += (steps_ - 1) * stream.time_stride;
      stream.time_stride = -stream.time_stride;
    }
  }
  const auto [known, fresh] = widened_.try_emplace({whole, buffer.repeated}, form_.buffers.size());
  if (fresh) form_.buffers.push_back(buffer);
  stream.buffer = known->second;
  return writer_.stream(stream, piece.width);
}

size_t LoopFinder::operation(const Node& node, const Piece& piece) {
  const auto instruction = instruction_of_truths(node);
  const int64_t rows = row_form(*node.result()).rows;
  if (!instruction || (rows != rows_ && rows != 1)) return fail();
  std::vector<size_t> operands;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    operands.push_back(operand(node.operand(i), node.result(), piece));
  }
  return failed_ ? 0 : writer_.operation(*instruction, std::move(operands), piece.width);
}

// The addends of a sum of sums that nothing else reads.
void LoopFinder::addends(const Value* value, const Piece& piece, bool root,
                         std::vector<size_t>& terms) {
  const Node* node = value->node();
  const bool inside = node && node->op() == Op::add && (root || value->has_one_use()) &&
                      row_form(*value).width == row_form(*piece.value).width &&
                      ++depth_ <= kMaxDepth;
  if (!inside) {
    terms.push_back(operand(value, piece.value, piece));
    return;
  }
  addends(node->operand(0), piece, false, terms);
  addends(node->operand(1), piece, false, terms);
  --depth_;
}

// Products that meet in a sum become one gate.
size_t LoopFinder::sum(const Node& node, const Piece& piece) {
  const int64_t rows = row_form(*node.result()).rows;
  if (rows != rows_ && rows != 1) return fail();
  std::vector<size_t> terms;
  addends(node.result(), piece, true, terms);
  return failed_ ? 0 : writer_.sum(terms, piece.width);
}

size_t LoopFinder::product(const Node& node, const Piece& piece) {
  const Value* right = node.operand(1);
  const Tensor* weights = lowering_.constant(right);
  if (right->node() && right->node()->op() == Op::constant) {
    weights = right->node()->attribute<TensorPtr>(AttributeName::value).get();
  } else if (right->is_argument() && right->index() < view_.invariants()) {
    weights = lowering_.constant(node_.operand(view_.invariant_operand(right->index())));
  }
  if (!weights || weights->rank() != 2 || weights->size() == 0) return fail();
  if (weights->type() != ElementType::f32 || row_form(*node.result()).rows != rows_) return fail();
  Expression gate;
  gate.kind = Expression::Kind::gate;
  gate.width = piece.width;
  if (!add_terms(node.operand(0), 0, *weights, piece.offset, gate)) return fail();
  if (gate.terms.empty()) return writer_.constant(0, piece.width);
  // A gate that only one reader has may be merged into a sum; views of the product count as one.
  gate.shared = !node.result()->has_one_use();
  return writer_.gate(std::move(gate));
}

// Terms of left * weights[row.., column..], one for each part that the left side is put together
// of.
bool LoopFinder::add_terms(const Value* left, int64_t row, const Tensor& weights, int64_t column,
                           Expression& gate) {
  const Node* node = left->node();
  const RowForm form = row_form(*left);
  if (node && node->op() == Op::concat) {
    const auto rank = static_cast<int64_t>(extents_of(*left).size());
    const int64_t axis = node->integer(AttributeName::axis);
    if (axis == -1 || axis + 1 == rank) {
      for (size_t i = 0; i < node->operand_count(); ++i) {
        const Value* part = node->operand(i);
        if (row_form(*part).width == 0) continue;
        if (++depth_ > kMaxDepth || !add_terms(part, row, weights, column, gate)) return false;
        --depth_;
        row += row_form(*part).width;
      }
      return true;
    }
  }
  if (form.rows != rows_) return false;
  if (vanishes(left, weights)) return true;
  const size_t source = expression(left, 0, form.width);
  if (failed_) return false;
  gate.terms.push_back({source, &weights, row, column});
  return true;
}

// Whether the left side is a state that is zero in the only step that there is.
bool LoopFinder::vanishes(const Value* left, const Tensor& weights) const {
  while (left->node() && (left->node()->op() == Op::reshape || left->node()->op() == Op::squeeze ||
                          left->node()->op() == Op::unsqueeze)) {
    left = left->node()->operand(0);
  }
  const size_t first = view_.invariants();
  if (steps_ != 1 || !left->is_argument() || left->index() < first ||
      left->index() >= first + view_.states()) {
    return false;
  }
  const Tensor* initial =
      lowering_.constant(node_.operand(view_.state_operand(left->index() - first)));
  if (!initial) return false;
  const auto zeros = initial->data<float>();
  const auto factors = weights.data<float>();
  return std::all_of(zeros.begin(), zeros.end(), [](float x) { return x == 0; }) &&
         std::all_of(factors.begin(), factors.end(), [](float w) { return std::isfinite(w); });
}

size_t LoopFinder::concatenation(const Node& node, const Piece& piece) {
  const auto rank = static_cast<int64_t>(extents_of(*piece.value).size());
  const int64_t axis = node.integer(AttributeName::axis);
  if (axis != -1 && axis + 1 != rank) return fail();
  int64_t begin = 0;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const int64_t width = row_form(*node.operand(i)).width;
    if (piece.offset >= begin && piece.offset + piece.width <= begin + width) {
      return expression(node.operand(i), piece.offset - begin, piece.width);
    }
    begin += width;
  }
  return fail();
}

size_t LoopFinder::split(const Node& node, const Value* result, const Piece& piece) {
  const auto rank = static_cast<int64_t>(extents_of(*result).size());
  const int64_t axis = node.integer(AttributeName::axis);
  if (axis != -1 && axis + 1 != rank) return fail();
  int64_t begin = piece.offset;
  for (size_t i = 0; i < result->index(); ++i) begin += row_form(*node.result(i)).width;
  return expression(node.operand(0), begin, piece.width);
}

size_t LoopFinder::slice(const Node& node, const Piece& piece) {
  const auto ints = [&](size_t i) -> std::optional<std::vector<int64_t>> {
    const Value* value = node.operand(i);
    if (!value || !value->node() || value->node()->op() != Op::constant) return {};
    return value->node()->attribute<TensorPtr>(AttributeName::value)->view().as_ints();
  };
  const auto begins = ints(1), ends = ints(2), axes = ints(3), steps = ints(4);
  if (!begins || !ends || begins->size() != 1 || ends->size() != 1) return fail();
  if ((node.operand(3) && !axes) || (node.operand(4) && !steps)) return fail();
  const std::vector<int64_t> extents = extents_of(*node.operand(0));
  const size_t axis = normalize_axis(axes ? (*axes)[0] : 0, extents.size());
  if (axis + 1 != extents.size()) return fail();
  const SliceBounds bounds =
      clamp_slice(extents[axis], (*begins)[0], (*ends)[0], steps ? (*steps)[0] : 1);
  if (bounds.step != 1 && bounds.count > 1) return fail();
  return expression(node.operand(0), bounds.begin + piece.offset, piece.width);
}

}  // namespace refrain::executable
