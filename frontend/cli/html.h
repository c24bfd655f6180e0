// Graphs as web pages.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/text.h"

namespace refrain::cli {

// A page that needs nothing but itself: the summary, a drawing of each region, and the text form in
// which every use of a value links to its definition.
std::string to_html(const Graph& graph, const std::string& title, const PrintOptions& options);

// The same for a model before and after the pipeline, side by side, below the equations of its
// scans (texts in the description language).
std::string to_html(const Graph& imported, const Graph& optimized,
                    const std::vector<std::string>& cells, const std::string& title,
                    const PrintOptions& options);

}  // namespace refrain::cli
