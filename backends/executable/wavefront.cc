#include "backends/executable/wavefront.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "backends/executable/parallel.h"

namespace refrain::executable {
namespace {

// A chunk is worth a few microseconds and its products a row tile, and there are no more chunks
// than the few that a wave takes to reach all loops is small against.
constexpr int64_t kWorthAChunk = 200'000;  // multiplications
constexpr int64_t kRowsOfProducts = 8, kMostChunks = 32;
// Products of a chunk read their weights once for fewer rows than those of all steps; a wavefront
// must be so many times faster than one thread.
constexpr double kOfAChunk = 0.92, kWorthwhile = 1.2;
constexpr int kSpins = 1000;

}  // namespace

ChunkShare::ChunkShare(size_t loops, int64_t chunks)
    : loops_(loops), chunks_(chunks), progress_(std::make_unique<Progress[]>(loops)) {}

void ChunkShare::begin() {
  for (size_t loop = 0; loop < loops_; ++loop) {
    progress_[loop].value.store(0, std::memory_order_release);
  }
}

bool ChunkShare::find(Chunk& chunk) const {
  const size_t last = chunk.loop;
  chunk.loop = Chunk::kNoLoop;
  int64_t before = 2 * chunks_;
  for (size_t loop = 0; loop < loops_; ++loop) {
    const int64_t progress = progress_[loop].value.load(std::memory_order_acquire);
    const int64_t index = progress / 2;
    const bool ready = progress % 2 == 0 && index < chunks_ && index < before / 2;
    before = progress;
    if (!ready) continue;
    // Chunks and loops that lie behind it, in the way from it to the last chunk of the last loop.
    const int64_t passed = index + static_cast<int64_t>(loop);
    const int64_t best = chunk.index + static_cast<int64_t>(chunk.loop);
    if (chunk.loop == Chunk::kNoLoop || passed < best || (passed == best && loop == last)) {
      chunk = {loop, index};
    }
  }
  return chunk.loop != Chunk::kNoLoop;
}

bool ChunkShare::next(Chunk& last) {
  if (last.loop != Chunk::kNoLoop) {
    progress_[last.loop].value.store(2 * (last.index + 1), std::memory_order_release);
  }
  const size_t loop = last.loop;
  for (int spins = 0;; ++spins) {
    last.loop = loop;
    if (find(last)) {
      int64_t idle = 2 * last.index;
      if (progress_[last.loop].value.compare_exchange_strong(idle, idle + 1,
                                                             std::memory_order_acquire)) {
        return true;
      }
      continue;
    }
    // The last loop gets its last chunk last.
    if (progress_[loops_ - 1].value.load(std::memory_order_acquire) >= 2 * chunks_ - 1)
      return false;
    if (spins >= kSpins) std::this_thread::yield();
  }
}

Wavefront::Wavefront(std::vector<LoopStep*> loops, int64_t chunk, int threads)
    : loops_(std::move(loops)),
      chunk_(chunk),
      workers_(std::min(threads, static_cast<int>(loops_.size()))),
      share_(loops_.size(), (loops_[0]->shape().steps + chunk - 1) / chunk) {
  for (LoopStep* loop : loops_) {
    loop->join_wavefront("; in a wavefront of " + std::to_string(loops_.size()) + " loops over " +
                         std::to_string(workers_) + " threads, " + std::to_string(chunk) +
                         " steps at a time");
  }
}

void Wavefront::run() {
  for (LoopStep* loop : loops_) loop->start();
  const int64_t steps = loops_[0]->shape().steps;
  share_.begin();
  on_workers(workers_, [&] {
    for (ChunkShare::Chunk chunk; share_.next(chunk);) {
      const int64_t begin = chunk.index * chunk_;
      loops_[chunk.loop]->run_part(begin, std::min(chunk_, steps - begin));
    }
  });
}

std::string Wavefront::describe() const {
  return "wavefront of " + std::to_string(loops_.size()) + " loops";
}

int64_t wavefront_chunk(const std::vector<LoopStep*>& loops, int threads) {
  const LoopShape& shape = loops[0]->shape();
  int64_t least = shape.steps, least_cost = loops[0]->step_cost();
  double split = 1;  // how many times faster the loops are one after the other
  for (const LoopStep* loop : loops) {
    least = std::min(least, loop->shape().chunk);
    least_cost = std::min(least_cost, loop->step_cost());
    split = std::max(split, loop->expected_gain());
  }
  const auto over = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  const int64_t chunk = std::max({over(kWorthAChunk, least_cost), over(kRowsOfProducts, shape.rows),
                                  over(shape.steps, kMostChunks)});
  if (chunk > least) return 0;
  const auto chunks = static_cast<double>(over(shape.steps, chunk));
  const auto count = static_cast<double>(loops.size());
  const double workers = std::min(count, static_cast<double>(threads));
  const double gain = kOfAChunk * count * chunks / (count * chunks / workers + workers - 1);
  return gain > std::max(split, kWorthwhile) ? chunk : 0;
}

}  // namespace refrain::executable
