#include "backends/executable/row_writer.h"

#include <algorithm>

#include "backends/executable/pointwise.h"
#include "ir/error.h"
#include "ir/slice.h"

namespace refrain::executable {
namespace {

using highway::Operation;
using highway::RowElement;
using highway::RowInstruction;
using highway::RowOperation;

bool is_reduction(Op op) {
  return op == Op::reduce_sum || op == Op::reduce_mean || op == Op::reduce_max ||
         op == Op::reduce_min;
}

bool is_truth_or_real(const Value& value) {
  return value.type().element == ElementType::f32 || value.type().element == ElementType::boolean;
}

// A reduction without its axis leaves one element a row.
RowForm form_of(const Value& value) {
  const Node* node = value.node();
  if (node && is_reduction(node->op()) && !node->flag(AttributeName::keep_dims)) {
    return {element_count(extents_of(value)), 1};
  }
  return row_form(value);
}

bool on_last_axis(int64_t axis, const Value& value) {
  const auto rank = static_cast<int64_t>(extents_of(value).size());
  return axis == -1 || axis + 1 == rank;
}

bool reduces_rows(const Lowering& lowering, const Node& node) {
  const Value& x = *node.operand(0);
  if (x.type().element != ElementType::f32 || extents_of(x).empty()) return false;
  std::vector<int64_t> axes;
  if (node.operand(1)) {
    const Tensor* tensor = lowering.constant(node.operand(1));
    if (!tensor) return false;
    axes = tensor->view().as_ints();
  }
  if (axes.size() == 1) return on_last_axis(axes[0], x);
  return axes.empty() && !node.flag(AttributeName::noop_with_empty_axes) && row_form(x).rows == 1;
}

// The columns that a slice takes, if it takes only some columns.
std::optional<SliceBounds> sliced_columns(const Lowering& lowering, const Node& node) {
  for (size_t i = 1; i < node.operand_count(); ++i) {
    if (node.operand(i) && !lowering.constant(node.operand(i))) return {};
  }
  const auto ints = [&](size_t i) { return lowering.constant(node.operand(i))->view().as_ints(); };
  const std::vector<int64_t> extents = extents_of(*node.operand(0)), begins = ints(1);
  if (begins.size() != 1 || extents.empty()) return {};
  if (!on_last_axis(node.operand(3) ? ints(3)[0] : 0, *node.operand(0))) return {};
  const SliceBounds bounds =
      clamp_slice(extents.back(), begins[0], ints(2)[0], node.operand(4) ? ints(4)[0] : 1);
  if (bounds.count < 1 || (bounds.step != 1 && bounds.count > 1)) return {};
  return bounds;
}

bool all_real(const Node& node) {
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (!node.operand(i) || node.operand(i)->type().element != ElementType::f32) return false;
  }
  return true;
}

}  // namespace

bool reads_first_only(const Node& node) {
  switch (node.op()) {
    case Op::split:
    case Op::slice:
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze:
      return true;
    default:
      return is_reduction(node.op());
  }
}

std::optional<int64_t> rows_of(const Lowering& lowering, const Node& node,
                               const std::function<bool(const Value*)>& inside) {
  const auto fits = [](const RowForm& form) {
    return form.rows > 0 && form.width > 0 && form.width <= highway::kMaxRowWidth;
  };
  if (node.operand_count() == 0 || !node.operand(0) || node.result_count() == 0) return {};
  const Value &x = *node.operand(0), &y = *node.result();
  const RowForm form = inside(&x) ? form_of(x) : row_form(x);
  const bool real = x.type().element == ElementType::f32;
  for (size_t i = 0; i < node.result_count(); ++i) {
    if (!fits(form_of(*node.result(i)))) return {};
  }
  if (!fits(form)) return {};
  switch (node.op()) {
    case Op::reduce_sum:
    case Op::reduce_mean:
    case Op::reduce_max:
    case Op::reduce_min:
      if (!reduces_rows(lowering, node) || form != row_form(x)) return {};
      return form.rows;
    case Op::softmax:
    case Op::log_softmax:
      if (!real || extents_of(x).empty() || form != row_form(x)) return {};
      if (!on_last_axis(node.integer(AttributeName::axis), x)) return {};
      return form.rows;
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze:
      if (!is_truth_or_real(x) || row_form(y) != form || !inside(&x)) return {};
      return form.rows;
    case Op::split:
      if (!real || (node.operand(1) && !lowering.constant(node.operand(1)))) return {};
      if (!on_last_axis(node.integer(AttributeName::axis), x) || form != row_form(x)) return {};
      return form.rows;
    case Op::slice:
      if (!real || form != row_form(x) || !sliced_columns(lowering, node)) return {};
      return form.rows;
    case Op::concat:
      if (!all_real(node) || !on_last_axis(node.integer(AttributeName::axis), y)) return {};
      for (size_t i = 0; i < node.operand_count(); ++i) {
        const Value& part = *node.operand(i);
        if (!fits(row_form(part)) || row_form(part).rows != form.rows) return {};
        if (inside(&part) && form_of(part) != row_form(part)) return {};
      }
      return form.rows;
    case Op::cast:
      // Integers become real as they are read.
      if (y.type().element == ElementType::f32 && !inside(&x) &&
          (x.type().element == ElementType::i64 || x.type().element == ElementType::i32))
        return form.rows;
      break;
    default:
      break;
  }
  if (!instruction_of_truths(node) && node.op() != Op::cast) return {};
  if (node.op() == Op::cast && !(is_truth_or_real(x) && is_truth_or_real(y))) return {};
  const RowForm whole = row_form(y);
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Value& operand = *node.operand(i);
    if (single_element(lowering.constant(&operand))) continue;
    const RowForm part = inside(&operand) ? form_of(operand) : row_form(operand);
    if (part != row_form(operand)) return {};
    if (part.width != whole.width && part.width != 1) return {};
    if (part.rows != whole.rows && (part.rows != 1 || inside(&operand))) return {};
  }
  return whole.rows;
}

RowWriter::RowWriter(const Lowering& lowering, const std::vector<const Node*>& nodes,
                     const std::vector<const Value*>& inputs, int64_t rows)
    : lowering_(lowering) {
  for (const Node* node : nodes) members_[node] = true;
  for (const Value* value : inputs) {
    const RowForm form = row_form(*value);
    highway::RowInput& input = program_.inputs.emplace_back();
    switch (value->type().element) {
      case ElementType::boolean:
        input.element = RowElement::boolean;
        break;
      case ElementType::i32:
        input.element = RowElement::i32;
        break;
      case ElementType::i64:
        input.element = RowElement::i64;
        break;
      default:
        break;
    }
    input.width = form.width;
    input.one_row = form.rows == 1 && rows > 1;
    parts_[value] = {program_.inputs.size() - 1, 0, form.width};
  }
}

size_t RowWriter::new_register(int64_t width) {
  program_.widths.push_back(width);
  return program_.inputs.size() + program_.widths.size() - 1;
}

// A single element in the midst of a register gets one of its own: maps read whole vectors of it.
highway::RowView RowWriter::operand(Part part, int64_t width) {
  const size_t inputs = program_.inputs.size();
  const int64_t whole =
      part.reg < inputs ? program_.inputs[part.reg].width : program_.widths[part.reg - inputs];
  if (part.width == 1 && whole != 1) {
    for (const auto& [known, reg] : copied_) {
      if (known.reg == part.reg && known.offset == part.offset) return {reg, 0, width > 1};
    }
    const size_t reg = new_register(1);
    program_.code.push_back(
        {RowOperation::copy, 1, {reg}, {{part.reg, part.offset}}, Operation::constant, 0, 0});
    copied_.push_back({part, reg});
    return {reg, 0, width > 1};
  }
  return {part.reg, part.offset, part.width == 1 && width > 1};
}

RowWriter::Part RowWriter::map(Operation operation, int64_t width,
                               const std::vector<Part>& operands, float alpha, float beta) {
  RowInstruction instruction{RowOperation::map, width, {}, {}, operation, alpha, beta};
  for (size_t k = 0; k < operands.size(); ++k) {
    instruction.operands[k] = operand(operands[k], width);
  }
  instruction.result.reg = new_register(width);
  program_.code.push_back(instruction);
  return {instruction.result.reg, 0, width};
}

// The node that makes a value which is read here only.
const Node* RowWriter::inner(const Value* value, Op op) const {
  const Node* node = value->node();
  const bool found = node && node->op() == op && members_.contains(node) && value->has_one_use() &&
                     !parts_.contains(value);
  return found ? node : nullptr;
}

RowWriter::Part RowWriter::part(const Value* value) {
  const auto known = parts_.find(value);
  if (known != parts_.end()) return known->second;
  const Node* node = value->node();
  Part made{};
  if (node && members_.contains(node)) {
    made = emit(*node, value);
  } else {
    made = map(Operation::constant, 1, {}, *single_element(lowering_.constant(value)));
  }
  parts_[value] = made;
  return made;
}

RowWriter::Part RowWriter::reduce(const Node& node) {
  const Value* x = node.operand(0);
  RowInstruction instruction;
  const bool mean = node.op() == Op::reduce_mean;
  const Node* product = mean || node.op() == Op::reduce_sum ? inner(x, Op::mul) : nullptr;
  const int64_t width = row_form(*x).width;
  if (product && row_form(*product->operand(0)).width == width &&
      row_form(*product->operand(1)).width == width &&
      !single_element(lowering_.constant(product->operand(0))) &&
      !single_element(lowering_.constant(product->operand(1)))) {
    const Part a = part(product->operand(0)), b = part(product->operand(1));
    instruction = {mean ? RowOperation::mean_dot : RowOperation::dot,
                   width,
                   {},
                   {operand(a, width), operand(b, width)},
                   Operation::constant,
                   0,
                   0};
  } else {
    instruction.operation = node.op() == Op::reduce_sum   ? RowOperation::sum
                            : mean                        ? RowOperation::mean
                            : node.op() == Op::reduce_max ? RowOperation::max
                                                          : RowOperation::min;
    instruction.width = width;
    instruction.operands[0] = operand(part(x), width);
  }
  instruction.result.reg = new_register(1);
  program_.code.push_back(instruction);
  return {instruction.result.reg, 0, 1};
}

RowWriter::Part RowWriter::join(const Node& node) {
  const int64_t width = row_form(*node.result()).width;
  std::vector<Part> parts;
  for (size_t i = 0; i < node.operand_count(); ++i) parts.push_back(part(node.operand(i)));
  if (parts.size() == 1) return parts[0];
  const size_t reg = new_register(width);
  int64_t offset = 0;
  for (const Part& p : parts) {
    program_.code.push_back({RowOperation::copy,
                             p.width,
                             {reg, offset},
                             {{p.reg, p.offset}},
                             Operation::constant,
                             0,
                             0});
    offset += p.width;
  }
  return {reg, 0, width};
}

RowWriter::Part RowWriter::element_wise(const Node& node) {
  const int64_t width = row_form(*node.result()).width;
  highway::Instruction instruction = *instruction_of_truths(node);
  if (node.op() == Op::pow) {
    const auto exponent = single_element(lowering_.constant(node.operand(1)));
    if (exponent && *exponent == 2) {
      const Part x = part(node.operand(0));
      return map(Operation::mul, width, {x, x});
    }
  }
  if (node.op() == Op::add) {
    for (size_t k = 0; k < 2; ++k) {
      const Node* product = inner(node.operand(k), Op::mul);
      if (!product || product->result()->type().element != ElementType::f32) continue;
      const Part a = part(product->operand(0)), b = part(product->operand(1));
      return map(Operation::multiply_add, width, {a, b, part(node.operand(1 - k))});
    }
  }
  std::vector<Part> operands;
  for (size_t i = 0; i < node.operand_count(); ++i) operands.push_back(part(node.operand(i)));
  return map(instruction.operation, width, operands, instruction.alpha, instruction.beta);
}

RowWriter::Part RowWriter::emit(const Node& node, const Value* value) {
  switch (node.op()) {
    case Op::reduce_sum:
    case Op::reduce_mean:
    case Op::reduce_max:
    case Op::reduce_min:
      return reduce(node);
    case Op::softmax:
    case Op::log_softmax: {
      const Part x = part(node.operand(0));
      const size_t reg = new_register(x.width);
      program_.code.push_back(
          {node.op() == Op::softmax ? RowOperation::softmax : RowOperation::log_softmax,
           x.width,
           {reg},
           {operand(x, x.width)},
           Operation::constant,
           0,
           0});
      return {reg, 0, x.width};
    }
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze:
      return part(node.operand(0));
    case Op::split: {
      Part p = part(node.operand(0));
      for (size_t i = 0; i < value->index(); ++i) p.offset += row_form(*node.result(i)).width;
      p.width = row_form(*value).width;
      return p;
    }
    case Op::slice: {
      const Part p = part(node.operand(0));
      const SliceBounds bounds = *sliced_columns(lowering_, node);
      return {p.reg, p.offset + bounds.begin, bounds.count};
    }
    case Op::concat:
      return join(node);
    case Op::cast: {
      const Part x = part(node.operand(0));
      const bool to_truth = value->type().element == ElementType::boolean &&
                            node.operand(0)->type().element != ElementType::boolean;
      return to_truth ? map(Operation::truth, x.width, {x}) : x;
    }
    default:
      return element_wise(node);
  }
}

highway::RowProgram RowWriter::write(const std::vector<const Value*>& results) {
  for (const Value* result : results) {
    const Part p = part(result);
    program_.outputs.push_back(
        {{p.reg, p.offset},
         p.width,
         result->type().element == ElementType::boolean ? RowElement::boolean : RowElement::f32});
  }
  return std::move(program_);
}

}  // namespace refrain::executable
