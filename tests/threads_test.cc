// What may be shared by threads is shared here; meant for the thread sanitizer.
#include <gtest/gtest.h>

#include <thread>

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

}  // namespace
}  // namespace refrain
