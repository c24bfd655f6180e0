#include "frontend/embed/compiled.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "frontend/driver/model.h"
#include "frontend/driver/random_inputs.h"
#include "frontend/embed/batch_stream.h"
#include "frontend/embed/convert.h"
#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/error.h"
#include "passes/specialize.h"

namespace refrain::embed {
namespace {

std::string input_called(std::string_view name) { return "input \"" + std::string(name) + "\""; }

void check_tensors(const Graph& graph) {
  for (size_t i = 0; i < graph.input_count(); ++i) {
    if (graph.input(i)->type().is_tensor()) continue;
    throw Error("sessions take tensors only",
                "a tensor for " + input_called(graph.input(i)->name()),
                to_string(graph.input(i)->type()));
  }
  for (size_t i = 0; i < graph.output_count(); ++i) {
    if (graph.output(i)->type().is_tensor()) continue;
    throw Error("sessions give tensors only",
                "a tensor for output \"" + graph.output_names()[i] + "\"",
                to_string(graph.output(i)->type()));
  }
}

// A tensor that owns what the view shows.
TensorPtr tensor_of(const ConstView& view) {
  Tensor tensor(element_type(view.type()), to_vector(view.extents()));
  if (tensor.bytes() > 0) {
    std::memcpy(tensor.raw(), view.raw(), static_cast<size_t>(tensor.bytes()));
  }
  return std::make_shared<const Tensor>(std::move(tensor));
}

// `tensor` broadcast to the extents, from the right, as in numpy.
TensorPtr broadcast(const Tensor& tensor, const std::vector<int64_t>& extents,
                    const std::string& name) {
  Tensor wide(tensor.type(), extents);
  const size_t rank = extents.size(), missing = rank - std::min(rank, tensor.rank());
  std::vector<int64_t> strides(rank, 0);
  int64_t stride = 1;
  bool fits = tensor.rank() <= rank;
  for (size_t i = rank; fits && i-- > missing;) {
    const int64_t extent = tensor.extents()[i - missing];
    fits = extent == extents[i] || extent == 1;
    strides[i] = extent == 1 ? 0 : stride;
    stride *= extent;
  }
  if (!fits) {
    throw Error("the initial value of state \"" + name + "\" does not fit it",
                to_string(Shape::of_extents(extents)),
                to_string(Shape::of_extents(tensor.extents())));
  }
  const size_t bytes = size_of(tensor.type());
  for (int64_t i = 0; i < wide.size(); ++i) {
    int64_t rest = i, from = 0;
    for (size_t k = rank; k-- > 0; rest /= extents[k]) from += rest % extents[k] * strides[k];
    std::memcpy(static_cast<char*>(wide.raw()) + static_cast<size_t>(i) * bytes,
                static_cast<const char*>(tensor.raw()) + static_cast<size_t>(from) * bytes, bytes);
  }
  return std::make_shared<const Tensor>(std::move(wide));
}

class Compiler {
 public:
  Compiler(const std::shared_ptr<const Model::Impl>& model, const Setup& setup, Form form,
           int threads)
      : setup_(setup), made_(std::make_shared<Compiled>()) {
    made_->model = model;
    made_->steps = form == Form::steps;
    made_->options = model->executable_options(threads);
  }

  std::shared_ptr<const Compiled> run() {
    take_model();
    if (made_->steps) {
      make_stream();
      // A batch that nobody says anything of has as many rows as were traced.
      if (stream_->traced_batch > 0) rows_ = stream_->traced_batch;
      use_stream();
    }
    finish();
    return made_;
  }

  // One row of a batch.
  std::shared_ptr<const Compiled> run_row() {
    const passes::StreamForm* const form = made_->model->stream();
    take_model(form && form->batch ? form->batch->name() : std::string());
    make_stream();
    if (!stream_->batch) know_shapes();
    use_stream();
    finish();
    check_one_row(symbols_.extents().at(made_->batch));
    check_prepared();
    return made_;
  }

  // Several rows of what another compiler made one of.
  std::shared_ptr<const Compiled> run_rows(const Compiler& row) {
    check_setup();
    made_->options = row.made_->options;
    made_->fixed = row.made_->fixed;
    symbols_ = row.given_;
    stream_ = row.stream_;
    use_stream();
    finish();
    check_prepared();
    return made_;
  }

 private:
  Graph& graph() { return *made_->graph; }
  bool is_fixed(size_t input) const {
    return std::any_of(made_->fixed.begin(), made_->fixed.end(),
                       [&](const auto& value) { return value.first == input; });
  }

  void take_model(const std::string& rows = {}) {
    check_setup();
    made_->graph = clone_graph(*made_->model->graph);
    check_tensors(graph());
    fix_values(rows);
    given_ = symbols_;
  }

  static void check_one_row(int64_t rows) {
    if (rows != 1) throw Error("wrong batch of one stream", "1", std::to_string(rows));
  }

  void check_prepared() const {
    if (made_->prepared) return;
    throw Error("streams of this model can't run as a batch: " + made_->why);
  }

  void finish() {
    bind_shapes();
    lower();
    if (made_->options.backend != Backend::reference) share_weights();
    list_ports();
  }

  void check_setup() {
    const std::vector<TensorInfo>& inputs = made_->model->inputs;
    for (const auto& entry : setup_.shapes) find_name(inputs, entry.first, kNoInput);
    for (const auto& entry : setup_.values) {
      find_name(inputs, entry.first, kNoInput);
      if (setup_.shapes.contains(entry.first)) {
        throw Error(input_called(entry.first) + " has a value and a shape", "one of them", "both");
      }
    }
    if (setup_.block < 1) {
      throw Error("wrong number of steps in a block", "1 or more", std::to_string(setup_.block));
    }
    if (setup_.look_ahead < 0) {
      throw Error("wrong look-ahead", "0 steps or more", std::to_string(setup_.look_ahead));
    }
    if (!made_->steps && (setup_.block != 1 || setup_.look_ahead != 0)) {
      throw Error("a session for whole sequences has no blocks of steps", "prepare_step()",
                  "prepare() with a block or a look-ahead");
    }
  }

  // `rows`: the symbol of the batch, along which values are those of each row; may be empty.
  void fix_values(const std::string& rows) {
    for (const auto& [name, view] : setup_.values) {
      const size_t i = find_name(made_->model->inputs, name, kNoInput);
      Value* const input = graph().input(i);
      check_view(view, data_type(input->type().element), view.extents(), input_called(name));
      const TensorPtr tensor = tensor_of(view);
      Builder builder(graph().body(), graph().body().first());
      Value* value = builder.constant(tensor);
      const ValueType type = value->type();
      ValueType rest = input->type(), repeated = type;
      for (size_t axis = 0; rest.shape.ranked() && axis < rest.shape.rank(); ++axis) {
        if (!rest.shape[axis].is_symbol() || rest.shape[axis].name() != rows) continue;
        if (axis < type.shape.rank()) {
          check_one_row(tensor->extents()[axis]);
          repeated.shape[axis] = rest.shape[axis];
        }
        rest.shape[axis] = Dim::unknown();
      }
      symbols_.bind(rest, tensor->extents(), name);
      if (repeated != type) {
        const Node* const target =
            builder.create(Op::dims, {}, {{AttributeName::dims, repeated.shape.dims()}});
        value = builder.op(Op::expand, {value, target->result()});
      }
      input->replace_all_uses_with(value);
      input->set_type(type);
      made_->fixed.emplace_back(i, tensor);
    }
    // Branches that these decide go, and what they hid is seen.
    if (made_->fixed.empty()) return;
    optimize(graph(), made_->options.limits);
    made_->options.weights->check_absent(graph());  // what passes have computed with
  }

  void make_stream() {
    passes::StreamOptions options{.states = made_->model->options.states};
    const bool plain = setup_.look_ahead == 0;
    if (!plain) {
      options.look_ahead = setup_.look_ahead;
      options.block = setup_.block;
    }
    if (plain && made_->fixed.empty()) {
      const passes::StreamForm* const form = made_->model->stream();
      if (!form) throw Error("this model can't be stepped: " + made_->model->streaming.why);
      stream_ = {made_->model, form};
    } else {
      try {
        stream_ = std::make_shared<const passes::StreamForm>(passes::make_stream(graph(), options));
      } catch (const Error& error) {
        throw Error("this model can't be stepped: " + std::string(error.what()));
      }
    }
  }

  // Rows may be told apart only where all other extents are known.
  void know_shapes() {
    std::string why = stream_->why_no_batch;
    std::unique_ptr<passes::StreamForm> form;
    if (!setup_.symbols.empty() || !setup_.shapes.empty()) {
      SymbolBinding known = symbols_;
      for (const auto& [symbol, extent] : setup_.symbols) known.bind(symbol, extent);
      const std::unique_ptr<Graph> given = clone_graph(graph());
      for (const auto& [name, extents] : setup_.shapes) {
        Value& input = *given->input(find_name(made_->model->inputs, name, kNoInput));
        known.bind(input.type(), to_vector(extents), name);
        fill_unknown(input, to_vector(extents));
      }
      form = batch_stream_at(*given, *stream_, {.states = made_->model->options.states},
                             known.extents(), made_->options, why);
    }
    if (!form) throw Error("streams of this model can't run as a batch: " + why);
    stream_ = std::move(form);
  }

  // Extents that have no name are these.
  static void fill_unknown(Value& input, const std::vector<int64_t>& extents) {
    ValueType type = input.type();
    if (!type.shape.ranked()) type.shape = Shape::of_extents(extents);
    for (size_t i = 0; i < extents.size(); ++i) {
      if (type.shape[i].is_unknown()) type.shape[i] = extents[i];
    }
    input.set_type(std::move(type));
  }

  void use_stream() {
    const passes::StreamForm& form = *stream_;
    if (form.time) {
      set_symbol(form.time->name(), setup_.block + setup_.look_ahead, "the block of steps");
    } else if (setup_.block != 1) {
      throw Error("one run of this model is one step", "a block of 1",
                  std::to_string(setup_.block));
    }
    if (form.batch) made_->batch = form.batch->name();
    states_ = form.states;
    input_axes_ = form.inputs;
    output_axes_ = form.outputs;
    made_->graph = clone_graph(*form.graph);
    made_->state_infos = embed::state_infos(graph(), states_, made_->model->inputs.size(),
                                            made_->model->outputs.size());
  }

  void set_symbol(const std::string& symbol, int64_t extent, const std::string& from) {
    const auto found = symbols_.extents().find(symbol);
    if (found != symbols_.extents().end() && found->second != extent) {
      throw Error("two extents for " + symbol, std::to_string(found->second),
                  std::to_string(extent) + " by " + from);
    }
    symbols_.bind(symbol, extent);
  }

  void bind_shapes() {
    // Some of the model's may be gone.
    std::set<std::string> known = input_symbols(*made_->model->graph);
    known.merge(input_symbols(graph()));
    for (const auto& [symbol, extent] : setup_.symbols) {
      if (!known.contains(symbol)) {
        throw Error("no dimension of an input is called \"" + symbol + "\"",
                    "one of " + list_names({known.begin(), known.end()}));
      }
      if (extent < 0) {
        throw Error("wrong extent of " + symbol, "0 or more", std::to_string(extent));
      }
      set_symbol(symbol, extent, "the setup");
    }
    for (const auto& [name, extents] : setup_.shapes) {
      const Value& input = *graph().input(find_name(made_->model->inputs, name, kNoInput));
      symbols_.bind(input.type(), to_vector(extents), name);
    }
    const std::string& batch = made_->batch;
    if (!batch.empty() && !symbols_.extents().contains(batch)) symbols_.bind(batch, rows_);
    int64_t left = made_->options.limits.max_bytes;
    for (size_t i = 0; i < graph().input_count(); ++i) {
      if (is_fixed(i)) continue;
      Value& input = *graph().input(i);
      bind_shape(input);
      const int64_t bytes = byte_count(input.type().element, input.type().shape.extents());
      if (bytes > left) {
        throw Error("the inputs take more memory than the model may",
                    std::to_string(made_->options.limits.max_bytes) + " bytes at most",
                    to_string(input.type()) + " for " + input_called(input.name()));
      }
      left -= bytes;
    }
  }

  void bind_shape(Value& input) {
    const ValueType type = input.type();
    std::vector<int64_t> extents;
    if (const auto given = setup_.shapes.find(input.name()); given != setup_.shapes.end()) {
      extents = to_vector(given->second);
    } else {
      const auto unknown = [&](Dim dim) {
        return dim.is_unknown() || (dim.is_symbol() && !symbols_.extents().contains(dim.name()));
      };
      if (!type.shape.ranked() ||
          std::any_of(type.shape.dims().begin(), type.shape.dims().end(), unknown)) {
        throw Error("the shape of " + input_called(input.name()) + " is not known",
                    "extents by its shape or by symbols, for " + to_string(type), "none");
      }
      extents = symbols_.resolve(type.shape);
    }
    to_extents(extents);  // that views can show it
    input.set_type(ValueType::tensor(type.element, Shape::of_extents(extents)));
  }

  void lower() {
    passes::specialize(graph(), symbols_.extents());
    if (made_->options.backend == Backend::reference) {
      made_->why = "the reference kernels allocate";
      return;
    }
    simplify_bound(graph(), made_->options);
    made_->prepared =
        PreparedGraph::supports(graph(), &made_->why, made_->options.limits.max_iterations);
    if (made_->prepared) {
      return;
    }
    made_->why = "the graph can't be prepared as a whole: " + made_->why;
    for (size_t i = 0; i < graph().input_count(); ++i) {
      if (is_fixed(i) || !decides(graph().input(i))) continue;
      made_->why += "; " + input_called(graph().input(i)->name()) +
                    " decides shapes, branches or numbers of steps: give it a value in the setup";
    }
  }

  // Weights that only came to be here (a fixed value took a branch, whose gates were fused) have a
  // store of this form's own, for its sessions: in the model's they would stay as long as that.
  void share_weights() {
    constexpr int64_t kWorthSharing = 4096;  // bytes
    WeightStore& shared = *made_->options.weights;
    std::vector<const Region*> regions = {&graph().body()};
    bool new_ones = false;
    while (!regions.empty() && !new_ones) {
      const Region& region = *regions.back();
      regions.pop_back();
      for (const Node* node = region.first(); node; node = node->next()) {
        for (size_t i = 0; i < node->region_count(); ++i) regions.push_back(&node->region(i));
        if (node->op() != Op::constant) continue;
        const TensorPtr tensor = constant_tensor(node->result());
        const auto bytes = static_cast<size_t>(tensor->bytes());
        new_ones |= tensor->bytes() >= kWorthSharing && !shared.find(tensor->raw(), bytes);
      }
    }
    if (!new_ones) return;
    shared.check_all();  // the other one has no checksums
    made_->options.weights = std::make_shared<WeightStore>();
    made_->options.weights->add(graph());
  }

  void list_ports() {
    const std::vector<TensorInfo>& inputs = made_->model->inputs;
    const std::vector<TensorInfo>& outputs = made_->model->outputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const bool is_state = std::any_of(states_.begin(), states_.end(),
                                        [&](const auto& state) { return state.input == i; });
      if (is_state || is_fixed(i)) continue;
      made_->inputs.push_back(port(*graph().input(i), i, input_axes_));
      made_->input_infos.push_back(tensor_info(inputs[i].name, graph().input(i)->type()));
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      made_->outputs.push_back(port(*graph().output(i), i, output_axes_));
      made_->output_infos.push_back(tensor_info(outputs[i].name, graph().output(i)->type()));
    }
    for (size_t i = 0; i < states_.size(); ++i) list_state(i);
  }

  static Port port(const Value& value, size_t index, const std::vector<passes::StreamPort>& axes) {
    Port made;
    made.index = index;
    made.type = data_type(value.type().element);
    if (index < axes.size()) made.axes = axes[index];
    const Shape& shape = value.type().shape;
    made.is_static = shape.is_static();
    if (made.is_static) made.extents = to_extents(shape.extents());
    return made;
  }

  void list_state(size_t i) {
    const passes::StreamState& state = states_[i];
    const ValueType& type = graph().input(state.input)->type();
    const std::vector<int64_t> extents = type.shape.extents();
    StatePort& made = made_->states.emplace_back();
    made.input = state.input;
    made.output = state.output;
    made.type = data_type(type.element);
    made.extents = to_extents(extents);
    made.initial = state.initial ? broadcast(*state.initial, extents, state.name)
                                 : std::make_shared<const Tensor>(Tensor(type.element, extents));
    if (state.input < input_axes_.size()) made.batch_axis = input_axes_[state.input].batch_axis;
    static_cast<TensorInfo&>(made_->state_infos[i]) = tensor_info(state.name, type);
  }

  static constexpr const char* kNoInput = "the model has no input";

  const Setup& setup_;
  std::shared_ptr<Compiled> made_;
  SymbolBinding symbols_, given_;  // `given_`: by values
  std::shared_ptr<const passes::StreamForm> stream_;
  std::vector<passes::StreamState> states_;
  std::vector<passes::StreamPort> input_axes_, output_axes_;
  int64_t rows_ = 1;  // unless the setup says so
};

}  // namespace

std::shared_ptr<const Compiled> compile(const std::shared_ptr<const Model::Impl>& model,
                                        const Setup& setup, Form form, int threads) {
  return Compiler(model, setup, form, threads).run();
}

std::vector<std::shared_ptr<const Compiled>> compile_batches(
    const std::shared_ptr<const Model::Impl>& model, const Setup& setup,
    std::span<const int64_t> rows) {
  Compiler row(model, setup, Form::steps, 1);
  const std::shared_ptr<const Compiled> one = row.run_row();
  std::vector<std::shared_ptr<const Compiled>> made;
  for (const int64_t count : rows) {
    if (count == 1) {
      made.push_back(one);
      continue;
    }
    Setup wide = setup;
    wide.symbols[one->batch] = count;
    const auto widen = [&](size_t input, std::optional<size_t> axis) {
      const auto shape = wide.shapes.find(model->inputs.at(input).name);
      if (shape == wide.shapes.end() || !axis) return;
      std::vector<int64_t> extents = to_vector(shape->second);
      extents[*axis] = count;
      shape->second = to_extents(extents);
    };
    for (const Port& port : one->inputs) widen(port.index, port.axes.batch_axis);
    for (const StatePort& state : one->states) {
      if (state.input < model->inputs.size()) widen(state.input, state.batch_axis);
    }
    made.push_back(Compiler(model, wide, Form::steps, 1).run_rows(row));
  }
  return made;
}

}  // namespace refrain::embed
