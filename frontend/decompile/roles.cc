#include "frontend/decompile/roles.h"

#include <algorithm>

namespace refrain::decompile {
namespace {

using Kind = Expression::Kind;

bool is_call(const Expr& e, const char* function) {
  return e->kind == Kind::call && e->function == function;
}

// The terms of a sum, or the factors of a product. A shared one is one.
void flatten(const Expr& e, const char* function, bool top, std::vector<Expr>& out) {
  if (!is_call(e, function) || (!top && e->shared)) {
    out.push_back(e);
    return;
  }
  for (const Expr& argument : e->arguments) flatten(argument, function, false, out);
}

// z, if e is 1 - z.
Expr complement(const Expr& e) {
  const bool is =
      is_call(e, "-") && e->arguments[0]->kind == Kind::number && e->arguments[0]->value == 1;
  return is ? e->arguments[1] : nullptr;
}

bool is_squash(const Expr& e) {
  return is_call(e, "tanh") || is_call(e, "relu") || is_call(e, "elu") || is_call(e, "softsign");
}
bool is_gate(const Expr& e) { return is_call(e, "sigmoid") || is_call(e, "hard_sigmoid"); }

Expr sigmoid_inside(const Expr& e, const Expr& other_than) {
  Expr found;
  walk(
      e, [](const Expr&) { return true; },
      [&](const Expr& at) {
        if (at != e && is_gate(at) && at != other_than && !found) found = at;
      });
  return found;
}

bool contains(const Expr& e, const Expr& wanted) {
  bool found = false;
  walk(
      e, [](const Expr&) { return true; }, [&](const Expr& at) { found |= at == wanted; });
  return found;
}

struct Term {
  std::vector<Expr> factors;
  bool has(const Expr& e) const {
    return std::find(factors.begin(), factors.end(), e) != factors.end();
  }
};

}  // namespace

Roles find_roles(const std::vector<Expr>& states, std::vector<Expr> next) {
  // A state that is kept where a mask says so.
  for (size_t s = 0; s < next.size(); ++s) {
    if (!is_call(next[s], "where")) continue;
    const Expr &then = next[s]->arguments[1], &otherwise = next[s]->arguments[2];
    if (otherwise == states[s]) {
      next[s] = then;
    } else if (then == states[s]) {
      next[s] = otherwise;
    }
  }
  Roles roles;
  roles.cell = "recurrent";
  const auto give = [&](const Expr& e, const char* name) {
    if (e->kind == Kind::call) roles.gates.emplace(e.get(), name);
  };
  const auto mix = [&](const Expr& z, const Expr& candidate) {
    const bool minimal = contains(candidate, z);
    give(z, minimal ? "f" : "z");
    give(candidate, "n");
    if (const Expr r = minimal ? nullptr : sigmoid_inside(candidate, z)) {
      give(r, "r");
      roles.cell = "gru";
    } else {
      roles.cell = minimal ? "mgu" : "gated";
    }
  };
  Expr memory;  // c' of an LSTM
  for (size_t s = 0; s < states.size(); ++s) {
    std::vector<Expr> sum;
    flatten(next[s], "+", true, sum);
    if (sum.size() == 1 && states.size() == 1 && is_squash(next[s])) roles.cell = "rnn";
    if (sum.size() != 2) continue;
    std::vector<Term> terms(2);
    for (size_t i = 0; i < 2; ++i) flatten(sum[i], "*", true, terms[i].factors);
    // n + z*(h - n), which is the same mix.
    if (terms[0].factors.size() != 1) std::swap(terms[0], terms[1]);
    if (terms[0].factors.size() == 1 && terms[1].factors.size() == 2) {
      const Expr& candidate = terms[0].factors[0];
      for (size_t i = 0; i < 2; ++i) {
        const Expr &z = terms[1].factors[i], &difference = terms[1].factors[1 - i];
        if (is_call(difference, "-") && difference->arguments[0] == states[s] &&
            difference->arguments[1] == candidate && is_gate(z)) {
          mix(z, candidate);
        }
      }
      continue;
    }
    if (!terms[0].has(states[s])) std::swap(terms[0], terms[1]);
    if (!terms[0].has(states[s]) || terms[0].factors.size() != 2 || terms[1].factors.size() != 2)
      continue;
    const Expr keep = terms[0].factors[terms[0].factors[0] == states[s] ? 1 : 0];
    Expr in = terms[1].factors[0], candidate = terms[1].factors[1];
    if (is_squash(in)) std::swap(in, candidate);
    // A mix of old and new by one gate, or two gates of their own.
    const Expr z = complement(keep) == in && complement(keep) ? in
                   : complement(in) == keep && complement(in) ? keep
                                                              : nullptr;
    if (z) {
      mix(z, candidate);
    } else if (is_gate(keep) && is_gate(in)) {
      give(keep, "f");
      give(in, "i");
      give(candidate, "g");
      memory = next[s];
    }
  }
  if (memory) {
    for (const Expr& e : next) {
      std::vector<Expr> factors;
      // A projection may stand in front.
      flatten(e->kind == Kind::product ? e->arguments[0] : e, "*", true, factors);
      if (factors.size() != 2) continue;
      if (!is_gate(factors[0])) std::swap(factors[0], factors[1]);
      if (is_gate(factors[0]) && contains(factors[1], memory)) {
        give(factors[0], "o");
        roles.cell = "lstm";
      }
    }
  }
  return roles;
}

}  // namespace refrain::decompile
