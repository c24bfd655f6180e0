// Internal to frontend/decompile: the text of a model around its cells.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "frontend/decompile/cell.h"
#include "frontend/decompile/decompile.h"
#include "frontend/decompile/interface.h"
#include "frontend/decompile/symbolic.h"
#include "frontend/decompile/writer.h"

namespace refrain::decompile {

// Writes one graph, once.
class Decompiler {
 public:
  Decompiler(const Graph& graph, std::string weights_file)
      : graph_(graph),
        weights_file_(std::move(weights_file)),
        evaluation_(parts_),
        symbols_(graph),
        writer_(names_, "") {}

  Decompiled run();

 private:
  // --- inputs ---

  void add_inputs();

  // --- nodes ---

  void add_region(const Region& region);

  // The numbers of the steps of an input: range(0, T, 1), or where T is fixed, 0, 1, 2...
  bool add_indices(const Node& node);

  bool operands_known(const Node& node) const;

  void add_unknown(const Node& node);

  void add_variable(const Value* value, const std::string& wish);

  // The language has no choice between equations: both follow each other, under comments.
  void add_branch(const Node& node);

  void add_choice(const Value* result, const Value* chosen, bool first);

  // Output names are kept for what is put out.
  std::string name_for(const Value* value, const std::string& otherwise);

  std::string free_name(std::string wish);

  // Gives an expression an equation of its own, if it is more than a name or a number.
  void give_name(const Expr& e, const std::string& wish);

  // Equations for what is shared in an expression.
  void settle(const Expr& e);

  void equation(const std::string& name, const Expr& e);

  // --- scans ---

  // Makes what a scan runs over a sequence that the cell can be written of. What takes another's
  // place has its own back when the scan is written.
  using Replaced = std::vector<std::pair<const Value*, Symbolic>>;
  void replace(const Value* value, Symbolic symbolic, Replaced& replaced);

  // Says what has no words, if something has none.
  std::string prepare_sequences(const Node& node, Replaced& replaced);

  static std::string group(const std::vector<std::string>& list);

  void add_scan(const Node& node);

  // Cells that are the same but for their parameters are one. Returns the name that it has.
  std::string write_cell(const Cell& cell);

  // A name or a number.
  std::string reference(const Expr& e);

  std::string start_of(const Node& node, const Decoder& decoder);

  // Outputs first, then all states or none.
  void add_results(const Node& node, const Cell& cell, bool finals,
                   std::vector<std::string>& targets);

  // --- outputs ---

  void add_outputs();

  // Like settle, but e's own name is the output's.
  void settle_arguments(const Expr& e);

  void line(const std::string& text);

  void assemble();

  const Graph& graph_;
  std::string weights_file_, lines_;
  Parts parts_;
  Evaluation evaluation_;
  Names names_, cell_names_;
  AxisNames symbols_;
  Writer writer_;
  std::set<std::string> output_names_, written_outputs_;
  std::set<std::string> used_;  // by values
  std::set<Expr> seen_;
  std::set<const Value*> unknown_;
  std::map<std::string, std::string> written_;  // names of cells by their bodies
  int layout_ = 0;
  bool chooses_ = false;  // has branches
  Decompiled result_;
};

}  // namespace refrain::decompile
