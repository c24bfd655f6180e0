// Models drawn at random, run in every way: whatever the cell, each way computes the same numbers.
//
//   equations_random [COUNT [SEED]]
//   equations_random COUNT SEED print    only prints the models
//   equations_random FILE [SEED]         checks a model of equations
//
// Against the reference backend on the graph as it was written, in float64: each backend on the
// optimized graph, with one thread and with two, on every SIMD target; the graph with its loops
// unrolled and found again; the compiled model; the stream, in blocks, rows by themselves, and by a
// session's steps; the equations that are printed back from the graph. Prints the first model for
// which one differs, with its seed, and fails.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "backends/reference/executor.h"
#include "frontend/artifact/targets.h"
#include "frontend/artifact/writer.h"
#include "frontend/decompile/decompile.h"
#include "frontend/driver/executable.h"
#include "frontend/driver/model.h"
#include "frontend/driver/random_inputs.h"
#include "frontend/equations/format.h"
#include "frontend/equations/load.h"
#include "frontend/io/file.h"
#include "frontend/weights/weight_file.h"
#include "ir/clone.h"
#include "ir/error.h"
#include "ir/text.h"
#include "passes/passes.h"
#include "passes/specialize.h"
#include "passes/stream.h"
#include "support/decompiled.h"
#include "support/embed_models.h"
#include "support/process.h"
#include "support/random.h"
#include "support/random_equations.h"
#include "support/stream_run.h"
#include "support/targets.h"
#include "support/widened.h"

namespace refrain {
namespace {

using Values = std::vector<RuntimeValue>;

// |actual - expected| / (|expected| + 1e-3) in the Euclidean norm.
double error_of(const Tensor& actual, const Tensor& expected) {
  const std::vector<double> a = actual.view().as_doubles(), e = expected.view().as_doubles();
  if (a.size() != e.size()) throw std::runtime_error("another number of elements");
  double difference = 0, norm = 0;
  for (size_t k = 0; k < e.size(); ++k) {
    difference += (a[k] - e[k]) * (a[k] - e[k]);
    norm += e[k] * e[k];
  }
  return std::sqrt(difference) / (std::sqrt(norm) + 1e-3);
}

// The largest of all outputs, and in `worst` which that is of.
double error_of(const Values& actual, const Values& expected, size_t* worst = nullptr) {
  if (actual.size() != expected.size()) throw std::runtime_error("another number of outputs");
  double largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (actual[i].tensor->extents() != expected[i].tensor->extents())
      throw std::runtime_error(fmt::format("output {} has another shape", i));
    const double error = error_of(*actual[i].tensor, *expected[i].tensor);
    if (error <= largest) continue;
    largest = error;  // or not a number
    if (worst) *worst = i;
  }
  return largest;
}

Values widened(const Values& values) {
  Values wide;
  for (const RuntimeValue& value : values) wide.push_back(testing::widened(value));
  return wide;
}

struct Counts {
  int models = 0, streams = 0, printed = 0;
};

class Check {
 public:
  Check(std::string text, uint64_t seed, Counts& counts)
      : text_(std::move(text)), engine_(seed), counts_(counts) {}

  // Throws what is wrong.
  void run() {
    ++counts_.models;
    graph_ = equations::load("random.rfn", text_);
    if (equations::format("random.rfn", equations::format("random.rfn", text_)) !=
        equations::format("random.rfn", text_))
      throw std::runtime_error("formatted twice differs");
    for (const char* symbol : {"T", "S"})
      symbols_.bind(symbol, 1 + static_cast<int64_t>(engine_() % 12));
    symbols_.bind("B", std::vector<int64_t>{1, 2, 3, 5, 8, 17}[engine_() % 6]);
    const auto budget = std::make_shared<MemoryBudget>(int64_t{1} << 30);
    for (size_t i = 0; i < graph_->input_count(); ++i)
      inputs_.push_back(random_value(*graph_, i, symbols_, engine_, budget));
    const auto wide = clone_graph(*graph_);
    passes::widen(*wide, {});
    expected_ = reference::run(*wide, widened(inputs_));
    // What float32 does to this model at all.
    tolerance_ = 1e-5 + 30 * error_of(reference::run(*graph_, inputs_), expected_);
    optimized_ = clone_graph(*graph_);
    optimize(*optimized_);
    if (print(*parse(print(*optimized_))) != print(*optimized_))
      throw std::runtime_error("the text form, parsed and printed, differs");
    backends();
    targets();
    unrolled();
    compiled();
    stream();
    printed();
  }

 private:
  void compare(const std::string& way, const Values& actual) const {
    size_t worst = 0;
    const double error = error_of(actual, expected_, &worst);
    if (error <= tolerance_) return;
    throw std::runtime_error(fmt::format("{}: '{}' has an error of {}, above {}", way,
                                         graph_->output_names()[worst], error, tolerance_));
  }

  void backends() const {
    for (const Backend backend :
         {Backend::automatic, Backend::highway, Backend::onednn, Backend::reference}) {
      Values first;
      for (const int threads : {1, 2}) {
        const Executable executable(clone_graph(*optimized_),
                                    {.backend = backend, .threads = threads});
        const std::string way = fmt::format("{} on {} threads", name(backend), threads);
        try {
          const Values actual = executable.run(inputs_);
          compare(way, actual);
          if (backend == Backend::highway && threads == 2) expect_bits(way, actual, first);
          first = actual;
        } catch (const Error& error) {
          throw std::runtime_error(way + ": " + error.what());
        }
      }
    }
  }

  void expect_bits(const std::string& way, const Values& actual, const Values& expected) const {
    if (error_of(actual, expected) != 0) throw std::runtime_error(way + ": other bits");
  }

  void targets() const {
    for (const int64_t target : testing::targets()) {
      testing::choose_target(target);
      const Executable executable(clone_graph(*optimized_), {.backend = Backend::highway});
      compare(hwy::TargetName(target), executable.run(inputs_));
    }
    testing::choose_target(0);
  }

  void compiled() const {
    const testing::TemporaryFolder folder;
    const auto weights = artifact::constants_of(*optimized_);
    prepare(*optimized_, inputs_, {.backend = Backend::highway, .weights = weights});
    artifact::write_artifact(folder / "m.refrain", *optimized_, *weights,
                             {artifact::native_target()}, "equations_random");
    LoadedModel model = load_model(folder / "m.refrain");
    const Executable first(clone_graph(*optimized_), {.backend = Backend::highway}),
        again(std::move(model.graph), {.backend = Backend::highway, .weights = model.weights});
    expect_bits("compiled", again.run(inputs_), first.run(inputs_));
  }

  void unrolled() {
    auto graph = clone_graph(*graph_);
    passes::specialize(*graph, symbols_.extents());
    passes::unroll(*graph, {});
    const Executable executable(std::move(graph), {});
    compare("unrolled and rolled", executable.run(inputs_));
  }

  void stream() {
    passes::StreamForm form;
    try {
      form = passes::make_stream(*optimized_);
    } catch (const Error&) {
      return;  // tests of their own say for what
    }
    std::set<int64_t> steps;  // which all inputs share
    for (size_t i = 0; i < inputs_.size(); ++i)
      if (const auto axis = form.inputs[i].time_axis)
        steps.insert(inputs_[i].tensor->extents()[*axis]);
    if (!form.time || steps.size() != 1) return;
    ++counts_.streams;
    for (const int64_t block : {1, 3}) {
      Values actual;
      for (const TensorPtr& tensor : testing::run_in_blocks(form, inputs_, expected_.size(), block))
        actual.emplace_back(tensor);
      compare(fmt::format("stream in blocks of {}", block), actual);
    }
    session(form, *steps.begin());
    rows(form);
  }

  // Each row of the batch as a stream of its own.
  void rows(const passes::StreamForm& form) const {
    int64_t count = 0;
    for (size_t i = 0; i < inputs_.size(); ++i)
      if (const auto axis = form.inputs[i].batch_axis) count = inputs_[i].tensor->extents()[*axis];
    for (int64_t row = 0; form.batch && row < count; row += std::max<int64_t>(1, count - 1)) {
      Values inputs;
      for (size_t i = 0; i < inputs_.size(); ++i)
        inputs.emplace_back(of_row(*inputs_[i].tensor, form.inputs[i].batch_axis, row));
      const auto found = testing::run_in_blocks(form, inputs, expected_.size(), 2);
      for (size_t i = 0; i < found.size(); ++i) {
        const Tensor expected = of_row(*expected_[i].tensor, form.outputs[i].batch_axis, row);
        const double error = error_of(*found[i], expected);
        if (!(error <= 10 * tolerance_))  // one row may be smaller than the others
          throw std::runtime_error(fmt::format("row {} alone: '{}' has an error of {}", row,
                                               graph_->output_names()[i], error));
      }
    }
  }

  static Tensor of_row(const Tensor& whole, std::optional<size_t> axis, int64_t row) {
    return axis ? testing::cut(whole, *axis, row, row + 1) : whole.clone();
  }

  void session(const passes::StreamForm& form, int64_t steps) {
    Session session(testing::load_bytes(text_));
    Setup setup;
    for (size_t i = 0; i < inputs_.size(); ++i)
      setup.shapes.emplace(graph_->input(i)->name(), Extents(at_step(form, i).extents()));
    session.prepare_step(setup);
    std::set<std::string> states;
    for (const StateInfo& state : session.states()) {
      for (size_t i = 0; i < inputs_.size(); ++i) {
        if (graph_->input(i)->name() != state.input || !states.insert(state.input).second) continue;
        session.write_state(state.name, testing::view_of(*inputs_[i].tensor));
      }
    }
    std::vector<std::vector<TensorPtr>> parts(expected_.size());
    for (int64_t t = 0; t < steps; ++t) {
      for (size_t i = 0; i < inputs_.size(); ++i) {
        const Tensor now = at_step(form, i, t);
        const std::string& name = graph_->input(i)->name();
        if (states.contains(name)) continue;
        const View input = session.input(name);
        std::memcpy(input.raw(), now.raw(), static_cast<size_t>(now.bytes()));
      }
      session.step();
      for (size_t i = 0; i < parts.size(); ++i)
        parts[i].push_back(std::make_shared<const Tensor>(
            testing::tensor_of(session.output(graph_->output_names()[i]))));
    }
    Values actual;
    for (size_t i = 0; i < parts.size(); ++i) {
      const std::optional<size_t> axis = form.outputs[i].time_axis;
      if (axis) {
        actual.emplace_back(testing::join(parts[i], *axis));
      } else {
        actual.emplace_back(parts[i].back());
      }
    }
    compare("steps of a session", actual);
  }

  // What an input is at a step.
  Tensor at_step(const passes::StreamForm& form, size_t input, int64_t step = 0) const {
    const std::optional<size_t> axis = form.inputs[input].time_axis;
    const Tensor& whole = *inputs_[input].tensor;
    return axis ? testing::cut(whole, *axis, step, step + 1) : whole.clone();
  }

  void printed() {
    const decompile::Decompiled model = decompile::decompile(*optimized_, "w.safetensors");
    if (!model.complete) return;
    const testing::TemporaryFolder folder;
    write_file(folder / "w.safetensors", safetensors_encode(model.weights));
    const auto graph = equations::load("printed.rfn", model.text, {.folder = folder.path()});
    Values inputs;
    for (const decompile::Piece& piece : model.inputs)
      inputs.emplace_back(testing::piece_of(*inputs_[piece.of].tensor, piece));
    const Values found = reference::run(*graph, inputs);
    for (size_t i = 0; i < found.size(); ++i) {
      const decompile::Piece& piece = model.outputs[i];
      const double error =
          error_of(*found[i].tensor, testing::piece_of(*expected_[piece.of].tensor, piece));
      if (!(error <= tolerance_))
        throw std::runtime_error(
            fmt::format("printed: '{}' has an error of {}\n{}", piece.name, error, model.text));
    }
    ++counts_.printed;
  }

  const std::string text_;
  std::mt19937_64 engine_;
  Counts& counts_;
  SymbolBinding symbols_;
  std::unique_ptr<Graph> graph_, optimized_;
  Values inputs_, expected_;
  double tolerance_ = 0;
};

}  // namespace
}  // namespace refrain

int main(int argc, char** argv) {
  using namespace refrain;
  Counts counts;
  const auto check = [&](const std::string& text, uint64_t seed) {
    try {
      Check(text, seed, counts).run();
      return true;
    } catch (const std::exception& error) {
      fmt::print("seed {}: {}\n{}\n", seed, error.what(), text);
      return false;
    }
  };
  const std::string first = argc > 1 ? argv[1] : "10";
  if (first.find_first_not_of("0123456789") != std::string::npos)
    return check(read_file(first, 1 << 20), argc > 2 ? std::stoull(argv[2]) : 1) ? 0 : 1;
  const uint64_t count = std::stoull(first), begin = argc > 2 ? std::stoull(argv[2]) : 1;
  for (uint64_t seed = begin; seed < begin + count; ++seed) {
    refrain::testing::Random random(seed);
    const std::string text = refrain::testing::random_equations(random);
    if (argc > 3) {
      fmt::print("{}", text);
    } else if (!check(text, seed)) {
      return 1;
    }
  }
  fmt::print("{} models; {} streams, {} printed and loaded again\n", counts.models, counts.streams,
             counts.printed);
}
