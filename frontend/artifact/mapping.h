// Files mapped into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace refrain::artifact {

// Read-only bytes; whoever has them keeps them mapped.
struct Bytes {
  std::shared_ptr<const char> data;
  size_t size = 0;
};

// Maps a regular file of at most `max_bytes`. Pages are read when they are touched and are shared
// by all processes that map the file. Nobody may shorten the file or write into it meanwhile;
// replacing it by renaming another is fine. Throws Error, with the file.
Bytes map_file(const std::string& path, int64_t max_bytes);

// A copy in memory, at a multiple of 64.
Bytes copy_bytes(std::string_view bytes);

}  // namespace refrain::artifact
