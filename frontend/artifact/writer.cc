#include "frontend/artifact/writer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <span>

#include "artifact_generated.h"
#include "backends/highway/packed_weights.h"
#include "backends/weights/checksum.h"
#include "frontend/artifact/format.h"
#include "ir/error.h"
#include "ir/text.h"

namespace refrain::artifact {
namespace {

// What is smaller stays in the text. Whole numbers may be axes and extents, which inference reads.
constexpr int64_t kLeastFloatBytes = 1024, kLeastIntegerBytes = 4096;

bool lies_apart(const Tensor& tensor) {
  if (tensor.type() == ElementType::boolean) return false;
  return tensor.bytes() >= (is_float(tensor.type()) ? kLeastFloatBytes : kLeastIntegerBytes);
}

void add_constants(const Region& region, WeightStore& weights) {
  for (const Node* node = region.first(); node; node = node->next()) {
    if (node->op() == Op::constant) {
      const auto& tensor = node->attribute<TensorPtr>(AttributeName::value);
      if (lies_apart(*tensor)) weights.add(tensor);
    }
    for (size_t i = 0; i < node->region_count(); ++i) add_constants(node->region(i), weights);
  }
}

// A file that is there under its name only once it is complete.
class Output {
 public:
  explicit Output(const std::string& path)
      : path_(path), temporary_(path + ".new" + std::to_string(getpid())) {
    std::error_code error;
    if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) {
      throw Error("not a regular file").in_file(path);
    }
    out_.open(temporary_, std::ios::binary | std::ios::trunc);
    if (!out_) fail("cannot write the file");
  }
  ~Output() {
    std::error_code error;
    if (!temporary_.empty()) std::filesystem::remove(temporary_, error);
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // At the next aligned offset, which it returns.
  uint64_t append(const void* data, size_t bytes) {
    constexpr char kZeros[kAlignment] = {};
    out_.write(kZeros,
               static_cast<std::streamsize>((kAlignment - size_ % kAlignment) % kAlignment));
    size_ = (size_ + kAlignment - 1) / kAlignment * kAlignment;
    const uint64_t offset = size_;
    out_.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
    size_ += bytes;
    return offset;
  }

  uint64_t size() const { return size_; }

  void finish(const Header& header) {
    const void* const start = &header;
    out_.seekp(0);
    out_.write(static_cast<const char*>(start), sizeof header);
    out_.close();
    if (!out_) fail("cannot write the whole file");
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot write the file");
    temporary_.clear();
  }

 private:
  [[noreturn]] void fail(const char* problem) const {
    throw Error(std::string(problem) + ": " + std::strerror(errno)).in_file(path_);
  }

  std::string path_, temporary_;
  std::ofstream out_;
  uint64_t size_ = 0;
};

}  // namespace

std::shared_ptr<WeightStore> constants_of(const Graph& graph) {
  auto weights = std::make_shared<WeightStore>();
  add_constants(graph.body(), *weights);
  return weights;
}

void write_artifact(const std::string& path, const Graph& graph, const WeightStore& weights,
                    const std::vector<Target>& targets, const std::string& producer) {
  Output out(path);
  const Header empty{};
  out.append(&empty, sizeof empty);
  flatbuffers::FlatBufferBuilder builder;

  std::vector<flatbuffers::Offset<metadata::Constant>> constants;
  for (int64_t i = 0; i < weights.constants(); ++i) {
    const Tensor& tensor = *weights.constant(i);
    const auto bytes = static_cast<size_t>(tensor.bytes());
    const uint64_t offset = out.append(tensor.raw(), bytes);
    constants.push_back(
        metadata::CreateConstant(builder, offset, bytes, checksum(tensor.raw(), bytes)));
  }

  std::vector<flatbuffers::Offset<metadata::Packed>> packed;
  std::set<WeightStore::Key> done;
  for (const Target& target : targets) {
    for (const WeightStore::Key& asked : weights.asked()) {
      if (asked[0] != WeightStore::kLoopWeights) continue;
      const WeightStore::Key key = highway::with_lanes(asked, target.lanes);
      if (!done.insert(key).second) continue;
      const std::vector<float> block = highway::pack(key, weights);
      const size_t bytes = block.size() * sizeof(float);
      const uint64_t offset = out.append(block.data(), bytes);
      packed.push_back(metadata::CreatePackedDirect(builder, &key, offset, bytes,
                                                    checksum(block.data(), bytes)));
    }
  }

  std::vector<flatbuffers::Offset<metadata::Target>> names;
  for (const Target& target : targets) {
    names.push_back(metadata::CreateTargetDirect(builder, target.name.c_str(), target.lanes));
  }
  const PrintOptions options{.blob = [&](const Tensor& tensor) -> std::optional<int64_t> {
    if (!lies_apart(tensor)) return {};
    return weights.find(tensor.raw(), 0).value().constant;
  }};
  const std::string text = print(graph, options);
  builder.Finish(metadata::CreateModelDirect(builder, producer.c_str(), text.c_str(), &constants,
                                             &packed, &names));

  Header header{};
  std::ranges::copy(kMagic, header.magic);
  header.version = kFormatVersion;
  header.header_bytes = sizeof header;
  header.metadata_bytes = builder.GetSize();
  header.metadata_checksum = checksum(builder.GetBufferPointer(), builder.GetSize());
  header.metadata_offset = out.append(builder.GetBufferPointer(), builder.GetSize());
  header.file_bytes = out.size();
  header.header_checksum = checksum(&header, offsetof(Header, header_checksum));
  out.finish(header);
}

}  // namespace refrain::artifact
