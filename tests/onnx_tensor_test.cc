// Tensors, types and test data of ONNX.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "frontend/onnx/import.h"
#include "frontend/onnx/node_import.h"
#include "frontend/onnx/tensor_proto.h"
#include "support/compare.h"
#include "support/onnx_model.h"
#include "support/onnx_op.h"
#include "support/random.h"

namespace refrain {
namespace {

using namespace refrain::testing;
using namespace refrain::onnx_import;
using onnx::TensorProto;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string error_of(const TensorProto& proto, const TensorSource& source = {}) {
  try {
    tensor_from_proto(proto, source);
  } catch (const Error& error) {
    return error.what();
  } catch (const UnsupportedNode& unsupported) {
    return "unsupported: " + unsupported.what;
  }
  return "no error";
}

TensorProto proto_of(int type, Ints dims) {
  TensorProto proto;
  proto.set_name("w");
  proto.set_data_type(type);
  for (int64_t dim : dims) proto.add_dims(dim);
  return proto;
}

class EveryElementType : public ::testing::TestWithParam<ElementType> {};

TEST_P(EveryElementType, RawDataRoundTrips) {
  Random random;
  for (const std::vector<int64_t>& extents : {Ints{}, Ints{3, 2}, Ints{0, 2}}) {
    const Tensor tensor = random.tensor(GetParam(), extents, 0, 100);
    const Tensor back = tensor_from_proto(tensor_to_proto(tensor, "w"));
    EXPECT_TRUE(identical(back, tensor));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, EveryElementType, ::testing::ValuesIn(kAllElementTypes),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST(OnnxTensor, TypedData) {
  TensorProto f = proto_of(TensorProto::FLOAT, {2});
  f.add_float_data(1.5f);
  f.add_float_data(-2);
  EXPECT_TRUE(equal(tensor_from_proto(f), f32({2}, {1.5f, -2})));

  TensorProto half = proto_of(TensorProto::FLOAT16, {2});
  half.add_int32_data(0x3c00);
  half.add_int32_data(0xc000);
  EXPECT_TRUE(equal(tensor_from_proto(half), tensor<Float16>({2}, {Float16(1), Float16(-2)})));

  TensorProto brain = proto_of(TensorProto::BFLOAT16, {1});
  brain.add_int32_data(0x3f80);
  EXPECT_TRUE(equal(tensor_from_proto(brain), tensor<BFloat16>({1}, {BFloat16(1)})));

  TensorProto byte = proto_of(TensorProto::INT8, {2});
  byte.add_int32_data(-128);
  byte.add_int32_data(127);
  EXPECT_TRUE(equal(tensor_from_proto(byte), tensor<int8_t>({2}, {-128, 127})));

  TensorProto u = proto_of(TensorProto::UINT32, {1});
  u.add_uint64_data(4000000000u);
  EXPECT_TRUE(equal(tensor_from_proto(u), tensor<uint32_t>({1}, {4000000000u})));

  TensorProto d = proto_of(TensorProto::DOUBLE, {1});
  d.add_double_data(0.1);
  EXPECT_TRUE(equal(tensor_from_proto(d), tensor<double>({1}, {0.1})));
}

TEST(OnnxTensor, BooleansAreZeroOrOne) {
  TensorProto raw = proto_of(TensorProto::BOOL, {3});
  raw.set_raw_data(std::string("\x00\x02\xff", 3));
  const Tensor result = tensor_from_proto(raw);
  EXPECT_TRUE(equal(result, booleans({3}, {false, true, true})));
  EXPECT_EQ(static_cast<const unsigned char*>(result.raw())[1], 1);
}

TEST(OnnxTensor, DataMustFitTheDimensions) {
  TensorProto proto = proto_of(TensorProto::FLOAT, {int64_t{1} << 40});
  EXPECT_THAT(error_of(proto), HasSubstr("tensor \"w\": wrong number of elements"));
  proto.set_raw_data("1234");
  EXPECT_THAT(error_of(proto), HasSubstr("expected 4398046511104 bytes, found 4 bytes"));
  EXPECT_THAT(error_of(proto_of(TensorProto::FLOAT, {-1})), HasSubstr("negative extent"));
  EXPECT_THAT(error_of(proto_of(TensorProto::FLOAT, {int64_t{1} << 32, int64_t{1} << 32})),
              HasSubstr("overflows"));
  EXPECT_THAT(error_of(proto_of(TensorProto::FLOAT, Ints(33, 1))), HasSubstr("rank too large"));
  EXPECT_THAT(error_of(proto_of(TensorProto::FLOAT, {})), HasSubstr("expected 1, found 0"));

  TensorProto twice = proto_of(TensorProto::FLOAT, {1});
  twice.set_raw_data("1234");
  twice.add_float_data(1);
  EXPECT_THAT(error_of(twice), HasSubstr("its data twice"));

  // Data in the field of another type is no data.
  TensorProto other = proto_of(TensorProto::FLOAT, {1});
  other.add_int64_data(1);
  EXPECT_THAT(error_of(other), HasSubstr("wrong number of elements"));
}

TEST(OnnxTensor, Types) {
  EXPECT_EQ(error_of(proto_of(TensorProto::STRING, {})), "unsupported: tensor of strings");
  EXPECT_EQ(error_of(proto_of(TensorProto::COMPLEX64, {})),
            "unsupported: tensor of complex numbers");
  EXPECT_EQ(error_of(proto_of(17, {})), "unsupported: tensor of element type 17");
  EXPECT_THAT(error_of(proto_of(0, {})), HasSubstr("wrong element type"));
  EXPECT_THAT(error_of(proto_of(99, {})), HasSubstr("wrong element type"));
}

onnx::SparseTensorProto sparse(Ints dims, const Tensor& values, const Tensor& indices) {
  onnx::SparseTensorProto proto;
  for (int64_t dim : dims) proto.add_dims(dim);
  *proto.mutable_values() = tensor_to_proto(values, "w");
  *proto.mutable_indices() = tensor_to_proto(indices, "");
  return proto;
}

TEST(OnnxTensor, Sparse) {
  const Tensor expected = f32({2, 3}, {0, 5, 0, 0, 0, 7});
  const Tensor values = f32({2}, {5, 7});
  EXPECT_TRUE(equal(tensor_from_proto(sparse({2, 3}, values, i64({2}, {1, 5}))), expected));
  EXPECT_TRUE(
      equal(tensor_from_proto(sparse({2, 3}, values, i64({2, 2}, {0, 1, 1, 2}))), expected));
  EXPECT_THROW(tensor_from_proto(sparse({2, 3}, values, i64({2}, {1, 6}))), Error);
  EXPECT_THROW(tensor_from_proto(sparse({2, 3}, values, i64({2}, {-1, 5}))), Error);
  EXPECT_THROW(tensor_from_proto(sparse({2, 3}, values, i64({2, 2}, {0, 3, 1, 2}))), Error);
  EXPECT_THROW(tensor_from_proto(sparse({2, 3}, values, i64({1}, {1}))), Error);
  const TensorSource source = {{}, std::make_shared<MemoryBudget>(1 << 20)};
  EXPECT_THROW(tensor_from_proto(sparse({int64_t{1} << 40}, values, i64({2}, {1, 5})), source),
               Error);
}

class ExternalData : public ::testing::Test {
 protected:
  ExternalData()
      : root_(fs::temp_directory_path() / ("refrain_external_" + std::to_string(getpid()))) {
    fs::create_directories(root_ / "model" / "weights");
    write(root_ / "model" / "weights" / "w.bin");
    write(root_ / "outside.bin");
  }
  ~ExternalData() override { fs::remove_all(root_); }

  static void write(const fs::path& path) {
    const float values[] = {1, 2, 3, 4};
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(values), sizeof values);
  }

  static TensorProto proto(const std::string& location, const std::string& offset = {},
                           const std::string& length = {}) {
    TensorProto result = proto_of(TensorProto::FLOAT, {2});
    result.set_data_location(TensorProto::EXTERNAL);
    const auto add = [&](const char* key, const std::string& value) {
      if (value.empty()) return;
      auto* entry = result.add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    };
    add("location", location);
    add("offset", offset);
    add("length", length);
    return result;
  }

  TensorSource source() const { return {root_ / "model", nullptr}; }

  fs::path root_;
};

TEST_F(ExternalData, InsideTheFolder) {
  EXPECT_TRUE(equal(tensor_from_proto(proto("weights/w.bin"), source()), f32({2}, {1, 2})));
  EXPECT_TRUE(equal(tensor_from_proto(proto("weights/../weights/w.bin", "8", "8"), source()),
                    f32({2}, {3, 4})));
  fs::create_symlink("w.bin", root_ / "model" / "weights" / "link.bin");
  EXPECT_TRUE(equal(tensor_from_proto(proto("weights/link.bin"), source()), f32({2}, {1, 2})));
}

TEST_F(ExternalData, NothingElse) {
  fs::create_symlink("../outside.bin", root_ / "model" / "link.bin");
  fs::create_directory_symlink("..", root_ / "model" / "up");
  const std::string absolute = (root_ / "outside.bin").string();
  for (const std::string& location :
       {std::string("../outside.bin"), std::string("weights/../../outside.bin"),
        std::string("link.bin"), std::string("up/outside.bin"), absolute, std::string(),
        std::string("."), std::string("weights/w.bin\0.txt", 18)}) {
    EXPECT_THAT(error_of(proto(location), source()), HasSubstr("outside the model's folder"))
        << location;
  }
  EXPECT_THAT(error_of(proto("weights"), source()), HasSubstr("no such file"));
  EXPECT_THAT(error_of(proto("none.bin"), source()), HasSubstr("no such file"));
  EXPECT_THAT(error_of(proto("weights/w.bin")), HasSubstr("external data is not allowed here"));
}

TEST_F(ExternalData, OffsetsAndLengths) {
  const std::string w = "weights/w.bin";
  EXPECT_THAT(error_of(proto(w, "12"), source()), HasSubstr("past the end of its file"));
  EXPECT_THAT(error_of(proto(w, "9223372036854775807"), source()), HasSubstr("past the end"));
  EXPECT_THAT(error_of(proto(w, "-1"), source()), HasSubstr("wrong offset"));
  EXPECT_THAT(error_of(proto(w, "0x8"), source()), HasSubstr("wrong offset"));
  EXPECT_THAT(error_of(proto(w, "99999999999999999999"), source()), HasSubstr("wrong offset"));
  EXPECT_THAT(error_of(proto(w, "0", "4"), source()), HasSubstr("expected 8 bytes, found 4 bytes"));
  TensorProto twice = proto(w);
  twice.add_float_data(1);
  EXPECT_THAT(error_of(twice, source()), HasSubstr("its data twice"));
}

TEST_F(ExternalData, OfAModel) {
  OnnxModel model(13);
  model.graph().node("Neg", {"w"}, {"y"}).output("y");
  *model.proto().mutable_graph()->add_initializer() = proto("weights/w.bin", "8");
  const std::string path = (root_ / "model" / "model.onnx").string();
  std::ofstream(path, std::ios::binary) << model.bytes();
  EXPECT_NO_THROW(import_file(path));
  EXPECT_THROW(import_bytes(model.bytes(), "model.onnx"), Error);
}

TEST(OnnxValue, RoundTrips) {
  const auto round_trip = [](const RuntimeValue& value, const ValueType& type) {
    return read_value(write_value(value, type, "v"), type);
  };
  ValueType tensor_type = ValueType::tensor(ElementType::f32, Shape::unranked());
  ValueType sequence_type = ValueType::sequence(ElementType::f32, Shape::unranked());
  EXPECT_TRUE(equal(*round_trip(f32({2}, {1, 2}), tensor_type).tensor, f32({2}, {1, 2})));

  Sequence sequence;
  sequence.push_back(std::make_shared<const Tensor>(f32({1}, {3})));
  sequence.push_back(std::make_shared<const Tensor>(f32({0, 2}, {})));
  const RuntimeValue back = round_trip(sequence, sequence_type);
  ASSERT_EQ(back.sequence->size(), 2u);
  EXPECT_TRUE(equal(*back.sequence->at(1), f32({0, 2}, {})));
  EXPECT_TRUE(round_trip(Sequence{}, sequence_type).sequence->empty());

  tensor_type.optional = sequence_type.optional = true;
  EXPECT_TRUE(equal(*round_trip(f32({1}, {3}), tensor_type).tensor, f32({1}, {3})));
  EXPECT_EQ(round_trip(sequence, sequence_type).sequence->size(), 2u);
  EXPECT_TRUE(round_trip({}, tensor_type).empty());
}

TEST(OnnxValue, MalformedData) {
  const ValueType type = ValueType::tensor(ElementType::f32, Shape::unranked());
  EXPECT_THROW(read_value("\xff\xff", type), Error);
  EXPECT_THROW(read_value("", type), Error);  // a tensor without an element type
  onnx::TensorProto text;
  text.set_data_type(TensorProto::STRING);
  EXPECT_THROW(read_value(text.SerializeAsString(), type), Error);
}

}  // namespace
}  // namespace refrain
