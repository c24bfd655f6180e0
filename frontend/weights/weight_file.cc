#include "frontend/weights/weight_file.h"

#include "frontend/io/file.h"
#include "frontend/weights/formats.h"
#include "ir/error.h"
#include "ir/identifier.h"

namespace refrain {

namespace weights {

std::string tensor_text(std::string_view name) {
  constexpr size_t kMostBytes = 100;
  if (name.size() <= kMostBytes) return "tensor " + quote(name);
  return "tensor " + quote(name.substr(0, kMostBytes)) + "...";
}

}  // namespace weights

WeightFile::WeightFile(std::vector<NamedTensor> tensors,
                       std::map<std::string, std::string> metadata)
    : tensors_(std::move(tensors)), metadata_(std::move(metadata)) {
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (!index_.emplace(tensors_[i].name, i).second) {
      throw Error("two tensors of one name: " + weights::tensor_text(tensors_[i].name));
    }
  }
}

WeightFile WeightFile::decode(std::string_view bytes, int64_t max_bytes) {
  weights::Contents contents;
  if (weights::is_zip(bytes)) {
    contents = weights::decode_npz(bytes, max_bytes);
  } else if (weights::is_safetensors(bytes)) {
    contents = weights::decode_safetensors(bytes, max_bytes);
  } else {
    throw Error("not a file of weights", "safetensors, or a .npz file of NumPy", "neither");
  }
  return WeightFile(std::move(contents.tensors), std::move(contents.metadata));
}

WeightFile WeightFile::open(const std::string& path, int64_t max_bytes) {
  const std::string bytes = read_file(path, max_bytes);
  try {
    return decode(bytes, max_bytes);
  } catch (Error& error) {
    throw error.in_file(path);
  }
}

std::vector<std::string> WeightFile::names() const {
  std::vector<std::string> names;
  for (const NamedTensor& tensor : tensors_) names.push_back(tensor.name);
  return names;
}

TensorPtr WeightFile::find(std::string_view name) const {
  const auto at = index_.find(name);
  return at == index_.end() ? nullptr : tensors_[at->second].tensor;
}

}  // namespace refrain
