// Internal to executables: what a loop's body computes, as expressions, cut into the stages of the
// loop kernel.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "backends/highway/program.h"
#include "backends/highway/recurrent.h"
#include "ir/tensor.h"

namespace refrain::executable {

struct LoopForm;

// left * weights[row.., column..]: as many rows as the left expression is wide, as many columns as
// the gate.
struct Term {
  size_t left;
  const Tensor* weights;
  int64_t row, column;
};

// `width` columns of one row of each of the loop's rows.
struct Expression {
  enum class Kind : uint8_t {
    constant,   // one number
    stream,     // read from memory
    gate,       // a sum of products
    operation,  // of expressions of the same width
  };
  Kind kind = Kind::constant;
  int64_t width = 0;
  float number = 0;
  highway::Stream stream;
  std::vector<Term> terms;
  bool shared = false;  // a gate that others read too
  highway::Instruction instruction{};
  std::vector<size_t> operands;
  std::vector<size_t> addends;  // of an open sum

  // Filled in by the writer.
  int level = 0;     // the first stage that can compute it; products of computed rows come later
  int depth = 0;     // operations on top of each other
  bool pure = true;  // no gate in it
};

class StageWriter {
 public:
  size_t constant(float number, int64_t width);
  size_t stream(const highway::Stream& stream, int64_t width);
  size_t gate(Expression gate);
  size_t operation(const highway::Instruction& instruction, std::vector<size_t> operands,
                   int64_t width);
  // Of one or more expressions; gates that nothing else reads are merged into one. An `open` sum
  // that is a term of another is taken apart for that.
  size_t sum(const std::vector<size_t>& terms, int64_t width, bool open = false);

  void output(size_t expression, const highway::Stream& to) {
    outputs_.push_back({expression, to});
  }

  // Fills in the stages, and the buffers that they need. False if they pass a limit of
  // the kernel.
  bool write(int64_t rows, LoopForm& form);

 private:
  // A stage under construction: of one level and one width.
  using Key = std::pair<int, int64_t>;
  struct Output {
    size_t expression;
    highway::Stream to;
  };
  // Where a register's value comes from; numbers are known once all gates and inputs are.
  struct Register {
    enum class Kind : uint8_t { gate, input, code } kind;
    size_t index;
  };
  struct Draft;

  size_t add(Expression expression);
  highway::Stream temporary(size_t expression);
  highway::Stream left_stream(size_t expression);
  bool is_recomputed(size_t expression) const;
  Register emit(Draft& draft, size_t expression);
  bool write_stage(const Key& key, std::vector<Output>& outputs, highway::Stage& stage);
  void write_products(const Draft& draft, highway::Stage& stage);

  std::vector<Expression> expressions_;
  std::vector<Output> outputs_;
  std::map<Key, std::vector<Output>> drafts_;
  std::map<size_t, highway::Stream> temporaries_;
  std::set<size_t> lefts_;  // expressions that products multiply
  int64_t rows_ = 0;
  LoopForm* form_ = nullptr;
};

}  // namespace refrain::executable
