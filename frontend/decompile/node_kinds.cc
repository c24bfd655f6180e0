#include "frontend/decompile/node_kinds.h"

#include <algorithm>

#include "ir/control.h"

namespace refrain::decompile {
namespace {

bool only_counts(const Node& node, int depth) {
  constexpr int kDeepest = 8;
  if (depth > kDeepest || node.region_count() > 0) return false;
  for (size_t i = 0; i < node.result_count(); ++i) {
    const Value* result = node.result(i);
    if (is_float(result->type().element)) return false;
    for (const Use* use = result->first_use(); use; use = use->next()) {
      const Node& user = *use->user();
      if (user.op() == Op::yield) return false;
      if (user.op() == Op::scan) {
        const ScanView scan(user);
        const bool counts = scan.has_trip_count() && use->index() == size_t{scan.has_lengths()};
        if (!counts || scan.scanned() == 0) return false;
      } else if (!zero_only(user) && !only_counts(user, depth + 1)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

bool is_zero(const Value* value) {
  while (value->node()) {
    const Node& node = *value->node();
    switch (node.op()) {
      case Op::constant:
      case Op::fill: {
        const std::vector<double> elements =
            node.attribute<TensorPtr>(AttributeName::value)->view().as_doubles();
        return std::all_of(elements.begin(), elements.end(), [](double x) { return x == 0; });
      }
      case Op::slice:
      case Op::split:
      case Op::squeeze:
      case Op::unsqueeze:
      case Op::reshape:
      case Op::expand:
      case Op::transpose:
      case Op::cast:
      case Op::gather:
        value = node.operand(0);
        break;
      default:
        return false;
    }
  }
  return false;
}

bool zero_only(const Node& node) {
  for (size_t i = 0; i < node.result_count(); ++i) {
    if (!is_zero(node.result(i))) return false;
  }
  return node.result_count() > 0;
}

bool only_counts(const Node& node) { return only_counts(node, 0); }

bool has_scan(const Region& region) {
  for (const Node* node = region.first(); node; node = node->next()) {
    if (node->op() == Op::scan) return true;
    for (size_t i = 0; i < node->region_count(); ++i) {
      if (has_scan(node->region(i))) return true;
    }
  }
  return false;
}

}  // namespace refrain::decompile
