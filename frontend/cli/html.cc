#include "frontend/cli/html.h"

#include <fmt/core.h>

#include <algorithm>
#include <unordered_map>

#include "frontend/cli/drawing.h"
#include "frontend/cli/summary.h"
#include "ir/identifier.h"

namespace refrain::cli {
namespace {

constexpr std::string_view kStyle = R"(
body { font: 15px sans-serif; margin: 2em; color: #222; background: #fff }
pre { font: 13px/1.5 monospace; overflow-x: auto }
figure { margin: 0 0 2em; overflow: auto; max-height: 90vh; border: 1px solid #ddd }
svg path { fill: none; stroke: #999 }
svg rect { fill: #eef3fb; stroke: #7a97c9 }
svg text { font: 12px sans-serif; text-anchor: middle; fill: #222 }
svg text.type { font-size: 10px; fill: #666 }
svg .in rect, svg .out rect { fill: #eef8ee; stroke: #7fb37f }
svg .loop rect { fill: #fdf3e1; stroke: #d1a24a }
svg a:hover rect { stroke-width: 2.5 }
pre a { color: #2456a6; text-decoration: none }
pre a:hover { text-decoration: underline }
pre b { color: #8a3b12 }
pre b:target { background: #ffe9a8 }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 2em }
.pair > section { min-width: 0 }
.cell { background: #f7f7f2; border-left: 3px solid #d1a24a; padding: 0.6em 1em }
)";

// One past the quoted string that begins at `begin`.
size_t end_of_string(std::string_view text, size_t begin) {
  size_t i = begin + 1;
  while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
  return std::min(i + 1, text.size());
}

// The text form with the first occurrence of each value, its definition, as an anchor (`anchor` and
// its number) and the others as links to it.
std::string linked_text(std::string_view text, std::string_view anchor) {
  std::unordered_map<std::string_view, size_t> numbers;
  std::string out;
  for (size_t i = 0; i < text.size();) {
    size_t end = i + 1;
    if (text[i] == '"') {
      end = end_of_string(text, i);
    } else if (text[i] == '%') {
      if (end < text.size() && text[end] == '"') {
        end = end_of_string(text, end);
      } else {
        while (end < text.size() && is_identifier_part(text[end])) ++end;
      }
      const std::string_view value = text.substr(i, end - i);
      const auto [at, first] = numbers.emplace(value, numbers.size());
      out += first
                 ? fmt::format("<b id=\"{}{}\">{}</b>", anchor, at->second, escape_html(value))
                 : fmt::format("<a href=\"#{}{}\">{}</a>", anchor, at->second, escape_html(value));
      i = end;
      continue;
    }
    out += escape_html(text.substr(i, end - i));
    i = end;
  }
  return out;
}

void append_drawings(std::string& out, const Region& region, const std::string& heading,
                     const ValueNumbers& numbers, std::string_view anchor) {
  out += "<h3>" + escape_html(heading) + "</h3>\n";
  if (region.size() > kMostDrawnNodes) {
    out += fmt::format("<p>{} nodes, too many to draw.</p>\n", region.size());
  } else {
    out += "<figure>\n" + draw(region, numbers, anchor) + "</figure>\n";
  }
  for (const Node* node = region.first(); node; node = node->next()) {
    for (size_t i = 0; i < node->region_count(); ++i) {
      const char* part = node->op() != Op::branch ? "" : i == 0 ? ", then" : ", else";
      append_drawings(
          out, node->region(i),
          fmt::format("{} / {} {}{}", heading, name(node->op()), node->display_name(), part),
          numbers, anchor);
    }
  }
}

std::string page(const std::string& title, const std::string& content) {
  std::string out = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" +
                    escape_html(title) + "</title><style>";
  out += kStyle;
  return out + "</style></head><body>\n<h1>" + escape_html(title) + "</h1>\n" + content +
         "</body></html>\n";
}

std::string drawings(const Graph& graph, std::string_view anchor) {
  std::string out = "<pre>" + escape_html(summary(graph)) + "</pre>\n";
  append_drawings(out, graph.body(), graph.name(), number_values(graph), anchor);
  return out;
}

std::string text_form(const Graph& graph, const PrintOptions& options, std::string_view anchor) {
  return "<pre>" + linked_text(print(graph, options), anchor) + "</pre>\n";
}

std::string section(const std::string& heading, const std::string& content) {
  return "<section>\n<h2>" + heading + "</h2>\n" + content + "</section>\n";
}

}  // namespace

std::string to_html(const Graph& graph, const std::string& title, const PrintOptions& options) {
  return page(title, drawings(graph, "v") + section("Text form", text_form(graph, options, "v")));
}

std::string to_html(const Graph& imported, const Graph& optimized,
                    const std::vector<std::string>& cells, const std::string& title,
                    const PrintOptions& options) {
  std::string content;
  if (!cells.empty()) {
    std::string equations;
    for (const std::string& cell : cells)
      equations += "<pre class=\"cell\">" + escape_html(cell) + "</pre>\n";
    content += section(cells.size() == 1 ? "The recurrence" : "The recurrences", equations);
  }
  const auto pair = [&](const std::string& left, const std::string& right) {
    content += "<div class=\"pair\">\n" + left + right + "</div>\n";
  };
  pair(section("Before: as imported", drawings(imported, "before")),
       section("After: optimized", drawings(optimized, "after")));
  pair(section("Text form before", text_form(imported, options, "before")),
       section("Text form after", text_form(optimized, options, "after")));
  return page(title, content);
}

}  // namespace refrain::cli
