// Graphs as equations: what cells of known and unknown kinds look like, and that all models can be
// written.
#include "frontend/decompile/decompile.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <set>

#include "backends/reference/executor.h"
#include "frontend/driver/model.h"
#include "frontend/driver/random_inputs.h"
#include "frontend/io/file.h"
#include "ir/clone.h"
#include "ir/text.h"
#include "support/process.h"

namespace refrain::decompile {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Decompiled of_model(const std::string& name) {
  const std::string path =
      std::string(REFRAIN_SOURCE_DIR) + "/tests/models/" + name + "/model.onnx";
  const std::unique_ptr<Graph> graph = load_model(path).graph;
  optimize(*graph);
  return decompile(*graph, "model.safetensors");
}

Decompiled of_text(const std::string& text) { return decompile(*parse(text), "w.safetensors"); }

TEST(Decompile, AnLstmHasItsGates) {
  const Decompiled lstm = of_model("lstm_op9");
  EXPECT_TRUE(lstm.complete);
  EXPECT_EQ(lstm.text, R"(model torch_jit
weights "model.safetensors"
input x: f32[T=9, B=2, 6]

cell lstm_cell(x, h[10], c[10]):
  o = sigmoid(W_o·x + b_o + U_o·h)
  f = sigmoid(W_f·x + b_f + U_f·h)
  i = sigmoid(W_i·x + b_i + U_i·h)
  g = tanh(W_g·x + b_g + U_g·h)
  c = f*c + i*g
  h = o*tanh(c)

(y, h_T, c_T) = scan lstm_cell over x
output y
# h: in the model f32[1, 2, 10]
output h = h_T
# c: in the model f32[1, 2, 10]
output c = c_T
)");
  ASSERT_EQ(lstm.weights.size(), 12u);
  EXPECT_EQ(lstm.weights[0].name, "lstm_cell.W_o");
  EXPECT_EQ(lstm.weights[0].tensor->extents(), (std::vector<int64_t>{10, 6}));
  EXPECT_EQ(lstm.weights[1].tensor->extents(), (std::vector<int64_t>{10}));
}

// Whatever way a model was written or exported, the equations are those of its cell.
TEST(Decompile, CellsAreTheSameFromLoopsScansAndTraces) {
  for (const char* form : {"scan_op13", "loop_op11", "unrolled_op9"}) {
    const Decompiled mgu = of_model(std::string("cell_mgu_") + form);
    EXPECT_TRUE(mgu.complete) << form;
    EXPECT_THAT(mgu.cells, ElementsAre(R"(cell mgu_cell(x, h[10]):
  f = sigmoid(W_f·x + b_f + U_f·h)
  n = tanh(W_n·x + b_n + U_n·(f*h))
  h = (1 - f)*h + f*n
)")) << form;
  }
}

TEST(Decompile, OtherCells) {
  EXPECT_THAT(of_model("gru_op11").cells, ElementsAre(R"(cell gru_cell(x, h[10]):
  z = sigmoid(W_z·x + b_z + U_z·h)
  r = sigmoid(W_r·x + b_r + U_r·h)
  n = tanh(W_n·x + b_n + r*(b_n_2 + U_n·h))
  h = (1 - z)*n + z*h
)"));
  EXPECT_THAT(of_model("cell_peephole_scan_op13").cells,
              ElementsAre(R"(cell lstm_cell(x, h[10], c[10]):
  f = sigmoid(W_f·x + b_f + U_f·h + p_f*c)
  i = sigmoid(W_i·x + b_i + U_i·h + p_i*c)
  g = tanh(W_g·x + b_g + U_g·h)
  c = f*c + i*g
  o = sigmoid(W_o·x + b_o + U_o·h + p_o*c)
  h = o*tanh(c)
)"));
  EXPECT_THAT(of_model("cell_indrnn_scan_op15").cells, ElementsAre(R"(cell rnn_cell(x, h[10]):
  h = relu(W·x + b + p*h)
)"));
}

TEST(Decompile, LayersDirectionsAndStatesOfLayers) {
  const Decompiled model = of_model("bilstm2_op13");
  EXPECT_TRUE(model.complete);
  EXPECT_EQ(model.cells.size(), 4u);
  EXPECT_THAT(model.text, HasSubstr("= scan lstm_cell_2 over x reverse\nv = [y_1, y_1_2]\n"));
  EXPECT_THAT(model.text, HasSubstr("# h: in the model f32[4, B, 10]\noutput h_0 = h_T\n"));
  const Decompiled charlm = of_model("charlm_op9");
  EXPECT_TRUE(charlm.complete);
  EXPECT_THAT(charlm.text, HasSubstr("input tokens: i64[B, T]\n"));
  EXPECT_THAT(charlm.text, HasSubstr("input h0_1: f32[B, 20]\n"));
  EXPECT_THAT(charlm.text, HasSubstr("param W_scores: f32[30, 20]\n"));
}

// States that read each other's old values, in every order.
TEST(Decompile, OldValuesOfStatesAreKept) {
  const Decompiled swap = of_text(R"(graph @swap (%x: f32[T, B, 2]) {
  %z = constant f32[1, 2] splat(0)
  %a_n, %b_n, %y = scan state(%a = %z: f32[1, 2], %b = %z: f32[1, 2]) scanned(%e = %x[0]: f32[B, 2]) stacked([0]) {
    %n = tanh(%e) : f32[B, 2]
    %p = add(%b, %b) : f32[1, 2]
    yield %p, %a, %n
  } : f32[1, 2], f32[1, 2], f32[T, B, 2]
  yield "y" = %y
}
)");
  EXPECT_THAT(swap.cells, ElementsAre(R"(cell recurrent_cell(x, a[2], b[2]):
  a' = b + b
  b = a
  a = a'
  O: y = tanh(x)
)"));
}

TEST(Decompile, WhatHasNoWordsIsAComment) {
  const Decompiled model = of_text(R"(graph @m (%x: f32[T, B, 2]) {
  %k = constant i64[] (0)
  %s = cum_sum(%x, %k) : f32[T, B, 2]
  yield "y" = %s
}
)");
  EXPECT_FALSE(model.complete);
  EXPECT_THAT(model.text, HasSubstr("# f32[T, B, 2] = cum_sum(f32[T, B, 2], i64[])\n"));
  EXPECT_THAT(model.text, HasSubstr("# The language has no words"));
}

TEST(Decompile, TypesThatTheLanguageLacks) {
  EXPECT_FALSE(of_text(R"(graph @m (%x: u8[T, B]) {
  %y = add(%x, %x) : u8[T, B]
  yield "y" = %y
}
)")
                   .complete);
  const Decompiled rounded = of_text(R"(graph @m (%x: f32[T, B, 2]) {
  %h = cast(%x) {to = f16} : f16[T, B, 2]
  %y = cast(%h) {to = f32} : f32[T, B, 2]
  yield "y" = %y
}
)");
  EXPECT_FALSE(rounded.complete);
  EXPECT_THAT(rounded.text, HasSubstr("# f16[T, B, 2] = cast(f32[T, B, 2])\n"));
}

TEST(Decompile, StepsAndMeansOfSequences) {
  const Decompiled model = of_text(R"(graph @m (%x: f32[T, B, 2]) {
  %a = constant i64[1] (0)
  %b = constant i64[1] (-1)
  %e = constant i64[1] (9223372036854775807)
  %l = slice(%x, %b, %e, %a) : f32[?, B, 2]
  %s = squeeze(%l, %a) : f32[B, 2]
  %m = reduce_mean(%x, %a) {keep_dims = false} : f32[B, 2]
  %y = add(%s, %m) : f32[B, 2]
  yield "y" = %y
}
)");
  EXPECT_TRUE(model.complete);
  EXPECT_THAT(model.text, HasSubstr("y = last(x) + mean(x, over = time)\n"));
}

// One equation a thousand terms deep would be nothing to read, and recursion to nowhere.
TEST(Decompile, LongChainsAreCutIntoEquations) {
  std::string text = R"(graph @chain (%x: f32[T, B, 2], %h0: f32[B, 2]) {
  %hn, %y = scan state(%h = %h0: f32[B, 2]) scanned(%e = %x[0]: f32[B, 2]) stacked([0]) {
    %a0 = add(%e, %h) : f32[B, 2]
)";
  constexpr int kNodes = 20000;
  for (int i = 1; i < kNodes; ++i) {
    text += fmt::format("    %a{} = tanh(%a{}) : f32[B, 2]\n", i, i - 1);
  }
  text += fmt::format("    yield %a{0}, %a{0}\n", kNodes - 1) +
          "  } : f32[B, 2], f32[T, B, 2]\n  yield \"y\" = %y\n}\n";
  const Decompiled model = of_text(text);
  EXPECT_TRUE(model.complete);
  for (size_t begin = 0; begin < model.text.size();) {
    const size_t end = model.text.find('\n', begin);
    ASSERT_LT(end - begin, 1000u);
    begin = end + 1;
  }
}

TEST(Decompile, EveryModelCanBeWritten) {
  size_t models = 0, complete = 0, scans = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(REFRAIN_SOURCE_DIR) + "/tests/models")) {
    if (!std::filesystem::exists(entry.path() / "model.onnx")) continue;
    const std::string name = entry.path().filename().string();
    const Decompiled model = of_model(name);
    ++models;
    complete += model.complete;
    scans += model.cells.size();
    std::set<std::string> names;
    for (const NamedTensor& weight : model.weights)
      EXPECT_TRUE(names.insert(weight.name).second) << name << " " << weight.name;
    EXPECT_THAT(model.text, Not(HasSubstr("()"))) << name;
    EXPECT_THAT(model.text, Not(HasSubstr(" = \n"))) << name;
  }
  EXPECT_GE(models, 100u);
  EXPECT_GE(complete, 70u);
  EXPECT_GE(scans, models);
}

// --- back again: the text is loaded with the parameters beside it, and runs to the same numbers
// ---

// Parts of an input along its first axis: those that the text makes of it.
std::vector<RuntimeValue> inputs_for(const Graph& graph, const Graph& original,
                                     const std::vector<RuntimeValue>& values) {
  std::vector<RuntimeValue> result;
  for (size_t i = 0; i < graph.input_count(); ++i) {
    const std::string& name = graph.input(i)->name();
    for (size_t k = 0; k < original.input_count(); ++k) {
      const Tensor& whole = *values[k].tensor;
      const std::string& base = original.input(k)->name();
      if (whole.rank() == graph.input(i)->type().shape.rank()) {
        if (name.starts_with(base)) result.push_back(values[k]);
        continue;
      }
      const int64_t parts = whole.extents()[0];
      for (int64_t part = 0; part < parts; ++part) {
        if (name != (parts == 1 ? base : base + "_" + std::to_string(part))) continue;
        Tensor piece(whole.type(), {whole.extents().begin() + 1, whole.extents().end()});
        std::memcpy(piece.raw(), static_cast<const char*>(whole.raw()) + part * piece.bytes(),
                    static_cast<size_t>(piece.bytes()));
        result.push_back(std::move(piece));
      }
    }
    if (result.size() != i + 1) throw Error("no value for input " + name);
  }
  return result;
}

// The elements of all outputs that the text made of one.
std::vector<double> output_of(const Graph& graph, const std::vector<RuntimeValue>& values,
                              const std::string& name) {
  std::vector<double> all;
  for (size_t i = 0; i < graph.output_count(); ++i) {
    const std::string& own = graph.output_names()[i];
    const bool part = own.starts_with(name + "_") &&
                      own.find_first_not_of("0123456789", name.size() + 1) == std::string::npos;
    if (own != name && !part) continue;
    const std::vector<double> elements = values[i].tensor->view().as_doubles();
    all.insert(all.end(), elements.begin(), elements.end());
  }
  return all;
}

TEST(Decompile, TheTextRunsToTheSameNumbers) {
  size_t same = 0;
  testing::TemporaryFolder folder;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(REFRAIN_SOURCE_DIR) + "/tests/models")) {
    if (!std::filesystem::exists(entry.path() / "model.onnx")) continue;
    const std::string name = entry.path().filename().string();
    const std::unique_ptr<Graph> original =
        load_model((entry.path() / "model.onnx").string()).graph;
    const std::unique_ptr<Graph> optimized = clone_graph(*original);
    optimize(*optimized);
    const Decompiled model = decompile(*optimized, "model.safetensors");
    // Batch first and the like is another order of elements, which the text says.
    if (!model.complete || model.text.find("in the other order") != std::string::npos) continue;
    write_file(folder / "model.rfn", model.text);
    write_file(folder / "model.safetensors", safetensors_encode(model.weights));
    try {
      const std::unique_ptr<Graph> again = load_model(folder / "model.rfn").graph;
      SymbolBinding symbols;
      symbols.bind("T", 5);
      symbols.bind("B", 2);
      symbols.bind_defaults(*original);
      std::mt19937_64 engine(1);
      const auto budget = std::make_shared<MemoryBudget>(1 << 24);
      std::vector<RuntimeValue> inputs;
      for (size_t i = 0; i < original->input_count(); ++i)
        inputs.push_back(random_value(*optimized, i, symbols, engine, budget));
      const std::vector<RuntimeValue> expected = reference::run(*original, inputs);
      const std::vector<RuntimeValue> found =
          reference::run(*again, inputs_for(*again, *original, inputs));
      for (size_t i = 0; i < expected.size(); ++i) {
        const std::vector<double> a = expected[i].tensor->view().as_doubles(),
                                  b = output_of(*again, found, original->output_names()[i]);
        ASSERT_EQ(a.size(), b.size()) << name << "\n" << model.text;
        for (size_t k = 0; k < a.size(); ++k)
          ASSERT_NEAR(a[k], b[k], 2e-5) << name << " output " << i << "\n" << model.text;
      }
      ++same;
    } catch (const Error& error) {
      ADD_FAILURE() << name << ": " << error.what() << "\n" << model.text;
    }
  }
  EXPECT_GE(same, 60u);
}

}  // namespace
}  // namespace refrain::decompile
