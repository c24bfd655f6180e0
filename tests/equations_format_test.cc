// The canonical layout.
#include <gtest/gtest.h>

#include "frontend/equations/format.h"
#include "frontend/equations/source.h"

namespace refrain::equations {
namespace {

std::string formatted(const std::string& text) {
  const std::string once = format("test.rfn", text);
  EXPECT_EQ(format("test.rfn", once), once) << "formatted twice";
  return once;
}

TEST(EquationsFormat, LaysOut) {
  EXPECT_EQ(formatted(R"(

model   mgu
const H=64
input x :f32[ T,B , 28 ]   # an image


cell mgu( x,h[H] ):
      f=sigmoid( W_f · [ h , x ]+b_f )  # the gate
      h~ = tanh(W·[f * h, x]+ b)
      R:h=(1-f)*h+f*h~
y=scan   mgu  over x reverse  from( h0 ,c0 )
output z=y[ .. ,0 : 2 ]-( -1 )
)"),
            R"(model mgu
const H = 64
input x: f32[T, B, 28]  # an image

cell mgu(x, h[H]):
  f    = sigmoid(W_f·[h, x] + b_f)  # the gate
  h~   = tanh(W·[f*h, x] + b)
  R: h = (1 - f)*h + f*h~

y = scan mgu over x reverse from (h0, c0)
output z = y[.., 0:2] - (-1)
)");
}

TEST(EquationsFormat, KeepsCommentsWhereTheyAre) {
  EXPECT_EQ(formatted(R"(# head
# more

input x: f32[T, B, 2]
# about the cell
cell c(x, h[2]):
    # inside
    h = W·[h, x]
    # at its end
# about the output
output y = scan c over x   # last
# end)"),
            R"(# head
# more

input x: f32[T, B, 2]

# about the cell
cell c(x, h[2]):
  # inside
  h = W·[h, x]
  # at its end

# about the output
output y = scan c over x  # last
# end
)");
}

TEST(EquationsFormat, KeepsLinesInsideBrackets) {
  EXPECT_EQ(formatted("output y = conv1d(x,\n 8 ,  kernel=3,\n\n  causal = true)\n"),
            "output y = conv1d(x,\n    8, kernel = 3,\n\n    causal = true)\n");
}

TEST(EquationsFormat, Signs) {
  EXPECT_EQ(formatted("y = -x+ -2*-z^-1-[-1,a]@b\noutput y\n"),
            "y = -x + -2*-z^-1 - [-1, a]@b\noutput y\n");
}

TEST(EquationsFormat, RefusesWhatDoesNotParse) {
  EXPECT_THROW(format("test.rfn", "y = (1 +\n"), TextError);
}

}  // namespace
}  // namespace refrain::equations
