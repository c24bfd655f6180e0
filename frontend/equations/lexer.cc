#include "frontend/equations/lexer.h"

#include <iterator>

#include "frontend/equations/utf8.h"

namespace refrain::equations {
namespace {

bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }

// Letters of any script, as far as one can tell without tables: what is neither ASCII nor a known
// space, sign or punctuation. Combining marks are in, so that h with a tilde above is a name.
bool is_letter(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  if (c < 0xC0) return c == 0xAA || c == 0xB2 || c == 0xB3 || c == 0xB5 || c == 0xB9 || c == 0xBA;
  if (c == 0xD7 || c == 0xF7 || c == 0x3000 || c == 0xFEFF || c >= 0xE000) return false;
  const bool sign = (c >= 0x2000 && c < 0x2070) || (c >= 0x207A && c <= 0x207E) ||
                    (c >= 0x208A && c <= 0x208E) || (c >= 0x2190 && c < 0x2C00) ||
                    (c >= 0x2E00 && c < 0x3040);
  return !sign || c == 0x2032 || c == 0x2033;  // primes
}

// Signs outside ASCII that stand for one of ASCII's, or for the product.
std::string_view spelling(char32_t c) {
  switch (c) {
    case '@':
    case 0xB7:    // ·
    case 0x22C5:  // ⋅
    case 0x2219:  // ∙
      return "·";
    case 0x2299:  // ⊙
    case 0x2218:  // ∘
    case 0xD7:    // ×
      return "*";
    case 0x2212:  // −
      return "-";
    case 0x2264:
      return "<=";
    case 0x2265:
      return ">=";
    default:
      return {};
  }
}

class Tokenizer {
 public:
  Tokenizer(const Source& source, std::vector<Problem>& problems)
      : text_(source.text()), problems_(problems) {}

  Tokens run() {
    while (at_ < text_.size()) {
      if (line_start_ && !begin_line()) continue;
      next();
    }
    const Range end{static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(text_.size())};
    if (!brackets_.empty()) problem(brackets_.back(), "this bracket is never closed");
    end_statement(end);
    if (!indentation_.empty()) add(TokenKind::dedent, end, {});
    add(TokenKind::end, end, {});
    return std::move(result_);
  }

 private:
  void problem(Range range, std::string message, std::string note = {}) {
    if (problems_.size() < kMaxProblems) {
      problems_.push_back({range, std::move(message), std::move(note)});
    }
  }

  Range from(size_t begin) const {
    return {static_cast<uint32_t>(begin), static_cast<uint32_t>(at_)};
  }

  void add(TokenKind kind, Range range, std::string_view text) {
    result_.tokens.push_back({kind, range, text});
  }

  void end_statement(Range range) {
    const auto& tokens = result_.tokens;
    const bool open = !tokens.empty() && tokens.back().kind != TokenKind::newline &&
                      tokens.back().kind != TokenKind::indent &&
                      tokens.back().kind != TokenKind::dedent;
    if (open) add(TokenKind::newline, range, {});
  }

  // Reads spaces at a line's begin; false if nothing else stands in the line.
  bool begin_line() {
    const size_t begin = at_;
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    if (at_ < text_.size() && text_[at_] == '\r') {
      ++at_;
      return false;
    }
    if (at_ == text_.size()) return false;
    if (text_[at_] == '\n') {
      ++at_;
      return false;
    }
    if (text_[at_] == '#') {
      comment(true);
      return false;
    }
    line_start_ = false;
    const std::string_view spaces = text_.substr(begin, at_ - begin);
    const Range place = from(begin);
    if (spaces.empty()) {
      if (!indentation_.empty()) add(TokenKind::dedent, {place.end, place.end}, {});
      indentation_ = {};
    } else if (indentation_.empty()) {
      indentation_ = spaces;
      add(TokenKind::indent, {place.end, place.end}, {});
    } else if (indentation_ != spaces) {
      problem(place, "this line is indented otherwise than the one before",
              "expected the same spaces");
    }
    return true;
  }

  void comment(bool own_line) {
    const size_t begin = at_;
    at_ = std::min(text_.find('\n', at_), text_.size());
    size_t end = at_;
    while (end > begin &&
           (text_[end - 1] == ' ' || text_[end - 1] == '\t' || text_[end - 1] == '\r')) {
      --end;
    }
    result_.comments.push_back(
        {{static_cast<uint32_t>(begin), static_cast<uint32_t>(end)}, own_line});
  }

  void next() {
    const size_t begin = at_;
    const char c = text_[at_];
    if (c == ' ' || c == '\t' || c == '\r') {
      ++at_;
    } else if (c == '\n') {
      ++at_;
      if (!brackets_.empty()) return;
      end_statement(from(begin));
      line_start_ = true;
    } else if (c == '#') {
      comment(begin == 0 || text_.find_last_not_of(" \t", begin - 1) == std::string_view::npos ||
              text_[text_.find_last_not_of(" \t", begin - 1)] == '\n');
    } else if (c == '"') {
      string();
    } else if (is_digit(static_cast<unsigned char>(c))) {
      number();
    } else {
      size_t after = at_;
      const char32_t code = next_code_point(text_, after);
      if (is_letter(code)) {
        identifier();
      } else {
        symbol(code, after);
      }
    }
  }

  void string() {
    const size_t begin = at_++;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n') ++at_;
    if (at_ == text_.size() || text_[at_] == '\n') {
      problem(from(begin), "this string does not end", "expected \"");
      return;
    }
    ++at_;
    add(TokenKind::string, from(begin), text_.substr(begin + 1, at_ - begin - 2));
  }

  void number() {
    const size_t begin = at_;
    const auto digits = [&] {
      while (at_ < text_.size() && is_digit(static_cast<unsigned char>(text_[at_]))) ++at_;
    };
    const auto at = [&](size_t i) { return i < text_.size() ? text_[i] : '\0'; };
    digits();
    if (at(at_) == '.' && is_digit(static_cast<unsigned char>(at(at_ + 1)))) {
      ++at_;
      digits();
    }
    if (at(at_) == 'e' || at(at_) == 'E') {
      const size_t sign = at(at_ + 1) == '-' || at(at_ + 1) == '+' ? 2 : 1;
      if (is_digit(static_cast<unsigned char>(at(at_ + sign)))) {
        at_ += sign;
        digits();
      }
    }
    size_t after = at_;
    if (at_ < text_.size() && is_letter(next_code_point(text_, after))) {
      identifier();  // moves behind it
      result_.tokens.pop_back();
      problem(from(begin), "a number runs into a name", "expected an operator or a space between");
    }
    add(TokenKind::number, from(begin), text_.substr(begin, at_ - begin));
  }

  void identifier() {
    const size_t begin = at_;
    while (at_ < text_.size()) {
      size_t after = at_;
      const char32_t c = next_code_point(text_, after);
      if (!is_letter(c) && !is_digit(c)) break;
      at_ = after;
    }
    while (at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '~')) ++at_;
    time_index();
    add(TokenKind::name, from(begin), text_.substr(begin, at_ - begin));
  }

  // The _{t-1} of h_{t-1}; behind a prime or a tilde _t, too.
  void time_index() {
    const size_t bar = text_[at_ - 1] == '_' ? at_ - 1 : at_;
    if (bar == at_ && text_.substr(at_, 2) == "_t") {
      size_t after = at_ + 2, next = after;
      const char32_t c = after < text_.size() ? next_code_point(text_, next) : ' ';
      if (!is_letter(c) && !is_digit(c)) at_ = after;
      return;
    }
    if (text_.substr(bar, 2) != "_{") return;
    const size_t end = text_.find_first_of("}\n", bar);
    if (end == std::string_view::npos || text_[end] == '\n') return;
    std::string index;
    for (const char c : text_.substr(bar + 2, end - bar - 2)) {
      if (c != ' ') index += c;
    }
    at_ = end + 1;
    if (index != "t" && index != "t-1" && index != "t−1") {
      problem({static_cast<uint32_t>(bar), static_cast<uint32_t>(at_)},
              "an index of time that is neither t nor t-1",
              "what is older is kept in states of its own");
    }
  }

  void symbol(char32_t code, size_t after) {
    const size_t begin = at_;
    std::string_view text = spelling(code);
    at_ = after;
    if (text.empty()) {
      for (const std::string_view two : {"<=", ">=", "==", ".."}) {
        if (text_.substr(begin, 2) == two) text = two;
      }
      if (!text.empty()) at_ = begin + 2;
    }
    if (text.empty() && code < 0x80 &&
        std::string_view("()[],:=+-*/^<>").find(static_cast<char>(code)) != std::string_view::npos)
      text = text_.substr(begin, 1);
    if (text.empty()) {
      const bool number =
          code == '.' && at_ < text_.size() && is_digit(static_cast<unsigned char>(text_[at_]));
      problem(from(begin), "this character means nothing here",
              number ? "expected a digit in front of it" : "");
      return;
    }
    if (text == "(" || text == "[") brackets_.push_back(from(begin));
    if (text == ")" || text == "]") {
      if (brackets_.empty()) {
        problem(from(begin), "this bracket was never opened");
      } else {
        const char open = text_[brackets_.back().begin];
        if ((open == '(') != (text == ")")) {
          problem(from(begin), "this bracket closes another kind",
                  std::string("expected ") + (open == '(' ? "')'" : "']'"));
        }
        brackets_.pop_back();
      }
    }
    add(TokenKind::symbol, from(begin), text);
  }

  std::string_view text_;
  std::vector<Problem>& problems_;
  Tokens result_;
  size_t at_ = 0;
  bool line_start_ = true;
  std::string_view indentation_;
  std::vector<Range> brackets_;
};

}  // namespace

Tokens tokenize(const Source& source, std::vector<Problem>& problems) {
  return Tokenizer(source, problems).run();
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::newline:
      return "end of the line";
    case TokenKind::indent:
      return "indented line";
    case TokenKind::dedent:
      return "line that is not indented";
    case TokenKind::end:
      return "end of the text";
    case TokenKind::string:
      return "string";
    default:
      return "'" + std::string(token.text.substr(0, 40)) + "'";
  }
}

}  // namespace refrain::equations
