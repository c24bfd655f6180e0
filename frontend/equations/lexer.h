// Tokens of the description language (docs/language.md).
#pragma once

#include <vector>

#include "frontend/equations/source.h"

namespace refrain::equations {

enum class TokenKind : uint8_t {
  name,
  number,
  string,   // with its quotes
  symbol,   // one of ( ) [ ] , : = + - * / · ^ < > <= >= == ..
  newline,  // the end of a statement
  indent,   // a block begins
  dedent,   // a block ends
  end,
};

struct Token {
  TokenKind kind = TokenKind::end;
  Range range;
  // What the token is, in one spelling: `@` is `·`, `⊙` is `*`, `−` is `-`; strings without quotes.
  std::string_view text;
};

struct Comment {
  Range range;    // from # to the end of the line, without spaces at the end
  bool own_line;  // nothing before it
};

struct Tokens {
  std::vector<Token> tokens;  // the last one is `end`
  std::vector<Comment> comments;
};

// Views in the result point into the source. Adds what is wrong to `problems`; the tokens are then
// of no use.
Tokens tokenize(const Source& source, std::vector<Problem>& problems);

// A token as messages call it: 'scan', the end of the line.
std::string describe(const Token& token);

}  // namespace refrain::equations
