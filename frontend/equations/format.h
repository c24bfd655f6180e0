// The canonical layout of descriptions.
#pragma once

#include <string>

namespace refrain::equations {

// The text in the canonical layout: two spaces before a cell's equations, `=` of neighbouring
// equations below each other, one space around `=`, `+`, `-` and comparisons, none around products
// and quotients, one after commas, at most one blank line, one around cells. Comments, line breaks
// inside brackets and the order of everything stay. Formatting twice changes nothing more. Throws
// TextError if the text does not parse.
std::string format(const std::string& name, const std::string& text);

}  // namespace refrain::equations
