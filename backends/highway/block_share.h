// One run of a loop shared by several workers: in each stage of each step they claim unit blocks
// from atomic counters, and nobody goes on to the next stage before the last block is done.
//
// No worker is waited for unless it has claimed something: whoever has no blocks left takes those
// of others, so that one worker alone runs the whole loop, and a worker that starts late joins in
// where the others are.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace refrain::highway {

class BlockShare {
 public:
  static constexpr int64_t kMostBlocks = 0xffff;                  // of a stage
  static constexpr int64_t kMostPhases = (int64_t{1} << 32) - 2;  // stages of all steps of a run

  // `blocks[s]` blocks in stage s, each 1 .. kMostBlocks, at least one stage; for so many workers.
  BlockShare(std::vector<int64_t> blocks, int workers);

  // Before the workers of a run start: none of the last one may be left.
  void begin();

  // Unit blocks [begin, end) of a stage.
  struct Blocks {
    int64_t begin = 0, end = 0;
  };

  // A worker's way through a run: from phase to phase, each one stage of one step.
  class Worker {
   public:
    // Joins where the others are.
    explicit Worker(BlockShare& share);

    int64_t step() const { return step_; }
    size_t stage() const { return stage_; }
    // True for exactly one worker of a run.
    bool first() const { return index_ == 0; }
    // How many blocks of the stage are this worker's, about; others may take some of them.
    int64_t own() const;

    // Blocks for this worker, at most `most`; what it claimed before is done by then. Own ones
    // come in ascending order, then those that others have left. False once all blocks of the
    // phase are done, by whomever; what was written is seen then. Waits only for blocks that others
    // have claimed; spins at first, then yields.
    bool claim(int64_t most, Blocks& blocks);
    // To the next phase, once claim() has returned false.
    void next();

   private:
    bool take(int owner, int64_t most, Blocks& blocks);

    BlockShare& share_;
    int index_;
    int64_t step_ = 0;
    size_t stage_ = 0;
    uint64_t number_ = 1;  // of the phase, from 1 on
    int64_t end_ = 0;      // blocks of the run up to the phase's end
    int64_t claimed_ = 0;  // blocks that are not yet counted as done
    int patience_;         // how long to wait for the owners before blocks are taken from them
    bool took_ = false;    // blocks of others in this phase
  };

 private:
  // The blocks of one worker in its latest phase, as the number of the phase, the first and the end
  // of those that nobody has claimed. In lines of its own (two, which are fetched together).
  struct alignas(128) Range {
    std::atomic<uint64_t> word{0};
  };

  std::vector<int64_t> blocks_;
  std::vector<int64_t> ends_;  // sums of blocks_ up to and with each stage
  int workers_;
  std::unique_ptr<Range[]> ranges_;
  alignas(128) std::atomic<int64_t> done_{0};  // blocks of the whole run
  alignas(128) std::atomic<int> joined_{0};
};

}  // namespace refrain::highway
