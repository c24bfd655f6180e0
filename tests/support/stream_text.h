// Streams in text: what make_stream makes of a graph's text, and that it gives the same numbers.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backends/reference/executor.h"
#include "ir/error.h"
#include "ir/text.h"
#include "passes/stream.h"
#include "support/compare.h"
#include "support/prepared.h"
#include "support/stream_run.h"

namespace refrain::testing {

inline std::string axis(const std::optional<size_t>& axis) {
  return axis ? std::to_string(*axis) : "-";
}

// The graph, and what the form says of it.
inline std::string text(const passes::StreamForm& form) {
  std::string text = print(*form.graph);
  text += "time " + (form.time ? to_string(*form.time) : "-") + ", batch " +
          (form.batch ? to_string(*form.batch) : "-") + "\n";
  for (const passes::StreamState& state : form.states) {
    text += state.name + ": " + form.graph->input(state.input)->name() + " = " +
            form.graph->output_names()[state.output] +
            (state.initial ? ", from " + std::to_string(state.initial->view().as_doubles().at(0))
                           : "") +
            "\n";
  }
  for (const auto& [ports, name] : {std::pair(form.inputs, "in"), std::pair(form.outputs, "out")}) {
    text += name;
    for (const passes::StreamPort& port : ports)
      text += " " + axis(port.time_axis) + "/" + axis(port.batch_axis);
    text += "\n";
  }
  return text;
}

// Runs a graph over sequences of 1 to 9 steps at once, and its stream in blocks of 1, 2 and 7.
// Elements of `$f64[2, 3]` are random. With a look-ahead, zeros follow the sequence.
inline void expect_same(const std::string& source, const passes::StreamOptions& options = {}) {
  Random random(7);
  const auto graph = parse(with_constants(source, random));
  const passes::StreamForm form = passes::make_stream(*graph, options);
  for (const int64_t steps : {1, 2, 3, 5, 9}) {
    std::vector<RuntimeValue> inputs, longer;
    for (size_t i = 0; i < graph->input_count(); ++i) {
      const ValueType& type = graph->input(i)->type();
      std::vector<int64_t> extents;
      for (const Dim dim : type.shape.dims()) {
        extents.push_back(dim.is_constant() ? dim.extent() : dim == *form.time ? steps : 2);
      }
      inputs.emplace_back(random.tensor(type.element, extents));
      longer.push_back(inputs.back());
      if (!form.inputs[i].time_axis || options.look_ahead == 0) continue;
      extents[*form.inputs[i].time_axis] = options.look_ahead;
      longer.back() = join(
          {inputs.back().tensor, std::make_shared<const Tensor>(Tensor(type.element, extents))},
          *form.inputs[i].time_axis);
    }
    const std::vector<RuntimeValue> expected = reference::run(*graph, inputs);
    for (const int64_t block : {1, 2, 7}) {
      const std::vector<TensorPtr> actual =
          run_in_blocks(form, longer, expected.size(), block, options.look_ahead);
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_TRUE(close(*actual[i], *expected[i].tensor, 1e-12, 1e-13))
            << graph->output_names()[i] << ", " << steps << " steps in blocks of " << block
            << " of\n"
            << text(form);
      }
    }
  }
}

inline void expect_stream(const std::string& before, const std::string& after,
                          const passes::StreamOptions& options = {}) {
  const auto graph = parse(before);
  EXPECT_EQ(text(passes::make_stream(*graph, options)), after);
  EXPECT_EQ(print(*graph), print(*parse(before)));
}

inline std::string refusal(const std::string& source, const passes::StreamOptions& options = {}) {
  Random random(7);
  const auto graph = parse(with_constants(source, random));
  try {
    return "no error but\n" + text(passes::make_stream(*graph, options));
  } catch (const Error& error) {
    return error.what();
  }
}

// A sum over time of what `scanned` is; `before` makes it, `after` makes something of %y.
inline std::string sum(const std::string& before, const std::string& scanned = "%x",
                       const std::string& after = "", const std::string& result = "%y") {
  return "graph @g (%x: f64[T, B, 3]) {\n" + before +
         "  %e = dims() {dims = [B, 3]} : i64[2]\n"
         "  %h = fill(%e) {value = f64[1] (0)} : f64[B, 3]\n"
         "  %s, %y = scan state(%a = %h: f64[B, 3]) scanned(%xi = " +
         scanned +
         "[0]: f64[B, 3]) stacked([0]) {\n"
         "    %t = tanh(%a) : f64[B, 3]\n"
         "    %n = add(%t, %xi) : f64[B, 3]\n"
         "    yield %n, %n\n"
         "  } : f64[B, 3], f64[T, B, 3]\n" +
         after + "  yield \"r\" = " + result + "\n}";
}

// A graph over x: f64[B, 3, T].
inline std::string wide(const std::string& body, const std::string& result = "%y") {
  return "graph @g (%x: f64[B, 3, T]) {\n" + body + "  yield \"r\" = " + result + "\n}";
}

}  // namespace refrain::testing
