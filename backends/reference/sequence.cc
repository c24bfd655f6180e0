#include "backends/reference/sequence.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "backends/reference/runtime_inference.h"
#include "backends/reference/strided.h"
#include "ir/error.h"
#include "ir/shape.h"

namespace refrain::reference {
namespace {

const Sequence& sequence_of(const RuntimeValue& value) {
  if (!value.sequence) throw Error("operand is not a sequence", "a sequence", "none");
  return *value.sequence;
}

const TensorPtr& tensor_of(const RuntimeValue& value) {
  if (!value.tensor) throw Error("operand is not a tensor", "a tensor", "none");
  return value.tensor;
}

// Sequences made here are not const objects, which is what change() relies on.
RuntimeValue wrap(Sequence tensors) {
  RuntimeValue value;
  value.sequence = std::make_shared<Sequence>(std::move(tensors));
  return value;
}

// The operand's tensors, ready to be changed: its own if nobody else holds them, so that a loop
// that appends does not copy what it has at every iteration; otherwise a copy. The caller of a run
// holds its inputs, hence a sequence that is held once was made by wrap().
std::shared_ptr<Sequence> change(RuntimeValue& value) {
  sequence_of(value);
  if (value.sequence.use_count() != 1) return std::make_shared<Sequence>(*value.sequence);
  return std::const_pointer_cast<Sequence>(std::move(value.sequence));
}

RuntimeValue share(std::shared_ptr<Sequence> tensors) {
  RuntimeValue value;
  value.sequence = std::move(tensors);
  return value;
}

// Index of a position, negative from the end, in 0..last.
size_t position(const RuntimeValue& operand, size_t size, size_t last) {
  const int64_t given = single_integer(*tensor_of(operand), "position");
  const auto end = static_cast<int64_t>(size);
  if (given < -end || given > static_cast<int64_t>(last) || size + last == 0) {
    if (size == 0 && given == 0 && last == 0) return 0;  // inserting into an empty sequence
    throw Error("position out of range in a sequence of " + std::to_string(size), {},
                std::to_string(given));
  }
  return static_cast<size_t>(given < 0 ? given + end : given);
}

bool is_given(std::span<const RuntimeValue> operands, size_t i) {
  return i < operands.size() && operands[i].tensor;
}

RuntimeValue insert(std::span<RuntimeValue> operands) {
  TensorPtr tensor = tensor_of(operands[1]);
  const size_t size = sequence_of(operands[0]).size();
  const size_t at = is_given(operands, 2) ? position(operands[2], size, size) : size;
  std::shared_ptr<Sequence> tensors = change(operands[0]);
  tensors->insert(tensors->begin() + static_cast<std::ptrdiff_t>(at), std::move(tensor));
  return share(std::move(tensors));
}

size_t existing(std::span<const RuntimeValue> operands, size_t i, size_t size) {
  if (size == 0) throw Error("the sequence is empty", "at least one tensor", "none");
  return is_given(operands, i) ? position(operands[i], size, size - 1) : size - 1;
}

RuntimeValue erase(std::span<RuntimeValue> operands) {
  const size_t at = existing(operands, 1, sequence_of(operands[0]).size());
  std::shared_ptr<Sequence> tensors = change(operands[0]);
  tensors->erase(tensors->begin() + static_cast<std::ptrdiff_t>(at));
  return share(std::move(tensors));
}

// Bytes of one index of the outer axes: all of `axis` and of what lies inside it; 0 if there is
// nothing.
int64_t block_bytes(const Slabs& slabs, ElementType type) {
  return slabs.extent * slabs.inner * static_cast<int64_t>(size_of(type));
}

std::string text(const Tensor& tensor) {
  return to_string(ValueType::tensor(tensor.type(), Shape::of_extents(tensor.extents())));
}

RuntimeValue concat(const Node& node, const Sequence& tensors,
                    const std::shared_ptr<MemoryBudget>& budget) {
  if (tensors.empty())
    throw Error("concatenating an empty sequence", "at least one tensor", "none");
  const bool new_axis = node.flag(AttributeName::new_axis);
  const Tensor& first = *tensors[0];
  const size_t axis = normalize_axis(node.integer(AttributeName::axis), first.rank() + new_axis);
  std::vector<int64_t> extents = first.extents();
  int64_t total = 0;
  for (const TensorPtr& tensor : tensors) {
    bool fits = tensor->type() == first.type() && tensor->rank() == first.rank();
    for (size_t i = 0; fits && i < first.rank(); ++i) {
      fits = (i == axis && !new_axis) || tensor->extents()[i] == first.extents()[i];
    }
    if (!fits)
      throw Error("tensors of the sequence don't fit together", text(first), text(*tensor));
    if (__builtin_add_overflow(total, new_axis ? 1 : tensor->extents()[axis], &total)) {
      throw Error("extent overflows", "less than 2^63", "more");
    }
  }
  if (new_axis) {
    if (first.rank() == static_cast<size_t>(kMaxRank)) {
      throw Error("rank too large", "at most " + std::to_string(kMaxRank),
                  text(first) + " stacked");
    }
    extents.insert(extents.begin() + static_cast<std::ptrdiff_t>(axis), total);
  } else {
    extents[axis] = total;
  }
  Tensor result(first.type(), extents, budget);
  const Slabs whole = slabs_about(extents, axis);
  const int64_t whole_bytes = block_bytes(whole, first.type());
  auto* begin = static_cast<std::byte*>(result.raw());
  for (const TensorPtr& tensor : tensors) {
    // A tensor that lies whole at one index of a new axis is a part of extent 1 along it.
    std::vector<int64_t> part = extents;
    part[axis] = new_axis ? 1 : tensor->extents()[axis];
    const int64_t part_bytes = block_bytes(slabs_about(part, axis), first.type());
    const auto* from = static_cast<const std::byte*>(tensor->raw());
    for (int64_t i = 0; i < whole.outer; ++i) {
      std::memcpy(begin + i * whole_bytes, from + i * part_bytes, static_cast<size_t>(part_bytes));
    }
    begin += part_bytes;
  }
  return result;
}

// Sizes of the parts that split_to_sequence cuts.
std::vector<int64_t> part_sizes(std::span<const RuntimeValue> operands, int64_t extent,
                                const MemoryBudget& budget) {
  int64_t size = 1;
  if (is_given(operands, 1)) {
    const Tensor& sizes = *operands[1].tensor;
    if (sizes.rank() == 1) {
      std::vector<int64_t> given = sizes.view().as_ints();
      int64_t sum = 0;
      for (int64_t part : given) {
        if (part < 0) throw Error("negative split size", "0 or more", std::to_string(part));
        if (__builtin_add_overflow(sum, part, &sum)) sum = -1;
        if (sum < 0) break;
      }
      if (sum != extent) {
        throw Error("split sizes don't add up", std::to_string(extent),
                    sum < 0 ? "more than 2^63" : std::to_string(sum));
      }
      return given;
    }
    size = single_integer(sizes, "split size");
    if (size <= 0) throw Error("wrong split size", "1 or more", std::to_string(size));
  }
  const int64_t count = extent / size + (extent % size != 0);
  // Parts of a tensor without elements take no tensor memory, so the budget would not bound their
  // number.
  if (count > budget.limit() / static_cast<int64_t>(sizeof(Tensor))) {
    throw Error("out of memory: too many parts of a split", {}, std::to_string(count));
  }
  std::vector<int64_t> sizes(static_cast<size_t>(count), size);
  if (extent % size != 0) sizes.back() = extent % size;
  return sizes;
}

RuntimeValue split(const Node& node, std::span<const RuntimeValue> operands,
                   const std::shared_ptr<MemoryBudget>& budget) {
  const Tensor& x = *tensor_of(operands[0]);
  const size_t axis = normalize_axis(node.integer(AttributeName::axis), x.rank());
  const bool keep_axis = is_given(operands, 1) || node.flag(AttributeName::keep_dims);
  const int64_t whole_bytes = block_bytes(slabs_about(x.extents(), axis), x.type());
  const auto* from = static_cast<const std::byte*>(x.raw());
  Sequence parts;
  for (int64_t size : part_sizes(operands, x.extents()[axis], *budget)) {
    std::vector<int64_t> extents = x.extents();
    extents[axis] = size;
    const Slabs slabs = slabs_about(extents, axis);
    const int64_t part_bytes = block_bytes(slabs, x.type());
    if (!keep_axis) extents.erase(extents.begin() + static_cast<std::ptrdiff_t>(axis));
    Tensor part(x.type(), std::move(extents), budget);
    auto* to = static_cast<std::byte*>(part.raw());
    for (int64_t i = 0; i < slabs.outer; ++i) {
      std::memcpy(to + i * part_bytes, from + i * whole_bytes, static_cast<size_t>(part_bytes));
    }
    from += part_bytes;
    parts.push_back(std::make_shared<const Tensor>(std::move(part)));
  }
  return wrap(std::move(parts));
}

}  // namespace

bool is_sequence_op(Op op) {
  switch (op) {
    case Op::sequence_empty:
    case Op::sequence_construct:
    case Op::sequence_insert:
    case Op::sequence_erase:
    case Op::sequence_at:
    case Op::sequence_length:
    case Op::concat_from_sequence:
    case Op::split_to_sequence:
    case Op::optional:
    case Op::has_element:
    case Op::get_element:
      return true;
    default:
      return false;
  }
}

RuntimeValue run_sequence_op(const Node& node, std::span<RuntimeValue> operands,
                             const std::shared_ptr<MemoryBudget>& budget) {
  switch (node.op()) {
    case Op::sequence_empty:
      return wrap({});
    case Op::sequence_construct: {
      Sequence tensors;
      for (const RuntimeValue& operand : operands) tensors.push_back(tensor_of(operand));
      return wrap(std::move(tensors));
    }
    case Op::sequence_insert:
      return insert(operands);
    case Op::sequence_erase:
      return erase(operands);
    case Op::sequence_at: {
      const Sequence& tensors = sequence_of(operands[0]);
      return tensors[existing(operands, 1, tensors.size())];
    }
    case Op::sequence_length:
      return Tensor::scalar(static_cast<int64_t>(sequence_of(operands[0]).size()));
    case Op::concat_from_sequence:
      return concat(node, sequence_of(operands[0]), budget);
    case Op::split_to_sequence:
      return split(node, operands, budget);
    case Op::has_element:
      return Tensor::scalar(!operands[0].empty());
    case Op::get_element:
      if (operands[0].empty()) throw Error("the optional value is empty", "a value", "none");
      return std::move(operands[0]);
    default:  // optional
      return operands.empty() ? RuntimeValue() : std::move(operands[0]);
  }
}

}  // namespace refrain::reference
