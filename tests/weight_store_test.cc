// Packed weights shared by all graphs that are prepared of one model.
#include "backends/weights/weight_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backends/executable/executable.h"
#include "backends/highway/packed_weights.h"
#include "backends/weights/checksum.h"
#include "ir/clone.h"
#include "ir/error.h"
#include "passes/specialize.h"
#include "support/prepared.h"
#include "support/targets.h"

namespace refrain::testing {
namespace {

constexpr int kHidden = 37, kInput = 19;  // no multiples of any target's lanes

// A GRU that resets before its product, whose stages multiply parts of one constant, between a
// product that feeds it and one that reads all its steps.
std::unique_ptr<Graph> gru() {
  Random random(1);
  return parse(with_constants(R"(
graph @gru (%x: f32[T, B, 19], %h0: f32[B, 37]) {
  %w = $f32[19, 111]
  %b = $f32[111]
  %v = $f32[37, 5]
  %xw = matmul(%x, %w) : f32[T, B, 111]
  %xb = add(%xw, %b) : f32[T, B, 111]
  %h, %y = scan state(%s = %h0: f32[B, 37]) scanned(%g = %xb[0]: f32[B, 111]) stacked([0]) {
    %r = $f32[37, 74]
    %n = $f32[37, 37]
    %sr = matmul(%s, %r) : f32[B, 74]
    %gz, %gr, %gn = split(%g) {axis = 1} : f32[B, 37], f32[B, 37], f32[B, 37]
    %sz, %sy = split(%sr) {axis = 1} : f32[B, 37], f32[B, 37]
    %z0 = add(%gz, %sz) : f32[B, 37]
    %z = sigmoid(%z0) : f32[B, 37]
    %r0 = add(%gr, %sy) : f32[B, 37]
    %r1 = sigmoid(%r0) : f32[B, 37]
    %rs = mul(%r1, %s) : f32[B, 37]
    %n0 = matmul(%rs, %n) : f32[B, 37]
    %n1 = add(%gn, %n0) : f32[B, 37]
    %n2 = tanh(%n1) : f32[B, 37]
    %d = sub(%s, %n2) : f32[B, 37]
    %zd = mul(%z, %d) : f32[B, 37]
    %next = add(%n2, %zd) : f32[B, 37]
    yield %next, %next
  } : f32[B, 37], f32[T, B, 37]
  %o = matmul(%y, %v) : f32[T, B, 5]
  yield "o" = %o, "h" = %h
}
)",
                              random));
}

std::unique_ptr<Graph> bound(const Graph& graph, int64_t steps, int64_t rows) {
  std::unique_ptr<Graph> copy = clone_graph(graph);
  passes::specialize(*copy, {{"T", steps}, {"B", rows}});
  return copy;
}

const std::vector<std::pair<int64_t, int64_t>> kShapes = {{1, 1}, {100, 1}, {1, 16}, {100, 16}};

TEST(Checksum, IsXxh64) {
  EXPECT_EQ(checksum("", 0), 0xEF46DB3751D8E999u);
  EXPECT_EQ(checksum("a", 1), 0xD24EC4F1A98C6E5Bu);
  EXPECT_EQ(checksum("abc", 3), 0x44BC2CF5AD770999u);
  const std::string text = "Nobody inspects the spammish repetition";
  EXPECT_EQ(checksum(text.data(), text.size()), 0xFBCEA83C8A378BF1u);
}

TEST(Checksum, EveryBitCounts) {
  std::vector<unsigned char> bytes(203, 0x5a);
  const uint64_t before = checksum(bytes.data(), bytes.size());
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] = static_cast<unsigned char>(bytes[bit / 8] ^ (1 << bit % 8));
    EXPECT_NE(checksum(bytes.data(), bytes.size()), before) << "bit " << bit;
    bytes[bit / 8] = static_cast<unsigned char>(bytes[bit / 8] ^ (1 << bit % 8));
  }
  EXPECT_NE(checksum(bytes.data(), bytes.size() - 1), before);
}

TEST(WeightStore, FindsPartsOfConstants) {
  WeightStore store;
  const auto a = std::make_shared<const Tensor>(ElementType::f32, std::vector<int64_t>{10});
  const auto b = std::make_shared<const Tensor>(ElementType::f32, std::vector<int64_t>{4});
  const Tensor other(ElementType::f32, {10});
  store.add(a);
  store.add(b);
  store.add(a);
  EXPECT_EQ(store.constants(), 2);
  const float* const begin = b->data<float>().data();
  const auto found = store.find(begin + 1, 12);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->constant, 1);
  EXPECT_EQ(found->offset, 4);
  EXPECT_FALSE(store.find(begin + 1, 13));
  EXPECT_FALSE(store.find(begin + 4, 0));
  EXPECT_FALSE(store.find(other.raw(), 4));
  EXPECT_EQ(store.constant(1), b);
  EXPECT_THROW(store.constant(2), Error);
}

TEST(WeightStore, OneBlockAsLongAsSomebodyHasIt) {
  WeightStore store;
  int made = 0;
  const auto make = [&](float* out) { out[1] = static_cast<float>(++made); };
  WeightStore::Block first = store.block({1, 2}, 4, make), second = store.block({1, 2}, 4, make);
  EXPECT_EQ(first, second);
  EXPECT_EQ(made, 1);
  EXPECT_EQ(first.get()[0], 0);
  EXPECT_EQ(store.statistics().packed_bytes, 16);
  EXPECT_NE(store.block({1, 3}, 4, make), first);
  first.reset();
  second.reset();
  EXPECT_EQ(store.statistics().packed_bytes, 0);
  EXPECT_EQ(store.block({1, 2}, 4, make).get()[1], 3);
  EXPECT_EQ(store.asked(), (std::vector<WeightStore::Key>{{1, 2}, {1, 3}}));
}

TEST(WeightStore, ServedBlocksAreCheckedWhenTheyAreUsed) {
  auto memory = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3});
  const WeightStore::Block block(memory, memory->data());
  const auto never = [](float*) { FAIL(); };
  const uint64_t sum = checksum(memory->data(), 12);
  WeightStore store;
  store.serve({1}, block, 3, sum, "weights 1");
  store.serve({2}, block, 3, sum + 1, "weights 2");
  EXPECT_EQ(store.block({1}, 3, never), block);
  EXPECT_EQ(store.statistics().served_bytes, 12);
  EXPECT_THROW(store.block({1}, 4, never), Error);
  EXPECT_THROW(store.block({2}, 3, never), Error);
  EXPECT_THROW(store.check_all(), Error);
}

TEST(WeightStore, ConstantsAreCheckedWhenTheyAreUsed) {
  const auto tensor = std::make_shared<const Tensor>(Tensor::scalar(1.0F));
  const auto other = std::make_shared<const Tensor>(Tensor::scalar(1.0F));
  WeightStore store;
  store.add(tensor, checksum(tensor->raw(), 4));
  store.add(other, 1);
  EXPECT_NO_THROW(store.check(tensor->raw()));
  EXPECT_THROW(store.check(other->raw()), Error);
  EXPECT_NO_THROW(store.check(&store));
  EXPECT_THROW(store.check_all(), Error);
  EXPECT_THROW(store.check_absent(Graph("empty")), Error);
}

TEST(WeightStore, PreparedGraphsShareAndComputeTheSame) {
  const std::unique_ptr<Graph> graph = gru();
  for_each_target([&] {
    WeightStore store;
    store.add(*graph);
    std::vector<std::unique_ptr<PreparedGraph>> kept;
    int64_t bytes = 0;
    Random random(2);
    for (const auto& [steps, rows] : kShapes) {
      SCOPED_TRACE(std::to_string(steps) + " steps, " + std::to_string(rows) + " rows");
      const std::unique_ptr<Graph> copy = bound(*graph, steps, rows);
      PrepareOptions options{.kernels = KernelChoice::highway};
      PreparedGraph own(*copy, options);
      options.weights = &store;
      kept.push_back(std::make_unique<PreparedGraph>(*copy, options));
      if (bytes == 0) bytes = store.statistics().packed_bytes;
      EXPECT_EQ(store.statistics().packed_bytes, bytes);
      const std::vector<Tensor> inputs = random_inputs(*copy, random);
      const std::vector<Tensor> expected = run(own, inputs), actual = run(*kept.back(), inputs);
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_TRUE(identical(actual[i], expected[i])) << "output " << i;
      }
    }
    const int64_t unpacked = (kInput * 3 + kHidden * 3) * kHidden * int64_t{sizeof(float)};
    EXPECT_GE(bytes, unpacked);
    EXPECT_LT(bytes, 2 * unpacked);  // missing units are zeros
  });
}

TEST(WeightStore, PacksForOtherTargetsWhatWasAskedFor) {
  const std::unique_ptr<Graph> graph = gru();
  std::map<WeightStore::Key, std::vector<float>> packed;
  for_each_target([&] {
    WeightStore store;
    store.add(*graph);
    const PreparedGraph prepared(*bound(*graph, 3, 1),
                                 {.kernels = KernelChoice::highway, .weights = &store});
    const std::vector<WeightStore::Key> asked = store.asked();
    EXPECT_EQ(asked.size(), 3u);  // of what feeds the loop, of its two stages
    for (const WeightStore::Key& key : asked) {
      const std::vector<float> block = highway::pack(key, store);
      const auto floats = static_cast<int64_t>(block.size());
      const WeightStore::Block used = store.block(key, floats, [](float*) { FAIL(); });
      EXPECT_TRUE(std::equal(block.begin(), block.end(), used.get()));
      for (const size_t lanes : {4, 8, 16}) {
        const WeightStore::Key other = highway::with_lanes(key, lanes);
        const std::vector<float> made = highway::pack(other, store);
        const auto known = packed.emplace(other, made).first;
        EXPECT_EQ(made, known->second);
      }
    }
  });
  WeightStore empty;
  EXPECT_THROW(highway::pack({WeightStore::kLoopWeights, 4}, empty), Error);
  EXPECT_THROW(highway::with_lanes({7, 4}, 8), Error);
}

TEST(WeightStore, ManyThreadsPrepareAtOnce) {
  const std::unique_ptr<Graph> graph = gru();
  WeightStore store;
  store.add(*graph);
  std::vector<std::unique_ptr<PreparedGraph>> kept(4 * kShapes.size());
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (size_t i = next++; i < kept.size(); i = next++) {
        const auto& [steps, rows] = kShapes[i % kShapes.size()];
        kept[i] = std::make_unique<PreparedGraph>(
            *bound(*graph, steps, rows),
            PrepareOptions{.kernels = KernelChoice::highway, .weights = &store});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store.statistics().packed_blocks, 3);
}

}  // namespace
}  // namespace refrain::testing
