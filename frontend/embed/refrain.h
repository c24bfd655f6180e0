// Refrain in a C++ program: Model, Session, Batcher. Needs the standard library only.
//
//   refrain::Model model = refrain::Model::load("model.onnx");
//   refrain::Session session(model);
//   session.prepare_step();
//   std::span<float> in = session.input("x").data<float>();
//   std::span<const float> out = session.output("y").data<float>();
//   for (;;) { fill(in); session.step(); use(out); }
//
// A Model is what a file holds, compiled: immutable, copied by reference, used by any number of
// threads. A Session runs it: it has the memory and the recurrent state, and belongs to one thread
// at a time. A Batcher runs many streams of one model together.
//
// Errors. Everything here throws refrain::Error, before anything is written, for what does not fit:
// a name that the model does not have, a wrong type or shape, null, a call out of turn. Once a
// session is prepared and real_time() says so, run() and step() allocate nothing, take no lock,
// make no system call and do not throw, except where an input holds an index that is out of range
// (the outputs and states are then what they happen to be; reset() or write_state() make them whole
// again) or the call itself is misuse.
#ifndef REFRAIN_REFRAIN_H
#define REFRAIN_REFRAIN_H

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "refrain/error.h"

// Within an exported class, what is not exported.
#define REFRAIN_LOCAL __attribute__((visibility("hidden")))

namespace refrain {

// The version of the library, "major.minor.patch".
REFRAIN_API const char* version();

// Element types. f16 and bf16 are passed as their bits (uint16_t), booleans as bool (one byte, 0 or
// 1).
enum class DataType : int32_t {
  f32,
  f64,
  bf16,
  f16,
  i8,
  i16,
  i32,
  i64,
  u8,
  u16,
  u32,
  u64,
  boolean
};

REFRAIN_API size_t size_of(DataType type);       // bytes of one element
REFRAIN_API const char* name_of(DataType type);  // "f32", ..., "bool"

// The extents of a tensor. At most kMaxRank of them, none negative, the number of elements and
// their bytes within 63 bits; otherwise throws Error.
class REFRAIN_API Extents {
 public:
  static constexpr size_t kMaxRank = 8;

  Extents() = default;  // of a scalar
  Extents(std::initializer_list<int64_t> extents)
      : Extents(std::span<const int64_t>(extents.begin(), extents.size())) {}
  explicit Extents(std::span<const int64_t> extents);

  size_t rank() const { return rank_; }
  int64_t operator[](size_t axis) const { return extents_[axis]; }
  const int64_t* begin() const { return extents_; }
  const int64_t* end() const { return extents_ + rank_; }
  std::span<const int64_t> span() const { return {extents_, rank_}; }
  int64_t count() const;  // of elements

  friend REFRAIN_API bool operator==(const Extents& a, const Extents& b);

 private:
  int64_t extents_[kMaxRank] = {};
  size_t rank_ = 0;
};

namespace detail {
template <typename T>
inline constexpr bool always_false = false;

// Whether T can hold elements of `type`.
template <typename T>
constexpr bool holds(DataType type) {
  if constexpr (std::is_same_v<T, float>)
    return type == DataType::f32;
  else if constexpr (std::is_same_v<T, double>)
    return type == DataType::f64;
  else if constexpr (std::is_same_v<T, bool>)
    return type == DataType::boolean;
  else if constexpr (std::is_same_v<T, uint16_t>)
    return type == DataType::u16 || type == DataType::f16 || type == DataType::bf16;
  else if constexpr (std::is_same_v<T, int8_t>)
    return type == DataType::i8;
  else if constexpr (std::is_same_v<T, int16_t>)
    return type == DataType::i16;
  else if constexpr (std::is_same_v<T, int32_t>)
    return type == DataType::i32;
  else if constexpr (std::is_same_v<T, int64_t>)
    return type == DataType::i64;
  else if constexpr (std::is_same_v<T, uint8_t>)
    return type == DataType::u8;
  else if constexpr (std::is_same_v<T, uint32_t>)
    return type == DataType::u32;
  else if constexpr (std::is_same_v<T, uint64_t>)
    return type == DataType::u64;
  else
    static_assert(always_false<T>, "not the C++ type of an element type");
}
// The element type that values of T are (uint16_t: integers).
template <typename T>
constexpr DataType type_of() {
  for (int i = 0; i <= static_cast<int>(DataType::boolean); ++i) {
    const DataType type = static_cast<DataType>(i);
    if (holds<T>(type) && type != DataType::bf16 && type != DataType::f16) return type;
  }
  return DataType::f32;
}
[[noreturn]] REFRAIN_API void wrong_type(DataType held, size_t size_of_asked);
}  // namespace detail

// A tensor in somebody's memory: dense, row-major, aligned for its elements. The view owns nothing.
// ConstView is for reading, View for reading and writing.
class ConstView {
 public:
  ConstView() = default;  // of nothing: null
  ConstView(DataType type, const Extents& extents, const void* data)
      : data_(data), extents_(extents), type_(type) {}
  template <typename T>
  ConstView(const Extents& extents, const T* data)
      : ConstView(detail::type_of<std::remove_cv_t<T>>(), extents, data) {}

  DataType type() const { return type_; }
  const Extents& extents() const { return extents_; }
  const void* raw() const { return data_; }
  // The elements; throws Error unless T holds this type.
  template <typename T>
  std::span<const T> data() const {
    if (!detail::holds<T>(type_)) detail::wrong_type(type_, sizeof(T));
    return {static_cast<const T*>(data_), static_cast<size_t>(extents_.count())};
  }

 private:
  const void* data_ = nullptr;
  Extents extents_;
  DataType type_ = DataType::f32;
};

class View : public ConstView {
 public:
  View() = default;
  View(DataType type, const Extents& extents, void* data) : ConstView(type, extents, data) {}
  template <typename T>
  View(const Extents& extents, T* data) : ConstView(extents, data) {
    static_assert(!std::is_const_v<T>, "a View writes");
  }

  void* raw() const { return const_cast<void*>(ConstView::raw()); }
  template <typename T>
  std::span<T> data() const {
    const std::span<const T> elements = ConstView::data<T>();
    return {const_cast<T*>(elements.data()), elements.size()};
  }
};

// A tensor that owns its elements (64-byte aligned, zero at first). Copies copy them.
class REFRAIN_API Array {
 public:
  Array() : Array(DataType::f32, {}) {}
  Array(DataType type, const Extents& extents);
  explicit Array(const ConstView& view);
  Array(const Array& other) : Array(other.view()) {}
  Array(Array&& other) noexcept;
  Array& operator=(Array other) noexcept;
  ~Array();

  DataType type() const { return view_.type(); }
  const Extents& extents() const { return view_.extents(); }
  View view() { return view_; }
  ConstView view() const { return view_; }
  operator ConstView() const { return view_; }  // NOLINT: an array is given where a view is asked
  template <typename T>
  std::span<T> data() {
    return view_.data<T>();
  }
  template <typename T>
  std::span<const T> data() const {
    return view_.data<T>();
  }

 private:
  View view_;
};

using Inputs = std::map<std::string, ConstView, std::less<>>;
using Outputs = std::map<std::string, Array, std::less<>>;

// One axis of an input, output or state as the model declares it.
struct Dimension {
  int64_t extent = -1;  // -1: chosen when a session is prepared
  std::string symbol;   // its name then, the same extent wherever it stands; may be empty
};

struct TensorInfo {
  std::string name;
  DataType type = DataType::f32;
  bool ranked = true;  // false: not even the number of axes is known
  std::vector<Dimension> dimensions;
  std::string text;  // the same as text, `f32[T, B, 64]`
};

// A state that steps carry.
struct StateInfo : TensorInfo {
  std::string input, output;  // the model's input and output that it is; empty if it has neither
};

// Whether a model can be run step by step, and what a step is.
struct Streaming {
  bool supported = false;
  std::string why;   // it is not
  std::string time;  // symbol of the number of steps in a block; empty: a run is one step
  // Symbol of the batch; empty: its rows are not known to be independent (of the model as it is: a
  // Batcher asks again with its setup put in).
  std::string batch;
};

// Whose kernels run. `highway`: Refrain's own wherever there is one: the same bits on every run, no
// allocation. `automatic` takes oneDNN's where they are expected to be faster.
enum class Kernels : int32_t { highway, automatic, onednn, reference };

struct LoadOptions {
  // Pairs of an input and an output that are one state, beyond those that are found (by the loops
  // that they enter and leave).
  std::vector<std::pair<std::string, std::string>> states = {};
  // A model that was traced for some length takes sequences of any.
  bool dynamic_time = false;
  Kernels kernels = Kernels::highway;
  // Bytes that the file, and everything that a session of it holds, may have.
  int64_t max_bytes = int64_t{4} << 30;
  // Most iterations of all loops of a run whose end depends on data.
  int64_t max_iterations = 200'000;
};

class REFRAIN_API Model {
 public:
  // ONNX, equations, a compiled artifact or the text form of a graph, told by their content. Throws
  // Error with the file, and the node and operator if it is one of them.
  static Model load(const std::string& path, const LoadOptions& options = {});
  // The same from memory, which is not needed any more afterwards. `name` stands for the file in
  // messages. External data of ONNX models is refused; weights of equations are looked for
  // in the working directory.
  static Model from_memory(std::span<const std::byte> bytes, const LoadOptions& options = {},
                           const std::string& name = "memory");

  // As the model declares them, states that are inputs and outputs included.
  const std::vector<TensorInfo>& inputs() const;
  const std::vector<TensorInfo>& outputs() const;
  // Those that steps carry; empty if streaming is not supported.
  const std::vector<StateInfo>& states() const;
  const Streaming& streaming() const;
  // What the reader of the file wants to be known.
  const std::vector<std::string>& warnings() const;

  struct REFRAIN_LOCAL Impl;
  explicit Model(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  const std::shared_ptr<const Impl>& impl() const { return impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
};

// What a session is prepared for. Dimensions that are not constant get their extents from `shapes`
// or `symbols`, or from `values`; those that are left are an error. (For steps, time is the block,
// and the batch is 1 unless given.)
struct Setup {
  std::map<std::string, Extents, std::less<>> shapes = {};   // of inputs
  std::map<std::string, int64_t, std::less<>> symbols = {};  // extents of named dimensions
  // Inputs that keep one value, copied here: those that decide shapes, branches or numbers of steps
  // (a sample rate) must be among them for the real-time guarantee. They are no inputs any more.
  Inputs values = {};

  // For steps only. How many one step() takes:
  int64_t block = 1;
  // Steps of the future that the outputs may depend on. With L > 0 a model that is not causal (a
  // bidirectional layer) runs in blocks: each step() takes the inputs of block + L steps and gives
  // the outputs of the first `block` of them; the next step() starts `block` steps later. What goes
  // forward carries its state; what goes backward starts anew at the end of each window, from its
  // part of a state that both directions share, which stays as it was written.
  int64_t look_ahead = 0;
};

struct SessionOptions {
  // That work on one run. More than one: the scheduler's own allocations, locks and system calls
  // are no concern of real_time(). The results are the same bits for any number.
  int threads = 1;
};

// Whether run() and step() keep the promise at the top, and if not, why.
struct RealTime {
  bool guaranteed = false;
  std::string why;
  explicit operator bool() const { return guaranteed; }
};

class REFRAIN_API Session {
 public:
  explicit Session(const Model& model, const SessionOptions& options = {});
  Session(Session&& other) noexcept;  // `other` can only be assigned to or destroyed then
  Session& operator=(Session&& other) noexcept;
  ~Session();

  // Compiles for whole sequences, or for steps with the state carried from each to the next, and
  // makes the buffers; what was prepared or bound before is gone, states have their initial values.
  // What needs shapes that depend on data can be prepared too, without guarantee (real_time()).
  void prepare(const Setup& setup = {});
  void prepare_step(const Setup& setup = {});
  RealTime real_time() const;

  // What is to be filled and read: the model's, without those that are fixed or states (in a
  // session for steps; outputs that are states stay, and show the state). Shapes are constant.
  const std::vector<TensorInfo>& inputs() const;
  const std::vector<TensorInfo>& outputs() const;
  const std::vector<StateInfo>& states() const;

  // The buffers; the same until the session is prepared or bound anew. Where real_time() does not
  // hold, outputs may have shapes that depend on data: ask again after each run.
  View input(std::string_view name);
  ConstView output(std::string_view name) const;
  // From now on the caller's memory is the buffer; it must stay until it is bound anew or the
  // session ends. No output may overlap an input, a state or another output. An empty view gives
  // back the session's own. Outputs that are states can't be bound.
  void bind_input(std::string_view name, const ConstView& view);
  void bind_output(std::string_view name, const View& view);

  void run();   // one whole sequence; after prepare()
  void step();  // one block of steps; after prepare_step()

  // The same with inputs copied in and outputs copied out; for programs that have the time.
  // Prepares for the shapes of the inputs if the session is not prepared for them.
  Outputs run(const Inputs& inputs);
  Outputs step(const Inputs& inputs);

  // The state as it is between two steps. Writing through the view is allowed there. The view stays
  // the same until the session is prepared anew.
  View state(std::string_view name);
  Array read_state(std::string_view name) const;
  void write_state(std::string_view name, const ConstView& value);
  void reset();  // all states get their initial values
  // A session that goes on from here by itself: prepared for the same, buffers of its own with
  // nothing bound, the state copied, weights shared.
  Session fork() const;

  // What a run does, a line a step: kernel, shapes, place.
  std::string describe() const;

  struct REFRAIN_LOCAL Impl;

 private:
  explicit Session(std::unique_ptr<Impl> impl);
  Impl& impl() const;
  std::unique_ptr<Impl> impl_;
};

struct BatcherOptions {
  int64_t max_batch = 64;  // most streams that step together
  // How long a step that is ready may wait for others while a worker is idle.
  std::chrono::microseconds max_delay{200};
  int threads = 1;  // workers; each runs batches of its own, on one thread
  // Most submissions that wait; submit() blocks and try_submit() refuses beyond that.
  size_t queue_capacity = 4096;
  size_t max_streams = size_t{1} << 16;
  // For one stream: shapes with a batch of 1, one step. Its values, which are those of every
  // stream, and its extents are put in before it is decided whether rows are independent.
  Setup setup = {};
};

// Steps many independent streams of one model together: whichever streams have a step to do are
// gathered, whatever their positions, and run as one batch. Any thread may call anything at any
// time. The results of a stream don't depend on what else is in the batch, save the last bits of
// kernels that are chosen by the size of the batch.
class REFRAIN_API Batcher {
 public:
  // Throws Error, with the reason, if the model can't be stepped or the rows of its batch are not
  // independent.
  explicit Batcher(const Model& model, const BatcherOptions& options = {});
  ~Batcher();  // shutdown(Pending::run)
  Batcher(Batcher&&) noexcept;
  Batcher& operator=(Batcher&&) noexcept;

  // One step of one stream, batch 1. Submissions follow this order in all raw pointers below.
  const std::vector<TensorInfo>& inputs() const;
  const std::vector<TensorInfo>& outputs() const;
  const std::vector<StateInfo>& states() const;

  // One or several steps on memory of the caller's, which must stay as it is until `done`.
  struct Transfer {
    const void* const* inputs = nullptr;  // one an input: its steps one after the other
    void* const* outputs = nullptr;       // one an output, likewise; null: not wanted
    int64_t steps = 1;
    // Called by a worker, or by who shuts down or closes; null if it went well. Must not throw.
    std::function<void(const Error* error)> done = nullptr;
  };

  class REFRAIN_API Stream {
   public:
    Stream() = default;  // of no batcher
    Stream(Stream&&) noexcept;
    Stream& operator=(Stream&&) noexcept;
    ~Stream();  // close()

    // Steps that were submitted to one stream run in that order. The copying form takes one or,
    // along the time axis, several steps of each input. Blocks while the queue is full (from a
    // worker's callback that is an Error instead, as it would wait for itself).
    std::future<Outputs> submit(const Inputs& inputs);
    void submit(Transfer transfer);
    bool try_submit(Transfer transfer);  // false: the queue is full; nothing was taken

    // Wait until the stream has nothing left to run.
    void reset();
    Array read_state(std::string_view name);
    void write_state(std::string_view name, const ConstView& value);
    // What has not run is cancelled: its `done` gets an error.
    void close();

    struct REFRAIN_LOCAL Impl;

   private:
    friend class Batcher;
    explicit Stream(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
  };
  Stream open();

  // Returns when nothing that was submitted is left to run.
  void drain();
  enum class Pending : int32_t { run, cancel };
  // Refuses what comes from now on, runs or cancels what waits, ends the workers. Streams that are
  // still open can only be closed.
  void shutdown(Pending pending);

  struct Statistics {
    uint64_t steps = 0;    // of streams
    uint64_t batches = 0;  // that they ran in
  };
  Statistics statistics() const;

  struct REFRAIN_LOCAL Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace refrain

#endif  // REFRAIN_REFRAIN_H
