#include "frontend/cli/drawing.h"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

namespace refrain::cli {
namespace {

constexpr double kWidth = 150, kHeight = 36, kGapX = 16, kGapY = 34;
constexpr size_t kMostLetters = 24;

void number_region(const Region& region, ValueNumbers& numbers) {
  for (size_t i = 0; i < region.argument_count(); ++i)
    numbers.emplace(region.argument(i), numbers.size());
  for (const Node* node = region.first(); node; node = node->next()) {
    for (size_t i = 0; i < node->result_count(); ++i)
      numbers.emplace(node->result(i), numbers.size());
    for (size_t i = 0; i < node->region_count(); ++i) number_region(node->region(i), numbers);
  }
}

struct Box {
  std::string title, subtitle;
  const char* kind;
  size_t link = 0;
  size_t layer = 0;
  double x = 0;  // of its middle
  std::vector<size_t> sources = {};
};

std::string shortened(std::string_view text) {
  return text.size() <= kMostLetters ? std::string(text)
                                     : std::string(text.substr(0, kMostLetters - 3)) + "...";
}

class Drawing {
 public:
  Drawing(const Region& region, const ValueNumbers& numbers) {
    for (size_t i = 0; i < region.argument_count(); ++i) {
      const Value* argument = region.argument(i);
      const size_t number = numbers.at(argument);
      const std::string title =
          argument->name().empty() ? "%" + std::to_string(number) : argument->name();
      box_of_[argument] = add({title, to_string(argument->type()), "in", number});
    }
    for (const Node* node = region.first(); node; node = node->next()) {
      if (node->op() == Op::constant) continue;
      const bool yield = node->op() == Op::yield;
      Box box{std::string(name(node->op())), "",
              yield                      ? "out"
              : node->region_count() > 0 ? "loop"
                                         : "op"};
      if (node->result_count() > 0) {
        box.subtitle = to_string(node->result(0)->type());
        box.link = numbers.at(node->result(0));
      }
      for (size_t i = 0; i < node->operand_count(); ++i) {
        const auto source = box_of_.find(node->operand(i));
        if (source == box_of_.end()) continue;
        box.sources.push_back(source->second);
        box.layer = std::max(box.layer, boxes_[source->second].layer + 1);
      }
      const size_t index = add(std::move(box));
      for (size_t i = 0; i < node->result_count(); ++i) box_of_[node->result(i)] = index;
    }
    place();
  }

  std::string svg(std::string_view anchor) const {
    std::string out =
        fmt::format("<svg viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" height=\"{1:.0f}\">\n",
                    width_, top(layers_.size()));
    for (const Box& box : boxes_) {
      for (const size_t source : box.sources) {
        const Box& from = boxes_[source];
        const double y0 = top(from.layer) + kHeight, y1 = top(box.layer), bend = (y1 - y0) / 2;
        out +=
            fmt::format("<path d=\"M{:.0f} {:.0f}C{:.0f} {:.0f} {:.0f} {:.0f} {:.0f} {:.0f}\"/>\n",
                        from.x, y0, from.x, y0 + bend, box.x, y1 - bend, box.x, y1);
      }
    }
    for (const Box& box : boxes_) {
      const double y = top(box.layer);
      out += fmt::format(
          "<a href=\"#{}{}\"><g class=\"{}\"><title>{}</title><rect x=\"{:.0f}\" y=\"{:.0f}\" "
          "width=\"{:.0f}\" "
          "height=\"{:.0f}\" rx=\"5\"/><text x=\"{:.0f}\" y=\"{:.0f}\">{}</text>"
          "<text class=\"type\" x=\"{:.0f}\" y=\"{:.0f}\">{}</text></g></a>\n",
          anchor, box.link, box.kind, escape_html(box.title + " " + box.subtitle),
          box.x - kWidth / 2, y, kWidth, kHeight, box.x, y + 15, escape_html(shortened(box.title)),
          box.x, y + 29, escape_html(shortened(box.subtitle)));
    }
    return out + "</svg>\n";
  }

 private:
  static double top(size_t layer) {
    return kGapY / 2 + static_cast<double>(layer) * (kHeight + kGapY);
  }

  size_t add(Box box) {
    if (layers_.size() <= box.layer) layers_.resize(box.layer + 1);
    layers_[box.layer].push_back(boxes_.size());
    boxes_.push_back(std::move(box));
    return boxes_.size() - 1;
  }

  // Boxes of a layer stand in the order of the mean place of what they read, which keeps most edges
  // from crossing; layers are centred.
  void place() {
    size_t widest = 1;
    for (const std::vector<size_t>& layer : layers_) widest = std::max(widest, layer.size());
    width_ = static_cast<double>(widest) * (kWidth + kGapX);
    for (std::vector<size_t>& layer : layers_) {
      for (const size_t i : layer) {
        Box& box = boxes_[i];
        for (const size_t source : box.sources) box.x += boxes_[source].x;
        if (!box.sources.empty()) box.x /= static_cast<double>(box.sources.size());
      }
      std::stable_sort(layer.begin(), layer.end(),
                       [&](size_t a, size_t b) { return boxes_[a].x < boxes_[b].x; });
      double x = (width_ - static_cast<double>(layer.size() - 1) * (kWidth + kGapX)) / 2;
      for (const size_t i : layer) {
        boxes_[i].x = x;
        x += kWidth + kGapX;
      }
    }
  }

  std::vector<Box> boxes_;
  std::vector<std::vector<size_t>> layers_;
  std::unordered_map<const Value*, size_t> box_of_;
  double width_ = 0;
};

}  // namespace

ValueNumbers number_values(const Graph& graph) {
  ValueNumbers numbers;
  number_region(graph.body(), numbers);
  return numbers;
}

std::string draw(const Region& region, const ValueNumbers& numbers, std::string_view anchor) {
  return Drawing(region, numbers).svg(anchor);
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace refrain::cli
