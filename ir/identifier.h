// Names in the text form.
#pragma once

#include <string>
#include <string_view>

namespace refrain {

// True for [A-Za-z_/][A-Za-z0-9_./-]*, what the text form writes without quotes.
bool is_identifier(std::string_view text);
bool is_identifier_start(char c);
bool is_identifier_part(char c);

// The text in double quotes; backslash, quote and bytes outside printable ASCII as \xHH.
std::string quote(std::string_view text);
std::string quote_unless_identifier(std::string_view text);

}  // namespace refrain
