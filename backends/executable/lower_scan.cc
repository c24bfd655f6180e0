#include "backends/executable/lower_scan.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "backends/executable/elementwise_form.h"
#include "backends/executable/elementwise_step.h"
#include "backends/executable/loop_form.h"
#include "backends/executable/loop_step.h"
#include "backends/executable/recurrent_cell.h"
#include "backends/executable/recurrent_step.h"
#include "backends/executable/row_step.h"
#include "backends/executable/scan_step.h"
#include "ir/builder.h"
#include "ir/error.h"

namespace refrain::executable {
namespace {

bool runs_backward(const ScanView& view) {
  bool backward = false;
  for (size_t i = 0; i < view.scanned(); ++i) backward |= view.scan_slot(i).reverse;
  for (size_t i = 0; i < view.stacked(); ++i) backward |= view.stack_slot(i).reverse;
  return backward;
}

Cut cut_of(const Value& whole, ScanSlot slot) {
  const std::vector<int64_t> extents = extents_of(whole);
  const size_t axis = normalize_axis(slot.axis, extents.size());
  Cut cut{1, static_cast<int64_t>(size_of(whole.type().element)), slot.reverse};
  for (size_t i = 0; i < axis; ++i) cut.outer *= extents[i];
  for (size_t i = axis + 1; i < extents.size(); ++i) cut.inner *= extents[i];
  return cut;
}

Batches batches_of(const Value& value, int64_t batch_axis) {
  const std::vector<int64_t> extents = extents_of(value);
  const size_t axis = normalize_axis(batch_axis, extents.size());
  Batches batches{1, static_cast<int64_t>(size_of(value.type().element))};
  for (size_t i = 0; i < axis; ++i) batches.outer *= extents[i];
  for (size_t i = axis + 1; i < extents.size(); ++i) batches.inner *= extents[i];
  return batches;
}

void lower_step_by_step(Lowering& lowering, const ScanView& view, const Node& node, int64_t count,
                        Steps& steps) {
  Storage& storage = lowering.storage();
  auto scan = std::make_unique<ScanStep>(count);
  for (size_t i = 0; i < view.invariants(); ++i) {
    lowering.alias(view.invariant_argument(i), node.operand(view.invariant_operand(i)));
  }
  for (size_t i = 0; i < view.states(); ++i) {
    lowering.set_place(view.state_argument(i), lowering.allocate(view.final_state(i)));
  }
  for (size_t i = 0; i < view.scanned(); ++i) {
    const Value* whole = node.operand(view.scanned_operand(i));
    scan->add_slice(lowering.place(whole), lowering.allocate(view.slice_argument(i)),
                    cut_of(*whole, view.scan_slot(i)));
  }
  const int64_t begin = lowering.take_position();
  lowering.enter();
  Steps body;
  lowering.lower(view.body(), body);
  lowering.leave();
  scan->set_body(std::move(body));

  if (view.has_lengths()) {
    const Value& lengths = *view.lengths();
    scan->add_lengths(lowering.place(&lengths), lengths.type().element,
                      element_count(extents_of(lengths)), runs_backward(view));
  }
  const auto batches = [&](const Value& value) {
    return view.has_lengths() ? batches_of(value, view.batch_axis()) : Batches();
  };
  for (size_t i = 0; i < view.states(); ++i) {
    const Value* next = view.next_state(i);
    const Place place = lowering.place(next);
    bool reads_other = false;
    for (size_t k = 0; k < view.states(); ++k) {
      reads_other |= place.buffer == lowering.place(view.state_argument(k)).buffer;
    }
    const int64_t bytes = bytes_of(*next);
    scan->add_state(lowering.place(node.operand(view.state_operand(i))),
                    lowering.place(view.state_argument(i)), place,
                    reads_other ? storage.arena(bytes) : Place(), bytes, batches(*next));
  }
  for (size_t i = 0; i < view.stacked(); ++i) {
    const Value* whole = view.stacked_result(i);
    const Place to = lowering.allocate(whole);
    if (whole->unused()) continue;
    scan->add_stack(lowering.place(view.stacked_slice(i)), to, cut_of(*whole, view.stack_slot(i)),
                    batches(*view.stacked_slice(i)));
  }
  // A step reads again what the last one's later operations must not have overwritten.
  for (size_t i = 0; i < view.invariants(); ++i) {
    scan->reads(lowering.place(node.operand(view.invariant_operand(i))));
  }
  // Slices are there from the start, and slots must outlive the body's last step.
  for (const Step::Slot& slot : scan->slots()) storage.touch(slot.place, begin);
  lowering.append(steps, std::move(scan));
}

// By how much each buffer moves with time; none if one moves in two ways, so that a run can't be
// cut in time.
std::optional<std::vector<int64_t>> time_strides(const LoopForm& form) {
  std::vector<std::optional<int64_t>> strides(form.buffers.size());
  bool same = true;
  const auto add = [&](const highway::Stream& stream) {
    if (stream.kind == highway::Stream::Kind::state) return;
    const int64_t stride = stream.kind == highway::Stream::Kind::units ? 0 : stream.time_stride;
    std::optional<int64_t>& known = strides[stream.buffer];
    same = same && known.value_or(stride) == stride;
    known = stride;
  };
  for (const highway::Stage& stage : form.spec.stages) {
    for (const highway::Product& product : stage.products) add(product.left);
    for (const highway::Stream& input : stage.inputs) add(input);
    for (const highway::Stream& output : stage.outputs) add(output);
  }
  if (!same) return {};
  std::vector<int64_t> result;
  for (size_t i = 0; i < strides.size(); ++i) {
    result.push_back(form.buffers[i].fed ? 0 : strides[i].value_or(0));
  }
  return result;
}

// Null if the loop passes a limit of the kernel (on its states, its products).
std::unique_ptr<LoopStep> make_loop(const LoopForm& form, const PrepareOptions& options) {
  try {
    highway::check(form.spec);
  } catch (const Error&) {
    return nullptr;
  }
  return std::make_unique<LoopStep>(form.spec, form.shape, options);
}

// A constant of the body has no steps that would give it a place.
void place_constant(Lowering& lowering, const Node& node, const Value* value) {
  if (!value || value->region() == node.parent()) return;
  lowering.set_place(value, lowering.storage().constant(
                                value->node()->attribute<TensorPtr>(AttributeName::value)));
}

// Whether a scan is an element-wise loop, then lowered.
bool lower_elementwise(Lowering& lowering, const ScanView& view, const Node& node, int64_t count,
                       Steps& steps) {
  const std::optional<ElementwiseForm> form = find_elementwise_form(lowering, node, count);
  if (!form) return false;
  std::unique_ptr<ElementwiseStep> step;
  try {
    step = std::make_unique<ElementwiseStep>(form->spec, count, form->backward,
                                             lowering.options().threads);
  } catch (const Error&) {
    return false;  // it passes a limit of the kernel
  }
  for (size_t i = 0; i < node.operand_count(); ++i) lowering.need(node.operand(i), steps);
  for (size_t i = 0; i < view.states(); ++i) lowering.allocate(view.final_state(i));
  for (size_t i = 0; i < view.stacked(); ++i) lowering.allocate(view.stacked_result(i));
  for (const SpaceBuffer& buffer : form->buffers) {
    place_constant(lowering, node, buffer.value);
    const Place place = lowering.place(buffer.value);
    buffer.written ? step->writes(place) : step->reads(place);
  }
  step->add_scratch(lowering.storage().arena(step->scratch_bytes()));
  if (view.has_lengths()) {
    const Value& lengths = *view.lengths();
    step->add_lengths(lowering.place(&lengths), lengths.type().element,
                      element_count(extents_of(lengths)));
  }
  lowering.append(steps, std::move(step));
  return true;
}

// The value's elements as f32, each so many times.
Place widen(Lowering& lowering, const Value& value, int64_t times, Steps& steps) {
  const int64_t count = element_count(extents_of(value));
  // Rows as wide as they are, where nothing is repeated.
  const int64_t columns = row_form(value).width;
  const int64_t width = times == 1 && columns <= highway::kMaxRowWidth ? columns : 1;
  highway::RowProgram program;
  program.inputs = {{value.type().element == ElementType::boolean ? highway::RowElement::boolean
                                                                  : highway::RowElement::f32,
                     width}};
  program.widths = {width * times};
  const highway::RowView operand{0, 0, times > 1};
  program.code = {{highway::RowOperation::map,
                   width * times,
                   {1},
                   {operand, operand},
                   highway::Operation::max,
                   0,
                   0}};
  program.outputs = {{{1}, width * times}};
  auto step =
      std::make_unique<RowStep>(std::move(program), count / width, lowering.options().threads);
  const Place result =
      lowering.storage().arena(count * times * static_cast<int64_t>(sizeof(float)));
  step->reads(lowering.place(&value));
  step->writes(result);
  step->writes(lowering.storage().arena(step->scratch_bytes()));
  lowering.append(steps, std::move(step));
  return result;
}

void lower_to_kernel(Lowering& lowering, const ScanView& view, const Node& node, LoopForm& form,
                     const std::optional<RecurrentCell>& cell, std::unique_ptr<LoopStep> step,
                     Steps& steps) {
  Storage& storage = lowering.storage();
  const auto floats = [](int64_t count) { return count * static_cast<int64_t>(sizeof(float)); };
  for (const Value* taken : form.taken) lowering.take_feed(taken);
  for (size_t i = 0; i < view.states(); ++i) lowering.allocate(view.final_state(i));
  for (size_t i = 0; i < view.stacked(); ++i) lowering.allocate(view.stacked_result(i));
  for (const LoopBuffer& buffer : form.buffers) {
    place_constant(lowering, node, buffer.value);
    if (buffer.fed) {
      step->writes(storage.arena(bytes_of(*buffer.value) / form.shape.steps * form.shape.chunk));
    } else if (buffer.repeated > 0) {
      step->reads(widen(lowering, *buffer.value, buffer.repeated, steps));
    } else if (buffer.temporary > 0) {
      step->writes(storage.arena(floats(buffer.temporary)));
    } else if (buffer.written) {
      step->writes(lowering.place(buffer.value));
    } else {
      step->reads(lowering.place(buffer.value));
    }
  }
  for (size_t i = 0; i < view.states(); ++i) {
    step->add_state(lowering.place(node.operand(view.state_operand(i))),
                    lowering.place(view.final_state(i)),
                    storage.arena(bytes_of(*view.final_state(i))));
  }
  if (view.has_lengths()) {
    const Value& lengths = *view.lengths();
    step->add_lengths(lowering.place(&lengths), lengths.type().element,
                      element_count(extents_of(lengths)), std::move(form.sequence_of_row));
  }
  step->set_time_strides(time_strides(form).value_or(std::vector<int64_t>(form.buffers.size(), 0)));
  for (size_t i = 0; i < view.scanned(); ++i) {
    const Value* whole = node.operand(view.scanned_operand(i));
    const auto buffer =
        std::find_if(form.buffers.begin(), form.buffers.end(),
                     [&](const LoopBuffer& b) { return b.fed && b.value == whole; });
    if (buffer == form.buffers.end()) continue;
    const std::vector<const Value*> results = {whole};
    Lowering::ProductForm product = lowering.product_form(*lowering.feed_of(whole), results);
    std::vector<Place> reads;
    for (const Value* read : product.reads) reads.push_back(lowering.place(read));
    step->add_feed(product.spec, lowering.options().weights, reads, std::move(product.row_strides),
                   static_cast<size_t>(buffer - form.buffers.begin()), extents_of(*whole).back(),
                   view.scan_slot(i).reverse && !view.has_lengths());
    lowering.take_feed(whole);
  }
  if (cell) {
    // What was allocated for the loop alone is never touched, and so takes no memory.
    if (std::unique_ptr<Step> other = choose_recurrent(lowering, *cell, node, *step)) {
      return lowering.append(steps, std::move(other));
    }
  }
  lowering.append(steps, std::move(step));
}

}  // namespace

std::optional<int64_t> scan_steps(const Node& node) {
  const ScanView view(node);
  std::optional<int64_t> steps;
  for (size_t i = 0; i < view.scanned(); ++i) {
    const Value& whole = *node.operand(view.scanned_operand(i));
    const std::vector<int64_t> extents = extents_of(whole);
    const int64_t extent = extents[normalize_axis(view.scan_slot(i).axis, extents.size())];
    if (steps && *steps != extent) return {};
    steps = extent;
  }
  if (view.has_trip_count()) {
    const TensorPtr trips = constant_tensor(view.trip_count());
    if (!trips || trips->size() != 1) return {};
    const int64_t count = trips->view().as_ints()[0];
    if (count < 0 || (steps && *steps != count)) return {};
    steps = count;
  }
  return steps;
}

std::string scan_obstacle(const Node& node, int64_t max_unbounded_steps) {
  const ScanView view(node);
  const std::optional<int64_t> steps = scan_steps(node);
  if (!steps) return "a scan whose number of steps is not constant";
  bool reads = false;
  for (size_t i = 0; i < view.scanned(); ++i) {
    reads |= bytes_of(*node.operand(view.scanned_operand(i))) > 0;
  }
  if (!reads && *steps > max_unbounded_steps) return "a scan of too many steps";
  const auto same = [](const Value* a, const Value* b) {
    return a->type().element == b->type().element && a->type().shape == b->type().shape;
  };
  for (size_t i = 0; i < view.states(); ++i) {
    const Value* argument = view.state_argument(i);
    if (!same(argument, view.next_state(i)) || !same(argument, view.final_state(i)) ||
        !same(argument, node.operand(view.state_operand(i)))) {
      return "a state whose shape changes";
    }
  }
  if (!view.has_lengths()) return {};
  const int64_t count = element_count(extents_of(*view.lengths()));
  const auto fits = [&](const Value* value) {
    const std::vector<int64_t> extents = extents_of(*value);
    const auto rank = static_cast<int64_t>(extents.size());
    const int64_t axis = view.batch_axis() < 0 ? view.batch_axis() + rank : view.batch_axis();
    return axis >= 0 && axis < rank && extents[static_cast<size_t>(axis)] == count;
  };
  bool all = view.lengths()->type().shape.rank() == 1;
  for (size_t i = 0; i < view.states(); ++i) all = all && fits(view.next_state(i));
  for (size_t i = 0; i < view.stacked(); ++i) all = all && fits(view.stacked_slice(i));
  return all ? "" : "lengths that don't fit the batch axis";
}

void lower_scan(Lowering& lowering, const Node& node, Steps& steps) {
  const ScanView view(node);
  const int64_t count = *scan_steps(node);
  const auto need_operands = [&] {
    for (size_t i = 0; i < node.operand_count(); ++i) lowering.need(node.operand(i), steps);
  };
  const PrepareOptions& options = lowering.options();
  if (count > 0 && options.loop_kernels) {
    // Products that feed an element-wise loop run for all steps first: faster than in each of its
    // steps (by 1 to 5 times, the more the smaller they are). One step has none before it.
    if (count > 1 && lower_elementwise(lowering, view, node, count, steps)) return;
    std::optional<LoopForm> form = find_loop_form(lowering, node, count);
    std::optional<RecurrentCell> cell;
    if (form && options.kernels != KernelChoice::highway) {
      cell = find_recurrent_cell(lowering, *form);
      if (cell && (!may_use_onednn(options, cell->shape) || !time_strides(*form))) cell.reset();
    }
    if (form && !cell && (!time_strides(*form) || options.kernels == KernelChoice::onednn)) {
      // Without feeds there is one chunk, which need not move; and products that feed nothing may
      // be oneDNN's.
      need_operands();
      form = find_loop_form(lowering, node, count);
    }
    std::unique_ptr<LoopStep> step = form ? make_loop(*form, options) : nullptr;
    if (step) return lower_to_kernel(lowering, view, node, *form, cell, std::move(step), steps);
    if (lower_elementwise(lowering, view, node, count, steps)) return;
  }
  need_operands();
  lower_step_by_step(lowering, view, node, count, steps);
}

}  // namespace refrain::executable
