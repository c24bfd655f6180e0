// Batcher: streams that step together against sessions that step alone; order, back pressure,
// closing and shutting down, under the thread sanitizer too.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>

#include "support/compare.h"
#include "support/embed_models.h"

namespace refrain {
namespace {

using std::chrono::microseconds;
using testing::close;
using testing::error_of;
using ::testing::HasSubstr;
using testing::load;
using testing::load_bytes;
using testing::lstm_model;
using testing::Random;
using testing::tensor_of;
using testing::view_of;

constexpr int64_t kInputs = 3, kHidden = 5;

Model model() { return load(lstm_model(kInputs, kHidden)); }

// What a session makes of x [T, 1, I]: y [T, 1, 1, H].
Tensor alone(const Model& of, const Tensor& x) {
  Session session(of);
  session.prepare_step();
  Tensor y(ElementType::f32, {x.extents()[0], 1, 1, kHidden});
  for (int64_t t = 0; t < x.extents()[0]; ++t) {
    const Outputs outputs = session.step({{"x", view_of(testing::step_of(x, t))}});
    std::memcpy(y.data<float>().data() + t * kHidden, outputs.at("y").view().raw(),
                kHidden * sizeof(float));
  }
  return y;
}

// Holds a worker in a callback until it is let go.
class Gate {
 public:
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    waiting_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  void await_waiter() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return waiting_; });
  }
  void open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool waiting_ = false, open_ = false;
};

// One step on zeros.
struct Step {
  std::vector<float> x = std::vector<float>(kInputs);
  std::vector<float> y = std::vector<float>(kHidden);
  const void* inputs[1] = {x.data()};
  void* outputs[3] = {y.data(), nullptr, nullptr};

  Batcher::Transfer transfer(std::function<void(const Error*)> done = nullptr) {
    return {.inputs = inputs, .outputs = outputs, .steps = 1, .done = std::move(done)};
  }
};

struct Load {
  int64_t max_batch;
  int threads, submitters;
};

class EmbedBatcher : public ::testing::TestWithParam<Load> {};

// Streams of different lengths from several threads, each checked against a session of its own.
TEST_P(EmbedBatcher, StreamsGetWhatSessionsGet) {
  const Load load = GetParam();
  const Model of = model();
  Batcher batcher(of, {.max_batch = load.max_batch,
                       .max_delay = microseconds(100),
                       .threads = load.threads,
                       .queue_capacity = 16});
  EXPECT_EQ(batcher.inputs()[0].text, "f32[1, 1, 3]");
  EXPECT_EQ(batcher.states().size(), 2u);
  constexpr int kStreams = 6;
  std::vector<std::thread> threads;
  std::atomic<int64_t> steps{0};
  for (int s = 0; s < load.submitters; ++s) {
    threads.emplace_back([&, s] {
      Random random(static_cast<uint64_t>(s) + 1);
      std::vector<Batcher::Stream> streams;
      std::vector<std::vector<Tensor>> parts(kStreams);
      std::vector<std::vector<std::future<Outputs>>> futures(kStreams);
      for (int i = 0; i < kStreams; ++i) streams.push_back(batcher.open());
      for (int round = 0; round < 4; ++round) {
        for (size_t i = 0; i < streams.size(); ++i) {
          const int64_t T = random.integer(1, 4);
          steps += T;
          parts[i].push_back(random.tensor(ElementType::f32, {T, 1, kInputs}));
          futures[i].push_back(streams[i].submit({{"x", view_of(parts[i].back())}}));
        }
      }
      for (size_t i = 0; i < streams.size(); ++i) {
        Tensor all(ElementType::f32, {0, 1, kInputs});
        std::vector<float> x, y;
        for (size_t p = 0; p < parts[i].size(); ++p) {
          const Outputs outputs = futures[i][p].get();
          const auto from = parts[i][p].data<float>();
          x.insert(x.end(), from.begin(), from.end());
          const auto made = outputs.at("y").data<float>();
          y.insert(y.end(), made.begin(), made.end());
        }
        const auto T = static_cast<int64_t>(x.size()) / kInputs;
        const Tensor expected = alone(of, Tensor::of<float>({T, 1, kInputs}, x));
        EXPECT_TRUE(close(Tensor::of<float>({T, 1, 1, kHidden}, y), expected, 1e-5, 1e-6));
        EXPECT_TRUE(close(tensor_of(streams[i].read_state("h0")),
                          Tensor::of<float>({1, 1, kHidden}, std::span(y).last(kHidden)), 0, 0));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  batcher.drain();
  EXPECT_EQ(batcher.statistics().steps, static_cast<uint64_t>(steps));
  if (load.max_batch == 1) {
    EXPECT_EQ(batcher.statistics().batches, batcher.statistics().steps);
  }
}

INSTANTIATE_TEST_SUITE_P(Loads, EmbedBatcher,
                         ::testing::Values(Load{1, 1, 1}, Load{4, 1, 1}, Load{7, 1, 2},
                                           Load{16, 2, 2}, Load{5, 3, 3}));

TEST(EmbedBatcherQueue, GathersStreamsIntoBatches) {
  Batcher batcher(model(), {.max_batch = 8, .max_delay = microseconds(200'000)});
  std::vector<Batcher::Stream> streams;
  std::vector<Step> steps(8);
  for (size_t i = 0; i < steps.size(); ++i) streams.push_back(batcher.open());
  for (int round = 0; round < 10; ++round) {
    for (size_t i = 0; i < steps.size(); ++i) streams[i].submit(steps[i].transfer());
    batcher.drain();
  }
  EXPECT_EQ(batcher.statistics().steps, 80u);
  // All eight are waited for, as none has to wait long for them.
  EXPECT_EQ(batcher.statistics().batches, 10u);
}

TEST(EmbedBatcherQueue, WaitsNoLongerThanTheDelay) {
  Batcher batcher(model(), {.max_batch = 8, .max_delay = microseconds(1000)});
  Batcher::Stream one = batcher.open(), other = batcher.open();
  const Tensor x(ElementType::f32, {1, 1, kInputs});
  EXPECT_EQ(one.submit({{"x", view_of(x)}}).wait_for(std::chrono::seconds(20)),
            std::future_status::ready);
}

TEST(EmbedBatcherQueue, CallbacksKeepTheOrderOfTheirStream) {
  Batcher batcher(model(), {.max_batch = 4, .max_delay = microseconds(0), .threads = 2});
  constexpr size_t kStreams = 5, kSteps = 50;
  std::vector<Batcher::Stream> streams;
  std::vector<std::vector<size_t>> order(kStreams);
  std::vector<Step> steps(kStreams);
  for (size_t i = 0; i < kStreams; ++i) streams.push_back(batcher.open());
  for (size_t n = 0; n < kSteps; ++n) {
    for (size_t i = 0; i < kStreams; ++i) {
      streams[i].submit(steps[i].transfer([&order, i, n](const Error*) { order[i].push_back(n); }));
    }
  }
  batcher.drain();
  std::vector<size_t> expected(kSteps);
  std::iota(expected.begin(), expected.end(), 0);
  for (const auto& calls : order) EXPECT_EQ(calls, expected);
}

TEST(EmbedBatcherQueue, FullQueuesPressBack) {
  Batcher batcher(model(), {.max_batch = 4, .max_delay = microseconds(0), .queue_capacity = 2});
  Gate gate;
  Batcher::Stream stream = batcher.open(), other = batcher.open();
  Step step, second, third;
  stream.submit(step.transfer([&](const Error*) { gate.wait(); }));
  gate.await_waiter();
  EXPECT_TRUE(other.try_submit(second.transfer()));
  EXPECT_FALSE(other.try_submit(third.transfer()));
  std::atomic<bool> through{false};
  std::thread blocked([&] {
    other.submit(third.transfer());
    through = true;
  });
  EXPECT_FALSE(through);
  gate.open();
  blocked.join();
  batcher.drain();
  EXPECT_EQ(batcher.statistics().steps, 3u);
}

TEST(EmbedBatcherQueue, CallbacksMaySubmitButNotWait) {
  Batcher batcher(model(), {.max_batch = 4, .max_delay = microseconds(0)});
  Batcher::Stream stream = batcher.open();
  Step first, second;
  std::string drained, read;
  std::promise<void> done;
  stream.submit(first.transfer([&](const Error*) {
    drained = error_of([&] { batcher.drain(); });
    read = error_of([&] { stream.read_state("h0"); });
    stream.submit(second.transfer([&](const Error*) { done.set_value(); }));
  }));
  done.get_future().wait();
  EXPECT_THAT(drained, HasSubstr("would wait for itself"));
  EXPECT_THAT(read, HasSubstr("would wait for itself"));
}

TEST(EmbedBatcherQueue, ClosingCancelsWhatWaits) {
  Batcher batcher(model(), {.max_batch = 1, .max_delay = microseconds(0)});
  Gate gate;
  Batcher::Stream busy = batcher.open(), stream = batcher.open();
  Step step, waiting;
  busy.submit(step.transfer([&](const Error*) { gate.wait(); }));
  gate.await_waiter();
  std::string message;
  stream.submit(waiting.transfer([&](const Error* error) { message = error->what(); }));
  stream.close();
  EXPECT_THAT(message, HasSubstr("closed before"));
  EXPECT_THAT(error_of([&] { stream.submit(waiting.transfer()); }), HasSubstr("closed"));
  gate.open();
  batcher.drain();
  EXPECT_EQ(batcher.statistics().steps, 1u);
}

TEST(EmbedBatcherQueue, StreamsMayCloseInTheirOwnCallback) {
  Batcher batcher(model(), {.max_batch = 2, .max_delay = microseconds(0)});
  std::optional<Batcher::Stream> stream = batcher.open();
  Step first, second;
  std::promise<std::string> message;
  Gate gate;
  stream->submit(first.transfer([&](const Error*) {
    gate.wait();
    stream->close();
  }));
  stream->submit(second.transfer([&](const Error* error) { message.set_value(error->what()); }));
  gate.await_waiter();
  gate.open();
  EXPECT_THAT(message.get_future().get(), HasSubstr("closed before"));
}

TEST(EmbedBatcherQueue, ShutsDownWithOrWithoutWhatWaits) {
  for (const auto pending : {Batcher::Pending::run, Batcher::Pending::cancel}) {
    Batcher batcher(model(), {.max_batch = 1, .max_delay = microseconds(0)});
    Gate gate;
    Batcher::Stream busy = batcher.open();
    std::vector<Batcher::Stream> streams;
    std::vector<Step> steps(5);
    std::atomic<int> ran{0}, cancelled{0};
    Step first;
    busy.submit(first.transfer([&](const Error*) { gate.wait(); }));
    gate.await_waiter();
    for (Step& step : steps) {
      streams.push_back(batcher.open());
      streams.back().submit(
          step.transfer([&](const Error* error) { ++(error ? cancelled : ran); }));
    }
    std::thread closing([&] { batcher.shutdown(pending); });
    if (pending == Batcher::Pending::cancel) {
      while (cancelled < 5) std::this_thread::yield();
    }
    gate.open();
    closing.join();
    EXPECT_EQ(ran, pending == Batcher::Pending::run ? 5 : 0);
    EXPECT_EQ(ran + cancelled, 5);
    EXPECT_THAT(error_of([&] { streams[0].submit(first.transfer()); }), HasSubstr("shut down"));
    EXPECT_THAT(error_of([&] { batcher.open(); }), HasSubstr("shut down"));
    batcher.shutdown(pending);
    batcher.drain();
  }
}

TEST(EmbedBatcherQueue, StreamsOutliveTheirBatcher) {
  std::optional<Batcher::Stream> stream;
  {
    Batcher batcher(model());
    stream = batcher.open();
  }
  Step step;
  EXPECT_THAT(error_of([&] { stream->submit(step.transfer()); }), HasSubstr("shut down"));
}

TEST(EmbedBatcherQueue, StatesAreReadWrittenAndReset) {
  Batcher batcher(model(), {.max_delay = microseconds(0)});
  Batcher::Stream stream = batcher.open();
  std::vector<float> h = {1, 2, 3, 4, 5};
  stream.write_state("h0", ConstView({1, 1, 5}, h.data()));
  EXPECT_EQ(stream.read_state("h0").data<float>()[4], 5);
  Step step;
  stream.submit(step.transfer());
  EXPECT_EQ(stream.read_state("h0").data<float>()[4], step.y[4]);
  stream.reset();
  EXPECT_EQ(stream.read_state("h0").data<float>()[4], 0);
  EXPECT_THAT(error_of([&] { stream.read_state("x"); }), HasSubstr("no state \"x\""));
  EXPECT_THAT(error_of([&] { stream.write_state("h0", ConstView({5}, h.data())); }),
              HasSubstr("wrong type or shape of state"));
}

// An index out of range fails its own stream only, whose state stays.
TEST(EmbedBatcherQueue, ErrorsStayWithTheirStream) {
  const Model of = load_bytes(R"(graph @g (%i: i64[T, B], %s: f32[B]) {
  %table = constant f32[3] (1, 2, 4)
  %x = gather(%table, %i) {axis = 0} : f32[T, B]
  %last, %y = scan state(%a = %s: f32[B]) scanned(%b = %x[0]: f32[B]) stacked([0]) {
    %n = add(%a, %b) : f32[B]
    yield %n, %n
  } : f32[B], f32[T, B]
  yield "y" = %y, "sum" = %last
}
)");
  Batcher batcher(of, {.max_batch = 4, .max_delay = microseconds(100'000)});
  std::vector<Batcher::Stream> streams;
  std::vector<std::future<Outputs>> futures;
  for (int i = 0; i < 4; ++i) streams.push_back(batcher.open());
  for (int64_t i = 0; i < 4; ++i) {
    const int64_t index = i == 2 ? 7 : 2;
    futures.push_back(streams[static_cast<size_t>(i)].submit({{"i", ConstView({1, 1}, &index)}}));
  }
  for (size_t i = 0; i < 4; ++i) {
    if (i == 2) {
      EXPECT_THROW(futures[i].get(), Error);
    } else {
      EXPECT_EQ(futures[i].get().at("y").data<float>()[0], 4);
    }
    EXPECT_EQ(streams[i].read_state("s").data<float>()[0], i == 2 ? 0 : 4);
  }
}

TEST(EmbedBatcherQueue, RefusesWhatCannotBeBatched) {
  EXPECT_THAT(error_of([] { Batcher(load(lstm_model(3, 5, true, "bidirectional"))); }),
              HasSubstr("can't be stepped"));
  // Each row reads the mean of all.
  const Model mixed = load_bytes(R"(graph @g (%x: f32[T, B], %s: f32[B]) {
  %last, %y = scan state(%a = %s: f32[B]) scanned(%b = %x[0]: f32[B]) stacked([0]) {
    %axes = constant i64[1] (0)
    %m = reduce_mean(%b, %axes) {keep_dims = true} : f32[1]
    %n = add(%a, %m) : f32[B]
    yield %n, %n
  } : f32[B], f32[T, B]
  yield "y" = %y, "sum" = %last
}
)");
  EXPECT_THAT(error_of([&] { Batcher batcher(mixed); }), HasSubstr("can't run as a batch"));
  const Model of = model();
  EXPECT_THAT(error_of([&] { Batcher(of, {.max_batch = 0}); }), HasSubstr("largest batch"));
  EXPECT_THAT(error_of([&] { Batcher(of, {.threads = 0}); }), HasSubstr("number of threads"));
  EXPECT_THAT(error_of([&] { Batcher(of, {.queue_capacity = 0}); }), HasSubstr("queue capacity"));
  EXPECT_THAT(error_of([&] { Batcher(of, {.setup = {.block = 2}}); }), HasSubstr("step by step"));
  EXPECT_THAT(error_of([&] {
                Batcher(of, {.setup = {.symbols = {{"B", 2}}}});
              }),
              HasSubstr("wrong batch of one stream"));
}

TEST(EmbedBatcherQueue, RefusesSubmissionsThatDoNotFit) {
  Batcher batcher(model(), {.max_streams = 1});
  Batcher::Stream stream = batcher.open();
  EXPECT_THAT(error_of([&] { batcher.open(); }), HasSubstr("too many streams"));
  Step step;
  const auto submit = [&](Batcher::Transfer transfer) {
    return error_of([&] { stream.submit(std::move(transfer)); });
  };
  EXPECT_THAT(submit({.inputs = step.inputs, .steps = 0}), HasSubstr("wrong number of steps"));
  EXPECT_THAT(submit({}), HasSubstr("no inputs"));
  const void* null[] = {nullptr};
  EXPECT_THAT(submit({.inputs = null}), HasSubstr("no memory for input \"x\""));
  const std::vector<float> x(6);
  EXPECT_THAT(error_of([&] { stream.submit(Inputs()); }), HasSubstr("no value for input \"x\""));
  EXPECT_THAT(error_of([&] {
                stream.submit({{"x", ConstView({2, 3}, x.data())}});
              }),
              HasSubstr("wrong type or shape of input \"x\""));
  EXPECT_THAT(error_of([&] {
                stream.submit({{"q", ConstView({2, 3}, x.data())}});
              }),
              HasSubstr("no input \"q\""));
}

}  // namespace
}  // namespace refrain
