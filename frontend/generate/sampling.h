// Choosing the next symbol from a model's scores.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace refrain::generate {

// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): the
// same numbers for a seed on every machine and with every standard library.
class RandomStream {
 public:
  explicit RandomStream(uint64_t seed) : state_(seed) {}
  uint64_t next();
  double uniform();  // a multiple of 2^-53 in [0, 1)

 private:
  uint64_t state_;
};

enum class ScoreKind : uint8_t { logits, probabilities };

// Probabilities if no score is negative and they add up to 1 within 1e-3, which logits in practice
// never do; otherwise logits (logarithms of probabilities are logits too).
ScoreKind kind_of(std::span<const double> scores);

// Logarithms of the probabilities that scores mean, in double. Throws Error if one is NaN or +inf,
// or none is possible.
std::vector<double> log_probabilities(std::span<const double> scores, ScoreKind kind);

// The lowest index of the largest.
size_t most_likely(std::span<const double> log_probabilities);

// Symbol i with a probability in proportion to exp(l[i] / temperature): 1 is the model's own
// distribution, less makes likely symbols more likely, 0 is most_likely (and takes no random
// number). One number of the stream a call; the first symbol at which the running sum of the
// weights, from symbol 0 on, exceeds that number times their total.
size_t sample(std::span<const double> log_probabilities, double temperature, RandomStream& random);

}  // namespace refrain::generate
