// Files of weights: what Python writes, what we write, and what is neither.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <random>
#include <string>

#include "frontend/io/file.h"
#include "frontend/io/npy.h"
#include "frontend/weights/weight_file.h"
#include "ir/error.h"
#include "support/compare.h"
#include "support/random.h"
#include "support/tensors.h"

namespace refrain {
namespace {

using ::testing::ElementsAre;
using testing::equal;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using testing::tensor_of;

constexpr int64_t kFolderLimit = 1 << 20;

std::string path_of(const std::string& name) {
  return std::string(REFRAIN_SOURCE_DIR) + "/tests/weights/" + name;
}

std::string bytes_of(const std::string& name) { return read_file(path_of(name), kFolderLimit); }

std::string error_of(std::string_view bytes, int64_t max_bytes = kFolderLimit) {
  try {
    WeightFile::decode(bytes, max_bytes);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string little_endian(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 255);
  return out;
}

std::string safetensors(const std::string& header, size_t data_bytes) {
  return little_endian(header.size(), 8) + header + std::string(data_bytes, '\1');
}

// One tensor of two F32.
std::string entry(const std::string& name, int begin = 0, int end = 8) {
  return "\"" + name + R"(":{"dtype":"F32","shape":[2],"data_offsets":[)" + std::to_string(begin) +
         "," + std::to_string(end) + "]}";
}

void expect_fixture(const WeightFile& file) {
  const auto expect = [&](const char* name, ElementType type, std::vector<int64_t> extents,
                          std::vector<double> values) {
    ASSERT_TRUE(file.find(name)) << name;
    EXPECT_TRUE(equal(*file.find(name), tensor_of(type, std::move(extents), std::move(values))))
        << name;
  };
  expect("lstm.weight_ih_l0", ElementType::f32, {2, 3}, {0, 0.25, 0.5, 0.75, 1, 1.25});
  expect("steps", ElementType::i64, {}, {-7});
  expect("half", ElementType::f16, {2}, {1.5, -2});
  expect("wide", ElementType::f64, {2, 1}, {0.1, 1e300});
  expect("empty", ElementType::u16, {3, 0}, {});
  expect("Gewichte \u03b1", ElementType::i8, {3}, {1, -1, 127});
  expect("mask", ElementType::boolean, {3}, {1, 0, 1});
  EXPECT_FALSE(file.find("lstm.weight_ih_l"));
}

TEST(Weights, ReadsWhatPythonWrites) {
  const WeightFile file = WeightFile::open(path_of("python.safetensors"));
  expect_fixture(file);
  EXPECT_THAT(file.names(), ElementsAre("lstm.weight_ih_l0", "steps", "half", "wide", "empty",
                                        "Gewichte \u03b1", "mask"));
  EXPECT_THAT(file.metadata(), ElementsAre(Pair("format", "pt"), Pair("order", "i f g o")));
}

TEST(Weights, ReadsWhatNumpyWrites) {
  const WeightFile stored = WeightFile::open(path_of("stored.npz"));
  expect_fixture(stored);
  EXPECT_THAT(stored.metadata(), IsEmpty());
  const WeightFile compressed = WeightFile::open(path_of("compressed.npz"));
  expect_fixture(compressed);
  EXPECT_TRUE(equal(*compressed.find("zeros"), Tensor(ElementType::f32, {40, 50})));
  EXPECT_EQ(compressed.tensors().size(), 8u);
}

TEST(Weights, EveryTypeSurvives) {
  std::vector<NamedTensor> tensors;
  testing::Random random;
  for (const ElementType type : kAllElementTypes) {
    for (const std::vector<int64_t>& extents :
         {std::vector<int64_t>{}, std::vector<int64_t>{5}, std::vector<int64_t>{2, 0, 3},
          std::vector<int64_t>{2, 3, 4}}) {
      tensors.push_back({std::string(name(type)) + " " + std::to_string(tensors.size()),
                         std::make_shared<const Tensor>(random.tensor(type, extents, 0, 100))});
    }
  }
  const WeightFile file =
      WeightFile::decode(safetensors_encode(tensors, {{"a", "\"b\""}, {"", "\n"}}));
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (const NamedTensor& tensor : tensors) {
    ASSERT_TRUE(file.find(tensor.name)) << tensor.name;
    EXPECT_TRUE(identical(*file.find(tensor.name), *tensor.tensor)) << tensor.name;
  }
  EXPECT_THAT(file.metadata(), ElementsAre(Pair("", "\n"), Pair("a", "\"b\"")));
  EXPECT_THAT(WeightFile::decode(safetensors_encode({})).names(), IsEmpty());
}

TEST(Weights, EncoderRefusesWhatTheFormatCannotHold) {
  const auto tensor = std::make_shared<const Tensor>(ElementType::f32, std::vector<int64_t>{1});
  for (const std::vector<NamedTensor>& tensors :
       {std::vector<NamedTensor>{{"a", tensor}, {"a", tensor}},
        std::vector<NamedTensor>{{"__metadata__", tensor}},
        std::vector<NamedTensor>{{"\xff", tensor}}}) {
    EXPECT_THROW(safetensors_encode(tensors), Error);
  }
}

TEST(Weights, ErrorsNameFileAndTensor) {
  try {
    WeightFile::open(path_of("make_weights.py"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("make_weights.py: not a file of weights"));
  }
  EXPECT_EQ(error_of(safetensors("{" + entry("W_hh", 0, 12) + "}", 12)),
            "tensor \"W_hh\": its shape and its data_offsets do not fit each other: expected 8 "
            "bytes for f32[2], found 12");
}

TEST(Weights, MalformedHeaders) {
  struct Case {
    std::string header;
    size_t data;
    std::string message;
  };
  const auto with = [](const std::string& fields) { return R"({"x":{)" + fields + "}}"; };
  const std::string shape = R"("shape":[2],)", offsets = R"("data_offsets":[0,8])",
                    type = R"("dtype":"F32",)";
  const Case cases[] = {
      {"{" + entry("a") + "," + entry("a") + "}", 8,
       "a name comes twice in the header: found "
       "tensor \"a\""},
      {"{" + entry("a") + "," + entry("\\u0061", 8, 16) + "}", 16, "a name comes twice"},
      {"{" + entry("a") + "," + entry("b", 4, 12) + "}", 12, "it overlaps the tensor before it"},
      {"{" + entry("a") + "," + entry("b", 0, 8) + "}", 8, "it overlaps the tensor before it"},
      {"{" + entry("a") + "," + entry("b", 12, 20) + "}", 20, "a gap before its elements"},
      {"{" + entry("a", 4, 12) + "}", 12, "a gap before its elements"},
      {"{" + entry("a") + "}", 7, "it ends beyond the file"},
      {"{" + entry("a") + "}", 9, "bytes after the last tensor"},
      {"{}", 1, "bytes after the last tensor"},
      {"{" + entry("a", 8, 0) + "}", 8, "it ends before it begins"},
      {with(shape + offsets), 8, "tensor \"x\": no dtype"},
      {with(type + offsets), 8, "tensor \"x\": no shape"},
      {with(R"("dtype":"F32","shape":[2])"), 8, "tensor \"x\": no data_offsets"},
      {with(type + type + shape + offsets), 8, "unknown or repeated key \"dtype\""},
      {with(type + shape + R"("strides":[1],)" + offsets), 8, "unknown or repeated key"},
      {with(R"("dtype":"F8_E4M3",)" + shape + offsets), 8, "unsupported dtype: expected BOOL, U8"},
      {with(R"("dtype":5,)" + shape + offsets), 8, "malformed dtype"},
      {with(type + R"("shape":[-2],)" + offsets), 8, "found the number -2"},
      {with(type + R"("shape":[2.0],)" + offsets), 8, "found the number 2.0"},
      {with(type + R"("shape":[[2]],)" + offsets), 8, "found an array"},
      {with(type + R"("shape":2,)" + offsets), 8, "malformed shape"},
      {with(type + R"("shape":[9223372036854775808],)" + offsets), 8, "a number is too large"},
      {with(type + R"("shape":[99999999999999999999],)" + offsets), 8, "malformed shape"},
      {with(type + R"("shape":[4294967296,4294967296],)" + offsets), 8, "its shape is too large"},
      {with(type + R"("shape":[4611686018427387904],)" + offsets), 8, "its shape is too large"},
      {with(type + shape + R"("data_offsets":[0])"), 8, "wrong number of data_offsets"},
      {with(type + shape + R"("data_offsets":[0,4,8])"), 8, "more than two data_offsets"},
      {R"({"x":[]})", 0, "malformed entry"},
      {R"({"x":null})", 0, "malformed entry"},
      {R"({"__metadata__":{"a":1}})", 0, "malformed __metadata__"},
      {R"({"__metadata__":[]})", 0, "malformed __metadata__"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", 0, "a key comes twice"},
      {R"({"__metadata__":{},"__metadata__":{}})", 0, "a name comes twice"},
      {R"({"x":)", 0, "the header is not JSON"},
      {"{}{}", 0, "the header is not JSON"},
      {"{\"\xff\":1}", 0, "the header is not JSON"},
      {"{" + std::string(100000, '['), 0, "the header is not JSON"},
      {R"({"x":)" + std::string(100000, '['), 0, "malformed entry"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(error_of(safetensors(c.header, c.data)), HasSubstr(c.message))
        << c.header.substr(0, 200);
  }
  // Sizes of the header itself.
  EXPECT_THAT(error_of(little_endian(100, 8) + "{}"), HasSubstr("the header is longer"));
  EXPECT_THAT(error_of(std::string(8, '\xff') + "{}"), HasSubstr("the header is longer"));
  EXPECT_THAT(error_of(little_endian(0, 8) + "{}"), HasSubstr("the header is not JSON"));
  EXPECT_THAT(error_of(""), HasSubstr("not a file of weights"));
  std::string many = R"("shape":[)";
  for (int i = 0; i < 33; ++i) many += "1,";
  EXPECT_THAT(error_of(safetensors(with(type + many + "2]," + offsets), 8)),
              HasSubstr("too many dimensions"));
}

TEST(Weights, TensorsTogetherAreBounded) {
  const std::string bytes = safetensors("{" + entry("a") + "," + entry("b", 8, 16) + "}", 16);
  EXPECT_EQ(error_of(bytes, 16), "no error");
  EXPECT_NE(error_of(bytes, 15), "no error");
  EXPECT_THAT(error_of(bytes_of("compressed.npz"), 2000), HasSubstr("the arrays are too large"));
}

// A ZIP archive made by hand.
struct Zip {
  struct Entry {
    std::string name, data;
    uint32_t size, crc, method = 0, flags = 0;
    std::optional<uint32_t> offset = {};
  };
  std::vector<Entry> entries;

  Zip& add(const std::string& name, const std::string& data) {
    const auto crc =
        static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size()));
    entries.push_back({name, data, static_cast<uint32_t>(data.size()), crc});
    return *this;
  }

  std::string bytes(const std::string& comment = "") const {
    std::string out, directory;
    for (const Entry& e : entries) {
      const std::string common = little_endian(e.flags, 2) + little_endian(e.method, 2) +
                                 little_endian(0, 4) + little_endian(e.crc, 4) +
                                 little_endian(e.data.size(), 4) + little_endian(e.size, 4) +
                                 little_endian(e.name.size(), 2) + little_endian(0, 2);
      const size_t offset = e.offset.value_or(static_cast<uint32_t>(out.size()));
      directory += "PK\1\2" + little_endian(20, 2) + little_endian(20, 2) + common +
                   little_endian(0, 2) + little_endian(0, 2) + little_endian(0, 2) +
                   little_endian(0, 4) + little_endian(offset, 4) + e.name;
      out += "PK\3\4" + little_endian(20, 2) + common + e.name + e.data;
    }
    return out + directory + "PK\5\6" + little_endian(0, 4) + little_endian(entries.size(), 2) +
           little_endian(entries.size(), 2) + little_endian(directory.size(), 4) +
           little_endian(out.size(), 4) + little_endian(comment.size(), 2) + comment;
  }
};

std::string array() { return npy_encode(tensor_of(ElementType::f32, {3}, {1, 2, 3})); }

TEST(Weights, ArchivesMadeByHand) {
  EXPECT_THAT(WeightFile::decode(Zip().bytes()).names(), IsEmpty());
  const std::string bytes = Zip().add("a.npy", array()).add("b.npy", array()).bytes("a comment");
  EXPECT_THAT(WeightFile::decode(bytes).names(), ElementsAre("a", "b"));
  EXPECT_THAT(error_of(bytes + "x"), HasSubstr("truncated .npz file"));
  EXPECT_THAT(error_of(bytes.substr(0, bytes.size() - 1)), HasSubstr("truncated .npz file"));
}

TEST(Weights, MalformedArchives) {
  const auto broken = [](auto change, const std::string& message) {
    Zip zip;
    zip.add("a.npy", array()).add("b.npy", array());
    change(zip.entries[1]);
    EXPECT_THAT(error_of(zip.bytes()), HasSubstr(message));
  };
  using E = Zip::Entry;
  broken([](E& e) { e.crc ^= 1; }, "tensor \"b.npy\": its checksum is wrong");
  broken([](E& e) { e.name = "a.npy"; }, "two tensors of one name: tensor \"a\"");
  broken([](E& e) { e.name = "b.txt"; }, "tensor \"b.txt\": not an array");
  broken([](E& e) { e.name = "archive/data.pkl"; }, "a pickle of PyTorch");
  broken([](E& e) { e.flags = 1; }, "it is encrypted");
  broken([](E& e) { e.method = 9; }, "unsupported compression: expected 0 (stored)");
  broken([](E& e) { e.size += 1; }, "its sizes do not fit each other");
  broken([](E& e) { e.size = 1u << 31, e.method = 8; }, "its sizes do not fit each other");
  broken([](E& e) { e.size = 0xffffffff, e.method = 8; }, "ZIP64");
  broken([](E& e) { e.method = 8; }, "its compressed data is damaged");
  broken([](E& e) { e.offset = 0; }, "another name in the archive's directory");
  broken([](E& e) { e.offset = 1; }, "nothing where the archive's directory says");
  broken([](E& e) { e.offset = 0x7fffffff; }, "nothing where the archive's directory says");
  // Both in the directory at the data of the first.
  broken([](E& e) { e.name = "a.npy", e.offset = 0; }, "it overlaps tensor \"a.npy\"");
  EXPECT_THAT(error_of(Zip().add("a.npy", "not an array").bytes()),
              HasSubstr("tensor \"a.npy\": not a .npy file"));
  EXPECT_THAT(error_of(Zip().add("a.npy", array() + "x").bytes()),
              HasSubstr("tensor \"a.npy\": wrong amount of data"));
}

TEST(Weights, EveryPrefixIsRefused) {
  for (const char* name : {"python.safetensors", "stored.npz", "compressed.npz"}) {
    const std::string bytes = bytes_of(name);
    EXPECT_EQ(error_of(bytes), "no error");
    for (size_t n = 0; n < bytes.size(); ++n) {
      // A copy of just these bytes, so that a sanitizer sees a read beyond them.
      const std::vector<char> prefix(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));
      EXPECT_NE(error_of({prefix.data(), n}), "no error") << name << " " << n;
    }
  }
}

// Damaged files are read or refused, and what is read is what its header says.
TEST(Weights, FlippedAndRandomBytes) {
  std::mt19937 random(1);
  for (const char* name : {"python.safetensors", "stored.npz", "compressed.npz"}) {
    const std::string bytes = bytes_of(name);
    const bool npz = bytes.starts_with("PK");
    for (size_t i = 0; i < bytes.size(); ++i) {
      for (int bit = 0; bit < 8; bit += npz ? 3 : 1) {
        std::string damaged = bytes;
        damaged[i] = static_cast<char>(damaged[i] ^ 1 << bit);
        error_of(damaged);
      }
    }
    for (int round = 0; round < 20000; ++round) {
      std::string damaged = bytes;
      for (uint32_t n = random() % 4; n-- > 0;)
        damaged[random() % damaged.size()] = static_cast<char>(random());
      if (random() % 2) damaged.erase(random() % damaged.size(), random() % 40);
      if (random() % 4 == 0) {
        damaged.insert(random() % damaged.size(), damaged.substr(random() % damaged.size(), 20));
      }
      try {
        const WeightFile file = WeightFile::decode(damaged, kFolderLimit);
        for (const std::string& tensor : file.names()) file.find(tensor)->view().as_doubles();
      } catch (const Error&) {
      }
    }
  }
  // Any change of an array in an archive is noticed.
  std::string archive = bytes_of("compressed.npz");
  const size_t name = archive.find("zeros.npy");
  for (size_t i = name + 40; i < name + 60; ++i) {
    std::string damaged = archive;
    damaged[i] = static_cast<char>(damaged[i] ^ 4);
    EXPECT_NE(error_of(damaged), "no error") << i - name;
  }
}

}  // namespace
}  // namespace refrain
