// Internal to executables: loops that read each other's results step by step, run as a wavefront.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/executable/loop_step.h"
#include "backends/executable/step.h"

namespace refrain::executable {

// Hands out the chunks of time of a row of loops to workers: chunk k of loop l may run once chunk k
// of loop l - 1 and chunk k - 1 of its own have. Nobody waits for a worker that has claimed
// nothing: one alone gets all of them.
class ChunkShare {
 public:
  ChunkShare(size_t loops, int64_t chunks);

  // Before the workers of a run start: none of the last one may be left.
  void begin();

  struct Chunk {
    static constexpr size_t kNoLoop = SIZE_MAX;
    size_t loop = kNoLoop;
    int64_t index = 0;
  };
  // Another chunk for a worker that has run `last`, if that has a loop: that of the longest way to
  // the end, if possible of the same loop. Waits for one, at first spinning, then yielding. False
  // if all have been claimed.
  bool next(Chunk& last);

 private:
  bool find(Chunk& chunk) const;

  // Twice the chunks done, one more while another runs; in lines of their own.
  struct alignas(128) Progress {
    std::atomic<int64_t> value{0};
  };
  size_t loops_;
  int64_t chunks_;
  std::unique_ptr<Progress[]> progress_;
};

// Runs loops, each of which follows the one before it (see LoopStep::follows), `chunk` steps at a
// time, on at most so many workers. The loops are steps of their own that nobody else runs.
class Wavefront final : public Step {
 public:
  Wavefront(std::vector<LoopStep*> loops, int64_t chunk, int threads);

  void run() override;
  std::string describe() const override;

 private:
  std::vector<LoopStep*> loops_;
  int64_t chunk_;
  int workers_;
  ChunkShare share_;
};

// The number of steps at a time with which these loops, each following the one before, are worth a
// wavefront; 0 if splitting the rows or the blocks of one after the other promises more.
int64_t wavefront_chunk(const std::vector<LoopStep*>& loops, int threads);

}  // namespace refrain::executable
