#include "backends/executable/recurrent_cell.h"

#include <algorithm>
#include <array>
#include <utility>

#include "backends/highway/match.h"

namespace refrain::executable {
namespace {

using highway::Instruction;
using highway::KnownProgram;
using highway::NormalProgram;
using highway::Program;
using highway::Stage;
using highway::Stream;
using highway::known::apply;
using highway::known::one;
using onednn::Cell;
using enum highway::Operation;

// Gates r, z, n; stream h. Both halves of a GRU that resets before the product, which is that of
// the first output, r' h.
constexpr KnownProgram kGruResetBefore{
    "gru, reset before",
    3,
    4,
    8,
    {apply(sigmoid, 4, 0), apply(mul, 5, 4, 3), apply(sigmoid, 6, 1), apply(tanh, 7, 2), one(8),
     apply(sub, 9, 8, 6), apply(mul, 10, 6, 3), apply(multiply_add, 11, 9, 7, 10)},
    2,
    {5, 11}};
// The same with h' = n' + z' (h - n').
constexpr KnownProgram kGruResetBeforeBlend{
    "gru, reset before, blend",
    3,
    4,
    6,
    {apply(sigmoid, 4, 0), apply(mul, 5, 4, 3), apply(sigmoid, 6, 1), apply(tanh, 7, 2),
     apply(sub, 8, 3, 7), apply(multiply_add, 9, 6, 8, 7)},
    2,
    {5, 9}};

// The last output of each program is the new h.
struct Pattern {
  Cell cell;
  const KnownProgram* program;
  std::array<size_t, 4> onnx_gates;  // of the program's gates
};
constexpr Pattern kPatterns[] = {
    {Cell::vanilla_tanh, &highway::known::kTanh, {0}},
    {Cell::vanilla_relu, &highway::known::kRelu, {0}},
    {Cell::lstm, &highway::known::kLstm, {2, 0, 3, 1}},
    {Cell::lbr_gru, &highway::known::kGruResetAfter, {1, 0, 2}},
    {Cell::lbr_gru, &highway::known::kGruResetAfterBlend, {1, 0, 2}},
    {Cell::lbr_gru, &highway::known::kGruBothProducts, {2, 1, 0, 2}},
    {Cell::lbr_gru, &highway::known::kGruBothProductsBlend, {2, 1, 0, 2}},
    {Cell::gru, &kGruResetBefore, {1, 0, 2}},
    {Cell::gru, &kGruResetBeforeBlend, {1, 0, 2}},
};

bool same(const Stream& a, const Stream& b) {
  return a.kind == b.kind && a.buffer == b.buffer && a.time_stride == b.time_stride &&
         a.row_stride == b.row_stride && a.offset == b.offset;
}

// All stages of a loop as one program, in which what a stage leaves for a later one stays in a
// register.
struct Whole {
  struct Gate {
    const Stage* stage;
    size_t index;  // in the stage
  };
  std::vector<Gate> gates;
  std::vector<Stream> streams;
  Program program;              // inputs: gates, streams
  std::vector<Stream> outputs;  // of the program
};

class CellFinder {
 public:
  CellFinder(const Lowering& lowering, const LoopForm& form) : lowering_(lowering), form_(form) {}

  std::optional<RecurrentCell> run();

 private:
  using Gate = RecurrentCell::Gate;

  bool temporary(const Stream& stream) const {
    return stream.kind == Stream::Kind::rows && form_.buffers[stream.buffer].temporary > 0;
  }
  std::optional<Whole> whole() const;
  std::optional<RecurrentCell> instance(const Pattern& pattern, const Whole& whole,
                                        const NormalProgram& normal) const;
  std::optional<size_t> column(const Stream& stream, int64_t columns, int64_t steps,
                               RecurrentCell& cell) const;
  bool take_x(const Value* x, int64_t depth, RecurrentCell& cell) const;
  bool add_feed(const Stream& stream, RecurrentCell& cell, Gate& gate) const;
  bool add_row(const Stream& stream, std::vector<const float*>& bias) const;
  bool add_products(const Whole::Gate& from, const Stream& recurrent, RecurrentCell& cell,
                    Gate& gate) const;
  bool add_outputs(const Whole& whole, const std::vector<uint8_t>& roles, const Pattern& pattern,
                   RecurrentCell& cell) const;

  const Lowering& lowering_;
  const LoopForm& form_;
};

std::optional<Whole> CellFinder::whole() const {
  Whole result;
  const std::vector<Stage>& stages = form_.spec.stages;
  const auto find = [](const std::vector<Stream>& streams, const Stream& stream) {
    const auto found =
        std::ranges::find_if(streams, [&](const Stream& s) { return same(s, stream); });
    return static_cast<size_t>(found - streams.begin());
  };
  std::vector<Stream> lefts;
  for (const Stage& stage : stages) {
    for (size_t g = 0; g < static_cast<size_t>(stage.gates); ++g) {
      result.gates.push_back({&stage, g});
    }
    for (const Stream& input : stage.inputs) {
      if (temporary(input) || find(result.streams, input) < result.streams.size()) continue;
      result.streams.push_back(input);
    }
    for (const highway::Product& product : stage.products) lefts.push_back(product.left);
  }
  Program& program = result.program;
  program.inputs = result.gates.size() + result.streams.size();
  std::vector<Stream> left_behind;
  std::vector<uint8_t> left_registers;
  size_t gates = 0, next = program.inputs;
  for (const Stage& stage : stages) {
    const auto own_gates = static_cast<size_t>(stage.gates);
    std::vector<uint8_t> registers(highway::kMaxRegisters);
    for (size_t g = 0; g < own_gates; ++g) registers[g] = static_cast<uint8_t>(gates + g);
    gates += own_gates;
    for (size_t i = 0; i < stage.inputs.size(); ++i) {
      const size_t behind = find(left_behind, stage.inputs[i]);
      if (behind < left_behind.size()) {
        registers[own_gates + i] = left_registers[behind];
      } else if (temporary(stage.inputs[i])) {
        return {};
      } else {
        registers[own_gates + i] =
            static_cast<uint8_t>(result.gates.size() + find(result.streams, stage.inputs[i]));
      }
    }
    for (Instruction instruction : stage.program.code) {
      if (next >= highway::kMaxRegisters) return {};
      for (size_t k = 0; k < highway::operand_count(instruction.operation); ++k) {
        instruction.operands[k] = registers[instruction.operands[k]];
      }
      registers[instruction.result] = static_cast<uint8_t>(next);
      instruction.result = static_cast<uint8_t>(next++);
      program.code.push_back(instruction);
    }
    for (size_t i = 0; i < stage.outputs.size(); ++i) {
      const uint8_t value = registers[stage.program.outputs[i]];
      const Stream& to = stage.outputs[i];
      if (temporary(to)) {
        left_behind.push_back(to);
        left_registers.push_back(value);
        if (find(lefts, to) == lefts.size()) continue;
      }
      program.outputs.push_back(value);
      result.outputs.push_back(to);
    }
  }
  if (program.inputs > highway::kMaxRegisters || result.gates.empty()) return {};
  return result;
}

// The first column of a stream that goes through `steps` steps of B rows of `columns` in the cell's
// direction; none if it goes another way.
std::optional<size_t> CellFinder::column(const Stream& stream, int64_t columns, int64_t steps,
                                         RecurrentCell& cell) const {
  const int64_t step = form_.shape.rows * columns;
  const bool backward = stream.time_stride < 0;
  if (stream.kind != Stream::Kind::rows || stream.row_stride != columns ||
      stream.time_stride != (backward ? -step : step) || backward != cell.shape.backward) {
    return {};
  }
  const int64_t column = stream.offset - (backward ? (steps - 1) * step : 0);
  if (column < 0 || column > columns - cell.shape.hidden) return {};
  return static_cast<size_t>(column);
}

// All gates multiply one x.
bool CellFinder::take_x(const Value* x, int64_t depth, RecurrentCell& cell) const {
  if (cell.x && (cell.x != x || cell.shape.input != depth)) return false;
  cell.x = x;
  cell.shape.input = depth;
  return true;
}

// Columns of a product that feeds the loop.
bool CellFinder::add_feed(const Stream& stream, RecurrentCell& cell, Gate& gate) const {
  if (stream.kind != Stream::Kind::rows || gate.input.data) return false;
  const LoopBuffer& buffer = form_.buffers[stream.buffer];
  const Lowering::Group* feed = buffer.fed ? lowering_.feed_of(buffer.value) : nullptr;
  if (!feed) return false;
  const Lowering::ProductForm product = lowering_.product_form(*feed, {buffer.value});
  const Stage& stage = product.spec.stages[0];
  const highway::Product& weights = stage.products[0];
  const auto at = column(stream, stage.units, form_.shape.chunk, cell);
  if (!at || product.rows != form_.shape.steps * form_.shape.rows ||
      !take_x(product.reads[0], weights.depth, cell)) {
    return false;
  }
  gate.input = {weights.weights[0].data + *at, weights.weights[0].row_stride};
  const NormalProgram epilogue = highway::normalize(stage.program, 1);
  if (!epilogue.program.code.empty() || epilogue.program.outputs != std::vector<uint8_t>{0}) {
    return false;
  }
  for (const uint8_t input : epilogue.initials[0]) {
    const Stream& added = stage.inputs[input - size_t{1}];
    const Tensor* row = lowering_.constant(product.reads[added.buffer]);
    if (added.kind != Stream::Kind::units || !row) return false;
    gate.input_bias.push_back(row->data<float>().data() + added.offset + *at);
  }
  return true;
}

// A constant row for all rows and steps.
bool CellFinder::add_row(const Stream& stream, std::vector<const float*>& bias) const {
  if (stream.kind != Stream::Kind::units) return false;
  const Value* value = form_.buffers[stream.buffer].value;
  const Tensor* row = lowering_.constant(value);
  if (value->node() && value->node()->op() == Op::constant) {
    row = value->node()->attribute<TensorPtr>(AttributeName::value).get();
  }
  if (!row) return false;
  bias.push_back(row->data<float>().data() + stream.offset);
  return true;
}

// Products with `recurrent` and with x, at most one each.
bool CellFinder::add_products(const Whole::Gate& from, const Stream& recurrent, RecurrentCell& cell,
                              Gate& gate) const {
  for (const highway::Product& product : from.stage->products) {
    const auto is_own = [&](const highway::WeightTerm& term) { return term.gate == from.index; };
    const auto term = std::ranges::find_if(product.weights, is_own);
    if (term == product.weights.end()) continue;
    if (std::ranges::count_if(product.weights, is_own) > 1) return false;  // a sum of matrices
    const RecurrentCell::Matrix matrix = {term->data, term->row_stride};
    const Stream& left = product.left;
    if (same(left, recurrent)) {
      if (gate.recurrent.data || product.depth != cell.shape.hidden) return false;
      gate.recurrent = matrix;
      continue;
    }
    if (left.kind != Stream::Kind::rows || temporary(left) || gate.input.data) return false;
    const LoopBuffer& buffer = form_.buffers[left.buffer];
    const int64_t step = form_.shape.rows * product.depth;
    const bool backward = cell.shape.backward;
    const int64_t first = backward ? (form_.shape.steps - 1) * step : 0;
    if (buffer.fed || !buffer.value || left.row_stride != product.depth ||
        left.time_stride != (backward ? -step : step) || left.offset != first ||
        !take_x(buffer.value, product.depth, cell)) {
      return false;
    }
    gate.input = matrix;
  }
  return true;
}

bool CellFinder::add_outputs(const Whole& whole, const std::vector<uint8_t>& roles,
                             const Pattern& pattern, RecurrentCell& cell) const {
  const size_t last = pattern.program->output_count - 1;
  for (size_t i = 0; i < whole.outputs.size(); ++i) {
    const Stream& to = whole.outputs[i];
    const bool is_h = roles[i] == last;
    if (temporary(to)) {
      if (pattern.cell != Cell::gru || is_h) return false;
    } else if (to.kind == Stream::Kind::state) {
      if (to.offset != 0 || to.buffer != (is_h ? cell.h : cell.c)) return false;
      if (!is_h && pattern.cell != Cell::lstm) return false;
    } else {
      if (!is_h || cell.y || column(to, cell.shape.hidden, form_.shape.steps, cell) != size_t{0}) {
        return false;
      }
      cell.y = form_.buffers[to.buffer].value;
    }
  }
  return true;
}

std::optional<RecurrentCell> CellFinder::instance(const Pattern& pattern, const Whole& whole,
                                                  const NormalProgram& normal) const {
  const size_t gates = whole.gates.size();
  const KnownProgram& known = *pattern.program;
  const auto match = highway::match_program(known, normal.program, gates);
  const bool lstm = pattern.cell == Cell::lstm;
  const std::vector<int64_t>& sizes = form_.spec.state_sizes;
  if (!match || sizes.size() != (lstm ? 2 : 1)) return {};

  RecurrentCell cell{};
  cell.shape = {pattern.cell, form_.shape.steps, form_.shape.rows, 0, sizes[0], false};
  for (const int64_t size : sizes) {
    if (size != cell.shape.hidden) return {};
  }
  const auto stream = [&](size_t input) { return whole.streams[match->inputs[input] - gates]; };
  if (known.inputs > known.gates) {
    // The last stream is a state: c of an LSTM, h of a GRU.
    const Stream state = stream(known.inputs - 1);
    if (state.kind != Stream::Kind::state || state.offset != 0) return {};
    (lstm ? cell.c : cell.h) = state.buffer;
    if (lstm) cell.h = 1 - state.buffer;
  }
  // Every stream but those of kind rows has a time stride of 0.
  for (const Stream& s : whole.streams) cell.shape.backward |= s.time_stride < 0;
  for (const Stage& stage : form_.spec.stages) {
    if (stage.units != cell.shape.hidden) return {};
    for (const highway::Product& p : stage.products) {
      cell.shape.backward |= p.left.time_stride < 0;
    }
  }
  if (!add_outputs(whole, match->outputs, pattern, cell)) return {};

  Stream h;
  h.kind = Stream::Kind::state;
  h.buffer = cell.h;
  h.row_stride = cell.shape.hidden;
  Stream reset = h;  // r' h
  for (size_t i = 0; i < whole.outputs.size(); ++i) {
    if (temporary(whole.outputs[i])) reset = whole.outputs[i];
  }
  cell.gates.resize(static_cast<size_t>(gate_count(pattern.cell)));
  for (size_t k = 0; k < known.gates; ++k) {
    const size_t index = match->inputs[k];
    const size_t onnx_gate = pattern.onnx_gates[k];
    Gate& gate = cell.gates[onnx_gate];
    const bool candidate = onnx_gate == 2 && !lstm;  // n of a GRU
    const Stream& left = candidate && pattern.cell == Cell::gru ? reset : h;
    if (!add_products(whole.gates[index], left, cell, gate)) return {};
    // That of a GRU that resets after its product is apart from the product with x, which is a
    // stream or the first gate.
    const bool apart = candidate && pattern.cell == Cell::lbr_gru;
    const bool own = apart && known.skewed;
    if (apart && !own && (gate.input.data || !add_feed(stream(3), cell, gate))) return {};
    for (const uint8_t input : normal.initials[index]) {
      const Stream& added = whole.streams[input - gates];
      const bool recurrent = apart && !(own && k == 0);
      const bool taken = add_row(added, recurrent ? gate.recurrent_bias : gate.input_bias) ||
                         (!apart && add_feed(added, cell, gate));
      if (!taken) return {};
    }
  }
  for (const Gate& gate : cell.gates) {
    if (!gate.input.data || !gate.recurrent.data) return {};
  }
  return cell;
}

std::optional<RecurrentCell> CellFinder::run() {
  if (form_.shape.steps < 2 || !form_.sequence_of_row.empty() || form_.spec.stages.size() > 2) {
    return {};
  }
  const std::optional<Whole> loop = whole();
  if (!loop) return {};
  const NormalProgram normal = highway::normalize(loop->program, loop->gates.size());
  for (const Pattern& pattern : kPatterns) {
    if (auto cell = instance(pattern, *loop, normal)) return cell;
  }
  return {};
}

}  // namespace

std::optional<RecurrentCell> find_recurrent_cell(const Lowering& lowering, const LoopForm& form) {
  return CellFinder(lowering, form).run();
}

OnnxWeights onnx_weights(const RecurrentCell& cell) {
  const auto hidden = static_cast<size_t>(cell.shape.hidden);
  const size_t rows = cell.gates.size() * hidden;
  OnnxWeights result;
  const auto transpose = [&](const RecurrentCell::Matrix& from, int64_t depth, float* to) {
    constexpr int64_t kBlock = 16;  // rows of `to` written side by side: what a cache line holds
    for (int64_t begin = 0; begin < cell.shape.hidden; begin += kBlock) {
      const int64_t end = std::min(cell.shape.hidden, begin + kBlock);
      for (int64_t k = 0; k < depth; ++k) {
        const float* row = from.data + k * from.row_stride;
        for (int64_t n = begin; n < end; ++n) to[n * depth + k] = row[n];
      }
    }
  };
  const auto input = static_cast<size_t>(cell.shape.input);
  result.w.resize(rows * input);
  result.r.resize(rows * hidden);
  result.bias.assign(2 * rows, 0.0F);
  for (size_t g = 0; g < cell.gates.size(); ++g) {
    const RecurrentCell::Gate& gate = cell.gates[g];
    transpose(gate.input, cell.shape.input, result.w.data() + g * hidden * input);
    transpose(gate.recurrent, cell.shape.hidden, result.r.data() + g * hidden * hidden);
    for (size_t n = 0; n < hidden; ++n) {
      for (const float* bias : gate.input_bias) result.bias[g * hidden + n] += bias[n];
      for (const float* bias : gate.recurrent_bias) result.bias[rows + g * hidden + n] += bias[n];
    }
  }
  return result;
}

}  // namespace refrain::executable
