#include "ir/error.h"

#include <utility>

namespace refrain {
namespace {

// Text from a file may be long or hold control bytes; neither may spoil a one-line message.
std::string printable(const std::string& text) {
  constexpr size_t kMaxLength = 400;
  std::string result;
  for (unsigned char c : text) {
    if (result.size() >= kMaxLength) return result + "...";
    result += c < 0x20 || c == 0x7f ? '?' : static_cast<char>(c);
  }
  return result;
}

}  // namespace

Error::Error(std::string problem, std::string expected, std::string found)
    : problem_(std::move(problem)), expected_(std::move(expected)), found_(std::move(found)) {
  compose();
}

Error& Error::at_node(const std::string& name, const std::string& op) {
  if (node_.empty() && op_.empty()) {
    node_ = name;
    op_ = op;
    compose();
  }
  return *this;
}

Error& Error::in_file(const std::string& file) {
  if (file_.empty()) {
    file_ = file;
    compose();
  }
  return *this;
}

void Error::compose() {
  message_.clear();
  if (!file_.empty()) message_ += printable(file_) + ": ";
  if (!node_.empty() || !op_.empty()) {
    message_ += "node";
    if (!node_.empty()) message_ += " \"" + printable(node_) + "\"";
    if (!op_.empty()) message_ += " (" + printable(op_) + ")";
    message_ += ": ";
  }
  // Problems composed by ourselves may span lines (a list of all unsupported ops).
  message_ += problem_;
  if (!expected_.empty()) message_ += ": expected " + printable(expected_);
  if (!found_.empty())
    message_ += (expected_.empty() ? ": found " : ", found ") + printable(found_);
}

}  // namespace refrain
