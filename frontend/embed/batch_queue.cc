#include "frontend/embed/batch_queue.h"

#include <pthread.h>

#include <algorithm>

#include "frontend/embed/convert.h"
#include "ir/error.h"

namespace refrain::embed {
namespace {

constexpr size_t kAlignment = 64;
constexpr const char* kClosed = "the stream was closed before this step ran";
constexpr const char* kShutDown = "the batcher was shut down before this step ran";

// Whose worker this thread is.
thread_local const BatchQueue* current_queue = nullptr;

const BatcherOptions& checked(const BatcherOptions& options) {
  const auto require = [](bool ok, const char* what, const char* expected, const std::string& is) {
    if (!ok) throw Error(std::string("wrong ") + what + " of a batcher", expected, is);
  };
  require(options.max_batch >= 1 && options.max_batch <= 4096, "largest batch", "1 to 4096",
          std::to_string(options.max_batch));
  require(options.max_delay.count() >= 0, "delay", "0 or more microseconds",
          std::to_string(options.max_delay.count()));
  require(options.threads >= 1 && options.threads <= 1024, "number of threads", "1 to 1024",
          std::to_string(options.threads));
  require(options.queue_capacity >= 1, "queue capacity", "1 or more", "0");
  require(options.max_streams >= 1, "number of streams", "1 or more", "0");
  return options;
}

// The mutex is held often, but never for long: whoever finds it taken looks again a few times
// before it sleeps, as the C library can do for us. Not to be used by others yet.
void let_spin([[maybe_unused]] std::mutex& mutex) {
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
  pthread_mutexattr_t attributes;
  if (pthread_mutexattr_init(&attributes) != 0) return;
  if (pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP) == 0) {
    pthread_mutex_destroy(mutex.native_handle());
    pthread_mutex_init(mutex.native_handle(), &attributes);
  }
  pthread_mutexattr_destroy(&attributes);
#endif
}

const std::shared_ptr<const Model::Impl>& checked(const Model& model) {
  if (!model.impl()) throw Error("this model was moved from", "a model that was loaded", "none");
  return model.impl();
}

}  // namespace

BatchQueue::Job BatchQueue::JobList::pop() {
  constexpr size_t kKept = 16;
  Job job = std::move(jobs_[first_++]);
  if (empty()) {
    if (jobs_.capacity() > kKept) jobs_ = {};
    jobs_.clear();
    first_ = 0;
  } else if (first_ > jobs_.size() / 2 && first_ > kKept) {
    jobs_.erase(jobs_.begin(), jobs_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
  return job;
}

BatchQueue::BatchQueue(const Model& model, const BatcherOptions& options)
    : options_(checked(options)), form_(checked(model), options.setup, options.max_batch) {
  let_spin(mutex_);
  for (int i = 0; i < options_.threads; ++i) {
    Worker& worker = *workers_.emplace_back(std::make_unique<Worker>(form_));
    const auto most = static_cast<size_t>(options_.max_batch);
    worker.batch.reserve(most);
    worker.rows.reserve(most);
    worker.done.reserve(most);
  }
}

void BatchQueue::start() {
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->thread = std::thread([this, &worker = *worker] { work(worker); });
  }
}

BatchQueue::~BatchQueue() { shutdown(Batcher::Pending::cancel); }

std::shared_ptr<BatchQueue::Stream> BatchQueue::open() {
  auto stream = std::make_shared<Stream>();
  stream->memory.reset(new std::byte[form_.state_bytes() + kAlignment]);
  const auto at = reinterpret_cast<uintptr_t>(stream->memory.get());
  stream->state = stream->memory.get() + (kAlignment - at % kAlignment) % kAlignment;
  form_.reset(stream->state);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_) throw Error("the batcher was shut down", "a batcher that runs", "none");
  if (open_ >= options_.max_streams) {
    throw Error("too many streams are open", std::to_string(options_.max_streams) + " at most",
                std::to_string(open_ + 1));
  }
  ++open_;
  return stream;
}

// Their callbacks are called without the mutex, and only then they are done.
void BatchQueue::cancel(std::span<const Job> jobs, const char* why) {
  if (jobs.empty()) return;
  const Error error(why);
  for (const Job& job : jobs) {
    if (job.transfer.done) job.transfer.done(&error);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  count_done(jobs.size());
}

void BatchQueue::close(const std::shared_ptr<Stream>& stream) {
  std::vector<Job> cancelled;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (stream->closed) return;
    stream->closed = true;
    --open_;
    if (space_waiters_ > 0) space_.notify_all();
    if (stream->taken && current_queue == this) return;  // the worker that has it cancels the rest
    ++idle_waiters_;
    idle_.wait(lock, [&] { return !stream->taken; });
    --idle_waiters_;
    move_jobs(*stream, cancelled);
    if (stream->ready) {
      ready_.erase(std::find(ready_.begin(), ready_.end(), stream));
      stream->ready = false;
    }
  }
  cancel(cancelled, kClosed);
}

void BatchQueue::move_jobs(Stream& stream, std::vector<Job>& to) {
  if (stream.current) to.push_back(std::move(*stream.current));
  stream.current.reset();
  while (!stream.more.empty()) to.push_back(stream.more.pop());
}

void BatchQueue::check_open(const Stream& stream) const {
  if (stream.closed) throw Error("this stream was closed", "an open stream", "none");
  if (stopping_) throw Error("the batcher was shut down", "a batcher that runs", "none");
}

void BatchQueue::check_not_worker(const char* what) const {
  if (current_queue != this) return;
  throw Error(std::string(what) + " from a batcher's callback would wait for itself",
              "another thread", "its worker");
}

bool BatchQueue::submit(const std::shared_ptr<Stream>& stream, Job job, bool may_block) {
  std::unique_lock<std::mutex> lock(mutex_);
  check_open(*stream);
  if (jobs_ >= options_.queue_capacity) {
    if (!may_block) return false;
    check_not_worker("submitting to a full queue");
    ++space_waiters_;
    space_.wait(lock,
                [&] { return jobs_ < options_.queue_capacity || stopping_ || stream->closed; });
    --space_waiters_;
    check_open(*stream);
  }
  if (stream->current) {
    stream->more.push(std::move(job));
  } else {
    stream->current = std::move(job);
  }
  ++jobs_;
  if (!stream->ready && !stream->taken) make_ready(stream, Clock::now());
  // A worker that waits for more to join needs to be told only when there is enough.
  const bool tell =
      idle_workers_ > 0 && (ready_.size() == 1 || ready_.size() >= worth_waiting_for());
  lock.unlock();
  if (tell) work_.notify_one();
  return true;
}

void BatchQueue::make_ready(std::shared_ptr<Stream> stream, Clock::time_point now) {
  stream->ready = true;
  stream->since = now;
  ready_.push_back(std::move(stream));
}

// Of the streams that no worker has, all that a batch holds.
size_t BatchQueue::worth_waiting_for() const {
  const size_t free = open_ > taken_ ? open_ - taken_ : 0;
  return std::clamp<size_t>(free, 1, static_cast<size_t>(options_.max_batch));
}

void BatchQueue::take(std::vector<std::shared_ptr<Stream>>& batch) {
  std::unique_lock<std::mutex> lock(mutex_);
  ++idle_workers_;
  while (batch.empty()) {
    work_.wait(lock, [&] { return !ready_.empty() || (stopping_ && jobs_ == 0); });
    if (ready_.empty()) break;
    const Clock::time_point until = ready_.front()->since + options_.max_delay;
    if (!stopping_ && options_.max_delay.count() > 0 && ready_.size() < worth_waiting_for()) {
      work_.wait_until(lock, until, [&] {
        return stopping_ || ready_.empty() || ready_.size() >= worth_waiting_for();
      });
    }
    while (!ready_.empty() && batch.size() < static_cast<size_t>(options_.max_batch)) {
      batch.push_back(std::move(ready_.front()));
      ready_.pop_front();
      batch.back()->ready = false;
      batch.back()->taken = true;
    }
  }
  --idle_workers_;
  if (!ready_.empty() && idle_workers_ > 0) work_.notify_one();
  taken_ += batch.size();
  if (!batch.empty()) {
    statistics_.steps += batch.size();
    ++statistics_.batches;
  }
}

void BatchQueue::work(Worker& worker) {
  current_queue = this;
  for (;;) {
    take(worker.batch);
    if (worker.batch.empty()) return;
    worker.rows.clear();
    for (const std::shared_ptr<Stream>& stream : worker.batch) {
      const Job& job = *stream->current;
      worker.rows.push_back({.state = stream->state,
                             .inputs = job.transfer.inputs,
                             .outputs = job.transfer.outputs,
                             .step = job.next_step,
                             .error = {}});
    }
    worker.runner.run(worker.rows);
    finish(worker);
  }
}

void BatchQueue::finish(Worker& worker) {
  // Before their streams go on, so that a stream's callbacks come in its order. Others may add to
  // the streams' lists meanwhile, but the first of each is this worker's.
  for (size_t i = 0; i < worker.batch.size(); ++i) {
    Job& job = *worker.batch[i]->current;
    const std::unique_ptr<const Error>& error = worker.rows[i].error;
    ++job.next_step;
    if (error) job.transfer.steps = job.next_step;
    if (job.next_step == job.transfer.steps && job.transfer.done) job.transfer.done(error.get());
  }
  const char* why = kClosed;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (cancelling_) why = kShutDown;
    const Clock::time_point now = Clock::now();
    taken_ -= worker.batch.size();
    for (std::shared_ptr<Stream>& taken : worker.batch) {
      Stream& stream = *taken;
      stream.taken = false;
      if (stream.current->next_step == stream.current->transfer.steps) {
        worker.done.push_back(std::move(*stream.current));
        stream.current.reset();
        if (!stream.more.empty()) stream.current = stream.more.pop();
      }
      if (stream.closed || cancelling_) {
        move_jobs(stream, worker.cancelled);
      } else if (stream.current) {
        make_ready(std::move(taken), now);
      }
    }
    worker.batch.clear();
    count_done(worker.done.size());
    if (idle_waiters_ > 0) idle_.notify_all();
  }
  worker.done.clear();  // with what callbacks hold, which may be anything
  cancel(worker.cancelled, why);
  worker.cancelled.clear();
}

void BatchQueue::count_done(size_t jobs) {
  jobs_ -= jobs;
  if (space_waiters_ > 0 && jobs > 0) space_.notify_all();
  if (jobs_ > 0) return;
  if (idle_waiters_ > 0) idle_.notify_all();
  if (stopping_) work_.notify_all();
}

void BatchQueue::await_idle(std::unique_lock<std::mutex>& lock, const Stream& stream,
                            const char* what) {
  check_not_worker(what);
  check_open(stream);
  ++idle_waiters_;
  idle_.wait(lock, [&] { return stream.idle() || stream.closed; });
  --idle_waiters_;
  check_open(stream);
}

void BatchQueue::drain() {
  check_not_worker("draining");
  std::unique_lock<std::mutex> lock(mutex_);
  ++idle_waiters_;
  idle_.wait(lock, [&] { return jobs_ == 0; });
  --idle_waiters_;
}

void BatchQueue::shutdown(Batcher::Pending pending) {
  check_not_worker("shutting down");
  std::vector<Job> cancelled;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    if (pending == Batcher::Pending::cancel) {
      // What a worker has ends with the step that is under way.
      cancelling_ = true;
      for (const std::shared_ptr<Stream>& stream : ready_) {
        stream->ready = false;
        move_jobs(*stream, cancelled);
      }
      ready_.clear();
    }
    work_.notify_all();
    space_.notify_all();
  }
  cancel(cancelled, kShutDown);
  std::call_once(joined_, [this] {
    for (const std::unique_ptr<Worker>& worker : workers_) {
      if (worker->thread.joinable()) worker->thread.join();
    }
  });
}

Batcher::Statistics BatchQueue::statistics() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return statistics_;
}

}  // namespace refrain::embed
