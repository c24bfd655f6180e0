// The examples of docs/language.md and of the README are what the language takes, and the message
// shown there is the one that is given.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "frontend/io/file.h"
#include "support/equations.h"

namespace refrain {
namespace {

using Lines = std::vector<std::string>;

// The indented blocks of a page, without their indentation. Blank lines inside belong to them.
std::vector<Lines> blocks_of(const std::string& page) {
  std::ifstream file(std::string(REFRAIN_SOURCE_DIR) + "/" + page);
  std::vector<Lines> blocks;
  Lines block;
  bool list = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("    ") && !list) {
      block.push_back(line.substr(4));
    } else if (line.empty()) {
      if (!block.empty()) block.emplace_back();
    } else {
      list = line.starts_with("- ") || (list && line.starts_with("  "));
      while (!block.empty() && block.back().empty()) block.pop_back();
      if (!block.empty()) blocks.push_back(std::move(block));
      block.clear();
    }
  }
  if (!block.empty()) blocks.push_back(std::move(block));
  return blocks;
}

std::string joined(const Lines& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// Files of weights are replaced by random ones.
std::string with_random_weights(std::string text) {
  const size_t at = text.find("weights \"mgu.safetensors\"");
  if (at != std::string::npos)
    text.replace(at, text.find('\n', at) - at, "weights uniform(seed = 1)");
  return text;
}

using Shapes = std::map<std::string, std::vector<int64_t>>;

void expect_loads(const std::string& text, const Shapes& shapes = {}) {
  testing::TemporaryFolder folder;
  testing::NamedTensors weights;
  for (const auto& [name, extents] : shapes)
    weights.push_back(testing::named(name, Tensor(ElementType::f32, extents)));
  write_file(folder / "net.safetensors", safetensors_encode(weights));
  try {
    equations::load("test.rfn", text, {.folder = folder.path()});
  } catch (const Error& error) {
    ADD_FAILURE() << error.what() << "\n" << text;
  }
}

const std::string kWeights = "weights uniform(seed = 1)\n";
const std::string kMgu =
    "input x: f32[T, B, 28]\n"
    "cell mgu(x, h[64]):\n"
    "  f  = sigmoid(W_f·[h, x] + b_f)\n"
    "  h~ = tanh(W·[f*h, x] + b)\n"
    "  h  = (1 - f)*h + f*h~\n";

// Of what a block is an example: all together, each line, or each line of the last paragraph.
enum class Examples { whole, lines, last_lines };

// What a block of the page needs before it and after it.
struct Around {
  Examples examples = Examples::whole;
  std::string before, after;
  Shapes weights = {};  // of a file, where the equations leave shapes open
};

const std::map<std::string, Around>& examples() {
  static const std::map<std::string, Around> table = {
      {"# mgu.rfn: a minimal gated unit that reads rows of an image", {}},
      {"const H = 2*32                    # a number, or a tuple of numbers",
       {Examples::whole, "", "output z = x + H\n"}},
      {"param W: f32[H, 2*H]              # declared, in a cell or outside",
       {Examples::lines, "const H = 3\ninput x: f32[T, B, 3]\n", "output y = x\n"}},
      {"cell peephole(x, h[H], c[H]):",
       {Examples::whole, kWeights + "const H = 2\ninput x: f32[T, B, 3]\n",
        "  h = W_i·x + W_f·x + W_g·x + W_o·x\n  c = c\noutput y = last(x)\n"}},
      {"cell elman(x, h[H]):",
       {Examples::whole,
        "weights \"net.safetensors\"\nconst H = 2\ninput x: f32[T, B, 3]\n",
        "y = scan elman over x\noutput y\n",
        {{"elman.W_xh", {2, 3}},
         {"elman.W_hh", {2, 2}},
         {"elman.b", {2}},
         {"elman.W_hy", {5, 2}},
         {"elman.b_y", {5}}}}},
      {"y = scan mgu over x                              # the output of every step",
       {Examples::lines, "input n: i64[B]\ninput h0: f32[B, 64]\ninput c0: f32[B, 64]\n" + kMgu,
        "output y\n"}},
      {"cell align((x, m), h[H]):                        # two sequences, scanned together",
       {Examples::whole, kWeights + "const H = 2\ninput x: f32[T, B, 3]\ninput mask: f32[T, B]\n",
        "output y\n"}},
      {"cell decoder(x, s[H]) given memory:",
       {Examples::whole,
        "weights \"net.safetensors\"\nconst H = 4\ninput source: f32[S, B, 3]\n"
        "input target: f32[T, B, 3]\n",
        "output y\noutput steps = weights\n",
        {{"gru.weight_ih_l0", {12, 3}},
         {"gru.weight_hh_l0", {12, 4}},
         {"gru.bias_ih_l0", {12}},
         {"gru.bias_hh_l0", {12}},
         {"decoder.W_s", {6, 4}},
         {"decoder.W_m", {6, 4}},
         {"decoder.v", {6}},
         {"decoder.W", {4, 11}},
         {"decoder.b", {4}},
         {"decoder.W_y", {2, 4}},
         {"decoder.b_y", {2}}}}},
      {"cell rotation(x, a[H], b[H]):",
       {Examples::whole, kWeights + "const H = 4\ninput x: f32[T, B, H]\n",
        "output y = scan rotation over x\n"}},
      {"cell writer(token, h[H]):",
       {Examples::last_lines, "const H = 4\ninput s_0: f32[B, H]\n", "output text\n"}},
      {"hidden = relu(linear(relu(linear(x, 32)), 32))",
       {Examples::whole, kWeights + "input x: f32[T, B, 28]\n", ""}},
  };
  return table;
}

// Not of the language: the grammar, a form, a message.
bool is_other(const std::string& first) {
  for (const char* begin : {"file      =", "expression = sum", "cell NAME(", "mgu.rfn:8:8"}) {
    if (first.starts_with(begin)) return true;
  }
  return false;
}

TEST(EquationsDocs, ExamplesLoad) {
  size_t known = 0;
  for (const Lines& block : blocks_of("docs/language.md")) {
    if (is_other(block[0])) continue;
    const auto entry = examples().find(block[0]);
    if (entry == examples().end()) {
      ADD_FAILURE() << "an example that this test doesn't know:\n" << joined(block);
      continue;
    }
    ++known;
    const Around& around = entry->second;
    if (around.examples == Examples::whole) {
      expect_loads(around.before + with_random_weights(joined(block)) + around.after,
                   around.weights);
      continue;
    }
    const auto blank = std::find(block.rbegin(), block.rend(), "").base();
    const auto first = around.examples == Examples::lines ? block.begin() : blank;
    const std::string before = around.before + joined(Lines(block.begin(), first));
    for (auto line = first; line != block.end(); ++line) {
      if (line->empty()) continue;
      const std::string head = line->starts_with("weights") ? "" : kWeights;
      expect_loads(head + before + *line + "\n" + around.after);
    }
  }
  EXPECT_EQ(known, examples().size());
}

// The functions' table: what stands in the first column is there.
TEST(EquationsDocs, FunctionsExist) {
  std::ifstream file(std::string(REFRAIN_SOURCE_DIR) + "/docs/language.md");
  size_t functions = 0;
  bool table = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("| function |")) table = true;
    if (!table || !line.starts_with("| `")) continue;
    const std::string column = line.substr(0, line.find(" | "));
    for (size_t at = 0; (at = column.find('`', at)) != std::string::npos;) {
      const size_t end = column.find('`', at + 1);
      const std::string call = column.substr(at + 1, end - at - 1);
      const std::string name = call.substr(0, call.find('('));
      EXPECT_THAT(testing::equations_error("input q: f32[T, B, 3]\noutput y = " + name + "()\n"),
                  ::testing::Not(::testing::HasSubstr("unknown function")))
          << name;
      ++functions;
      at = end + 1;
    }
  }
  EXPECT_GE(functions, 45u);
}

TEST(EquationsDocs, TheMessageIsTheOneThatIsGiven) {
  std::string model, message;
  for (const Lines& block : blocks_of("docs/language.md")) {
    if (block[0].starts_with("# mgu.rfn")) model = joined(block);
    if (block[0].starts_with("mgu.rfn:8:8")) message = joined(block);
  }
  model.replace(model.find("sigmoid"), 7, "sigmod");
  try {
    equations::load("mgu.rfn", with_random_weights(model));
    FAIL() << "no error";
  } catch (const equations::TextError& error) {
    std::string found = error.what();
    if (!found.ends_with("\n")) found += "\n";
    EXPECT_EQ(found, message);
  }
}

TEST(EquationsDocs, TheReadmesModelLoads) {
  for (const Lines& block : blocks_of("README.md")) {
    if (!block[0].starts_with("weights uniform")) continue;
    expect_loads(joined(block));
    std::ifstream file(std::string(REFRAIN_SOURCE_DIR) + "/examples/mgu.rfn");
    std::stringstream text;
    text << file.rdbuf();
    EXPECT_THAT(text.str(), ::testing::HasSubstr(joined(block)));
    return;
  }
  FAIL() << "no model";
}

}  // namespace
}  // namespace refrain
