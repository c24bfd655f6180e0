#include "frontend/equations/time_index.h"

#include <algorithm>
#include <optional>
#include <set>

namespace refrain::equations {
namespace {

struct Indexed {
  std::string base;
  bool before;  // t-1
  bool braced;
};

// base_t, base_{t}, base_{t-1}; the lexer lets no other index in braces through.
std::optional<Indexed> indexed(const std::string& text) {
  if (text.ends_with("_t")) return Indexed{text.substr(0, text.size() - 2), false, false};
  const size_t brace = text.find("_{");
  if (brace == std::string::npos) return std::nullopt;
  return Indexed{text.substr(0, brace), text.find('1', brace) != std::string::npos, true};
}

class Resolver {
 public:
  explicit Resolver(Cell& cell) : cell_(cell) {}

  void run() {
    const auto plain = [](Name& name) {
      const auto index = indexed(name.text);
      if (index && index->braced) name.text = index->base;
    };
    for (State& state : cell_.states) {
      plain(state.name);
      states_.insert(state.name.text);
    }
    for (Name& name : cell_.inputs) {
      plain(name);
      inputs_.insert(name.text);
    }
    fixed_.insert(states_.begin(), states_.end());
    fixed_.insert(inputs_.begin(), inputs_.end());
    for (const Name& name : cell_.given) fixed_.insert(name.text);
    for (const ParameterSyntax& parameter : cell_.parameters) {
      for (const Name& name : parameter.names) fixed_.insert(name.text);
    }
    for (const Equation& equation : cell_.equations) {
      for (const Name& target : equation.targets) targets_.insert(target.text);
    }
    for (Equation& equation : cell_.equations) {
      read(*equation.value.expression);
      for (Name& target : equation.targets) {
        target.text = target_name(target);
        assigned_.insert(target.text);
      }
    }
  }

 private:
  std::string target_name(const Name& target) {
    const auto index = indexed(target.text);
    if (!index || fixed_.contains(target.text)) return target.text;
    if (index->before) {
      fail(target.range, "an equation for '" + target.text + "', which is over",
           "expected one for " + index->base + "_t");
    }
    // Where the state has an equation of its own, this is another thing.
    if (states_.contains(index->base) && !targets_.contains(index->base)) return index->base;
    return index->base + "_t";
  }

  void read(Expression& expression) {
    if (expression.kind == Expression::Kind::name) expression.text = name_of(expression);
    for (const ExpressionPtr& operand : expression.operands) {
      if (operand) read(*operand);
    }
    for (Argument& argument : expression.arguments) read(*argument.value);
  }

  std::string name_of(const Expression& name) {
    const auto index = indexed(name.text);
    if (!index || fixed_.contains(name.text)) return name.text;
    const std::string& base = index->base;
    if (index->before) {
      if (states_.contains(base)) return name_before(base);
      fail(name.range, "'" + base + "' is no state, of which the cell knows the step before",
           states_.contains(base + "_t") ? "write " + name_before(base) + " in its first line, too"
                                         : "states are in the cell's first line");
    }
    const std::string plain = base + "_t";
    const bool own = targets_.contains(plain) || targets_.contains(base + "_{t}");
    if (inputs_.contains(base) && !own) return base;
    if (states_.contains(base) && own && !targets_.contains(base)) {
      if (assigned_.contains(base)) return base;
      fail(name.range, "'" + name.text + "' is used before its equation",
           "the state of the step before is " + name_before(base));
    }
    return plain;
  }

  Cell& cell_;
  std::set<std::string> states_, inputs_;
  std::set<std::string> fixed_;  // names that mean themselves
  std::set<std::string> targets_, assigned_;
};

}  // namespace

void resolve_time_indices(Cell& cell) { Resolver(cell).run(); }

}  // namespace refrain::equations
