// `refrain generate`: text from a model that scores the next symbol.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "frontend/cli/cli.h"
#include "frontend/cli/summary.h"
#include "frontend/generate/search.h"
#include "frontend/generate/step_model.h"
#include "frontend/generate/vocabulary.h"
#include "frontend/io/value_file.h"

namespace refrain::cli {
namespace {

using generate::Vocabulary;

struct Options {
  std::string model, backend = "auto", vocabulary, prompt, until, symbols, scores;
  std::string source, source_vocabulary;
  std::vector<std::string> inputs, states;
  std::optional<int64_t> length;
  double temperature = 0, length_penalty = 0;
  uint64_t seed = 0;
  size_t beam = 0;
  bool all = false;
  int threads = 1;
  LimitOptions limits;
};

// The vocabulary that was asked for, or one beside the model.
std::optional<Vocabulary> find_vocabulary(const Options& options) {
  if (!options.vocabulary.empty()) return Vocabulary::open(options.vocabulary);
  const std::filesystem::path model(options.model);
  for (const char* name : {"vocabulary.json", "vocabulary.txt"}) {
    for (const std::filesystem::path& path :
         {std::filesystem::path(model).replace_extension(name), model.parent_path() / name}) {
      std::error_code error;
      if (std::filesystem::is_regular_file(path, error)) return Vocabulary::open(path.string());
    }
  }
  return std::nullopt;
}

// Text as symbols; without a vocabulary it is their numbers.
std::vector<size_t> encode(const std::optional<Vocabulary>& vocabulary, std::string_view text) {
  if (vocabulary) return vocabulary->encode(text);
  std::vector<size_t> symbols;
  const char *at = text.data(), *end = at + text.size();
  while (true) {
    while (at != end && (*at == ' ' || *at == ',')) ++at;
    if (at == end) return symbols;
    size_t symbol = 0;
    const auto [next, error] = std::from_chars(at, end, symbol);
    if (error != std::errc()) {
      throw Error("without a vocabulary symbols are numbers", "numbers, or --vocabulary FILE",
                  std::string(text));
    }
    symbols.push_back(symbol);
    at = next;
  }
}

std::pair<std::string, std::string> split_at_equals(const std::string& argument, const char* what) {
  const size_t at = argument.rfind('=');
  if (at == std::string::npos || at == 0 || at + 1 == argument.size()) {
    throw Error(std::string("malformed ") + what, "NAME=VALUE", argument);
  }
  return {argument.substr(0, at), argument.substr(at + 1)};
}

// The source sequence goes to the one input of whole numbers that has no value yet: [T], or with a
// batch of 1 on either side.
void add_source(const Graph& graph, const Options& options,
                const std::optional<Vocabulary>& vocabulary,
                generate::StepModelOptions& step_options) {
  const std::optional<Vocabulary> own =
      options.source_vocabulary.empty()
          ? vocabulary
          : std::optional(Vocabulary::open(options.source_vocabulary));
  const std::vector<size_t> symbols = encode(own, options.source);
  for (size_t i = 0; i < graph.input_count(); ++i) {
    const ValueType& type = graph.input(i)->type();
    const bool given =
        std::any_of(step_options.inputs.begin(), step_options.inputs.end(),
                    [&](const auto& input) { return input.first == graph.input(i)->name(); });
    if (given || !type.is_tensor() || !is_integer(type.element) || !type.shape.ranked() ||
        type.shape.rank() < 1 || type.shape.rank() > 2) {
      continue;
    }
    std::vector<int64_t> extents = {static_cast<int64_t>(symbols.size())};
    if (type.shape.rank() == 2) {
      const Dim first = type.shape[0];
      const bool time_first = first.is_symbol() && first.name() != "B" && first.name() != "N" &&
                              first.name() != "batch";
      extents.insert(time_first ? extents.end() : extents.begin(), 1);
    }
    Tensor tensor(type.element, extents);
    visit(type.element, [&]<typename T>(std::type_identity<T>) {
      if constexpr (std::is_integral_v<T>) {
        for (size_t n = 0; n < symbols.size(); ++n)
          tensor.data<T>()[n] = static_cast<T>(symbols[n]);
      }
    });
    step_options.inputs.emplace_back(graph.input(i)->name(), std::move(tensor));
    return;
  }
  throw Error("--source needs an input of whole numbers along time", "such an input",
              input_list(graph));
}

generate::StepModelOptions step_options_of(const Graph& graph, const Options& options,
                                           const std::optional<Vocabulary>& vocabulary) {
  generate::StepModelOptions result;
  for (const std::string& argument : options.inputs) {
    const auto [name, path] = split_at_equals(argument, "--input");
    ValueType type;
    for (size_t i = 0; i < graph.input_count(); ++i) {
      if (graph.input(i)->name() == name) type = graph.input(i)->type();
    }
    result.inputs.emplace_back(name, read_value(path, type, options.limits.bytes()));
  }
  for (const std::string& argument : options.states)
    result.states.push_back(split_at_equals(argument, "--state"));
  if (!options.source.empty()) add_source(graph, options, vocabulary, result);
  result.symbols = options.symbols;
  result.scores = options.scores;
  result.executable = {.backend = backend_from_name(options.backend),
                       .threads = options.threads,
                       .limits = options.limits.limits()};
  return result;
}

// What comes before the first generated symbol: how the model wants to begin, and the prompt.
std::vector<size_t> beginning(const generate::StepModel& model, const Options& options,
                              const std::optional<Vocabulary>& vocabulary) {
  std::vector<size_t> begin;
  const std::vector<size_t> prompt = encode(vocabulary, options.prompt);
  if (model.first_symbol()) {
    begin = {*model.first_symbol()};
  } else if (vocabulary && vocabulary->start()) {
    begin = {*vocabulary->start()};
  } else if (prompt.empty()) {
    begin = {(vocabulary ? vocabulary->find("\n") : std::nullopt).value_or(0)};
  }
  begin.insert(begin.end(), prompt.begin(), prompt.end());
  return begin;
}

// Writes symbols as they come.
class Writer {
 public:
  explicit Writer(const std::optional<Vocabulary>& vocabulary) : vocabulary_(vocabulary) {}

  void write(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
    if (!text.empty()) last_ = text.back();
  }
  void symbol(size_t symbol) {
    if (!first_) write(vocabulary_ ? vocabulary_->separator() : " ");
    first_ = false;
    write(vocabulary_ ? vocabulary_->symbol(symbol) : std::to_string(symbol));
  }
  void end_line() {
    if (last_ != '\n') write("\n");
    first_ = true;
  }

 private:
  const std::optional<Vocabulary>& vocabulary_;
  bool first_ = true;
  char last_ = '\0';
};

int generate_text(const Options& options) {
  const std::optional<Vocabulary> vocabulary = find_vocabulary(options);
  const std::unique_ptr<Graph> graph = load_with_warnings(options.model, options.limits);
  Progress progress;
  progress.show("compiling " + options.model);
  const std::unique_ptr<generate::StepModel> model =
      make_step_model(*graph, step_options_of(*graph, options, vocabulary));
  if (vocabulary && vocabulary->size() != model->symbols()) {
    throw Error("the vocabulary is not this model's",
                std::to_string(model->symbols()) + " symbols, as the model has scores",
                std::to_string(vocabulary->size()));
  }
  // What the model's own loop says comes last.
  constexpr int64_t kDefaultLength = 200;
  generate::SearchOptions search{
      .length = options.length.value_or(model->longest().value_or(kDefaultLength)),
      .until = model->end_symbol(),
      .temperature = options.temperature,
      .seed = options.seed};
  if (vocabulary && vocabulary->end()) search.until = vocabulary->end();
  if (!options.until.empty()) {
    const std::vector<size_t> until = encode(vocabulary, options.until);
    if (until.size() != 1)
      throw Error("--until takes one symbol", "1", std::to_string(until.size()));
    search.until = until[0];
  }
  const std::vector<size_t> begin = beginning(*model, options, vocabulary);
  const std::vector<size_t> prompt = encode(vocabulary, options.prompt);
  Writer writer(vocabulary);
  const auto write = [&](const std::vector<size_t>& symbols) {
    for (const size_t symbol : prompt) writer.symbol(symbol);
    for (const size_t symbol : symbols) writer.symbol(symbol);
    writer.end_line();
  };
  if (options.beam > 0) {
    progress.show("searching");
    const std::vector<generate::Sequence> found =
        beam_search(*model, begin, search, options.beam, options.length_penalty);
    progress.clear();
    for (const generate::Sequence& sequence : found) {
      if (options.all) writer.write(fmt::format("{:.4f}\t", sequence.log_probability));
      write(sequence.symbols);
      if (!options.all) break;
    }
    return kDone;
  }
  progress.clear();
  bool begun = false;
  const auto write_prompt = [&] {
    for (const size_t symbol : prompt) writer.symbol(symbol);
    begun = true;
  };
  generate::generate(*model, begin, search, [&](size_t symbol) {
    if (!begun) write_prompt();
    writer.symbol(symbol);
    return true;
  });
  if (!begun) write_prompt();
  writer.end_line();
  return kDone;
}

constexpr const char* kFooter = R"(
Feeds the prompt to the model symbol by symbol, then each symbol that it chose from the scores, and
prints them as they come. Two kinds of models do: those that score the next symbol at every step of
an input of symbols (whole numbers, or one-hot rows) and look only back, as language models do; and
decoders that feed their most likely symbol back in a loop, with whatever runs before the loop.

Choice: the most likely symbol; with --temperature above 0 at random, less likely ones more often
the higher it is (the same --seed gives the same text); with --beam the likeliest sequence of so
many that are followed at once.

A vocabulary is a text file with one symbol a line (\n, \t, \r and \\ as in C), or JSON: a list of
symbols, an object with the number of each, or {"symbols": [...], "separator": " ", "start": "<s>",
"end": "</s>"}. Without --vocabulary it is NAME.vocabulary.json or .txt beside the model NAME.*, or
vocabulary.json or .txt there; without any, symbols are numbers. Without a prompt, a model that has
no start of its own begins after a newline, or symbol 0 if its vocabulary has none.

Examples:
  refrain generate shakespeare.rfn --prompt "ROMEO:" --length 300 --temperature 0.8 --seed 1
  refrain generate dates.rfn --source "3 May 1979" --source-vocabulary source.txt --beam 4
  refrain generate caption.onnx --input image=image.npy --vocabulary words.json --all --beam 3)";

}  // namespace

void add_generate(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App& command =
      *app.add_subcommand("generate", "Generate text from a model that scores the next symbol");
  command.footer(kFooter);
  add_model_option(command, options->model);
  command.add_option("--vocabulary", options->vocabulary, "The model's symbols")->type_name("FILE");
  command.add_option("--prompt", options->prompt, "Text to begin with")->type_name("TEXT");
  command
      .add_option("--length", options->length,
                  "Most symbols to generate (default: as many as the model's loop makes, or 200)")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command
      .add_option("--until", options->until,
                  "Symbol to stop at, not printed (default: the vocabulary's end, or that of the "
                  "model's loop)")
      ->type_name("SYMBOL");
  CLI::Option* temperature =
      command
          .add_option("--temperature", options->temperature,
                      "0: the most likely symbol; 1: as the model's probabilities say")
          ->type_name("T")
          ->check(CLI::Range(0.0, 1e6))
          ->capture_default_str();
  command.add_option("--seed", options->seed, "Of the random choices")
      ->type_name("S")
      ->capture_default_str();
  CLI::Option* beam = command.add_option("--beam", options->beam, "Width of a beam search")
                          ->type_name("N")
                          ->check(CLI::Range(1, 10000))
                          ->excludes(temperature);
  command
      .add_option("--length-penalty", options->length_penalty,
                  "Compare a beam's sequences by log-probability / length^A; 0 prefers short ones")
      ->type_name("A")
      ->check(CLI::Range(0.0, 100.0))
      ->needs(beam)
      ->capture_default_str();
  command.add_flag("--all", options->all, "Print all of a beam's sequences with log-probabilities")
      ->needs(beam);
  command
      .add_option("--input", options->inputs,
                  "An input's name and the file (.npy, .pb) with its value; repeat it")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  command.add_option("--source", options->source, "Text for the model's input of source symbols")
      ->type_name("TEXT");
  command
      .add_option("--source-vocabulary", options->source_vocabulary,
                  "Its symbols, if they are others")
      ->type_name("FILE");
  command
      .add_option("--symbols", options->symbols, "The input that takes symbols, if it isn't clear")
      ->type_name("NAME");
  command.add_option("--scores", options->scores, "The output that scores them, if it isn't clear")
      ->type_name("NAME");
  command
      .add_option("--state", options->states,
                  "An input that a step's output goes to at the next step; repeat it")
      ->type_name("INPUT=OUTPUT")
      ->allow_extra_args(false);
  add_backend_option(command, options->backend);
  add_threads_option(command, options->threads);
  add_limit_options(command, options->limits);
  command.callback([options, &action] { action = [options] { return generate_text(*options); }; });
}

}  // namespace refrain::cli
