// Times what happens between a model's file and its first run.
//
// usage: time_compile REPEATS DxDxD MODEL
//            MODEL has one input, of this shape. For each backend, REPEATS times. Prints JSON: a
//            list with {backend, import_us, passes_us, prepare_us, total_us, median_total_us}; the
//            times of the fastest repeat. Preparing binds the shape, runs the pipeline again,
//            chooses kernels and packs weights
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/driver/executable.h"
#include "frontend/driver/model.h"
#include "frontend/driver/program.h"
#include "ir/error.h"

namespace refrain {
namespace {

constexpr int kMostRepeats = 10'000;

struct Times {
  double import_us, passes_us, prepare_us;
  double total() const { return import_us + passes_us + prepare_us; }
};

Times compile(const std::string& model, const std::vector<RuntimeValue>& inputs, Backend backend) {
  using Clock = std::chrono::steady_clock;
  const auto between = [](Clock::time_point begin, Clock::time_point end) {
    return std::chrono::duration<double, std::micro>(end - begin).count();
  };
  const Clock::time_point begin = Clock::now();
  const std::unique_ptr<Graph> graph = load_model(model).graph;
  const Clock::time_point imported = Clock::now();
  optimize(*graph);
  const Clock::time_point optimized = Clock::now();
  const Preparation prepared = prepare(*graph, inputs, {.backend = backend, .limits = {}});
  const Clock::time_point done = Clock::now();
  if (!prepared.program) throw Error("can't prepare the model: " + prepared.why);
  return {between(begin, imported), between(imported, optimized), between(optimized, done)};
}

std::vector<int64_t> parse_extents(std::string_view text) {
  std::vector<int64_t> extents;
  const char *at = text.data(), *const end = text.data() + text.size();
  while (at != end) {
    const auto [next, error] = std::from_chars(at, end, extents.emplace_back());
    if (error != std::errc() || extents.back() < 0 || (next != end && *next != 'x')) {
      throw Error("wrong shape", "DxDxD", std::string(text));
    }
    at = next == end ? end : next + 1;
  }
  return extents;
}

int time_all(int repeats, const std::vector<int64_t>& extents, const std::string& model) {
  std::vector<RuntimeValue> inputs;
  inputs.emplace_back(Tensor(ElementType::f32, extents));
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Backend backend : {Backend::highway, Backend::onednn, Backend::automatic}) {
    compile(model, inputs, backend);  // the file's first read, pages of the heap
    std::vector<Times> times;
    for (int i = 0; i < repeats; ++i) times.push_back(compile(model, inputs, backend));
    std::sort(times.begin(), times.end(),
              [](const Times& a, const Times& b) { return a.total() < b.total(); });
    const Times& least = times.front();
    rows.push_back({{"backend", name(backend)},
                    {"import_us", least.import_us},
                    {"passes_us", least.passes_us},
                    {"prepare_us", least.prepare_us},
                    {"total_us", least.total()},
                    {"median_total_us", times[times.size() / 2].total()}});
  }
  fmt::print("{}\n", rows.dump(1));
  return 0;
}

}  // namespace
}  // namespace refrain

int main(int argc, char** argv) {
  try {
    const std::string_view text = argc == 4 ? argv[1] : "";
    int repeats = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), repeats);
    if (error != std::errc() || end != text.data() + text.size() || repeats < 1 ||
        repeats > refrain::kMostRepeats) {
      fmt::print(stderr, "usage: time_compile REPEATS DxDxD MODEL (of one input)\n");
      return 2;
    }
    return refrain::time_all(repeats, refrain::parse_extents(argv[2]), argv[3]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "time_compile: {}\n", error.what());
    return 2;
  }
}
