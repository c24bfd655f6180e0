// What may be shared by threads is shared here; meant for the thread sanitizer. TBB isn't built for
// it, so that what runs on TBB's workers runs on threads of our own here.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "backends/executable/wavefront.h"
#include "backends/highway/recurrent.h"
#include "backends/reference/executor.h"
#include "ir/text.h"
#include "support/compare.h"
#include "support/random.h"

namespace refrain {
namespace {

TEST(Threads, ShareOneGraph) {
  const std::unique_ptr<Graph> graph =
      parse(R"(graph @g (%x: f32[T, B, 3], %h: f32[B, 3], %n: i32[B]) {
    %final, %all = scan lengths(%n) state(%s = %h: f32[B, 3]) scanned(%xt = %x[0]: f32[B, 3]) stacked([0]) {
      %sum = add(%s, %xt) : f32[B, 3]
      %next = tanh(%sum) : f32[B, 3]
      yield %next, %next
    } : f32[B, 3], f32[T, B, 3]
    yield "final" = %final, "all" = %all
  })");
  testing::Random random;
  const std::vector<int32_t> lengths = {7, 0, 3};
  const std::vector<RuntimeValue> inputs = {random.tensor(ElementType::f32, {7, 3, 3}),
                                            random.tensor(ElementType::f32, {3, 3}),
                                            Tensor::of<int32_t>({3}, lengths)};
  const std::vector<RuntimeValue> expected = reference::run(*graph, inputs);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        const std::vector<RuntimeValue> outputs = reference::run(*graph, inputs);
        EXPECT_TRUE(testing::equal(*outputs[0].tensor, *expected[0].tensor));
        EXPECT_TRUE(testing::equal(*outputs[1].tensor, *expected[1].tensor));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Threads, ParseAtOnceAndMeetInTheSymbolTable) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 200; ++i) {
        const std::string symbol = "S" + std::to_string(i);
        const std::string text = "graph @g (%x: f32[" + symbol + "]) {\n  yield \"y\" = %x\n}\n";
        EXPECT_EQ(print(*parse(text)), text);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

template <typename F>
void on_threads(int count, const F& f) {
  std::vector<std::thread> threads;
  for (int t = 0; t < count; ++t) threads.emplace_back(f);
  for (std::thread& thread : threads) thread.join();
}

// h' = tanh(W h + x), of which a second stage of each step computes z = V h'.
class TwoStages {
 public:
  static constexpr int64_t kUnits = 150, kOther = 70;

  TwoStages(int64_t rows, int64_t steps) : rows_(rows), steps_(steps), x_(count(kUnits)) {
    std::vector<float> w(kUnits * kUnits), v(kUnits * kOther);
    for (std::vector<float>* numbers : {&w, &v, &x_}) {
      for (float& x : *numbers) x = static_cast<float>(random_.uniform(-0.1, 0.1));
    }
    using highway::Operation;
    using highway::Stream;
    highway::LoopSpec spec;
    spec.state_sizes = {kUnits};
    const Stream y{Stream::Kind::rows, 1, rows * kUnits, kUnits, 0};
    const Stream z{Stream::Kind::rows, 2, rows * kOther, kOther, 0};
    spec.stages.push_back({kUnits,
                           1,
                           {{{Stream::Kind::state, 0}, kUnits, {{0, w.data(), kUnits}}}},
                           {2, {{Operation::add, 2, {0, 1}}, {Operation::tanh, 3, {2}}}, {3, 3}},
                           {{Stream::Kind::rows, 0, rows * kUnits, kUnits, 0}},
                           {{Stream::Kind::state, 0}, y}});
    spec.stages.push_back(
        {kOther, 1, {{y, kUnits, {{0, v.data(), kOther}}}}, {1, {}, {0}}, {}, {z}});
    loop_ = std::make_unique<highway::RecurrentLoop>(spec);
  }

  const highway::RecurrentLoop& loop() const { return *loop_; }

  // All that run(Run) writes.
  template <typename F>
  std::vector<std::vector<float>> results(const F& run) {
    std::vector<float> y(count(kUnits)), z(count(kOther)), h(count(kUnits)), other(count(kUnits));
    float *buffers[] = {x_.data(), y.data(), z.data()}, *current[] = {h.data()},
          *next[] = {other.data()};
    run(highway::RecurrentLoop::Run{buffers, current, next, steps_, 0, rows_});
    h.resize(static_cast<size_t>(rows_ * kUnits));
    return {y, z, h};
  }

 private:
  size_t count(int64_t units) const { return static_cast<size_t>(steps_ * rows_ * units); }

  testing::Random random_;
  int64_t rows_, steps_;
  std::vector<float> x_;
  std::unique_ptr<highway::RecurrentLoop> loop_;
};

TEST(Threads, ShareTheBlocksOfALoop) {
  for (const int64_t rows : {1, 3}) {
    TwoStages layer(rows, 40);
    const auto expected = layer.results([&](const auto& run) { layer.loop().run(run); });
    for (const int workers : {1, 2, 3, 7}) {
      highway::BlockShare share(layer.loop().blocks(), workers);
      for (int repeat = 0; repeat < 10; ++repeat) {
        share.begin();
        EXPECT_EQ(layer.results([&](const auto& run) {
          on_threads(workers, [&] { layer.loop().run_shared(run, share); });
        }),
                  expected);
      }
    }
  }
}

// Threads that wait for one that the machine isn't running must let it run.
TEST(Threads, ShareTheBlocksOfALoopOnFewerCores) {
  TwoStages layer(1, 2000);
  const auto expected = layer.results([&](const auto& run) { layer.loop().run(run); });
  highway::BlockShare share(layer.loop().blocks(), 16);
  share.begin();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(layer.results([&](const auto& run) {
    on_threads(16, [&] { layer.loop().run_shared(run, share); });
  }),
            expected);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

// Each chunk of a loop reads what the one before left, and what the loop before made of the same
// time.
TEST(Threads, ShareTheChunksOfAWavefront) {
  constexpr size_t kLoops = 3, kChunks = 50;
  for (const int workers : {1, 2, 3, 7}) {
    executable::ChunkShare share(kLoops, kChunks);
    for (int repeat = 0; repeat < 10; ++repeat) {
      std::vector<std::vector<uint64_t>> values(kLoops, std::vector<uint64_t>(kChunks));
      const auto run = [&](size_t loop, size_t index) {
        const uint64_t before = index == 0 ? 1 : values[loop][index - 1];
        const uint64_t below = loop == 0 ? index : values[loop - 1][index];
        values[loop][index] = before * 31 + below;
      };
      share.begin();
      on_threads(workers, [&] {
        for (executable::ChunkShare::Chunk chunk; share.next(chunk);) {
          run(chunk.loop, static_cast<size_t>(chunk.index));
        }
      });
      const std::vector<std::vector<uint64_t>> found = values;
      for (size_t loop = 0; loop < kLoops; ++loop) {
        for (size_t index = 0; index < kChunks; ++index) run(loop, index);
      }
      EXPECT_EQ(found, values);
    }
  }
}

}  // namespace
}  // namespace refrain
