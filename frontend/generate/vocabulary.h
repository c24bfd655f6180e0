// The symbols that a model reads and writes, and text made of them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace refrain::generate {

// A vocabulary in a file is one of
//   text   one symbol a line, the first is symbol 0; \n, \t, \r and \\ stand for a newline, a
//          tabulator, a carriage return and a backslash (a line of one backslash too)
//   JSON   ["a", "b"], or {"a": 0, "b": 1} with every number once, or
//          {"symbols": [...], "separator": " ", "start": "<s>", "end": "</s>"}, all but the first
//          optional
// A file whose first character is [ or { and that is JSON is JSON.
class Vocabulary {
 public:
  // No symbol may be empty or come twice. Throws Error.
  explicit Vocabulary(std::vector<std::string> symbols, std::string separator = {});
  static Vocabulary parse(std::string_view text);
  // Throws Error with the file.
  static Vocabulary open(const std::string& path);

  size_t size() const { return symbols_.size(); }
  const std::string& symbol(size_t i) const { return symbols_[i]; }
  std::optional<size_t> find(std::string_view symbol) const;
  // find, or Error.
  size_t at(std::string_view symbol) const;

  // What stands between symbols in a text: nothing, or a space for words.
  const std::string& separator() const { return separator_; }
  std::optional<size_t> start() const { return start_; }  // fed before all others
  std::optional<size_t> end() const { return end_; }      // stands for the end of the text

  // The symbols of a text: the longest that fits, one after the other; or what lies between
  // separators. Throws Error, with the place, where there is none.
  std::vector<size_t> encode(std::string_view text) const;

 private:
  std::vector<std::string> symbols_;
  std::map<std::string, size_t, std::less<>> index_;
  std::string separator_;
  size_t longest_ = 0;
  std::optional<size_t> start_, end_;
};

}  // namespace refrain::generate
