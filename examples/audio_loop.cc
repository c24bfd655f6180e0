// A real-time audio loop: a model steps over the samples of a wav file, its state carried along, as
// it would be called by a sound card for every block; then the worst step is reported, for that is
// what a deadline asks of.
//
//   audio_loop MODEL WAV [--overlap N] [--rounds N] [--print 1] [--state IN=OUT] [--value
//   NAME=NUMBER]
//              [--shape NAME=DxDxD]
//
// One step takes as many samples as the model's first input holds, the first `overlap` of which it
// had before. Silero's voice detector: --overlap 64 --shape input=1x576 --value sr=16000 --state
// state=stateN
//
// For steps that are never late the thread also wants a core of its own (taskset, SCHED_FIFO).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>

#include "arguments.h"
#include "wav.h"

namespace {

constexpr char kUsage[] =
    "usage: audio_loop MODEL WAV [--overlap N] [--rounds N] [--print 1] [--state IN=OUT]\n"
    "                            [--value NAME=NUMBER] [--shape NAME=DxDxD]\n";

using Clock = std::chrono::steady_clock;

int listen(const examples::Arguments& arguments) {
  const refrain::Model model = refrain::Model::load(arguments.words[0], arguments.load);
  const examples::Wav wav = examples::read_wav(arguments.words[1]);

  std::vector<refrain::Array> values;
  refrain::Session session(model);
  session.prepare_step(arguments.setup(model, values));
  if (!session.real_time())
    std::printf("steps may allocate: %s\n", session.real_time().why.c_str());

  // Looked up once: in the loop there is only memory to fill, a step, and memory to read.
  const std::span<float> block = session.input(session.inputs().at(0).name).data<float>();
  const std::span<const float> heard = session.output(session.outputs().at(0).name).data<float>();
  const size_t overlap = static_cast<size_t>(arguments.number("overlap", 0));
  if (overlap >= block.size()) throw std::runtime_error("--overlap is as long as a block");
  const size_t fresh = block.size() - overlap;
  const size_t steps = wav.samples.size() / fresh;
  if (steps == 0) throw std::runtime_error("the file is shorter than a block");

  const int rounds = static_cast<int>(arguments.number("rounds", 1));
  const bool print = arguments.number("print", 0) != 0;
  std::vector<double> times;
  times.reserve(steps * static_cast<size_t>(rounds));
  for (int round = 0; round < rounds; ++round) {
    session.reset();
    std::fill(block.begin(), block.end(), 0.0F);
    for (size_t i = 0; i < steps; ++i) {
      const auto begin = Clock::now();
      std::copy(block.end() - static_cast<std::ptrdiff_t>(overlap), block.end(), block.begin());
      std::copy_n(wav.samples.begin() + static_cast<std::ptrdiff_t>(i * fresh), fresh,
                  block.begin() + static_cast<std::ptrdiff_t>(overlap));
      session.step();
      times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
      if (print && round == 0)
        std::printf("%8.3f s %9.6f\n", static_cast<double>(i * fresh) / wav.rate,
                    static_cast<double>(heard[0]));
    }
  }

  std::sort(times.begin(), times.end());
  const double deadline = 1e6 * static_cast<double>(fresh) / wav.rate;
  const auto late = times.end() - std::upper_bound(times.begin(), times.end(), deadline);
  std::printf(
      "%zu steps of %zu samples: median %.2f us, worst %.2f us, deadline %.0f us, %td late\n",
      times.size(), fresh, times[times.size() / 2], times.back(), deadline, late);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0)) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  try {
    const examples::Arguments arguments(argc, argv);
    if (arguments.words.size() != 2) {
      std::fputs(kUsage, stderr);
      return 2;
    }
    return listen(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "audio_loop: %s\n", error.what());
    return 2;
  }
}
