#include "frontend/artifact/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ir/error.h"
#include "ir/tensor.h"

namespace refrain::artifact {
namespace {

class Descriptor {
 public:
  explicit Descriptor(const std::string& path)
      : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Error system_error(const std::string& path, const char* problem) {
  Error error(std::string(problem) + ": " + std::strerror(errno));
  error.in_file(path);
  return error;
}

}  // namespace

Bytes map_file(const std::string& path, int64_t max_bytes) {
  const Descriptor file(path);
  struct stat status {};
  if (file.get() < 0 || fstat(file.get(), &status) != 0) {
    throw system_error(path, "cannot read the file");
  }
  if (!S_ISREG(status.st_mode)) throw Error("not a regular file").in_file(path);
  if (status.st_size > max_bytes) {
    throw Error("file too large", "at most " + std::to_string(max_bytes) + " bytes",
                std::to_string(status.st_size))
        .in_file(path);
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return {};
  void* const data = mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) throw system_error(path, "cannot map the file");
  return {{static_cast<const char*>(data),
           [size](const char* begin) { munmap(const_cast<char*>(begin), size); }},
          size};
}

Bytes copy_bytes(std::string_view bytes) {
  const auto copy = std::make_shared<Tensor>(
      ElementType::u8, std::vector<int64_t>{static_cast<int64_t>(bytes.size())});
  if (!bytes.empty()) std::memcpy(copy->raw(), bytes.data(), bytes.size());
  return {{copy, static_cast<const char*>(copy->raw())}, bytes.size()};
}

}  // namespace refrain::artifact
