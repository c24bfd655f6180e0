// Expressions to nodes.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <variant>

#include "frontend/equations/algebra.h"
#include "frontend/equations/parameters.h"
#include "frontend/equations/syntax.h"

namespace refrain::equations {

// What an expression is: a tensor, a parameter that no node holds yet, or something known while
// loading.
using Operand = std::variant<Tensored, Weight, double, bool, std::vector<double>, std::string>;

// Where something stands in the text.
struct Place {
  uint32_t offset;
  size_t line;
};

// What all of a model shares while it is loaded.
struct Context {
  Parameters& parameters;
  ElementType real = ElementType::f32;  // of parameters and numbers
  bool batch_first = false;
  bool single = false;  // no input has a batch axis: the graph's are a batch of one
  std::map<std::string, Operand> constants = {};
  std::map<std::string, Place> definitions = {};  // of the model's names
  std::vector<Problem> problems = {};
  size_t work = 0;  // bytes of cells' text that were lowered

  void add(const Problem& problem);
  // Bounds what a small text may unfold to.
  void charge(size_t bytes, Range range);
};

// Evaluates expressions in one region: the model's, or a cell's body.
class Evaluator {
 public:
  Evaluator(Context& context, Region& region)
      : context_(context), algebra_(region, context.batch_first) {}
  virtual ~Evaluator() = default;
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  Context& context() { return context_; }
  Algebra& algebra() { return algebra_; }
  Builder& builder() { return algebra_.builder(); }

  Operand evaluate(const Expression& expression);
  Tensored tensor(const Expression& expression);
  Tensored tensor(const Operand& operand, Range range);
  // Tensors that are put beside each other; numbers take the type of the tensors.
  std::vector<Tensored> side_by_side(const std::vector<const Expression*>& expressions);
  std::vector<Tensored> side_by_side(const std::vector<Operand>& operands,
                                     const std::vector<const Expression*>& expressions);
  double number(const Expression& expression);
  // An integer within bounds.
  int64_t integer(const Expression& expression, int64_t least, int64_t most);
  int64_t size(const Expression& expression) { return integer(expression, 1, kMaxExtent); }
  bool flag(const Expression& expression);
  std::string string(const Expression& expression);

  // The first result of a scan or decode.
  virtual Tensored run_value(const RightSide& scan) = 0;
  // The parameter's value in this region, or the transpose of it.
  virtual Value* weight(const Weight& weight, bool transposed) = 0;
  // A parameter of a function used here: `prefix` as it was given, or the function's own.
  Weight function_parameter(const std::string& prefix, const std::string& name,
                            std::vector<int64_t> shape, Range use);
  // The prefix for a function without one.
  virtual std::string function_prefix(const std::string& function) = 0;
  virtual std::string name_suffix() const { return {}; }
  // Whether a value of the model, no parameter, has this name, and stands before `place`.
  virtual bool computes(const std::string&, Range) const { return false; }
  virtual bool is_cell(const std::string&) const { return false; }

  static constexpr int64_t kMaxExtent = (int64_t{1} << 31) - 1;

 protected:
  // What a name means here; throws Failure if nothing, Poisoned if its definition has failed.
  virtual Operand lookup(const std::string& name, Range range) = 0;

  Context& context_;

 private:
  Operand evaluate_unchecked(const Expression& expression);
  Operand concat(const Expression& expression);
  Operand binary(const Expression& expression);
  Operand product(const Expression& expression);
  Operand slice(const Expression& expression);
  Operand call(const Expression& expression);

  Algebra algebra_;
};

// The names of all functions, for suggestions.
const std::vector<std::string>& function_names();
// A call of a function of the language.
Operand call_function(Evaluator& evaluator, const Expression& call);

}  // namespace refrain::equations
