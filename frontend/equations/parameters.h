// Where the parameters' elements come from: a file of named tensors, or random numbers.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "frontend/equations/source.h"
#include "frontend/weights/weight_file.h"
#include "ir/tensor.h"

namespace refrain::equations {

// A parameter's tensor with the name that it has in the graph.
struct Weight {
  TensorPtr tensor;
  std::string name;
};

// What asks for a parameter.
struct ParameterRequest {
  // Names in the file, the first that is there counts; the first of all names it in messages.
  std::vector<std::string> names;
  std::string shown;           // as the equations call it
  std::vector<int64_t> shape;  // of the parameter, or of one part
  size_t part = 0, parts = 1;  // of the file's tensor, whose rows are cut into equal parts
  ElementType element = ElementType::f32;
  Range use;
};

class Parameters {
 public:
  // All tensors together may take `max_bytes`.
  explicit Parameters(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // Throws Error if the file is not good; parameters are Poisoned then.
  void open(const std::string& path);
  bool poisoned() const { return opened_ && !file_; }
  // Uniform in [-scale, scale); without a scale 1/sqrt(n), n the last extent. Elements depend on
  // the seed and the name only.
  void set_uniform(uint64_t seed, std::optional<double> scale);

  // The shape of the tensor, or of one of its parts, if a file has one of these names.
  std::optional<std::vector<int64_t>> shape(const std::vector<std::string>& names,
                                            size_t parts) const;
  // Throws Failure if there is no such tensor, or not of this shape; Poisoned.
  Weight get(const ParameterRequest& request);

  // The prefix of the n-th use of a cell or function: its name, with `_2`, `_3`... appended.
  std::string next_prefix(const std::string& scope, const std::string& name);

 private:
  const NamedTensor* find(const std::vector<std::string>& names) const;
  std::string note_on_later_use(const std::string& name) const;
  TensorPtr from_file(const ParameterRequest& request);
  TensorPtr random(const ParameterRequest& request);
  void charge(const ParameterRequest& request, int64_t bytes);

  int64_t max_bytes_, used_ = 0;
  bool opened_ = false;
  std::optional<WeightFile> file_;
  std::string file_name_;
  std::map<std::string, const NamedTensor*, std::less<>> index_;
  std::optional<uint64_t> seed_;
  std::optional<double> scale_;
  std::map<std::string, Weight> made_;
  std::map<std::string, int> uses_;
};

// `prefix.name`; a prefix that ends in a dot or is empty stands as it is.
std::string joined(const std::string& prefix, const std::string& name);

}  // namespace refrain::equations
