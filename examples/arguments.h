// The command lines of the examples: words, and options that say what a model leaves open.
#pragma once

#include <refrain/refrain.h>

#include <algorithm>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace examples {

// --state IN=OUT, --value NAME=NUMBER (an input that stays what it is) and --shape NAME=DxDxD go to
// the model and its sessions, any other --NAME NUMBER is an option of the example's own; the rest
// are words.
class Arguments {
 public:
  Arguments(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string word = argv[i];
      if (word.rfind("--", 0) != 0) {
        words.push_back(word);
        continue;
      }
      if (++i == argc) throw std::runtime_error(word + " needs a value");
      const std::string value = argv[i];
      const size_t equals = value.find('=');
      const bool pair = word == "--state" || word == "--value" || word == "--shape";
      if (pair && equals == std::string::npos)
        throw std::runtime_error(word + " takes NAME=VALUE, not " + value);
      if (word == "--state")
        load.states.emplace_back(value.substr(0, equals), value.substr(equals + 1));
      else if (word == "--value")
        values_[value.substr(0, equals)] = std::stod(value.substr(equals + 1));
      else if (word == "--shape")
        shapes_[value.substr(0, equals)] = extents(value.substr(equals + 1));
      else
        numbers_[word.substr(2)] = std::stod(value);
    }
  }

  double number(const std::string& name, double otherwise) const {
    const auto found = numbers_.find(name);
    return found == numbers_.end() ? otherwise : found->second;
  }

  // The values point into `kept`.
  refrain::Setup setup(const refrain::Model& model, std::vector<refrain::Array>& kept) const {
    refrain::Setup setup;
    setup.shapes.insert(shapes_.begin(), shapes_.end());
    kept.clear();
    kept.reserve(values_.size());
    for (const auto& [name, value] : values_)
      for (const refrain::TensorInfo& input : model.inputs()) {
        if (input.name != name) continue;
        kept.emplace_back(input.type, refrain::Extents{});
        if (input.type == refrain::DataType::i64)
          kept.back().data<int64_t>()[0] = static_cast<int64_t>(value);
        else
          kept.back().data<float>()[0] = static_cast<float>(value);
        setup.values[name] = kept.back();
      }
    return setup;
  }

  std::vector<std::string> words;
  refrain::LoadOptions load;

 private:
  static refrain::Extents extents(const std::string& text) {
    std::vector<int64_t> result;
    for (size_t at = 0; at <= text.size();) {
      const size_t end = std::min(text.find('x', at), text.size());
      result.push_back(std::stoll(text.substr(at, end - at)));
      at = end + 1;
    }
    return refrain::Extents(std::span<const int64_t>(result));
  }

  std::map<std::string, double> values_, numbers_;
  std::map<std::string, refrain::Extents> shapes_;
};

}  // namespace examples
