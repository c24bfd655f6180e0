// Models described by equations (docs/language.md).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "frontend/equations/source.h"
#include "ir/graph.h"

namespace refrain::equations {

struct LoadOptions {
  // Where the weights file is looked for; empty: the working directory.
  std::string folder;
  // All parameters together.
  int64_t max_bytes = int64_t{4} << 30;
};

// The graph that a description's text stands for, verified. `name` is the file's, for messages.
// Throws TextError; Error if the weights file is not good.
std::unique_ptr<Graph> load(const std::string& name, std::string text,
                            const LoadOptions& options = {});
std::unique_ptr<Graph> load_file(const std::string& path, const LoadOptions& options = {});

// True if the file's first statement is one of the language.
bool looks_like_equations(std::string_view beginning);

}  // namespace refrain::equations
