// Whole files in and out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace refrain {

// The bytes of a regular file. Throws Error, with the file, if there is none, it can't be read, or
// it has more than `max_bytes`.
std::string read_file(const std::string& path, int64_t max_bytes);

// Replaces or makes the file. Throws Error, with the file, if that fails.
void write_file(const std::string& path, std::string_view bytes);

}  // namespace refrain
