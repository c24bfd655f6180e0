// Graphs prepared for inputs of certain shapes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/executable/executable.h"
#include "backends/reference/executor.h"
#include "ir/graph.h"
#include "ir/runtime_value.h"

namespace refrain {

// `automatic`, `highway` and `onednn` prepare the graph for the shapes of its inputs and differ in
// the kernels that are preferred; what cannot be prepared runs on the reference backend.
enum class Backend : uint8_t { automatic, reference, highway, onednn };

std::string_view name(Backend backend);
// Throws Error, naming what is available, for another name.
Backend backend_from_name(std::string_view name);

struct ExecutableOptions {
  Backend backend = Backend::automatic;
  int threads = 1;
  bool optimize = true;  // run the whole pipeline on the graph once its shapes are known
  reference::Limits limits = {};
  // A graph is cut at so many loops and branches that depend on data (see staged.h).
  int max_cuts = 16;
  // Packed weights, shared by all that is prepared with it. An executable without one makes its
  // own.
  std::shared_ptr<WeightStore> weights = nullptr;
};

// What a graph has become. Not thread-safe: one run at a time.
class Program {
 public:
  virtual ~Program() = default;
  // One value a graph input, of the shapes that it was made for; returns one a graph output.
  // `iterations` counts those of loops that end by themselves, on from what it is, against
  // Limits::max_iterations. Throws Error.
  virtual std::vector<RuntimeValue> run(std::span<const RuntimeValue> inputs,
                                        int64_t& iterations) = 0;
  // One line a step.
  virtual std::string describe() const = 0;
  // The flat list of steps that all of it is, for callers with buffers of their own; null if it is
  // more than that.
  virtual PreparedGraph* steps() { return nullptr; }
};

struct Preparation {
  std::unique_ptr<Program> program;  // null: the graph can't be prepared
  std::string why;                   // it can't
  // Inputs whose values decide shapes, numbers of steps or branches: the program is for inputs with
  // the very values of these.
  std::vector<size_t> decisive;
};

// The graph bound to the shapes of these inputs and prepared. Throws Error if the inputs don't fit
// the graph or each other.
Preparation prepare(const Graph& graph, std::span<const RuntimeValue> inputs,
                    const ExecutableOptions& options);

// Whether a value, a few whole numbers or truth values, goes through others of that kind into what
// decides how its graph looks: a number of steps, an extent, a branch. (How often a loop runs whose
// end depends on data decides nothing before it has run.)
bool decides(const Value* value);

// What follows once the inputs' shapes are constants: extents, branches and trip counts, and the
// pipeline if the options say so. Throws Error.
void simplify_bound(Graph& graph, const ExecutableOptions& options);

PrepareOptions prepare_options(const ExecutableOptions& options);

// A graph as the reference backend runs it, a line a node.
std::string reference_steps(const Graph& graph);

// A list of steps as a program.
std::unique_ptr<Program> make_program(std::unique_ptr<PreparedGraph> graph);

}  // namespace refrain
