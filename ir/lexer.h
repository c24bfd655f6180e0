// Internal to `ir`: tokens of the text form.
#pragma once

#include <string>
#include <string_view>

#include "ir/error.h"

namespace refrain::internal {

struct Token {
  enum class Kind {
    identifier,  // text: the name
    value,       // %name: text; a number without quotes is an unnamed value, `unnamed`
    string,      // text: unescaped
    number,      // text: as written, sign included; also 0x... (bits of a NaN)
    symbol,      // text: one character
    end
  };
  Kind kind = Kind::end;
  std::string text;
  bool unnamed = false;
  size_t offset = 0;
};

// Cuts a text into tokens, one ahead. Errors carry line and column.
class Lexer {
 public:
  Lexer(std::string_view text, std::string file) : text_(text), file_(std::move(file)) {
    advance();
  }

  const Token& peek() const { return token_; }
  Token next();
  bool at(char symbol) const;
  bool at(std::string_view identifier) const;
  bool accept(char symbol);
  bool accept(std::string_view identifier);
  void expect(char symbol);
  void expect(std::string_view identifier);
  Token expect(Token::Kind kind, const char* what);

  [[noreturn]] void fail(const std::string& problem, const std::string& expected = {}) const;
  [[noreturn]] void fail_at(size_t offset, const std::string& problem,
                            const std::string& expected = {}, const std::string& found = {}) const;

 private:
  void advance();
  std::string quoted();
  std::string describe(const Token& token) const;

  std::string_view text_;
  std::string file_;
  size_t position_ = 0;
  Token token_;
};

}  // namespace refrain::internal
