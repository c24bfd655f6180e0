// Printed equations, back again: the text is loaded with the parameters beside it, and runs to the
// same numbers.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <random>

#include "backends/reference/executor.h"
#include "frontend/decompile/decompile.h"
#include "frontend/driver/model.h"
#include "frontend/driver/random_inputs.h"
#include "frontend/equations/load.h"
#include "frontend/io/file.h"
#include "ir/clone.h"
#include "support/decompiled.h"
#include "support/process.h"

namespace refrain::decompile {
namespace {

using testing::piece_of;

// Prints a model, loads the text with its parameters beside it, and runs both.
void expect_same_numbers(const Graph& original, const Graph& optimized, const Decompiled& model,
                         const std::string& name) {
  testing::TemporaryFolder folder;
  write_file(folder / "model.rfn", model.text);
  write_file(folder / "model.safetensors", safetensors_encode(model.weights));
  const std::unique_ptr<Graph> again = load_model(folder / "model.rfn").graph;
  SymbolBinding symbols;
  symbols.bind("T", 5);
  symbols.bind("S", 4);
  symbols.bind("B", 2);
  symbols.bind_defaults(original);
  std::mt19937_64 engine(1);
  const auto budget = std::make_shared<MemoryBudget>(1 << 24);
  std::vector<RuntimeValue> inputs, pieces;
  for (size_t i = 0; i < original.input_count(); ++i)
    inputs.push_back(random_value(optimized, i, symbols, engine, budget));
  ASSERT_EQ(again->input_count(), model.inputs.size()) << name;
  for (const Piece& piece : model.inputs)
    pieces.push_back(piece_of(*inputs[piece.of].tensor, piece));
  const std::vector<RuntimeValue> expected = reference::run(original, inputs);
  const std::vector<RuntimeValue> found = reference::run(*again, pieces);
  ASSERT_EQ(found.size(), model.outputs.size()) << name;
  std::map<size_t, int64_t> elements;
  for (size_t i = 0; i < found.size(); ++i) {
    const Piece& piece = model.outputs[i];
    EXPECT_EQ(again->output_names()[i], piece.name);
    const std::vector<double> a = piece_of(*expected[piece.of].tensor, piece).view().as_doubles(),
                              b = found[i].tensor->view().as_doubles();
    ASSERT_EQ(a.size(), b.size()) << name << " " << piece.name << "\n" << model.text;
    for (size_t k = 0; k < a.size(); ++k)
      ASSERT_NEAR(a[k], b[k], 1e-5) << name << " " << piece.name << "\n" << model.text;
    elements[piece.of] += std::ssize(a);
  }
  // Nothing of an output is left out.
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(elements[i], expected[i].tensor->size()) << name << " " << i;
}

void expect_round_trip(const Graph& original, const std::string& name, size_t& same) {
  const std::unique_ptr<Graph> optimized = clone_graph(original);
  optimize(*optimized);
  const Decompiled model = decompile(*optimized, "model.safetensors");
  if (!model.complete) return;
  try {
    expect_same_numbers(original, *optimized, model, name);
    ++same;
  } catch (const Error& error) {
    ADD_FAILURE() << name << ": " << error.what() << "\n" << model.text;
  }
}

TEST(DecompileBack, TheTextRunsToTheSameNumbers) {
  size_t same = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(REFRAIN_SOURCE_DIR) + "/tests/models")) {
    const std::filesystem::path file = entry.path() / "model.onnx";
    if (!std::filesystem::exists(file)) continue;
    expect_round_trip(*load_model(file.string()).graph, entry.path().filename().string(), same);
  }
  EXPECT_GE(same, 101u);
}

TEST(DecompileBack, TheGalleryIsWrittenAgain) {
  size_t same = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           std::string(REFRAIN_SOURCE_DIR) + "/examples/gallery")) {
    if (entry.path().extension() != ".rfn") continue;
    expect_round_trip(*load_model(entry.path().string()).graph, entry.path().stem().string(), same);
  }
  EXPECT_GE(same, 22u);
}

// A sequence that is computed in the cell and around it has the name that it has there.
TEST(DecompileBack, NamesOfTwoScopes) {
  size_t same = 0;
  const std::unique_ptr<Graph> graph = equations::load("c.rfn", R"(weights uniform(seed = 539145)
input x: f32[B, T = 11, 2]

cell cell_1(e, h_0[17], h_1[17]):
  param W_2: f32[31, 17]
  t_2 = W_2·log(1 + h_1)
  h_0 = W_3·t_2*min(where(selu(t_1) <= 0.2, h_1, h_0), h_1)
  h_1 = sigmoid(mean(where(h_0[1:17] > 0.1, e, t_1[1:17]) + t_2[1:17])*h_1*t_2[7:24] - (h_0 - h_0))*h_1/2 + (W_4·t_1)*(relu(h_0))*softplus(t_1)

cell cell_2(e, h_0[5]):
  t_3 = (softplus(e[8:9]))/1 + min(e[1:2], e[5:6])*mean(softplus(e))*h_0[4:5] - e[10]
  t_4 = W_5·e
  param W_6: f32[5, 1]
  h_0 = clip(where(W_6·t_3 <= 0.5, W_8·[e, t_3] + p_7, max(e[8:13], where(t_4 + t_4 > 0.9, h_0, e[5:10]))), -1, 1)
  param W_9: f32[5, 1]
  O: y = max([max(t_4[0:3], h_0[1:4]), h_0[2:4]])*[where(W_9·t_3 <= 0.2, t_4, h_0), (t_4[2:5])/1 + abs(h_0[2:5])]

y_0 = scan stack(gru(16), layers = 2) over x with weights "r0"
y_1, f_1_h_1 = scan cell_1 over y_0
(y_2, f_2_h_0) = scan cell_2 over y_1 reverse
output y = y_2
)");
  expect_round_trip(*graph, "two scopes", same);
  EXPECT_EQ(same, 1u);
}

// What is one feature in the graph, though it is written as a scalar; matrices made of vectors.
TEST(DecompileBack, FeaturesOfOneAndMatrices) {
  const char* const kTexts[] = {
      R"(weights uniform(seed = 1)
input x: f32[T, B, 6]
cell c(x, h[3]):
  a = u·x
  n = layer_norm([a])
  h = tanh(U·[a] + W·softmax([v·h]) + [n, n, n])
output y = scan c over x
)",
      R"(weights uniform(seed = 1)
input x: f32[T, B, 6]
cell c(x, h[3]):
  M = reshape(W·x, 3, 3)
  h = tanh(M·h + sum(reshape(x, 3, 2)) + (transpose(M)·M)·h)
  O: [reshape(outer(h, x), 18), where(sum(reshape(x, 3, 2)) > 0.5, h, x[0:3])]
output y = scan c over x
)",
      // A number that stands for several features; a state without any; a number to begin with.
      R"(weights uniform(seed = 1)
input x: f32[T, B, 6]
cell c(x, h[3], s[], g[2]):
  param P: f32[3, 13]
  param p: f32[13]
  param w: f32[]
  param V: f32[2, 6]
  s = tanh(w*max(x) + s)
  h = tanh(P·(max(V·x)*(p - p)) + s*h)
  g = 0.5*g + h[0:2]
(y, h_T, s_T, g_T) = scan c over x from (0, 0, -0.5)
output y
output g_T
)"};
  size_t same = 0;
  for (const char* text : kTexts) expect_round_trip(*equations::load("c.rfn", text), text, same);
  EXPECT_EQ(same, std::size(kTexts));
}

}  // namespace
}  // namespace refrain::decompile
