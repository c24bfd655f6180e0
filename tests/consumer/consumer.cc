// Runs a model of one input over five steps of a batch of two and prints the sum of every output.
#include <refrain/refrain.h>

#include <cstdio>
#include <string>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    refrain::Model::load("no such file");
    return 1;
  } catch (const refrain::Error& error) {
    if (error.file() != "no such file") return 1;
  }

  try {
    const refrain::Model model = refrain::Model::load(argv[1]);
    refrain::Session session(model);
    refrain::Setup setup;
    setup.symbols = {{"T", 5}, {"B", 2}};
    session.prepare(setup);
    const std::span<float> x = session.input(session.inputs().at(0).name).data<float>();
    for (size_t i = 0; i < x.size(); ++i) x[i] = 0.01F * static_cast<float>(i);
    session.run();
    for (const refrain::TensorInfo& output : session.outputs()) {
      double sum = 0;
      for (const float y : session.output(output.name).data<float>()) sum += static_cast<double>(y);
      std::printf("%s %.4f\n", output.name.c_str(), sum);
    }
    return 0;
  } catch (const refrain::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
