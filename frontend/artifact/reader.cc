#include "frontend/artifact/reader.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string_view>
#include <utility>

#include "artifact_generated.h"
#include "backends/weights/checksum.h"
#include "frontend/artifact/format.h"
#include "ir/error.h"
#include "ir/text.h"

namespace refrain::artifact {
namespace {

// Shorter keys hold no layout at all.
constexpr size_t kLeastKey = 2;

class Reader {
 public:
  Reader(Bytes bytes, const std::string& name) : bytes_(std::move(bytes)), name_(name) {}

  Artifact read() {
    read_header();
    const metadata::Model& model = verified_metadata();
    Artifact artifact;
    artifact.weights = std::make_shared<WeightStore>();
    add_constants(model, *artifact.weights);
    artifact.info = info_of(model);
    serve_packed(model, *artifact.weights, artifact.info);
    const std::string_view text(model.graph()->c_str(), model.graph()->size());
    const auto blob = [&](int64_t number, ElementType type, const std::vector<int64_t>& extents) {
      return constant(model, *artifact.weights, number, type, extents);
    };
    artifact.graph = parse(text, name_, {.blob = blob});
    // Numbers after those of the file: they are in no block's key.
    artifact.weights->add(*artifact.graph);
    return artifact;
  }

 private:
  void read_header() {
    if (!is_artifact(bytes_.data.get(), bytes_.size)) {
      throw Error("not a compiled model", "a file that `refrain compile -o` wrote", "other bytes");
    }
    if (bytes_.size < sizeof(Header)) throw_truncated(sizeof(Header));
    std::memcpy(&header_, bytes_.data.get(), sizeof(Header));
    if (header_.version != kFormatVersion) {
      throw Error("a compiled model of another version of the format",
                  "version " + std::to_string(kFormatVersion) + " (compile the model again)",
                  "version " + std::to_string(header_.version));
    }
    if (checksum(&header_, offsetof(Header, header_checksum)) != header_.header_checksum ||
        header_.header_bytes != sizeof(Header) || header_.reserved != 0) {
      throw Error("the header of this compiled model is damaged");
    }
    if (bytes_.size < header_.file_bytes) throw_truncated(header_.file_bytes);
    if (bytes_.size != header_.file_bytes) {
      throw Error("a compiled model with something behind its end",
                  std::to_string(header_.file_bytes) + " bytes", std::to_string(bytes_.size));
    }
  }

  [[noreturn]] void throw_truncated(size_t expected) const {
    throw Error("this compiled model is cut off", std::to_string(expected) + " bytes",
                std::to_string(bytes_.size));
  }

  // What lies at an offset of the file.
  const char* at(uint64_t offset, uint64_t size, const char* what) const {
    if (offset % kAlignment != 0 || offset > bytes_.size || size > bytes_.size - offset) {
      throw Error(std::string("the place of ") + what + " in this compiled model",
                  "a multiple of 64 within " + std::to_string(bytes_.size) + " bytes",
                  std::to_string(size) + " bytes at " + std::to_string(offset));
    }
    return bytes_.data.get() + offset;
  }

  const metadata::Model& verified_metadata() const {
    const char* const data = at(header_.metadata_offset, header_.metadata_bytes, "the metadata");
    const auto size = static_cast<size_t>(header_.metadata_bytes);
    if (checksum(data, size) != header_.metadata_checksum) {
      throw Error("the metadata of this compiled model is damaged");
    }
    const Error malformed("the metadata of this compiled model is malformed");
    if (size >= FLATBUFFERS_MAX_BUFFER_SIZE) throw malformed;
    const void* const start = data;
    const auto* const begin = static_cast<const uint8_t*>(start);
    // Tables don't nest; each takes more than a word.
    constexpr flatbuffers::uoffset_t kDepth = 8;
    flatbuffers::Verifier verifier(begin, size, kDepth,
                                   static_cast<flatbuffers::uoffset_t>(size / sizeof(uint32_t)));
    if (!metadata::VerifyModelBuffer(verifier)) throw malformed;
    const metadata::Model& model = *metadata::GetModel(begin);
    // The verifier looks at the alignment of a vector's length, not of its elements.
    for (const metadata::Packed* packed : *model.packed()) {
      if (reinterpret_cast<uintptr_t>(packed->key()->Data()) % alignof(int64_t) != 0)
        throw malformed;
    }
    return model;
  }

  // One tensor of bytes for each, so that blocks are known by them; those that the graph reads are
  // views of the same memory.
  void add_constants(const metadata::Model& model, WeightStore& weights) {
    for (const metadata::Constant* entry : *model.constants()) {
      const char* const data = at(entry->offset(), entry->bytes(), "a constant");
      const auto count = static_cast<int64_t>(entry->bytes());
      weights.add(borrow(ElementType::u8, {count}, data), entry->checksum());
      if (weights.constants() != ++constants_) {
        throw Error("constants of this compiled model", "each at a place of its own",
                    std::to_string(count) + " bytes at " + std::to_string(entry->offset()));
      }
    }
    views_.resize(model.constants()->size());
  }

  TensorPtr constant(const metadata::Model& model, WeightStore& weights, int64_t number,
                     ElementType type, const std::vector<int64_t>& extents) {
    if (number < 0 || number >= constants_) {
      throw Error("no such constant in this compiled model", "below " + std::to_string(constants_),
                  std::to_string(number));
    }
    TensorPtr& view = views_[static_cast<size_t>(number)];
    if (!view) {
      const metadata::Constant& entry =
          *model.constants()->Get(static_cast<flatbuffers::uoffset_t>(number));
      if (byte_count(type, extents) != static_cast<int64_t>(entry.bytes())) {
        throw Error("the size of constant " + std::to_string(number) + " of this compiled model",
                    std::to_string(byte_count(type, extents)) + " bytes",
                    std::to_string(entry.bytes()));
      }
      // The writer leaves truth values in the text, where each is looked at.
      if (type == ElementType::boolean) {
        throw Error("the type of constant " + std::to_string(number), "numbers", "bool");
      }
      view = borrow(type, extents, weights.constant(number)->raw());
    }
    if (view->type() != type || view->extents() != extents) {
      throw Error("constant " + std::to_string(number) + " of this compiled model is two things",
                  "one type", "two");
    }
    return view;
  }

  TensorPtr borrow(ElementType type, std::vector<int64_t> extents, const void* data) const {
    // Tensors behind a TensorPtr are never written.
    auto* const tensor =
        new Tensor(Tensor::borrow(type, std::move(extents), const_cast<void*>(data)));
    return {tensor, [mapped = bytes_.data](const Tensor* borrowed) { delete borrowed; }};
  }

  void serve_packed(const metadata::Model& model, WeightStore& weights, Info& info) const {
    for (const metadata::Packed* entry : *model.packed()) {
      const char* const data = at(entry->offset(), entry->bytes(), "packed weights");
      WeightStore::Key key(entry->key()->begin(), entry->key()->end());
      if (key.size() < kLeastKey || entry->bytes() % sizeof(float) != 0) {
        throw Error("packed weights of this compiled model", "a key and whole numbers", "others");
      }
      const auto lanes = static_cast<uint32_t>(key[1]);
      auto sum = std::ranges::find(info.packed, lanes, &Info::Packed::lanes);
      if (sum == info.packed.end()) sum = info.packed.insert(sum, {lanes, 0, 0});
      ++sum->blocks;
      sum->bytes += static_cast<int64_t>(entry->bytes());
      const void* const start = data;
      weights.serve(std::move(key), {bytes_.data, static_cast<const float*>(start)},
                    static_cast<int64_t>(entry->bytes() / sizeof(float)), entry->checksum(),
                    "packed weights at byte " + std::to_string(entry->offset()));
    }
  }

  Info info_of(const metadata::Model& model) const {
    Info info;
    info.version = header_.version;
    info.producer = model.producer()->str();
    for (const metadata::Target* target : *model.targets()) {
      info.targets.push_back({target->name()->str(), target->lanes()});
    }
    info.file_bytes = static_cast<int64_t>(bytes_.size);
    info.metadata_bytes = static_cast<int64_t>(header_.metadata_bytes);
    info.graph_bytes = static_cast<int64_t>(model.graph()->size());
    info.constants = constants_;
    for (const metadata::Constant* entry : *model.constants()) {
      info.constant_bytes += static_cast<int64_t>(entry->bytes());
    }
    return info;
  }

  Bytes bytes_;
  const std::string& name_;
  Header header_{};
  int64_t constants_ = 0;
  std::vector<TensorPtr> views_;
};

Bytes aligned(Bytes bytes) {
  const auto address = reinterpret_cast<uintptr_t>(bytes.data.get());
  if (bytes.size == 0 || address % kAlignment == 0) return bytes;
  return copy_bytes({bytes.data.get(), bytes.size});
}

}  // namespace

bool is_artifact(const char* begin, size_t size) {
  return size >= sizeof kMagic && std::memcmp(begin, kMagic, sizeof kMagic) == 0;
}

bool is_artifact(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  char begin[sizeof kMagic];
  in.read(begin, sizeof begin);
  return is_artifact(begin, static_cast<size_t>(in.gcount()));
}

Artifact read_artifact(Bytes bytes, const std::string& name) {
  try {
    return Reader(aligned(std::move(bytes)), name).read();
  } catch (Error& error) {
    error.in_file(name);
    throw;
  }
}

Artifact read_artifact(const std::string& path, int64_t max_bytes) {
  return read_artifact(map_file(path, max_bytes), path);
}

}  // namespace refrain::artifact
