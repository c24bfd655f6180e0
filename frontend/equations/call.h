// Internal to frontend/equations: calls of the language's functions.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "frontend/equations/evaluator.h"

namespace refrain::equations {

// The arguments of one call, by position or by name, each to be asked for once.
class Call {
 public:
  Call(Evaluator& in, const Expression& call)
      : evaluator(in), algebra(in.algebra()), expression(call) {
    for (const Argument& argument : expression.arguments) {
      if (argument.name.text.empty()) {
        if (!named_.empty()) {
          fail(argument.value->range, "an argument by position behind one by name");
        }
        positional_.push_back(argument.value.get());
      } else if (!named_.emplace(argument.name.text, &argument).second) {
        fail(argument.name.range, "'" + argument.name.text + "' is given twice");
      }
    }
  }

  size_t count() const { return positional_.size(); }
  Range range() const { return expression.range; }
  Range name_range() const { return expression.operator_range; }

  // The next argument by position, or by its name; null if there is none.
  const Expression* optional(const std::string& name) {
    known_.push_back(name);
    if (const auto at = named_.find(name); at != named_.end()) {
      const Expression* const value = at->second->value.get();
      named_.erase(at);
      return value;
    }
    return next_ < positional_.size() ? positional_[next_++] : nullptr;
  }
  const Expression& required(const std::string& name) {
    if (const Expression* const value = optional(name)) return *value;
    fail(expression.range, "'" + expression.text + "' needs an argument '" + name + "'");
  }
  // An argument that has no place, only a name.
  const Expression* keyword(const std::string& name) {
    known_.push_back(name);
    const auto at = named_.find(name);
    if (at == named_.end()) return nullptr;
    const Expression* const value = at->second->value.get();
    named_.erase(at);
    return value;
  }
  Tensored tensor(const std::string& name) { return evaluator.tensor(required(name)); }
  double number(const std::string& name, double otherwise) {
    const Expression* const value = optional(name);
    return value ? evaluator.number(*value) : otherwise;
  }
  int64_t integer(const std::string& name, int64_t otherwise, int64_t least) {
    const Expression* const value = optional(name);
    return value ? evaluator.integer(*value, least, Evaluator::kMaxExtent) : otherwise;
  }
  int64_t size(const std::string& name) { return evaluator.size(required(name)); }
  bool flag(const std::string& name, bool otherwise) {
    const Expression* const value = optional(name);
    return value ? evaluator.flag(*value) : otherwise;
  }
  // `over = time`; `over = features`.
  bool over_time() {
    const Expression* const over = keyword("over");
    if (!over || (over->kind == Expression::Kind::name && over->text == "features")) return false;
    if (over->kind == Expression::Kind::name && over->text == "time") return true;
    fail(over->range, "expected 'time' or 'features'");
  }
  std::string prefix() {
    const Expression* const given = keyword("weights");
    return given ? evaluator.string(*given) : evaluator.function_prefix(expression.text);
  }
  void finish() const {
    if (next_ < positional_.size()) {
      fail(positional_[next_]->range, "too many arguments of '" + expression.text + "'");
    }
    if (!named_.empty()) {
      const Name& name = named_.begin()->second->name;
      fail(name.range, "'" + expression.text + "' has no argument '" + name.text + "'",
           suggestion(name.text, known_));
    }
  }

  Tensored weight(const Weight& weight) { return {evaluator.weight(weight, false)}; }
  Tensored scalar(const Tensored& like, double value) {
    return algebra.scalar(like.element(), value);
  }

  Evaluator& evaluator;
  Algebra& algebra;
  const Expression& expression;

 private:
  std::vector<const Expression*> positional_;
  std::map<std::string, const Argument*> named_;
  std::vector<std::string> known_;
  size_t next_ = 0;
};

using Function = std::function<Operand(Call&)>;

// The functions that look along time.
void add_time_functions(std::map<std::string, Function>& functions);

}  // namespace refrain::equations
