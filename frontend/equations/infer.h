// What a cell's equations say of the shapes that it leaves open: of its parameters, its states, its
// sizes.
//
// The equations are read as constraints between extents, again and again until nothing new comes
// out. Contradictions are not reported here: the first thing said of a shape holds, and lowering
// finds what does not fit it, at the right place.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>

#include "frontend/equations/syntax.h"

namespace refrain::equations {

// An extent that may not be known yet: equal ones are found by union.
class Extents {
 public:
  using Id = uint32_t;

  Id fresh();
  Id constant(int64_t extent);
  std::optional<int64_t> value(Id id) const;
  // Makes two equal, if nothing speaks against it.
  void unify(Id a, Id b);
  // Grows with everything that is learnt.
  size_t learnt() const { return learnt_; }

 private:
  Id root(Id id) const;
  struct Entry {
    Id parent;
    std::optional<int64_t> value;
  };
  mutable std::vector<Entry> entries_;
  size_t learnt_ = 0;
};

using Features = std::vector<Extents::Id>;

// What is known of a value: its features, if even their number is, and whether it has a time axis.
struct Abstract {
  std::optional<Features> features;
  bool time = false;
};

class CellInference {
 public:
  struct Parameter {
    std::optional<Features> features;
    Range first_use;
  };

  // Values of the constants that the cell may use. All must outlive this.
  CellInference(const Cell& cell, const std::map<std::string, double>& constants)
      : cell_(cell), constants_(constants) {}

  Extents& extents() { return extents_; }
  // Inputs, states, given values and sizes, before run().
  void set(const std::string& name, Abstract value) { values_[name] = std::move(value); }
  void set_size(const std::string& name, Extents::Id size) { sizes_[name] = size; }
  // The parameter's shape if it is known from elsewhere; asked once a parameter.
  void set_known(std::function<std::optional<std::vector<int64_t>>(const std::string&)> known) {
    known_ = std::move(known);
  }

  void run();

  // By name, in the order of their first uses.
  const std::vector<std::pair<std::string, Parameter>>& parameters() const { return parameters_; }
  // Names that are exponents somewhere.
  const std::set<std::string>& exponents() const { return exponents_; }
  // An extent from an expression of constants and sizes; fresh where a size is not known.
  Extents::Id extent(const Expression& expression);
  Extents::Id size(const std::string& name) const { return sizes_.at(name); }
  // Of constants alone.
  std::optional<double> number(const Expression& expression) const;

 private:
  Abstract evaluate(const Expression& expression);
  Abstract product(const Expression& left, const Expression& right);
  Abstract call(const Expression& expression);
  Abstract concat(const Expression& expression);
  Abstract slice(const Expression& expression);
  Abstract elementwise(const Expression& left, const Expression& right);
  void expect(const Expression& expression, const Features& features);
  static bool elementwise_call(const Expression& expression);
  Parameter* open_parameter(const Expression& expression);
  Parameter& parameter(const std::string& name, Range use);
  Abstract scalar() const { return {Features{}, false}; }

  const Cell& cell_;
  const std::map<std::string, double>& constants_;
  Extents extents_;
  std::map<std::string, Abstract> values_, locals_;
  std::map<std::string, Extents::Id> sizes_;
  std::function<std::optional<std::vector<int64_t>>(const std::string&)> known_;
  std::vector<std::pair<std::string, Parameter>> parameters_;
  std::map<std::string, size_t> index_;
  std::set<std::string> exponents_;
  size_t known_count_ = 0;  // shapes known after the last pass
};

// Names that begin with a capital, of ASCII or Greek, are matrices in products, others vectors.
bool names_matrix(const std::string& name);

}  // namespace refrain::equations
