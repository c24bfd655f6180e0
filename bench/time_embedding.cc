// Times the public API; bench/embedding.py calls it. Prints JSON.
//
// usage: time_embedding step HIDDEN SECONDS
//            nanoseconds of one step of an LSTM (inputs as many as units) through Session, by the
//            prepared graph's kernel alone
//        time_embedding rows INPUTS HIDDEN SECONDS
//            nanoseconds of one stream's step in batches of 1, 4, 16, 64
//        time_embedding sessions COUNT THREADS SECONDS
//            steps a second of so many sessions (an LSTM of 128) on so many threads
//        time_embedding batcher INPUTS HIDDEN STREAMS THREADS SECONDS
//            steps a second of streams through a Batcher, and of as many sessions one by one
//        time_embedding chunks MODEL STEPS [ONNXRUNTIME]
//            microseconds of each of so many chunks through Silero's VAD: median, worst
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "embedding_models.h"
#include "frontend/driver/model.h"
#include "frontend/driver/onnxruntime.h"
#include "frontend/driver/timing.h"
#include "refrain/refrain.h"

namespace {

using namespace refrain;
using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

Model lstm(int64_t inputs, int64_t hidden) {
  const std::string bytes = lstm_bytes(inputs, hidden);
  return Model::from_memory(std::as_bytes(std::span(bytes)));
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void fill(std::span<float> values) {
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
}

Session stepper(const Model& model, int64_t batch = 1) {
  Session session(model);
  session.prepare_step({.symbols = {{"B", batch}}});
  fill(session.input("x").data<float>());
  return session;
}

Json time_step(int64_t hidden, double seconds) {
  Session session = stepper(lstm(hidden, hidden));
  LstmKernel kernel(hidden, hidden);
  const std::vector<std::function<void()>> programs = {[&] { kernel.step(); },
                                                       [&] { session.step(); }};
  const std::vector<Timing> times = time_in_turns(programs, seconds);
  return {{"kernel_ns", times[0].min_us * 1e3},
          {"step_ns", times[1].min_us * 1e3},
          {"kernel_median_ns", times[0].median_us * 1e3},
          {"step_median_ns", times[1].median_us * 1e3},
          {"kernel", kernel.describe()}};
}

Json time_rows(int64_t inputs, int64_t hidden, double seconds) {
  const Model model = lstm(inputs, hidden);
  const std::vector<int64_t> batches = {1, 4, 16, 64};
  std::vector<Session> sessions;
  std::vector<std::function<void()>> programs;
  for (const int64_t batch : batches) sessions.push_back(stepper(model, batch));
  for (Session& session : sessions) programs.emplace_back([&session] { session.step(); });
  const std::vector<Timing> times = time_in_turns(programs, seconds);
  Json json;
  for (size_t i = 0; i < batches.size(); ++i) {
    json[std::to_string(batches[i])] = times[i].min_us * 1e3 / static_cast<double>(batches[i]);
  }
  return json;
}

// Steps a second of sessions, dealt out to threads, each stepping its own one after the other.
double sessions_rate(const Model& model, int count, int threads, double seconds) {
  const Session first = stepper(model);
  std::vector<std::vector<Session>> sessions(static_cast<size_t>(threads));
  for (int i = 0; i < count; ++i) {
    std::vector<Session>& mine = sessions[static_cast<size_t>(i % threads)];
    mine.push_back(first.fork());
    fill(mine.back().input("x").data<float>());
  }
  std::atomic<int> ready{0};
  std::atomic<bool> stop{false};
  std::vector<uint64_t> steps(sessions.size());
  std::vector<std::thread> workers;
  for (size_t t = 0; t < sessions.size(); ++t) {
    workers.emplace_back([&, t] {
      for (Session& session : sessions[t]) session.step();
      ++ready;
      while (ready < threads) std::this_thread::yield();
      uint64_t done = 0;
      while (!stop) {
        for (Session& session : sessions[t]) session.step();
        done += sessions[t].size();
      }
      steps[t] = done;
    });
  }
  while (ready < threads) std::this_thread::yield();
  const auto start = Clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  const double taken = seconds_since(start);
  for (std::thread& worker : workers) worker.join();
  uint64_t all = 0;
  for (const uint64_t count_of_one : steps) all += count_of_one;
  return static_cast<double>(all) / taken;
}

// Each stream submits its next step when the one before is done.
class Client {
 public:
  Client(Batcher& batcher, int64_t inputs, int64_t hidden, const std::atomic<bool>& stop)
      : stream_(batcher.open()),
        x_(static_cast<size_t>(inputs)),
        y_(static_cast<size_t>(hidden)),
        stop_(stop) {
    fill(x_);
  }
  void submit() {
    stream_.submit(
        {.inputs = inputs_, .outputs = outputs_, .steps = 1, .done = [this](const Error*) {
           if (!stop_.load(std::memory_order_relaxed)) submit();
         }});
  }

 private:
  Batcher::Stream stream_;
  std::vector<float> x_, y_;
  const void* inputs_[1] = {x_.data()};
  void* outputs_[3] = {y_.data(), nullptr, nullptr};
  const std::atomic<bool>& stop_;
};

double batcher_rate(const Model& model, int64_t inputs, int64_t hidden, int streams, int threads,
                    double seconds, double& mean_batch) {
  Batcher batcher(model, {.max_batch = 64, .threads = threads});
  std::atomic<bool> stop{false};
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < streams; ++i) {
    clients.push_back(std::make_unique<Client>(batcher, inputs, hidden, stop));
  }
  for (const std::unique_ptr<Client>& client : clients) client->submit();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds / 10));
  const Batcher::Statistics before = batcher.statistics();
  const auto start = Clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const Batcher::Statistics after = batcher.statistics();
  const double taken = seconds_since(start);
  stop = true;
  batcher.drain();
  const auto steps = static_cast<double>(after.steps - before.steps);
  mean_batch = steps / static_cast<double>(std::max<uint64_t>(after.batches - before.batches, 1));
  return steps / taken;
}

Json time_batcher(int64_t inputs, int64_t hidden, int streams, int threads, double seconds) {
  const Model model = lstm(inputs, hidden);
  double alone = 0, together = 0, mean_batch = 0;
  constexpr int kRounds = 3;  // the best of them, taken in turns
  for (int round = 0; round < kRounds; ++round) {
    alone = std::max(alone, sessions_rate(model, streams, threads, seconds / kRounds));
    together = std::max(together, batcher_rate(model, inputs, hidden, streams, threads,
                                               seconds / kRounds, mean_batch));
  }
  return {{"alone_per_s", alone}, {"together_per_s", together}, {"mean_batch", mean_batch}};
}

Json distribution(std::vector<double> us) {
  std::sort(us.begin(), us.end());
  const auto at = [&](double part) {
    return us[static_cast<size_t>(part * static_cast<double>(us.size() - 1))];
  };
  return {{"min_us", us.front()},
          {"median_us", at(0.5)},
          {"p99_us", at(0.99)},
          {"p9999_us", at(0.9999)},
          {"worst_us", us.back()}};
}

// Of each of `steps` calls, in microseconds. Linux stops a thread of real-time priority for 50 ms
// when it has run for 950 ms without a rest, so it rests now and then, between calls.
template <typename F>
Json time_each(int steps, const F& step) {
  constexpr int kWarmUp = 1000, kBetweenRests = 10'000;
  std::vector<double> us(static_cast<size_t>(steps));
  for (size_t i = 0; i < us.size(); ++i) {
    if (i % kBetweenRests == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      for (int k = 0; k < kWarmUp; ++k) step();
    }
    const auto start = Clock::now();
    step();
    us[i] = seconds_since(start) * 1e6;
  }
  return distribution(std::move(us));
}

// As many multiplications, each of which waits for the one before, as take so long: what the
// machine adds to the time of a program that touches no memory.
Json time_control(int steps, double us) {
  uint64_t sum = 0;
  const auto multiply = [&](int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      sum = sum * 3 + 1;
      asm volatile("" : "+r"(sum));
    }
  };
  constexpr int64_t kTrial = 1'000'000;
  double best = 1e9;
  for (int i = 0; i < 10; ++i) {
    const auto start = Clock::now();
    multiply(kTrial);
    best = std::min(best, seconds_since(start) * 1e6);
  }
  const auto count = static_cast<int64_t>(us / best * kTrial);
  return time_each(steps, [&] { multiply(count); });
}

// Silero's VAD at 16 kHz: 512 samples a chunk after 64 of the one before.
Json time_chunks(const std::string& path, int steps, const std::string& onnxruntime) {
  constexpr int64_t kSamples = 576;
  const int64_t rate = 16000;
  Session session(Model::load(path, {.states = {{"state", "stateN"}}}));
  session.prepare_step(
      {.shapes = {{"input", {1, kSamples}}}, .values = {{"sr", ConstView({}, &rate)}}});
  fill(session.input("input").data<float>());
  Json json;
  json["real_time"] = session.real_time().guaranteed;
  json["why"] = session.real_time().why;
  if (!onnxruntime.empty()) {
    const auto graph = load_model(path).graph;
    std::vector<RuntimeValue> inputs;
    for (size_t i = 0; i < graph->input_count(); ++i) {
      const std::string& name = graph->input(i)->name();
      Tensor tensor = name == "sr"      ? Tensor::scalar<int64_t>(rate)
                      : name == "state" ? Tensor(ElementType::f32, {2, 1, 128})
                                        : Tensor(ElementType::f32, {1, kSamples});
      if (name == "input") fill(tensor.data<float>());
      inputs.emplace_back(std::move(tensor));
    }
    OnnxRuntimeSession rival(onnxruntime, path, *graph, inputs, 1);
    const std::vector<std::function<void()>> programs = {[&] { session.step(); },
                                                         [&] { rival.run(); }};
    const std::vector<Timing> times = time_in_turns(programs, 2);
    json["refrain_us"] = times[0].min_us;
    json["refrain_median_us"] = times[0].median_us;
    json["onnxruntime_us"] = times[1].min_us;
    json["onnxruntime_median_us"] = times[1].median_us;
    json["onnxruntime_version"] = rival.version();
  }
  // As audio threads run, where that is allowed.
  sched_param priority{};
  priority.sched_priority = 50;
  json["real_time_priority"] = pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority) == 0;
  json["steps"] = time_each(steps, [&] { session.step(); });
  json["control"] = time_control(steps, json["steps"]["median_us"]);
  return json;
}

Json run(const std::vector<std::string>& a) {
  const auto integer = [&](size_t i) { return std::stoll(a.at(i)); };
  const auto count = [&](size_t i) { return std::stoi(a.at(i)); };
  const auto real = [&](size_t i) { return std::stod(a.at(i)); };
  const std::string& what = a.at(0);
  if (what == "step") return time_step(integer(1), real(2));
  if (what == "rows") return time_rows(integer(1), integer(2), real(3));
  if (what == "sessions") {
    return {{"steps_per_s", sessions_rate(lstm(128, 128), count(1), count(2), real(3))}};
  }
  if (what == "batcher") return time_batcher(integer(1), integer(2), count(3), count(4), real(5));
  if (what == "chunks") return time_chunks(a.at(1), count(2), a.size() > 3 ? a[3] : "");
  throw Error("no such benchmark", "step, rows, sessions, batcher or chunks", what);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::printf("%s\n", run({argv + 1, argv + argc}).dump(2).c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "time_embedding: %s\n", error.what());
    return 2;
  }
}
