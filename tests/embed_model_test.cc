// Model: loading, what it says of itself, and what it refuses.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "support/embed_models.h"

namespace refrain {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::load;
using testing::load_bytes;
using testing::lstm_model;

constexpr const char* kText = R"(graph @sum (%x: f32[T, 2]) {
  %y = add(%x, %x) : f32[T, 2]
  yield "y" = %y
}
)";

TEST(EmbedModel, SaysWhatItTakesAndGives) {
  const Model model = load(lstm_model(3, 4));
  ASSERT_EQ(model.inputs().size(), 3u);
  const TensorInfo& x = model.inputs()[0];
  EXPECT_EQ(x.name, "x");
  EXPECT_EQ(x.type, DataType::f32);
  EXPECT_TRUE(x.ranked);
  ASSERT_EQ(x.dimensions.size(), 3u);
  EXPECT_EQ(x.dimensions[0].extent, -1);
  EXPECT_EQ(x.dimensions[0].symbol, "T");
  EXPECT_EQ(x.dimensions[1].symbol, "B");
  EXPECT_EQ(x.dimensions[2].extent, 3);
  EXPECT_EQ(x.text, "f32[T, B, 3]");
  ASSERT_EQ(model.outputs().size(), 3u);
  EXPECT_EQ(model.outputs()[1].name, "hn");
  EXPECT_TRUE(model.warnings().empty());
}

TEST(EmbedModel, KnowsItsStates) {
  const Model model = load(lstm_model(3, 4));
  EXPECT_TRUE(model.streaming().supported) << model.streaming().why;
  EXPECT_EQ(model.streaming().time, "T");
  EXPECT_EQ(model.streaming().batch, "B");
  ASSERT_EQ(model.states().size(), 2u);
  EXPECT_EQ(model.states()[0].name, "h0");
  EXPECT_EQ(model.states()[0].input, "h0");
  EXPECT_EQ(model.states()[0].output, "hn");
  EXPECT_EQ(model.states()[1].name, "c0");
  EXPECT_EQ(model.states()[1].output, "cn");
}

TEST(EmbedModel, SaysWhyItCannotStep) {
  const Model model = load(lstm_model(3, 4, true, "bidirectional"));
  EXPECT_FALSE(model.streaming().supported);
  EXPECT_FALSE(model.streaming().why.empty());
  EXPECT_TRUE(model.states().empty());
}

TEST(EmbedModel, ReadsTextFromMemoryAndFiles) {
  const Model model = load_bytes(kText);
  EXPECT_EQ(model.inputs()[0].text, "f32[T, 2]");
  const std::filesystem::path path =
      std::filesystem::path(::testing::TempDir()) / "embed_model_test.txt";
  std::ofstream(path) << "# a comment\n" << kText;
  EXPECT_EQ(Model::load(path.string()).outputs()[0].name, "y");
  std::filesystem::remove(path);
}

TEST(EmbedModel, ReadsEquationsFromMemory) {
  const Model model = load_bytes(R"(model simple
weights uniform(seed = 1)
input x: f32[T, B, 3]

cell simple(x, h[4]):
  h = tanh(W·[h, x] + b)

y = scan simple over x
output y
)");
  EXPECT_EQ(model.outputs()[0].name, "y");
}

TEST(EmbedModel, RefusesWhatIsNoModel) {
  EXPECT_THAT(error_of([] { Model::load("/no/such/file.onnx"); }),
              HasSubstr("/no/such/file.onnx: no such file"));
  EXPECT_THAT(error_of([] { Model::load("/tmp"); }), HasSubstr("not a regular file"));
  EXPECT_THAT(error_of([] { load_bytes("not a model at all"); }), HasSubstr("test: "));
  EXPECT_THAT(error_of([] { load_bytes(""); }), HasSubstr("test: "));
  EXPECT_THAT(error_of([] { load_bytes("graph @x (%x: f32[T, 2]) {"); }), HasSubstr("test"));
  EXPECT_THAT(error_of([] { load_bytes(kText, {.max_bytes = 10}); }),
              HasSubstr("too large: expected 10 bytes at most"));
  EXPECT_THAT(error_of([] {
                Model::from_memory({static_cast<const std::byte*>(nullptr), 4});
              }),
              HasSubstr("no memory"));
}

TEST(EmbedModel, RefusesOptionsThatMakeNoSense) {
  EXPECT_THAT(error_of([] { load_bytes(kText, {.max_bytes = -1}); }), HasSubstr("negative"));
  EXPECT_THAT(error_of([] { load_bytes(kText, {.kernels = static_cast<Kernels>(9)}); }),
              HasSubstr("no such choice of kernels"));
  EXPECT_THAT(error_of([] { load_bytes(kText, {.dynamic_time = true}); }),
              HasSubstr("no axis of any input"));
}

TEST(EmbedModel, MayBeDroppedBeforeItsSessionsAndSharedByThreads) {
  auto model = std::make_unique<Model>(load(lstm_model(3, 4)));
  std::vector<std::thread> threads;
  std::vector<float> results(4);
  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i, copy = *model] {
      Session session(copy);
      session.prepare_step();
      for (float& x : session.input("x").data<float>()) x = 0.5f;
      session.step();
      results[i] = session.output("y").data<float>()[0];
    });
  }
  model.reset();
  for (std::thread& thread : threads) thread.join();
  for (const float result : results) EXPECT_EQ(result, results[0]);
  EXPECT_NE(results[0], 0);
}

TEST(EmbedModel, MovedFromIsAnError) {
  Model model = load_bytes(kText);
  const Model taken = std::move(model);
  EXPECT_THAT(error_of([&] { model.inputs(); }), HasSubstr("moved from"));
  EXPECT_THAT(error_of([&] { Session session(model); }), HasSubstr("moved from"));
  EXPECT_EQ(taken.inputs().size(), 1u);
}

TEST(EmbedTypes, ExtentsAreChecked) {
  EXPECT_EQ(Extents({2, 3}).count(), 6);
  EXPECT_EQ(Extents().count(), 1);
  EXPECT_EQ(Extents({0, 3}).count(), 0);
  EXPECT_EQ(Extents({2, 3}), Extents({2, 3}));
  EXPECT_FALSE(Extents({2, 3}) == Extents({2, 3, 1}));
  EXPECT_NE(error_of([] { Extents({2, -3}); }), "");
  EXPECT_NE(error_of([] { Extents({int64_t{1} << 40, int64_t{1} << 40}); }), "");
  EXPECT_THAT(error_of([] { Extents({1, 1, 1, 1, 1, 1, 1, 1, 1}); }), HasSubstr("too many axes"));
}

TEST(EmbedTypes, ViewsGiveTheirOwnType) {
  float values[2] = {1, 2};
  const View view({2}, values);
  EXPECT_EQ(view.data<float>()[1], 2);
  EXPECT_THAT(error_of([&] { view.data<double>(); }), HasSubstr("f32"));
  EXPECT_THAT(error_of([] { Array(ConstView(DataType::f32, {2}, nullptr)); }),
              HasSubstr("a view of nothing"));
}

TEST(EmbedTypes, ArraysOwnTheirElements) {
  Array a(DataType::f32, {2, 2});
  EXPECT_EQ(a.data<float>()[3], 0);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a.view().raw()) % 64, 0u);
  a.data<float>()[3] = 5;
  const Array b = a;
  Array c = std::move(a);
  c.data<float>()[3] = 6;
  EXPECT_EQ(b.data<float>()[3], 5);
  EXPECT_EQ(c.data<float>()[3], 6);
  EXPECT_EQ(Array(DataType::f64, {0}).extents().count(), 0);
}

TEST(EmbedTypes, NamesAndVersion) {
  EXPECT_EQ(std::string(name_of(DataType::bf16)), "bf16");
  EXPECT_EQ(size_of(DataType::f64), 8u);
  EXPECT_NE(error_of([] { size_of(static_cast<DataType>(99)); }), "");
  EXPECT_FALSE(std::string(version()).empty());
}

}  // namespace
}  // namespace refrain
