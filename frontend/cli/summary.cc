#include "frontend/cli/summary.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <vector>

#include "ir/op.h"
#include "ir/tensor.h"

namespace refrain::cli {
namespace {

struct Counts {
  std::array<size_t, kOpCount> nodes{};
  int64_t constant_bytes = 0;

  void add(const Region& region) {
    for (const Node* node = region.first(); node; node = node->next()) {
      ++nodes[static_cast<size_t>(node->op())];
      if (node->op() == Op::constant) {
        constant_bytes += node->attribute<TensorPtr>(AttributeName::value)->bytes();
      }
      for (size_t i = 0; i < node->region_count(); ++i) add(node->region(i));
    }
  }
};

}  // namespace

std::string summary(const Graph& graph) {
  Counts counts;
  counts.add(graph.body());
  std::string text = fmt::format("graph     {}\n", graph.name());
  for (size_t i = 0; i < graph.input_count(); ++i) {
    text += fmt::format("input     {}: {}\n", graph.input(i)->name(),
                        to_string(graph.input(i)->type()));
  }
  for (size_t i = 0; i < graph.output_count(); ++i) {
    text += fmt::format("output    {}: {}\n", graph.output_names()[i],
                        to_string(graph.output(i)->type()));
  }
  std::vector<Op> ops;
  size_t total = 0;
  for (size_t i = 0; i < kOpCount; ++i) {
    const auto op = static_cast<Op>(i);
    if (counts.nodes[i] == 0 || op == Op::yield || op == Op::constant) continue;
    ops.push_back(op);
    total += counts.nodes[i];
  }
  std::stable_sort(ops.begin(), ops.end(), [&](Op a, Op b) {
    return counts.nodes[static_cast<size_t>(a)] > counts.nodes[static_cast<size_t>(b)];
  });
  std::string by_op;
  for (const Op op : ops) {
    by_op += fmt::format("{}{} {}", by_op.empty() ? "" : ", ",
                         counts.nodes[static_cast<size_t>(op)], name(op));
  }
  text += fmt::format("nodes     {}{}\n", total, by_op.empty() ? "" : " (" + by_op + ")");
  text += fmt::format("constants {}, {:.1f} kB\n", counts.nodes[static_cast<size_t>(Op::constant)],
                      static_cast<double>(counts.constant_bytes) / 1000);
  return text;
}

std::string notes(const std::vector<passes::PassReport>& reports, const std::string& prefix) {
  std::string text;
  for (const passes::PassReport& report : reports) {
    for (const std::string& note : report.notes) text += prefix + note + "\n";
  }
  return text;
}

std::string input_list(const Graph& graph) {
  std::string text;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    text += fmt::format("{}{}: {}", i > 0 ? ", " : "", graph.input(i)->name(),
                        to_string(graph.input(i)->type()));
  }
  return text;
}

}  // namespace refrain::cli
