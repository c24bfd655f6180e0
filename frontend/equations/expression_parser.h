// Expressions of the description language, and the tokens that all of its parser reads.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/equations/lexer.h"
#include "frontend/equations/syntax.h"

namespace refrain::equations {

// Reads what it is asked for, and throws Failure where something else stands.
class ExpressionParser {
 public:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  virtual ~ExpressionParser() = default;

 protected:
  // Whether a scan or a decode begins here.
  bool at_run() const { return (at("scan") || at("decode")) && peek(1).kind == TokenKind::name; }
  // That scan or decode.
  virtual RightSide run() = 0;

  const Token& peek(size_t ahead = 0) const {
    return tokens_[std::min(next_ + ahead, tokens_.size() - 1)];
  }
  const Token& take() {
    const Token& token = peek();
    if (next_ + 1 < tokens_.size()) ++next_;
    return token;
  }
  bool at(TokenKind kind) const { return peek().kind == kind; }
  bool at(std::string_view text, size_t ahead = 0) const {
    const Token& token = peek(ahead);
    return (token.kind == TokenKind::symbol || token.kind == TokenKind::name) && token.text == text;
  }
  bool accept(std::string_view text) {
    if (!at(text)) return false;
    take();
    return true;
  }
  [[noreturn]] void unexpected(const std::string& expected) const {
    fail(peek().range, "unexpected " + describe(peek()), "expected " + expected);
  }
  const Token& expect(std::string_view text, const char* where = "") {
    if (!at(text)) unexpected("'" + std::string(text) + "'" + where);
    return take();
  }
  Name name(const char* what) {
    if (!at(TokenKind::name)) unexpected(what);
    const Token& token = take();
    return {std::string(token.text), token.range};
  }
  Name string(const char* what) {
    if (!at(TokenKind::string)) unexpected(what);
    const Token& token = take();
    return {std::string(token.text), token.range};
  }
  Range since(Range begin) const {
    const Range last = tokens_[next_ > 0 ? next_ - 1 : 0].range;
    return join(begin, last);
  }

  // Counts how deep the parser is in itself.
  struct Nesting {
    Nesting(ExpressionParser& in, Range range) : parser(in) {
      // Each of these levels is several functions deep.
      if (++parser.depth_ > kMaxDepth / 2) fail(range, "nested too deeply");
    }
    ~Nesting() { --parser.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    ExpressionParser& parser;
  };

  ExpressionPtr expression();
  std::vector<Argument> arguments();  // behind the opening bracket, to the closing one
  // Out of all nesting, to go on behind an error.
  void surface() { depth_ = 0; }

 private:
  static ExpressionPtr make(Expression::Kind kind, Range range);
  static ExpressionPtr checked(ExpressionPtr tree);
  ExpressionPtr binary(ExpressionPtr left, const Token& token, ExpressionPtr right);
  ExpressionPtr sum();
  ExpressionPtr term();
  ExpressionPtr negated(ExpressionPtr (ExpressionParser::*operand_of)());
  ExpressionPtr factor();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr exponent();
  ExpressionPtr postfix();
  ExpressionPtr primary();
  ExpressionPtr run_value();
  ExpressionPtr number();

  std::vector<Token> tokens_;
  size_t next_ = 0;
  int depth_ = 0;
};

}  // namespace refrain::equations
