// Internal to `embed`: what a Session holds.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/executable/executable.h"
#include "frontend/driver/executable.h"
#include "frontend/embed/compiled.h"
#include "refrain/refrain.h"

namespace refrain {

struct Session::Impl {
  Impl(std::shared_ptr<const Model::Impl> of, const SessionOptions& session_options);

  enum class Mode : uint8_t { unprepared, sequence, steps };

  void prepare(const Setup& setup, Mode to);
  // Executables and buffers of what is compiled; states have their initial values.
  void instantiate();
  void reset();
  // One run of what is prepared, states moved on.
  void run() {
    if (!prepared) return run_program();
    prepared->run();
    for (const Carry& carry : carries) std::memcpy(carry.to, carry.from, carry.bytes);
  }

  View input(std::string_view name) const;
  ConstView output(std::string_view name) const;
  void bind_input(std::string_view name, const ConstView& view);
  void bind_output(std::string_view name, const View& view);
  size_t find_state(std::string_view name) const;
  void copy_in(const Inputs& given);
  Outputs copy_out() const;
  std::string describe() const;

  const embed::Compiled& form() const;  // throws Error if nothing is prepared

  Mode mode = Mode::unprepared;
  std::unique_ptr<PreparedGraph> prepared;  // or `program`
  // A state that is not computed in place: from the output to the input.
  struct Carry {
    void* to;
    const void* from;
    size_t bytes;
  };
  std::vector<Carry> carries;

  std::shared_ptr<const Model::Impl> model;
  SessionOptions options;
  std::shared_ptr<const embed::Compiled> compiled;
  std::unique_ptr<Executable> program;

  struct Buffer {
    Array own;
    ConstView at;  // own's, or the caller's
    bool bound = false;
  };
  std::vector<Buffer> inputs, outputs;  // by port
  struct State {
    Array now;
    std::optional<Array> next;  // none: the state is computed in place
  };
  std::vector<State> states;
  std::vector<RuntimeValue> results;  // of `program`, one an output of the graph
  RealTime real_time;

 private:
  void run_program();
  void place();
  // Throws Error if the memory overlaps that of a state or of another output, or, for an output, of
  // an input. `except`: the port that it is for.
  void check_overlap(const ConstView& view, const std::string& what, size_t except,
                     bool is_output) const;
};

}  // namespace refrain
