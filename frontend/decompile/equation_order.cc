#include "frontend/decompile/equation_order.h"

#include <algorithm>
#include <set>

namespace refrain::decompile {
namespace {

// `wanted` itself or inside, not by way of an equation of its own.
bool reads(const Expr& e, const Expr& wanted) {
  bool found = false;
  walk(
      e, [&](const Expr& at) { return at == e || !at->shared; },
      [&](const Expr& at) { found |= at == wanted; });
  return found;
}

class Order {
 public:
  Order(const std::vector<Expr>& states, const std::vector<Expr>& next,
        const std::vector<Expr>& outputs, const Roles& roles, Names& names)
      : states_(states), next_(next), outputs_(outputs), roles_(roles), names_(names) {}

  std::vector<Equation> run() {
    // Parts of fused products, for example, read the same argument.
    std::vector<Expr> all = next_;
    all.insert(all.end(), outputs_.begin(), outputs_.end());
    share_repeats(all);
    std::vector<Expr> order;
    std::set<Expr> seen;
    for (const Expr& e : all) shared_in_order(e, order, seen);
    for (const Expr& e : order) equations_.push_back({e, ""});
    // States whose next value is no equation of its own.
    std::set<const Expression*> owned;
    for (size_t k = 0; k < next_.size(); ++k) {
      if (!seen.contains(next_[k]) || !owned.insert(next_[k].get()).second)
        plain_.push_back({k, next_[k]});
    }
    for (size_t at = 0; at < equations_.size(); ++at) name_equation(at);
    std::vector<Equation> last = assignments();
    write_outputs();
    equations_.insert(equations_.end(), last.begin(), last.end());
    return std::move(equations_);
  }

 private:
  struct Assignment {
    size_t state;
    Expr e;
  };

  bool old_value_needed(size_t state, size_t after) const {
    const auto read = [&](const Expr& e) { return reads(e, states_[state]); };
    for (size_t at = after + 1; at < equations_.size(); ++at)
      if (read(equations_[at].e)) return true;
    return std::any_of(plain_.begin(), plain_.end(),
                       [&](const Assignment& assignment) { return read(assignment.e); }) ||
           std::any_of(outputs_.begin(), outputs_.end(),
                       [&](const Expr& output) { return !output->shared && read(output); });
  }

  void name_equation(size_t at) {
    Equation& equation = equations_[at];
    for (size_t k = 0; k < next_.size(); ++k) {
      if (next_[k] != equation.e) continue;
      equation.name = states_[k]->name;
      if (old_value_needed(k, at)) {
        equation.name = names_.take(equation.name + "'");
        late_.push_back({variable(equation.name, 0), states_[k]->name});
      }
      equation.e->name = equation.name;
      return;
    }
    const auto role = roles_.gates.find(equation.e.get());
    const std::string& f = equation.e->function;
    const bool output = std::find(outputs_.begin(), outputs_.end(), equation.e) != outputs_.end();
    equation.name = names_.take(role != roles_.gates.end()   ? role->second
                                : f == "sigmoid"             ? "u"
                                : f == "tanh" || f == "relu" ? "n"
                                : f.starts_with("softmax")   ? "a"
                                : output                     ? "y"
                                                             : "v");
    equation.e->name = equation.name;
  }

  // What is assigned at the end, each before the state that it reads; where states are passed round
  // in a circle, one of them by way of a name with a prime.
  std::vector<Equation> assignments() {
    std::vector<Equation> result;
    while (!plain_.empty()) {
      const auto unread = std::find_if(plain_.begin(), plain_.end(), [&](const Assignment& each) {
        return std::none_of(plain_.begin(), plain_.end(), [&](const Assignment& other) {
          return other.state != each.state && reads(other.e, states_[each.state]);
        });
      });
      const Assignment next = unread == plain_.end() ? plain_.front() : *unread;
      const std::string& state = states_[next.state]->name;
      if (unread == plain_.end()) {
        const std::string primed = names_.take(state + "'");
        equations_.push_back({next.e, primed});
        late_.push_back({variable(primed, 0), state});
        plain_.erase(plain_.begin());
      } else {
        result.push_back({next.e, state});
        plain_.erase(unread);
      }
    }
    result.insert(result.end(), late_.begin(), late_.end());
    return result;
  }

  // They may read old values.
  void write_outputs() {
    if (outputs_.size() == 1 && !next_.empty() && outputs_[0] == next_[0]) return;
    for (const Expr& e : outputs_)
      equations_.push_back({e, e->name.empty() ? names_.take("y") : "", true});
  }

  const std::vector<Expr>&states_, &next_, &outputs_;
  const Roles& roles_;
  Names& names_;
  std::vector<Equation> equations_;
  std::vector<Assignment> plain_;
  std::vector<Equation> late_;
};

}  // namespace

std::vector<Equation> order_equations(const std::vector<Expr>& states,
                                      const std::vector<Expr>& next,
                                      const std::vector<Expr>& outputs, const Roles& roles,
                                      Names& names) {
  return Order(states, next, outputs, roles, names).run();
}

}  // namespace refrain::decompile
