#include "frontend/decompile/node_kinds.h"

#include <algorithm>
#include <cmath>

#include "ir/control.h"

namespace refrain::decompile {
namespace {

// Of one answer; it bounds the depth of recursion too.
constexpr int kMostUses = 100;

// `budget` bounds how many uses are looked at.
bool only_counts(const Node& node, int& budget) {
  if (node.region_count() > 0) return false;
  for (size_t i = 0; i < node.result_count(); ++i) {
    const Value* result = node.result(i);
    if (is_float(result->type().element)) return false;
    for (const Use* use = result->first_use(); use; use = use->next()) {
      const Node& user = *use->user();
      if (--budget < 0) return false;
      if (user.op() == Op::yield) return false;
      if (user.op() == Op::scan) {
        const ScanView scan(user);
        const bool counts = scan.has_trip_count() && use->index() == size_t{scan.has_lengths()};
        if (!counts || scan.scanned() == 0) return false;
      } else if (!all_uniform(user) && !only_counts(user, budget)) {
        return false;
      }
    }
  }
  return true;
}

// Sets `scan`, or finds that it is another.
bool reads_for(const Node& node, const Node*& scan, int& budget) {
  for (size_t i = 0; i < node.result_count(); ++i) {
    for (const Use* use = node.result(i)->first_use(); use; use = use->next()) {
      const Node& user = *use->user();
      if (--budget < 0) return false;
      if (user.op() == Op::scan) {
        if (use->index() < ScanView(user).scanned_operand(0) || (scan && scan != &user))
          return false;
        scan = &user;
        continue;
      }
      const bool of_a_step = is_elementwise(user.op()) || user.op() == Op::split ||
                             user.op() == Op::unsqueeze || user.op() == Op::einsum ||
                             (user.op() == Op::matmul && use->index() == 0);
      if (!of_a_step || !reads_for(user, scan, budget)) return false;
    }
  }
  return true;
}

}  // namespace

bool reads_for_one_scan(const Node& node) {
  const Node* scan = nullptr;
  int budget = kMostUses;
  return reads_for(node, scan, budget) && scan;
}

const Value* moved(const Value* value) {
  while (value->has_one_use()) {
    const Node& user = *value->first_use()->user();
    const bool moves =
        user.op() == Op::transpose || user.op() == Op::unsqueeze || user.op() == Op::squeeze;
    if (!moves) break;
    value = user.result();
  }
  return value;
}

std::optional<double> uniform(const Value* value) {
  const ElementType type = value->type().element;
  double sum = 0;
  bool cast = false;
  while (value->node()) {
    const Node& node = *value->node();
    switch (node.op()) {
      case Op::constant:
      case Op::fill: {
        const std::vector<double> elements =
            node.attribute<TensorPtr>(AttributeName::value)->view().as_doubles();
        if (elements.empty() || std::any_of(elements.begin(), elements.end(),
                                            [&](double x) { return x != elements[0]; })) {
          return std::nullopt;
        }
        // What every type holds as it is.
        constexpr double kMost = 16777216;
        const double all = sum + elements[0];
        const auto small = [](double x) { return x == 0 || x == 1; };
        const bool exact =
            cast ? small(all) && small(elements[0]) : std::abs(all) <= kMost || is_float(type);
        return exact ? std::optional<double>(all) : std::nullopt;
      }
      case Op::add: {
        // Chains of sums: one side is a constant.
        const bool left = node.operand(0)->node() && node.operand(0)->node()->op() == Op::constant;
        const Node* constant = node.operand(left ? 0 : 1)->node();
        if (!constant || constant->op() != Op::constant) return std::nullopt;
        const std::optional<double> known = uniform(constant->result());
        if (!known) return std::nullopt;
        sum += *known;
        value = node.operand(left ? 1 : 0);
        break;
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
        cast |= node.op() == Op::cast;
        value = node.operand(0);
        break;
      default:
        return std::nullopt;
    }
  }
  return std::nullopt;
}

bool is_zero(const Value* value) { return uniform(value) == 0.0; }

bool all_uniform(const Node& node) {
  for (size_t i = 0; i < node.result_count(); ++i) {
    if (!uniform(node.result(i))) return false;
  }
  return node.result_count() > 0;
}

bool only_counts(const Node& node) {
  int budget = kMostUses;
  return only_counts(node, budget);
}

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
