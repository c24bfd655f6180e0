#include "backends/highway/elementwise_plan.h"

#include <algorithm>
#include <bitset>
#include <string>

#include "backends/highway/elementwise_layout.h"
#include "ir/error.h"

namespace refrain::highway {
namespace {

// Of the code, and copies of what states and outputs become.
constexpr size_t kMostNodes = 2 * kMaxRegisters;

[[noreturn]] void refuse(const std::string& expected, const std::string& found) {
  throw Error("element-wise loop is not consistent", expected, found);
}

class Planner {
 public:
  Planner(const ElementwiseLoopSpec& spec, int64_t target_lanes) {
    plan_.spec = spec;
    plan_.target_lanes = target_lanes;
  }

  ElementwisePlan run() {
    check();
    make_operations();
    give_states_results();
    give_outputs_results();
    fuse();
    find_recurrences();
    order_products();
    find_decays();
    order();
    PlannedValues values{std::move(nexts_), std::move(last_only_), {}, sums_};
    for (size_t i = 0; i < first_code() + nodes_.size(); ++i) {
      values.varies_with_rows.push_back(varies_with_rows(i));
    }
    lay_out(plan_, values);
    return std::move(plan_);
  }

 private:
  struct Node {
    PlannedOperation operation;
    bool rows = false;  // the result varies with them
    bool dead = false;
    size_t made_by = 0;  // a register whose operation makes this one's too; 0: none
  };

  const ElementwiseLoopSpec& spec() const { return plan_.spec; }
  size_t first_state() const { return spec().inputs.size(); }
  size_t first_code() const { return first_state() + spec().states.size(); }
  bool is_state(size_t value) const { return value >= first_state() && value < first_code(); }
  Node* node_of(size_t value) {
    return value < first_code() ? nullptr : &nodes_[value - first_code()];
  }
  bool varies_with_rows(size_t value) {
    if (spec().rows == 1) return false;
    if (value < first_state()) return spec().inputs[value].row_stride != 0;
    if (is_state(value)) return spec().states[value - first_state()].final.row_stride != 0;
    return node_of(value)->rows;
  }

  void check();
  void check_place(const SpacePlace& place) const;
  void make_operations();
  void give_states_results();
  void give_outputs_results();
  size_t add_copy(size_t value, bool rows);
  size_t uses(size_t value);
  bool may_absorb(size_t user, size_t value, Form form);
  void fuse();
  void fuse_products(Node& node, size_t value);
  void find_recurrences();
  void order_products();
  void find_decays();
  size_t producer(size_t value) const;
  void order();

  ElementwisePlan plan_;
  std::vector<Node> nodes_;  // their results are registers from first_code() on
  std::vector<size_t> nexts_;
  std::vector<bool> last_only_;  // of states whose values nothing reads later
  bool sums_ = false;
};

void Planner::check_place(const SpacePlace& place) const {
  if (place.outer_strides.size() != spec().outer.size()) {
    refuse("a stride for each outer axis", std::to_string(place.outer_strides.size()));
  }
}

void Planner::check() {
  if (spec().outer.size() > kMaxOuterAxes) {
    refuse("few outer axes", std::to_string(spec().outer.size()));
  }
  bool positive = spec().rows > 0 && spec().lanes > 0;
  for (const int64_t extent : spec().outer) positive = positive && extent > 0;
  if (!positive) refuse("a space with places", "an empty axis");
  const size_t count = first_code() + spec().code.size();
  if (count > kMaxRegisters) refuse("fewer registers", std::to_string(count));
  if (spec().states.size() + spec().outputs.size() > kMaxRegisters) {
    refuse("fewer states and outputs", std::to_string(spec().outputs.size()));
  }
  for (const SpacePlace& place : spec().inputs) check_place(place);
  for (const ElementwiseLoopSpec::State& state : spec().states) {
    check_place(state.initial);
    check_place(state.final);
    bool whole = spec().lanes == 1 || state.final.lane_stride != 0;
    for (size_t i = 0; i < spec().outer.size(); ++i) {
      whole = whole && (spec().outer[i] == 1 || state.final.outer_strides[i] != 0);
    }
    if (!whole) refuse("states that vary with all outer axes and lanes", "one that does not");
    if (state.next >= count) refuse("a register of the code", std::to_string(state.next));
    nexts_.push_back(state.next);
  }
  for (size_t i = 0; i < spec().code.size(); ++i) {
    const ElementwiseLoopSpec::Code& code = spec().code[i];
    const size_t operands = code.sums_rows ? 1 : operand_count(code.instruction.operation);
    if (code.instruction.result != first_code() + i) {
      refuse("results in order", std::to_string(code.instruction.result));
    }
    for (size_t k = 0; k < operands; ++k) {
      if (code.instruction.operands[k] >= first_code() + i) {
        refuse("operands from before", std::to_string(code.instruction.operands[k]));
      }
    }
  }
  for (const ElementwiseLoopSpec::Output& output : spec().outputs) {
    check_place(output.place);
    if (output.value >= count) refuse("a register of the code", std::to_string(output.value));
  }
  if (spec().lengths_axis >= static_cast<int>(spec().outer.size())) {
    refuse("lengths of an outer axis", std::to_string(spec().lengths_axis));
  }
}

void Planner::make_operations() {
  for (const ElementwiseLoopSpec::Code& code : spec().code) {
    const Instruction& instruction = code.instruction;
    Node& node = nodes_.emplace_back();
    PlannedOperation& operation = node.operation;
    operation.result = first_code() + nodes_.size() - 1;
    operation.instruction = instruction;
    const size_t operands = code.sums_rows ? 1 : operand_count(instruction.operation);
    for (size_t i = 0; i < operands; ++i) {
      operation.operands[i] = instruction.operands[i];
      node.rows = node.rows || varies_with_rows(instruction.operands[i]);
    }
    if (code.sums_rows) {
      operation.form = Form::sum;
      node.rows = false;
      sums_ = true;
      continue;
    }
    switch (instruction.operation) {
      case Operation::constant:
        plan_.constants.emplace_back(operation.result, instruction.alpha);
        node.dead = true;
        break;
      case Operation::add:
        operation.form = Form::add;
        break;
      case Operation::sub:
        operation.form = Form::sub;
        break;
      case Operation::mul:
        operation.form = Form::mul;
        break;
      case Operation::multiply_add:
        operation.form = Form::multiply_add;
        break;
      case Operation::exp:
        operation.post = Post::exp;
        break;
      case Operation::relu:
        operation.post = Post::relu;
        break;
      case Operation::tanh:
        operation.post = Post::tanh;
        break;
      case Operation::sigmoid:
        operation.post = Post::sigmoid;
        break;
      default:
        operation.form = Form::general;
    }
  }
}

// Each state's next value is an operation's result, of no other state.
void Planner::give_states_results() {
  for (size_t s = 0; s < nexts_.size(); ++s) {
    const size_t next = nexts_[s];
    const bool rows = varies_with_rows(first_state() + s);
    const Node* node = node_of(next);
    if (varies_with_rows(next) && !rows) {
      refuse("a state as large as its next value", "one that does not vary with rows");
    }
    bool own = node && !node->dead && node->rows == rows;
    for (size_t other = 0; other < s; ++other) own = own && nexts_[other] != next;
    if (!own) nexts_[s] = add_copy(next, rows);
  }
}

// An output that is an input or a constant may be one number for all lanes.
void Planner::give_outputs_results() {
  for (ElementwiseLoopSpec::Output& output : plan_.spec.outputs) {
    const bool rows = spec().rows > 1 && output.place.row_stride != 0;
    if (varies_with_rows(output.value) && !rows) {
      refuse("an output that varies with the rows as its value does", "one that does not");
    }
    const Node* node = node_of(output.value);
    const bool made = node ? !node->dead : is_state(output.value);
    if (!made) output.value = add_copy(output.value, rows);
  }
}

size_t Planner::add_copy(size_t value, bool rows) {
  Node& copy = nodes_.emplace_back();
  copy.operation.operands[0] = value;
  copy.operation.result = first_code() + nodes_.size() - 1;
  copy.rows = rows;
  return copy.operation.result;
}

size_t Planner::uses(size_t value) {
  size_t count = 0;
  for (const Node& node : nodes_) {
    if (node.dead) continue;
    for (size_t i = 0; i < operand_count(node.operation); ++i) {
      count += node.operation.operands[i] == value;
    }
  }
  for (const size_t next : nexts_) count += next == value;
  for (const ElementwiseLoopSpec::Output& output : spec().outputs) count += output.value == value;
  return count;
}

// Whether a value of this form, and no more, is computed for nothing but this user, and not more
// often there.
bool Planner::may_absorb(size_t user, size_t value, Form form) {
  const Node* node = node_of(value);
  return node && !node->dead && node->operation.form == form &&
         node->operation.post == Post::none && uses(value) == 1 &&
         (node->rows == varies_with_rows(user) || node_of(user)->operation.form == Form::sum);
}

void Planner::fuse_products(Node& node, size_t value) {
  PlannedOperation& operation = node.operation;
  if (operation.form == Form::add) {
    for (size_t i = 0; i < 2; ++i) {
      const size_t product = operation.operands[i], other = operation.operands[1 - i];
      if (!may_absorb(value, product, Form::mul)) continue;
      Node& absorbed = *node_of(product);
      absorbed.dead = true;
      operation.form = Form::multiply_add;
      operation.operands[0] = absorbed.operation.operands[0];
      operation.operands[1] = absorbed.operation.operands[1];
      operation.operands[2] = other;
      break;
    }
  }
  if (operation.form == Form::multiply_add && may_absorb(value, operation.operands[2], Form::mul)) {
    Node& absorbed = *node_of(operation.operands[2]);
    absorbed.dead = true;
    operation.form = Form::multiply_add_product;
    operation.operands[2] = absorbed.operation.operands[0];
    operation.operands[3] = absorbed.operation.operands[1];
  }
}

void Planner::fuse() {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    Node& node = nodes_[i];
    if (node.dead) continue;
    const size_t value = first_code() + i;
    PlannedOperation& operation = node.operation;
    if (operation.form == Form::add || operation.form == Form::multiply_add) {
      fuse_products(node, value);
    } else if (operation.form == Form::sum && may_absorb(value, operation.operands[0], Form::mul)) {
      Node& absorbed = *node_of(operation.operands[0]);
      absorbed.dead = true;
      operation.form = Form::sum_product;
      operation.operands[0] = absorbed.operation.operands[0];
      operation.operands[1] = absorbed.operation.operands[1];
    } else if (operation.form == Form::copy && operation.post != Post::none) {
      for (size_t form = 0; form < kMapForms; ++form) {
        if (!may_absorb(value, operation.operands[0], static_cast<Form>(form))) continue;
        Node& absorbed = *node_of(operation.operands[0]);
        absorbed.dead = true;
        operation.form = absorbed.operation.form;
        std::copy(std::begin(absorbed.operation.operands), std::end(absorbed.operation.operands),
                  operation.operands);
        break;
      }
    }
  }
}

// Brings the state of a known recurrence to its place among the operands.
void Planner::find_recurrences() {
  for (size_t s = 0; s < nexts_.size(); ++s) {
    PlannedOperation& operation = node_of(nexts_[s])->operation;
    const size_t state = first_state() + s;
    size_t* const operands = operation.operands;
    size_t reads = 0;
    for (size_t i = 0; i < operand_count(operation); ++i) reads += operands[i] == state;
    if (reads != 1 || operation.post == Post::exp || operation.post == Post::sigmoid) continue;
    switch (operation.form) {
      case Form::add:
        if (operands[0] == state) std::swap(operands[0], operands[1]);
        operation.recurrence = Recurrence::add;
        break;
      case Form::multiply_add:
        if (operands[0] == state) std::swap(operands[0], operands[1]);
        operation.recurrence =
            operands[1] == state ? Recurrence::multiply_add : Recurrence::accumulate;
        break;
      case Form::multiply_add_product:
        if (operands[2] == state || operands[3] == state) {
          std::swap(operands[0], operands[2]);
          std::swap(operands[1], operands[3]);
        }
        if (operands[0] == state) std::swap(operands[0], operands[1]);
        operation.recurrence = Recurrence::multiply_add_product;
        break;
      default:
        break;
    }
  }
}

// (p * b) * x, where only b varies with the rows, is (p * x) * b: one multiplication for all rows
// less in each of them.
void Planner::order_products() {
  for (const size_t next : nexts_) {
    PlannedOperation& operation = node_of(next)->operation;
    if (operation.recurrence != Recurrence::multiply_add_product) continue;
    for (const size_t i : {size_t{2}, size_t{3}}) {
      size_t &product = operation.operands[i], &factor = operation.operands[5 - i];
      if (!may_absorb(next, product, Form::mul) || factor >= first_state() ||
          varies_with_rows(factor)) {
        continue;
      }
      Node& node = *node_of(product);
      size_t* const operands = node.operation.operands;
      if (varies_with_rows(operands[0])) std::swap(operands[0], operands[1]);
      if (!node.rows || varies_with_rows(operands[0])) continue;
      std::swap(operands[1], factor);
      node.rows = false;
      break;
    }
  }
}

// Selective state spaces: what decays the state, the state and what is read from it make one pass.
void Planner::find_decays() {
  last_only_.assign(nexts_.size(), false);
  for (size_t s = 0; s < nexts_.size(); ++s) {
    const size_t next = nexts_[s], state = first_state() + s;
    Node& node = *node_of(next);
    PlannedOperation& operation = node.operation;
    if (operation.recurrence != Recurrence::multiply_add_product || operation.post != Post::none ||
        operation.operands[0] == state) {
      continue;
    }
    const auto reads_state = [&](const Node& other) {
      const size_t* const begin = other.operation.operands;
      return std::find(begin, begin + operand_count(other.operation), state) !=
             begin + operand_count(other.operation);
    };
    Node* const decay = node_of(operation.operands[0]);
    const bool exponential = decay && !decay->dead && decay->operation.form == Form::mul &&
                             decay->operation.post == Post::exp && !reads_state(*decay) &&
                             uses(operation.operands[0]) == 1;
    Node* sum = nullptr;
    size_t read_by = 0;
    for (Node& other : nodes_) {
      if (other.dead || other.operation.form != Form::sum_product) continue;
      size_t* const operands = other.operation.operands;
      if (operands[0] != next) std::swap(operands[0], operands[1]);
      if (operands[0] == next && operands[1] < first_state()) sum = &other;
    }
    if (!node.rows || (!exponential && !sum)) continue;
    size_t operands[kMostOperands] = {
        operation.operands[0], operation.operands[0], state,
        operation.operands[2], operation.operands[3], operation.operands[3]};
    if (exponential) {
      operands[0] = decay->operation.operands[0];
      operands[1] = decay->operation.operands[1];
      decay->dead = true;
    }
    if (sum) {
      operands[5] = sum->operation.operands[1];
      operation.sum = sum->operation.result;
      sum->dead = true;
      sum->made_by = next;
    }
    operation.form = Form::decay;
    operation.recurrence = Recurrence::none;
    operation.exponential = exponential;
    operation.sums = sum != nullptr;
    std::copy(std::begin(operands), std::end(operands), operation.operands);
    for (const Node& other : nodes_) read_by += !other.dead && reads_state(other);
    const bool output =
        std::any_of(spec().outputs.begin(), spec().outputs.end(),
                    [&](const ElementwiseLoopSpec::Output& o) { return o.value == state; });
    last_only_[s] = uses(next) == 1 && read_by == 1 && !output;
  }
}

// The node that makes a register's value, as an index.
size_t Planner::producer(size_t value) const {
  const Node& node = nodes_[value - first_code()];
  return (node.made_by > 0 ? node.made_by : value) - first_code();
}

// Operations that wait for each other over time are one group; groups come after what they read,
// states too.
void Planner::order() {
  const size_t count = nodes_.size();
  std::vector<std::bitset<kMostNodes>> reaches(count);  // from a node to what waits for it
  for (size_t i = 0; i < count; ++i) {
    if (nodes_[i].dead) continue;
    for (size_t k = 0; k < operand_count(nodes_[i].operation); ++k) {
      size_t value = nodes_[i].operation.operands[k];
      if (is_state(value)) value = nexts_[value - first_state()];
      if (value < first_code()) continue;
      const size_t made_by = producer(value);
      if (!nodes_[made_by].dead) reaches[made_by].set(i);
    }
  }
  for (size_t via = 0; via < count; ++via) {
    for (size_t i = 0; i < count; ++i) {
      if (reaches[i][via]) reaches[i] |= reaches[via];
    }
  }
  std::vector<bool> done(count);
  size_t left = 0;
  for (size_t i = 0; i < count; ++i) {
    done[i] = nodes_[i].dead;
    left += !done[i];
  }
  const auto together = [&](size_t a, size_t b) {
    return a == b || (reaches[a][b] && reaches[b][a]);
  };
  while (left > 0) {
    for (size_t first = 0; first < count; ++first) {
      if (done[first]) continue;
      bool ready = true;
      for (size_t i = 0; i < count && ready; ++i) {
        ready = done[i] || !reaches[i][first] || together(i, first);
      }
      if (!ready) continue;
      OperationGroup group{plan_.operations.size(), 0, reaches[first][first]};
      for (size_t i = 0; i < count; ++i) {
        if (done[i] || !together(i, first)) continue;
        plan_.operations.push_back(nodes_[i].operation);
        done[i] = true;
        --left;
      }
      group.end = plan_.operations.size();
      plan_.groups.push_back(group);
    }
  }
}

}  // namespace

size_t operand_count(const PlannedOperation& operation) {
  switch (operation.form) {
    case Form::copy:
    case Form::sum:
      return 1;
    case Form::add:
    case Form::sub:
    case Form::mul:
    case Form::sum_product:
      return 2;
    case Form::multiply_add:
      return 3;
    case Form::multiply_add_product:
      return 4;
    case Form::general:
      return operand_count(operation.instruction.operation);
    case Form::decay:
      return kMostOperands;
  }
  return 0;
}

ElementwisePlan plan_elementwise(const ElementwiseLoopSpec& spec, int64_t target_lanes) {
  return Planner(spec, target_lanes).run();
}

}  // namespace refrain::highway
