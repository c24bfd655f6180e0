#include "ir/window.h"

#include <limits>

#include "ir/error.h"

namespace refrain {
namespace {

constexpr int64_t kMaxAttribute = std::numeric_limits<int32_t>::max();

std::vector<int64_t> read(const Node& node, AttributeName name, size_t count, int64_t default_value,
                          int64_t least) {
  const AttributeValue* value = node.find_attribute(name);
  if (!value || std::get<std::vector<int64_t>>(*value).empty()) {
    return std::vector<int64_t>(count, default_value);
  }
  const auto& values = std::get<std::vector<int64_t>>(*value);
  const std::string label = "attribute " + std::string(refrain::name(name));
  if (values.size() != count) {
    throw Error("wrong length of " + label, std::to_string(count), std::to_string(values.size()));
  }
  for (int64_t v : values) {
    if (v < least || v > kMaxAttribute) {
      throw Error(label + " out of range",
                  std::to_string(least) + ".." + std::to_string(kMaxAttribute), std::to_string(v));
    }
  }
  return values;
}

int64_t narrow(__int128 value) {
  if (value > std::numeric_limits<int64_t>::max() || value < 0) {
    throw Error("window gives an extent out of range", "0..2^63-1");
  }
  return static_cast<int64_t>(value);
}

__int128 dilated(const WindowAttributes& attributes, size_t i, int64_t kernel) {
  if (kernel < 1) throw Error("empty kernel", "an extent of 1 or more", std::to_string(kernel));
  return static_cast<__int128>(kernel - 1) * attributes.dilations[i] + 1;
}

// "Same" padding puts the odd element at the end (upper) or at the beginning (lower).
int64_t leading_half(const WindowAttributes& attributes, __int128 total) {
  if (total < 0) total = 0;
  const bool upper = attributes.auto_pad == WindowAttributes::AutoPad::same_upper;
  return narrow(upper ? total / 2 : total - total / 2);
}

}  // namespace

WindowAttributes window_attributes(const Node& node, size_t spatial) {
  WindowAttributes result;
  result.strides = read(node, AttributeName::strides, spatial, 1, 1);
  result.dilations = read(node, AttributeName::dilations, spatial, 1, 1);
  const std::vector<int64_t> pads = read(node, AttributeName::pads, 2 * spatial, 0, 0);
  result.pad_begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(spatial));
  result.pad_end.assign(pads.begin() + static_cast<std::ptrdiff_t>(spatial), pads.end());
  const std::string& auto_pad = node.string(AttributeName::auto_pad);
  if (auto_pad == "same_upper") {
    result.auto_pad = WindowAttributes::AutoPad::same_upper;
  } else if (auto_pad == "same_lower") {
    result.auto_pad = WindowAttributes::AutoPad::same_lower;
  } else if (auto_pad != "none") {
    throw Error("wrong attribute auto_pad", "none, same_upper or same_lower", auto_pad);
  }
  const AttributeValue* ceil_mode = node.find_attribute(AttributeName::ceil_mode);
  result.ceil_mode = ceil_mode && std::get<bool>(*ceil_mode);
  return result;
}

WindowAxis window_axis(const WindowAttributes& attributes, size_t i, int64_t input,
                       int64_t kernel) {
  const int64_t stride = attributes.strides[i];
  const __int128 span = dilated(attributes, i, kernel);
  if (attributes.auto_pad != WindowAttributes::AutoPad::none) {
    const int64_t output = input / stride + (input % stride != 0);
    return {output,
            leading_half(attributes, static_cast<__int128>(output - 1) * stride + span - input)};
  }
  const int64_t pad = attributes.pad_begin[i];
  const __int128 room = static_cast<__int128>(input) + pad + attributes.pad_end[i] - span;
  if (room < 0) {
    throw Error("the kernel is larger than the padded input", "at most " + std::to_string(input),
                std::to_string(kernel));
  }
  __int128 output = (attributes.ceil_mode ? room + stride - 1 : room) / stride + 1;
  // A window that rounding up added must begin inside the input or its leading padding.
  if (attributes.ceil_mode && (output - 1) * stride >= static_cast<__int128>(input) + pad) --output;
  return {narrow(output), pad};
}

WindowAxis transposed_window_axis(const WindowAttributes& attributes, size_t i, int64_t input,
                                  int64_t kernel, int64_t output_padding, int64_t output_shape) {
  if (input == 0) return {0, 0};
  const __int128 full = static_cast<__int128>(attributes.strides[i]) * (input - 1) +
                        output_padding + dilated(attributes, i, kernel);
  if (output_shape >= 0) return {output_shape, leading_half(attributes, full - output_shape)};
  if (attributes.auto_pad != WindowAttributes::AutoPad::none) {
    const int64_t output = narrow(static_cast<__int128>(input) * attributes.strides[i]);
    return {output, leading_half(attributes, full - output)};
  }
  return {narrow(full - attributes.pad_begin[i] - attributes.pad_end[i]), attributes.pad_begin[i]};
}

}  // namespace refrain
