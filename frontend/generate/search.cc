#include "frontend/generate/search.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "frontend/generate/sampling.h"
#include "ir/error.h"

namespace refrain::generate {
namespace {

void check(const StepModel& model, std::span<const size_t> prompt, const SearchOptions& options) {
  if (prompt.empty()) throw Error("nothing to begin with", "a prompt of at least one symbol");
  for (const size_t symbol : prompt) {
    if (symbol >= model.symbols()) {
      throw Error("a symbol of the prompt is not one of the model's",
                  "less than " + std::to_string(model.symbols()), std::to_string(symbol));
    }
  }
  if (!(options.temperature >= 0) || options.temperature == HUGE_VAL) {
    throw Error("a temperature must be a number of at least 0");
  }
}

std::vector<double> feed(StepModel& model, std::span<const size_t> prompt,
                         StepModel::State& state) {
  state = model.start();
  std::vector<double> scores;
  for (const size_t symbol : prompt) scores = model.step(state, symbol);
  return scores;
}

struct Beam {
  Sequence sequence;
  StepModel::State state;
  std::vector<double> scores;  // of the symbol after it
};

double rank(const Sequence& sequence, double length_penalty) {
  const double n = static_cast<double>(sequence.symbols.size()) + (sequence.ended ? 1 : 0);
  return sequence.log_probability / std::pow(std::max(n, 1.0), length_penalty);
}

}  // namespace

Sequence generate(StepModel& model, std::span<const size_t> prompt, const SearchOptions& options,
                  const std::function<bool(size_t)>& on_symbol) {
  check(model, prompt, options);
  Sequence result;
  RandomStream random(options.seed);
  StepModel::State state;
  std::vector<double> scores = feed(model, prompt, state);
  for (int64_t n = 0; n < options.length; ++n) {
    const size_t symbol = sample(scores, options.temperature, random);
    result.log_probability += scores[symbol];
    if (symbol == options.until) {
      result.ended = true;
      break;
    }
    result.symbols.push_back(symbol);
    if (on_symbol && !on_symbol(symbol)) break;
    if (n + 1 < options.length) scores = model.step(state, symbol);
  }
  return result;
}

std::vector<Sequence> beam_search(StepModel& model, std::span<const size_t> prompt,
                                  const SearchOptions& options, size_t width,
                                  double length_penalty) {
  check(model, prompt, options);
  if (width == 0) throw Error("a beam must be at least 1 wide");
  if (!(length_penalty >= 0)) throw Error("a length penalty must be at least 0");
  const auto better = [&](const Sequence& a, const Sequence& b) {
    return rank(a, length_penalty) > rank(b, length_penalty);
  };
  std::vector<Sequence> finished;
  const auto finish = [&](Sequence sequence) {
    finished.insert(std::upper_bound(finished.begin(), finished.end(), sequence, better),
                    std::move(sequence));
    if (finished.size() > width) finished.pop_back();
  };
  std::vector<Beam> beams(1);
  beams[0].scores = feed(model, prompt, beams[0].state);

  struct Extension {
    double log_probability;
    size_t beam, symbol;
  };
  for (int64_t n = 0; n < options.length && !beams.empty(); ++n) {
    std::vector<Extension> extensions;
    for (size_t b = 0; b < beams.size(); ++b) {
      for (size_t symbol = 0; symbol < beams[b].scores.size(); ++symbol) {
        const double score = beams[b].scores[symbol];
        if (score == -HUGE_VAL) continue;
        extensions.push_back({beams[b].sequence.log_probability + score, b, symbol});
      }
    }
    const size_t kept = std::min(width, extensions.size());
    std::partial_sort(extensions.begin(), extensions.begin() + static_cast<ptrdiff_t>(kept),
                      extensions.end(), [](const Extension& a, const Extension& b) {
                        return std::tuple(-a.log_probability, a.beam, a.symbol) <
                               std::tuple(-b.log_probability, b.beam, b.symbol);
                      });
    std::vector<Beam> next;
    for (size_t i = 0; i < kept; ++i) {
      const Extension& extension = extensions[i];
      Sequence sequence = beams[extension.beam].sequence;
      sequence.log_probability = extension.log_probability;
      if (extension.symbol == options.until) {
        sequence.ended = true;
        finish(std::move(sequence));
        continue;
      }
      sequence.symbols.push_back(extension.symbol);
      next.push_back({std::move(sequence), beams[extension.beam].state, {}});
    }
    // What an unfinished sequence can still reach: its probability only falls, and its divisor
    // grows to that of the longest that is allowed.
    std::erase_if(next, [&](const Beam& beam) {
      if (finished.size() < width) return false;
      const double best = beam.sequence.log_probability /
                          std::pow(static_cast<double>(options.length) + 1, length_penalty);
      return best <= rank(finished.back(), length_penalty);
    });
    beams = std::move(next);
    if (n + 1 == options.length) break;
    for (Beam& beam : beams) {
      beam.scores = model.step(beam.state, beam.sequence.symbols.back());
    }
  }
  for (Beam& beam : beams) finish(std::move(beam.sequence));
  return finished;
}

}  // namespace refrain::generate
