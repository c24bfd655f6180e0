#include "frontend/io/file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "ir/error.h"

namespace refrain {
namespace {

[[noreturn]] void fail(const std::string& path, std::string problem, std::string expected = {},
                       std::string found = {}) {
  throw Error(std::move(problem), std::move(expected), std::move(found)).in_file(path);
}

}  // namespace

std::string read_file(const std::string& path, int64_t max_bytes) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) fail(path, "no such file");
  // A pipe or a device may block or never end.
  if (!std::filesystem::is_regular_file(status)) fail(path, "not a regular file");
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) fail(path, "cannot read the file: " + error.message());
  if (size > static_cast<std::uintmax_t>(max_bytes)) {
    fail(path, "file too large", "at most " + std::to_string(max_bytes) + " bytes",
         std::to_string(size));
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) fail(path, std::string("cannot read the file: ") + std::strerror(errno));
  std::string bytes(static_cast<size_t>(size), '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(size));
  if (static_cast<std::uintmax_t>(in.gcount()) != size) fail(path, "cannot read the whole file");
  return bytes;
}

void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (!out) fail(path, std::string("cannot write the file: ") + std::strerror(errno));
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) fail(path, "cannot write the whole file");
}

}  // namespace refrain
