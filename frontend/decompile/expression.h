// Internal to frontend/decompile: the right-hand sides of equations.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "ir/tensor.h"

namespace refrain::decompile {

struct Expression;
using Expr = std::shared_ptr<Expression>;

// The features of one step of one sequence, as an equation has them.
struct Expression {
  Expression() = default;
  Expression(const Expression&) = default;
  Expression& operator=(const Expression&) = default;
  ~Expression();  // without recursion, however long a chain of arguments is

  enum class Kind : uint8_t {
    variable,   // name
    number,     // value
    parameter,  // a vector
    product,    // matrix times argument
    lookup,     // row of a table, the argument is its index
    call,       // function or operator of arguments
    concat,
    part,         // of the argument: features begin to end - 1; one without width: feature begin
    steps,        // of the argument: steps begin to end - 1 (kAllSteps: to the last); `one`: begin
    convolution,  // of the argument along time, with `options`
  };
  Kind kind = Kind::variable;
  std::string name = {};      // a variable's, or once it has an equation of its own
  std::string function = {};  // call: a name, or + - * / ^, or neg
  std::vector<Expr> arguments = {};
  double value = 0;
  TensorPtr tensor = nullptr;  // parameter [width], product [width, argument's width], lookup
                               // [rows, width], convolution [width, its features, taps]; f32
  TensorPtr bias = nullptr;    // of a convolution, [width]
  std::string options = {};    // arguments of a function as the text has them
  int64_t begin = 0, end = 0;
  bool one = false;
  int64_t width = 0;    // 0: a scalar; of a matrix its columns
  bool timed = false;   // a variable's: it has a time axis
  bool shared = false;  // read in several places: it shall have an equation of its own
  int depth = 0;        // of what its equation would be
};

Expr variable(std::string name, int64_t width);
Expr number(double value);
// Stands behind the name of a function that goes over all steps, `mean(x, over = time)`.
inline constexpr const char* kOverTime = "@time";
inline constexpr int64_t kAllSteps = int64_t{1} << 62;
// Whether it reads other steps of its argument than the one that it stands for.
bool reads_other_steps(const Expression& e);
Expr call(std::string function, std::vector<Expr> arguments, int64_t width);
Expr concat(std::vector<Expr> pieces, int64_t width);
Expr steps(const Expr& e, int64_t begin, int64_t end);
Expr step(const Expr& e, int64_t at);
// A number that stands for so many features, all of which it is; at most kMostFeatures.
inline constexpr int64_t kMostFeatures = int64_t{1} << 20;
Expr as_vector(const Expr& e, int64_t width);
// The only feature of a vector of one.
Expr scalar(const Expr& e);

// Of a matrix.
Tensor transposed(const Tensor& matrix);

// Makes expressions of parts of tensors and of expressions, the same one for the same part, so that
// parameters are not multiplied.
class Parts {
 public:
  // A matrix that is no factor of a product.
  Expr matrix(const TensorPtr& tensor);
  // A tensor of one extent larger than 1 at most: a vector, or a number if all elements are equal.
  Expr constant(const TensorPtr& tensor, int64_t width);
  Expr product(const TensorPtr& matrix, const Expr& x);  // matrix [in, out], as in x·matrix
  Expr lookup(const TensorPtr& table, const Expr& index);
  // Features begin to end - 1: taken inside, down to the rows of matrices, as far as nothing that
  // is shared is computed twice.
  Expr part(const Expr& e, int64_t begin, int64_t end);

 private:
  TensorPtr columns(const TensorPtr& matrix, int64_t begin, int64_t end);

  std::map<std::tuple<const Expression*, int64_t, int64_t>, Expr> parts_;
  std::map<std::tuple<const Tensor*, const Expression*>, Expr> made_;
  std::vector<TensorPtr> tensors_;  // keeps addresses unique
  std::vector<Expr> kept_;
};

// The arguments' depths and one; an expression that would be nested too deep becomes shared.
void settle_depth(Expression& e);

// What several of them read, or one twice, shall have an equation of its own: texts would double.
void share_repeats(const std::vector<Expr>& roots);

// The variables that an expression reads.
void collect_names(const Expr& e, std::set<std::string>& names);

// Whether e has a time axis.
bool has_time(const Expr& e);

// True if the text of e is a scalar: it may be one feature wide, or several that are all alike, for
// all that the graph says.
bool is_uniform(const Expr& e);
// A call that makes one number of the features, or of each row of a matrix.
bool reduces(const Expression& e);
// A call that gives truth values.
bool compares(const Expression& e);

// Calls f on every expression that e is made of, e last; `descend` says whether to go into one.
void walk(const Expr& e, const std::function<bool(const Expr&)>& descend,
          const std::function<void(const Expr&)>& f);

}  // namespace refrain::decompile
