#include "support/random_equations.h"

#include <cstdint>
#include <string>
#include <vector>

namespace refrain::testing {
namespace {

struct Variable {
  std::string name;
  int64_t size;
};

class Writer {
 public:
  explicit Writer(Random& random) : random_(random) {}

  std::string model() {
    const int64_t steps = one_of({0, 0, 0, 1, 2, 5, 11}), rows = one_of({0, 0, 0, 1, 3, 16});
    const bool batched = !chance(0.15);
    const std::string time = steps > 0 ? "T=" + std::to_string(steps) : "T",
                      batch = rows > 0 ? "B=" + std::to_string(rows) : "B";
    int64_t size = any_size();
    head_ = "weights uniform(seed = " + std::to_string(random_.integer(0, 1 << 20)) + ")\n";
    std::string axes = time;
    if (batched) axes = chance(0.5) ? time + ", " + batch : batch + ", " + time;
    std::string sequence = "x";
    if (chance(0.1)) {
      head_ += "input tokens: i64[" + axes + "]\n";
      body_ += "x = embedding(tokens, 11, " + std::to_string(size) + ")\n";
    } else {
      head_ += "input x: f32[" + axes + ", " + std::to_string(size) + "]\n";
    }
    batch_ = batched ? batch + ", " : "";
    masked_ = chance(0.15);
    if (masked_) head_ += "input m: f32[" + axes + "]\n";
    lengths_ = batched && chance(0.2);
    if (lengths_) head_ += "input n: i64[" + batch + "]\n";
    memory_size_ = batched && chance(0.2) ? any_size() : 0;
    if (memory_size_ > 0)
      head_ += "input memory: f32[S, " + batch + ", " + std::to_string(memory_size_) + "]\n";

    if (chance(0.3)) sequence = front(sequence, size);
    const int64_t scans = random_.integer(1, 3);
    for (int64_t i = 0; i < scans; ++i) {
      sequence = chance(0.2) ? built_in(sequence, size, i) : scan(sequence, size, i);
      if (chance(0.2)) {
        const std::string name = "v_" + std::to_string(i);
        body_ += name + " = " + unary(sequence) + "\n";
        sequence = name;
      }
      if (!masked_ && !lengths_ && chance(0.1)) sequence = along_time(sequence, size, i);
    }
    tail(sequence, size);
    if (chance(0.1)) decoder();
    return head_ + cells_ + body_;
  }

 private:
  bool chance(double probability) { return random_.uniform(0, 1) < probability; }
  template <typename T>
  T pick(const std::vector<T>& list) {
    return list[random_.integer(0, static_cast<int64_t>(list.size()) - 1)];
  }
  int64_t one_of(const std::vector<int64_t>& list) { return pick(list); }
  int64_t any_size() { return one_of({1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 20, 31, 32, 33}); }
  std::string number() { return "0." + std::to_string(random_.integer(1, 9)); }

  std::string parameter(const std::string& type) {
    const std::string name = (type.find(',') == std::string::npos ? "p" : "W") + std::string("_") +
                             std::to_string(++parameters_);
    cell_ += "  param " + name + ": f32[" + type + "]\n";
    return name;
  }

  // Bounded functions of what is bounded.
  std::string unary(const std::string& e) {
    switch (random_.integer(0, 17)) {
      case 0:
        return "relu(" + e + ")";
      case 1:
        return "softplus(" + e + ")";
      case 2:
        return "softsign(" + e + ")";
      case 3:
        return "abs(" + e + ")";
      case 4:
        return "exp(-abs(" + e + "))";
      case 5:
        return "log(1 + abs(" + e + "))";
      case 6:
        return "sqrt(0.1 + abs(" + e + "))";
      case 7:
        return "sin(" + e + ")";
      case 8:
        return "gelu(" + e + ")";
      case 9:
        return "silu(" + e + ")";
      case 10:
        return "elu(" + e + ")";
      case 11:
        return "hard_sigmoid(" + e + ")";
      case 12:
        return "clip(" + e + ", -" + number() + ", " + number() + ")";
      case 13:
        return "leaky_relu(" + e + ", alpha = " + number() + ")";
      case 14:
        return "erf(" + e + ")";
      case 15:
        return "selu(" + e + ")";
      case 16:
        return "softmax(" + e + ")";
      default:
        return chance(0.5) ? "tanh(" + e + ")" : "sigmoid(" + e + ")";
    }
  }

  std::string scalar(int depth) {
    const int64_t n = pick(variables_).size;
    switch (random_.integer(0, 3)) {
      case 0:
        return "mean(" + expression(n, depth - 1) + ")";
      case 1:
        return "max(" + expression(n, depth - 1) + ")";
      case 2:
        return parameter(std::to_string(n)) + "·" + operand(n, depth - 1);
      default:
        return "sum(" + expression(n, depth - 1) + ")/" + std::to_string(n);
    }
  }

  // Something that binds tighter than a product.
  std::string operand(int64_t n, int depth) {
    std::vector<std::string> names;
    for (const Variable& variable : variables_)
      if (variable.size == n) names.push_back(variable.name);
    if (!names.empty() && chance(depth > 0 ? 0.6 : 0.95)) return pick(names);
    return "(" + expression(n, depth) + ")";
  }

  std::string expression(int64_t n, int depth) {
    const std::string size = std::to_string(n);
    if (depth <= 0 || chance(0.1)) {
      for (int i = 0; i < 4; ++i) {
        const Variable& variable = pick(variables_);
        if (variable.size == n) return variable.name;
        if (variable.size > n && chance(0.5)) {
          const int64_t begin = random_.integer(0, variable.size - n);
          return variable.name + "[" + std::to_string(begin) + ":" + std::to_string(begin + n) +
                 "]";
        }
      }
      return parameter(size);
    }
    switch (random_.integer(0, 14)) {
      case 12: {
        const std::string condition = expression(n, 1);
        return "where(" + condition + (chance(0.5) ? " > " : " <= ") + number() + ", " +
               expression(n, depth - 1) + ", " + expression(n, depth - 1) + ")";
      }
      case 0:
      case 1:
      case 2: {
        const int64_t m = chance(0.8) ? pick(variables_).size : any_size();
        return parameter(size + ", " + std::to_string(m)) + "·" + operand(m, depth - 1);
      }
      case 3: {  // [h, x]
        const Variable a = pick(variables_), b = pick(variables_);
        return parameter(size + ", " + std::to_string(a.size + b.size)) + "·[" + a.name + ", " +
               b.name + "] + " + parameter(size);
      }
      case 4:
        return expression(n, depth - 1) + " + " + expression(n, depth - 1);
      case 5:
        return expression(n, depth - 1) + " - (" + expression(n, depth - 1) + ")";
      case 6:
        return "(" + expression(n, depth - 1) + ")*(" + expression(n, depth - 1) + ")";
      case 7:
        return "(" + expression(n, depth - 1) + ")/(1 + abs(" + expression(n, depth - 1) + "))";
      case 8:
        return (chance(0.5) ? "max(" : "min(") + expression(n, depth - 1) + ", " +
               expression(n, depth - 1) + ")";
      case 9:
        return scalar(depth) + "*(" + expression(n, depth - 1) + ")";
      case 10:
        if (n > 1 && chance(0.2))
          return "[" + scalar(depth) + ", " + expression(n - 1, depth - 1) + "]";
        if (n > 1) {
          const int64_t first = random_.integer(1, n - 1);
          return "[" + expression(first, depth - 1) + ", " + expression(n - first, depth - 1) + "]";
        }
        return number() + "*(" + expression(n, depth - 1) + ")";
      case 11:
        return chance(0.5)
                   ? "linear(" + expression(pick(variables_).size, depth - 1) + ", " + size + ")"
                   : "layer_norm(" + expression(n, depth - 1) + ", eps = 0.1)";
      case 13: {  // a matrix that depends on what it is applied to
        const int64_t m = random_.integer(2, 5);
        if (n < 2 || n * m > 100) return unary(expression(n, depth - 1));
        const std::string matrix = "reshape(" + expression(n * m, depth - 1) + ", " + size + ", " +
                                   std::to_string(m) + ")";
        if (chance(0.3)) return "sum(" + matrix + ")";
        return matrix + "·(" + expression(m, depth - 1) + ")";
      }
      default:
        return unary(expression(n, depth - 1));
    }
  }

  // The next value of a state, in [-3, 3] if it was.
  std::string update(const Variable& state) {
    if (chance(0.15)) {  // what another state was, or is
      std::vector<std::string> names;
      for (const Variable& other : copies_)
        if (other.size == state.size) names.push_back(other.name);
      if (!names.empty()) return pick(names);
    }
    const std::string e = expression(state.size, 3);
    switch (random_.integer(0, 4)) {
      case 0:
        return "tanh(" + e + ")";
      case 1: {
        const std::string gate = "g_" + std::to_string(++names_);
        cell_ += "  " + gate + " = sigmoid(" + expression(state.size, 2) + ")\n";
        return "(1 - " + gate + ")*" + state.name + " + " + gate + "*tanh(" + e + ")";
      }
      case 2:
        return number() + "*" + state.name + " + 0.1*sin(" + e + ")";
      case 3:
        return "clip(" + e + ", -1, 1)";
      default:
        return "sigmoid(" + e + ")*" + state.name + "/2 + sigmoid(" + expression(state.size, 2) +
               ")*softsign(" + expression(state.size, 2) + ")";
    }
  }

  // What stands before a loop.
  std::string front(const std::string& sequence, int64_t& size) {
    const int64_t channels = any_size();
    std::string value;
    switch (random_.integer(0, 3)) {
      case 0:
        value = "linear(" + sequence + ", " + std::to_string(channels) + ")";
        size = channels;
        break;
      case 1:
        value = "conv1d(" + sequence + ", " + std::to_string(channels) + ", 3, causal = true)";
        size = channels;
        break;
      case 2:
        value = "conv1d(" + sequence + ", filter = (-1, 2, -1), padding = 1)";
        break;
      default:
        value = "max_pool1d(" + sequence + ", 3, stride = 1, padding = 1)";
    }
    body_ += "u = " + (chance(0.5) ? unary(value) : value) + "\n";
    return "u";
  }

  // What changes the number of steps, or their order.
  std::string along_time(const std::string& sequence, int64_t& size, int64_t index) {
    const std::string name = "w_" + std::to_string(index), features = std::to_string(size);
    const auto value = [&]() -> std::string {
      switch (random_.integer(0, 7)) {
        case 0:
          return "reverse(" + sequence + ")";
        case 1:
          return "pad(" + sequence + ", 2, 1)";
        case 2:
          return "pad(" + sequence + ", 1, 0, mode = \"edge\")";
        case 3:
          return "sequence(last(" + sequence + "), " + sequence + ")";
        case 4:
          return "where(indices(" + sequence + ") < 3, " + sequence + ", 0.5*" + sequence + ")";
        case 5:
          return "pad(" + sequence + ", 1, 1)[1:, ..]";
        case 6:
          return "avg_pool1d(pad(" + sequence + ", 1, 1), 2)";
        default:
          return "conv1d(pad(" + sequence + ", 2, 2), " + features + ", 3, stride = 2)";
      }
    }();
    body_ += name + " = " + value + "\n";
    return name;
  }

  // What goes on with the token that it chose.
  void decoder() {
    const std::string units = std::to_string(any_size()),
                      tokens = std::to_string(random_.integer(2, 12));
    cells_ += "cell writer(token, s[" + units + "]):\n  x = embedding(token, " + tokens +
              ", 4)\n  s = tanh(W·[s, x] + b)\n  O: linear(s, " + tokens + ")\n";
    const std::string from = state_input(units);
    body_ += "output text = decode writer start 0 until 1 length " +
             std::to_string(random_.integer(1, 9)) +
             pick<std::string>({"", " greedy", " sample(seed = 3)"}) + " from " + from + "\n";
  }

  std::string state_input(const std::string& size) {
    const std::string name = "s_" + std::to_string(++names_);
    head_ += "input " + name + ": f32[" + batch_ + size + "]\n";
    return name;
  }

  std::string direction() {
    std::string clauses = chance(0.25) ? " reverse" : "";
    if (lengths_ && chance(0.7)) clauses += " lengths n";
    return clauses;
  }

  std::string built_in(const std::string& sequence, int64_t& size, int64_t index) {
    const int64_t units = any_size();
    std::string machine =
        pick<std::string>({"lstm", "gru", "rnn", "rnn_relu"}) + "(" + std::to_string(units) + ")";
    const bool both = chance(0.3);
    if (both) machine = "bidirectional(" + machine + ")";
    if (chance(0.3)) machine = "stack(" + machine + ", layers = 2)";
    size = both ? 2 * units : units;
    const std::string name = "y_" + std::to_string(index);
    std::string clauses = both ? "" : direction();
    body_ += name + " = scan " + machine + " over " + sequence + clauses + " with weights \"r" +
             std::to_string(index) + "\"\n";
    return name;
  }

  std::string scan(const std::string& sequence, int64_t& size, int64_t index) {
    const std::string number = std::to_string(index), name = "cell_" + number;
    const bool masked = masked_ && chance(0.5), memory = memory_size_ > 0 && chance(0.6);
    std::vector<Variable> states;
    std::string header = "cell " + name + (masked ? "((e, k)" : "(e");
    const int64_t count = one_of({1, 1, 1, 2, 2, 3});
    const int64_t common = any_size();
    for (int64_t i = 0; i < count; ++i) {
      states.push_back({"h_" + std::to_string(i), chance(0.7) ? common : any_size()});
      header += ", " + states.back().name + "[" + std::to_string(states.back().size) + "]";
    }
    const bool matrix = chance(0.12);
    const int64_t a = one_of({1, 2, 4, 5, 8}), b = one_of({1, 3, 4, 16, 17});
    if (matrix) header += ", C[" + std::to_string(a) + ", " + std::to_string(b) + "]";
    header += memory ? ") given memory:\n" : "):\n";
    cell_.clear();
    variables_ = states;
    variables_.push_back({"e", size});
    const auto assign = [&](const Variable& variable, const std::string& value) {
      cell_ += "  " + variable.name + " = " + value + "\n";
      variables_.push_back(variable);
    };
    if (memory) {
      const std::string width = std::to_string(memory_size_);
      const std::string q = expression(memory_size_, 2);
      assign({"q", memory_size_}, q);
      if (chance(0.5)) {
        assign({"k_m", memory_size_}, "attention(q, memory, memory)");
      } else {
        const std::string v = parameter(width), w = parameter(width + ", " + width);
        cell_ += "  a_m = softmax(" + v + "·tanh(q + " + w + "·memory), over = time)\n";
        assign({"k_m", memory_size_}, "sum(a_m*memory, over = time)");
      }
    }
    if (matrix) {
      const std::string u = expression(a, 2), v = expression(b, 2), q = expression(b, 2);
      cell_ += "  C = " + this->number() + "*C + 0.1*outer(tanh(" + u + "), " + v + ")\n";
      assign({"r_m", a}, "C·(" + q + ")");
    }
    copies_ = states;
    for (const Variable& state : states) {
      if (!chance(0.3)) continue;
      assign({"o_" + state.name, state.size}, state.name);
      copies_.push_back(variables_.back());
    }
    for (int64_t i = random_.integer(0, 3); i > 0; --i) {
      const int64_t n = chance(0.6) ? common : any_size();
      const std::string value = expression(n, 3);
      assign({"t_" + std::to_string(++names_), n}, value);
    }
    for (const Variable& state : states) {
      std::string value = update(state);
      if (masked) value = "k*(" + value + ") + (1 - k)*" + state.name;
      cell_ += "  " + state.name + " = " + value + "\n";
      if (chance(0.2)) {
        const std::string extra = expression(common, 2);
        assign({"t_" + std::to_string(++names_), common}, extra);
      }
    }
    std::string targets = "y_" + number;
    size = states[0].size;
    if (chance(0.5)) {
      size = chance(0.5) ? common : any_size();
      const std::string value = expression(size, 3);
      cell_ += "  O: y = " + value + "\n";
      if (chance(0.3)) {
        const std::string second = expression(common, 2);
        cell_ += "  O: z = " + second + "\n";
        targets += ", z_" + number;
        outputs_ += "output z_" + number + "\n";
      }
    }
    if (chance(0.5)) {
      for (const Variable& state : states) {
        const std::string last = "f_" + number + "_" + state.name;
        targets += ", " + last;
        outputs_ += "output " + last + "\n";
      }
      if (matrix) targets += ", f_" + number + "_C";
    }
    cells_ += header + cell_;
    const bool several = targets.find(',') != std::string::npos;
    std::string from;
    if (chance(0.25)) {
      for (const Variable& state : states)
        from += (from.empty() ? " from (" : ", ") + state_input(std::to_string(state.size));
      if (matrix) from += ", " + state_input(std::to_string(a) + ", " + std::to_string(b));
      from += ")";
    }
    const bool both = !several && !masked && from.empty() && chance(0.15);
    if (both) size *= 2;
    body_ += (several ? "(" + targets + ")" : targets) + " = scan " +
             (both ? "bidirectional(" + name + ")" : name) + " over " +
             (masked ? "(" + sequence + ", m)" : sequence) + (both ? "" : direction()) + from +
             (memory ? " given memory" : "") + "\n";
    return "y_" + number;
  }

  void tail(const std::string& sequence, int64_t size) {
    switch (random_.integer(0, 5)) {
      case 0:
        body_ += "output y = last(" + sequence + ")\n";
        break;
      case 1:
        body_ += "output y = mean(" + sequence + ", over = time)\n";
        break;
      case 2:
        body_ += "output y = softmax(linear(last(" + sequence + "), 5))\n";
        break;
      case 3:
        body_ += "output y = linear(" + sequence + ", " + std::to_string(any_size()) + ")\n";
        break;
      case 4:
        body_ += "output y = max(" + sequence + ", over = time) + " + std::to_string(size) + "\n";
        break;
      default:
        body_ += "output " + sequence + "\n";
    }
    body_ += outputs_;
  }

  Random& random_;
  std::string head_, cells_, body_, outputs_;
  std::string cell_;                 // the statements of the cell that is being written
  std::vector<Variable> variables_;  // what they may read
  std::vector<Variable> copies_;     // states, and what they were
  int64_t parameters_ = 0, names_ = 0, memory_size_ = 0;
  std::string batch_;  // of types
  bool masked_ = false, lengths_ = false;
};

}  // namespace

std::string random_equations(Random& random) { return Writer(random).model(); }

}  // namespace refrain::testing
