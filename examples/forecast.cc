// A streaming forecaster: a model that was taught to give the next value of a series sees it one
// value at a time, as measurements come in, and says of each what comes next. At the end a fork of
// the session goes on by itself, fed its own forecasts, while the session would stay ready for the
// next measurement.
//
//   forecast MODEL SERIES [--ahead N]        # SERIES: a number a line
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <stdexcept>

#include "arguments.h"

namespace {

constexpr char kUsage[] =
    "usage: forecast MODEL SERIES [--ahead N]        # SERIES: a number a line\n";

class Forecaster {
 public:
  explicit Forecaster(refrain::Session session) : session_(std::move(session)) {
    const std::string input = session_.inputs().at(0).name;
    const std::string output = session_.outputs().at(0).name;
    value_ = session_.input(input).data<float>();
    next_ = session_.output(output).data<float>();
    if (value_.size() != 1 || next_.size() != 1)
      throw std::runtime_error("the model does not take and give one value a step");
  }

  float next(float value) {
    value_[0] = value;
    session_.step();
    return next_[0];
  }
  Forecaster fork() const { return Forecaster(session_.fork()); }

 private:
  refrain::Session session_;
  std::span<float> value_;
  std::span<const float> next_;
};

int forecast(const examples::Arguments& arguments) {
  const refrain::Model model = refrain::Model::load(arguments.words[0], arguments.load);
  std::ifstream series(arguments.words[1]);
  if (!series) throw std::runtime_error("can't read " + arguments.words[1]);

  std::vector<refrain::Array> values;
  refrain::Session session(model);
  session.prepare_step(arguments.setup(model, values));
  Forecaster forecaster(std::move(session));

  double error = 0, error_of_last = 0;
  float said = 0, last = 0;
  int64_t count = 0;
  for (float value = 0; series >> value; ++count) {
    if (count > 0) {
      error += std::abs(static_cast<double>(said - value));
      error_of_last += std::abs(static_cast<double>(last - value));
    }
    said = forecaster.next(value);
    last = value;
  }
  if (count < 2) throw std::runtime_error("the series has less than two values");
  const double pairs = static_cast<double>(count - 1);
  std::printf("%lld values: mean error %.4f, of the last value as a forecast %.4f\n",
              static_cast<long long>(count), error / pairs, error_of_last / pairs);

  Forecaster future = forecaster.fork();
  const int ahead = static_cast<int>(arguments.number("ahead", 8));
  std::printf("ahead:");
  for (int i = 0; i < ahead; ++i) {
    std::printf(" %.4f", static_cast<double>(said));
    said = future.next(said);
  }
  std::printf("\n");
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
    return forecast(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "forecast: %s\n", error.what());
    return 2;
  }
}
