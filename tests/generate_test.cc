// Choosing symbols, searching for sequences, vocabularies, and step models of whole models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "backends/reference/executor.h"
#include "frontend/driver/model.h"
#include "frontend/equations/load.h"
#include "frontend/generate/sampling.h"
#include "frontend/generate/search.h"
#include "frontend/generate/step_model.h"
#include "frontend/generate/vocabulary.h"
#include "frontend/io/value_file.h"
#include "ir/error.h"
#include "ir/text.h"
#include "support/tensors.h"

namespace refrain::generate {
namespace {

using refrain::testing::tensor_of;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <typename F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(RandomStream, GivesThePublishedNumbers) {
  // Of SplitMix64 with seed 1234567, as its authors' reference implementation gives them.
  RandomStream random(1234567);
  EXPECT_EQ(random.next(), 6457827717110365317u);
  EXPECT_EQ(random.next(), 3203168211198807973u);
  EXPECT_EQ(random.next(), 9817491932198370423u);
}

TEST(Scores, KindsAndLogarithms) {
  const std::vector<double> logits = {1, 2, 3}, chances = {0.2, 0.3, 0.5};
  EXPECT_EQ(kind_of(logits), ScoreKind::logits);
  EXPECT_EQ(kind_of(chances), ScoreKind::probabilities);
  EXPECT_EQ(kind_of(std::vector<double>{1.5, -0.5}), ScoreKind::logits);
  const double total = std::log(std::exp(1) + std::exp(2) + std::exp(3));
  EXPECT_THAT(log_probabilities(logits, ScoreKind::logits),
              ElementsAre(DoubleNear(1 - total, 1e-12), DoubleNear(2 - total, 1e-12),
                          DoubleNear(3 - total, 1e-12)));
  EXPECT_THAT(log_probabilities(std::vector<double>{0, 1}, ScoreKind::probabilities),
              ElementsAre(-HUGE_VAL, 0));
  // Neither too large nor too small for exp.
  EXPECT_THAT(log_probabilities(std::vector<double>{1e6, 1e6 - 1e4}, ScoreKind::logits),
              ElementsAre(0, -1e4));
}

TEST(Scores, WhatIsNoScoreIsAnError) {
  for (const std::vector<double>& scores :
       {std::vector<double>{}, {NAN, 1}, {HUGE_VAL, 1}, {-HUGE_VAL, -HUGE_VAL}}) {
    EXPECT_THROW(log_probabilities(scores, ScoreKind::logits), Error);
  }
  EXPECT_THROW(log_probabilities(std::vector<double>{1.5, -0.5}, ScoreKind::probabilities), Error);
}

TEST(Sampling, FrequenciesAreTheSoftmax) {
  const std::vector<double> l =
      log_probabilities(std::vector<double>{0.3, -1, 2, 0.5, -HUGE_VAL}, ScoreKind::logits);
  for (const double temperature : {0.5, 1.0, 2.0}) {
    std::vector<double> expected;
    double sum = 0;
    for (const double x : l) sum += std::exp(x / temperature);
    for (const double x : l) expected.push_back(std::exp(x / temperature) / sum);
    constexpr int kDraws = 200000;
    RandomStream random(7);
    std::vector<double> counts(l.size());
    for (int i = 0; i < kDraws; ++i) ++counts[sample(l, temperature, random)];
    for (size_t i = 0; i < l.size(); ++i) {
      // Five standard deviations of a binomial distribution.
      const double bound = 5 * std::sqrt(expected[i] * (1 - expected[i]) / kDraws);
      EXPECT_NEAR(counts[i] / kDraws, expected[i], bound) << temperature << " " << i;
    }
  }
}

TEST(Sampling, TemperaturesAtTheEnds) {
  RandomStream random(1), untouched(1);
  const std::vector<double> l = {-2, -0.5, -0.5, -9};
  EXPECT_EQ(sample(l, 0, random), 1u);
  EXPECT_EQ(random.next(), untouched.next());
  for (int i = 0; i < 1000; ++i) {
    const size_t cold = sample(l, 1e-300, random);
    EXPECT_TRUE(cold == 1 || cold == 2);
    EXPECT_LT(sample(l, 1e300, random), 4u);
  }
}

// A model given by a table from what was fed so far to probabilities.
class TableModel final : public StepModel {
 public:
  explicit TableModel(std::map<std::vector<size_t>, std::vector<double>> table)
      : table_(std::move(table)) {}

  size_t symbols() const override { return 3; }
  State start() override { return {Tensor(ElementType::i64, {0})}; }
  std::vector<double> step(State& state, size_t symbol) override {
    std::vector<int64_t> fed = state[0].tensor->view().as_ints();
    fed.push_back(static_cast<int64_t>(symbol));
    state[0] = Tensor::of_ints(fed);
    const auto at = table_.find({fed.begin(), fed.end()});
    return log_probabilities(at == table_.end() ? std::vector<double>{0.2, 0.2, 0.6} : at->second,
                             ScoreKind::probabilities);
  }

 private:
  std::map<std::vector<size_t>, std::vector<double>> table_;
};

// Symbol 1 looks best at first, but leads to nothing certain; 2 ends.
TableModel garden_path() {
  return TableModel({{{0}, {0.4, 0.6, 0}},
                     {{0, 1}, {0.4, 0.3, 0.3}},
                     {{0, 1, 0}, {0.4, 0.2, 0.4}},
                     {{0, 0}, {0.95, 0, 0.05}},
                     {{0, 0, 0}, {0, 0, 1}}});
}

constexpr size_t kPrompt[] = {0};

TEST(Search, GreedyTakesTheLikeliestSymbol) {
  TableModel model = garden_path();
  std::vector<size_t> heard;
  const Sequence found = generate(model, kPrompt, {.length = 2, .until = 2}, [&](size_t symbol) {
    heard.push_back(symbol);
    return true;
  });
  EXPECT_THAT(found.symbols, ElementsAre(1, 0));
  EXPECT_EQ(found.symbols, heard);
  EXPECT_FALSE(found.ended);
  EXPECT_NEAR(found.log_probability, std::log(0.6 * 0.4), 1e-12);
  // The end is chosen at last, and not part of the symbols.
  const Sequence ended = generate(model, std::vector<size_t>{0, 0}, {.until = 2});
  EXPECT_THAT(ended.symbols, ElementsAre(0));
  EXPECT_TRUE(ended.ended);
  EXPECT_NEAR(ended.log_probability, std::log(0.95), 1e-12);
  // Whoever listens may end it.
  EXPECT_THAT(generate(model, kPrompt, {}, [](size_t) { return false; }).symbols, ElementsAre(1));
}

TEST(Search, ABeamFindsTheBetterSequence) {
  TableModel model = garden_path();
  const SearchOptions options{.length = 3, .until = 2};
  const std::vector<Sequence> found = beam_search(model, kPrompt, options, 2);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_THAT(found[0].symbols, ElementsAre(0, 0));
  EXPECT_TRUE(found[0].ended);
  EXPECT_NEAR(found[0].log_probability, std::log(0.4 * 0.95), 1e-12);
  EXPECT_GE(found[0].log_probability, found[1].log_probability);
  EXPECT_GT(found[0].log_probability, generate(model, kPrompt, options).log_probability);
}

// All sequences of a random model of up to five symbols: a beam as wide as they are many finds the
// best, by any length penalty; one of width 1 is greedy.
TEST(Search, BeamsAgainstAllSequences) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    RandomStream random(seed);
    std::map<std::vector<size_t>, std::vector<double>> table;
    std::vector<std::vector<size_t>> open = {{0}};
    constexpr size_t kLength = 5;
    while (!open.empty()) {
      const std::vector<size_t> fed = open.back();
      open.pop_back();
      std::vector<double> row;
      double sum = 0;
      for (int i = 0; i < 3; ++i) sum += row.emplace_back(random.uniform());
      for (double& p : row) p /= sum;
      table[fed] = row;
      for (size_t symbol = 0; symbol < 2 && fed.size() <= kLength; ++symbol) {
        open.push_back(fed);
        open.back().push_back(symbol);
      }
    }
    for (const double penalty : {0.0, 0.7, 1.0}) {
      double best = -HUGE_VAL;
      for (const auto& [fed, row] : table) {
        double l = 0;
        std::vector<size_t> prefix;
        for (size_t i = 0; i + 1 < fed.size(); ++i) {
          prefix.push_back(fed[i]);
          l += std::log(table.at(prefix)[fed[i + 1]]);
        }
        const double n = static_cast<double>(fed.size()) - 1;
        if (n == kLength) best = std::max(best, l / std::pow(n, penalty));
        if (n < kLength) best = std::max(best, (l + std::log(row[2])) / std::pow(n + 1, penalty));
      }
      TableModel model(table);
      const SearchOptions options{.length = kLength, .until = 2};
      const std::vector<Sequence> found = beam_search(model, kPrompt, options, 100, penalty);
      const double n = static_cast<double>(found[0].symbols.size()) + found[0].ended;
      EXPECT_NEAR(found[0].log_probability / std::pow(n, penalty), best, 1e-12) << seed;
      const std::vector<Sequence> narrow = beam_search(model, kPrompt, options, 1, penalty);
      const Sequence greedy = generate(model, kPrompt, options);
      ASSERT_EQ(narrow.size(), 1u);
      EXPECT_EQ(narrow[0].symbols, greedy.symbols) << seed;
      EXPECT_NEAR(narrow[0].log_probability, greedy.log_probability, 1e-12);
      EXPECT_EQ(narrow[0].ended, greedy.ended);
    }
  }
}

TEST(Search, ASeedIsASequence) {
  TableModel model = garden_path();
  const SearchOptions options{.length = 50, .temperature = 1, .seed = 5};
  const std::vector<size_t> symbols = generate(model, kPrompt, options).symbols;
  EXPECT_EQ(symbols.size(), 50u);
  EXPECT_EQ(generate(model, kPrompt, options).symbols, symbols);
  EXPECT_NE(generate(model, kPrompt, {.length = 50, .temperature = 1, .seed = 6}).symbols, symbols);
}

TEST(Search, BadArguments) {
  TableModel model = garden_path();
  EXPECT_THROW(generate(model, {}, {}), Error);
  EXPECT_THROW(generate(model, std::vector<size_t>{3}, {}), Error);
  EXPECT_THROW(generate(model, kPrompt, {.temperature = -1}), Error);
  EXPECT_THROW(generate(model, kPrompt, {.temperature = NAN}), Error);
  EXPECT_THROW(beam_search(model, kPrompt, {}, 0), Error);
  EXPECT_THROW(beam_search(model, kPrompt, {}, 1, -1), Error);
}

TEST(Vocabulary, LinesAndJson) {
  const Vocabulary lines = Vocabulary::parse("a\n \n\\n\n\\\\\n[\nab\n");
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines.symbol(1), " ");
  EXPECT_EQ(lines.symbol(2), "\n");
  EXPECT_EQ(lines.at("\\"), 3u);
  EXPECT_EQ(Vocabulary::parse("\\").symbol(0), "\\");
  EXPECT_EQ(Vocabulary::parse("a\r\nb").symbol(0), "a");
  EXPECT_EQ(Vocabulary::parse("[\n{\n").size(), 2u);  // no JSON, but lines
  EXPECT_EQ(Vocabulary::parse(R"(["x", "\n"])").at("\n"), 1u);
  EXPECT_EQ(Vocabulary::parse(R"({"x": 1, "y": 0})").symbol(0), "y");
  const Vocabulary full = Vocabulary::parse(
      R"({"symbols": ["<s>", "</s>", "w"], "separator": " ", "start": "<s>", "end": "</s>"})");
  EXPECT_EQ(full.start(), 0u);
  EXPECT_EQ(full.end(), 1u);
  EXPECT_EQ(full.separator(), " ");
}

TEST(Vocabulary, Errors) {
  const auto error = [](const std::string& text) {
    return error_of([&] { Vocabulary::parse(text); });
  };
  EXPECT_THAT(error(""), HasSubstr("without symbols"));
  EXPECT_THAT(error("a\n\nb"), HasSubstr("symbol 1 of the vocabulary is empty"));
  EXPECT_THAT(error("a\nb\na"), HasSubstr("twice in the vocabulary: found \"a\""));
  EXPECT_THAT(error("\\q"), HasSubstr("unknown escape"));
  EXPECT_THAT(error(R"(["a", 1])"), HasSubstr("expected a string, found number"));
  EXPECT_THAT(error(R"({"a": 0, "b": 2})"), HasSubstr("every number from 0 to 1 once"));
  EXPECT_THAT(error(R"({"a": 0, "b": 0})"), HasSubstr("every number from 0 to 1 once"));
  EXPECT_THAT(error(R"({"a": -1})"), HasSubstr("every number"));
  EXPECT_THAT(error(R"({"a": 0.5})"), HasSubstr("every number"));
  EXPECT_THAT(error(R"({"symbols": ["a"], "end": "b"})"), HasSubstr("no such symbol"));
  EXPECT_THAT(error(R"({"symbols": ["a"], "stop": "a"})"), HasSubstr("unknown key"));
}

TEST(Vocabulary, TextAsSymbols) {
  const Vocabulary letters({"a", "b", "ab", "abc"});
  EXPECT_THAT(letters.encode("abcabba"), ElementsAre(3, 2, 1, 0));
  EXPECT_THAT(letters.encode(""), IsEmpty());
  EXPECT_THAT(error_of([&] { letters.encode("abx"); }), HasSubstr("at byte 2"));
  const Vocabulary words({"one", "two"}, " ");
  EXPECT_THAT(words.encode(" two one  two "), ElementsAre(1, 0, 1));
  EXPECT_THAT(error_of([&] { words.encode("one three"); }), HasSubstr("found \"three\""));
}

// --- models ---

std::string case_path(const std::string& name) {
  return std::string(REFRAIN_SOURCE_DIR) + "/tests/models/" + name;
}

// A decoder with a loop: what its own greedy loop gives, and what a beam finds, which is at least
// as likely.
TEST(FeedbackModel, TakesTheLoopOutOfADecoder) {
  const std::string folder = case_path("greedy_decoder_loop_op16");
  const std::unique_ptr<Graph> graph = load_model(folder + "/model.onnx").graph;
  const auto read = [&](const std::string& file, const Value* value) {
    return read_value(folder + "/test_data_set_0/" + file, value->type(), 1 << 20);
  };
  const RuntimeValue memory = read("input_0.pb", graph->input(0)),
                     h0 = read("input_1.pb", graph->input(1));
  // [steps, B]
  const RuntimeValue tokens = read("output_0.pb", graph->output(0));
  const Tensor& expected = *tokens.tensor;
  const int64_t steps = expected.extents()[0], batch = expected.extents()[1];
  const auto row = [&](const Tensor& tensor, int64_t b) {
    std::vector<int64_t> extents = tensor.extents();
    const int64_t size = tensor.size() / extents[0];
    extents[0] = 1;
    return Tensor::of<float>(extents, tensor.data<float>().subspan(static_cast<size_t>(b * size),
                                                                   static_cast<size_t>(size)));
  };
  for (int64_t b = 0; b < batch; ++b) {
    const auto model = make_step_model(
        *graph, {.inputs = {{"memory", row(*memory.tensor, b)}, {"h0", row(*h0.tensor, b)}}});
    EXPECT_EQ(model->symbols(), 17u);
    ASSERT_EQ(model->first_symbol(), 0u);
    const SearchOptions options{.length = steps};
    const Sequence greedy = generate(*model, kPrompt, options);
    ASSERT_EQ(static_cast<int64_t>(greedy.symbols.size()), steps);
    for (int64_t t = 0; t < steps; ++t) {
      EXPECT_EQ(static_cast<int64_t>(greedy.symbols[static_cast<size_t>(t)]),
                expected.data<int64_t>()[static_cast<size_t>(t * batch + b)])
          << t;
    }
    EXPECT_EQ(beam_search(*model, kPrompt, options, 1)[0].symbols, greedy.symbols);
    EXPECT_GE(beam_search(*model, kPrompt, options, 5)[0].log_probability,
              greedy.log_probability - 1e-9);
  }
  EXPECT_THAT(error_of([&] { make_step_model(*graph, {}); }),
              HasSubstr("inputs that the decoder needs are missing: memory: f32[B, S, 12], h0"));
  EXPECT_THAT(error_of([&] {
                make_step_model(*graph, {.inputs = {{"memory", memory}, {"h0", h0}}});
              }),
              HasSubstr("more than one sequence at a time"));
  EXPECT_THAT(error_of([&] {
                make_step_model(*graph, {.inputs = {{"mem", memory}}});
              }),
              HasSubstr("the model has no such input: expected memory, h0, steps, found mem"));
}

// A decoder in the description language, with an encoder and attention: step by step it gives what
// its own loop and its own beam search give.
constexpr const char* kDates = R"(model dates
weights uniform(seed = 3, scale = 0.7)
input source: i64[B, S]

cell writer(token, h[16]) given memory:
  x = embedding(token, 12, 8)
  k = attention(h, memory, memory)
  h = tanh(W·[h, x, k] + b)
  O: linear(h, 12)

e = embedding(source, 12, 8)
(memory, h_0) = scan gru(16) over e
text = decode writer start 0 until 1 length 15 from h_0 given memory
(likely, score) = decode writer start 0 until 1 length 15 beam(6) from h_0 given memory with weights "writer"
output text
output likely
output score
)";

std::vector<int64_t> padded(std::vector<size_t> symbols, size_t length) {
  symbols.resize(length, 1);
  return {symbols.begin(), symbols.end()};
}

TEST(FeedbackModel, TakesDecodersOfTheLanguage) {
  const std::unique_ptr<Graph> graph = equations::load("dates.rfn", kDates);
  for (int64_t first = 2; first < 12; ++first) {
    const RuntimeValue source =
        tensor_of(ElementType::i64, {1, 4}, {static_cast<double>(first), 3, 7, 5});
    const std::vector<RuntimeValue> expected =
        reference::run(*graph, std::vector<RuntimeValue>{source});
    const auto model = make_step_model(*graph, {.inputs = {{"source", source}}});
    ASSERT_EQ(model->symbols(), 12u);
    ASSERT_EQ(model->first_symbol(), 0u);
    ASSERT_EQ(model->end_symbol(), 1u);
    ASSERT_EQ(model->longest(), 15);
    const SearchOptions options{.length = 15, .until = 1};
    const Sequence greedy = generate(*model, kPrompt, options);
    EXPECT_EQ(padded(greedy.symbols, 15), expected[0].tensor->view().as_ints()) << first;
    const Sequence beam = beam_search(*model, kPrompt, options, 6)[0];
    EXPECT_EQ(padded(beam.symbols, 15), expected[1].tensor->view().as_ints()) << first;
    EXPECT_NEAR(beam.log_probability, expected[2].tensor->view().as_doubles()[0], 1e-3);
    EXPECT_GE(beam.log_probability, greedy.log_probability - 1e-9);
  }
}

// A language model a step at a time gives the scores of the whole sequence.
TEST(StreamModel, StepsGiveTheScoresOfTheSequence) {
  const std::unique_ptr<Graph> graph = load_model(case_path("charlm_op9") + "/model.onnx").graph;
  const std::vector<int64_t> tokens = {3, 1, 4, 1, 5, 9, 2, 6};
  const int64_t n = static_cast<int64_t>(tokens.size());
  const std::vector<RuntimeValue> inputs = {Tensor::of<int64_t>({1, n}, tokens),
                                            Tensor(ElementType::f32, {2, 1, 20}),
                                            Tensor(ElementType::f32, {2, 1, 20})};
  const std::vector<RuntimeValue> whole = reference::run(*graph, inputs);
  const std::vector<double> scores = whole[0].tensor->view().as_doubles();  // [1, n, 30]
  const auto model = make_step_model(*graph, {});
  ASSERT_EQ(model->symbols(), 30u);
  EXPECT_FALSE(model->first_symbol());
  StepModel::State state = model->start();
  StepModel::State kept;
  for (int64_t t = 0; t < n; ++t) {
    if (t == 4) kept = state;
    const std::vector<double> step =
        model->step(state, static_cast<size_t>(tokens[static_cast<size_t>(t)]));
    const std::vector<double> expected = log_probabilities(
        std::span(scores).subspan(static_cast<size_t>(t) * 30, 30), ScoreKind::logits);
    for (size_t i = 0; i < 30; ++i) EXPECT_NEAR(step[i], expected[i], 1e-5) << t << " " << i;
  }
  // A state that was kept is as it was.
  const std::vector<double> again = model->step(kept, 5);
  const std::vector<double> expected =
      log_probabilities(std::span(scores).subspan(4 * 30, 30), ScoreKind::logits);
  for (size_t i = 0; i < 30; ++i) EXPECT_NEAR(again[i], expected[i], 1e-5);
}

// One-hot rows in, probabilities out; the state hidden.
constexpr const char* kOneHot = R"(graph @m (%x: f32[T, B, 3]) {
  %n = dims() {dims = [B, 3]} : i64[2]
  %z = fill(%n) {value = f32[1] (0)} : f32[B, 3]
  %w = constant f32[3, 3] (1, 0, -1, 0.5, 2, 0, -2, 0.25, 1)
  %p = matmul(%x, %w) : f32[T, B, 3]
  %hn, %y = scan state(%h = %z: f32[B, 3]) scanned(%e = %p[0]: f32[B, 3]) stacked([0]) {
    %a = add(%e, %h) : f32[B, 3]
    %s = tanh(%a) : f32[B, 3]
    yield %s, %s
  } : f32[B, 3], f32[T, B, 3]
  %q = softmax(%y) {axis = 2} : f32[T, B, 3]
  yield "q" = %q
}
)";

TEST(StreamModel, TakesOneHotRows) {
  const std::unique_ptr<Graph> graph = parse(kOneHot);
  const auto model = make_step_model(*graph, {});
  ASSERT_EQ(model->symbols(), 3u);
  StepModel::State state = model->start();
  std::vector<double> h(3);
  const double w[3][3] = {{1, 0, -1}, {0.5, 2, 0}, {-2, 0.25, 1}};
  for (const size_t symbol : {2, 0, 1, 1}) {
    for (size_t i = 0; i < 3; ++i) h[i] = std::tanh(w[symbol][i] + h[i]);
    const std::vector<double> expected = log_probabilities(h, ScoreKind::logits);
    const std::vector<double> found = model->step(state, symbol);
    for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(found[i], expected[i], 1e-5);
  }
}

TEST(StreamModel, SaysWhyNot) {
  const std::unique_ptr<Graph> graph = parse(kOneHot);
  EXPECT_THAT(error_of([&] { make_step_model(*graph, {.symbols = "y"}); }),
              HasSubstr("the model has no such input: expected x, found y"));
  EXPECT_THAT(error_of([&] { make_step_model(*graph, {.scores = "z"}); }),
              HasSubstr("no output that is clearly the scores"));
}

}  // namespace
}  // namespace refrain::generate
