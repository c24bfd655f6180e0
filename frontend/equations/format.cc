#include "frontend/equations/format.h"

#include <algorithm>

#include "frontend/equations/parser.h"
#include "frontend/equations/utf8.h"

namespace refrain::equations {
namespace {

// Equations are aligned up to this difference of the widths of their left sides.
constexpr size_t kMaxAlignment = 12;
// Comments behind neighbouring lines are aligned up to this difference of the lines' widths.
constexpr size_t kMaxCommentAlignment = 40;

struct Line {
  std::string text;     // without indentation; empty: a blank line
  std::string comment;  // at the end, or alone
  size_t column = 0;    // where the comment begins, behind text
  size_t equals = 0;    // where an equation's `=` stands in a cell, in code points; 0: nowhere
  int indent = 0;
  bool continued = false;  // inside of brackets that an earlier line opened
  bool cell = false;       // a cell's first line
};

bool is_operator(std::string_view text) {
  return text == "=" || text == "+" || text == "-" || text == "==" || text == "<" || text == "<=" ||
         text == ">" || text == ">=";
}

class Formatter {
 public:
  explicit Formatter(const Source& source) : source_(source) {
    std::vector<Problem> problems;
    parse(source, problems);
    if (problems.empty()) tokens_ = tokenize(source, problems);
    if (!problems.empty()) throw_problems(source, std::move(problems));
  }

  std::string run() {
    read_lines();
    align();
    align_comments();
    std::string result;
    bool blank = true, in_cell = false;  // no blank line at the start
    for (size_t i = 0; i < lines_.size(); ++i) {
      const Line& line = lines_[i];
      if (line.text.empty() && line.comment.empty()) {
        if (!blank) pending_blank_ = true;
        continue;
      }
      const bool leaves_cell = in_cell && line.indent == 0 && !line.continued;
      // Comments just above a cell belong to it.
      if ((cell_follows(i) || leaves_cell) && !blank && !comment_above(i)) pending_blank_ = true;
      if (pending_blank_) result += "\n";
      pending_blank_ = blank = false;
      if (line.cell) in_cell = true;
      if (leaves_cell && !line.cell) in_cell = false;
      std::string text(static_cast<size_t>(line.indent), ' ');
      text += line.text;
      if (!line.comment.empty()) {
        if (!line.text.empty()) text += std::string(line.column - width(line), ' ');
        text += line.comment;
      }
      result += text + "\n";
    }
    return result;
  }

 private:
  // A cell's first line stands at i, or below comments that begin at i.
  bool cell_follows(size_t i) const {
    while (i < lines_.size() && lines_[i].text.empty() && !lines_[i].comment.empty() &&
           lines_[i].indent == 0) {
      ++i;
    }
    return i < lines_.size() && lines_[i].cell;
  }
  bool comment_above(size_t i) const {
    return i > 0 && lines_[i - 1].text.empty() && !lines_[i - 1].comment.empty() &&
           lines_[i - 1].indent == 0;
  }

  void read_lines() {
    size_t comment = 0, depth = 0;
    size_t current = 0;  // the number of the line in the source; 0: none yet
    int indent = 0;
    const Token* previous = nullptr;
    bool in_statement = false;
    // Goes to the line of the source that an offset lies in.
    const auto go_to = [&](uint32_t offset) {
      const size_t number = source_.line(offset);
      if (number == current) return;
      if (current > 0 && number > current + 1) lines_.emplace_back();
      current = number;
      Line line;
      line.continued = in_statement;
      line.indent = line.continued ? indent + 4 : indent;
      lines_.push_back(std::move(line));
      previous = nullptr;
    };
    const auto comments_before = [&](uint32_t offset, bool dedents) {
      while (comment < tokens_.comments.size() && tokens_.comments[comment].range.begin < offset) {
        const Comment& next = tokens_.comments[comment++];
        go_to(next.range.begin);
        // Between two blocks a comment belongs to the one that it is indented like.
        if (next.own_line && !lines_.back().continued) {
          const bool outside = source_.begins_line(next.range.begin);
          if (outside && dedents) lines_.back().indent = 0;
        }
        lines_.back().comment = std::string(source_.text(next.range));
      }
    };
    for (size_t i = 0; i < tokens_.tokens.size(); ++i) {
      const Token& token = tokens_.tokens[i];
      if (token.kind == TokenKind::indent) {
        indent = 2;
        continue;
      }
      if (token.kind == TokenKind::dedent || token.kind == TokenKind::end) {
        comments_before(token.range.begin, true);
        indent = 0;
        continue;
      }
      if (token.kind == TokenKind::newline) {
        comments_before(token.range.begin, false);
        in_statement = false;
        previous = nullptr;
        continue;
      }
      // What opens a block stands behind the comments in front of it.
      comments_before(token.range.begin, false);
      const bool first = !in_statement;
      go_to(token.range.begin);
      in_statement = true;
      Line& line = lines_.back();
      if (first)
        line.cell = token.kind == TokenKind::name && token.text == "cell" && indent == 0 &&
                    tokens_.tokens[i + 1].kind == TokenKind::name;
      if (token.kind == TokenKind::symbol && (token.text == ")" || token.text == "]")) {
        depth -= depth > 0;
      }
      if (previous && space_between(*previous, token, i, depth)) line.text += ' ';
      if (indent > 0 && depth == 0 && token.text == "=" && line.equals == 0) {
        line.equals = count_code_points(line.text);
      }
      if (token.kind == TokenKind::symbol && (token.text == "(" || token.text == "[")) ++depth;
      line.text += token.kind == TokenKind::symbol ? std::string(spelling(token))
                                                   : std::string(source_.text(token.range));
      previous = &token;
    }
  }

  // Products stay as they were written, `·` or `@`; other signs have one spelling.
  std::string_view spelling(const Token& token) const {
    const std::string_view written = source_.text(token.range);
    return written == "@" || written == "⊙" ? written : token.text;
  }

  // A minus behind an operator or an opening bracket is a sign.
  bool is_sign(size_t i) const {
    if (tokens_.tokens[i].text != "-" || tokens_.tokens[i].kind != TokenKind::symbol) return false;
    if (i == 0) return true;
    const Token& before = tokens_.tokens[i - 1];
    if (before.kind == TokenKind::symbol) return before.text != ")" && before.text != "]";
    return before.kind != TokenKind::name && before.kind != TokenKind::number;
  }

  bool space_between(const Token& left, const Token& right, size_t i, size_t depth) const {
    const auto symbol = [](const Token& token, std::string_view text) {
      return token.kind == TokenKind::symbol && token.text == text;
    };
    if (symbol(left, "(") || symbol(left, "[") || symbol(right, ")") || symbol(right, "]") ||
        symbol(right, ",")) {
      return false;
    }
    if (symbol(left, ",")) return true;
    // Slices are tight; types and labels have one space behind.
    if (symbol(right, ":")) return false;
    if (symbol(left, ":")) return depth == 0;
    if (right.kind == TokenKind::symbol && is_operator(right.text)) {
      return !is_sign(i) || !tight(left);
    }
    if (left.kind == TokenKind::symbol && is_operator(left.text)) return !is_sign(i - 1);
    if (symbol(right, "(")) {
      // A call's bracket follows its name; `over (a, b)` is no call.
      return left.kind == TokenKind::name && keyword(left.text);
    }
    if (symbol(right, "[")) return left.kind == TokenKind::name && keyword(left.text);
    return left.kind != TokenKind::symbol && right.kind != TokenKind::symbol
               ? true
               : (symbol(left, ")") || symbol(left, "]")) && right.kind != TokenKind::symbol;
  }

  static bool tight(const Token& left) {
    return left.text == "·" || left.text == "*" || left.text == "/" || left.text == "^";
  }
  static bool keyword(std::string_view text) {
    for (const std::string_view word :
         {"over", "from", "given", "param", "start", "until", "length", "reverse", "lengths"}) {
      if (text == word) return true;
    }
    return false;
  }

  // Pads the left sides of neighbouring equations of a cell.
  void align() {
    for (size_t i = 0; i < lines_.size();) {
      if (lines_[i].equals == 0 || lines_[i].continued) {
        ++i;
        continue;
      }
      size_t end = i, least = SIZE_MAX, most = 0;
      while (end < lines_.size() && lines_[end].equals > 0 && !lines_[end].continued &&
             lines_[end].indent > 0) {
        least = std::min(least, lines_[end].equals);
        most = std::max(most, lines_[end].equals);
        ++end;
      }
      for (size_t k = i; k < end && most - least <= kMaxAlignment; ++k) pad(lines_[k], most);
      i = std::max(end, i + 1);
    }
  }

  static size_t width(const Line& line) {
    return static_cast<size_t>(line.indent) + count_code_points(line.text);
  }

  void align_comments() {
    const auto has_both = [&](size_t i) {
      return i < lines_.size() && !lines_[i].text.empty() && !lines_[i].comment.empty();
    };
    for (size_t i = 0; i < lines_.size();) {
      if (!has_both(i)) {
        ++i;
        continue;
      }
      const size_t begin = i;
      size_t least = width(lines_[i]), most = least;
      for (++i; has_both(i) && lines_[i].indent == lines_[begin].indent && !lines_[i].cell; ++i) {
        least = std::min(least, width(lines_[i]));
        most = std::max(most, width(lines_[i]));
      }
      const bool aligned = most - least <= kMaxCommentAlignment;
      for (size_t k = begin; k < i; ++k) lines_[k].column = (aligned ? most : width(lines_[k])) + 2;
    }
  }

  static void pad(Line& line, size_t column) {
    size_t at = 0;
    for (size_t points = 0; points < line.equals; ++points) next_code_point(line.text, at);
    line.text.insert(at, column - line.equals, ' ');
    line.equals = column;
  }

  const Source& source_;
  Tokens tokens_;
  std::vector<Line> lines_;
  bool pending_blank_ = false;
};

}  // namespace

std::string format(const std::string& name, const std::string& text) {
  const Source source(name, text);
  return Formatter(source).run();
}

}  // namespace refrain::equations
