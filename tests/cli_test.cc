// The command line's contract, on the program itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "frontend/io/file.h"
#include "frontend/io/npy.h"
#include "frontend/io/value_file.h"
#include "frontend/weights/weight_file.h"
#include "ir/text.h"
#include "support/compare.h"
#include "support/onnx_model.h"
#include "support/process.h"

namespace refrain {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::EndsWith;
using testing::equal;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ProcessResult;
using ::testing::StartsWith;
using testing::TemporaryFolder;

ProcessResult refrain_(const std::vector<std::string>& arguments) {
  return testing::run_process(REFRAIN_BINARY_DIR "/frontend/refrain", arguments);
}

// Bad usage or input: exit code 2, and the message on stderr only.
void expect_bad(const std::vector<std::string>& arguments, const std::string& message) {
  const ProcessResult result = refrain_(arguments);
  EXPECT_EQ(result.exit_code, 2) << result.out << result.err;
  EXPECT_THAT(result.err, AllOf(StartsWith("refrain: "), HasSubstr(message)));
  EXPECT_EQ(result.out, "");
}

// y = tanh(x + h), step by step; weights enough to be elided.
constexpr const char* kModel = R"(graph @cell (%x: f32[T, B, 2], %h0: f32[B, 2]) {
  %hn, %y = scan state(%h = %h0: f32[B, 2]) scanned(%e = %x[0]: f32[B, 2]) stacked([0]) {
    %a = add(%e, %h) : f32[B, 2]
    %n = tanh(%a) : f32[B, 2]
    yield %n, %n
  } : f32[B, 2], f32[T, B, 2]
  %w = constant f32[17] (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)
  yield "y" = %y, "h/n" = %hn, "w" = %w
}
)";

class Cli : public ::testing::Test {
 protected:
  Cli() { write_file(model_, kModel); }

  TemporaryFolder folder_;
  std::string model_ = folder_ / "cell.any_name";
};

TEST_F(Cli, HelpTeaches) {
  const ProcessResult help = refrain_({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* command : {"compile", "inspect", "run", "verify", "bench"}) {
    EXPECT_THAT(help.out, HasSubstr(command));
    const ProcessResult result = refrain_({command, "--help"});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out,
                AllOf(HasSubstr("Example"), HasSubstr(std::string("refrain ") + command)));
  }
  EXPECT_EQ(refrain_({"--version"}).exit_code, 0);
  EXPECT_THAT(refrain_({"--version"}).out, StartsWith("refrain "));
}

TEST_F(Cli, BadUsage) {
  expect_bad({}, "subcommand");
  expect_bad({"frobnicate"}, "unknown command frobnicate");
  expect_bad({"verify"}, "CASE is required");
  expect_bad({"verify", "--no-such-option", "x"}, "--no-such-option");
  expect_bad({"verify", "x", "--rtol", "nan"}, "--rtol");
  expect_bad({"verify", "x", "--threads", "0"}, "--threads");
  expect_bad({"verify", "x", "--max-memory", "99999999999999"}, "--max-memory");
  expect_bad({"verify", "x", "--backend", "abacus"}, "abacus");
  expect_bad({"inspect"}, "MODEL is required");
  expect_bad({"inspect", model_, "--format", "pdf"}, "pdf");
  expect_bad({"inspect", model_, "--stage", "executable", "--format", "dot"}, "list of steps");
  expect_bad({"compile", model_, "--stop-after", "magic"}, "the pipeline has no pass magic");
  expect_bad({"compile", model_, "--dump-after", "magic"}, "the pipeline has no pass magic");
  expect_bad({"compile", model_, "--precision", "bf16"}, "not available yet: --precision bf16");
  expect_bad({"compile", model_, "--dynamic-time"}, "no axis of any input can be given any length");
  expect_bad({"bench", model_, "--against", "onnxruntime", "--onnxruntime", "/no/such.so"},
             "can't load ONNX Runtime");
  expect_bad({"bench", model_, "--seconds", "0"}, "--seconds");
}

TEST_F(Cli, BadModels) {
  expect_bad({"inspect", folder_ / "none.onnx"}, "none.onnx: no such file");
  expect_bad({"inspect", folder_.path()}, "not a regular file");
  write_file(folder_ / "cell.yaml", "cell: lstm");
  expect_bad({"run", folder_ / "cell.yaml"}, "not a model that this version reads");
  write_file(folder_ / "half.txt", std::string(kModel).substr(0, 100));
  expect_bad({"compile", folder_ / "half.txt"}, "half.txt");
  write_file(folder_ / "noise.onnx", "this is no protobuf");
  expect_bad({"compile", folder_ / "noise.onnx"}, "noise.onnx");
  write_file(folder_ / "empty.onnx", "");
  expect_bad({"bench", folder_ / "empty.onnx"}, "empty.onnx");
}

TEST_F(Cli, InspectPrintsWhatParses) {
  const ProcessResult elided = refrain_({"inspect", model_});
  EXPECT_EQ(elided.exit_code, 0);
  EXPECT_THAT(elided.out, HasSubstr("constant f32[17] (...)"));
  const ProcessResult full = refrain_({"inspect", model_, "--weights"});
  EXPECT_EQ(full.out, print(*parse(kModel)));
  EXPECT_THAT(refrain_({"inspect", model_, "--format", "dot"}).out, StartsWith("digraph"));
  EXPECT_THAT(refrain_({"inspect", model_, "--stage", "executable"}).out,
              AllOf(HasSubstr("backend auto"), HasSubstr("highway element-wise loop"),
                    HasSubstr("arena of")));
  EXPECT_THAT(refrain_({"inspect", model_, "--stage", "executable", "--backend", "reference"}).out,
              AllOf(HasSubstr("backend reference"), HasSubstr("scan"), HasSubstr("tanh")));
}

// The tags that are open where a page ends or goes wrong: none if every one is closed in turn.
std::vector<std::string> open_tags(const std::string& page) {
  std::vector<std::string> open;
  for (size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at + 1)) {
    const size_t end = page.find('>', at);
    if (page[at + 1] == '!') continue;
    const bool closes = page[at + 1] == '/';
    const size_t begin = at + 1 + closes;
    const std::string name = page.substr(begin, page.find_first_of(" />", begin) - begin);
    if (closes) {
      if (open.empty() || open.back() != name) return {"</" + name};
      open.pop_back();
    } else if (page[end - 1] != '/' && name != "meta") {
      open.push_back(name);
    }
  }
  return open;
}

TEST_F(Cli, HtmlLinksUsesToDefinitions) {
  const std::string page =
      refrain_({"inspect", model_, "--format", "html", "--stage", "imported"}).out;
  EXPECT_THAT(page, AllOf(StartsWith("<!DOCTYPE html>"), HasSubstr("<svg"), EndsWith("</html>\n")));
  EXPECT_THAT(open_tags(page), ::testing::IsEmpty());
  // Values by definition: x, h0, hn, y, h, e, a, n, w.
  EXPECT_THAT(
      page, HasSubstr("<b id=\"v6\">%a</b> = add(<a href=\"#v5\">%e</a>, <a href=\"#v4\">%h</a>)"));
}

TEST_F(Cli, HtmlShowsBeforeAndAfterSideBySide) {
  const std::string model = std::string(REFRAIN_SOURCE_DIR) + "/tests/models/lstm_op9/model.onnx";
  const std::string page = refrain_({"inspect", model, "--format", "html"}).out;
  EXPECT_THAT(open_tags(page), ::testing::IsEmpty());
  EXPECT_THAT(page, AllOf(HasSubstr("Before: as imported"), HasSubstr("After: optimized"),
                          HasSubstr("i = sigmoid(W_i·x + b_i + U_i·h)"),
                          HasSubstr("<b id=\"before0\">"), HasSubstr("<b id=\"after0\">")));
  // Nothing from elsewhere: no address, no script, no source but what is in the page.
  for (const char* word : {"http", "//", "<script", "<link", "<img", "src=", "url(", "@import"}) {
    EXPECT_THAT(page, Not(HasSubstr(word)));
  }
  // Each link has its place.
  for (size_t at = page.find("href=\"#"); at != std::string::npos; at = page.find("href=\"#", at)) {
    at += 7;
    const std::string id = page.substr(at, page.find('"', at) - at);
    ASSERT_THAT(page, HasSubstr("id=\"" + id + "\""));
  }
}

// What a browser makes of the page, where there is one.
TEST_F(Cli, HtmlInABrowser) {
  const char* const browser = "/usr/bin/chromium";
  if (!fs::exists(browser)) GTEST_SKIP() << "no " << browser;
  const std::string model = std::string(REFRAIN_SOURCE_DIR) + "/tests/models/lstm_op9/model.onnx";
  const std::string page = folder_ / "page.html";
  write_file(page, refrain_({"inspect", model, "--format", "html"}).out);
  const ProcessResult shown = testing::run_process(
      "/usr/bin/timeout",
      {"60", browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
       "--user-data-dir=" + (folder_ / "profile"), "--dump-dom", "file://" + page});
  if (shown.exit_code != 0) GTEST_SKIP() << "the browser does not run here";
  EXPECT_THAT(shown.out, AllOf(HasSubstr("class=\"pair\""), HasSubstr("</svg>"),
                               HasSubstr("id=\"after0\""), HasSubstr("c = f*c + i*g")));
}

TEST_F(Cli, InspectWritesEquationsAndTheirParameters) {
  const std::string model = std::string(REFRAIN_SOURCE_DIR) + "/tests/models/gru_op11/model.onnx";
  const std::string weights = folder_ / "gru.safetensors";
  const ProcessResult result =
      refrain_({"inspect", model, "--format", "equations", "--weights-file", weights});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("weights \"gru.safetensors\"\n"),
                                HasSubstr("  h = (1 - z)*n + z*h\n")));
  const TensorPtr matrix = WeightFile::open(weights).find("gru_cell.U_r");
  ASSERT_TRUE(matrix);
  EXPECT_EQ(matrix->extents(), (std::vector<int64_t>{10, 10}));
  expect_bad({"inspect", model, "--weights-file", weights}, "--weights-file is for equations");
  const ProcessResult fixed =
      refrain_({"inspect", model, "--format", "equations", "--shape", "x=4x3x6"});
  EXPECT_EQ(fixed.exit_code, 0) << fixed.err;
  EXPECT_THAT(fixed.out, AllOf(HasSubstr("input x: f32[T=4, B=3, 6]\n"),
                               HasSubstr("input h0: f32[B=3, 10]\n")));
  expect_bad({"inspect", model, "--shape", "x=4x3x7"}, "wrong shape of input x");
}

TEST_F(Cli, GenerateContinuesAPrompt) {
  const std::string model = std::string(REFRAIN_SOURCE_DIR) + "/tests/models/charlm_op9/model.onnx";
  const auto generated = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"generate", model, "--length", "12"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult result = refrain_(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  const std::string greedy = generated({"--prompt", "1 2 3"});
  EXPECT_THAT(greedy, StartsWith("1 2 3 "));
  EXPECT_EQ(std::count(greedy.begin(), greedy.end(), ' '), 14);
  EXPECT_EQ(generated({"--prompt", "1 2 3", "--beam", "1"}), greedy);
  const std::string sampled = generated({"--temperature", "1", "--seed", "4"});
  EXPECT_EQ(generated({"--temperature", "1", "--seed", "4"}), sampled);
  EXPECT_NE(generated({"--temperature", "1", "--seed", "5"}), sampled);
  const std::string beams = generated({"--beam", "3", "--all"});
  EXPECT_EQ(std::count(beams.begin(), beams.end(), '\n'), 3);
  // With symbols, until one of them.
  std::string symbols;
  for (int i = 0; i < 30; ++i) symbols += static_cast<char>('A' + i);
  write_file(folder_ / "v.txt", [&] {
    std::string lines;
    for (const char c : symbols)
      lines += (c == '\\' ? std::string("\\\\") : std::string(1, c)) + "\n";
    return lines;
  }());
  const std::string text = generated({"--vocabulary", folder_ / "v.txt", "--prompt", "BCD"});
  EXPECT_EQ(text.size(), 16u);
  EXPECT_THAT(text, StartsWith("BCD"));
  const std::string first(1, text[3]);
  EXPECT_EQ(generated({"--vocabulary", folder_ / "v.txt", "--prompt", "BCD", "--until", first}),
            "BCD\n");
  expect_bad({"generate", model, "--vocabulary", folder_ / "v.txt", "--prompt", "BC~"},
             "no symbol of the vocabulary fits the text at byte 2");
  expect_bad({"generate", model, "--prompt", "30"}, "a symbol of the prompt is not one of");
  expect_bad({"generate", model, "--beam", "2", "--temperature", "1"},
             "--temperature excludes --beam");
  expect_bad({"generate", std::string(REFRAIN_SOURCE_DIR) + "/tests/models/gru_op11/model.onnx"},
             "the model takes and scores different numbers of symbols");
  expect_bad(
      {"generate", std::string(REFRAIN_SOURCE_DIR) + "/tests/models/bilstm2_op13/model.onnx"},
      "symbols cannot be generated from this model");
  write_file(folder_ / "short.txt", "a\nb\n");
  expect_bad({"generate", model, "--vocabulary", folder_ / "short.txt"},
             "the vocabulary is not this model's: expected 30 symbols");
}

TEST_F(Cli, RunsEquations) {
  const std::string file = REFRAIN_SOURCE_DIR "/examples/mgu.rfn";
  const ProcessResult result = refrain_({"run", file, "--random-inputs", "1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("digit: f32[1, 10]"));
}

TEST_F(Cli, FormatLaysOut) {
  const std::string file = folder_ / "net.rfn";
  write_file(file, "input  x :f32[T,B,2]\n\n\noutput y=- x");
  const std::string laid_out = "input x: f32[T, B, 2]\n\noutput y = -x\n";
  EXPECT_EQ(refrain_({"format", file}).out, laid_out);
  const ProcessResult check = refrain_({"format", "--check", file});
  EXPECT_EQ(check.exit_code, 1);
  EXPECT_EQ(check.out, file + "\n");
  EXPECT_EQ(refrain_({"format", "-i", file}).exit_code, 0);
  EXPECT_EQ(read_file(file, 1000), laid_out);
  EXPECT_EQ(refrain_({"format", "--check", file}).exit_code, 0);
  // As compilers write it, so that editors find the place.
  write_file(file, "input x: f32[T, B, 2]\noutput y = tanhh(x)\n");
  const ProcessResult bad = refrain_({"inspect", file});
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.err, StartsWith(file + ":2:12: error: unknown function 'tanhh'\n"));
  EXPECT_THAT(bad.err, EndsWith("did you mean 'tanh'?\n"));
}

TEST_F(Cli, CompileReportsDumpsAndWrites) {
  const std::string output = folder_ / "out.txt";
  const ProcessResult result = refrain_({"compile", model_, "-o", output});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("dce"), HasSubstr("input     x: f32[T, B, 2]"),
                                HasSubstr("output    h/n: f32[B, 2]")));
  const std::unique_ptr<Graph> written = parse(read_file(output, 1 << 20));
  EXPECT_EQ(written->output_count(), 3u);
  EXPECT_EQ(refrain_({"inspect", output, "--weights"}).out, print(*written));

  EXPECT_EQ(refrain_({"compile", model_, "-o", folder_ / "out", "--text"}).exit_code, 0);
  EXPECT_EQ(read_file(folder_ / "out", 1 << 20), print(*written));

  const ProcessResult dump = refrain_({"compile", model_, "--dump-after", "all", "--weights"});
  EXPECT_THAT(dump.out, AllOf(StartsWith("# after "), HasSubstr("# after dce")));
  EXPECT_THAT(dump.err, HasSubstr("changed"));
  const ProcessResult one = refrain_({"compile", model_, "--dump-after", "fold"});
  EXPECT_THAT(one.out, AllOf(HasSubstr("# after fold"), Not(HasSubstr("# after dce"))));
  const std::string stopped = refrain_({"compile", model_, "--stop-after", "order_sums"}).out;
  EXPECT_THAT(stopped, HasSubstr("\norder_sums "));
  EXPECT_EQ(stopped.find("\nhoist "), std::string::npos);
}

TEST_F(Cli, CompiledModelsRunAndAreChecked) {
  const std::string model = REFRAIN_SOURCE_DIR "/tests/models/bilstm2_op13/model.onnx",
                    file = folder_ / "compiled";
  const ProcessResult compiled =
      refrain_({"compile", model, "-o", file, "--targets", "all,native"});
  EXPECT_EQ(compiled.exit_code, 0) << compiled.err;
  EXPECT_THAT(compiled.out, AllOf(HasSubstr("written   " + file), HasSubstr("avx2")));
  const std::string inspected = refrain_({"inspect", file}).out;
  EXPECT_THAT(inspected, AllOf(StartsWith("# compiled model, format 1, written by refrain "),
                               HasSubstr("\n# packed for avx2 (vectors of 8): "),
                               HasSubstr("weights are used in place"),
                               HasSubstr("\n# all checksums are right\ngraph @")));
  EXPECT_EQ(refrain_({"run", file, "--backend", "highway", "--random-inputs", "1"}).out,
            refrain_({"run", model, "--backend", "highway", "--random-inputs", "1"}).out);
  EXPECT_EQ(refrain_({"bench", file, "--seconds", "0.01"}).exit_code, 0);

  std::string damaged = read_file(file, 1 << 30);
  damaged[100] = static_cast<char>(damaged[100] ^ 1);
  write_file(file, damaged);
  expect_bad({"inspect", file}, file + ": constant 0 is damaged");
  expect_bad({"run", file, "--backend", "reference", "--random-inputs", "1"}, "is damaged");
  write_file(file, std::string_view(damaged).substr(0, 1000));
  expect_bad({"inspect", file}, file + ": this compiled model is cut off");

  expect_bad({"compile", model, "-o", file, "--targets", "z80"}, "no such target");
  expect_bad({"compile", model, "-o", file, "--stop-after", "hoist"}, "stopped early");
  const ProcessResult nowhere = refrain_({"compile", model, "-o", folder_ / "no/such/folder"});
  EXPECT_EQ(nowhere.exit_code, 2);
  EXPECT_THAT(nowhere.err, HasSubstr("no/such/folder: cannot write the file"));
}

TEST_F(Cli, RunReadsAndWritesNpy) {
  const std::vector<float> zeros(6), state = {0.5F, -0.5F};
  write_file(folder_ / "x=1.npy", npy_encode(Tensor::of<float>({3, 1, 2}, zeros)));
  write_file(folder_ / "h.npy", npy_encode(Tensor::of<float>({1, 2}, state)));
  const std::string out = folder_ / "made/out";
  const ProcessResult result =
      refrain_({"run", model_, "--input", "x=" + (folder_ / "x=1.npy"), "--input",
                "h0=" + (folder_ / "h.npy"), "--output-dir", out});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("y: f32[3, 1, 2]  min "), HasSubstr("written " + out + "/h_n.npy")));
  const float h = std::tanh(std::tanh(std::tanh(0.5F)));
  EXPECT_TRUE(testing::close(npy_decode(read_file(out + "/h_n.npy", 1 << 20)),
                             Tensor::of<float>({1, 2}, std::vector<float>{h, -h}), 1e-6, 0));
  EXPECT_TRUE(fs::exists(out + "/y.npy"));
}

TEST_F(Cli, RunWritesPbForPb) {
  const ValueType type = ValueType::tensor(ElementType::f32, {1, 1, 2});
  const RuntimeValue x = Tensor::of<float>({1, 1, 2}, std::vector<float>{1, 2});
  const RuntimeValue h = Tensor::of<float>({1, 2}, std::vector<float>{0, 0});
  write_value(folder_ / "x", x, type, "x", ValueFormat::pb);
  write_value(folder_ / "h", h, type, "h0", ValueFormat::pb);
  const ProcessResult result =
      refrain_({"run", model_, "--input", "x=" + (folder_ / "x.pb"), "--input",
                "h0=" + (folder_ / "h.pb"), "--output-dir", folder_.path()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const RuntimeValue y = read_value(folder_ / "y.pb", type, 1 << 20);
  EXPECT_TRUE(testing::close(
      *y.tensor, Tensor::of<float>({1, 1, 2}, std::vector<float>{std::tanh(1.F), std::tanh(2.F)}),
      1e-6, 0));
}

TEST_F(Cli, RunWithoutItsInputs) {
  expect_bad({"run", model_}, "inputs missing: x, h0");
  expect_bad({"run", model_}, "h0: f32[B, 2]");
  expect_bad({"run", model_, "--input", "z=z.npy"}, "--input names no input of the model: z=z.npy");
  expect_bad({"run", model_, "--input", "x=z.npy"}, "z.npy: no such file");
  expect_bad({"run", model_, "--input", "x=z.csv"}, "unknown kind of data file");
  write_file(folder_ / "d.npy", npy_encode(Tensor(ElementType::f64, {1, 1, 2})));
  expect_bad({"run", model_, "--random-inputs", "1", "--input", "x=" + (folder_ / "d.npy")},
             "f64[1, 1, 2]");
  const ProcessResult a = refrain_({"run", model_, "--random-inputs", "7"});
  EXPECT_EQ(a.exit_code, 0) << a.err;
  EXPECT_EQ(a.out, refrain_({"run", model_, "--random-inputs", "7"}).out);
  EXPECT_NE(a.out, refrain_({"run", model_, "--random-inputs", "8"}).out);
  const ProcessResult b = refrain_({"run", model_, "--random-inputs", "7", "--shape", "x=4x3x2"});
  EXPECT_EQ(b.exit_code, 0) << b.err;
  EXPECT_THAT(b.out, ::testing::HasSubstr("f32[4, 3, 2]"));
  expect_bad({"run", model_, "--shape", "x=4x3x2"}, "--random-inputs");
  expect_bad({"run", model_, "--random-inputs", "7", "--shape", "x=4x3x5"}, "x");
}

// A decoder of the language ends as it says.
TEST_F(Cli, GenerateEndsAsTheModelDoes) {
  const std::string file = folder_ / "writer.rfn";
  const auto generated = [&](const std::string& end) {
    write_file(file,
               "weights uniform(seed = 1, scale = 1)\ninput source: i64[B, S]\n"
               "cell writer(token, h[4]):\n  h = tanh(W·[h, embedding(token, 9, 2)] + b)\n"
               "  O: linear(h, 9)\noutput text = decode writer start 0 length 6" +
                   end + " from last(embedding(source, 3, 4))\n");
    return refrain_({"generate", file, "--source", "1"}).out;
  };
  const std::string all = generated("");  // digits with spaces between
  ASSERT_EQ(all.size(), 12u) << all;
  EXPECT_EQ(generated(std::string(" until ") + all[0]), "\n");
}

TEST_F(Cli, BenchReports) {
  const ProcessResult result = refrain_({"bench", model_, "--shape", "x=4x3x2", "--seconds", "0.01",
                                         "--against", "naive,onednn", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const nlohmann::json json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["model"], model_);
  EXPECT_EQ(json["threads"], 1);
  EXPECT_EQ(json["shapes"]["x"], nlohmann::json({4, 3, 2}));
  EXPECT_EQ(json["shapes"]["h0"], nlohmann::json({3, 2}));
  EXPECT_GT(json["min_us"], 0);
  EXPECT_GE(json["median_us"], json["min_us"]);
  EXPECT_GT(json["load_us"], 0);
  EXPECT_GT(json["naive_us"], 0);
  EXPECT_GT(json["naive_load_us"], 0);
  EXPECT_GE(json["naive_median_us"], json["naive_us"]);
  EXPECT_TRUE(json["onednn_us"].is_null());
  EXPECT_TRUE(json["onednn_load_us"].is_null());
  EXPECT_THAT(result.err, HasSubstr("no exact oneDNN primitive for this model"));
  EXPECT_FALSE(json["onednn_version"].empty());
  EXPECT_TRUE(json["onnxruntime_us"].is_null());
  EXPECT_EQ(json["roofline_us"], 0);  // no product at all
  EXPECT_GT(json["machine"]["peak_gflops"], 0);
  EXPECT_EQ(json["machine"]["bandwidths"].size(), 7u);

  const ProcessResult step = refrain_({"bench", model_, "--step", "--seconds", "0.01"});
  EXPECT_THAT(step.out, AllOf(HasSubstr("one step"), HasSubstr("  x: f32[1, 1, 2]"),
                              HasSubstr("default   B = 1"), HasSubstr("refrain (auto)")));
  expect_bad({"bench", model_, "--step", "--shape", "x=4x3x2"}, "T is 1 already");
  expect_bad({"bench", model_, "--shape", "x=4x3"}, "wrong shape of input x");
  expect_bad({"bench", model_, "--shape", "x=4x3x2", "--shape", "h0=5x2"}, "B is 3 already");
  for (const char* shape :
       {"x=", "x=4x", "x=x4", "x=-1x2x2", "x=4,3,2", "x=99999999999999999999x1x2"}) {
    expect_bad({"bench", model_, "--shape", shape}, "hape");
  }
  expect_bad({"bench", model_, "--shape", "q=4"}, "--shape names no input");
  expect_bad({"bench", model_, "--shape", "x=1000000x1000000x2"}, "memory");
}

// A case folder with one node, y = op(x), for x = (1, 2).
class Verify : public Cli {
 protected:
  std::string make_case(const std::string& name, const std::string& op, const Tensor& y) {
    const std::string path = folder_ / name;
    fs::create_directories(path + "/test_data_set_0");
    write_file(path + "/model.onnx", one_node_model(op));
    write_tensor(path + "/test_data_set_0/input_0",
                 Tensor::of<float>({2}, std::vector<float>{1, 2}));
    write_tensor(path + "/test_data_set_0/output_0", y);
    return path;
  }

  static void write_tensor(const std::string& stem, const Tensor& tensor) {
    const ValueType type = ValueType::tensor(tensor.type(), Shape::of_extents(tensor.extents()));
    write_value(stem, tensor.clone(), type, "", ValueFormat::pb);
  }

  static std::string one_node_model(const std::string& op) {
    onnx::ModelProto model;
    model.set_ir_version(8);
    model.add_opset_import()->set_version(15);
    onnx::GraphProto& graph = *model.mutable_graph();
    graph.set_name("g");
    onnx::NodeProto& node = *graph.add_node();
    node.set_op_type(op);
    node.add_input("x");
    node.add_output("y");
    for (onnx::ValueInfoProto* value : {graph.add_input(), graph.add_output()}) {
      value->set_name(value == &graph.input(0) ? "x" : "y");
      auto& type = *value->mutable_type()->mutable_tensor_type();
      type.set_elem_type(onnx::TensorProto::FLOAT);
      type.mutable_shape()->add_dim()->set_dim_param("N");
    }
    return model.SerializeAsString();
  }

  static Tensor floats(std::vector<float> values) {
    return Tensor::of<float>({static_cast<int64_t>(values.size())}, values);
  }
};

TEST_F(Verify, OneLineACaseAndTheTotals) {
  const std::string good = make_case("good", "Neg", floats({-1, -2}));
  const std::string bad = make_case("bad", "Neg", floats({-1, -2.5F}));
  const std::string unknown = make_case("unknown", "NoSuchOp", floats({-1, -2}));
  const ProcessResult result = refrain_({"verify", good + "/", bad, unknown});
  EXPECT_EQ(result.exit_code, 1);
  std::istringstream lines(result.out);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "ok good max_abs=0 max_rel=0");
  std::getline(lines, line);
  EXPECT_THAT(line,
              AllOf(StartsWith("FAIL bad: "), HasSubstr("worst at [1]: expected -2.5, found -2")));
  std::getline(lines, line);
  EXPECT_THAT(line, AllOf(StartsWith("unsupported unknown: "), HasSubstr("NoSuchOp")));
  std::getline(lines, line);
  EXPECT_EQ(line, "1 passed, 1 failed, 1 skipped");
  EXPECT_FALSE(std::getline(lines, line));
  EXPECT_EQ(refrain_({"verify", good, unknown}).exit_code, 0);
}

TEST_F(Verify, Tolerance) {
  const std::string near = make_case("near", "Neg", floats({-1, -2.001F}));
  EXPECT_EQ(refrain_({"verify", near}).exit_code, 1);
  EXPECT_EQ(refrain_({"verify", near, "--rtol", "1e-2"}).exit_code, 0);
  EXPECT_EQ(refrain_({"verify", near, "--rtol", "0", "--atol", "0.002"}).exit_code, 0);
  EXPECT_EQ(refrain_({"verify", near, "--rtol", "0", "--atol", "0.0005"}).exit_code, 1);
}

TEST_F(Verify, NanAndInfinity) {
  const std::string path = make_case("log", "Log", floats({NAN, -HUGE_VALF}));
  write_tensor(path + "/test_data_set_0/input_0", floats({-1, 0}));
  EXPECT_EQ(refrain_({"verify", path}).exit_code, 0);
  write_tensor(path + "/test_data_set_0/output_0", floats({NAN, HUGE_VALF}));
  EXPECT_EQ(refrain_({"verify", path}).exit_code, 1);
  write_tensor(path + "/test_data_set_0/output_0", floats({0, -HUGE_VALF}));
  EXPECT_THAT(refrain_({"verify", path}).out, HasSubstr("expected 0, found nan"));
}

TEST_F(Verify, WhatIsMissingOrTooMuchFails) {
  const auto why = [&](const std::string& path, const std::string& expected) {
    const ProcessResult result = refrain_({"verify", path});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.out, AllOf(StartsWith("FAIL "), HasSubstr(expected),
                                  EndsWith("0 passed, 1 failed, 0 skipped\n")));
  };
  why(folder_ / "nowhere", "no such folder");
  fs::create_directories(folder_ / "hollow");
  why(folder_ / "hollow", "no model.onnx and no hollow.rfn");
  const std::string path = make_case("case", "Neg", floats({-1, -2}));
  write_tensor(path + "/test_data_set_0/output_0", floats({-1, -2, -3}));
  why(path, "expected f32[3], found f32[2]");
  write_tensor(path + "/test_data_set_0/output_0", Tensor(ElementType::f64, {2}));
  why(path, "expected f64[2], found f32[2]");
  write_tensor(path + "/test_data_set_0/output_1", floats({1}));
  why(path, "wrong files output_I.pb");
  fs::remove(path + "/test_data_set_0/output_1.pb");
  fs::remove(path + "/test_data_set_0/input_0.pb");
  why(path, "wrong files input_I.pb");
  write_file(path + "/test_data_set_0/input_0.pb", "noise \xff\xff");
  why(path, "input_0.pb");
  fs::remove_all(path + "/test_data_set_0");
  why(path, "no test_data_set_K");
  write_file(path + "/model.onnx", "noise");
  why(path, "model.onnx");
}

TEST_F(Verify, EveryDataSetCounts) {
  const std::string path = make_case("case", "Neg", floats({-1, -2}));
  for (const char* set : {"/test_data_set_2", "/test_data_set_10"}) {
    fs::copy(path + "/test_data_set_0", path + set);
  }
  EXPECT_EQ(refrain_({"verify", path}).exit_code, 0);
  write_tensor(path + "/test_data_set_10/output_0", floats({0, 0}));
  EXPECT_THAT(refrain_({"verify", path}).out,
              HasSubstr("FAIL case: test_data_set_10: output 0 (y)"));
}

// y of one step is x of the next: x, -x, x, ...; the files' own x of later steps is wrong on
// purpose.
TEST_F(Verify, SequencesCarryState) {
  const std::string path = make_case("case", "Neg", floats({-1, -2}));
  write_file(path + "/sequence.json", R"({"state_in": "x", "state_out": ["y"], "steps": 3})");
  for (int step = 0; step < 3; ++step) {
    const std::string at = path + "/sequence/step_00" + std::to_string(step);
    fs::create_directories(at);
    write_tensor(at + "/input_0", step == 0 ? floats({5, 6}) : floats({0, 0}));
    write_tensor(at + "/output_0", step % 2 == 0 ? floats({-5, -6}) : floats({5, 6}));
  }
  EXPECT_EQ(refrain_({"verify", path}).exit_code, 0) << refrain_({"verify", path}).out;
  write_tensor(path + "/sequence/step_002/output_0", floats({5, 6}));
  EXPECT_THAT(refrain_({"verify", path}).out, HasSubstr("step_002: output 0 (y)"));
  fs::remove_all(path + "/sequence/step_002");
  EXPECT_THAT(refrain_({"verify", path}).out, HasSubstr("expected 3, found 2"));
  write_file(path + "/sequence.json", R"({"state_in": "z", "state_out": "y"})");
  EXPECT_THAT(refrain_({"verify", path}).out, HasSubstr("the model has no input \"z\""));
  write_file(path + "/sequence.json", "[");
  EXPECT_THAT(refrain_({"verify", path}).out, HasSubstr("not JSON"));
}

}  // namespace
}  // namespace refrain
