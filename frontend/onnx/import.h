// ONNX models to graphs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ir/error.h"
#include "ir/graph.h"

namespace refrain::onnx_import {

struct ImportOptions {
  // Bytes that the file together with its external data may have.
  int64_t max_bytes = int64_t{4} << 30;
};

struct Imported {
  std::unique_ptr<Graph> graph;  // verified
  // Claims of the file that its own ops contradict and that nothing depends on, such as a wrong
  // declared shape of an output. One line each.
  std::vector<std::string> warnings;
};

// The model uses ops or attributes that Refrain does not support: all of them, with their counts.
class UnsupportedError : public Error {
 public:
  using Items = std::vector<std::pair<std::string, int64_t>>;  // "Op" or "Op attribute x = y"
  explicit UnsupportedError(Items items);
  const Items& items() const { return items_; }

 private:
  Items items_;
};

// Reads an .onnx file. External data is read only from files inside the model's own folder. Throws
// Error that names file and node; UnsupportedError if that is all that is wrong.
Imported import_file(const std::string& path, const ImportOptions& options = {});

// The same from memory; `name` stands for the file in messages; external data is refused.
Imported import_bytes(std::string_view bytes, const std::string& name,
                      const ImportOptions& options = {});

}  // namespace refrain::onnx_import
