// The canonical layout.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

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

TEST(EquationsFormat, AlignsCommentsOfNeighbours) {
  EXPECT_EQ(formatted(R"(input x: f32[T, B, 3] # the sequence
input n: i64[B]      # its length
cell c(x, h[2]): # a cell
  σ~ = W·x # α
  h = U·h + σ~   # β

  O: h # alone
)"),
            R"(input x: f32[T, B, 3]  # the sequence
input n: i64[B]        # its length

cell c(x, h[2]):  # a cell
  σ~ = W·x       # α
  h  = U·h + σ~  # β

  O: h  # alone
)");
}

TEST(EquationsFormat, TheExamplesAreLaidOut) {
  size_t count = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(REFRAIN_SOURCE_DIR "/examples")) {
    if (entry.path().extension() != ".rfn") continue;
    std::ostringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    EXPECT_EQ(format(entry.path().string(), text.str()), text.str()) << entry.path();
    ++count;
  }
  EXPECT_GE(count, 24u);
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
