// Files of named tensors: safetensors and NumPy's .npz.
//
// Formats: https://huggingface.co/docs/safetensors (a length, a JSON header, the elements), and
// https://numpy.org/doc/stable/reference/generated/numpy.savez.html (a ZIP archive of .npy files,
// https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT).
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/tensor.h"

namespace refrain {

struct NamedTensor {
  std::string name;
  TensorPtr tensor;
};

// Everything in such a file, checked. Immutable, so that threads may share it; the tensors outlive
// it.
class WeightFile {
 public:
  // Reads a file of either format, recognised by its content. The file, and its tensors together,
  // may take `max_bytes` each. Throws Error, with file and tensor, if it is neither or is malformed
  // in any way: a file is read as a whole or not at all.
  static WeightFile open(const std::string& path, int64_t max_bytes = int64_t{4} << 30);
  // The same from a file's bytes; errors lack the file.
  static WeightFile decode(std::string_view bytes, int64_t max_bytes = int64_t{4} << 30);

  // In the order in which they lie in the file.
  const std::vector<NamedTensor>& tensors() const { return tensors_; }
  std::vector<std::string> names() const;
  // Null if there is none of that name.
  TensorPtr find(std::string_view name) const;
  // What a safetensors file's __metadata__ says; empty for .npz.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  WeightFile(std::vector<NamedTensor> tensors, std::map<std::string, std::string> metadata);

  std::vector<NamedTensor> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
};

// The bytes of a safetensors file with these tensors in this order, and what its __metadata__ shall
// say if that is not empty. Throws Error if two have one name, or one is called `__metadata__` or
// by what is not UTF-8.
std::string safetensors_encode(std::span<const NamedTensor> tensors,
                               const std::map<std::string, std::string>& metadata = {});

}  // namespace refrain
