#include "backends/highway/pack.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

#include "backends/highway/match.h"
#include "ir/error.h"

namespace refrain::highway {
namespace {

void require(bool condition, const std::string& problem, const std::string& expected,
             const std::string& found) {
  if (!condition) throw Error(problem, expected, found);
}

std::string to_text(int64_t value) { return std::to_string(value); }

void check_stream(const Stream& stream, int64_t columns, const std::vector<int64_t>& state_sizes,
                  const char* role) {
  if (stream.kind != Stream::Kind::state) return;
  require(stream.buffer < state_sizes.size(), std::string(role) + " of a loop stage",
          "a state below " + std::to_string(state_sizes.size()), std::to_string(stream.buffer));
  const int64_t size = state_sizes[stream.buffer];
  require(stream.offset >= 0 && stream.offset <= size && columns <= size - stream.offset,
          std::string(role) + " of a loop stage", "columns within a state of " + to_text(size),
          to_text(stream.offset) + " + " + to_text(columns));
}

void check_stage(const Stage& stage, const std::vector<int64_t>& state_sizes) {
  constexpr int64_t kLimit = int64_t{1} << 40;
  require(stage.units >= 0 && stage.units < kLimit, "units of a loop stage", "0 to 2^40",
          to_text(stage.units));
  require(stage.gates >= 0 && stage.gates <= static_cast<int64_t>(kMaxRegisters),
          "gates of a loop stage", "0 to " + std::to_string(kMaxRegisters), to_text(stage.gates));
  require(stage.products.size() <= kMaxProducts, "products of a loop stage",
          "at most " + std::to_string(kMaxProducts), std::to_string(stage.products.size()));
  require(stage.gates != 0 || stage.products.empty(), "products of a loop stage without gates",
          "none", std::to_string(stage.products.size()));
  check(stage.program);
  const size_t inputs = static_cast<size_t>(stage.gates) + stage.inputs.size();
  require(stage.program.inputs == inputs, "inputs of a loop stage's program",
          std::to_string(inputs), std::to_string(stage.program.inputs));
  require(
      stage.program.outputs.size() == stage.outputs.size() && stage.outputs.size() <= kMaxRegisters,
      "outputs of a loop stage's program",
      std::to_string(stage.outputs.size()) + " (at most " + std::to_string(kMaxRegisters) + ")",
      std::to_string(stage.program.outputs.size()));
  int64_t depth = 0;
  for (const Product& product : stage.products) {
    require(product.depth >= 0 && product.depth < kLimit, "depth of a product", "0 to 2^40",
            to_text(product.depth));
    require(product.left.kind != Stream::Kind::units, "left side of a product", "rows or a state",
            "units");
    for (const WeightTerm& term : product.weights) {
      require(term.gate < static_cast<size_t>(stage.gates), "gate of a product's weights",
              "below " + to_text(stage.gates), std::to_string(term.gate));
    }
    check_stream(product.left, product.depth, state_sizes, "left side");
    depth += product.depth;
  }
  require(stage.units == 0 || depth == 0 || stage.gates == 0 ||
              depth <= kLimit / stage.gates / (stage.units + 64),
          "weights of a loop stage", "at most 2^40", "more");
  for (const Stream& stream : stage.inputs) check_stream(stream, stage.units, state_sizes, "input");
  for (const Stream& stream : stage.outputs) {
    require(stream.kind != Stream::Kind::units, "output of a loop stage", "rows or a state",
            "units");
    check_stream(stream, stage.units, state_sizes, "output");
  }
}

// Every element of each state must get its new value exactly once a step.
void check_states(const LoopSpec& spec) {
  require(spec.state_sizes.size() <= kMaxStates, "states of a loop",
          "at most " + std::to_string(kMaxStates), std::to_string(spec.state_sizes.size()));
  for (size_t state = 0; state < spec.state_sizes.size(); ++state) {
    require(spec.state_sizes[state] >= 0, "size of a state", "0 or more",
            to_text(spec.state_sizes[state]));
    std::vector<std::pair<int64_t, int64_t>> ranges;
    for (const Stage& stage : spec.stages)
      for (const Stream& stream : stage.outputs)
        if (stream.kind == Stream::Kind::state && stream.buffer == state && stage.units > 0)
          ranges.emplace_back(stream.offset, stream.offset + stage.units);
    std::ranges::sort(ranges);
    int64_t covered = 0;
    for (const auto& [begin, end] : ranges) {
      require(begin == covered, "writes of state " + std::to_string(state),
              "each element once, next " + to_text(covered), to_text(begin));
      covered = end;
    }
    require(covered == spec.state_sizes[state], "writes of state " + std::to_string(state),
            to_text(spec.state_sizes[state]) + " elements", to_text(covered));
  }
}

// Whether one copy of the state is enough: one stage writes it, and all that reads it are elements
// of that stage at the very place that they write, or stages before.
bool is_in_place(const LoopSpec& spec, size_t state) {
  const auto is_state = [&](const Stream& stream) {
    return stream.kind == Stream::Kind::state && stream.buffer == state;
  };
  std::optional<size_t> writer;
  int64_t offset = 0;
  for (size_t s = 0; s < spec.stages.size(); ++s) {
    for (const Stream& stream : spec.stages[s].outputs) {
      if (!is_state(stream)) continue;
      if (writer) return false;
      writer = s;
      offset = stream.offset;
    }
  }
  if (!writer) return false;
  for (size_t s = *writer; s < spec.stages.size(); ++s) {
    for (const Product& product : spec.stages[s].products)
      if (is_state(product.left)) return false;
    for (const Stream& stream : spec.stages[s].inputs)
      if (is_state(stream) && (s != *writer || stream.offset != offset)) return false;
  }
  return true;
}

BlockShape block_shape(const PackedForm& form, size_t vectors, const TargetShape& target,
                       size_t splits) {
  const PackedBlock packed = packed_block(form, vectors);
  BlockShape shape;
  shape.vectors = vectors;
  shape.groups = packed.groups;
  shape.floats = packed.floats;
  // Without columns only the panel's size matters.
  shape.tile_rows = packed.groups.empty() ? kPanelVectors / vectors : kMaxTileRows;
  shape.tile_blocks = kMaxTileBlocks;
  for (const ColumnGroup& group : packed.groups) {
    const size_t at_once = form.skewed ? group.count - 1 : group.count;
    shape.tile_rows = std::min(shape.tile_rows, TileRows(target.accumulators, splits, at_once));
    shape.tile_blocks =
        std::min(shape.tile_blocks, TileBlocks(target.accumulators, splits, at_once));
  }
  const size_t tiles = kPanelVectors / vectors / shape.tile_rows;
  shape.panel_rows = std::max<size_t>(1, tiles) * shape.tile_rows;
  return shape;
}

bool is_part(const Product& product, size_t gate) {
  return std::ranges::find(product.weights, gate, &WeightTerm::gate) != product.weights.end();
}

// The two products in the order of StagePlan::skewed, or none if they aren't such ones.
std::vector<const Product*> skewed_products(const Stage& stage,
                                            const std::vector<size_t>& gate_order) {
  if (stage.products.size() != 2 || gate_order.size() != kMaxColumns) return {};
  const auto lacks_only = [&](const Product& product, size_t absent) {
    return std::ranges::all_of(gate_order,
                               [&](size_t g) { return is_part(product, g) == (g != absent); });
  };
  const Product &a = stage.products[0], &b = stage.products[1];
  if (lacks_only(a, gate_order.back()) && lacks_only(b, gate_order.front())) return {&a, &b};
  if (lacks_only(b, gate_order.back()) && lacks_only(a, gate_order.front())) return {&b, &a};
  return {};
}

void choose_blocks(StagePlan& plan, const PackedForm& form, const TargetShape& target,
                   int64_t rows) {
  const int64_t lanes = static_cast<int64_t>(target.lanes);
  const int64_t vectors = (plan.units + lanes - 1) / lanes;  // of one gate
  const int64_t block_vectors = static_cast<int64_t>(BlockVectors(plan.gates));
  const auto sums = static_cast<size_t>(std::clamp<int64_t>(rows, 1, kMaxTileRows));
  const size_t gates = plan.skewed ? plan.gates - 1 : plan.gates;
  plan.splits = Splits(static_cast<size_t>(vectors) * gates * sums);
  plan.block = block_shape(form, static_cast<size_t>(block_vectors), target, plan.splits);
  plan.full_blocks = plan.units / (block_vectors * lanes);
  const int64_t rest = vectors - plan.full_blocks * block_vectors;
  if (rest > 0) plan.tail = block_shape(form, static_cast<size_t>(rest), target, plan.splits);
  plan.tail_lanes = static_cast<size_t>(plan.units % lanes);
  plan.weight_floats = plan.full_blocks * plan.block.floats + plan.tail.floats;
}

void place_initials(StagePlan& plan, std::vector<std::vector<Stream>> initials) {
  const auto count = [](const std::vector<Stream>& streams) { return streams.size(); };
  const size_t most = initials.empty() ? 0 : std::ranges::max(initials, {}, count).size();
  if (most > 1) plan.initials = std::move(initials);
  if (most != 1) return;
  for (const std::vector<Stream>& streams : initials) {
    if (!streams.empty()) {
      plan.initial.push_back(streams[0]);
      continue;
    }
    plan.zeros.assign(static_cast<size_t>(plan.units), 0.0F);
    plan.initial.push_back({Stream::Kind::units, kZerosBuffer, 0, 0, 0});
  }
}

// The known program that the stage's is, if its products are as that wants them.
std::optional<Match> match_stage(const Stage& stage, const Program& program) {
  const auto gates = static_cast<size_t>(stage.gates);
  std::optional<Match> match = match_known(program, gates);
  if (!match || !kKnownPrograms[match->known].skewed) return match;
  const std::vector<size_t> order(
      match->inputs.begin(),
      match->inputs.begin() + static_cast<std::ptrdiff_t>(kKnownPrograms[match->known].gates));
  if (skewed_products(stage, order).empty()) match.reset();
  return match;
}

StagePlan plan_stage(const Stage& stage, const TargetShape& target,
                     const std::vector<bool>& in_place, int64_t rows, WeightStore* store) {
  StagePlan plan;
  plan.units = stage.units;

  const size_t gates = static_cast<size_t>(stage.gates);
  NormalProgram normal = normalize(stage.program, gates);
  std::vector<size_t> gate_order(gates);
  std::iota(gate_order.begin(), gate_order.end(), 0);
  std::vector<uint8_t> values = normal.program.outputs;
  plan.inputs = stage.inputs;
  std::vector<const Product*> products;
  for (const Product& product : stage.products) products.push_back(&product);
  if (const std::optional<Match> match = match_stage(stage, normal.program)) {
    const KnownProgram& known = kKnownPrograms[match->known];
    plan.known = match->known;
    gate_order.assign(match->inputs.begin(),
                      match->inputs.begin() + static_cast<std::ptrdiff_t>(known.gates));
    plan.skewed = known.skewed;
    if (plan.skewed) products = skewed_products(stage, gate_order);
    plan.inputs.clear();
    for (size_t i = known.gates; i < known.inputs; ++i)
      plan.inputs.push_back(stage.inputs[match->inputs[i] - gates]);
    values = match->outputs;
  }
  for (const Product* product : products) plan.products.push_back({product->left, product->depth});
  plan.gates = gate_order.size();
  plan.program = std::move(normal.program);
  for (size_t i = 0; i < plan.inputs.size(); ++i)
    plan.stored_inputs.push_back(std::ranges::find(plan.program.outputs, gates + i) !=
                                 plan.program.outputs.end());
  for (size_t o = 0; o < stage.outputs.size(); ++o) {
    const Stream& stream = stage.outputs[o];
    const bool replaces = stream.kind == Stream::Kind::state && in_place[stream.buffer];
    plan.stores.push_back({values[o], stream, replaces});
  }
  std::ranges::stable_sort(plan.stores, {}, &Store::value);
  std::vector<std::vector<Stream>> initials(plan.gates);
  for (size_t g = 0; g < plan.gates; ++g)
    for (const uint8_t input : normal.initials[gate_order[g]])
      initials[g].push_back(stage.inputs[input - gates]);
  place_initials(plan, std::move(initials));

  PackedForm form{target.lanes, plan.units, plan.skewed, std::move(gate_order), {}};
  for (const Product* product : products)
    form.products.push_back({product->depth, product->weights, product->origin});
  choose_blocks(plan, form, target, rows);
  plan.weights = packed_weights(form, store);
  return plan;
}

}  // namespace

bool multiplies_zeros(const Stage& stage) {
  const auto gates = static_cast<size_t>(stage.gates);
  const auto some_absent = [gates](const Product& product) {
    for (size_t g = 0; g < gates; ++g)
      if (!is_part(product, g)) return true;
    return false;
  };
  if (std::ranges::none_of(stage.products, some_absent)) return false;
  const std::optional<Match> match = match_stage(stage, normalize(stage.program, gates).program);
  return !match || !kKnownPrograms[match->known].skewed;
}

std::vector<WeightTerm> weight_terms(int64_t gates, const float* data, int64_t row_stride,
                                     int64_t gate_stride) {
  std::vector<WeightTerm> terms;
  for (int64_t g = 0; g < gates; ++g)
    terms.push_back({static_cast<size_t>(g), data + g * gate_stride, row_stride});
  return terms;
}

void check(const LoopSpec& spec) {
  for (const Stage& stage : spec.stages) check_stage(stage, spec.state_sizes);
  check_states(spec);
}

LoopPlan plan_loop(const LoopSpec& spec, const TargetShape& target, WeightStore* store) {
  check(spec);
  LoopPlan plan;
  plan.state_sizes = spec.state_sizes;
  for (size_t state = 0; state < spec.state_sizes.size(); ++state)
    plan.in_place.push_back(is_in_place(spec, state));
  for (const Stage& stage : spec.stages)
    plan.stages.push_back(plan_stage(stage, target, plan.in_place, spec.rows, store));
  return plan;
}

}  // namespace refrain::highway
