// Internal to `embed`: between the public types and the project's own.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/shape.h"
#include "ir/tensor.h"
#include "refrain/refrain.h"

namespace refrain::embed {

ElementType element_type(DataType type);
DataType data_type(ElementType type);

std::vector<int64_t> to_vector(const Extents& extents);
// Throws Error if the shape has more axes than Extents takes.
Extents to_extents(const std::vector<int64_t>& extents);

// The type must be a tensor's.
TensorInfo tensor_info(const std::string& name, const ValueType& type);
TensorInfo tensor_info(const std::string& name, DataType type, const Extents& extents);

// `f32[1, 64]`.
std::string text_of(const ConstView& view);
int64_t bytes_of(const ConstView& view);

// The place of a name in `infos`. Throws Error that lists what there is: "the model has no input
// "X"", where `what` is "the model has no input".
template <typename Info>
size_t find_name(const std::vector<Info>& infos, std::string_view name, const char* what);

// Throws Error unless the view fits: type, extents, not null, aligned for its elements. `what`
// names it: `input "x"`.
void check_view(const ConstView& view, DataType type, const Extents& extents,
                const std::string& what);

// A list of names for messages: `"a", "b"`, or `none`.
std::string list_names(const std::vector<std::string>& names);

template <typename Info>
size_t find_name(const std::vector<Info>& infos, std::string_view name, const char* what) {
  for (size_t i = 0; i < infos.size(); ++i) {
    if (infos[i].name == name) return i;
  }
  std::vector<std::string> names;
  for (const Info& info : infos) names.push_back(info.name);
  throw Error(what + (" \"" + std::string(name) + "\""),
              (names.size() > 1 ? "one of " : "") + list_names(names));
}

}  // namespace refrain::embed
