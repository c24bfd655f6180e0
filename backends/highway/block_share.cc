#include "backends/highway/block_share.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "backends/highway/targets.h"
#include "hwy/cache_control.h"

namespace refrain::highway {
namespace {

// In pauses of some ten nanoseconds: a few microseconds, which is longer than what the others still
// have to do unless they were suspended; and about as long as workers that start a phase together
// are apart at its end.
constexpr int kSpins = 200, kPatience = 10;

}  // namespace

BlockShare::BlockShare(std::vector<int64_t> blocks, int workers)
    : blocks_(std::move(blocks)),
      workers_(workers),
      ranges_(std::make_unique<Range[]>(static_cast<size_t>(workers))) {
  int64_t end = 0;
  for (const int64_t count : blocks_) ends_.push_back(end += count);
}

void BlockShare::begin() {
  for (int worker = 0; worker < workers_; ++worker) {
    ranges_[static_cast<size_t>(worker)].word.store(0, std::memory_order_relaxed);
  }
  joined_.store(0, std::memory_order_relaxed);
  done_.store(0, std::memory_order_release);
}

BlockShare::Worker::Worker(BlockShare& share)
    : share_(share),
      index_(share.joined_.fetch_add(1, std::memory_order_relaxed)),
      patience_(kPatience) {
  const int64_t done = share.done_.load(std::memory_order_acquire);
  const std::vector<int64_t>& ends = share.ends_;
  step_ = done / ends.back();
  const int64_t before = step_ * ends.back();
  while (done - before >= ends[stage_]) ++stage_;
  number_ = static_cast<uint64_t>(step_) * ends.size() + stage_ + 1;
  end_ = before + ends[stage_];
}

int64_t BlockShare::Worker::own() const {
  return (share_.blocks_[stage_] + share_.workers_ - 1) / share_.workers_;
}

void BlockShare::Worker::next() {
  ++number_;
  if (++stage_ == share_.blocks_.size()) {
    stage_ = 0;
    ++step_;
  }
  end_ += share_.blocks_[stage_];
  if (!took_) patience_ = kPatience;
  took_ = false;
}

bool BlockShare::Worker::claim(int64_t most, Blocks& blocks) {
  const int own = index_ % share_.workers_;
  if (take(own, most, blocks)) return true;
  int64_t done = claimed_ == 0
                     ? share_.done_.load(std::memory_order_acquire)
                     : share_.done_.fetch_add(claimed_, std::memory_order_acq_rel) + claimed_;
  claimed_ = 0;
  bool looked = false;
  for (int spins = 0; done < end_; ++spins) {
    if (spins >= patience_ && !looked) {
      for (int i = 1; i < share_.workers_; ++i) {
        if (!take((own + i) % share_.workers_, most, blocks)) continue;
        // While the owner is away it needn't be waited for again.
        took_ = true;
        patience_ = 0;
        return true;
      }
      looked = true;
    }
    if (spins < kSpins) {
      hwy::Pause();
    } else {
      std::this_thread::yield();
    }
    done = share_.done_.load(std::memory_order_acquire);
  }
  return false;
}

bool BlockShare::Worker::take(int owner, int64_t most, Blocks& blocks) {
  std::atomic<uint64_t>& word = share_.ranges_[static_cast<size_t>(owner)].word;
  const int64_t count = share_.blocks_[stage_];
  const int64_t first = count * owner / share_.workers_;
  const int64_t own = count * (owner + 1) / share_.workers_ - first;
  const bool mine = owner == index_ % share_.workers_;
  uint64_t seen = word.load(std::memory_order_relaxed);
  while (true) {
    // Of the owner's blocks those from `begin` to `end` are left.
    int64_t begin = 0, end = own;
    if (seen >> 32 > number_) return false;  // the others are further: all of this phase is done
    if (seen >> 32 == number_) {
      begin = static_cast<int64_t>(seen >> 16 & 0xffff);
      end = static_cast<int64_t>(seen & 0xffff);
    }
    if (begin >= end) return false;
    const int64_t taken = std::min(most, end - begin);
    if (mine) {
      begin += taken;
      blocks = {first + begin - taken, first + begin};
    } else {
      end -= taken;
      blocks = {first + end, first + end + taken};
    }
    const uint64_t left =
        number_ << 32 | static_cast<uint64_t>(begin) << 16 | static_cast<uint64_t>(end);
    // done_ has ordered what the blocks read.
    if (word.compare_exchange_weak(seen, left, std::memory_order_relaxed)) {
      claimed_ += taken;
      return true;
    }
  }
}

}  // namespace refrain::highway
