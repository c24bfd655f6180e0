#include "frontend/generate/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/error.h"

namespace refrain::generate {

uint64_t RandomStream::next() {
  state_ += 0x9e3779b97f4a7c15;
  uint64_t z = state_;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

double RandomStream::uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

ScoreKind kind_of(std::span<const double> scores) {
  double sum = 0;
  for (const double score : scores) {
    if (!(score >= 0)) return ScoreKind::logits;
    sum += score;
  }
  return std::abs(sum - 1) <= 1e-3 ? ScoreKind::probabilities : ScoreKind::logits;
}

std::vector<double> log_probabilities(std::span<const double> scores, ScoreKind kind) {
  std::vector<double> result(scores.begin(), scores.end());
  for (double& score : result) {
    if (kind == ScoreKind::probabilities) score = std::log(score);  // NaN if negative
    if (std::isnan(score) || score == HUGE_VAL) {
      throw Error("a score of the model means no probability", "a number",
                  std::isnan(score) ? "NaN" : "infinity");
    }
  }
  const double largest =
      result.empty() ? -HUGE_VAL : *std::max_element(result.begin(), result.end());
  if (largest == -HUGE_VAL) throw Error("the model's scores make no symbol possible");
  double sum = 0;
  for (const double score : result) sum += std::exp(score - largest);
  const double total = largest + std::log(sum);
  for (double& score : result) score -= total;
  return result;
}

size_t most_likely(std::span<const double> log_probabilities) {
  return static_cast<size_t>(std::max_element(log_probabilities.begin(), log_probabilities.end()) -
                             log_probabilities.begin());
}

size_t sample(std::span<const double> log_probabilities, double temperature, RandomStream& random) {
  const size_t best = most_likely(log_probabilities);
  if (temperature == 0) return best;
  std::vector<double> sums;
  sums.reserve(log_probabilities.size());
  double sum = 0;
  for (const double l : log_probabilities) {
    sum += std::exp((l - log_probabilities[best]) / temperature);
    sums.push_back(sum);
  }
  // Below the total, because uniform() is below 1 and rounding is monotonic, unless it rounds up.
  const double at = random.uniform() * sum;
  const auto found = std::upper_bound(sums.begin(), sums.end(), at);
  return found == sums.end() ? best : static_cast<size_t>(found - sums.begin());
}

}  // namespace refrain::generate
