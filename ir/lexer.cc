#include "ir/lexer.h"

#include <algorithm>

#include "ir/identifier.h"

namespace refrain::internal {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

Token Lexer::next() {
  Token token = std::move(token_);
  advance();
  return token;
}

bool Lexer::at(char symbol) const {
  return token_.kind == Token::Kind::symbol && token_.text[0] == symbol;
}

bool Lexer::at(std::string_view identifier) const {
  return token_.kind == Token::Kind::identifier && token_.text == identifier;
}

bool Lexer::accept(char symbol) {
  if (!at(symbol)) return false;
  advance();
  return true;
}

bool Lexer::accept(std::string_view identifier) {
  if (!at(identifier)) return false;
  advance();
  return true;
}

void Lexer::expect(char symbol) {
  if (!accept(symbol)) fail("syntax error", std::string(1, symbol));
}

void Lexer::expect(std::string_view identifier) {
  if (!accept(identifier)) fail("syntax error", std::string(identifier));
}

Token Lexer::expect(Token::Kind kind, const char* what) {
  if (token_.kind != kind) fail("syntax error", what);
  return next();
}

void Lexer::fail(const std::string& problem, const std::string& expected) const {
  fail_at(token_.offset, problem, expected, describe(token_));
}

void Lexer::fail_at(size_t offset, const std::string& problem, const std::string& expected,
                    const std::string& found) const {
  const std::string_view before = text_.substr(0, offset);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t start = before.rfind('\n') + 1;  // npos + 1 is 0
  Error error(problem, expected, found);
  throw error.in_file(file_ + ":" + std::to_string(line) + ":" +
                      std::to_string(offset - start + 1));
}

std::string Lexer::describe(const Token& token) const {
  switch (token.kind) {
    case Token::Kind::end:
      return "the end of the text";
    case Token::Kind::value:
      return "%" + token.text;
    case Token::Kind::string:
      return quote(token.text.substr(0, 40));
    default:
      return token.text;
  }
}

void Lexer::advance() {
  while (position_ < text_.size()) {
    const char c = text_[position_];
    if (c == '#') {
      position_ = std::min(text_.find('\n', position_), text_.size());
    } else if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
      ++position_;
    } else {
      break;
    }
  }
  token_ = Token{};
  token_.offset = position_;
  if (position_ == text_.size()) return;
  const auto take = [&](auto&& predicate) {
    const size_t begin = position_;
    while (position_ < text_.size() && predicate(text_[position_])) ++position_;
    return std::string(text_.substr(begin, position_ - begin));
  };
  const char c = text_[position_];
  const char following = position_ + 1 < text_.size() ? text_[position_ + 1] : '\0';
  if (is_identifier_start(c)) {
    token_.kind = Token::Kind::identifier;
    token_.text = take(is_identifier_part);
  } else if (c == '"') {
    token_.kind = Token::Kind::string;
    token_.text = quoted();
  } else if (c == '%') {
    token_.kind = Token::Kind::value;
    ++position_;
    if (following == '"') {
      token_.text = quoted();
    } else if (is_digit(following)) {
      token_.unnamed = true;
      token_.text = take(is_digit);
    } else {
      token_.text = take(is_identifier_part);
    }
    if (token_.text.empty()) fail_at(token_.offset, "syntax error", "a value's name after %");
  } else if (is_digit(c) ||
             (c == '-' && (is_digit(following) || following == 'i' || following == 'n'))) {
    token_.kind = Token::Kind::number;
    ++position_;
    token_.text = c + take([](char d) { return is_identifier_part(d) || d == '+'; });
  } else {
    token_.kind = Token::Kind::symbol;
    token_.text = c;
    ++position_;
  }
}

std::string Lexer::quoted() {
  const size_t begin = position_++;
  std::string result;
  while (position_ < text_.size() && text_[position_] != '"') {
    if (text_[position_] != '\\') {
      result += text_[position_++];
      continue;
    }
    const std::string_view escape = text_.substr(position_, 4);
    const int high = escape.size() == 4 ? hex_digit(escape[2]) : -1;
    const int low = escape.size() == 4 ? hex_digit(escape[3]) : -1;
    if (high < 0 || low < 0 || escape[1] != 'x') fail_at(position_, "syntax error", "\\xHH");
    result += static_cast<char>(high * 16 + low);
    position_ += 4;
  }
  if (position_ == text_.size()) fail_at(begin, "a string does not end");
  ++position_;
  return result;
}

}  // namespace refrain::internal
