// The one exception type of Refrain. Installed as <refrain/error.h>.
#pragma once
// The installed header and the one in the source tree are two files.
#ifndef REFRAIN_ERROR_H
#define REFRAIN_ERROR_H

#include <exception>
#include <string>

// What a shared library exports; all else in it is hidden.
#ifndef REFRAIN_API
#define REFRAIN_API __attribute__((visibility("default")))
#endif

namespace refrain {

// What went wrong while loading, compiling or preparing a model.
//
// The layer that finds a problem states it (problem, expected, found); each layer that the
// exception passes on its way out adds what it knows (op and node, then file), if nothing closer
// has said so yet. what() reads: `FILE: node "NAME" (OP): PROBLEM: expected E, found F`, parts
// without a value left out.
class REFRAIN_API Error : public std::exception {
 public:
  explicit Error(std::string problem, std::string expected = {}, std::string found = {});

  // Adds context; the innermost call wins, so that a rethrow through several layers keeps the most
  // precise place. `op` may be empty.
  Error& at_node(const std::string& name, const std::string& op);
  Error& in_file(const std::string& file);

  const char* what() const noexcept override { return message_.c_str(); }

  const std::string& problem() const { return problem_; }
  const std::string& expected() const { return expected_; }
  const std::string& found() const { return found_; }
  const std::string& node() const { return node_; }
  const std::string& op() const { return op_; }
  const std::string& file() const { return file_; }

 private:
  void compose();

  std::string problem_, expected_, found_, node_, op_, file_, message_;
};

}  // namespace refrain

#endif  // REFRAIN_ERROR_H
