// The text of a model description, places in it, and what is wrong there.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/error.h"

namespace refrain::equations {

// Bytes [begin, end) of a text.
struct Range {
  uint32_t begin = 0, end = 0;
};

inline Range join(Range a, Range b) { return {a.begin, b.end > a.end ? b.end : a.end}; }

// Larger texts are refused; ranges are 32 bits wide.
inline constexpr size_t kMaxTextBytes = size_t{4} << 20;

// More are not looked for.
inline constexpr size_t kMaxProblems = 20;

// One thing that is wrong. `note` says what would be right; it may be empty.
struct Problem {
  Range range;
  std::string message, note;
};

// Thrown where a statement cannot go on; whoever handles statements collects it.
struct Failure {
  Problem problem;
};

// Thrown where something is needed whose definition has failed: there is nothing more to say.
struct Poisoned {};

[[noreturn]] void fail(Range range, std::string message, std::string note = {});

// What load() throws for a bad text: what() is all messages, each with file, line and column, the
// line itself and a mark under the place, ready to be printed as it is.
class TextError : public Error {
 public:
  using Error::Error;
};

// A text that is valid UTF-8 and no larger than kMaxTextBytes; the constructor throws TextError
// otherwise. A byte order mark at its start is left out.
class Source {
 public:
  Source(std::string name, std::string text);

  const std::string& name() const { return name_; }
  std::string_view text() const { return text_; }
  std::string_view text(Range range) const {
    return text().substr(range.begin, range.end - range.begin);
  }

  struct Position {
    size_t line, column;  // from 1; columns count code points
  };
  // Takes time in proportion to the line's length.
  Position position(uint32_t offset) const;
  size_t line(uint32_t offset) const;  // from 1
  bool begins_line(uint32_t offset) const { return lines_[line(offset) - 1] == offset; }

  // `FILE:LINE:COLUMN: error: MESSAGE`, the line, the mark with the note.
  std::string describe(const Problem& problem) const;

 private:
  std::string name_, text_;
  std::vector<uint32_t> lines_;  // where they begin
};

// Everything found wrong, thrown as one TextError, at most 20 in the order of the text.
[[noreturn]] void throw_problems(const Source& source, std::vector<Problem> problems);

// The name among `known` that `name` was probably meant to be: by edit distance; empty if none is
// near.
std::string nearest_name(std::string_view name, std::span<const std::string> known);
// `did you mean 'sigmoid'?`, or nothing.
std::string suggestion(std::string_view name, std::span<const std::string> known);

}  // namespace refrain::equations
