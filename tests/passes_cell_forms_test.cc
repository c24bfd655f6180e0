// Different spellings of one cell end as the same body, with one product for each left side.
#include <algorithm>
#include <array>
#include <functional>

#include "ir/builder.h"
#include "ir/control.h"
#include "ir/slice.h"
#include "support/pass_numbers.h"

namespace refrain {
namespace {

using testing::expect_numbers_stay;
using testing::expect_same_results;
using testing::Random;
using testing::random_inputs;

constexpr int64_t kSteps = 5, kBatch = 2, kInput = 3, kHidden = 4;

const std::vector<std::string> kPasses = {
    "split_concat", "fuse_gates", "split_pointwise", "order_sums", "fold", "cse", "dce"};

// --- matrices as text ---

using Columns = std::vector<double>;

struct Matrix {
  int64_t rows, columns;
  std::vector<double> values;
};

Matrix random_matrix(Random& random, int64_t rows, int64_t columns) {
  Matrix matrix{rows, columns, {}};
  for (int64_t i = 0; i < rows * columns; ++i) matrix.values.push_back(random.uniform(-1, 1));
  return matrix;
}

Matrix below(const Matrix& a, const Matrix& b) {
  Matrix matrix{a.rows + b.rows, a.columns, a.values};
  matrix.values.insert(matrix.values.end(), b.values.begin(), b.values.end());
  return matrix;
}

Matrix beside(const std::vector<Matrix>& parts) {
  Matrix matrix{parts[0].rows, 0, {}};
  for (const Matrix& part : parts) matrix.columns += part.columns;
  for (int64_t i = 0; i < matrix.rows; ++i) {
    for (const Matrix& part : parts) {
      const auto row = part.values.begin() + i * part.columns;
      matrix.values.insert(matrix.values.end(), row, row + part.columns);
    }
  }
  return matrix;
}

Matrix sum(const Matrix& a, const Matrix& b) {
  Matrix matrix = a;
  for (size_t i = 0; i < matrix.values.size(); ++i) matrix.values[i] += b.values[i];
  return matrix;
}

// Exactly these doubles, as `%name = constant ...`; one row is a vector.
std::string constant(const std::string& name, const Matrix& matrix) {
  std::string text = "    %" + name + " = constant f64[";
  if (matrix.rows > 1) text += std::to_string(matrix.rows) + ", ";
  text += std::to_string(matrix.columns) + "] (";
  for (size_t i = 0; i < matrix.values.size(); ++i) {
    std::array<char, 32> number{};
    std::snprintf(number.data(), number.size(), "%.17g", matrix.values[i]);
    text += (i > 0 ? ", " : "") + std::string(number.data());
  }
  return text + ")\n";
}

// `%result = op(operands) attributes : f64[batch, columns]`
std::string node(const std::string& result, const std::string& op, const std::string& operands,
                 int64_t columns = kHidden, const std::string& attributes = "") {
  return "    %" + result + " = " + op + "(" + operands + ")" + attributes + " : f64[" +
         std::to_string(kBatch) + ", " + std::to_string(columns) + "]\n";
}

std::string split(const std::vector<std::string>& results, const std::string& operand) {
  std::string text = "    %" + operand + "_n = constant i64[" + std::to_string(results.size()) +
                     "] splat(" + std::to_string(kHidden) + ")\n    ",
              types;
  for (size_t i = 0; i < results.size(); ++i) {
    text += (i > 0 ? ", %" : "%") + results[i];
    types += (i > 0 ? ", " : "") + std::string("f64[2, 4]");
  }
  return text + " = split(%" + operand + ", %" + operand + "_n) {axis = -1} : " + types + "\n";
}

std::string slices(const std::vector<std::string>& results, const std::string& operand) {
  std::string text = "    %" + operand + "_axis = constant i64[1] (1)\n";
  for (size_t i = 0; i < results.size(); ++i) {
    const std::string name = results[i] + "_at";
    const auto begin = static_cast<int64_t>(i) * kHidden;
    text += "    %" + name + " = constant i64[1] (" + std::to_string(begin) + ")\n";
    text += "    %" + name + "2 = constant i64[1] (" + std::to_string(begin + kHidden) + ")\n";
    text += node(results[i], "slice",
                 "%" + operand + ", %" + name + ", %" + name + "2, %" + operand + "_axis");
  }
  return text;
}

// --- what a body computes ---

// The value, or its columns [begin, end), as an expression of states and slices in which neither
// the names nor the order of the nodes nor that of the gates in a product's weights matters.
std::string expression(const Node& scan, const Value* value, int64_t begin = 0, int64_t end = -1) {
  const ScanView view(scan);
  if (value->is_argument()) {
    if (value->index() < view.invariants()) {
      return expression(scan, scan.operand(view.invariant_operand(value->index())), begin, end);
    }
    return "argument" + std::to_string(value->index() - view.invariants());
  }
  const Node& node = *value->node();
  const Shape& shape = value->type().shape;
  const int64_t width = shape.rank() > 0 ? shape[shape.rank() - 1].extent() : 1;
  if (end < 0) end = width;
  if (node.op() == Op::constant) {
    std::string text;
    const TensorPtr tensor = constant_tensor(value);
    for (int64_t i = 0; i < tensor->size(); ++i) {
      if (i % width < begin || i % width >= end) continue;
      std::array<char, 32> number{};
      std::snprintf(number.data(), number.size(), " %.17g",
                    tensor->view().as_doubles()[static_cast<size_t>(i)]);
      text += number.data();
    }
    return "[" + text + " ]";
  }
  if (node.op() == Op::split) {
    int64_t offset = 0;
    for (size_t i = 0; i < value->index(); ++i) {
      offset += node.result(i)->type().shape[shape.rank() - 1].extent();
    }
    return expression(scan, node.operand(0), offset + begin, offset + end);
  }
  std::string text = std::string(name(node.op())) + "(";
  for (size_t i = 0; i < node.operand_count(); ++i) {
    const bool cut = node.op() != Op::matmul || i == 1;
    text += (i > 0 ? ", " : "") + (cut ? expression(scan, node.operand(i), begin, end)
                                       : expression(scan, node.operand(i)));
  }
  return text + ")";
}

const Node* find_scan(const Graph& graph) {
  for (const Node* node = graph.body().first(); node; node = node->next()) {
    if (node->op() == Op::scan) return node;
  }
  return nullptr;
}

int64_t count_products(const Graph& graph) {
  int64_t count = 0;
  for (const Node* node = find_scan(graph)->region().first(); node; node = node->next()) {
    count += node->op() == Op::matmul;
  }
  return count;
}

// All forms compute the same, keep their numbers, and end alike with so many products.
void expect_one_form(const std::vector<std::string>& forms, int64_t products) {
  const auto first = parse(forms[0]);
  std::vector<std::string> expressions;
  for (const std::string& form : forms) {
    expect_same_results(*parse(form), *first, random_inputs(*first), 1e-12, 1e-12);
    const auto graph = expect_numbers_stay(kPasses, form, 1e-12);
    ASSERT_TRUE(find_scan(*graph));
    EXPECT_EQ(count_products(*graph), products) << print(*graph);
    std::string all;
    const Node& scan = *find_scan(*graph);
    for (const Value* result : scan.region().yield()->operands()) {
      all += expression(scan, result) + "\n";
    }
    expressions.push_back(std::move(all));
  }
  for (const std::string& text : expressions) EXPECT_EQ(text, expressions[0]);
}

// --- LSTM ---

struct Gates {
  std::vector<Matrix> w, r, b;  // [kInput, kHidden], [kHidden, kHidden], [kHidden]

  explicit Gates(size_t count) {
    Random random(7);
    for (size_t i = 0; i < count; ++i) {
      w.push_back(random_matrix(random, kInput, kHidden));
      r.push_back(random_matrix(random, kHidden, kHidden));
      b.push_back(random_matrix(random, 1, kHidden));
    }
  }
};

// A scan over x with states h and, for an LSTM, c.
std::string scan_text(bool has_c, const std::string& body) {
  const std::string c = has_c ? ", %c0: f64[2, 4]" : "";
  const std::string state = has_c ? ", %c = %c0: f64[2, 4]" : "";
  return "graph @g (%xs: f64[5, 2, 3], %h0: f64[2, 4]" + c + ") {\n" +
         (has_c ? "  %hn, %cn, %y" : "  %hn, %y") + " = scan state(%h = %h0: f64[2, 4]" + state +
         ") scanned(%x = %xs[0]: f64[2, 3]) stacked([0]) {\n" + body +
         (has_c ? "    yield %h2, %c2, %h2\n  } : f64[2, 4], f64[2, 4], f64[5, 2, 4]\n"
                : "    yield %h2, %h2\n  } : f64[2, 4], f64[5, 2, 4]\n") +
         "  yield \"h\" = %hn, \"y\" = %y\n}";
}

// From the gates' sums si, so, sf, sg on.
std::string lstm(const std::string& gates) {
  return scan_text(true, gates + node("i", "sigmoid", "%si") + node("o", "sigmoid", "%so") +
                             node("f", "sigmoid", "%sf") + node("g", "tanh", "%sg") +
                             node("fc", "mul", "%f, %c") + node("ig", "mul", "%i, %g") +
                             node("c2", "add", "%fc, %ig") + node("tc", "tanh", "%c2") +
                             node("h2", "mul", "%o, %tc"));
}

const std::vector<std::string> kLstmSums = {"si", "so", "sf", "sg"};

// A product a gate and side, in any order of the gates.
std::string lstm_of_eight(const Gates& cell, const std::vector<size_t>& order, bool bias_first) {
  std::string text;
  for (size_t i : order) {
    const std::string g = std::to_string(i);
    text +=
        constant("w" + g, cell.w[i]) + constant("r" + g, cell.r[i]) + constant("b" + g, cell.b[i]);
    text += node("p" + g, "matmul", "%x, %w" + g) + node("q" + g, "matmul", "%h, %r" + g);
    if (bias_first) {
      text += node("t" + g, "add", "%b" + g + ", %q" + g) +
              node(kLstmSums[i], "add", "%t" + g + ", %p" + g);
    } else {
      text += node("t" + g, "add", "%p" + g + ", %q" + g) +
              node(kLstmSums[i], "add", "%t" + g + ", %b" + g);
    }
  }
  return lstm(text);
}

// One product of [h, x] for all gates.
std::string lstm_of_concat(const Gates& cell) {
  return lstm(constant("w", below(beside(cell.r), beside(cell.w))) + constant("b", beside(cell.b)) +
              node("hx", "concat", "%h, %x", kHidden + kInput, " {axis = 1}") +
              node("p", "matmul", "%hx, %w", 4 * kHidden) +
              node("s", "add", "%p, %b", 4 * kHidden) + split(kLstmSums, "s"));
}

// A product of [x, h] for each two gates, cut by slices.
std::string lstm_of_two_concats(const Gates& cell) {
  std::string text = node("xh", "concat", "%x, %h", kHidden + kInput, " {axis = -1}");
  for (size_t i : {0, 2}) {
    const std::string g = std::to_string(i);
    text += constant("w" + g, below(beside({cell.w[i], cell.w[i + 1]}),
                                    beside({cell.r[i], cell.r[i + 1]}))) +
            constant("b" + g, beside({cell.b[i], cell.b[i + 1]})) +
            node("p" + g, "matmul", "%xh, %w" + g, 2 * kHidden) +
            node("s" + g, "add", "%b" + g + ", %p" + g, 2 * kHidden) +
            slices({kLstmSums[i], kLstmSums[i + 1]}, "s" + g);
  }
  return lstm(text);
}

// What the importer makes of ONNX's LSTM.
std::string lstm_of_operator(const Gates& cell) {
  return lstm(constant("w", beside(cell.w)) + constant("r", beside(cell.r)) +
              constant("b", beside(cell.b)) + node("q", "matmul", "%h, %r", 4 * kHidden) +
              node("p", "matmul", "%x, %w", 4 * kHidden) + node("t", "add", "%p, %b", 4 * kHidden) +
              node("s", "add", "%t, %q", 4 * kHidden) + split(kLstmSums, "s"));
}

TEST(CellForms, Lstm) {
  const Gates cell(4);
  expect_one_form(
      {lstm_of_operator(cell), lstm_of_eight(cell, {0, 1, 2, 3}, false),
       lstm_of_eight(cell, {3, 1, 0, 2}, true), lstm_of_concat(cell), lstm_of_two_concats(cell)},
      2);
}

// --- GRU, reset before the product ---

// From r, z and the sum of the candidate on, whose text uses %rh = r * h.
std::string gru_before(const std::string& gates, const std::string& candidate) {
  return scan_text(false, gates + node("r", "sigmoid", "%sr") + node("z", "sigmoid", "%sz") +
                              node("rh", "mul", "%r, %h") + candidate + node("n", "tanh", "%sn") +
                              "    %one = constant f64[] (1)\n" + node("u", "sub", "%one, %z") +
                              node("un", "mul", "%u, %n") + node("zh", "mul", "%z, %h") +
                              node("h2", "add", "%un, %zh"));
}

TEST(CellForms, GruWithTheResetBeforeTheProduct) {
  const Gates cell(3);
  const auto gate = [&](size_t i, const std::string& state, const std::string& result) {
    const std::string g = std::to_string(i);
    return constant("w" + g, cell.w[i]) + constant("r" + g, cell.r[i]) +
           constant("b" + g, cell.b[i]) + node("p" + g, "matmul", "%x, %w" + g) +
           node("q" + g, "matmul", state + ", %r" + g) +
           node("t" + g, "add", "%p" + g + ", %q" + g) + node(result, "add", "%t" + g + ", %b" + g);
  };
  const std::string apart =
      gru_before(gate(0, "%h", "sr") + gate(1, "%h", "sz"), gate(2, "%rh", "sn"));

  const std::string together = gru_before(
      constant("w", below(beside({cell.r[0], cell.r[1]}), beside({cell.w[0], cell.w[1]}))) +
          constant("b", beside({cell.b[0], cell.b[1]})) +
          node("hx", "concat", "%h, %x", kHidden + kInput, " {axis = 1}") +
          node("p", "matmul", "%hx, %w", 2 * kHidden) + node("s", "add", "%p, %b", 2 * kHidden) +
          split({"sr", "sz"}, "s"),
      constant("wn", below(cell.r[2], cell.w[2])) + constant("bn", cell.b[2]) +
          node("rhx", "concat", "%rh, %x", kHidden + kInput, " {axis = 1}") +
          node("pn", "matmul", "%rhx, %wn") + node("sn", "add", "%pn, %bn"));

  // All of x's products at once, as an operator's importer writes them.
  const std::string at_once = gru_before(
      constant("w", beside(cell.w)) + constant("b", beside(cell.b)) +
          constant("rrz", beside({cell.r[0], cell.r[1]})) +
          node("p", "matmul", "%x, %w", 3 * kHidden) + node("xb", "add", "%p, %b", 3 * kHidden) +
          split({"xr", "xz", "xn"}, "xb") + node("q", "matmul", "%h, %rrz", 2 * kHidden) +
          split({"hr", "hz"}, "q") + node("sr", "add", "%xr, %hr") + node("sz", "add", "%hz, %xz"),
      constant("rn", cell.r[2]) + node("hn", "matmul", "%rh, %rn") + node("sn", "add", "%xn, %hn"));
  expect_one_form({apart, together, at_once}, 3);
}

// --- GRU, reset after the product ---

std::string gru_after(const std::string& gates) {
  return scan_text(false, gates + node("r", "sigmoid", "%sr") + node("z", "sigmoid", "%sz") +
                              node("rn", "mul", "%r, %sh") + node("sn", "add", "%xn, %rn") +
                              node("n", "tanh", "%sn") + "    %one = constant f64[] (1)\n" +
                              node("u", "sub", "%one, %z") + node("un", "mul", "%u, %n") +
                              node("zh", "mul", "%z, %h") + node("h2", "add", "%un, %zh"));
}

TEST(CellForms, GruWithTheResetAfterTheProduct) {
  const Gates cell(3), other(4);
  const std::vector<Matrix> bh = {other.b[1], other.b[2], other.b[3]};
  const std::string weights = constant("w", beside(cell.w)) + constant("rr", beside(cell.r)) +
                              node("p", "matmul", "%x, %w", 3 * kHidden) +
                              node("q", "matmul", "%h, %rr", 3 * kHidden);
  // As torch's cell is written: a bias on either side, cut, then added.
  const std::string cut_first = gru_after(
      weights + constant("b", beside(cell.b)) + constant("bh", beside(bh)) +
      node("gx", "add", "%p, %b", 3 * kHidden) + node("gh", "add", "%q, %bh", 3 * kHidden) +
      split({"xr", "xz", "xn"}, "gx") + split({"hr", "hz", "sh"}, "gh") +
      node("sr", "add", "%xr, %hr") + node("sz", "add", "%xz, %hz"));
  // As the importer writes ONNX's GRU: biases added up where they can be.
  const std::string added_up = gru_after(
      weights + constant("b", beside({sum(cell.b[0], bh[0]), sum(cell.b[1], bh[1]), cell.b[2]})) +
      constant("bh", bh[2]) + node("gx", "add", "%p, %b", 3 * kHidden) +
      split({"xr", "xz", "xn"}, "gx") + split({"hr", "hz", "hn"}, "q") +
      node("sh", "add", "%hn, %bh") + node("sr", "add", "%xr, %hr") +
      node("sz", "add", "%xz, %hz"));
  expect_one_form({cut_first, added_up}, 2);
}

// --- vectors, as lectures write them ---

TEST(CellForms, MatricesBeforeVectors) {
  Random random(3);
  const Matrix w = random_matrix(random, kHidden, kHidden + kInput),
               v = random_matrix(random, kHidden, kHidden + kInput);
  const std::string text =
      "graph @g (%xs: f64[5, 3], %h0: f64[4]) {\n"
      "  %hn = scan state(%h = %h0: f64[4]) scanned(%x = %xs[0]: f64[3]) {\n" +
      constant("w", w) + constant("v", v) +
      "    %hx = concat(%h, %x) {axis = 0} : f64[7]\n"
      "    %p = matmul(%w, %hx) : f64[4]\n"
      "    %q = matmul(%v, %hx) : f64[4]\n"
      "    %t = tanh(%p) : f64[4]\n"
      "    %g = sigmoid(%q) : f64[4]\n"
      "    %y = mul(%t, %g) : f64[4]\n"
      "    yield %y\n  } : f64[4]\n  yield \"h\" = %hn\n}";
  const auto graph = expect_numbers_stay(kPasses, text, 1e-12);
  EXPECT_EQ(count_products(*graph), 2) << print(*graph);
}

}  // namespace
}  // namespace refrain
