#include "frontend/equations/source.h"

#include <algorithm>

#include "frontend/equations/utf8.h"

namespace refrain::equations {
namespace {

// Code points of a line that a message shows.
constexpr size_t kMaxShown = 160;

// Code points, with those that would spoil a terminal's line replaced; each as wide as one column
// (as far as one can tell).
std::vector<std::string> printable(std::string_view text) {
  std::vector<std::string> result;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    const bool control = c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) ||
                         (c >= 0x2066 && c <= 0x2069);
    result.push_back(c == '\t' ? " " : control ? "?" : std::string(text.substr(begin, at - begin)));
  }
  return result;
}

// Twice the number of edits that make one of the other; a letter in another case is half an edit.
size_t edit_distance(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = 2 * j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = 2 * i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const char x = a[i - 1], y = b[j - 1];
      const size_t replaced = diagonal + (x == y ? 0 : lower(x) == lower(y) ? 1 : 2);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 2, row[j - 1] + 2});
    }
  }
  return row[b.size()];
}

}  // namespace

void fail(Range range, std::string message, std::string note) {
  throw Failure{{range, std::move(message), std::move(note)}};
}

Source::Source(std::string name, std::string text)
    : name_(std::move(name)), text_(std::move(text)) {
  if (text_.size() > kMaxTextBytes) {
    throw TextError(name_ + ": error: text too large: expected at most " +
                    std::to_string(kMaxTextBytes) + " bytes, found " +
                    std::to_string(text_.size()));
  }
  if (text_.starts_with("\xEF\xBB\xBF")) text_.erase(0, 3);
  size_t line = 1, column = 1;
  lines_.push_back(0);
  for (size_t at = 0; at < text_.size(); ++column) {
    const size_t begin = at;
    if (next_code_point(text_, at) == kInvalid) {
      throw TextError(name_ + ":" + std::to_string(line) + ":" + std::to_string(column) +
                      ": error: the text is not valid UTF-8");
    }
    if (text_[begin] == '\n') {
      lines_.push_back(static_cast<uint32_t>(at));
      ++line;
      column = 0;
    }
  }
}

Source::Position Source::position(uint32_t offset) const {
  const size_t number = line(offset);
  const uint32_t begin = lines_[number - 1];
  return {number, 1 + count_code_points(text().substr(begin, offset - begin))};
}

size_t Source::line(uint32_t offset) const {
  const auto after = std::upper_bound(lines_.begin(), lines_.end(), offset);
  return static_cast<size_t>(after - lines_.begin());
}

std::string Source::describe(const Problem& problem) const {
  const Position place = position(problem.range.begin);
  const size_t begin = lines_[place.line - 1];
  std::string_view line = text().substr(begin, text().find('\n', begin) - begin);
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::vector<std::string> shown = printable(line);
  // The part of a long line that holds the place.
  const size_t column = place.column - 1;
  const size_t first = column < kMaxShown / 2 ? 0 : column - kMaxShown / 2;
  const size_t last = std::min(shown.size(), first + kMaxShown);
  std::string part;
  for (size_t i = first; i < last; ++i) part += shown[i];
  while (!part.empty() && part.back() == ' ') part.pop_back();
  const size_t end = std::min<size_t>(problem.range.end, begin + line.size());
  size_t width =
      end > problem.range.begin
          ? count_code_points(text().substr(problem.range.begin, end - problem.range.begin))
          : 1;
  width = std::max<size_t>(1, std::min(width, last > column ? last - column : 1));

  const std::string number = std::to_string(place.line);
  std::string result = name_ + ":" + number + ":" + std::to_string(place.column) +
                       ": error: " + problem.message + "\n";
  result += "  " + number + " | " + part + "\n";
  result += "  " + std::string(number.size(), ' ') + " | " + std::string(column - first, ' ') +
            std::string(width, '^');
  if (!problem.note.empty()) result += " " + problem.note;
  return result;
}

void throw_problems(const Source& source, std::vector<Problem> problems) {
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return a.range.begin < b.range.begin;
  });
  std::string text;
  const size_t count = std::min(problems.size(), kMaxProblems);
  for (size_t i = 0; i < count; ++i) {
    text += (i > 0 ? "\n" : "") + source.describe(problems[i]);
  }
  if (count < problems.size()) {
    text += "\nand " + std::to_string(problems.size() - count) + " more errors";
  }
  throw TextError(text);
}

std::string nearest_name(std::string_view name, std::span<const std::string> known) {
  constexpr size_t kMaxName = 40;
  if (name.size() > kMaxName) return {};
  std::string best;
  size_t least = std::min<size_t>(6, 2 + 2 * ((name.size() + 1) / 3));  // to be less than
  if (name.size() < 2) return {};
  for (const std::string& candidate : known) {
    if (candidate.size() > kMaxName || candidate == name) continue;
    const size_t distance = edit_distance(name, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

std::string suggestion(std::string_view name, std::span<const std::string> known) {
  const std::string best = nearest_name(name, known);
  return best.empty() ? "" : "did you mean '" + best + "'?";
}

}  // namespace refrain::equations
