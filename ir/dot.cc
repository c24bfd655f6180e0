#include "ir/dot.h"

#include <unordered_map>

#include "ir/control.h"

namespace refrain {
namespace {

std::string escaped(const std::string& text) {
  std::string result;
  for (char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return result;
}

class DotPrinter {
 public:
  std::string print(const Graph& graph) {
    out_ = "digraph \"" + escaped(graph.name()) +
           "\" {\n  node [shape=box, fontname=\"Helvetica\", fontsize=10];\n"
           "  edge [fontname=\"Helvetica\", fontsize=8];\n";
    for (size_t i = 0; i < graph.input_count(); ++i) {
      const Value* input = graph.input(i);
      declare(input, input->name() + "\\n" + to_string(input->type()), "shape=ellipse");
    }
    append_region(graph.body());
    for (size_t i = 0; i < graph.output_count(); ++i) {
      const std::string id = "out" + std::to_string(i);
      out_ += "  " + id + " [shape=ellipse, label=\"" + escaped(graph.output_names()[i]) + "\"];\n";
      append_edge(graph.output(i), id);
    }
    return std::move(out_) + "}\n";
  }

 private:
  void declare(const Value* value, const std::string& label, const char* style) {
    const std::string id = "v" + std::to_string(count_++);
    ids_[value] = id;
    // The label's own \n is a line break of dot; everything else is escaped already or needs none.
    std::string text;
    for (size_t begin = 0;;) {
      const size_t end = label.find("\\n", begin);
      text += escaped(label.substr(begin, end - begin));
      if (end == std::string::npos) break;
      text += "\\n";
      begin = end + 2;
    }
    out_ += "  " + id + " [" + style + ", label=\"" + text + "\"];\n";
  }

  void append_edge(const Value* from, const std::string& to, const std::string& label = {}) {
    if (!from) return;
    const std::string text = label.empty() ? to_string(from->type()) : label;
    out_ += "  " + ids_.at(from) + " -> " + to + " [label=\"" + escaped(text) + "\"];\n";
  }

  void append_region(const Region& region) {
    for (const Node* node = region.first(); node; node = node->next()) {
      if (node->op() != Op::yield) append_node(*node);
    }
  }

  void append_node(const Node& node) {
    if (node.op() == Op::constant) {
      append_constant(node);
      return;
    }
    for (size_t r = 0; r < node.region_count(); ++r) append_cluster(node, r);
    const std::string id = "n" + std::to_string(count_++);
    std::string label = escaped(std::string(name(node.op())));
    if (!node.name().empty()) label += "\\n" + escaped(node.name());
    out_ += "  " + id + " [label=\"" + label + "\"];\n";
    for (size_t i = 0; i < node.operand_count(); ++i) append_edge(node.operand(i), id);
    for (size_t i = 0; i < node.result_count(); ++i) ids_[node.result(i)] = id;
    for (size_t r = 0; r < node.region_count(); ++r) {
      const Node* yield = node.region(r).yield();
      for (size_t i = 0; i < yield->operand_count(); ++i)
        append_edge(yield->operand(i), id, "yield " + std::to_string(i));
    }
  }

  void append_constant(const Node& node) {
    const Tensor& tensor = *node.attribute<TensorPtr>(AttributeName::value);
    std::string label = to_string(node.result()->type());
    if (tensor.size() == 1) label += " " + std::to_string(tensor.view().as_doubles()[0]);
    declare(node.result(), label, "color=grey, fontcolor=grey40, fontsize=8");
  }

  void append_cluster(const Node& node, size_t r) {
    const Region& region = node.region(r);
    const std::string id = std::to_string(count_++);
    const char* side = node.op() == Op::branch ? (r == 0 ? " then" : " else") : "";
    out_ += "  subgraph cluster" + id + " {\n  label=\"" + std::string(name(node.op())) + side +
            "\";\n";
    for (size_t i = 0; i < region.argument_count(); ++i) {
      const Value* argument = region.argument(i);
      declare(argument, argument_label(node, i) + "\\n" + to_string(argument->type()),
              "shape=ellipse");
    }
    append_region(region);
    out_ += "  }\n";
    // Dashed: how outer values come in.
    const size_t offset = first_slot_operand(node);
    const size_t skipped = node.op() == Op::loop ? 1 : 0;  // the iteration number has no operand
    for (size_t i = skipped; i < region.argument_count(); ++i) {
      out_ += "  " + ids_.at(node.operand(offset + i - skipped)) + " -> " +
              ids_.at(region.argument(i)) + " [style=dashed];\n";
    }
  }

  static size_t first_slot_operand(const Node& node) {
    switch (node.op()) {
      case Op::scan:
        return ScanView(node).invariant_operand(0);
      case Op::loop:
        return 2;
      default:
        return 1;
    }
  }

  static std::string argument_label(const Node& node, size_t i) {
    size_t invariants = 0, states = 0;
    if (node.op() == Op::scan) {
      const ScanView scan(node);
      invariants = scan.invariants();
      states = scan.states();
    } else if (node.op() == Op::loop) {
      if (i == 0) return "iteration";
      --i;
      const LoopView loop(node);
      invariants = loop.invariants();
      states = loop.states();
    } else {
      return "capture";
    }
    return i < invariants ? "invariant" : i < invariants + states ? "state" : "scanned";
  }

  std::string out_;
  std::unordered_map<const Value*, std::string> ids_;
  size_t count_ = 0;
};

}  // namespace

std::string to_dot(const Graph& graph) { return DotPrinter().print(graph); }

}  // namespace refrain
