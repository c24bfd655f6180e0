// Internal to frontend/decompile: equations as text, and the names of what is in them.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/decompile/expression.h"
#include "frontend/weights/weight_file.h"

namespace refrain::decompile {

// Names that are unique.
class Names {
 public:
  // The language's own words are taken.
  Names();
  // `wish`, made a name of the language, or with _2, _3 ... behind it.
  std::string take(std::string_view wish);
  void reserve(const std::string& name) { taken_.insert(name); }
  bool taken(const std::string& name) const { return taken_.contains(name); }

 private:
  std::set<std::string> taken_;
  std::map<std::string, int> last_;  // number given to a name that was wished for
};

// The shortest text that gives back the float that the value was.
std::string number_text(double value);

// Letters, digits and _; never empty, never a digit first.
std::string identifier_of(std::string_view text);

// Writes the equations of one scope: a cell, or the model around cells.
class Writer {
 public:
  struct Parameter {
    std::string name;
    TensorPtr tensor;
  };

  // `prefix` stands in the names of the functions' parameters in the file.
  Writer(Names& names, std::string prefix) : names_(names), prefix_(std::move(prefix)) {}

  // The right-hand side; what is shared in it must have its name already. `target` is the
  // equation's name, from which parameters take theirs.
  std::string text(const Expr& e, const std::string& target);
  // The same, with as many features as e has where its text would be a scalar.
  std::string features_text(const Expr& e, const std::string& target);

  // Those that texts needed so far, in order.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  // Of embeddings: by their full names in the file.
  const std::vector<NamedTensor>& tables() const { return tables_; }
  // Says whether a product's argument comes from the step before, for the parameter's name.
  std::function<bool(const Expr&)> from_state = [](const Expr&) { return false; };

 private:
  std::string vector(const Expr& e, int precedence, bool top);
  std::string print(const Expr& e, int precedence, bool top, bool factor = false);
  std::string parameter(const Expr& e, const char* letter);

  Names& names_;
  std::string prefix_, target_;
  std::map<Expr, std::string> named_;  // kept, so that no other one has its address
  std::vector<Parameter> parameters_;
  std::vector<NamedTensor> tables_;
};

// Every shared expression that e needs and that has no name yet, in an order in which they can be
// written; e itself too if it is shared.
void shared_in_order(const Expr& e, std::vector<Expr>& order, std::set<Expr>& seen);

}  // namespace refrain::decompile
