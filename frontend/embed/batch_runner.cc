#include "frontend/embed/batch_runner.h"

#include <algorithm>
#include <cstring>

#include "frontend/embed/convert.h"
#include "ir/error.h"

namespace refrain::embed {
namespace {

// States are laid out for whole cache lines.
constexpr size_t kAlignment = 64;

// 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, ...: padding costs a third at most.
std::vector<int64_t> sizes_up_to(int64_t most) {
  std::vector<int64_t> sizes;
  for (int64_t size = 1; size < most; size = size < 2        ? 2
                                             : size % 3 == 0 ? size / 3 * 4
                                                             : size / 2 * 3)
    sizes.push_back(size);
  sizes.push_back(most);
  return sizes;
}

RowPort row_port(DataType type, const Extents& extents, std::optional<size_t> batch_axis,
                 const std::string& what) {
  if (!batch_axis) {
    throw Error(what + " is not one of each stream",
                "an axis for the batch, or a value in the setup", "neither");
  }
  RowPort port;
  port.bytes = port.alignment = size_of(type);
  for (size_t i = 0; i < extents.rank(); ++i) {
    if (i < *batch_axis) port.outer *= extents[i];
    if (i > *batch_axis) port.bytes *= static_cast<size_t>(extents[i]);
  }
  return port;
}

void gather(const RowPort& port, char* batch, int64_t rows, int64_t row, const char* from) {
  for (int64_t o = 0; o < port.outer; ++o) {
    std::memcpy(batch + static_cast<size_t>(o * rows + row) * port.bytes,
                from + static_cast<size_t>(o) * port.bytes, port.bytes);
  }
}

void scatter(const RowPort& port, const char* batch, int64_t rows, int64_t row, char* to) {
  for (int64_t o = 0; o < port.outer; ++o) {
    std::memcpy(to + static_cast<size_t>(o) * port.bytes,
                batch + static_cast<size_t>(o * rows + row) * port.bytes, port.bytes);
  }
}

}  // namespace

BatchForm::BatchForm(const std::shared_ptr<const Model::Impl>& model, const Setup& setup,
                     int64_t max_batch) {
  if (setup.block != 1 || setup.look_ahead != 0) {
    throw Error("streams of a batcher go step by step", "a block of 1 and no look-ahead",
                std::to_string(setup.block) + " and " + std::to_string(setup.look_ahead));
  }
  const std::vector<int64_t> rows = sizes_up_to(max_batch);
  const auto compiled = compile_batches(model, setup, rows);
  for (size_t i = 0; i < rows.size(); ++i) sizes_.push_back({rows[i], compiled[i]});
  const Compiled* const single = compiled[0].get();
  for (size_t i = 0; i < single->inputs.size(); ++i) {
    const Port& port = single->inputs[i];
    inputs_.push_back(row_port(port.type, port.extents, port.axes.batch_axis,
                               "input \"" + single->input_infos[i].name + "\""));
  }
  for (size_t i = 0; i < single->outputs.size(); ++i) {
    const Port& port = single->outputs[i];
    outputs_.push_back(row_port(port.type, port.extents, port.axes.batch_axis,
                                "output \"" + single->output_infos[i].name + "\""));
  }
  for (size_t i = 0; i < single->states.size(); ++i) {
    const StatePort& state = single->states[i];
    states_.push_back(row_port(state.type, state.extents, state.batch_axis,
                               "state \"" + single->state_infos[i].name + "\""));
    states_.back().offset = state_bytes_;
    state_bytes_ += (states_.back().row_bytes() + kAlignment - 1) / kAlignment * kAlignment;
  }
}

void BatchForm::reset(std::byte* state) const {
  for (size_t i = 0; i < states_.size(); ++i) {
    std::memcpy(state + states_[i].offset, one().states[i].initial->raw(), states_[i].row_bytes());
  }
}

BatchRunner::BatchRunner(const BatchForm& form) : form_(form) {
  for (const BatchForm::Size& size : form.sizes()) {
    Lane& lane = lanes_.emplace_back();
    lane.rows = size.rows;
    lane.session = std::make_unique<Session::Impl>(size.compiled->model, SessionOptions());
    Session::Impl& session = *lane.session;
    session.compiled = size.compiled;
    session.mode = Session::Impl::Mode::steps;
    session.instantiate();
    for (Session::Impl::Buffer& buffer : session.inputs) {
      lane.inputs.push_back(static_cast<char*>(buffer.own.view().raw()));
    }
    for (Session::Impl::State& state : session.states) {
      lane.states.push_back(static_cast<char*>(state.now.view().raw()));
      // Rows are taken from where a step leaves them; they need not be carried over here.
      const auto carry = std::find_if(
          session.carries.begin(), session.carries.end(),
          [&](const Session::Impl::Carry& c) { return c.to == state.now.view().raw(); });
      lane.next_states.push_back(carry == session.carries.end()
                                     ? lane.states.back()
                                     : static_cast<const char*>(carry->from));
    }
    for (size_t k = 0; k < session.outputs.size(); ++k) {
      const char* at = static_cast<const char*>(session.outputs[k].at.raw());
      for (size_t i = 0; i < session.states.size(); ++i) {
        if (size.compiled->states[i].output == size.compiled->outputs[k].index)
          at = lane.next_states[i];
      }
      lane.outputs.push_back(at);
    }
  }
}

void BatchRunner::run(std::span<RowWork> rows) {
  if (rows.empty()) return;
  const auto lane = std::find_if(lanes_.begin(), lanes_.end(), [&](const Lane& candidate) {
    return candidate.rows >= static_cast<int64_t>(rows.size());
  });
  try {
    run(*lane, rows);
    return;
  } catch (const Error& error) {
    if (rows.size() == 1) {
      rows[0].error = std::make_unique<const Error>(error);
      return;
    }
  }
  // Something in one row fails all of them; nothing of them was written, so that each can be run
  // by itself.
  for (RowWork& row : rows) run(std::span<RowWork>(&row, 1));
}

void BatchRunner::run(Lane& lane, std::span<RowWork> rows) {
  const std::vector<RowPort>& inputs = form_.inputs();
  const std::vector<RowPort>& states = form_.states();
  const std::vector<RowPort>& outputs = form_.outputs();
  for (int64_t r = 0; r < lane.rows; ++r) {
    // Rows that nobody wants are copies of the first one's inputs, which are as good as any.
    const RowWork& row = rows[static_cast<size_t>(r) < rows.size() ? static_cast<size_t>(r) : 0];
    for (size_t i = 0; i < inputs.size(); ++i) {
      const auto* from = static_cast<const char*>(row.inputs[i]) +
                         static_cast<size_t>(row.step) * inputs[i].row_bytes();
      gather(inputs[i], lane.inputs[i], lane.rows, r, from);
    }
    if (static_cast<size_t>(r) >= rows.size()) continue;
    for (size_t i = 0; i < states.size(); ++i) {
      gather(states[i], lane.states[i], lane.rows, r,
             reinterpret_cast<const char*>(row.state + states[i].offset));
    }
  }
  lane.session->prepared->run();
  for (size_t r = 0; r < rows.size(); ++r) {
    const RowWork& row = rows[r];
    for (size_t i = 0; i < states.size(); ++i) {
      scatter(states[i], lane.next_states[i], lane.rows, static_cast<int64_t>(r),
              reinterpret_cast<char*>(row.state + states[i].offset));
    }
    for (size_t i = 0; row.outputs && i < outputs.size(); ++i) {
      if (!row.outputs[i]) continue;
      char* const to = static_cast<char*>(row.outputs[i]) +
                       static_cast<size_t>(row.step) * outputs[i].row_bytes();
      scatter(outputs[i], lane.outputs[i], lane.rows, static_cast<int64_t>(r), to);
    }
  }
}

}  // namespace refrain::embed
