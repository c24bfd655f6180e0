#include "frontend/equations/parameters.h"

#include <cmath>
#include <filesystem>

#include "ir/shape.h"

namespace refrain::equations {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  return to_string(Shape::of_extents(shape));
}

// Sebastiano Vigna's splitmix64 (https://prng.di.unimi.it/splitmix64.c, public domain).
uint64_t splitmix(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// 64-bit FNV-1a.
uint64_t hash_of(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

Tensor converted(const std::vector<double>& values, ElementType type, std::vector<int64_t> shape) {
  Tensor result(type, std::move(shape));
  visit(type, [&]<typename T>(std::type_identity<T>) {
    const std::span<T> elements = result.data<T>();
    for (size_t i = 0; i < elements.size(); ++i) {
      if constexpr (std::is_same_v<T, bool>) {
        elements[i] = values[i] != 0;
      } else if constexpr (std::is_integral_v<T>) {
        elements[i] = static_cast<T>(static_cast<int64_t>(values[i]));
      } else {
        elements[i] = static_cast<T>(static_cast<float>(values[i]));
        if constexpr (std::is_same_v<T, double>) elements[i] = values[i];
      }
    }
  });
  return result;
}

}  // namespace

std::string joined(const std::string& prefix, const std::string& name) {
  return prefix.empty() || prefix.back() == '.' ? prefix + name : prefix + "." + name;
}

void Parameters::open(const std::string& path) {
  opened_ = true;
  file_ = WeightFile::open(path, max_bytes_);
  file_name_ = std::filesystem::path(path).filename().string();
  for (const NamedTensor& tensor : file_->tensors()) index_[tensor.name] = &tensor;
}

void Parameters::set_uniform(uint64_t seed, std::optional<double> scale) {
  seed_ = seed;
  scale_ = scale;
}

std::string Parameters::next_prefix(const std::string& scope, const std::string& name) {
  const int use = ++uses_[scope + "/" + name];
  return use == 1 ? name : name + "_" + std::to_string(use);
}

const NamedTensor* Parameters::find(const std::vector<std::string>& names) const {
  for (const std::string& name : names) {
    if (const auto at = index_.find(name); at != index_.end()) return at->second;
  }
  return nullptr;
}

std::optional<std::vector<int64_t>> Parameters::shape(const std::vector<std::string>& names,
                                                      size_t parts) const {
  const NamedTensor* const found = find(names);
  if (!found) return std::nullopt;
  std::vector<int64_t> shape = found->tensor->extents();
  const auto count = static_cast<int64_t>(parts);
  if (parts > 1 && (shape.empty() || shape[0] % count != 0)) return std::nullopt;
  if (parts > 1) shape[0] /= count;
  return shape;
}

Weight Parameters::get(const ParameterRequest& request) {
  const std::string key =
      request.names[0] + "#" + std::to_string(request.part) + "/" + std::to_string(request.parts);
  const auto made = made_.find(key);
  if (made != made_.end()) {
    if (made->second.tensor->extents() != request.shape) {
      fail(request.use,
           "'" + request.shown + "' is " + shape_text(request.shape) + " here, and " +
               shape_text(made->second.tensor->extents()) + " where " + request.names[0] +
               " is used before",
           "give one of them another prefix: weights \"...\"");
    }
    return made->second;
  }
  if (poisoned()) throw Poisoned{};
  if (!file_ && !seed_) {
    fail(request.use, "'" + request.shown + "' is a parameter, and the model has no weights",
         "expected a statement: weights \"FILE.safetensors\", or weights uniform(seed = 1)");
  }
  std::string name = request.names[0];
  if (request.parts > 1) name = name + "." + request.shown;
  Weight weight{file_ ? from_file(request) : random(request), name};
  made_.emplace(key, weight);
  return weight;
}

void Parameters::charge(const ParameterRequest& request, int64_t bytes) {
  if (bytes > max_bytes_ - used_) {
    fail(request.use,
         "the parameters are too large with '" + request.shown + "' " + shape_text(request.shape),
         "expected at most " + std::to_string(max_bytes_) + " bytes");
  }
  used_ += bytes;
}

// For `cell_2.W` where the file has `cell.W`.
std::string Parameters::note_on_later_use(const std::string& name) const {
  const size_t dot = name.find('.');
  const size_t bar = dot == std::string::npos ? dot : name.rfind('_', dot);
  if (bar == std::string::npos || bar + 1 == dot) return {};
  if (name.find_first_not_of("0123456789", bar + 1) != dot) return {};
  const std::string first = name.substr(0, bar);
  if (!index_.contains(first + name.substr(dot))) return {};
  return "a second use has parameters of its own; with weights \"" + first +
         "\" it shares the first one's";
}

TensorPtr Parameters::from_file(const ParameterRequest& request) {
  const NamedTensor* const found = find(request.names);
  if (!found) {
    const std::vector<std::string> known = file_->names();
    std::string note = note_on_later_use(request.names[0]);
    if (note.empty()) note = suggestion(request.names[0], known);
    if (note.empty() && !known.empty()) {
      note = "it has " + known[0];
      for (size_t i = 1; i < known.size() && i < 4; ++i) note += ", " + known[i];
      if (known.size() > 4) note += ", ...";
    }
    fail(request.use, "no tensor '" + request.names[0] + "' in " + file_name_, note);
  }
  std::vector<int64_t> whole = request.shape;
  if (request.parts > 1) whole[0] *= static_cast<int64_t>(request.parts);
  const Tensor& tensor = *found->tensor;
  if (tensor.extents() != whole) {
    fail(request.use, "'" + request.shown + "' must be " + shape_text(request.shape) +
                          (request.parts > 1 ? ", a part of " + shape_text(whole) : "") + ", and " +
                          found->name + " in " + file_name_ + " is " +
                          shape_text(tensor.extents()));
  }
  if (request.parts == 1 && tensor.type() == request.element) return found->tensor;
  if (is_float(tensor.type()) != is_float(request.element)) {
    fail(request.use, "'" + request.shown + "' must be " + std::string(name(request.element)) +
                          ", and " + found->name + " in " + file_name_ + " is " +
                          std::string(name(tensor.type())));
  }
  charge(request, byte_count(request.element, request.shape));
  const std::vector<double> values = tensor.view().as_doubles();
  const auto count = static_cast<std::ptrdiff_t>(element_count(request.shape));
  const auto begin = values.begin() + count * static_cast<std::ptrdiff_t>(request.part);
  return std::make_shared<const Tensor>(
      converted({begin, begin + count}, request.element, request.shape));
}

TensorPtr Parameters::random(const ParameterRequest& request) {
  int64_t bytes = 0;
  try {
    bytes = byte_count(ElementType::f64, request.shape);
  } catch (const Error&) {
    bytes = max_bytes_ + 1;
  }
  charge(request, bytes);
  const double extent = request.shape.empty() ? 1 : static_cast<double>(request.shape.back());
  const double scale = scale_ ? *scale_ : 1 / std::sqrt(std::max(1.0, extent));
  std::string name = request.names[0];
  if (request.parts > 1) name += "." + request.shown;
  uint64_t state = *seed_ ^ hash_of(name);
  std::vector<double> values(static_cast<size_t>(element_count(request.shape)));
  for (double& value : values) {
    const double unit = static_cast<double>(splitmix(state) >> 11) * 0x1p-53;
    value = static_cast<double>(static_cast<float>(scale * (2 * unit - 1)));
  }
  return std::make_shared<const Tensor>(converted(values, request.element, request.shape));
}

}  // namespace refrain::equations
