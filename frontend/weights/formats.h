// Internal to frontend/weights: the two formats.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/weights/weight_file.h"

namespace refrain::weights {

// Names of tensors come from a file: in messages they are quoted, and cut if they are long.
std::string tensor_text(std::string_view name);

struct Contents {
  std::vector<NamedTensor> tensors;
  std::map<std::string, std::string> metadata;
};

// Each throws Error, with the tensor where there is one. The tensors together may take `max_bytes`.
bool is_safetensors(std::string_view bytes);
Contents decode_safetensors(std::string_view bytes, int64_t max_bytes);

bool is_zip(std::string_view bytes);
Contents decode_npz(std::string_view bytes, int64_t max_bytes);

}  // namespace refrain::weights
