#include "frontend/decompile/expression.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

namespace refrain::decompile {
namespace {

using Kind = Expression::Kind;

// Rows begin to end - 1 of axis 0.
Tensor rows_of(const Tensor& tensor, int64_t begin, int64_t end) {
  std::vector<int64_t> extents = tensor.extents();
  const size_t row =
      extents[0] == 0 ? 0 : static_cast<size_t>(tensor.bytes()) / static_cast<size_t>(extents[0]);
  extents[0] = end - begin;
  Tensor result(tensor.type(), extents);
  std::memcpy(result.raw(),
              static_cast<const char*>(tensor.raw()) + static_cast<size_t>(begin) * row,
              static_cast<size_t>(result.bytes()));
  return result;
}

bool distributes(const std::string& function) {
  constexpr const char* kNot[] = {"softmax", "log_softmax", "mean",  "sum",       "last",
                                  "first",   "·",           "outer", "transpose", "reshape"};
  return std::find(std::begin(kNot), std::end(kNot), function) == std::end(kNot);
}

// Which may stand in several places.
bool has_short_text(const Expression& e) {
  const auto is_number = [](const Expr& argument) { return argument->kind == Kind::number; };
  return e.kind == Kind::variable || e.kind == Kind::number || e.kind == Kind::parameter ||
         e.kind == Kind::part ||
         (e.kind == Kind::call && std::all_of(e.arguments.begin(), e.arguments.end(), is_number));
}

}  // namespace

Tensor transposed(const Tensor& matrix) {
  const int64_t rows = matrix.extents()[0], columns = matrix.extents()[1];
  Tensor result(matrix.type(), {columns, rows});
  const size_t size = size_of(matrix.type());
  const auto* source = static_cast<const char*>(matrix.raw());
  auto* target = static_cast<char*>(result.raw());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      std::memcpy(target + static_cast<size_t>(j * rows + i) * size,
                  source + static_cast<size_t>(i * columns + j) * size, size);
    }
  }
  return result;
}

Expression::~Expression() {
  std::vector<Expr> last;
  const auto take = [&](std::vector<Expr>& from) {
    for (Expr& e : from) {
      if (e.use_count() == 1) last.push_back(std::move(e));
    }
    from.clear();
  };
  take(arguments);
  while (!last.empty()) {
    const Expr e = std::move(last.back());
    last.pop_back();
    take(e->arguments);
  }
}

Expr variable(std::string name, int64_t width) {
  auto e = std::make_shared<Expression>();
  e->name = std::move(name);
  e->width = width;
  return e;
}

Expr number(double value) {
  auto e = std::make_shared<Expression>();
  e->kind = Kind::number;
  e->value = value;
  return e;
}

Expr call(std::string function, std::vector<Expr> arguments, int64_t width) {
  auto e = std::make_shared<Expression>();
  e->kind = Kind::call;
  e->function = std::move(function);
  e->arguments = std::move(arguments);
  e->width = width;
  settle_depth(*e);
  return e;
}

Expr concat(std::vector<Expr> pieces, int64_t width) {
  Expr e = call("", std::move(pieces), width);
  e->kind = Kind::concat;
  return e;
}

Expr steps(const Expr& e, int64_t begin, int64_t end) {
  Expr result = call("", {e}, e->width);
  result->kind = Kind::steps;
  result->begin = begin;
  result->end = end;
  return result;
}

Expr step(const Expr& e, int64_t at) {
  if (at == 0 || at == -1) return call(at == 0 ? "first" : "last", {e}, e->width);
  Expr result = steps(e, at, at + 1);
  result->one = true;
  return result;
}

bool reads_other_steps(const Expression& e) {
  if (e.kind == Kind::steps || e.kind == Kind::convolution) return true;
  if (e.kind != Kind::call) return false;
  constexpr const char* kFunctions[] = {"first",    "last", "reverse",    "indices",
                                        "sequence", "pad",  "max_pool1d", "avg_pool1d"};
  return e.function.ends_with(kOverTime) || std::find(std::begin(kFunctions), std::end(kFunctions),
                                                      e.function) != std::end(kFunctions);
}

void settle_depth(Expression& e) {
  constexpr int kDeepest = 40;
  e.depth = 0;
  for (const Expr& argument : e.arguments) {
    e.depth = std::max(e.depth, argument->shared ? 1 : argument->depth + 1);
  }
  if (e.depth >= kDeepest) e.shared = true;
}

Expr Parts::constant(const TensorPtr& tensor, int64_t width) {
  Expr& e = made_[{tensor.get(), nullptr}];
  if (e) return e;
  tensors_.push_back(tensor);
  const std::vector<double> values = tensor->view().as_doubles();
  if (tensor->type() == ElementType::boolean) {  // parameters are numbers
    Tensor numbers(ElementType::f32, tensor->extents());
    std::copy(values.begin(), values.end(), numbers.data<float>().begin());
    const Expr own = constant(std::make_shared<const Tensor>(std::move(numbers)), width);
    return made_[{tensor.get(), nullptr}] = call(">", {own, number(0.5)}, own->width);
  }
  if (!values.empty() &&
      std::all_of(values.begin(), values.end(), [&](double v) { return v == values[0]; })) {
    return e = number(values[0]);
  }
  e = std::make_shared<Expression>();
  e->kind = Kind::parameter;
  e->width = width;
  e->tensor = std::make_shared<const Tensor>(tensor->clone().reshaped({width}));
  return e;
}

Expr Parts::matrix(const TensorPtr& tensor) {
  Expr& e = made_[{tensor.get(), nullptr}];
  if (e) return e;
  tensors_.push_back(tensor);
  const size_t rank = tensor->rank();
  e = std::make_shared<Expression>();
  e->kind = Kind::parameter;
  e->width = tensor->extents()[rank - 1];
  e->tensor = std::make_shared<const Tensor>(
      tensor->clone().reshaped({tensor->extents()[rank - 2], e->width}));
  return e;
}

Expr Parts::product(const TensorPtr& matrix, const Expr& x) {
  Expr& e = made_[{matrix.get(), x.get()}];
  if (e) return e;
  tensors_.push_back(matrix);
  kept_.push_back(x);
  e = std::make_shared<Expression>();
  e->kind = Kind::product;
  e->width = matrix->extents()[1];
  e->tensor = std::make_shared<const Tensor>(transposed(*matrix));
  e->arguments = {x};
  settle_depth(*e);
  return e;
}

Expr Parts::lookup(const TensorPtr& table, const Expr& index) {
  Expr& e = made_[{table.get(), index.get()}];
  if (e) return e;
  tensors_.push_back(table);
  kept_.push_back(index);
  e = std::make_shared<Expression>();
  e->kind = Kind::lookup;
  e->width = table->extents()[1];
  e->tensor = table;
  e->arguments = {index};
  settle_depth(*e);
  return e;
}

TensorPtr Parts::columns(const TensorPtr& matrix, int64_t begin, int64_t end) {
  return std::make_shared<const Tensor>(transposed(rows_of(transposed(*matrix), begin, end)));
}

Expr scalar(const Expr& e) {
  if (e->width <= 1 && is_uniform(e)) return e;
  auto result = std::make_shared<Expression>();
  if (e->kind == Kind::product && !e->shared) {  // a matrix of one row is a vector
    *result = *e;
    result->tensor =
        std::make_shared<const Tensor>(e->tensor->clone().reshaped({e->tensor->size()}));
  } else if (e->kind == Kind::part && !e->shared) {
    *result = *e;
  } else {
    result->kind = Kind::part;
    result->arguments = {e};
  }
  result->width = 0;
  return result;
}

Expr Parts::part(const Expr& e, int64_t begin, int64_t end) {
  if (e->width == 0 || (begin == 0 && end == e->width)) return e;
  Expr& made = parts_[{e.get(), begin, end}];
  if (made) return made;
  kept_.push_back(e);
  auto result = std::make_shared<Expression>(*e);
  result->width = end - begin;
  result->shared = false;
  const bool whole = e->shared || e->kind == Kind::variable || e->kind == Kind::number ||
                     reads_other_steps(*e) || (e->kind == Kind::call && !distributes(e->function));
  if (e->kind == Kind::part) {
    result = std::make_shared<Expression>(*part(e->arguments[0], e->begin + begin, e->begin + end));
  } else if (whole) {
    *result = Expression();
    result->kind = Kind::part;
    result->arguments = {e};
    result->begin = begin;
    result->end = end;
    result->width = end - begin;
  } else if (e->kind == Kind::parameter && e->tensor->rank() == 2) {
    result->tensor = columns(e->tensor, begin, end);
  } else if (e->kind == Kind::parameter) {
    // Zeros, for example, where several biases are one and some have none.
    const Expr own =
        constant(std::make_shared<const Tensor>(rows_of(*e->tensor, begin, end)), end - begin);
    result = std::make_shared<Expression>(*own);
  } else if (e->kind == Kind::product) {
    result->tensor = std::make_shared<const Tensor>(rows_of(*e->tensor, begin, end));
  } else if (e->kind == Kind::lookup) {
    result->tensor = columns(e->tensor, begin, end);
  } else if (e->kind == Kind::call) {
    for (Expr& argument : result->arguments) {
      if (argument->width == e->width) argument = part(argument, begin, end);
    }
    const auto zero = [](const Expr& x) { return x->kind == Kind::number && x->value == 0; };
    if (e->function == "+" && zero(result->arguments[0])) {
      result = result->arguments[1];
    } else if (e->function == "+" && zero(result->arguments[1])) {
      result = result->arguments[0];
    }
  } else {  // concat
    result->arguments.clear();
    int64_t at = 0;
    for (const Expr& argument : e->arguments) {
      const int64_t width = std::max<int64_t>(argument->width, 1);
      const int64_t from = std::max(begin, at), to = std::min(end, at + width);
      if (from < to) result->arguments.push_back(part(argument, from - at, to - at));
      at += width;
    }
    if (result->arguments.size() == 1) result = result->arguments[0];
  }
  settle_depth(*result);
  // `parts_` may have grown in between.
  return parts_[{e.get(), begin, end}] = result;
}

Expr as_vector(const Expr& e, int64_t width) {
  if (e->kind != Kind::number) return e;
  if (width == 1) return concat({e}, 1);
  Tensor tensor(ElementType::f32, {width});
  std::fill(tensor.data<float>().begin(), tensor.data<float>().end(), static_cast<float>(e->value));
  auto vector = std::make_shared<Expression>();
  vector->kind = Kind::parameter;
  vector->width = width;
  vector->tensor = std::make_shared<const Tensor>(std::move(tensor));
  return vector;
}

void share_repeats(const std::vector<Expr>& roots) {
  std::unordered_map<const Expression*, int> reads;
  std::unordered_set<const Expression*> seen;
  for (const Expr& root : roots) {
    walk(
        root, [&](const Expr& at) { return at->name.empty() && !seen.contains(at.get()); },
        [&](const Expr& at) {
          if (!at->name.empty() || !seen.insert(at.get()).second) return;
          for (const Expr& argument : at->arguments) {
            if (++reads[argument.get()] > 1 && !has_short_text(*argument)) argument->shared = true;
          }
        });
  }
}

void collect_names(const Expr& e, std::set<std::string>& names) {
  walk(
      e, [](const Expr& at) { return at->name.empty(); },
      [&](const Expr& at) {
        if (!at->name.empty()) names.insert(at->name);
      });
}

bool has_time(const Expr& e) {
  bool found = false;
  const auto one_step = [](const Expr& at) {
    return at->one || at->function == "last" || at->function == "first" ||
           (at->function.ends_with(kOverTime) && at->function.find("softmax") == std::string::npos);
  };
  walk(
      e, [&](const Expr& at) { return !one_step(at); },
      [&](const Expr& at) { found |= at->timed || at->function == "sequence"; });
  return found;
}

bool reduces(const Expression& e) {
  constexpr const char* kReductions[] = {"sum", "mean", "max", "min"};
  return e.arguments.size() == 1 && std::find(std::begin(kReductions), std::end(kReductions),
                                              e.function) != std::end(kReductions);
}

bool compares(const Expression& e) {
  return e.kind == Kind::call &&
         (e.function == "==" || e.function.starts_with('<') || e.function.starts_with('>'));
}

// What has an equation of its own has its features there.
bool is_uniform(const Expr& e) {
  std::unordered_map<const Expression*, bool> known;
  const auto inside = [&](const Expr& at) { return at == e || at->name.empty(); };
  walk(e, inside, [&](const Expr& at) {
    bool& uniform = known[at.get()];
    uniform = at->width == 0;
    if (uniform || !inside(at)) return;
    const bool arguments = std::ranges::all_of(
        at->arguments, [&](const Expr& argument) { return known.at(argument.get()); });
    switch (at->kind) {
      case Kind::number:
        uniform = true;
        break;
      case Kind::product:
        uniform = at->tensor->rank() == 1;
        break;
      case Kind::steps:
        uniform = arguments;
        break;
      case Kind::call:
        // Of a matrix it is one for each row.
        uniform = reduces(*at) ? at->width <= 1 : distributes(at->function) && arguments;
        break;
      default:
        break;
    }
  });
  return known.at(e.get());
}

void walk(const Expr& e, const std::function<bool(const Expr&)>& descend,
          const std::function<void(const Expr&)>& f) {
  std::unordered_set<const Expression*> seen;
  // (expression, whether its arguments have been dealt with)
  std::vector<std::pair<Expr, bool>> work = {{e, false}};
  while (!work.empty()) {
    const auto [at, done] = work.back();
    work.pop_back();
    if (done) {
      f(at);
      continue;
    }
    if (!seen.insert(at.get()).second) continue;
    work.push_back({at, true});
    if (!descend(at)) continue;
    for (size_t i = at->arguments.size(); i-- > 0;) work.push_back({at->arguments[i], false});
  }
}

}  // namespace refrain::decompile
