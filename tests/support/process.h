// Running a program.
#pragma once

#include <string>
#include <vector>

namespace refrain::testing {

struct ProcessResult {
  int exit_code = -1;  // 128 + the signal's number if one ended it
  std::string out, err;
};

// Runs a program with arguments (no shell in between) and waits for it; stdin is empty.
ProcessResult run_process(const std::string& program, const std::vector<std::string>& arguments);

// A folder that is made empty and removed again.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace refrain::testing
