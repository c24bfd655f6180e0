// Groups of nodes that become one program, and products with their epilogues.
#include <algorithm>
#include <utility>

#include "backends/executable/basic_steps.h"
#include "backends/executable/conv_choice.h"
#include "backends/executable/conv_step.h"
#include "backends/executable/conv_transpose_step.h"
#include "backends/executable/loop_step.h"
#include "backends/executable/lowering.h"
#include "backends/executable/pool_step.h"
#include "backends/executable/row_step.h"
#include "backends/executable/row_writer.h"
#include "ir/builder.h"
#include "ir/error.h"

namespace refrain::executable {
namespace {

// Registers that a group may use for its inputs, constants and nodes; the rest is for the product.
constexpr size_t kGroupRegisters = highway::kMaxRegisters - 8;

// Registers that a node of a row program may take: its inputs, constants among them, those of
// single elements of wider ones, and its result; a reduction that takes a product over, that node's
// too.
size_t row_registers(const Node& node) {
  return 2 + 2 * (reads_first_only(node) ? 1 : node.operand_count());
}

// A bias or the like: one row for all rows of the result.
bool is_row(const std::vector<int64_t>& operand, int64_t columns) {
  return !operand.empty() && operand.back() == columns && element_count(operand) == columns;
}

// Whether a product ends, by way of element-wise ops, in a scan's operand.
bool feeds_scan(const Value* value) {
  while (value->has_one_use()) {
    const Node& user = *value->first_use()->user();
    if (may_be_fed(user, value->first_use()->index())) return true;
    if (!instruction_of(user)) return false;
    value = user.result();
  }
  return false;
}

// From so many rows on a product by one column gains more from full lanes than from an epilogue.
constexpr int64_t kFewestScores = 8;

// For a product of these sizes oneDNN's blocking over the depth is worth a second pass for the
// epilogue; below, its call alone costs more than the product.
bool large_product(int64_t rows, int64_t depth, int64_t columns) {
  return rows >= 64 && depth * columns >= 512 * 512;
}

}  // namespace

Lowering::Group* Lowering::group_of(const Value* value) const {
  const auto found = open_.find(value);
  return found == open_.end() ? nullptr : found->second;
}

void Lowering::need(const Value* value, Steps& steps) {
  if (Group* group = value ? group_of(value) : nullptr) flush(*group, steps);
}

bool Lowering::fits(const Group& group, const Node& node) const {
  if (extents_of(*node.result()) != group.extents) return false;
  uint64_t splits = group.splits;
  size_t inputs = group.inputs.size() + node.operand_count();
  if (inputs + 2 * (group.nodes.size() + 1) > kGroupRegisters) return false;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Value* operand = node.operand(i);
    if (group_of(operand) == &group || single_element(constant(operand))) continue;
    const std::vector<int64_t> extents = extents_of(*operand);
    splits &= splits_of(extents, group.extents);
    if (group.product && extents != group.extents && !is_row(extents, group.extents.back()))
      return false;
  }
  return splits != 0;
}

bool Lowering::lower_pointwise(const Node& node, Steps& steps) {
  if (!instruction_of(node) || bytes_of(*node.result()) == 0) return false;
  const std::vector<int64_t> extents = extents_of(*node.result());
  std::vector<Group*> candidates;
  for (size_t i = 0; i < node.operand_count(); ++i) {
    Group* group = group_of(node.operand(i));
    if (group && group->rows == 0 && group->extents == extents &&
        std::find(candidates.begin(), candidates.end(), group) == candidates.end()) {
      candidates.push_back(group);
    }
  }
  // Groups that are open read only what has been emitted, so any two of one shape may be one, but
  // for their products.
  if (candidates.size() > 2 ||
      std::count_if(candidates.begin(), candidates.end(),
                    [](const Group* group) { return group->product; }) > 1) {
    candidates.resize(1);
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Group* a, const Group* b) { return a->product && !b->product; });
  for (size_t i = 0; i < node.operand_count(); ++i) {
    Group* group = group_of(node.operand(i));
    if (group && std::find(candidates.begin(), candidates.end(), group) == candidates.end()) {
      flush(*group, steps);
    }
  }
  if (candidates.size() == 2) {
    Group &into = *candidates[0], &from = *candidates[1];
    bool fit =
        (into.splits & from.splits) != 0 &&
        into.inputs.size() + from.inputs.size() + 2 * (into.nodes.size() + from.nodes.size()) <=
            kGroupRegisters;
    for (const Value* input : from.inputs) {
      fit = fit && (!into.product || extents_of(*input) == extents ||
                    is_row(extents_of(*input), extents.back()));
    }
    if (fit) {
      for (const Node* moved : from.nodes) {
        into.nodes.push_back(moved);
        open_[moved->result()] = &into;
      }
      into.inputs.insert(from.inputs.begin(), from.inputs.end());
      into.splits &= from.splits;
      from.nodes.clear();
    } else {
      flush(from, steps);
    }
    candidates.resize(1);
  }
  Group* group = candidates.empty() ? nullptr : candidates[0];
  if (group && !fits(*group, node)) {
    flush(*group, steps);
    group = nullptr;
  }
  if (!group) {
    Group fresh;
    fresh.extents = extents;
    fresh.splits = ~uint64_t{0};
    if (!fits(fresh, node)) return false;
    group = groups_.emplace_back(std::make_unique<Group>(std::move(fresh))).get();
  }
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Value* operand = node.operand(i);
    if (group_of(operand) == group || single_element(constant(operand))) continue;
    group->inputs.insert(operand);
    group->splits &= splits_of(extents_of(*operand), extents);
  }
  group->nodes.push_back(&node);
  open_[node.result()] = group;
  return true;
}

bool Lowering::may_have_rows(const Group& group, int64_t rows) const {
  if (group.rows != 0) return group.rows == rows;
  if (group.product) return false;
  const auto inside = [&](const Value* value) { return group_of(value) == &group; };
  return std::all_of(group.nodes.begin(), group.nodes.end(),
                     [&](const Node* node) { return rows_of(*this, *node, inside) == rows; });
}

// Plain element-wise nodes are better in groups of one shape, or in the epilogue of a product,
// until something else joins them; parts of what lies in memory are views of it if they are dense.
bool Lowering::gains_by_rows(const Node& node, int64_t rows,
                             const std::vector<Group*>& joined) const {
  switch (node.op()) {
    case Op::split:
    case Op::slice:
      return !joined.empty() || rows > 1;
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze:
    case Op::concat:
      return !joined.empty();
    default:
      break;
  }
  if (!instruction_of(node)) return true;
  const std::vector<int64_t> extents = extents_of(*node.result());
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const Group* group = group_of(node.operand(i));
    if (group && group->product && group->extents == extents) return false;
  }
  return std::any_of(joined.begin(), joined.end(), [&](const Group* group) {
    return group->rows > 0 || group->extents != extents;
  });
}

bool Lowering::lower_rows(const Node& node, Steps& steps) {
  const size_t reads = reads_first_only(node) ? 1 : node.operand_count();
  const auto open = [&](const Value* value) {
    const Group* group = group_of(value);
    return group && !group->product;
  };
  const std::optional<int64_t> rows = rows_of(*this, node, open);
  if (!rows) return false;
  std::vector<Group*> joined;
  size_t registers = row_registers(node);
  for (size_t i = 0; i < reads; ++i) {
    Group* group = group_of(node.operand(i));
    if (!group || group->product || !may_have_rows(*group, *rows)) continue;
    if (std::find(joined.begin(), joined.end(), group) != joined.end()) continue;
    for (const Node* inner : group->nodes) registers += row_registers(*inner);
    joined.push_back(group);
  }
  if (row_registers(node) > highway::kMaxRowRegisters) return false;
  if (registers > highway::kMaxRowRegisters) joined.clear();
  const auto inside = [&](const Value* value) {
    return std::find(joined.begin(), joined.end(), group_of(value)) != joined.end();
  };
  if (rows_of(*this, node, inside) != rows || !gains_by_rows(node, *rows, joined)) return false;
  for (size_t i = 0; i < reads; ++i) {
    if (!inside(node.operand(i))) need(node.operand(i), steps);
  }
  Group* into = joined.empty() ? groups_.emplace_back(std::make_unique<Group>()).get() : joined[0];
  into->rows = *rows;
  for (Group* from : joined) {
    if (from == into) continue;
    for (const Node* moved : from->nodes) {
      into->nodes.push_back(moved);
      for (size_t i = 0; i < moved->result_count(); ++i) open_[moved->result(i)] = into;
    }
    into->inputs.insert(from->inputs.begin(), from->inputs.end());
    from->nodes.clear();
  }
  for (size_t i = 0; i < reads; ++i) {
    const Value* operand = node.operand(i);
    if (group_of(operand) != into && !single_element(constant(operand))) {
      into->inputs.insert(operand);
    }
  }
  into->nodes.push_back(&node);
  for (size_t i = 0; i < node.result_count(); ++i) open_[node.result(i)] = into;
  return true;
}

bool Lowering::start_product(const Node& node, Steps& steps) {
  if (node.op() != Op::matmul || node.result()->type().element != ElementType::f32) return false;
  const Tensor* weights = constant(node.operand(1));
  if (!weights || weights->rank() != 2 || weights->size() == 0) return false;
  const std::vector<int64_t> left = extents_of(*node.operand(0));
  if (left.empty()) return false;
  const int64_t rows = element_count(left) / weights->extents()[0];
  // What feeds a scan waits for it: the scan may be a layer that oneDNN runs as a whole.
  const bool by_onednn = !feeds_scan(node.result()) &&
                         (options_.kernels == KernelChoice::onednn ||
                          (options_.kernels == KernelChoice::automatic &&
                           large_product(rows, weights->extents()[0], weights->extents()[1])));
  if (by_onednn && lower_by_onednn(node, steps)) return true;
  // A single column would leave all lanes but one of a packed block empty.
  if (weights->extents()[1] == 1 && rows >= kFewestScores && !feeds_scan(node.result()) &&
      lower_by_highway(node, steps)) {
    return true;
  }
  Group& group = *groups_.emplace_back(std::make_unique<Group>());
  group.product = &node;
  group.extents = extents_of(*node.result());
  group.splits = ~uint64_t{0};
  open_[node.result()] = &group;
  return true;
}

void Lowering::start_convolution(const DepthwiseChain& chain, Steps& steps) {
  need(chain.input, steps);
  Group& group = *groups_.emplace_back(std::make_unique<Group>());
  group.product = chain.last;
  group.convolution = &chain;
  group.extents = extents_of(*chain.last->result());
  group.splits = ~uint64_t{0};
  open_[chain.last->result()] = &group;
}

void Lowering::start_window(const WindowChain& chain, Steps& steps) {
  need(chain.input, steps);
  for (const Value* operand : chain.window->operands()) {
    // What is about to be read.
    const TensorPtr tensor = operand ? constant_tensor(operand) : nullptr;
    if (tensor && options_.weights) options_.weights->check(tensor->raw());
  }
  if (chain.window->op() == Op::conv_transpose) {
    auto step = std::make_unique<ConvTransposeStep>(chain);
    step->reads(place(chain.input));
    step->writes(allocate(chain.last->result()));
    step->writes(storage_.arena(step->scratch_bytes()));
    return append(steps, std::move(step));
  }
  if (chain.window->op() != Op::conv) {
    auto step = std::make_unique<PoolStep>(chain, options_.threads);
    step->reads(place(chain.input));
    step->writes(allocate(chain.last->result()));
    return append(steps, std::move(step));
  }
  Group& group = *groups_.emplace_back(std::make_unique<Group>());
  group.product = chain.last;
  group.window = &chain;
  group.extents = extents_of(*chain.last->result());
  group.splits = ~uint64_t{0};
  open_[chain.last->result()] = &group;
}

void Lowering::flush(Group& group, Steps& steps) {
  std::unordered_set<const Node*> members(group.nodes.begin(), group.nodes.end());
  std::vector<const Value*> made, results;
  if (group.product) made.push_back(group.product->result());
  for (const Node* node : group.nodes) {
    for (size_t i = 0; i < node->result_count(); ++i) made.push_back(node->result(i));
  }
  for (const Value* value : made) {
    open_.erase(value);
    bool outside = false;
    for (const Use* use = value->first_use(); use && !outside; use = use->next()) {
      outside = !members.contains(use->user());
    }
    if (outside) results.push_back(value);
  }
  if (group.product && options_.kernels == KernelChoice::onednn &&
      lower_by_onednn(*group.product, steps)) {
    const Value* value = group.product->result();
    std::erase(results, value);
    group.inputs.insert(value);
    group.splits &= splits_of(group.extents, group.extents);
    group.product = nullptr;
  }
  if (group.convolution) {
    flush_convolution(group, steps, results);
  } else if (group.window) {
    flush_window(group, steps, results);
  } else if (group.product) {
    flush_product(group, steps, results);
  } else if (group.rows > 0) {
    flush_rows(group, steps, results);
  } else if (!group.nodes.empty()) {
    flush_program(group, steps, results);
  }
}

namespace {

// Writes a group's nodes as a program whose first registers are `inputs`.
class ProgramWriter {
 public:
  ProgramWriter(const Lowering& lowering, const std::vector<const Value*>& inputs)
      : lowering_(lowering) {
    program_.inputs = inputs.size();
    for (const Value* input : inputs) registers_.emplace(input, next_++);
  }

  void add(const Node& node) {
    highway::Instruction instruction = *instruction_of(node);
    for (size_t i = 0; i < node.operand_count(); ++i) {
      instruction.operands[i] = operand(node.operand(i));
    }
    instruction.result = static_cast<uint8_t>(next_);
    registers_[node.result()] = next_++;
    program_.code.push_back(instruction);
  }

  highway::Program finish(const std::vector<const Value*>& results) {
    for (const Value* result : results) {
      program_.outputs.push_back(static_cast<uint8_t>(registers_.at(result)));
    }
    return std::move(program_);
  }

 private:
  uint8_t operand(const Value* value) {
    const auto found = registers_.find(value);
    if (found != registers_.end()) return static_cast<uint8_t>(found->second);
    highway::Instruction instruction{highway::Operation::constant,
                                     static_cast<uint8_t>(next_),
                                     {0, 0, 0},
                                     *single_element(lowering_.constant(value)),
                                     0};
    program_.code.push_back(instruction);
    registers_[value] = next_;
    return static_cast<uint8_t>(next_++);
  }

  const Lowering& lowering_;
  highway::Program program_;
  std::unordered_map<const Value*, size_t> registers_;
  size_t next_ = 0;
};

// In the order of first use, so that equal graphs give equal programs.
std::vector<const Value*> ordered_inputs(const std::vector<const Node*>& nodes,
                                         const std::unordered_set<const Value*>& inputs) {
  std::vector<const Value*> ordered;
  for (const Node* node : nodes) {
    for (size_t i = 0; i < node->operand_count(); ++i) {
      const Value* operand = node->operand(i);
      if (inputs.contains(operand) &&
          std::find(ordered.begin(), ordered.end(), operand) == ordered.end()) {
        ordered.push_back(operand);
      }
    }
  }
  return ordered;
}

}  // namespace

void Lowering::flush_program(Group& group, Steps& steps, const std::vector<const Value*>& results) {
  const std::vector<const Value*> inputs = ordered_inputs(group.nodes, group.inputs);
  ProgramWriter writer(*this, inputs);
  for (const Node* node : group.nodes) writer.add(*node);
  // The widest columns that all inputs allow.
  size_t k = 0;
  while (!(group.splits >> k & 1)) ++k;
  const std::span<const int64_t> extents(group.extents);
  std::vector<ProgramStep::Input> strides;
  for (const Value* input : inputs) {
    const OperandStrides s = strides_at(extents_of(*input), extents, k);
    strides.push_back({s.row, s.column});
  }
  auto step =
      std::make_unique<ProgramStep>(writer.finish(results), element_count(extents.first(k)),
                                    element_count(extents.subspan(k)), strides, options_.threads);
  for (const Value* input : inputs) step->reads(place(input));
  for (const Value* result : results) step->writes(allocate(result));
  append(steps, std::move(step));
}

void Lowering::flush_convolution(Group& group, Steps& steps,
                                 const std::vector<const Value*>& results) {
  const std::vector<const Value*> inputs = ordered_inputs(group.nodes, group.inputs);
  std::vector<const Value*> registers = {group.product->result()};
  registers.insert(registers.end(), inputs.begin(), inputs.end());
  ProgramWriter writer(*this, registers);
  for (const Node* node : group.nodes) writer.add(*node);
  std::vector<bool> moves;
  for (const Value* input : inputs) moves.push_back(extents_of(*input) == group.extents);
  auto step = std::make_unique<DepthwiseStep>(*group.convolution, writer.finish(results), moves,
                                              options_.threads);
  Place from = place(group.convolution->input);
  from.offset += group.convolution->first_channel * static_cast<int64_t>(sizeof(float));
  step->reads(from);
  for (const Value* input : inputs) step->reads(place(input));
  for (const Value* result : results) step->writes(allocate(result));
  append(steps, std::move(step));
}

void Lowering::flush_window(Group& group, Steps& steps, const std::vector<const Value*>& results) {
  const WindowChain& chain = *group.window;
  const std::vector<const Value*> inputs = ordered_inputs(group.nodes, group.inputs);
  std::vector<const Value*> registers = {group.product->result()};
  registers.insert(registers.end(), inputs.begin(), inputs.end());
  ProgramWriter writer(*this, registers);
  for (const Node* node : group.nodes) writer.add(*node);
  highway::Program program = writer.finish(results);
  std::vector<bool> moves;
  for (const Value* input : inputs) moves.push_back(extents_of(*input) == group.extents);
  if (std::unique_ptr<StepKernel> kernel = conv_choice_.faster_by_onednn(chain)) {
    // The convolution into its own result, or one that only the program reads.
    const bool plain = group.nodes.empty();
    const Place result = plain ? allocate(group.product->result())
                               : storage_.arena(bytes_of(*group.product->result()));
    auto product = std::make_unique<KernelStep>(*chain.window, std::move(kernel));
    product->reads(place(chain.input));
    for (size_t i = 1; i < chain.window->operand_count(); ++i) {
      const Value* operand = chain.window->operand(i);
      product->reads(operand ? place(operand) : Place());
    }
    product->writes(result);
    append(steps, std::move(product));
    if (plain) return;
    std::vector<ProgramStep::Input> strides{{chain.filters, 1}};
    for (const bool moving : moves) strides.push_back({moving ? chain.filters : 0, 1});
    auto rest = std::make_unique<ProgramStep>(std::move(program), chain.batch * chain.places(),
                                              chain.filters, strides, options_.threads);
    rest->reads(result);
    for (const Value* input : inputs) rest->reads(place(input));
    for (const Value* value : results) rest->writes(allocate(value));
    return append(steps, std::move(rest));
  }
  auto step = std::make_unique<ConvStep>(chain, program, std::move(moves), options_);
  step->reads(place(chain.input));
  for (const Value* input : inputs) step->reads(place(input));
  for (const Value* result : results) step->writes(allocate(result));
  step->writes(storage_.arena(step->scratch_bytes()));
  append(steps, std::move(step));
}

void Lowering::flush_rows(Group& group, Steps& steps, const std::vector<const Value*>& results) {
  const std::vector<const Value*> inputs = ordered_inputs(group.nodes, group.inputs);
  RowWriter writer(*this, group.nodes, inputs, group.rows);
  auto step = std::make_unique<RowStep>(writer.write(results), group.rows, options_.threads);
  for (const Value* input : inputs) step->reads(place(input));
  for (const Value* result : results) step->writes(allocate(result));
  step->writes(storage_.arena(step->scratch_bytes()));
  append(steps, std::move(step));
}

Lowering::ProductForm Lowering::product_form(const Group& group,
                                             const std::vector<const Value*>& results) const {
  const Node& product = *group.product;
  const Tensor& weights = *constant(product.operand(1));
  const int64_t depth = weights.extents()[0], columns = weights.extents()[1];
  const std::vector<const Value*> inputs = ordered_inputs(group.nodes, group.inputs);
  ProductForm form;
  form.rows = element_count(extents_of(*product.operand(0))) / depth;
  form.spec.rows = form.rows;

  std::vector<const Value*> registers = {product.result()};
  registers.insert(registers.end(), inputs.begin(), inputs.end());
  ProgramWriter writer(*this, registers);
  for (const Node* node : group.nodes) writer.add(*node);

  highway::Stage& stage = form.spec.stages.emplace_back();
  stage.units = columns;
  stage.gates = 1;
  highway::Product& p = stage.products.emplace_back();
  p.left.row_stride = depth;
  p.depth = depth;
  p.weights = {{0, weights.data<float>().data(), columns}};
  stage.program = writer.finish(results);
  form.reads = {product.operand(0)};
  form.row_strides = {depth};
  for (const Value* input : inputs) {
    const bool moves = extents_of(*input) == group.extents;
    highway::Stream& stream = stage.inputs.emplace_back();
    stream.kind = moves ? highway::Stream::Kind::rows : highway::Stream::Kind::units;
    stream.buffer = form.reads.size();
    stream.row_stride = moves ? columns : 0;
    form.reads.push_back(input);
    form.row_strides.push_back(stream.row_stride);
  }
  for (size_t i = 0; i < results.size(); ++i) {
    highway::Stream& stream = stage.outputs.emplace_back();
    stream.buffer = form.reads.size() + i;
    stream.row_stride = columns;
  }
  return form;
}

void Lowering::flush_product(Group& group, Steps& steps, const std::vector<const Value*>& results) {
  const ProductForm form = product_form(group, results);
  auto step =
      std::make_unique<LoopStep>(form.spec, LoopShape{.steps = 1, .rows = form.rows}, options_);
  for (const Value* value : form.reads) step->reads(place(value));
  for (const Value* result : results) step->writes(allocate(result));
  append(steps, std::move(step));
}

bool Lowering::Group::holds(const Node* node) const {
  return node == product || std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

const Lowering::Group* Lowering::feed_of(const Value* value) const {
  const Group* group = value ? group_of(value) : nullptr;
  if (!group || !group->product || group->convolution || group->window || !value->has_one_use()) {
    return nullptr;
  }
  const auto inside_only = [&](const Value* made) {
    for (const Use* use = made->first_use(); use; use = use->next()) {
      if (!group->holds(use->user())) return false;
    }
    return true;
  };
  if (group->product->result() != value && !inside_only(group->product->result())) return nullptr;
  for (const Node* node : group->nodes) {
    if (node->result() != value && !inside_only(node->result())) return nullptr;
  }
  return group;
}

void Lowering::take_feed(const Value* value) {
  const Group* group = group_of(value);
  open_.erase(group->product->result());
  for (const Node* node : group->nodes) open_.erase(node->result());
}

}  // namespace refrain::executable
