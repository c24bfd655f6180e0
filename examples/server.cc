// A server of many streams, each a client that sends one step every few milliseconds, run together
// by a Batcher: how long the answers took, as a histogram; then how many steps a second it gives at
// most, beside stepping the streams one by one on one thread.
//
//   server MODEL [--streams N] [--steps N] [--period MILLISECONDS] [--batch N] [--threads N]
//          [--state IN=OUT] [--value NAME=NUMBER] [--shape NAME=DxDxD]
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <mutex>
#include <queue>
#include <random>
#include <thread>

#include "arguments.h"

namespace {

constexpr char kUsage[] =
    "usage: server MODEL [--streams N] [--steps N] [--period MILLISECONDS] [--batch N]\n"
    "              [--threads N] [--state IN=OUT] [--value NAME=NUMBER] [--shape NAME=DxDxD]\n";

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Latencies by powers of two of a microsecond. Any thread may add.
class Histogram {
 public:
  void add(Clock::duration latency) {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(latency).count();
    const auto bucket = static_cast<size_t>(std::bit_width(static_cast<uint64_t>(us)));
    ++buckets_[std::min(bucket, buckets_.size() - 1)];
  }
  void print() const {
    uint64_t total = 0, most = 1;
    for (const auto& bucket : buckets_) total += bucket, most = std::max<uint64_t>(most, bucket);
    uint64_t below = 0;
    for (size_t i = 0; i < buckets_.size() && below < total; ++i) {
      const uint64_t count = buckets_[i];
      below += count;
      if (below == 0) continue;
      std::printf("  < %8llu us %8llu %6.2f %% %s\n", 1ULL << i,
                  static_cast<unsigned long long>(count),
                  100.0 * static_cast<double>(below) / static_cast<double>(total),
                  std::string(static_cast<size_t>(40 * count / most), '#').c_str());
    }
  }

 private:
  std::array<std::atomic<uint64_t>, 32> buckets_{};
};

// A stream with the memory that its steps read and write.
struct Client {
  refrain::Batcher::Stream stream;
  std::vector<refrain::Array> inputs, outputs;
  std::vector<const void*> in;
  std::vector<void*> out;
};

refrain::Array array_of(const refrain::TensorInfo& info) {
  std::vector<int64_t> extents;
  for (const refrain::Dimension& dimension : info.dimensions) extents.push_back(dimension.extent);
  return refrain::Array(info.type, refrain::Extents(std::span<const int64_t>(extents)));
}

std::vector<Client> connect(refrain::Batcher& batcher, size_t count) {
  std::mt19937 random(1);
  std::vector<Client> clients(count);
  for (Client& client : clients) {
    client.stream = batcher.open();
    for (const refrain::TensorInfo& info : batcher.inputs()) {
      client.inputs.push_back(array_of(info));
      if (info.type != refrain::DataType::f32) continue;
      for (float& value : client.inputs.back().data<float>())
        value = std::normal_distribution<float>()(random);
    }
    for (const refrain::TensorInfo& info : batcher.outputs())
      client.outputs.push_back(array_of(info));
    for (refrain::Array& array : client.inputs) client.in.push_back(array.view().raw());
    for (refrain::Array& array : client.outputs) client.out.push_back(array.view().raw());
  }
  return clients;
}

class Failure {
 public:
  void note(const refrain::Error* error) {
    if (!error) return;
    const std::lock_guard lock(mutex_);
    if (text_.empty()) text_ = error->what();
  }
  void check() {
    const std::lock_guard lock(mutex_);
    if (!text_.empty()) throw std::runtime_error(text_);
  }

 private:
  std::mutex mutex_;
  std::string text_;
};

// Every client sends a step a period, at its own time.
void serve(refrain::Batcher& batcher, std::vector<Client>& clients, size_t steps,
           Clock::duration period) {
  Histogram histogram;
  Failure failure;
  struct Due {
    Clock::time_point when;
    size_t client, left;
    bool operator<(const Due& other) const { return when > other.when; }  // the soonest first
  };
  std::priority_queue<Due> queue;
  const auto begin = Clock::now();
  for (size_t i = 0; i < clients.size(); ++i)
    queue.push({begin + period * static_cast<int64_t>(i) / static_cast<int64_t>(clients.size()), i,
                steps});
  while (!queue.empty()) {
    Due due = queue.top();
    queue.pop();
    std::this_thread::sleep_until(due.when);
    Client& client = clients[due.client];
    client.stream.submit({.inputs = client.in.data(),
                          .outputs = client.out.data(),
                          .steps = 1,
                          .done = [&, when = due.when](const refrain::Error* error) {
                            histogram.add(Clock::now() - when);
                            failure.note(error);
                          }});
    due.when += period;
    if (--due.left > 0) queue.push(due);
  }
  batcher.drain();
  failure.check();
  const auto [run, batches] = batcher.statistics();
  std::printf(
      "%zu streams, %zu steps each, one every %.0f us: %.1f steps a batch; from due to done:\n",
      clients.size(), steps, std::chrono::duration<double, std::micro>(period).count(),
      static_cast<double>(run) / static_cast<double>(std::max<uint64_t>(batches, 1)));
  histogram.print();
}

// Steps a second when all clients send as fast as they are taken.
double throughput(refrain::Batcher& batcher, std::vector<Client>& clients, size_t steps) {
  Failure failure;
  const auto begin = Clock::now();
  for (size_t step = 0; step < steps; ++step)
    for (Client& client : clients)
      client.stream.submit({.inputs = client.in.data(),
                            .outputs = client.out.data(),
                            .steps = 1,
                            .done = [&](const refrain::Error* error) { failure.note(error); }});
  batcher.drain();
  const double seconds = seconds_since(begin);
  failure.check();
  return static_cast<double>(steps * clients.size()) / seconds;
}

// The same by a session for each.
double one_by_one(const refrain::Model& model, const refrain::Setup& setup, size_t streams,
                  size_t steps) {
  std::vector<refrain::Session> sessions;
  sessions.emplace_back(model).prepare_step(setup);
  while (sessions.size() < streams) sessions.push_back(sessions.front().fork());
  const auto begin = Clock::now();
  for (size_t step = 0; step < steps; ++step)
    for (refrain::Session& session : sessions) session.step();
  return static_cast<double>(steps * streams) / seconds_since(begin);
}

int demonstrate(const examples::Arguments& arguments) {
  const auto streams = static_cast<size_t>(arguments.number("streams", 200));
  const auto steps = static_cast<size_t>(arguments.number("steps", 50));
  const std::chrono::duration<double, std::milli> period(arguments.number("period", 10));
  if (streams < 1 || steps < 1 || !(period.count() > 0))
    throw std::runtime_error("streams, steps and period must be positive");
  const refrain::Model model = refrain::Model::load(arguments.words[0], arguments.load);

  std::vector<refrain::Array> values;
  refrain::BatcherOptions options;
  options.max_batch = static_cast<int64_t>(arguments.number("batch", 64));
  options.threads = static_cast<int>(arguments.number("threads", 1));
  options.setup = arguments.setup(model, values);
  refrain::Batcher batcher(model, options);
  std::vector<Client> clients = connect(batcher, streams);

  serve(batcher, clients, steps, std::chrono::duration_cast<Clock::duration>(period));
  const double together = throughput(batcher, clients, steps);
  const double alone = one_by_one(model, options.setup, streams, steps);
  std::printf("at most %.0f steps a second, one by one %.0f: %.2f times\n", together, alone,
              together / alone);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0)) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  try {
    const examples::Arguments arguments(argc, argv);
    if (arguments.words.size() != 1) {
      std::fputs(kUsage, stderr);
      return 2;
    }
    return demonstrate(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "server: %s\n", error.what());
    return 2;
  }
}
