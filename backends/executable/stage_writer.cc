#include "backends/executable/stage_writer.h"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "backends/executable/loop_form.h"

namespace refrain::executable {
namespace {

using highway::Stream;
using Kind = Expression::Kind;

// Bounds the recursion over expressions; a program could not hold as many operations anyway.
constexpr int kMaxDepth = 4 * static_cast<int>(highway::kMaxRegisters);

bool same(const Stream& a, const Stream& b) {
  return a.kind == b.kind && a.buffer == b.buffer && a.time_stride == b.time_stride &&
         a.row_stride == b.row_stride && a.offset == b.offset;
}

}  // namespace

struct StageWriter::Draft {
  int level = 0;
  std::vector<size_t> gates;  // expressions
  std::vector<Stream> inputs;
  struct Code {
    highway::Instruction instruction;
    std::vector<Register> operands;
  };
  std::vector<Code> code;
  std::map<size_t, Register> registers;  // of expressions
};

size_t StageWriter::add(Expression expression) {
  expressions_.push_back(std::move(expression));
  return expressions_.size() - 1;
}

size_t StageWriter::constant(float number, int64_t width) {
  Expression expression;
  expression.width = width;
  expression.number = number;
  return add(std::move(expression));
}

size_t StageWriter::stream(const Stream& stream, int64_t width) {
  Expression expression;
  expression.kind = Kind::stream;
  expression.width = width;
  expression.stream = stream;
  return add(std::move(expression));
}

size_t StageWriter::gate(Expression gate) {
  gate.pure = false;
  gate.level = 0;
  for (const Term& term : gate.terms) {
    const Expression& left = expressions_[term.left];
    lefts_.insert(term.left);
    if (left.kind != Kind::stream) gate.level = std::max(gate.level, left.level + 1);
    gate.depth = std::max(gate.depth, left.depth + 1);
  }
  return add(std::move(gate));
}

size_t StageWriter::operation(const highway::Instruction& instruction, std::vector<size_t> operands,
                              int64_t width) {
  Expression expression;
  expression.kind = Kind::operation;
  expression.width = width;
  expression.instruction = instruction;
  for (const size_t i : operands) {
    const Expression& operand = expressions_[i];
    expression.level = std::max(expression.level, operand.level);
    expression.depth = std::max(expression.depth, operand.depth + 1);
    expression.pure = expression.pure && operand.pure;
  }
  expression.operands = std::move(operands);
  return add(std::move(expression));
}

size_t StageWriter::sum(const std::vector<size_t>& given, int64_t width, bool open) {
  std::vector<size_t> terms;
  for (const size_t term : given) {
    const std::vector<size_t>& inner = expressions_[term].addends;
    if (inner.empty()) {
      terms.push_back(term);
    } else {
      terms.insert(terms.end(), inner.begin(), inner.end());
    }
  }
  const auto zero = [this](size_t i) {
    return expressions_[i].kind == Kind::constant && expressions_[i].number == 0;
  };
  if (!std::all_of(terms.begin(), terms.end(), zero)) std::erase_if(terms, zero);
  Expression merged;
  merged.kind = Kind::gate;
  merged.width = width;
  std::vector<size_t> addends;
  size_t gates = 0;
  for (const size_t term : terms) {
    const Expression& expression = expressions_[term];
    if (expression.kind == Kind::gate && !expression.shared) {
      merged.terms.insert(merged.terms.end(), expression.terms.begin(), expression.terms.end());
      if (gates++ == 0) addends.push_back(term);
    } else {
      addends.push_back(term);
    }
  }
  if (gates > 1) {
    const size_t one = gate(std::move(merged));
    for (size_t& addend : addends) {
      if (expressions_[addend].kind == Kind::gate && !expressions_[addend].shared) addend = one;
    }
  }
  // What a product can start from comes right after it.
  const auto rank = [this](size_t addend) {
    const Expression& e = expressions_[addend];
    return e.kind == Kind::gate && !e.shared ? 0 : e.kind == Kind::stream ? 1 : 2;
  };
  std::ranges::stable_sort(addends, {}, rank);
  size_t total = addends[0];
  for (size_t i = 1; i < addends.size(); ++i) {
    total = operation({highway::Operation::add, 0, {0, 0, 0}, 0, 0}, {total, addends[i]}, width);
  }
  if (open) expressions_[total].addends = std::move(terms);
  return total;
}

// Rows of scratch that an earlier stage fills with an expression.
Stream StageWriter::temporary(size_t expression) {
  const auto found = temporaries_.find(expression);
  if (found != temporaries_.end()) return found->second;
  const Expression& e = expressions_[expression];
  Stream stream;
  stream.buffer = form_->buffers.size();
  stream.row_stride = e.width;
  form_->buffers.push_back({nullptr, rows_ * e.width, true});
  drafts_[{e.level, e.width}].push_back({expression, stream});
  temporaries_[expression] = stream;
  return stream;
}

Stream StageWriter::left_stream(size_t expression) {
  const Expression& left = expressions_[expression];
  if (left.kind != Kind::stream) return temporary(expression);
  Stream stream = left.stream;
  // One row for all rows.
  if (stream.kind == Stream::Kind::units) stream.kind = Stream::Kind::rows;
  return stream;
}

// Whether an earlier stage's expression is a little arithmetic on only one value that must come
// from there, which then comes in its place: such expressions often share that value, as z h and 1
// - z do.
bool StageWriter::is_recomputed(size_t expression) const {
  const Expression& e = expressions_[expression];
  switch (e.instruction.operation) {
    case highway::Operation::neg:
    case highway::Operation::add:
    case highway::Operation::sub:
    case highway::Operation::mul:
    case highway::Operation::multiply_add:
      break;
    default:
      return false;
  }
  if (lefts_.contains(expression)) return false;  // it comes anyway
  std::set<size_t> kept;
  for (const size_t operand : e.operands) {
    if (expressions_[operand].pure) continue;
    if (expressions_[operand].kind != Kind::operation) return false;
    kept.insert(operand);
  }
  return kept.size() == 1;
}

StageWriter::Register StageWriter::emit(Draft& draft, size_t expression) {
  const auto known = draft.registers.find(expression);
  if (known != draft.registers.end()) return known->second;
  const Expression& e = expressions_[expression];
  const auto input = [&](const Stream& stream) {
    size_t i = 0;
    while (i < draft.inputs.size() && !same(draft.inputs[i], stream)) ++i;
    if (i == draft.inputs.size()) draft.inputs.push_back(stream);
    return Register{Register::Kind::input, i};
  };
  Register made{Register::Kind::code, 0};
  if (e.kind == Kind::stream) {
    made = input(e.stream);
  } else if (e.kind == Kind::gate) {
    made = {Register::Kind::gate, draft.gates.size()};
    draft.gates.push_back(expression);
  } else if (e.kind == Kind::operation && !e.pure && e.level < draft.level &&
             !is_recomputed(expression)) {
    made = input(temporary(expression));
  } else {
    Draft::Code code{e.instruction, {}};
    if (e.kind == Kind::constant) {
      code.instruction = {highway::Operation::constant, 0, {0, 0, 0}, e.number, 0};
    }
    for (const size_t operand : e.operands) code.operands.push_back(emit(draft, operand));
    made.index = draft.code.size();
    draft.code.push_back(std::move(code));
  }
  draft.registers[expression] = made;
  return made;
}

// One product for each left side; gates that don't multiply it are no part of it.
void StageWriter::write_products(const Draft& draft, highway::Stage& stage) {
  std::vector<size_t> lefts;
  for (size_t g = 0; g < draft.gates.size(); ++g) {
    for (const Term& term : expressions_[draft.gates[g]].terms) {
      const auto found = std::find(lefts.begin(), lefts.end(), term.left);
      const auto index = static_cast<size_t>(found - lefts.begin());
      if (found == lefts.end()) {
        lefts.push_back(term.left);
        highway::Product& product = stage.products.emplace_back();
        product.left = left_stream(term.left);
        product.depth = expressions_[term.left].width;
      }
      const int64_t columns = term.weights->extents()[1];
      stage.products[index].weights.push_back(
          {g, term.weights->data<float>().data() + term.row * columns + term.column, columns});
    }
  }
}

bool StageWriter::write_stage(const Key& key, std::vector<Output>& outputs, highway::Stage& stage) {
  Draft draft;
  draft.level = key.first;
  std::vector<Register> results;
  for (const Output& output : outputs) {
    results.push_back(emit(draft, output.expression));
    stage.outputs.push_back(output.to);
  }
  const size_t gates = draft.gates.size(), inputs = draft.inputs.size();
  if (gates + inputs + draft.code.size() > highway::kMaxRegisters) return false;
  const auto number = [&](const Register& r) {
    const size_t base = r.kind == Register::Kind::gate    ? 0
                        : r.kind == Register::Kind::input ? gates
                                                          : gates + inputs;
    return static_cast<uint8_t>(base + r.index);
  };
  stage.units = key.second;
  stage.gates = static_cast<int64_t>(gates);
  stage.inputs = draft.inputs;
  stage.program.inputs = gates + inputs;
  for (size_t i = 0; i < draft.code.size(); ++i) {
    highway::Instruction instruction = draft.code[i].instruction;
    instruction.result = static_cast<uint8_t>(gates + inputs + i);
    for (size_t k = 0; k < draft.code[i].operands.size(); ++k) {
      instruction.operands[k] = number(draft.code[i].operands[k]);
    }
    stage.program.code.push_back(instruction);
  }
  for (const Register& result : results) stage.program.outputs.push_back(number(result));
  write_products(draft, stage);
  return true;
}

bool StageWriter::write(int64_t rows, LoopForm& form) {
  rows_ = rows;
  form_ = &form;
  for (const Expression& expression : expressions_) {
    if (expression.depth > kMaxDepth) return false;
  }
  for (const Output& output : outputs_) {
    const Expression& e = expressions_[output.expression];
    drafts_[{e.level, e.width}].push_back(output);
  }
  if (drafts_.empty()) return false;
  // From the last stage to the first: what a stage reads of earlier ones becomes their output.
  std::vector<highway::Stage>& stages = form.spec.stages;
  for (auto draft = std::prev(drafts_.end());; --draft) {
    if (!write_stage(draft->first, draft->second, stages.emplace_back())) return false;
    if (draft == drafts_.begin()) break;
  }
  std::reverse(stages.begin(), stages.end());
  form.padded = std::any_of(stages.begin(), stages.end(), highway::multiplies_zeros);
  return true;
}

}  // namespace refrain::executable
