#include "frontend/driver/random_inputs.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <unordered_set>

#include "ir/control.h"
#include "ir/error.h"
#include "passes/time_symbols.h"

namespace refrain {
namespace {

size_t axis_index(int64_t axis, size_t rank) {
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis);
}

template <typename F>
void for_each_node(const Region& region, const F& f) {
  for (const Node* node = region.first(); node; node = node->next()) {
    f(*node);
    for (size_t i = 0; i < node->region_count(); ++i) for_each_node(node->region(i), f);
  }
}

int64_t extent_of(Dim dim, const SymbolBinding& symbols) {
  if (dim.is_constant()) return dim.extent();
  if (dim.is_symbol()) {
    const auto found = symbols.extents().find(dim.name());
    if (found != symbols.extents().end()) return found->second;
  }
  return 1;
}

// Trip count of a scan from what it scans; 1 if nothing tells.
int64_t trips(const ScanView& scan, const Node& node, const SymbolBinding& symbols) {
  for (size_t i = 0; i < scan.scanned(); ++i) {
    const Shape& shape = node.operand(scan.scanned_operand(i))->type().shape;
    if (!shape.ranked() || shape.rank() == 0) continue;
    return extent_of(shape[axis_index(scan.scan_slot(i).axis, shape.rank())], symbols);
  }
  return 1;
}

// The inclusive range in which an integer input makes sense.
struct IntRange {
  int64_t low = 0, high = 1;
};

// Follows an integer input to what it counts or indexes, through ops that only move its elements.
class IntUse {
 public:
  explicit IntUse(const SymbolBinding& symbols) : symbols_(symbols) {}

  IntRange range_of(const Value* value) {
    std::vector<const Value*> work = {value};
    std::unordered_set<const Value*> seen = {value};
    while (!work.empty()) {
      const Value* next = work.back();
      work.pop_back();
      for (const Use* use = next->first_use(); use; use = use->next()) {
        if (const std::optional<IntRange> range = range_at(*use)) return *range;
        const Value* onward = follow(*use);
        if (onward && seen.insert(onward).second) work.push_back(onward);
      }
    }
    return {};
  }

 private:
  std::optional<IntRange> range_at(const Use& use) const {
    const Node& node = *use.user();
    switch (node.op()) {
      case Op::gather: {
        const Shape& data = node.operand(0)->type().shape;
        if (use.index() != 1 || !data.ranked() || data.rank() == 0) return {};
        const size_t i = axis_index(node.integer(AttributeName::axis), data.rank());
        return IntRange{0, std::max<int64_t>(extent_of(data[i], symbols_) - 1, 0)};
      }
      case Op::scan: {
        const ScanView scan(node);
        if (scan.has_lengths() && use.index() == 0) {
          const int64_t most = trips(scan, node, symbols_);
          return IntRange{std::min<int64_t>(most, 1), most};
        }
        if (scan.has_trip_count() && use.value() == scan.trip_count()) {
          return IntRange{SymbolBinding::kDefaultTime, SymbolBinding::kDefaultTime};
        }
        return {};
      }
      case Op::loop:
        if (use.index() == 0)
          return IntRange{SymbolBinding::kDefaultTime, SymbolBinding::kDefaultTime};
        return {};
      default:
        return {};
    }
  }

  // Where the use's elements go on, unchanged in value; null if they don't.
  static const Value* follow(const Use& use) {
    const Node& node = *use.user();
    const size_t i = use.index();
    switch (node.op()) {
      case Op::cast:
      case Op::reshape:
      case Op::squeeze:
      case Op::unsqueeze:
      case Op::transpose:
      case Op::slice:
      case Op::split:
      case Op::expand:
        return i == 0 && node.result_count() > 0 ? node.result(0) : nullptr;
      case Op::max:  // a trip count of 0 or more
      case Op::min:
        return node.result(0);
      case Op::scan: {
        const ScanView scan(node);
        const size_t first = scan.invariant_operand(0);
        return i >= first ? scan.body().argument(i - first) : nullptr;
      }
      case Op::loop:
        return i >= 2 ? node.region(0).argument(i - 1) : nullptr;
      case Op::branch:
        return i >= 1 ? node.region(0).argument(i - 1) : nullptr;
      default:
        return nullptr;
    }
  }

  const SymbolBinding& symbols_;
};

}  // namespace

void SymbolBinding::bind(const ValueType& type, const std::vector<int64_t>& extents,
                         const std::string& input) {
  const auto wrong = [&](const std::string& why) {
    throw Error("wrong shape of input " + input + why, to_string(type.shape),
                to_string(Shape::of_extents(extents)));
  };
  if (!type.shape.ranked()) return;
  if (type.shape.rank() != extents.size()) wrong("");
  for (size_t i = 0; i < extents.size(); ++i) {
    const Dim dim = type.shape[i];
    if (dim.is_constant() && dim.extent() != extents[i]) wrong("");
    if (!dim.is_symbol()) continue;
    const auto [at, fresh] = extents_.emplace(dim.name(), extents[i]);
    if (!fresh && at->second != extents[i]) {
      wrong(" (" + dim.name() + " is " + std::to_string(at->second) + " already)");
    }
  }
}

void SymbolBinding::bind(const ValueType& type, const RuntimeValue& value,
                         const std::string& input) {
  if (value.tensor) bind(type, value.tensor->extents(), input);
}

std::map<std::string, int64_t> SymbolBinding::bind_defaults(const Graph& graph) {
  const std::set<std::string> time = passes::time_symbols(graph);
  std::map<std::string, int64_t> bound;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    const Shape& shape = graph.input(i)->type().shape;
    if (!shape.ranked()) continue;
    for (const Dim dim : shape.dims()) {
      if (!dim.is_symbol() || extents_.contains(dim.name())) continue;
      bound[dim.name()] = extents_[dim.name()] = time.contains(dim.name()) ? kDefaultTime : 1;
    }
  }
  return bound;
}

std::vector<int64_t> SymbolBinding::resolve(const Shape& shape) const {
  if (!shape.ranked()) throw Error("no shape can be chosen for an input of unknown rank");
  std::vector<int64_t> extents;
  for (const Dim dim : shape.dims()) {
    if (dim.is_symbol() && !extents_.contains(dim.name())) {
      throw Error("no extent for dimension " + dim.name());
    }
    extents.push_back(extent_of(dim, *this));
  }
  return extents;
}

RuntimeValue random_value(const Graph& graph, size_t input, const SymbolBinding& symbols,
                          std::mt19937_64& engine, const std::shared_ptr<MemoryBudget>& budget) {
  const Value* value = graph.input(input);
  const ValueType& type = value->type();
  if (type.optional) return {};
  if (!type.is_tensor()) {
    throw Error("no random value for input " + value->name(), "a tensor", to_string(type));
  }
  Tensor tensor(type.element, symbols.resolve(type.shape), budget);
  const IntRange range = is_integer(type.element) ? IntUse(symbols).range_of(value) : IntRange{};
  visit(type.element, [&]<typename T>(std::type_identity<T>) {
    for (T& element : tensor.data<T>()) {
      const uint64_t bits = engine();
      if constexpr (std::is_same_v<T, bool>) {
        element = (bits >> 63) != 0;
      } else if constexpr (std::is_integral_v<T>) {
        const int64_t most = static_cast<int64_t>(std::min<uint64_t>(
            static_cast<uint64_t>(range.high), uint64_t{std::numeric_limits<T>::max()}));
        const auto span = static_cast<uint64_t>(most - std::min(range.low, most)) + 1;
        element = static_cast<T>(std::min(range.low, most) + static_cast<int64_t>(bits % span));
      } else {
        // 53 bits make a double in [0, 1).
        element = static_cast<T>(static_cast<float>(static_cast<double>(bits >> 11) * 0x1p-52 - 1));
      }
    }
  });
  return tensor;
}

}  // namespace refrain
