// Hostile descriptions: mutations of good ones, written by hand or drawn at random, must be loaded,
// or refused with a message that has a place, within two seconds of processor time each. What was
// loaded can be optimized, and written back, within ten.
//
//   equations_fuzz [SECONDS [SEED]]
#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "frontend/decompile/decompile.h"
#include "frontend/driver/model.h"
#include "frontend/equations/format.h"
#include "frontend/equations/load.h"
#include "support/random_equations.h"

namespace {

using Clock = std::chrono::steady_clock;

const std::vector<std::string>& seeds() {
  static const std::vector<std::string> kSeeds = {
      R"(# comment
model mgu
weights uniform(seed = 7, scale = 0.1)
const H = 2*4
input x: f32[T, B, 3]
cell mgu(x, h[H]):
  f  = sigmoid(W_f·[h, x] + b_f)
  h~ = tanh(W·[f*h, x] + b)
  R: h  = (1 - f)*h + f*h~
y = scan mgu over x
output logits = linear(last(y), 10)
)",
      R"(weights uniform(seed = 1)
input x: f64[B, T, 4]
input n: i64[B]
param M: f64[4, 4]
cell two((a, b), h[K], c[3, K]) given m, g:
  param (P, Q) = "pq{}"
  k = attention(h, m, m)
  c = 0.5*c + outer(h[0:3], a)
  h = tanh(P·h + b[.., :4]^2 + g)
  O: y = softmax(h)
  O: m
(y, z, h_T) = scan two(4) over (x, x + 1) reverse given (M·x, first(x)) lengths n
s = scan stack(bidirectional(gru(5)), layers = 2, residual = true) over x with weights "enc"
output y
output t = s[1:, ..]
)",
      R"(weights uniform()
const F = (-1, 2, -1)
input x: f32[T, 5]
p = max_pool1d(relu(conv1d(x, filter = F, padding = 1)), 2)
q = conv1d(p, 4, 3, causal = true, groups = 1, bias = false)
r = where(q > 0, q, -q/2) - mean(q, over = time)
output y = layer_norm(clip(r, -1, 1), eps = 1e-5)
output z = sum(embedding(argmax(q), 4, 6))
)",
      R"(weights uniform(seed = 3)
input h0: f32[B, 6]
cell writer(token, h[6]):
  x = embedding(token, 5, 4)
  h = tanh(W·[h, x] + b)
  O: linear(h, 5)
a = decode writer start 0 until 1 length 7 greedy from h0
b = decode writer start 0 length 5 sample(temperature = 0.8, seed = 1) from h0
(c, p) = decode writer start 0 until 1 length 4 beam(3) from h0
output a
output c
)",
      R"(weights uniform(seed = 2)
input x: f32[T, B, 4]
cell lecture(x, h_{t-1}[6], c[6]):
  f_t = sigmoid(W_f·[h_{t-1}, x_t] + b_f)
  c~_t = tanh(W·[h_{t-1}, x_t] + b)
  c_t = f_t*c_{t-1} + (1 - f_t)*c~_t
  h_t = tanh(c_t)
output y = last(scan lecture over x + scan gru(4) over reverse(x)) - linear(x[0, ..], 6)
)"};
  return kSeeds;
}

const std::vector<std::string>& pieces() {
  static const std::vector<std::string> kPieces = {"(",
                                                   ")",
                                                   "[",
                                                   "]",
                                                   ",",
                                                   ":",
                                                   "=",
                                                   "+",
                                                   "-",
                                                   "*",
                                                   "·",
                                                   "@",
                                                   "^",
                                                   "..",
                                                   "\n",
                                                   "\n  ",
                                                   "#",
                                                   "\"",
                                                   "'",
                                                   "~",
                                                   "999999999999",
                                                   "1e308",
                                                   "0",
                                                   "-1",
                                                   "2147483647",
                                                   "over",
                                                   "from",
                                                   "given",
                                                   "scan",
                                                   "cell",
                                                   "input",
                                                   "param",
                                                   "stack(",
                                                   "bidirectional(",
                                                   "layers = 1000",
                                                   "x",
                                                   "h",
                                                   "W",
                                                   "\xC3",
                                                   "\xFF",
                                                   "\xE2\x82",
                                                   "\0",
                                                   "\t",
                                                   "h~",
                                                   "f32[T, B, 3]",
                                                   "weights",
                                                   "linear(x, 2)",
                                                   "last(",
                                                   "softmax(x, over = time)",
                                                   "[h, x]",
                                                   "output y\n",
                                                   "lengths n",
                                                   "pad(x, 1, 2, mode = \"reflect\")",
                                                   "sequence(x, last(x))",
                                                   "indices(x)",
                                                   "mod(x, 3)",
                                                   "real(x)",
                                                   "reverse(",
                                                   "outer(x, x)",
                                                   "max_pool1d(x, 2)",
                                                   "conv1d(x, 2, 3, padding = 1)",
                                                   "[1:, ..]",
                                                   "beam(64)"};
  return kPieces;
}

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed), models_(seed) {}

  std::string next() {
    std::string text = below(4) == 0 ? refrain::testing::random_equations(models_) : pick(seeds());
    const size_t edits = 1 + below(1 + below(8));
    for (size_t i = 0; i < edits; ++i) edit(text);
    return text;
  }

 private:
  size_t below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }
  const std::string& pick(const std::vector<std::string>& list) { return list[below(list.size())]; }

  void edit(std::string& text) {
    const size_t at = below(text.size() + 1), length = below(1 + text.size() - at) % 40;
    switch (below(12)) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        text.insert(at, pick(pieces()));
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(below(256));
        break;
      case 3:
        text.insert(below(text.size() + 1), text.substr(at, length));
        break;
      case 4: {  // of another seed
        const std::string& other = pick(seeds());
        const size_t from = below(other.size());
        text.insert(at, other.substr(from, below(120)));
        break;
      }
      case 5: {  // many times the same
        const std::string& piece = pick(pieces());
        std::string many;
        for (size_t i = 0, count = size_t{1} << below(12); i < count; ++i) many += piece;
        text.insert(at, many);
        break;
      }
      case 6:
        text.replace(at, length, pick(pieces()));
        break;
      case 7:
      case 8:
      case 9:
      case 10:  // a word or number in place of another: what is left has a meaning more often
        replace_word(text);
        break;
      default: {  // a line twice
        const size_t begin = text.rfind('\n', at == 0 ? 0 : at - 1) + 1;
        const size_t end = std::min(text.find('\n', begin), text.size());
        text.insert(begin, text.substr(begin, end - begin) + "\n");
        break;
      }
    }
    if (text.size() > 100000) text.resize(100000);
  }

  void replace_word(std::string& text) {
    const auto [begin, end] = word(text, below(text.size() + 1));
    const auto [from, to] = word(text, below(text.size() + 1));
    text.replace(begin, end - begin, text.substr(from, to - from));
  }

  // The word around a place, or the next one.
  static std::pair<size_t, size_t> word(const std::string& text, size_t at) {
    const auto is_word = [&](size_t i) {
      return std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '_';
    };
    while (at < text.size() && !is_word(at)) ++at;
    size_t begin = at, end = at;
    while (begin > 0 && is_word(begin - 1)) --begin;
    while (end < text.size() && is_word(end)) ++end;
    return {begin, end};
  }

  std::mt19937_64 random_;
  refrain::testing::Random models_;
};

// True if the text was loaded. Exits where what is promised does not hold.
bool check(const std::string& text) {
  const auto broken = [&](const std::string& why) {
    std::printf("%s:\n%s\n", why.c_str(), text.c_str());
    std::exit(1);
  };
  // Of this process, whatever else the machine does.
  const std::clock_t begin = std::clock();
  const auto expect_within = [&](int seconds) {
    if (std::clock() - begin > seconds * CLOCKS_PER_SEC)
      broken("took more than " + std::to_string(seconds) + " seconds");
  };
  bool loaded = false;
  std::unique_ptr<refrain::Graph> graph;
  try {
    graph =
        refrain::equations::load("fuzz.rfn", text, {.folder = "/nowhere", .max_bytes = 1 << 22});
    loaded = true;
  } catch (const refrain::equations::TextError& error) {
    if (!std::string(error.what()).starts_with("fuzz.rfn:")) broken("a message without a place");
  } catch (const std::exception& error) {
    broken(std::string("another exception: ") + error.what());
  }
  try {
    const std::string once = refrain::equations::format("fuzz.rfn", text);
    if (refrain::equations::format("fuzz.rfn", once) != once) broken("formatted twice differs");
  } catch (const refrain::equations::TextError&) {
    if (loaded) broken("loaded, but not formatted");
  }
  expect_within(2);
  if (graph) {
    try {
      refrain::optimize(*graph);
      const refrain::decompile::Decompiled written =
          refrain::decompile::decompile(*graph, "fuzz.safetensors");
      if (written.complete) refrain::equations::format("fuzz.rfn", written.text);
    } catch (const std::exception& error) {
      broken(std::string("not optimized or written back: ") + error.what());
    }
  }
  expect_within(10);
  return loaded;
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 5;
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  for (const std::string& text : seeds()) {
    if (!check(text)) {
      std::printf("a seed does not load:\n%s\n", text.c_str());
      return 1;
    }
  }
  Mutator mutator(seed);
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  size_t texts = 0, loaded = 0;
  for (; Clock::now() < end; ++texts) loaded += check(mutator.next());
  std::printf("%zu texts, %zu loaded\n", texts, loaded);
}
