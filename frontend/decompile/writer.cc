#include "frontend/decompile/writer.h"

#include <fmt/core.h>

#include <algorithm>

namespace refrain::decompile {
namespace {

using Kind = Expression::Kind;

// How tight an operator binds, as the grammar has it.
enum Precedence : int {
  kComparison = 1,
  kSum,
  kTerm,
  kFactor,
  kProduct,
  kPower,
  kPostfix,
  kPrimary
};

}  // namespace

std::string number_text(double value) {
  const std::string text = fmt::format("{}", static_cast<float>(value));
  return text.ends_with(".0") ? text.substr(0, text.size() - 2) : text;
}

Names::Names()
    : taken_({"model",    "weights",       "const",     "input",      "param",      "cell",
              "output",   "given",         "R",         "O",          "scan",       "over",
              "reverse",  "bidirectional", "stack",     "layers",     "residual",   "decode",
              "start",    "until",         "length",    "greedy",     "sample",     "beam",
              "from",     "lengths",       "with",      "uniform",    "sigmoid",    "tanh",
              "relu",     "exp",           "log",       "sqrt",       "abs",        "sign",
              "erf",      "sin",           "cos",       "floor",      "ceil",       "round",
              "softplus", "softsign",      "gelu",      "silu",       "selu",       "leaky_relu",
              "elu",      "hard_sigmoid",  "max",       "min",        "clip",       "where",
              "softmax",  "log_softmax",   "sum",       "mean",       "argmax",     "last",
              "first",    "outer",         "transpose", "reshape",    "one_hot",    "embedding",
              "linear",   "layer_norm",    "conv1d",    "max_pool1d", "avg_pool1d", "sequence",
              "indices",  "pad",           "mod",       "real",       "attention",  "lstm",
              "gru",      "rnn",           "rnn_relu",  "f32",        "f64",        "i32",
              "i64",      "bool",          "time",      "T",          "B",          "N",
              "S",        "batch",         "H"}) {}

std::string identifier_of(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    if (letter || (digit && !out.empty())) {
      out += c;
    } else if (!out.empty() && out.back() != '_') {
      out += '_';
    }
  }
  while (out.ends_with('_')) out.pop_back();
  constexpr size_t kMost = 40;
  return out.empty() ? "v" : out.substr(0, kMost);
}

std::string Names::take(std::string_view wish) {
  // Primes end a name.
  const size_t end = wish.find_last_not_of("'~") + 1;
  const std::string base(wish.substr(0, end)), primes(wish.substr(end));
  std::string name(wish);
  while (!taken_.insert(name).second) {
    int& last = last_[std::string(wish)];
    last = std::max(last, 1) + 1;
    name = base + "_" + std::to_string(last) + primes;
  }
  return name;
}

std::string Writer::parameter(const Expr& e, const char* letter) {
  std::string& name = named_[e];
  if (!name.empty()) return name;
  name = names_.take(target_.empty() ? letter : std::string(letter) + "_" + target_);
  parameters_.push_back({name, e->tensor});
  return name;
}

std::string Writer::vector(const Expr& e, int precedence, bool top) {
  constexpr int64_t kMost = 64;
  if (e->width == 0 || e->width > kMost || (compares(*e) && e->width > 1) || !is_uniform(e))
    return print(e, precedence, top);
  const bool each = e->width == 1 || e->kind == Kind::number;
  const std::string element = each ? print(e, 0, top) : "1";
  std::string list = "[" + element;
  for (int64_t i = 1; i < e->width; ++i) list += ", " + element;
  list += "]";
  if (each) return list;
  list += "*" + print(e, kFactor, top);
  return precedence > kTerm ? "(" + list + ")" : list;
}

std::string Writer::print(const Expr& e, int precedence, bool top, bool factor) {
  const auto bound = [&](int own, const std::string& inner) {
    return own < precedence ? "(" + inner + ")" : inner;
  };
  if (!top && e->shared) return e->name;
  switch (e->kind) {
    case Kind::variable:
      return e->name;
    case Kind::number:
      return bound(e->value < 0 ? kFactor : kPrimary, number_text(e->value));
    case Kind::parameter:
      return parameter(e, e->tensor->rank() == 2 ? "A" : factor ? "p" : "b");
    case Kind::product: {
      const bool state = from_state(e->arguments[0]);
      const std::string matrix =
          parameter(e, e->tensor->rank() == 1 ? (state ? "u" : "w") : (state ? "U" : "W"));
      // A matrix of one column multiplies vectors of one.
      const Expr& x = e->arguments[0];
      return bound(kProduct,
                   matrix + "·" +
                       (x->width == 0 ? "[" + print(x, 0, false) + "]" : vector(x, kPower, false)));
    }
    case Kind::lookup: {
      std::string& prefix = named_[e];
      if (prefix.empty()) {
        prefix =
            prefix_ +
            names_.take(target_.empty() || target_.starts_with("v") ? "embed" : "embed_" + target_);
        tables_.push_back({prefix + ".weight", e->tensor});
      }
      return fmt::format("embedding({}, {}, {}, weights = \"{}\")",
                         print(e->arguments[0], 0, false), e->tensor->extents()[0],
                         e->tensor->extents()[1], prefix);
    }
    case Kind::convolution: {
      std::string prefix;
      if (e->tensor) {
        prefix = named_[e];
        if (prefix.empty()) {
          named_[e] = prefix = prefix_ + names_.take("conv");
          tables_.push_back({prefix + ".weight", e->tensor});
          if (e->bias) tables_.push_back({prefix + ".bias", e->bias});
        }
        prefix = fmt::format(", weights = \"{}\"", prefix);
      }
      return "conv1d(" + print(e->arguments[0], 0, false) + e->options + prefix + ")";
    }
    case Kind::steps: {
      const std::string whole = print(e->arguments[0], kPostfix, false);
      return e->one ? fmt::format("{}[{}, ..]", whole, e->begin)
                    : fmt::format("{}[{}:{}, ..]", whole,
                                  e->begin == 0 ? "" : std::to_string(e->begin),
                                  e->end == kAllSteps ? "" : std::to_string(e->end));
    }
    case Kind::concat: {
      std::string inner;
      for (const Expr& argument : e->arguments)
        inner += (inner.empty() ? "" : ", ") + print(argument, 0, false);
      return "[" + inner + "]";
    }
    case Kind::part: {
      const std::string whole = print(e->arguments[0], kPostfix, false);
      return e->width == 0 ? fmt::format("{}[{}]", whole, e->begin)
                           : fmt::format("{}[{}:{}]", whole, e->begin, e->end);
    }
    case Kind::call:
      break;
  }
  const std::string& f = e->function;
  const auto binary = [&](const char* sign, int own, int left, int right) {
    const bool factors = own == kTerm;
    const std::string a = print(e->arguments[0], left, false, factors);
    return bound(own, a + sign + print(e->arguments[1], right, false, factors));
  };
  if (compares(*e)) return binary((" " + f + " ").c_str(), kComparison, kSum, kSum);
  if (f == "·") return binary("·", kProduct, kProduct, kPower);
  const bool less = f == "+" && e->arguments[1]->kind == Kind::number && e->arguments[1]->value < 0;
  if (less) {
    const std::string a = print(e->arguments[0], kSum, false);
    return bound(kSum, a + " - " + number_text(-e->arguments[1]->value));
  }
  if (f == "+") return binary(" + ", kSum, kSum, kTerm);
  if (f == "-") return binary(" - ", kSum, kSum, kTerm);
  if (f == "*") return binary("*", kTerm, kTerm, kFactor);
  if (f == "/") return binary("/", kTerm, kTerm, kFactor);
  if (f == "^") return binary("^", kPower, kPostfix, kPostfix);
  if (f == "neg") return bound(kFactor, "-" + print(e->arguments[0], kProduct, false));
  std::string inner;
  for (const Expr& argument : e->arguments)
    inner += (inner.empty() ? "" : ", ") + print(argument, 0, false);
  // These go over features, of which there must be some.
  const bool over_features = reduces(*e) || f == "softmax" || f == "log_softmax";
  if (over_features && is_uniform(e->arguments[0])) {
    inner = "[" + inner + "]";
  }
  if (f.ends_with(kOverTime)) {
    return f.substr(0, f.find('@')) + "(" + inner + ", over = time)";
  }
  return f + "(" + inner + e->options + ")";
}

std::string Writer::text(const Expr& e, const std::string& target) {
  target_ = target;
  return print(e, 0, true);
}

std::string Writer::features_text(const Expr& e, const std::string& target) {
  target_ = target;
  return vector(e, 0, true);
}

void shared_in_order(const Expr& e, std::vector<Expr>& order, std::set<Expr>& seen) {
  const auto open = [&](const Expr& at) { return at->name.empty() && !seen.contains(at); };
  walk(e, open, [&](const Expr& at) {
    if (at->shared && at->kind != Kind::variable && open(at)) {
      seen.insert(at);
      order.push_back(at);
    }
  });
}

}  // namespace refrain::decompile
