// A graph as a web page.
#pragma once

#include <string>

#include "ir/graph.h"
#include "ir/text.h"

namespace refrain::cli {

// A page that needs nothing but itself: the summary, a drawing of each region, and the text form in
// which every use of a value links to its definition.
std::string to_html(const Graph& graph, const std::string& title, const PrintOptions& options);

}  // namespace refrain::cli
