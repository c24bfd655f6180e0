#include <algorithm>
#include <bit>
#include <charconv>
#include <limits>
#include <unordered_map>

#include "ir/control.h"
#include "ir/error.h"
#include "ir/lexer.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace refrain {
namespace {

using internal::Lexer;
using internal::Token;

// Names of values in one region; regions are closed, so each has its own.
using Scope = std::unordered_map<std::string, Value*>;

class Parser {
 public:
  Parser(std::string_view text, const std::string& file, const ParseOptions& options)
      : lexer_(text, file), options_(options) {}

  std::unique_ptr<Graph> parse_graph() {
    lexer_.expect("graph");
    lexer_.expect('@');
    auto graph = std::make_unique<Graph>(parse_name());
    Scope scope;
    lexer_.expect('(');
    if (!lexer_.at(')')) {
      do {
        const Token token = parse_value_name();
        lexer_.expect(':');
        define(scope, token, graph->body().add_argument(parse_type()));
      } while (lexer_.accept(','));
    }
    lexer_.expect(')');
    std::vector<std::string> outputs;
    std::vector<Value*> values = parse_block(graph->body(), scope, 1, &outputs);
    graph->set_outputs(values, std::move(outputs));
    if (lexer_.peek().kind != Token::Kind::end) lexer_.fail("syntax error", "the end of the text");
    return graph;
  }

 private:
  struct Slot {
    Token argument;
    Value* operand = nullptr;
    ScanSlot scan;
    ValueType type;
  };

  // --- names and values ---

  std::string parse_name() {
    if (lexer_.peek().kind == Token::Kind::string) return lexer_.next().text;
    return lexer_.expect(Token::Kind::identifier, "a name").text;
  }

  Token parse_value_name() { return lexer_.expect(Token::Kind::value, "a value (%name)"); }

  static std::string key(const Token& token) { return (token.unnamed ? "%" : "$") + token.text; }

  void define(Scope& scope, const Token& token, Value* value) {
    if (!token.unnamed) value->set_name(token.text);
    if (!scope.emplace(key(token), value).second) {
      lexer_.fail_at(token.offset, "a value is defined twice", "a new name", "%" + token.text);
    }
  }

  Value* parse_operand(const Scope& scope) {
    const Token token = parse_value_name();
    const auto it = scope.find(key(token));
    if (it == scope.end()) {
      lexer_.fail_at(token.offset, "undefined value", "a value defined before in the same region",
                     "%" + token.text);
    }
    return it->second;
  }

  // --- literals ---

  template <typename T>
  T parse_number() {
    const Token token = lexer_.expect(Token::Kind::number, "a number");
    return convert<T>(token);
  }

  template <typename T>
  T convert(const Token& token) {
    T value{};
    const char *begin = token.text.data(), *end = begin + token.text.size();
    const auto [stop, error] = std::from_chars(begin, end, value);
    if (error != std::errc() || stop != end) {
      lexer_.fail_at(token.offset, "malformed or out of range", "a number of the right type",
                     token.text);
    }
    return value;
  }

  bool parse_bool() {
    if (lexer_.accept("true")) return true;
    lexer_.expect("false");
    return false;
  }

  template <typename T>
  T parse_element() {
    if constexpr (std::is_same_v<T, bool>) {
      return parse_bool();
    } else if constexpr (std::is_integral_v<T>) {
      return parse_number<T>();
    } else {
      if (lexer_.accept("inf")) return from_double<T>(std::numeric_limits<double>::infinity());
      const Token token = lexer_.expect(Token::Kind::number, "a number");
      if (token.text.starts_with("0x")) return from_bits<T>(token);
      if (token.text == "-inf") return from_double<T>(-std::numeric_limits<double>::infinity());
      if constexpr (std::is_same_v<T, double>) {
        return convert<double>(token);
      } else {
        return T(convert<float>(token));
      }
    }
  }

  template <typename T>
  static T from_double(double value) {
    if constexpr (std::is_same_v<T, double>) {
      return value;
    } else {
      return T(static_cast<float>(value));
    }
  }

  template <typename T>
  T from_bits(const Token& token) {
    uint64_t word = 0;
    const char *begin = token.text.data() + 2, *end = token.text.data() + token.text.size();
    const auto [stop, error] = std::from_chars(begin, end, word, 16);
    if (error != std::errc() || stop != end || token.text.size() != 2 + 2 * sizeof(T)) {
      lexer_.fail_at(token.offset, "malformed number",
                     std::to_string(2 * sizeof(T)) + " hex digits", token.text);
    }
    using Bits = std::conditional_t<sizeof(T) == 2, uint16_t,
                                    std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>;
    return std::bit_cast<T>(static_cast<Bits>(word));
  }

  TensorPtr parse_tensor() {
    const size_t offset = lexer_.peek().offset;
    const ValueType type = parse_type();
    if (!type.is_tensor() || !type.shape.is_static()) {
      lexer_.fail_at(offset, "wrong type of a tensor literal", "constant extents", to_string(type));
    }
    const std::vector<int64_t> extents = type.shape.extents();
    const int64_t count = element_count(extents);
    if (lexer_.at("blob")) return parse_blob(type.element, extents);
    return visit(type.element, [&]<typename T>(std::type_identity<T>) -> TensorPtr {
      if (lexer_.accept("hex")) {
        const Token token = lexer_.expect(Token::Kind::string, "hex digits in quotes");
        // The text is there, so its length bounds what is allocated.
        if (token.text.size() / 2 != static_cast<size_t>(byte_count(type.element, extents))) {
          lexer_.fail_at(token.offset, "wrong number of hex digits",
                         std::to_string(2 * byte_count(type.element, extents)),
                         std::to_string(token.text.size()));
        }
        Tensor tensor(type.element, extents);
        auto* const bytes = static_cast<unsigned char*>(tensor.raw());
        decode_hex(token, bytes);
        if constexpr (std::is_same_v<T, bool>) {
          if (std::any_of(bytes, bytes + count, [](unsigned char byte) { return byte > 1; })) {
            lexer_.fail_at(token.offset, "hex digits that are no truth values", "00 and 01");
          }
        }
        return std::make_shared<const Tensor>(std::move(tensor));
      }
      if (lexer_.accept("splat")) {
        lexer_.expect('(');
        const T value = parse_element<T>();
        lexer_.expect(')');
        Tensor tensor(type.element, extents, splat_budget_);
        std::ranges::fill(tensor.data<T>(), value);
        return std::make_shared<const Tensor>(std::move(tensor));
      }
      lexer_.expect('(');
      if (lexer_.at('.'))
        lexer_.fail("the elements of this tensor were left out when it was printed");
      std::vector<T> values;
      while (!lexer_.at(')')) {
        if (!values.empty()) lexer_.expect(',');
        values.push_back(parse_element<T>());
      }
      lexer_.expect(')');
      if (static_cast<int64_t>(values.size()) != count) {
        lexer_.fail_at(offset, "wrong number of elements", std::to_string(count),
                       std::to_string(values.size()));
      }
      Tensor tensor(type.element, extents);
      std::copy(values.begin(), values.end(), tensor.data<T>().begin());
      return std::make_shared<const Tensor>(std::move(tensor));
    });
  }

  TensorPtr parse_blob(ElementType type, const std::vector<int64_t>& extents) {
    const size_t offset = lexer_.next().offset;
    lexer_.expect('(');
    const auto number = parse_number<int64_t>();
    lexer_.expect(')');
    if (!options_.blob) lexer_.fail_at(offset, "the elements of this tensor are not in the text");
    return options_.blob(number, type, extents);
  }

  void decode_hex(const Token& token, unsigned char* out) {
    for (size_t i = 0; i < token.text.size(); i += 2) {
      const char* begin = token.text.data() + i;
      const auto [stop, error] = std::from_chars(begin, begin + 2, *out++, 16);
      if (error != std::errc() || stop != begin + 2) {
        lexer_.fail_at(token.offset, "malformed hex digits", "0-9 and a-f", std::string(begin, 2));
      }
    }
  }

  // --- types ---

  Dim parse_dim() {
    if (lexer_.accept('?')) return Dim::unknown();
    if (lexer_.peek().kind == Token::Kind::number) return parse_number<int64_t>();
    const size_t offset = lexer_.peek().offset;
    const std::string name = parse_name();
    if (name.empty()) lexer_.fail_at(offset, "a dimension's name is empty");
    return Dim::symbol(name);
  }

  Shape parse_shape() {
    lexer_.expect('[');
    if (lexer_.accept('*')) {
      lexer_.expect(']');
      return Shape::unranked();
    }
    std::vector<Dim> dims;
    while (!lexer_.at(']')) {
      if (!dims.empty()) lexer_.expect(',');
      dims.push_back(parse_dim());
    }
    lexer_.expect(']');
    return Shape(std::move(dims));
  }

  ElementType parse_element_type() {
    const Token token = lexer_.expect(Token::Kind::identifier, "an element type");
    const auto type = element_type_from_name(token.text);
    if (!type)
      lexer_.fail_at(token.offset, "unknown element type", "f32, i64, bool, ...", token.text);
    return *type;
  }

  ValueType parse_type() {
    const bool optional = lexer_.accept("opt");
    if (optional) lexer_.expect('<');
    const bool sequence = lexer_.accept("seq");
    if (sequence) lexer_.expect('<');
    ValueType type;
    type.element = parse_element_type();
    type.shape = parse_shape();
    if (sequence) {
      lexer_.expect('>');
      type.kind = ValueType::Kind::sequence;
    }
    if (optional) {
      lexer_.expect('>');
      type.optional = true;
    }
    return type;
  }

  // --- attributes ---

  AttributeValue parse_attribute(AttributeType type) {
    switch (type) {
      case AttributeType::boolean:
        return parse_bool();
      case AttributeType::integer:
        return parse_number<int64_t>();
      case AttributeType::real:
        return parse_element<double>();
      case AttributeType::string:
        return lexer_.expect(Token::Kind::string, "a string").text;
      case AttributeType::dims:
        return parse_shape().dims();
      case AttributeType::element:
        return parse_element_type();
      case AttributeType::tensor:
        return parse_tensor();
      case AttributeType::integers:
        break;
    }
    std::vector<int64_t> values;
    lexer_.expect('[');
    while (!lexer_.at(']')) {
      if (!values.empty()) lexer_.expect(',');
      values.push_back(parse_number<int64_t>());
    }
    lexer_.expect(']');
    return values;
  }

  std::vector<Attribute> parse_attributes(const OpSchema& schema) {
    std::vector<Attribute> attributes;
    if (!lexer_.accept('{')) return attributes;
    do {
      const Token token = lexer_.expect(Token::Kind::identifier, "an attribute's name");
      const auto name = attribute_from_name(token.text);
      const AttributeSpec* spec = name ? schema.find(*name) : nullptr;
      if (!spec) {
        lexer_.fail_at(token.offset, "unknown attribute",
                       "an attribute of " + std::string(refrain::name(schema.op)), token.text);
      }
      for (const Attribute& attribute : attributes) {
        if (attribute.name == *name) {
          lexer_.fail_at(token.offset, "an attribute is given twice", {}, token.text);
        }
      }
      lexer_.expect('=');
      attributes.push_back({*name, parse_attribute(spec->type)});
    } while (lexer_.accept(','));
    lexer_.expect('}');
    return attributes;
  }

  // --- nodes ---

  std::vector<Value*> parse_block(Region& region, Scope& scope, int depth,
                                  std::vector<std::string>* output_names = nullptr) {
    if (depth > kMaxRegionDepth) {
      lexer_.fail("regions are nested too deeply", "at most " + std::to_string(kMaxRegionDepth));
    }
    lexer_.expect('{');
    while (!lexer_.at("yield")) parse_node(region, scope, depth);
    lexer_.expect("yield");
    std::vector<Value*> values;
    while (!lexer_.at('}')) {
      if (!values.empty()) lexer_.expect(',');
      if (output_names) {
        output_names->push_back(lexer_.expect(Token::Kind::string, "an output's name").text);
        lexer_.expect('=');
      }
      values.push_back(parse_operand(scope));
    }
    lexer_.expect('}');
    return values;
  }

  std::unique_ptr<Region> parse_region(const std::vector<Slot>& slots, int depth) {
    auto region = std::make_unique<Region>();
    Scope scope;
    for (const Slot& slot : slots) define(scope, slot.argument, region->add_argument(slot.type));
    const std::vector<Value*> values = parse_block(*region, scope, depth);
    region->insert(std::make_unique<Node>(Op::yield, values, std::vector<Attribute>{}, 0));
    return region;
  }

  void parse_node(Region& region, Scope& scope, int depth) {
    std::vector<Token> results;
    if (lexer_.peek().kind == Token::Kind::value) {
      do {
        results.push_back(parse_value_name());
      } while (lexer_.accept(','));
      lexer_.expect('=');
    }
    const Token token = lexer_.expect(Token::Kind::identifier, "an op or yield");
    const auto op = op_from_name(token.text);
    if (!op || *op == Op::yield)
      lexer_.fail_at(token.offset, "unknown op", "an op's name", token.text);

    std::vector<Value*> operands;
    std::vector<Attribute> attributes;
    std::vector<std::unique_ptr<Region>> regions;
    TensorPtr tensor;
    switch (*op) {
      case Op::constant:
        tensor = parse_tensor();
        attributes.push_back({AttributeName::value, tensor});
        break;
      case Op::scan:
        parse_scan(scope, depth, operands, attributes, regions);
        break;
      case Op::loop:
        parse_loop(scope, depth, operands, attributes, regions);
        break;
      case Op::branch:
        parse_branch(scope, depth, operands, regions);
        break;
      default:
        lexer_.expect('(');
        while (!lexer_.at(')')) {
          if (!operands.empty()) lexer_.expect(',');
          operands.push_back(lexer_.accept("_") ? nullptr : parse_operand(scope));
        }
        lexer_.expect(')');
        attributes = parse_attributes(schema(*op));
    }
    Node* node = region.insert(std::make_unique<Node>(*op, operands, std::move(attributes),
                                                      results.size(), std::move(regions)));
    if (tensor) {
      if (results.size() != 1) lexer_.fail_at(token.offset, "wrong number of results", "1");
      node->result()->set_type(
          ValueType::tensor(tensor->type(), Shape::of_extents(tensor->extents())));
    } else {
      for (size_t i = 0; i < results.size(); ++i) {
        lexer_.expect(i == 0 ? ':' : ',');
        node->result(i)->set_type(parse_type());
      }
    }
    if (lexer_.accept('@'))
      node->set_name(lexer_.expect(Token::Kind::string, "a node's name").text);
    for (size_t i = 0; i < results.size(); ++i) define(scope, results[i], node->result(i));
  }

  // --- control ---

  ScanSlot parse_scan_slot() {
    ScanSlot slot;
    lexer_.expect('[');
    slot.axis = parse_number<int64_t>();
    slot.reverse = lexer_.accept("reverse");
    lexer_.expect(']');
    return slot;
  }

  // `(%argument = %operand: type, ...)`; with `scanned`, the operand is followed by [axis].
  std::vector<Slot> parse_slots(const Scope& scope, bool scanned = false) {
    std::vector<Slot> slots;
    lexer_.expect('(');
    do {
      Slot slot;
      slot.argument = parse_value_name();
      lexer_.expect('=');
      slot.operand = parse_operand(scope);
      if (scanned) slot.scan = parse_scan_slot();
      lexer_.expect(':');
      slot.type = parse_type();
      slots.push_back(std::move(slot));
    } while (lexer_.accept(','));
    lexer_.expect(')');
    return slots;
  }

  Value* parse_role(const char* role, const Scope& scope) {
    if (!lexer_.accept(role)) return nullptr;
    lexer_.expect('(');
    Value* value = parse_operand(scope);
    lexer_.expect(')');
    return value;
  }

  static void append(std::vector<Slot>& slots, std::vector<Value*>& operands,
                     const std::vector<Slot>& more) {
    for (const Slot& slot : more) operands.push_back(slot.operand);
    slots.insert(slots.end(), more.begin(), more.end());
  }

  void parse_scan(const Scope& scope, int depth, std::vector<Value*>& operands,
                  std::vector<Attribute>& attributes,
                  std::vector<std::unique_ptr<Region>>& regions) {
    ScanSpec spec;
    spec.lengths = parse_role("lengths", scope);
    spec.trip_count = parse_role("trips", scope);
    if (lexer_.accept("batch_axis")) {
      lexer_.expect('(');
      spec.batch_axis = parse_number<int64_t>();
      lexer_.expect(')');
    }
    std::vector<Slot> slots;
    if (lexer_.accept("invariant")) append(slots, spec.invariants, parse_slots(scope));
    if (lexer_.accept("state")) append(slots, spec.states, parse_slots(scope));
    if (lexer_.accept("scanned")) {
      const std::vector<Slot> scanned = parse_slots(scope, true);
      for (const Slot& slot : scanned) spec.scan_slots.push_back(slot.scan);
      append(slots, spec.scanned, scanned);
    }
    if (lexer_.accept("stacked")) {
      lexer_.expect('(');
      do {
        spec.stack_slots.push_back(parse_scan_slot());
      } while (lexer_.accept(','));
      lexer_.expect(')');
    }
    operands = scan_operands(spec);
    attributes = scan_attributes(spec);
    regions.push_back(parse_region(slots, depth + 1));
  }

  void parse_loop(const Scope& scope, int depth, std::vector<Value*>& operands,
                  std::vector<Attribute>& attributes,
                  std::vector<std::unique_ptr<Region>>& regions) {
    for (const char* role : {"trips", "while"}) {
      Value* value = parse_role(role, scope);
      if (!value) lexer_.fail("syntax error", role);
      operands.push_back(value);
    }
    lexer_.expect("iteration");
    lexer_.expect('(');
    std::vector<Slot> slots = {
        {parse_value_name(), nullptr, {}, ValueType::tensor(ElementType::i64, {})}};
    lexer_.expect(')');
    std::vector<Slot> invariants, states;
    if (lexer_.accept("invariant")) invariants = parse_slots(scope);
    if (lexer_.accept("state")) states = parse_slots(scope);
    append(slots, operands, invariants);
    append(slots, operands, states);
    attributes = {{AttributeName::invariants, static_cast<int64_t>(invariants.size())},
                  {AttributeName::states, static_cast<int64_t>(states.size())}};
    regions.push_back(parse_region(slots, depth + 1));
  }

  void parse_branch(const Scope& scope, int depth, std::vector<Value*>& operands,
                    std::vector<std::unique_ptr<Region>>& regions) {
    lexer_.expect('(');
    operands.push_back(parse_operand(scope));
    lexer_.expect(')');
    for (const char* side : {"then", "else"}) {
      lexer_.expect(side);
      const size_t offset = lexer_.peek().offset;
      std::vector<Slot> slots;
      if (lexer_.at('(')) slots = parse_slots(scope);
      std::vector<Value*> captures = {operands[0]};
      for (const Slot& slot : slots) captures.push_back(slot.operand);
      if (regions.empty()) {
        operands = captures;
      } else if (captures != operands) {
        lexer_.fail_at(offset, "the sides of a branch capture different values");
      }
      regions.push_back(parse_region(slots, depth + 1));
    }
  }

  Lexer lexer_;
  const ParseOptions& options_;
  // A short text may ask for large splats; everything else is bounded by the text's own length.
  std::shared_ptr<MemoryBudget> splat_budget_ = std::make_shared<MemoryBudget>(int64_t{1} << 30);
};

}  // namespace

std::unique_ptr<Graph> parse(std::string_view text, const std::string& file,
                             const ParseOptions& options) {
  try {
    std::unique_ptr<Graph> graph = Parser(text, file, options).parse_graph();
    verify(*graph);
    return graph;
  } catch (Error& error) {
    error.in_file(file);
    throw;
  }
}

}  // namespace refrain
