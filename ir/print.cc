#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "ir/control.h"
#include "ir/identifier.h"
#include "ir/text.h"

namespace refrain {
namespace {

constexpr int64_t kMostElements = 64;        // printed one by one
constexpr int64_t kMostElidedElements = 16;  // printed when large tensors are elided

template <typename T>
void append_number(std::string& out, T value) {
  char buffer[64];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
}

void append_hex(std::string& out, const unsigned char* bytes, size_t count) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (size_t i = 0; i < count; ++i) out += {kDigits[bytes[i] >> 4], kDigits[bytes[i] & 15]};
}

template <typename T>
void append_element(std::string& out, T value) {
  if constexpr (std::is_same_v<T, bool>) {
    out += value ? "true" : "false";
  } else if constexpr (std::is_integral_v<T>) {
    append_number(out, value);
  } else if (std::isnan(static_cast<double>(value))) {
    unsigned char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    std::reverse(bytes, bytes + sizeof bytes);  // most significant first
    out += "0x";
    append_hex(out, bytes, sizeof bytes);
  } else if constexpr (std::is_same_v<T, double>) {
    append_number(out, value);
  } else {
    append_number(out, static_cast<float>(value));
  }
}

bool is_splat(const Tensor& tensor) {
  const size_t size = size_of(tensor.type());
  const auto* bytes = static_cast<const char*>(tensor.raw());
  return tensor.size() > 1 &&
         std::memcmp(bytes, bytes + size, static_cast<size_t>(tensor.bytes()) - size) == 0;
}

void append_tensor(std::string& out, const Tensor& tensor, const PrintOptions& options) {
  out += to_string(ValueType::tensor(tensor.type(), Shape::of_extents(tensor.extents())));
  if (const auto blob = options.blob ? options.blob(tensor) : std::nullopt) {
    out += " blob(" + std::to_string(*blob) + ")";
    return;
  }
  visit(tensor.type(), [&]<typename T>(std::type_identity<T>) {
    const std::span<const T> elements = tensor.data<T>();
    if (is_splat(tensor)) {
      out += " splat(";
      append_element(out, elements[0]);
    } else if (!options.all_elements && tensor.size() > kMostElidedElements) {
      out += " (...";
    } else if (tensor.size() > kMostElements) {
      out += " hex\"";
      append_hex(out, static_cast<const unsigned char*>(tensor.raw()),
                 static_cast<size_t>(tensor.bytes()));
      out += '"';
      return;
    } else {
      out += " (";
      for (size_t i = 0; i < elements.size(); ++i) {
        if (i > 0) out += ", ";
        append_element(out, elements[i]);
      }
    }
    out += ')';
  });
}

class Printer {
 public:
  explicit Printer(const PrintOptions& options) : options_(options) {}

  std::string print(const Graph& graph) {
    name_values(graph.body());
    out_ += "graph @" + quote_unless_identifier(graph.name()) + " (";
    for (size_t i = 0; i < graph.input_count(); ++i) {
      if (i > 0) out_ += ", ";
      append_value(graph.input(i));
      out_ += ": " + to_string(graph.input(i)->type());
    }
    out_ += ") {\n";
    append_nodes(graph.body(), 1, &graph.output_names());
    out_ += "}\n";
    return std::move(out_);
  }

 private:
  // Names that the model gives stay; a second value of the same name gets a suffix.
  void name_values(const Region& region) {
    for (size_t i = 0; i < region.argument_count(); ++i) name_value(region.argument(i));
    for (const Node* node = region.first(); node; node = node->next()) {
      for (size_t i = 0; i < node->result_count(); ++i) name_value(node->result(i));
      for (size_t i = 0; i < node->region_count(); ++i) name_values(node->region(i));
    }
  }

  void name_value(const Value* value) {
    if (value->name().empty()) {
      names_[value] = std::to_string(unnamed_++);
      return;
    }
    std::string name = value->name();
    if (!used_.insert(name).second) {
      int& suffix = suffixes_[value->name()];
      do {
        name = value->name() + "." + std::to_string(++suffix);
      } while (!used_.insert(name).second);
    }
    names_[value] = quote_unless_identifier(name);
  }

  void append_value(const Value* value) {
    if (!value) {
      out_ += '_';
      return;
    }
    out_ += '%';
    out_ += names_.at(value);
  }

  void append_nodes(const Region& region, int depth,
                    const std::vector<std::string>* outputs = nullptr) {
    for (const Node* node = region.first(); node; node = node->next()) {
      out_.append(static_cast<size_t>(2 * depth), ' ');
      if (node->op() == Op::yield) {
        append_yield(*node, outputs);
      } else {
        append_node(*node, depth);
      }
      out_ += '\n';
    }
  }

  void append_yield(const Node& node, const std::vector<std::string>* outputs) {
    out_ += "yield";
    for (size_t i = 0; i < node.operand_count(); ++i) {
      out_ += i > 0 ? ", " : " ";
      if (outputs) out_ += quote((*outputs)[i]) + " = ";
      append_value(node.operand(i));
    }
  }

  void append_node(const Node& node, int depth) {
    for (size_t i = 0; i < node.result_count(); ++i) {
      if (i > 0) out_ += ", ";
      append_value(node.result(i));
    }
    if (node.result_count() > 0) out_ += " = ";
    out_ += name(node.op());
    switch (node.op()) {
      case Op::constant:
        out_ += ' ';
        append_tensor(out_, *node.attribute<TensorPtr>(AttributeName::value), options_);
        break;
      case Op::scan:
        append_scan(node, depth);
        break;
      case Op::loop:
        append_loop(node, depth);
        break;
      case Op::branch:
        append_branch(node, depth);
        break;
      default:
        append_operands(node);
        append_attributes(node);
    }
    if (node.op() != Op::constant) append_result_types(node);
    if (!node.name().empty()) out_ += " @" + quote(node.name());
  }

  void append_operands(const Node& node) {
    out_ += '(';
    for (size_t i = 0; i < node.operand_count(); ++i) {
      if (i > 0) out_ += ", ";
      append_value(node.operand(i));
    }
    out_ += ')';
  }

  void append_result_types(const Node& node) {
    for (size_t i = 0; i < node.result_count(); ++i) {
      out_ += i > 0 ? ", " : " : ";
      out_ += to_string(node.result(i)->type());
    }
  }

  // In the schema's order, so that equal nodes print equally.
  void append_attributes(const Node& node) {
    const char* separator = " {";
    for (const AttributeSpec& spec : node.schema().attributes) {
      const AttributeValue* value = node.find_attribute(spec.name);
      if (!value) continue;
      if (spec.default_value &&
          Attribute{spec.name, *spec.default_value} == Attribute{spec.name, *value}) {
        continue;
      }
      out_ += separator;
      separator = ", ";
      out_ += name(spec.name);
      out_ += " = ";
      append_attribute(*value);
    }
    if (*separator == ',') out_ += '}';
  }

  void append_attribute(const AttributeValue& value) {
    std::visit(
        [&]<typename T>(const T& v) {
          if constexpr (std::is_same_v<T, bool>) {
            out_ += v ? "true" : "false";
          } else if constexpr (std::is_arithmetic_v<T>) {
            append_element(out_, v);
          } else if constexpr (std::is_same_v<T, std::string>) {
            out_ += quote(v);
          } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
            out_ += '[';
            for (size_t i = 0; i < v.size(); ++i) {
              if (i > 0) out_ += ", ";
              append_number(out_, v[i]);
            }
            out_ += ']';
          } else if constexpr (std::is_same_v<T, std::vector<Dim>>) {
            out_ += to_string(Shape(v));
          } else if constexpr (std::is_same_v<T, ElementType>) {
            out_ += name(v);
          } else {
            append_tensor(out_, *v, options_);
          }
        },
        value);
  }

  // `(%argument = %operand: type, ...)`; `suffix(i)` follows the operand.
  template <typename Suffix>
  void append_slots(const char* role, size_t count, const Node& node, size_t first_operand,
                    const Region& region, size_t first_argument, Suffix suffix) {
    if (count == 0) return;
    out_ += role;
    for (size_t i = 0; i < count; ++i) {
      out_ += i > 0 ? ", " : "(";
      append_value(region.argument(first_argument + i));
      out_ += " = ";
      append_value(node.operand(first_operand + i));
      out_ += suffix(i);
      out_ += ": " + to_string(region.argument(first_argument + i)->type());
    }
    out_ += ')';
  }
  void append_slots(const char* role, size_t count, const Node& node, size_t first_operand,
                    const Region& region, size_t first_argument) {
    append_slots(role, count, node, first_operand, region, first_argument,
                 [](size_t) { return ""; });
  }

  static std::string slot_text(ScanSlot slot) {
    return "[" + std::to_string(slot.axis) + (slot.reverse ? " reverse]" : "]");
  }

  void append_named(const char* role, const Value* value) {
    out_ += role;
    out_ += '(';
    append_value(value);
    out_ += ')';
  }

  void append_body(const Region& region, int depth) {
    out_ += " {\n";
    append_nodes(region, depth + 1);
    out_.append(static_cast<size_t>(2 * depth), ' ');
    out_ += '}';
  }

  void append_scan(const Node& node, int depth) {
    const ScanView scan(node);
    const Region& body = scan.body();
    if (scan.has_lengths()) append_named(" lengths", scan.lengths());
    if (scan.has_trip_count()) append_named(" trips", scan.trip_count());
    if (scan.batch_axis() != 0) out_ += " batch_axis(" + std::to_string(scan.batch_axis()) + ")";
    append_slots(" invariant", scan.invariants(), node, scan.invariant_operand(0), body, 0);
    append_slots(" state", scan.states(), node, scan.state_operand(0), body, scan.invariants());
    append_slots(" scanned", scan.scanned(), node, scan.scanned_operand(0), body,
                 scan.invariants() + scan.states(),
                 [&](size_t i) { return slot_text(scan.scan_slot(i)); });
    for (size_t i = 0; i < scan.stacked(); ++i) {
      out_ += (i > 0 ? ", " : " stacked(") + slot_text(scan.stack_slot(i));
    }
    if (scan.stacked() > 0) out_ += ')';
    append_body(body, depth);
  }

  void append_loop(const Node& node, int depth) {
    const LoopView loop(node);
    append_named(" trips", loop.trip_count());
    append_named(" while", loop.condition());
    append_named(" iteration", loop.iteration_argument());
    append_slots(" invariant", loop.invariants(), node, loop.invariant_operand(0), loop.body(), 1);
    append_slots(" state", loop.states(), node, loop.state_operand(0), loop.body(),
                 1 + loop.invariants());
    append_body(loop.body(), depth);
  }

  void append_branch(const Node& node, int depth) {
    append_named("", node.operand(0));
    const size_t captures = node.operand_count() - 1;
    for (size_t r = 0; r < 2; ++r) {
      out_ += r == 0 ? " then" : " else";
      append_slots("", captures, node, 1, node.region(r), 0);
      append_body(node.region(r), depth);
    }
  }

  const PrintOptions& options_;
  std::string out_;
  std::unordered_map<const Value*, std::string> names_;
  std::unordered_set<std::string> used_;
  std::unordered_map<std::string, int> suffixes_;
  size_t unnamed_ = 0;
};

}  // namespace

std::string print(const Graph& graph, const PrintOptions& options) {
  return Printer(options).print(graph);
}

}  // namespace refrain
