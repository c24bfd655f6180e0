// Internal to `embed`: streams that wait for a step, and the workers that batch them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "frontend/embed/batch_runner.h"
#include "refrain/refrain.h"

namespace refrain::embed {

// The order of things: a stream's submissions are a list. A stream whose list is not empty, and
// that no worker has, waits among the ready ones, first come, first served. A worker takes as many
// of these as a batch holds, steps each once, tells those whose submission is through, and puts
// back the ones that have more.
//
// One mutex guards it all; workers hold it between batches, never during one or a callback.
class BatchQueue {
 public:
  using Transfer = Batcher::Transfer;
  using Clock = std::chrono::steady_clock;

  // What a submission keeps alive (copies of inputs, outputs), beside its transfer.
  struct Job {
    Transfer transfer;
    int64_t next_step = 0;
    std::shared_ptr<void> keeps;
  };

  // A list that keeps its memory while it is short, as it is filled and emptied at each step.
  class JobList {
   public:
    bool empty() const { return first_ == jobs_.size(); }
    void push(Job job) { jobs_.push_back(std::move(job)); }
    Job pop();  // the first

   private:
    std::vector<Job> jobs_;
    size_t first_ = 0;  // those before it are gone
  };

  struct Stream {
    bool idle() const { return !current && !taken; }

    std::optional<Job> current;  // the first one; a worker's while `taken`
    std::byte* state = nullptr;  // in `memory`, aligned; likewise
    bool ready = false;          // waits among the ready ones
    bool taken = false;          // by a worker
    bool closed = false;
    Clock::time_point since;  // ready
    JobList more;             // behind the first
    std::unique_ptr<std::byte[]> memory;
  };

  BatchQueue(const Model& model, const BatcherOptions& options);
  ~BatchQueue();
  BatchQueue(const BatchQueue&) = delete;
  BatchQueue& operator=(const BatchQueue&) = delete;

  void start();  // the workers
  const BatchForm& form() const { return form_; }

  std::shared_ptr<Stream> open();
  void close(const std::shared_ptr<Stream>& stream);
  // Blocks while the queue is full if it may; false if it is full then.
  bool submit(const std::shared_ptr<Stream>& stream, Job job, bool may_block);
  // Calls f(state) once the stream has nothing left to run.
  template <typename F>
  void with_state(Stream& stream, const char* what, const F& f) {
    std::unique_lock<std::mutex> lock(mutex_);
    await_idle(lock, stream, what);
    f(stream.state);
  }
  void drain();
  void shutdown(Batcher::Pending pending);
  Batcher::Statistics statistics() const;

 private:
  struct Worker {
    explicit Worker(const BatchForm& form) : runner(form) {}
    BatchRunner runner;
    std::thread thread;
    // Of the batch that it has.
    std::vector<std::shared_ptr<Stream>> batch;
    std::vector<RowWork> rows;
    std::vector<Job> done, cancelled;  // of the one before
  };

  void work(Worker& worker);
  // Takes a batch once there is one to take; empty: the end.
  void take(std::vector<std::shared_ptr<Stream>>& batch);
  void finish(Worker& worker);
  void cancel(std::span<const Job> jobs, const char* why);
  static void move_jobs(Stream& stream, std::vector<Job>& to);
  void make_ready(std::shared_ptr<Stream> stream, Clock::time_point now);
  void await_idle(std::unique_lock<std::mutex>& lock, const Stream& stream, const char* what);
  void count_done(size_t jobs);
  size_t worth_waiting_for() const;
  void check_open(const Stream& stream) const;
  void check_not_worker(const char* what) const;

  const BatcherOptions options_;
  const BatchForm form_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::once_flag joined_;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable work_, space_, idle_;
  std::deque<std::shared_ptr<Stream>> ready_;
  size_t open_ = 0, taken_ = 0;  // streams
  size_t jobs_ = 0;              // that are not done
  size_t space_waiters_ = 0, idle_waiters_ = 0, idle_workers_ = 0;
  bool stopping_ = false, cancelling_ = false;
  Batcher::Statistics statistics_;
};

}  // namespace refrain::embed
