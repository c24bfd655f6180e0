#include "frontend/driver/onednn_layer.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "frontend/driver/baseline.h"
#include "frontend/onnx/recurrent_cells.h"
#include "ir/control.h"
#include "ir/error.h"
#include "passes/pass.h"

namespace refrain {
namespace {

using onednn::RecurrentShape;
using onnx_import::Activation;
using onnx_import::CellKind;

constexpr const char* kNoPrimitive = "no exact oneDNN primitive for this model: ";

// A cell that oneDNN has, as the importer describes it.
struct Candidate {
  onednn::Cell cell;
  onnx_import::Cell imported;
};

std::vector<Candidate> candidates(int64_t hidden) {
  const Activation tanh(Activation::Kind::tanh, 0, 0), relu(Activation::Kind::relu, 0, 0),
      sigmoid(Activation::Kind::sigmoid, 0, 0);
  const auto cell = [&](CellKind kind, std::vector<Activation> activations) {
    onnx_import::Cell result;
    result.kind = kind;
    result.hidden = hidden;
    result.activations = std::move(activations);
    return result;
  };
  std::vector<Candidate> result = {
      {onednn::Cell::vanilla_tanh, cell(CellKind::rnn, {tanh})},
      {onednn::Cell::vanilla_relu, cell(CellKind::rnn, {relu})},
      {onednn::Cell::lstm, cell(CellKind::lstm, {sigmoid, tanh, tanh})},
      {onednn::Cell::gru, cell(CellKind::gru, {sigmoid, tanh})},
      {onednn::Cell::lbr_gru, cell(CellKind::gru, {sigmoid, tanh})}};
  result.back().imported.linear_before_reset = true;
  return result;
}

// The step weights that a cell has, in their order: what the scan's invariants then are.
std::vector<onnx_import::StepWeight> step_weights(const onnx_import::Cell& cell, bool bias) {
  using namespace onnx_import;
  std::vector<StepWeight> result = {kInputWeights, kRecurrentWeights};
  const bool gru = cell.kind == CellKind::gru;
  if (gru && !cell.linear_before_reset) result.push_back(kHiddenWeights);
  if (bias) result.push_back(kBias);
  if (bias && gru && cell.linear_before_reset) result.push_back(kHiddenBias);
  return result;
}

// True if two regions hold the same nodes in the same order, whatever their names and types.
bool same_nodes(const Region& a, const Region& b) {
  if (a.size() != b.size() || a.argument_count() != b.argument_count()) return false;
  std::unordered_map<const Value*, const Value*> twin{{nullptr, nullptr}};
  for (size_t i = 0; i < a.argument_count(); ++i) twin[a.argument(i)] = b.argument(i);
  const Node* other = b.first();
  for (const Node* node = a.first(); node; node = node->next(), other = other->next()) {
    if (node->op() != other->op() || node->operand_count() != other->operand_count() ||
        node->result_count() != other->result_count() || node->region_count() > 0 ||
        node->attributes() != other->attributes()) {
      return false;
    }
    for (size_t i = 0; i < node->operand_count(); ++i) {
      if (twin.at(node->operand(i)) != other->operand(i)) return false;
    }
    for (size_t i = 0; i < node->result_count(); ++i) twin[node->result(i)] = other->result(i);
  }
  return true;
}

// True if the scan's body is what the importer writes for the cell.
bool is_step_of(const ScanView& scan, const onnx_import::Cell& cell, bool bias) {
  const std::vector<onnx_import::StepWeight> weights = step_weights(cell, bias);
  if (scan.invariants() != weights.size() || scan.states() != cell.states()) return false;
  Region body;
  const auto add = [&](const Value* like) { return body.add_argument(like->type()); };
  onnx_import::StepWeights step{};
  for (size_t i = 0; i < weights.size(); ++i) step[weights[i]] = add(scan.invariant_argument(i));
  std::vector<Value*> states;
  for (size_t i = 0; i < scan.states(); ++i) states.push_back(add(scan.state_argument(i)));
  Value* x = add(scan.slice_argument(0));
  Builder builder(body);
  try {
    std::vector<Value*> results = onnx_import::add_step(builder, cell, step, x, states);
    if (scan.stacked() == 1) results.push_back(results[0]);
    builder.yield(results);
  } catch (const Error&) {
    return false;  // another cell's weights
  }
  return same_nodes(scan.body(), body);
}

// Ops that put elements elsewhere, or say where: no work that the primitive would leave out.
bool moves_elements(Op op) {
  switch (op) {
    case Op::constant:
    case Op::dims:
    case Op::shape:
    case Op::fill:
    case Op::expand:
    case Op::reshape:
    case Op::squeeze:
    case Op::unsqueeze:
    case Op::transpose:
    case Op::concat:
    case Op::split:
    case Op::slice:
    case Op::gather:
    case Op::yield:
      return true;
    default:
      return false;
  }
}

// Nodes that what the scan reads depends on. Weights may be computed in any way: that is done once.
std::unordered_set<const Node*> sources_of(const Node& scan, size_t operands) {
  std::unordered_set<const Node*> found;
  std::vector<const Node*> open;
  const auto reach = [&](const Value* value) {
    if (value && value->node() && found.insert(value->node()).second) open.push_back(value->node());
  };
  for (size_t i = 0; i < operands; ++i) reach(scan.operand(i));
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    for (size_t i = 0; i < node->operand_count(); ++i) reach(node->operand(i));
  }
  return found;
}

// The one scan; null, with why, if that is not what the graph is.
Node* only_scan(const Graph& graph, std::string& why) {
  Node* scan = nullptr;
  for (Node* node = graph.body().first(); node; node = node->next()) {
    if (node->op() != Op::scan) continue;
    if (scan) {
      why = "more than one layer or direction";
      return nullptr;
    }
    scan = node;
  }
  if (!scan) {
    why = "no recurrent layer";
    return nullptr;
  }
  const ScanView view(*scan);
  const std::unordered_set<const Node*> weights = sources_of(*scan, view.state_operand(0));
  for (const Node* node = graph.body().first(); node; node = node->next()) {
    if (node != scan && !moves_elements(node->op()) && !weights.contains(node)) {
      why = "op " + std::string(name(node->op())) + " beside the layer";
      return nullptr;
    }
  }
  return scan;
}

// Empty if the scan's slots are those of a layer that runs along the first axis.
std::string wrong_slots(const ScanView& scan) {
  if (scan.has_lengths()) return "sequences of different lengths";
  if (scan.has_trip_count() || scan.scanned() != 1 || scan.stacked() > 1 || scan.states() < 1 ||
      scan.states() > 2) {
    return "a scan that is no RNN, LSTM or GRU";
  }
  const ScanSlot in = scan.scan_slot(0), out = scan.stacked() ? scan.stack_slot(0) : in;
  if (in.axis != 0 || out.axis != 0) return "time is not the first axis";
  if (in.reverse != out.reverse) return "reads and writes in different directions";
  return {};
}

// Rows and columns exchanged.
std::vector<float> transposed(const Tensor& matrix) {
  const int64_t rows = matrix.extents()[0], columns = matrix.extents()[1];
  const std::span<const float> from = matrix.data<float>();
  std::vector<float> to(from.size());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t k = 0; k < columns; ++k) {
      to[static_cast<size_t>(k * rows + i)] = from[static_cast<size_t>(i * columns + k)];
    }
  }
  return to;
}

// Weights as ONNX has them, out of those of a step.
struct Weights {
  std::vector<float> w, r, bias;
};

Weights onnx_weights(const onnx_import::Cell& cell, const std::vector<TensorPtr>& step, bool bias) {
  using namespace onnx_import;
  Weights result;
  const auto rows = static_cast<size_t>(cell.gates() * cell.hidden);
  result.bias.assign(bias ? 2 * rows : 0, 0.0f);
  const std::vector<StepWeight> kinds = step_weights(cell, bias);
  for (size_t i = 0; i < kinds.size(); ++i) {
    const Tensor& tensor = *step[i];
    if (kinds[i] == kInputWeights) {
      result.w = transposed(tensor);
    } else if (kinds[i] == kRecurrentWeights || kinds[i] == kHiddenWeights) {
      const std::vector<float> part = transposed(tensor);
      result.r.insert(result.r.end(), part.begin(), part.end());
    } else {
      // Wb, with all that Rb adds to it; only Rbh of a GRU that resets after the product is apart.
      const size_t at = kinds[i] == kBias ? 0 : 2 * rows - static_cast<size_t>(cell.hidden);
      const std::span<const float> part = tensor.data<float>();
      std::copy(part.begin(), part.end(), result.bias.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  return result;
}

// What the scan's operands are for these inputs of the graph. The graph is of no use afterwards.
std::vector<TensorPtr> operand_values(Graph& graph, const Node& scan,
                                      std::span<const RuntimeValue> inputs,
                                      const reference::Limits& limits) {
  const std::vector<Value*> operands = scan.operands();
  std::vector<std::string> names;
  for (size_t i = 0; i < operands.size(); ++i) names.push_back("operand" + std::to_string(i));
  graph.body().erase(graph.body().yield());
  graph.set_outputs(operands, std::move(names));
  constexpr passes::PipelineEntry kOnlyOperands[] = {{"dce", "the scan itself is not run"}};
  passes::run_pipeline(graph, kOnlyOperands, {});
  std::vector<TensorPtr> result;
  for (const RuntimeValue& value : reference::run(graph, inputs, limits))
    result.push_back(value.tensor);
  return result;
}

}  // namespace

OnednnLayer::OnednnLayer(const RecurrentShape& shape,
                         std::unique_ptr<onednn::RecurrentPrimitive> layer, TensorPtr x,
                         TensorPtr h0, TensorPtr c0)
    : layer_(std::move(layer)),
      x_(std::move(x)),
      h0_(std::move(h0)),
      c0_(std::move(c0)),
      y_(ElementType::f32, {shape.steps, shape.batch, shape.hidden}),
      h_(ElementType::f32, {shape.batch, shape.hidden}),
      c_(ElementType::f32, {c0_ ? shape.batch : 0, shape.hidden}) {}

std::unique_ptr<OnednnLayer> OnednnLayer::find(std::unique_ptr<Graph> imported,
                                               std::span<const RuntimeValue> inputs, int threads,
                                               const reference::Limits& limits, std::string* why) {
  std::string reason;
  const auto refuse = [&](const std::string& what) -> std::unique_ptr<OnednnLayer> {
    if (why) *why = kNoPrimitive + what;
    return nullptr;
  };
  bind_shapes(*imported, inputs);
  const Node* node = only_scan(*imported, reason);
  if (!node) return refuse(reason);
  const ScanView scan(*node);
  reason = wrong_slots(scan);
  if (!reason.empty()) return refuse(reason);
  const ValueType& state = scan.state_argument(0)->type();
  if (state.element != ElementType::f32) return refuse("only float32 has one");
  if (!state.shape.ranked() || state.shape.rank() != 2 || !state.shape[1].is_constant())
    return refuse("a state that is no matrix of constant width");

  for (const Candidate& candidate : candidates(state.shape[1].extent())) {
    const bool least = step_weights(candidate.imported, false).size() == scan.invariants();
    const bool bias = !least;
    if (!is_step_of(scan, candidate.imported, bias)) continue;
    const size_t first_state = scan.state_operand(0), states = scan.states(),
                 scanned = scan.scanned_operand(0);
    const bool backward = scan.scan_slot(0).reverse;
    const std::vector<TensorPtr> values = operand_values(*imported, *node, inputs, limits);
    const std::vector<int64_t>& x = values[scanned]->extents();
    const RecurrentShape shape{candidate.cell, x[0], x[1], x[2], candidate.imported.hidden,
                               backward};
    if (values[scanned]->size() == 0) return refuse("nothing to compute");
    const Weights weights = onnx_weights(candidate.imported, values, bias);
    auto layer = std::make_unique<onednn::RecurrentPrimitive>(
        shape, weights.w.data(), weights.r.data(), bias ? weights.bias.data() : nullptr, threads);
    return std::unique_ptr<OnednnLayer>(
        new OnednnLayer(shape, std::move(layer), values[scanned], values[first_state],
                        states > 1 ? values[first_state + 1] : nullptr));
  }
  return refuse("a cell, activation or attribute that oneDNN lacks");
}

void OnednnLayer::run() {
  const auto data = [](const TensorPtr& tensor) {
    return tensor ? tensor->data<float>().data() : nullptr;
  };
  layer_->run(data(x_), data(h0_), data(c0_), y_.data<float>().data(), h_.data<float>().data(),
              c0_ ? c_.data<float>().data() : nullptr);
}

}  // namespace refrain
