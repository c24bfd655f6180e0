#include "frontend/equations/decode.h"

#include <algorithm>
#include <string>

#include "frontend/equations/cell.h"
#include "ir/control.h"

namespace refrain::equations {
namespace {

constexpr int64_t kMaxLength = 1'000'000, kMaxBeams = 64;
// A log-probability that no sequence has.
constexpr double kImpossible = -1e9;

TensorPtr scalar_of(ElementType type, double value) {
  return std::make_shared<const Tensor>(Tensor::scalar(type, value));
}

// How many tokens have scores; the one that ends is one of them.
Dim token_count(const Tensored& scores, std::optional<int64_t> until, Range range) {
  const Dim count = scores.features()[0];
  if (until && count.is_constant() && *until >= count.extent()) {
    fail(range, "the token that ends is " + std::to_string(*until),
         "expected one of the " + std::to_string(count.extent()) + " that have scores");
  }
  return count;
}

// For what has to know it here.
int64_t constant_token_count(const Tensored& scores, std::optional<int64_t> until, Range range) {
  const Dim count = token_count(scores, until, range);
  if (!count.is_constant()) fail(range, "scores of an unknown number of tokens");
  return count.extent();
}

// The best token, or one drawn at random. Tokens behind the end repeat it.
class OneToken final : public Feedback {
 public:
  Value* start = nullptr;  // i64 [batch]
  std::optional<int64_t> until;
  Value* done = nullptr;  // bool [batch], with `until`
  bool samples = false;
  Value* seed = nullptr;  // i64 [batch], of random numbers
  double temperature = 1;

  std::vector<State> states() const override {
    std::vector<State> result = {{"token", start, start->type()}};
    if (until) result.push_back({"done", done, done->type()});
    if (samples) result.push_back({"seed", seed, seed->type()});
    return result;
  }

  Next next(Algebra& body, const std::vector<Value*>& states, const Tensored& scores,
            Range range) override {
    Builder& b = body.builder();
    token_count(scores, until, range);
    Next result;
    result.tokens = true;
    size_t i = 1;
    Value* const was_done = until ? states[i++] : nullptr;
    Value* next_seed = nullptr;
    Value* token = nullptr;
    if (samples) {
      next_seed = random(b, states[i]);
      token = drawn(body, scores, next_seed, range);
    } else {
      token = body.arg_max(scores, false, range).value;
    }
    result.states = {token};
    if (until) {
      Value* const end = b.scalar<int64_t>(*until);
      token = b.op(Op::where, {was_done, end, token});
      result.states = {token, b.op(Op::logical_or, {was_done, b.op(Op::equal, {token, end})})};
    }
    if (samples) result.states.push_back(next_seed);
    result.stacked = {token};
    return result;
  }

  // The minimal standard generator with the multiplier 48271 (Park, Miller, Stockmeyer: Technical
  // correspondence, Communications of the ACM 36(7), 1993).
  static Value* random(Builder& b, Value* state) {
    Value* const product = b.op(Op::mul, {state, b.scalar<int64_t>(48271)});
    return b.op(Op::mod, {product, b.scalar<int64_t>(2147483647)});
  }

 private:
  // The number of tokens whose cumulative probability is below a uniform number.
  Value* drawn(Algebra& body, const Tensored& scores, Value* uniform, Range range) const {
    Builder& b = body.builder();
    const ElementType real = scores.element();
    const int64_t tokens = constant_token_count(scores, until, range);
    Value* scaled = b.op(Op::mul, {scores.value, b.scalar(real, 1 / temperature)});
    Value* probabilities = b.op(Op::softmax, {scaled}, {{AttributeName::axis, int64_t{-1}}});
    Value* const cumulative = b.op(Op::cum_sum, {probabilities, b.scalar<int64_t>(-1)});
    Value* unit = b.op(Op::mul, {b.cast(uniform, real), b.scalar(real, 1 / 2147483647.0)});
    Value* const below = b.op(Op::less_equal, {cumulative, b.unsqueeze(unit, {-1})});
    Value* const count = b.op(Op::reduce_sum, {b.cast(below, ElementType::i64), b.ints({-1})},
                              {{AttributeName::keep_dims, false}});
    return b.op(Op::min, {count, b.scalar<int64_t>(tokens - 1)});
  }
};

// Beam search: of all continuations of the `width` best beginnings the `width` best. Each sequence
// has `width` rows side by side in the batch.
class Beams final : public Feedback {
 public:
  int64_t width = 1;
  std::optional<int64_t> until;
  Value* start = nullptr;   // i64 [batch*width]
  Value* scores = nullptr;  // [batch, width], log-probabilities
  Value* done = nullptr;    // bool [batch, width], with `until`

  std::vector<State> states() const override {
    std::vector<State> result = {{"token", start, weak(start)}, {"score", scores, weak(scores)}};
    if (until) result.push_back({"done", done, weak(done)});
    return result;
  }

  Next next(Algebra& body, const std::vector<Value*>& states, const Tensored& logits,
            Range range) override {
    Builder& b = body.builder();
    const ElementType real = logits.element();
    const int64_t count = constant_token_count(logits, until, range);
    Value* const was_done = until ? states[2] : nullptr;
    Value* log = b.op(Op::log_softmax, {logits.value}, {{AttributeName::axis, int64_t{-1}}});
    log = b.reshape(log, {-1, width, count});
    if (until) log = b.op(Op::where, {b.unsqueeze(was_done, {-1}), ended(b, real, count), log});
    Value* const total = b.op(Op::add, {log, b.unsqueeze(states[1], {-1})});
    Value* const operands[] = {b.reshape(total, {-1, width * count}), b.ints({width})};
    const Node* const best = b.create(Op::top_k, operands, {{AttributeName::axis, int64_t{-1}}}, 2);
    Value* const row_length = b.scalar<int64_t>(count);
    parent_ = b.op(Op::div, {best->result(1), row_length});
    Value* const token = b.op(Op::sub, {best->result(1), b.op(Op::mul, {parent_, row_length})});
    Next result;
    result.states = {b.reshape(token, {-1}), best->result(0)};
    if (until) {
      Value* const end = b.scalar<int64_t>(*until);
      Value* const before =
          b.op(Op::gather_elements, {was_done, parent_}, {{AttributeName::axis, int64_t{1}}});
      result.states.push_back(b.op(Op::logical_or, {before, b.op(Op::equal, {token, end})}));
    }
    result.stacked = {token, parent_};
    return result;
  }

  bool reorders() const override { return true; }
  Value* reorder(Algebra& body, Value* state) const override {
    Builder& b = body.builder();
    std::vector<int64_t> rows = {-1, width}, flat = {-1};
    for (size_t i = 1; i < state->type().shape.rank(); ++i) {
      const int64_t extent = state->type().shape[i].extent();
      rows.push_back(extent);
      flat.push_back(extent);
    }
    Value* const beams = b.op(Op::reshape, {state, b.ints(rows)});
    Value* const chosen = b.op(Op::gather_nd, {beams, b.unsqueeze(parent_, {-1})},
                               {{AttributeName::batch_dims, int64_t{1}}});
    return b.op(Op::reshape, {chosen, b.ints(flat)});
  }

 private:
  // The batch as it comes out of reshapes: known only if it is a constant.
  static ValueType weak(const Value* value) {
    ValueType type = value->type();
    if (!type.shape[0].is_constant()) type.shape[0] = Dim::unknown();
    return type;
  }

  // Scores behind the end: only the end follows.
  Value* ended(Builder& b, ElementType real, int64_t count) const {
    std::vector<double> values(static_cast<size_t>(count), kImpossible);
    values[static_cast<size_t>(*until)] = 0;
    Tensor tensor(real, {count});
    for (size_t i = 0; i < values.size(); ++i) {
      if (real == ElementType::f64) {
        tensor.data<double>()[i] = values[i];
      } else {
        tensor.data<float>()[i] = static_cast<float>(values[i]);
      }
    }
    return b.constant(std::move(tensor));
  }

  Value* parent_ = nullptr;  // i64 [batch, width], of the last choice
};

class DecodeRun {
 public:
  DecodeRun(Evaluator& evaluator, const Cells& cells, const Decode& decode, ScanInputs inputs)
      : evaluator_(evaluator),
        algebra_(evaluator.algebra()),
        cells_(cells),
        decode_(decode),
        inputs_(std::move(inputs)) {}

  std::vector<Tensored> run() {
    if (decode_.machine.kind != Machine::Kind::cell) {
      fail(decode_.machine.range, "a decoder is a cell, not a stack of cells");
    }
    if (decode_.clauses.lengths) fail(decode_.clauses.lengths->range, "a decoder has no lengths");
    length_ = evaluator_.integer(*decode_.length, 1, kMaxLength);
    if (decode_.until) {
      until_ = evaluator_.integer(*decode_.until, 0, Evaluator::kMaxExtent);
    }
    start_ = evaluator_.tensor(*decode_.start);
    const bool number = start_.rank() == 0 && !start_.batch && !start_.time;
    if (number && is_float(start_.element())) {
      start_ = algebra_.scalar(ElementType::i64, static_cast<double>(evaluator_.integer(
                                                     *decode_.start, 0, Evaluator::kMaxExtent)));
    }
    if (start_.rank() != 0 || start_.time || is_float(start_.element())) {
      fail(decode_.start->range, "the first token is one whole number a sequence",
           "expected a number or i64[B]");
    }
    start_.value = evaluator_.builder().cast(start_.value, ElementType::i64);
    for (const auto* list : {&inputs_.initial, &inputs_.given}) {
      for (const Tensored& x : *list) {
        if (x.batch && !like_.batch) like_ = x;
      }
    }
    if (!like_.batch) like_ = start_;
    return decode_.choice == Decode::Choice::beam ? beam() : tokens();
  }

 private:
  // i64 [batch], or a scalar where nothing has a batch.
  Value* per_sequence(const Tensored& x) {
    if (!like_.batch || x.batch) return x.value;
    const Tensored zero = algebra_.filled(scalar_of(x.element(), 0), like_, {});
    return algebra_.elementwise(Op::add, zero, x, "start", decode_.start->range).value;
  }

  CellUse use() const {
    CellUse result{.cell = cells_.find(decode_.machine.cell),
                   .built_in = false,
                   .range = decode_.machine.range,
                   .sizes = {},
                   .prefix = inputs_.prefix,
                   .layer = {},
                   .backward = false,
                   .numbered = false};
    for (const ExpressionPtr& size : decode_.machine.sizes) {
      result.sizes.push_back(evaluator_.size(*size));
    }
    if (cells_.built_in(result.cell)) {
      fail(decode_.machine.range,
           "the built-in cell '" + result.cell.name.text + "' reads vectors, not tokens");
    }
    return result;
  }

  std::vector<Tensored> tokens() {
    OneToken feedback;
    feedback.length = length_;
    feedback.like = like_;
    feedback.start = per_sequence(start_);
    feedback.until = until_;
    if (until_) {
      feedback.done = algebra_.filled(scalar_of(ElementType::boolean, 0), like_, {}).value;
    }
    feedback.samples = decode_.choice == Decode::Choice::sample;
    int64_t seed = 0;
    for (const Argument& argument : decode_.arguments) {
      if (argument.name.text == "temperature") {
        feedback.temperature = evaluator_.number(*argument.value);
        if (!(feedback.temperature > 0)) {
          fail(argument.value->range, "the temperature is more than 0");
        }
      } else if (argument.name.text == "seed") {
        seed = evaluator_.integer(*argument.value, 0, Evaluator::kMaxExtent);
      } else {
        fail(argument.value->range, "expected temperature = ... or seed = ...");
      }
    }
    if (feedback.samples) feedback.seed = seeds(seed);
    ScanResults results = run_cell(evaluator_, use(), inputs_, &feedback);
    std::vector<Tensored> all = std::move(results.outputs);
    all.insert(all.end(), results.finals.begin(), results.finals.end());
    return all;
  }

  // A state of the generator for each sequence, none of which is 0.
  Value* seeds(int64_t seed) {
    Builder& b = evaluator_.builder();
    constexpr int64_t kModulus = 2147483647;
    Value* state = b.scalar<int64_t>(1 + seed % (kModulus - 1));
    if (like_.batch) {
      Value* const count = b.squeeze(algebra_.batch_extent(like_), {0});
      Value* const rows = b.op(Op::range, {b.scalar<int64_t>(0), count, b.scalar<int64_t>(1)});
      state = b.op(Op::add, {b.op(Op::mul, {rows, b.scalar<int64_t>(7919)}), state});
      Value* const zero = algebra_.filled(scalar_of(ElementType::i64, 0), like_, {}).value;
      state = b.op(Op::add, {zero, state});
      state = b.op(Op::mod, {state, b.scalar<int64_t>(kModulus)});
      state = b.op(Op::max, {state, b.scalar<int64_t>(1)});
    }
    // Small seeds give small first numbers.
    for (int i = 0; i < 3; ++i) state = OneToken::random(b, state);
    if (like_.batch) {
      const int64_t axis = algebra_.batch_axis(like_);
      state->set_type(ValueType::tensor(ElementType::i64,
                                        {like_.value->type().shape[static_cast<size_t>(axis)]}));
    }
    return state;
  }

  // x with `width` rows side by side for each of its batch.
  Tensored repeated(const Tensored& x, int64_t width) {
    if (!x.batch) return x;
    Builder& b = evaluator_.builder();
    const Shape features = x.features();
    // Time first, so that reshape can copy its extent.
    Value* value = x.value;
    std::vector<int64_t> perm = {1, 0};
    for (size_t i = 2; i < x.value->type().shape.rank(); ++i) {
      perm.push_back(static_cast<int64_t>(i));
    }
    const bool swap = x.time && algebra_.batch_first();
    if (swap) value = b.transpose(value, perm);
    const int64_t axis = x.time ? 1 : 0;
    std::vector<int64_t> repeats(value->type().shape.rank() + 1, 1), flat;
    repeats[static_cast<size_t>(axis + 1)] = width;
    if (x.time) flat.push_back(0);
    flat.push_back(-1);
    for (size_t i = 0; i < features.rank(); ++i) {
      if (!features[i].is_constant()) {
        fail(decode_.choice_range, "beam search over a value of unknown extents");
      }
      flat.push_back(features[i].extent());
    }
    value = b.op(Op::tile, {b.unsqueeze(value, {axis + 1}), b.ints(repeats)});
    value = b.op(Op::reshape, {value, b.ints(flat)});
    if (swap) value = b.transpose(value, perm);
    return {value, x.time, true};
  }

  std::vector<Tensored> beam() {
    const Range range = decode_.choice_range;
    if (decode_.arguments.size() != 1 || !decode_.arguments[0].name.text.empty()) {
      fail(range, "expected the number of beams, beam(4) for example");
    }
    if (!like_.batch) {
      fail(range, "beam search without a batch", "expected a state or given value with one");
    }
    Beams feedback;
    feedback.length = length_;
    feedback.width = evaluator_.integer(*decode_.arguments[0].value, 1, kMaxBeams);
    feedback.until = until_;
    const Tensored start{per_sequence(start_), false, true};
    const Tensored rows = repeated(start, feedback.width);
    feedback.start = rows.value;
    feedback.like = rows;
    const ElementType real = evaluator_.context().real;
    // All beams begin alike: one counts.
    Tensor first(real, {feedback.width});
    for (size_t i = 1; i < static_cast<size_t>(feedback.width); ++i) {
      if (real == ElementType::f64) {
        first.data<double>()[i] = kImpossible;
      } else {
        first.data<float>()[i] = static_cast<float>(kImpossible);
      }
    }
    Builder& b = evaluator_.builder();
    const Tensored zeros = algebra_.filled(scalar_of(real, 0), like_, {feedback.width});
    feedback.scores = b.op(Op::add, {zeros.value, b.constant(std::move(first))});
    if (until_) {
      feedback.done =
          algebra_.filled(scalar_of(ElementType::boolean, 0), like_, {feedback.width}).value;
    }
    for (Tensored& x : inputs_.initial) x = repeated(x, feedback.width);
    for (Tensored& x : inputs_.given) x = repeated(x, feedback.width);
    const ScanResults results = run_cell(evaluator_, use(), inputs_, &feedback);
    return {best_sequence(results), best_score(results)};
  }

  // Follows the parents of the best last token back to the start.
  Tensored best_sequence(const ScanResults& results) {
    Builder& b = evaluator_.builder();
    Value* const tokens = results.outputs[0].value;
    Value* const parents = results.outputs[1].value;
    const auto slice = [](const Value* whole) {
      std::vector<Dim> dims = whole->type().shape.dims();
      dims.erase(dims.begin());
      dims[0] = dims[0].is_constant() ? dims[0] : Dim::unknown();
      return ValueType::tensor(ElementType::i64, Shape(std::move(dims)));
    };
    auto body = std::make_unique<Region>();
    ValueType place = slice(tokens);
    place.shape[1] = 1;
    Value* const at = body->add_argument(place, "beam");
    Value* const token = body->add_argument(slice(tokens), "tokens");
    Value* const parent = body->add_argument(slice(parents), "parents");
    Builder inner(*body);
    const auto pick = [&](Value* from) {
      return inner.op(Op::gather_elements, {from, at}, {{AttributeName::axis, int64_t{1}}});
    };
    Value* const next = pick(parent);
    Value* const chosen[] = {next, inner.squeeze(pick(token), {1})};
    inner.yield(chosen);
    ScanSpec spec;
    spec.states = {algebra_.filled(scalar_of(ElementType::i64, 0), like_, {1}).value};
    spec.scanned = {tokens, parents};
    spec.scan_slots = {{0, true}, {0, true}};
    spec.stack_slots = {{algebra_.batch_first() ? 1 : 0, true}};
    return {b.scan(spec, std::move(body))->result(1), true, true};
  }

  Tensored best_score(const ScanResults& results) {
    Builder& b = evaluator_.builder();
    return {b.squeeze(b.slice(results.feedback[1], 1, 0, 1), {1}), false, true};
  }

  Evaluator& evaluator_;
  Algebra& algebra_;
  const Cells& cells_;
  const Decode& decode_;
  ScanInputs inputs_;
  int64_t length_ = 1;
  std::optional<int64_t> until_;
  Tensored start_, like_;
};

}  // namespace

std::vector<Tensored> run_decode(Evaluator& evaluator, const Cells& cells, const Decode& decode,
                                 ScanInputs inputs) {
  return DecodeRun(evaluator, cells, decode, std::move(inputs)).run();
}

}  // namespace refrain::equations
