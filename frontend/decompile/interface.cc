#include "frontend/decompile/interface.h"

#include <algorithm>

#include "frontend/decompile/writer.h"

namespace refrain::decompile {

using Kind = Axis::Kind;

bool has_parts(const std::vector<Axis>& axes) {
  return std::any_of(axes.begin(), axes.end(),
                     [](const Axis& axis) { return axis.kind == Kind::part; });
}

int layout_of(const std::vector<Axis>& axes) {
  int time = -1, batch = -1;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i].kind == Kind::time) time = static_cast<int>(i);
    if (axes[i].kind == Kind::batch) batch = static_cast<int>(i);
  }
  return time < 0 || batch < 0 ? 0 : time < batch ? 1 : 2;
}

std::vector<size_t> text_order(const std::vector<Axis>& axes, int layout) {
  std::vector<size_t> order;
  const auto add = [&](auto&& wanted) {
    for (size_t i = 0; i < axes.size(); ++i) {
      if (wanted(axes[i].kind)) order.push_back(i);
    }
  };
  if (layout == 0) {
    add([](Kind kind) { return kind == Kind::time || kind == Kind::batch; });
  } else {
    add([&](Kind kind) { return kind == (layout == 1 ? Kind::time : Kind::batch); });
    add([&](Kind kind) { return kind == (layout == 1 ? Kind::batch : Kind::time); });
  }
  add([](Kind kind) { return kind == Kind::feature; });
  return order;
}

std::vector<int64_t> place_of(const std::vector<Axis>& axes, size_t part) {
  std::vector<int64_t> index(axes.size(), -1);
  auto rest = static_cast<int64_t>(part);
  for (size_t i = axes.size(); i-- > 0;) {
    if (axes[i].kind != Kind::part) continue;
    index[i] = rest % axes[i].extent;
    rest /= axes[i].extent;
  }
  return index;
}

std::string AxisNames::of(const Dim& dim, Kind kind) {
  const std::string name = dim.is_symbol() ? identifier_of(dim.name()) : "";
  const bool batch_name = name == "B" || name == "N" || name == "batch";
  if (kind == Kind::batch) return batch_name ? name : "B";
  if (!name.empty() && !batch_name) return name;
  // Frozen: one name an extent.
  const auto [at, fresh] = frozen_.emplace(dim.is_constant() ? dim.extent() : -1, "");
  if (fresh) {
    const auto taken = [&](const std::string& wish) {
      for (size_t i = 0; i < graph_.input_count(); ++i) {
        const ValueType& type = graph_.input(i)->type();
        for (size_t k = 0; type.shape.ranked() && k < type.shape.rank(); ++k) {
          if (type.shape[k].is_symbol() && identifier_of(type.shape[k].name()) == wish) return true;
        }
      }
      return std::any_of(frozen_.begin(), frozen_.end(),
                         [&](const auto& known) { return known.second == wish; });
    };
    std::string wish = taken("T") ? "S" : "T";
    for (int n = 2; taken(wish); ++n) wish = "T" + std::to_string(n);
    at->second = wish;
  }
  return at->second;
}

}  // namespace refrain::decompile
