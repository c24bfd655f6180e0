// Compiled models: written, mapped, run, and refused if anything about them is wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "artifact_generated.h"
#include "backends/weights/checksum.h"
#include "frontend/artifact/format.h"
#include "frontend/artifact/reader.h"
#include "frontend/artifact/writer.h"
#include "frontend/driver/executable.h"
#include "frontend/driver/model.h"
#include "frontend/io/file.h"
#include "ir/clone.h"
#include "ir/error.h"
#include "ir/text.h"
#include "support/prepared.h"

namespace refrain::artifact {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr const char* kModel = R"(
graph @lstm (%x: f32[T, B, 19], %h0: f32[B, 24], %c0: f32[B, 24]) {
  %w = $f32[19, 96]
  %xw = matmul(%x, %w) : f32[T, B, 96]
  %h, %c, %y = scan state(%s = %h0: f32[B, 24], %m = %c0: f32[B, 24])
      scanned(%g = %xw[0]: f32[B, 96]) stacked([0]) {
    %r = $f32[24, 96]
    %b = $f32[96]
    %sr = matmul(%s, %r) : f32[B, 96]
    %gr = add(%g, %sr) : f32[B, 96]
    %gb = add(%gr, %b) : f32[B, 96]
    %i0, %f0, %o0, %n0 = split(%gb) {axis = 1}
        : f32[B, 24], f32[B, 24], f32[B, 24], f32[B, 24]
    %i = sigmoid(%i0) : f32[B, 24]
    %f = sigmoid(%f0) : f32[B, 24]
    %o = sigmoid(%o0) : f32[B, 24]
    %n = tanh(%n0) : f32[B, 24]
    %fm = mul(%f, %m) : f32[B, 24]
    %in = mul(%i, %n) : f32[B, 24]
    %next = add(%fm, %in) : f32[B, 24]
    %t = tanh(%next) : f32[B, 24]
    %next_h = mul(%o, %t) : f32[B, 24]
    yield %next_h, %next, %next_h
  } : f32[B, 24], f32[B, 24], f32[T, B, 24]
  %table = $f32[24, 24]
  %last = gather(%table, %k) {axis = 0} : f32[B, 24]
  %sum = add(%h, %last) : f32[B, 24]
  yield "y" = %y, "h" = %sum, "c" = %c
}
)";

std::unique_ptr<Graph> model() {
  testing::Random random(3);
  std::string text = kModel;
  text.replace(text.find(") {"), 1, ", %k: i64[B])");
  std::unique_ptr<Graph> graph = parse(testing::with_constants(text, random));
  optimize(*graph);
  return graph;
}

std::vector<RuntimeValue> inputs(int64_t steps, int64_t rows) {
  testing::Random random(4);
  std::vector<RuntimeValue> values;
  for (const std::vector<int64_t>& extents :
       {std::vector<int64_t>{steps, rows, 19}, {rows, 24}, {rows, 24}}) {
    values.emplace_back(random.tensor(ElementType::f32, extents, -1, 1));
  }
  values.emplace_back(random.tensor(ElementType::i64, {rows}, 0, 20));
  return values;
}

ExecutableOptions options_with(std::shared_ptr<WeightStore> weights) {
  return {.backend = Backend::highway, .weights = std::move(weights)};
}

void expect_same(const std::vector<RuntimeValue>& actual,
                 const std::vector<RuntimeValue>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_TRUE(identical(*actual[i].tensor, *expected[i].tensor)) << "output " << i;
  }
}

void write(const std::string& path, const Graph& graph, const std::vector<Target>& targets) {
  const std::shared_ptr<WeightStore> weights = constants_of(graph);
  for (const int64_t steps : {1, 10}) prepare(graph, inputs(steps, 1), options_with(weights));
  write_artifact(path, graph, *weights, targets, "artifact_test");
}

// Bytes of their own size exactly, so that a sanitizer sees every access beyond them.
Bytes copy_of(std::string_view bytes) {
  const std::shared_ptr<char> copy(
      static_cast<char*>(std::aligned_alloc(64, (bytes.size() + 63) / 64 * 64)), &std::free);
  std::memcpy(copy.get(), bytes.data(), bytes.size());
  return {copy, bytes.size()};
}

std::string refusal(std::string_view bytes) {
  try {
    read_artifact(copy_of(bytes), "m.refrain");
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("m.refrain"));
    return error.what();
  }
  return "";
}

Header header_of(const std::string& bytes) {
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  return header;
}

// Makes the checksums right again.
void seal(std::string& bytes, Header header) {
  if (header.metadata_offset <= bytes.size() &&
      header.metadata_bytes <= bytes.size() - header.metadata_offset) {
    header.metadata_checksum =
        checksum(bytes.data() + header.metadata_offset, header.metadata_bytes);
  }
  header.header_checksum = checksum(&header, offsetof(Header, header_checksum));
  std::memcpy(bytes.data(), &header, sizeof header);
}
void seal(std::string& bytes) { seal(bytes, header_of(bytes)); }

class ArtifactFile : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::string(REFRAIN_BINARY_DIR) + "/artifact_test/" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    path_ = folder_ + "/m.refrain";
    graph_ = model();
    write(path_, *graph_, {native_target()});
    bytes_ = read_file(path_, 1 << 30);
  }

  std::string folder_, path_, bytes_;
  std::unique_ptr<Graph> graph_;
};

TEST_F(ArtifactFile, RunsAsTheGraphThatItWasMadeOf) {
  LoadedModel loaded = load_model(path_);
  ASSERT_TRUE(loaded.compiled && loaded.weights);
  EXPECT_EQ(print(*loaded.graph), print(*graph_));
  EXPECT_EQ(loaded.compiled->producer, "artifact_test");
  EXPECT_EQ(loaded.compiled->version, kFormatVersion);
  EXPECT_EQ(loaded.compiled->file_bytes, static_cast<int64_t>(bytes_.size()));
  EXPECT_GT(loaded.compiled->constant_bytes, (19 + 24) * 96 * 4);
  EXPECT_NO_THROW(loaded.weights->check_all());
  const std::shared_ptr<WeightStore> weights = loaded.weights;
  const Executable executable(std::move(loaded.graph), options_with(weights));
  loaded = {};
  for (const auto& [steps, rows] : {std::pair{1, 1}, {10, 1}, {7, 3}}) {
    const std::vector<RuntimeValue> values = inputs(steps, rows);
    expect_same(executable.run(values),
                Executable(clone_graph(*graph_), options_with(nullptr)).run(values));
  }
  EXPECT_GT(weights->statistics().served_bytes, (19 + 24) * 96 * 4 - 1);
  EXPECT_EQ(weights->statistics().packed_bytes, 0);
}

TEST_F(ArtifactFile, ConstantsLieInTheFile) {
  const Artifact loaded = read_artifact(copy_of(bytes_), path_);
  for (const Node* node = loaded.graph->body().first(); node; node = node->next()) {
    if (node->op() != Op::constant) continue;
    const auto& tensor = node->attribute<TensorPtr>(AttributeName::value);
    if (tensor->bytes() < 1024) continue;
    EXPECT_TRUE(loaded.weights->find(tensor->raw(), static_cast<size_t>(tensor->bytes())));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor->raw()) % 64, 0u);
  }
}

TEST_F(ArtifactFile, OutlivesItsFileAndEverythingElse) {
  LoadedModel loaded = load_model(path_);
  const std::unique_ptr<Program> program =
      prepare(*loaded.graph, inputs(5, 2), options_with(loaded.weights)).program;
  loaded = {};
  std::ofstream(folder_ + "/other", std::ios::binary) << "something else";
  std::filesystem::rename(folder_ + "/other", path_);
  int64_t iterations = 0;
  expect_same(program->run(inputs(5, 2), iterations),
              Executable(std::move(graph_), options_with(nullptr)).run(inputs(5, 2)));
}

TEST_F(ArtifactFile, EqualModelsGiveEqualFiles) {
  write(folder_ + "/again", *model(), {native_target()});
  EXPECT_TRUE(read_file(folder_ + "/again", 1 << 30) == bytes_);
  // What was read writes what it was read from.
  write(folder_ + "/copy", *load_model(path_).graph, {native_target()});
  EXPECT_TRUE(read_file(folder_ + "/copy", 1 << 30) == bytes_);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 3);
}

TEST_F(ArtifactFile, OtherProcessorsPackForThemselves) {
  Target other = parse_targets("avx2")[0];
  if (native_target().lanes == other.lanes) other = parse_targets("avx3")[0];
  write(path_, *graph_, {other});
  LoadedModel loaded = load_model(path_);
  ASSERT_EQ(loaded.compiled->packed.size(), 1u);
  EXPECT_EQ(loaded.compiled->packed[0].lanes, other.lanes);
  const std::shared_ptr<WeightStore> weights = loaded.weights;
  const Executable executable(std::move(loaded.graph), options_with(weights));
  expect_same(executable.run(inputs(4, 1)),
              Executable(std::move(graph_), options_with(nullptr)).run(inputs(4, 1)));
  EXPECT_EQ(weights->statistics().served_bytes, 0);
  EXPECT_GT(weights->statistics().packed_bytes, 0);
}

TEST_F(ArtifactFile, AllTargetsArePackedOnceForEachSizeOfVectors) {
  write(path_, *graph_, parse_targets("all,native"));
  const Info info = *load_model(path_).compiled;
  ASSERT_EQ(info.packed.size(), 3u);
  EXPECT_GE(info.targets.size(), 4u);
  EXPECT_THROW(parse_targets("avx9"), Error);
  EXPECT_THROW(parse_targets(""), Error);
}

TEST_F(ArtifactFile, EveryPrefixIsRefused) {
  const uint64_t metadata = header_of(bytes_).metadata_offset;
  for (size_t size = 0; size < bytes_.size();
       size +=
       size < 200 || size + 200 > bytes_.size() || (size > metadata && size % 7 == 0) ? 1 : 37) {
    ASSERT_THAT(refusal(std::string_view(bytes_).substr(0, size)),
                AnyOf(HasSubstr("not a compiled model"), HasSubstr("cut off")))
        << size;
  }
  EXPECT_THAT(refusal(bytes_ + "x"), HasSubstr("something behind its end"));
}

TEST_F(ArtifactFile, EveryBitOfHeaderAndMetadataCounts) {
  const Header header = header_of(bytes_);
  const auto flip_all = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string damaged = bytes_;
        damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
        ASSERT_NE(refusal(damaged), "") << "byte " << i << ", bit " << bit;
      }
    }
  };
  flip_all(0, sizeof(Header));
  flip_all(header.metadata_offset, header.metadata_offset + header.metadata_bytes);
}

// Whoever makes a file can make its checksums: it is refused, or a graph that is as valid as any.
TEST_F(ArtifactFile, SealedNonsenseIsRefusedOrValid) {
  const Header header = header_of(bytes_);
  std::mt19937 random(5);
  size_t refused = 0;
  for (size_t i = 0; i < header.metadata_bytes; ++i) {
    std::string changed = bytes_;
    for (int k = static_cast<int>(random() % 3); k >= 0; --k) {
      const size_t at = header.metadata_offset + (k == 0 ? i : random() % header.metadata_bytes);
      changed[at] = static_cast<char>(random());
    }
    seal(changed);
    try {
      const Artifact loaded = read_artifact(copy_of(changed), "m.refrain");
      loaded.weights->check_all();
      if (i % 16 == 0) prepare(*loaded.graph, inputs(2, 1), options_with(loaded.weights));
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, header.metadata_bytes / 2);
}

TEST_F(ArtifactFile, DamagedBlobsAreRefusedWhenTheyAreUsed) {
  const Header header = header_of(bytes_);
  const auto* const metadata = metadata::GetModel(bytes_.data() + header.metadata_offset);
  const auto damage = [&](uint64_t at) {
    std::string damaged = bytes_;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    return damaged;
  };
  const auto check = [&](uint64_t offset, uint64_t bytes, bool used) {
    for (const uint64_t at : {offset, offset + bytes / 3, offset + bytes - 1}) {
      const Artifact loaded = read_artifact(copy_of(damage(at)), "m.refrain");
      EXPECT_THROW(loaded.weights->check_all(), Error);
      const Artifact again = read_artifact(copy_of(damage(at)), "m.refrain");
      bool refused = false;
      for (const int64_t steps : {1, 10}) {
        try {
          prepare(*again.graph, inputs(steps, 1), options_with(again.weights));
        } catch (const Error& error) {
          EXPECT_THAT(error.what(), HasSubstr("damaged"));
          refused = true;
        }
      }
      if (used) {
        EXPECT_TRUE(refused) << "byte " << at;
      }
      // The reference backend reads everything.
      const Artifact once_more = read_artifact(copy_of(damage(at)), "m.refrain");
      const Executable reference(clone_graph(*once_more.graph),
                                 {.backend = Backend::reference, .weights = once_more.weights});
      EXPECT_THROW(reference.run(inputs(2, 1)), Error);
    }
  };
  // The table is read as it is; of the others, what is packed.
  int64_t tables = 0;
  for (const metadata::Constant* constant : *metadata->constants()) {
    const bool table = constant->bytes() == 24 * 24 * 4;
    tables += table;
    check(constant->offset(), constant->bytes(), table);
  }
  EXPECT_EQ(tables, 1);
  ASSERT_GT(metadata->packed()->size(), 1u);
  for (const metadata::Packed* packed : *metadata->packed()) {
    check(packed->offset(), packed->bytes(), true);
  }
}

TEST_F(ArtifactFile, SaysWhatIsWrong) {
  EXPECT_THAT(refusal(""), HasSubstr("not a compiled model"));
  EXPECT_THAT(refusal("graph @g () { yield }"), HasSubstr("not a compiled model"));
  std::string changed = bytes_;
  Header header = header_of(bytes_);
  header.version = 2;
  seal(changed, header);
  EXPECT_THAT(refusal(changed), AllOf(HasSubstr("version 1"), HasSubstr("found version 2")));
  changed = bytes_;
  header = header_of(bytes_);
  header.metadata_bytes = ~uint64_t{0};
  seal(changed, header);
  EXPECT_THAT(refusal(changed), HasSubstr("the place of the metadata"));
  changed = bytes_;
  header = header_of(bytes_);
  header.metadata_offset += 4;
  seal(changed, header);
  EXPECT_THAT(refusal(changed), HasSubstr("the place of the metadata"));
  EXPECT_THROW(load_model(folder_), Error);
}

// A file of this metadata and `blob` bytes before it.
std::string file_of(const std::function<void(metadata::ModelT&)>& change, size_t blob = 4096) {
  metadata::ModelT model;
  model.producer = "test";
  model.graph =
      "graph @g (%x: f32[1024]) { %w = constant f32[1024] blob(0) "
      "%y = add(%x, %w) : f32[1024] yield \"y\" = %y }";
  const std::string zeros(blob, '\0');
  auto constant = std::make_unique<metadata::ConstantT>();
  constant->offset = sizeof(Header);
  constant->bytes = blob;
  constant->checksum = checksum(zeros.data(), blob);
  model.constants.push_back(std::move(constant));
  change(model);
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(metadata::Model::Pack(builder, &model));
  Header header{};
  std::ranges::copy(kMagic, header.magic);
  header.version = kFormatVersion;
  header.header_bytes = sizeof header;
  header.metadata_offset = sizeof header + blob;
  header.metadata_bytes = builder.GetSize();
  header.file_bytes = header.metadata_offset + header.metadata_bytes;
  std::string bytes(sizeof header, '\0');
  const void* const start = builder.GetBufferPointer();
  bytes += zeros + std::string(static_cast<const char*>(start), builder.GetSize());
  seal(bytes, header);
  return bytes;
}

TEST(HostileArtifact, IsRefusedWithTheReason) {
  EXPECT_EQ(refusal(file_of([](metadata::ModelT&) {})), "");
  const auto expect = [](const char* message, const auto& change) {
    EXPECT_THAT(refusal(file_of(change)), HasSubstr(message));
  };
  using metadata::ModelT;
  const auto add_packed = [](ModelT& m) -> metadata::PackedT& {
    m.packed.push_back(std::make_unique<metadata::PackedT>());
    m.packed[0]->key = {1, 8, 3};
    m.packed[0]->offset = 64;
    m.packed[0]->bytes = 4096;
    return *m.packed[0];
  };
  expect("the place of a constant", [](ModelT& m) { m.constants[0]->offset = 65; });
  expect("the place of a constant", [](ModelT& m) { m.constants[0]->offset = uint64_t{1} << 63; });
  expect("the place of a constant", [](ModelT& m) { m.constants[0]->bytes = ~uint64_t{0}; });
  expect("each at a place of its own", [](ModelT& m) { m.constants[0]->bytes = 0; });
  expect("each at a place of its own", [](ModelT& m) {
    m.constants.push_back(std::make_unique<metadata::ConstantT>(*m.constants[0]));
  });
  expect("the size of constant 0", [](ModelT& m) { m.constants[0]->bytes = 4092; });
  expect("no such constant",
         [](ModelT& m) { m.graph.replace(m.graph.find("blob(0"), 6, "blob(1"); });
  expect("no such constant",
         [](ModelT& m) { m.graph.replace(m.graph.find("blob(0"), 6, "blob(-1"); });
  expect("the type of constant 0", [](ModelT& m) {
    m.graph = "graph @g () { %w = constant bool[4096] blob(0) yield \"y\" = %w }";
  });
  expect("is two things", [](ModelT& m) {
    m.graph =
        "graph @g () { %w = constant f32[1024] blob(0) %v = constant f32[32, 32] blob(0) "
        "yield \"y\" = %w, \"z\" = %v }";
  });
  expect("unknown op", [](ModelT& m) { m.graph.replace(m.graph.find("add"), 3, "odd"); });
  expect("result 0 has the wrong type",
         [](ModelT& m) { m.graph.replace(m.graph.find(": f32[1024] yield"), 11, ": f32[1023]"); });
  expect("nested too deeply", [](ModelT& m) {
    std::string deep = "graph @g (%c: bool[]) { ";
    for (int i = 0; i < 100; ++i) deep += "%b = branch(%c) then(%c = %c: bool[]) { ";
    m.graph = deep;
  });
  expect("the place of packed weights", [&](ModelT& m) { add_packed(m).offset = 1; });
  expect("the place of packed weights", [&](ModelT& m) { add_packed(m).bytes = 1 << 20; });
  expect("packed weights", [&](ModelT& m) { add_packed(m).bytes = 4095; });
  expect("packed weights", [&](ModelT& m) { add_packed(m).key = {1}; });
  EXPECT_EQ(refusal(file_of([&](ModelT& m) { add_packed(m); })), "");
}

}  // namespace
}  // namespace refrain::artifact
