// resolve_scatters: tensors that are written row by row.
#include <gtest/gtest.h>

#include <string>

#include "passes/passes.h"
#include "support/pass_run.h"

namespace refrain {
namespace {

using testing::expect_pass;
using testing::expect_unchanged;

std::string graph(const std::string& body) {
  return "graph @g (%a: f64[2], %b: f64[2], %z: f64[2, 2]) {\n" + body + "}";
}

// Rows with the shapes that `y[t] = h` is exported with.
constexpr const char* kRows = R"(
  %row = constant i64[1] (2)
  %rows = constant i64[2] (1, 2)
  %zero = constant i64[1, 1] (0)
  %one = constant i64[1, 1] (1)
  %last = constant i64[1, 1] (-1)
  %ae = expand(%a, %row) : f64[2]
  %ar = reshape(%ae, %rows) : f64[1, 2]
  %br = reshape(%b, %rows) : f64[1, 2]
)";

TEST(ResolveScatters, RowsInAnyOrder) {
  for (const std::string written : {"%last, %br) : f64[2, 2]\n  %y = scatter_nd(%s, %zero, %ar)",
                                    "%zero, %ar) : f64[2, 2]\n  %y = scatter_nd(%s, %one, %br)"}) {
    expect_pass({"resolve_scatters", "dce"},
                graph(kRows + ("  %s = scatter_nd(%z, " + written) + R"( : f64[2, 2]
  yield "y" = %y
)"),
                R"(graph @g (%a: f64[2], %b: f64[2], %z: f64[2, 2]) {
  %0 = constant i64[1] (0)
  %1 = unsqueeze(%a, %0) : f64[1, 2]
  %2 = constant i64[1] (0)
  %3 = unsqueeze(%b, %2) : f64[1, 2]
  %y = concat(%1, %3) {axis = 0} : f64[2, 2]
  yield "y" = %y
}
)");
  }
}

TEST(ResolveScatters, NotAllRows) {
  expect_unchanged("resolve_scatters", graph(kRows + std::string(R"(
  %y = scatter_nd(%z, %one, %ar) : f64[2, 2]
  yield "y" = %y
)")));
}

TEST(ResolveScatters, OneRowTwice) {
  expect_unchanged("resolve_scatters", graph(kRows + std::string(R"(
  %s = scatter_nd(%z, %one, %ar) : f64[2, 2]
  %y = scatter_nd(%s, %last, %br) : f64[2, 2]
  yield "y" = %y
)")));
}

TEST(ResolveScatters, Sums) {
  expect_unchanged("resolve_scatters", graph(kRows + std::string(R"(
  %s = scatter_nd(%z, %zero, %ar) {reduction = "add"} : f64[2, 2]
  %y = scatter_nd(%s, %one, %br) : f64[2, 2]
  yield "y" = %y
)")));
}

TEST(ResolveScatters, Elements) {
  expect_unchanged("resolve_scatters", R"(graph @g (%a: f64[], %b: f64[1], %z: f64[1, 2]) {
  %zero = constant i64[2] (0, 1)
  %one = constant i64[1] (0)
  %y = scatter_nd(%z, %zero, %a) : f64[1, 2]
  yield "y" = %y
})");
}

// Other writes to what was there in between don't change the stack, nor are they lost.
TEST(ResolveScatters, TensorsInBetweenStay) {
  expect_pass({"resolve_scatters", "dce"}, graph(kRows + std::string(R"(
  %s = scatter_nd(%z, %zero, %ar) : f64[2, 2]
  %y = scatter_nd(%s, %one, %br) : f64[2, 2]
  %n = neg(%s) : f64[2, 2]
  yield "y" = %y, "n" = %n
)")),
              R"(graph @g (%a: f64[2], %b: f64[2], %z: f64[2, 2]) {
  %row = constant i64[1] (2)
  %rows = constant i64[2] (1, 2)
  %zero = constant i64[1, 1] (0)
  %ae = expand(%a, %row) : f64[2]
  %ar = reshape(%ae, %rows) : f64[1, 2]
  %s = scatter_nd(%z, %zero, %ar) : f64[2, 2]
  %0 = constant i64[1] (0)
  %1 = unsqueeze(%a, %0) : f64[1, 2]
  %2 = constant i64[1] (0)
  %3 = unsqueeze(%b, %2) : f64[1, 2]
  %y = concat(%1, %3) {axis = 0} : f64[2, 2]
  %n = neg(%s) : f64[2, 2]
  yield "y" = %y, "n" = %n
}
)");
}

}  // namespace
}  // namespace refrain
