// hoist and sink on random bodies: whatever leaves them, the numbers stay.
#include <gtest/gtest.h>

#include "support/pass_run.h"

namespace refrain {
namespace {

using testing::expect_same_results;
using testing::Random;
using testing::run_pass;

// The text of a scan with a random body over values of type f64[2, 4].
class RandomScan {
 public:
  explicit RandomScan(uint64_t seed) : random_(seed) {}

  std::string text() {
    const int64_t axis = random_.integer(0, 2);
    body_ =
        "%k = constant i64[1] (1)\n%zero = constant i64[] (0)\n%c = constant f64[4] (1, -2, 0.5, "
        "3)\n";
    values_ = {"%h", "%g", "%xt", "%zt"};
    const int64_t nodes = random_.integer(4, 16);
    for (int64_t i = 0; i < nodes; ++i) add_node();
    std::string slots, results, types, outputs, yields = pick() + ", " + pick();
    const int64_t stacked = random_.integer(1, 4);
    for (int64_t i = 0; i < stacked; ++i) {
      const std::string name = "%y" + std::to_string(i);
      const int64_t place = random_.integer(0, 2);
      slots += (i ? ", [" : "[") + std::to_string(place) +
               (random_.integer(0, 2) == 0 ? " reverse]" : "]");
      results += ", " + name;
      types += ", " + with_time(place);
      outputs += ", \"y" + std::to_string(i) + "\" = " + name;
      yields += ", " + pick();
    }
    return "graph @g (%x: " + with_time(axis) + ", %z: f64[T, 2, 4], %w: f64[4, 4], " +
           "%h0: f64[2, 4], %g0: f64[2, 4]) {\n%hn, %gn" + results +
           " = scan invariant(%wi = %w: f64[4, 4]) " +
           "state(%h = %h0: f64[2, 4], %g = %g0: f64[2, 4]) scanned(%xt = %x[" +
           std::to_string(axis) + "]: f64[2, 4], %zt = %z[0 reverse]: f64[2, 4]) stacked(" + slots +
           ") {\n" + body_ + "yield " + yields + "\n} : f64[2, 4], f64[2, 4]" + types +
           "\nyield \"hn\" = %hn, \"gn\" = %gn" + outputs + "\n}";
  }

  std::vector<RuntimeValue> inputs(const Graph& graph, int64_t steps) {
    std::vector<RuntimeValue> result;
    for (size_t i = 0; i < graph.input_count(); ++i) {
      std::vector<int64_t> extents;
      for (Dim dim : graph.input(i)->type().shape.dims())
        extents.push_back(dim.is_constant() ? dim.extent() : steps);
      result.push_back(std::make_shared<const Tensor>(random_.tensor(ElementType::f64, extents)));
    }
    return result;
  }

 private:
  static std::string with_time(int64_t axis) {
    return axis == 0 ? "f64[T, 2, 4]" : axis == 1 ? "f64[2, T, 4]" : "f64[2, 4, T]";
  }

  std::string pick() {
    // Late values more often: longer chains.
    const auto last = static_cast<int64_t>(values_.size()) - 1;
    return values_[static_cast<size_t>(
        std::max(random_.integer(0, last), random_.integer(0, last)))];
  }

  void add_node() {
    const std::string n = "%v" + std::to_string(values_.size()), t = n + "t";
    const auto line = [&](const std::string& result, const std::string& op,
                          const std::string& type) {
      body_ += result + " = " + op + " : " + type + "\n";
    };
    const std::string whole = "f64[2, 4]";
    switch (random_.integer(0, 11)) {
      case 0:
        line(n, "tanh(" + pick() + ")", whole);
        break;
      case 1:
        line(n, "add(" + pick() + ", " + pick() + ")", whole);
        break;
      case 2:
        line(n, "mul(%c, " + pick() + ")", whole);
        break;
      case 3:
        line(t, "matmul(" + pick() + ", %wi)", whole);
        line(n, "tanh(" + t + ")", whole);
        break;
      case 4: {  // W·vᵀ
        line(t, "transpose(" + pick() + ") {perm = [1, 0]}", "f64[4, 2]");
        line(t + "p", "matmul(%wi, " + t + ")", "f64[4, 2]");
        line(t + "s", "tanh(" + t + "p)", "f64[4, 2]");
        line(n, "transpose(" + t + "s) {perm = [1, 0]}", whole);
        break;
      }
      case 5:
        line(n, "softmax(" + pick() + ") {axis = 0}", whole);
        break;
      case 6:  // halves change places
        line(t + "a, " + t + "b", "split(" + pick() + ") {axis = -1}", "f64[2, 2], f64[2, 2]");
        line(n, "concat(" + t + "b, " + t + "a) {axis = 1}", whole);
        break;
      case 7:
        line(t, "reduce_mean(" + pick() + ", %k)", "f64[2, 1]");
        line(n, "sub(" + pick() + ", " + t + ")", whole);
        break;
      case 8:  // a vector, by a matrix from either side
        line(t, "gather(" + pick() + ", %zero)", "f64[4]");
        line(t + "p", random_.integer(0, 1) ? "matmul(" + t + ", %wi)" : "matmul(%wi, " + t + ")",
             "f64[4]");
        line(n, "mul(" + pick() + ", " + t + "p)", whole);
        break;
      case 9:
        line(t, "unsqueeze(" + pick() + ", %k)", "f64[2, 1, 4]");
        line(t + "e", "exp(" + t + ")", "f64[2, 1, 4]");
        line(t + "q", "softmax(" + t + "e)", "f64[2, 1, 4]");
        line(n, "squeeze(" + t + "q, %k)", whole);
        break;
      case 10:  // scores of two values, and a mixture
        line(t, "einsum(" + pick() + ", " + pick() + ") {equation = \"ij,kj->ik\"}", "f64[2, 2]");
        line(t + "s", "softmax(" + t + ")", "f64[2, 2]");
        line(n, "matmul(" + t + "s, " + pick() + ")", whole);
        break;
      default:
        line(t, "transpose(%wi) {perm = [1, 0]}", "f64[4, 4]");
        line(t + "p", "matmul(" + pick() + ", " + t + ")", whole);
        line(n, "sigmoid(" + t + "p)", whole);
    }
    values_.push_back(n);
  }

  Random random_;
  std::string body_;
  std::vector<std::string> values_;
};

TEST(HoistAndSink, RandomBodies) {
  int changed = 0;
  constexpr int kScans = 600;
  for (uint64_t seed = 1; seed <= kScans; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomScan source(seed);
    const std::string text = source.text();
    const auto original = parse(text), graph = parse(text);
    const testing::FoldingContext context;
    for (const char* pass : {"hoist", "sink", "hoist", "simplify_algebra", "cse", "dce"}) {
      run_pass(*graph, pass, context);
      if (::testing::Test::HasFailure()) return;
    }
    changed += print(*graph) != print(*original);
    for (int64_t steps : {5, 1, 0}) {
      // Rows of 4 that are summed in the same order; only a backend that blocks its products
      // differently for one row than for many may round differently.
      expect_same_results(*graph, *original, source.inputs(*original, steps), 1e-12, 1e-12);
      if (::testing::Test::HasFailure()) FAIL() << text;
    }
  }
  EXPECT_GT(changed, kScans * 9 / 10);
}

}  // namespace
}  // namespace refrain
