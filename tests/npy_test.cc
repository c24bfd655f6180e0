// .npy files: what NumPy writes, what we write, and what is neither.
#include "frontend/io/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "ir/error.h"
#include "support/compare.h"

namespace refrain {
namespace {

using testing::equal;
using ::testing::HasSubstr;

// A file of version 1.0 with this dictionary and data.
std::string file(const std::string& dictionary, const std::string& data, char version = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += {version, '\0', static_cast<char>(dictionary.size() & 255),
            static_cast<char>(dictionary.size() >> 8)};
  if (version > 1) bytes += std::string(2, '\0');
  return bytes + dictionary + data;
}

std::string dictionary(const std::string& descr, const std::string& order,
                       const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

std::string error_of(const std::string& bytes) {
  try {
    npy_decode(bytes);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

template <typename T>
Tensor tensor(std::vector<int64_t> extents, std::vector<T> values) {
  return Tensor::of<T>(std::move(extents), values);
}

std::string bytes_of(const auto& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0])};
}

TEST(Npy, ReadsWhatNumpyWrites) {
  // numpy.save of numpy.array([[1, 2, 3], [4, 5, 6]], '<f4'), byte for byte.
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  header.append(118 - 1 - header.size(), ' ');
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const Tensor expected = tensor<float>({2, 3}, values);
  EXPECT_TRUE(equal(npy_decode(file(header + "\n", bytes_of(values))), expected));
}

TEST(Npy, FortranOrderIsTransposed) {
  const std::vector<int32_t> stored = {0, 3, 1, 4, 2, 5};
  const std::string bytes = file(dictionary("<i4", "True", "(2, 3)"), bytes_of(stored));
  EXPECT_TRUE(equal(npy_decode(bytes), tensor<int32_t>({2, 3}, {0, 1, 2, 3, 4, 5})));
  const std::vector<int8_t> cube = {0, 4, 2, 6, 1, 5, 3, 7};
  EXPECT_TRUE(equal(npy_decode(file(dictionary("|i1", "True", "(2, 2, 2)"), bytes_of(cube))),
                    tensor<int8_t>({2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7})));
}

TEST(Npy, BigEndianIsSwapped) {
  const std::string bytes =
      file(dictionary(">i4", "False", "(2,)"), std::string("\0\0\1\2\xff\xff\xff\xfe", 8));
  EXPECT_TRUE(equal(npy_decode(bytes), tensor<int32_t>({2}, {258, -2})));
}

TEST(Npy, ScalarsEmptyArraysAndVersions) {
  const std::vector<double> value = {2.5};
  for (char version = 1; version <= 3; ++version) {
    EXPECT_TRUE(equal(npy_decode(file(dictionary("<f8", "False", "()"), bytes_of(value), version)),
                      tensor<double>({}, value)));
  }
  EXPECT_TRUE(
      equal(npy_decode(file(dictionary("<f8", "True", "(3, 0)"), "")), tensor<double>({3, 0}, {})));
}

TEST(Npy, AnyByteButZeroIsTrue) {
  const Tensor decoded =
      npy_decode(file(dictionary("|b1", "False", "(3,)"), std::string("\0\1\7", 3)));
  const auto* bytes = static_cast<const unsigned char*>(decoded.raw());
  EXPECT_EQ(bytes[0], 0);
  EXPECT_EQ(bytes[1], 1);
  EXPECT_EQ(bytes[2], 1);
}

TEST(Npy, EveryTypeSurvives) {
  for (const ElementType type : kAllElementTypes) {
    for (const std::vector<int64_t>& extents :
         {std::vector<int64_t>{}, std::vector<int64_t>{5}, std::vector<int64_t>{2, 0, 3},
          std::vector<int64_t>{2, 3, 4}}) {
      Tensor original(type, extents);
      visit(type, [&]<typename T>(std::type_identity<T>) {
        for (size_t i = 0; i < original.data<T>().size(); ++i) {
          original.data<T>()[i] = static_cast<T>(static_cast<float>(i % 2 + i / 3));
        }
      });
      const std::string bytes = npy_encode(original);
      EXPECT_EQ((bytes.size() - static_cast<size_t>(original.size()) *
                                    (type == ElementType::bf16 ? 4 : size_of(type))) %
                    64,
                0u);
      const Tensor decoded = npy_decode(bytes);
      if (type == ElementType::bf16) {
        EXPECT_EQ(decoded.type(), ElementType::f32);
        EXPECT_EQ(decoded.view().as_doubles(), original.view().as_doubles());
      } else {
        EXPECT_TRUE(equal(decoded, original)) << name(type);
      }
    }
  }
}

TEST(Npy, Errors) {
  const std::string good = dictionary("<f4", "False", "(2,)");
  const std::string data(8, '\0');
  EXPECT_EQ(error_of(file(good, data)), "no error");
  EXPECT_THAT(error_of(""), HasSubstr("not a .npy file"));
  EXPECT_THAT(error_of("PK\3\4 a zip archive"), HasSubstr("not a .npy file"));
  EXPECT_THAT(error_of(file(good, data, 9)),
              HasSubstr("unsupported version of .npy: expected 1 to 3, found 9"));
  EXPECT_THAT(error_of(file(good, data).substr(0, 40)), HasSubstr("truncated .npy header"));
  EXPECT_THAT(error_of(file(good, data.substr(1))), HasSubstr("expected 8 bytes, found 7"));
  EXPECT_THAT(error_of(file(good, data + "x")), HasSubstr("expected 8 bytes, found 9"));
  EXPECT_THAT(error_of(file(dictionary("<c8", "False", "(1,)"), data)), HasSubstr("found <c8"));
  EXPECT_THAT(error_of(file(dictionary("|O", "False", "(1,)"), data)), HasSubstr("found |O"));
  EXPECT_THAT(error_of(file(dictionary("<f4", "Maybe", "(2,)"), data)),
              HasSubstr("expected True or False"));
  EXPECT_THAT(error_of(file(dictionary("<f4", "False", "(-2,)"), data)),
              HasSubstr("expected an extent"));
  EXPECT_THAT(error_of(file(dictionary("<f4", "False", "(2 3)"), data)), HasSubstr("expected ')'"));
  EXPECT_THAT(error_of(file("{'descr': '<f4'}", data)), HasSubstr("is missing"));
  EXPECT_THAT(error_of(file(good + "x", data)), HasSubstr("text after the dictionary"));
  // An absurd shape is refused before anything is allocated.
  EXPECT_THAT(error_of(file(dictionary("<f4", "False", "(4611686018427387904, 4)"), data)),
              HasSubstr("element"));
  EXPECT_THAT(error_of(file(dictionary("<f4", "False", "(1099511627776,)"), data)),
              HasSubstr("wrong amount of data"));
  std::string many = "(";
  for (int i = 0; i < 40; ++i) many += "1,";
  EXPECT_THAT(error_of(file(dictionary("<f4", "False", many + ")"), data)),
              HasSubstr("too many dimensions"));
}

TEST(Npy, DamagedFilesNeverCrash) {
  const std::string good = file(dictionary("<f4", "True", "(2, 3)"), std::string(24, '\1'));
  std::mt19937 engine(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good;
    for (int k = 0; k < 3; ++k) bytes[engine() % bytes.size()] = static_cast<char>(engine());
    if (i % 4 == 0) bytes.resize(engine() % bytes.size());
    error_of(bytes);  // an Error or a tensor; anything else ends the test
  }
}

}  // namespace
}  // namespace refrain
