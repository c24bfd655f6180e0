#include "ir/einsum.h"

#include <algorithm>
#include <array>

#include "ir/error.h"

namespace refrain {
namespace {

constexpr char kEllipsis = '.';

bool is_label(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Splits a term into its labels, the ellipsis as one '.'.
std::string labels_of(const std::string& equation, std::string_view term) {
  std::string labels;
  for (size_t i = 0; i < term.size(); ++i) {
    if (term.substr(i, 3) == "..." && labels.find(kEllipsis) == std::string::npos) {
      labels += kEllipsis;
      i += 2;
    } else if (is_label(term[i])) {
      labels += term[i];
    } else {
      throw Error("malformed einsum equation", "letters and at most one ... in each term",
                  equation);
    }
  }
  return labels;
}

}  // namespace

EinsumPlan parse_einsum(const std::string& equation, const std::vector<size_t>& ranks) {
  std::string text = equation;
  std::erase(text, ' ');
  const size_t arrow = text.find("->");
  std::vector<std::string> terms;
  const std::string inputs = text.substr(0, arrow);
  for (size_t begin = 0;;) {
    const size_t comma = inputs.find(',', begin);
    terms.push_back(labels_of(equation, std::string_view(inputs).substr(begin, comma - begin)));
    if (comma == std::string::npos) break;
    begin = comma + 1;
  }
  if (terms.size() != ranks.size()) {
    throw Error("einsum equation has the wrong number of terms", std::to_string(ranks.size()),
                equation);
  }

  size_t ellipsis_rank = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    const bool has_ellipsis = terms[i].find(kEllipsis) != std::string::npos;
    const size_t named = terms[i].size() - has_ellipsis;
    if (has_ellipsis ? ranks[i] < named : ranks[i] != named) {
      throw Error("einsum term does not fit its operand's rank", std::to_string(ranks[i]),
                  terms[i]);
    }
    if (has_ellipsis) ellipsis_rank = std::max(ellipsis_rank, ranks[i] - named);
  }

  EinsumPlan plan;
  plan.broadcast_below = plan.labels = static_cast<int>(ellipsis_rank);
  std::array<int, 128> label_of;
  label_of.fill(-1);
  std::array<int, 128> uses{};
  const auto expand = [&](const std::string& term, size_t ellipsis_axes) {
    std::vector<int> axes;
    for (char c : term) {
      if (c == kEllipsis) {  // the ellipsis' axes align at the right
        for (size_t k = ellipsis_rank - ellipsis_axes; k < ellipsis_rank; ++k) {
          axes.push_back(static_cast<int>(k));
        }
        continue;
      }
      int& label = label_of[static_cast<size_t>(c)];
      if (label < 0) label = plan.labels++;
      ++uses[static_cast<size_t>(c)];
      axes.push_back(label);
    }
    return axes;
  };
  for (size_t i = 0; i < terms.size(); ++i) {
    const bool has_ellipsis = terms[i].find(kEllipsis) != std::string::npos;
    plan.operands.push_back(expand(terms[i], has_ellipsis ? ranks[i] - (terms[i].size() - 1) : 0));
  }

  std::string output;
  if (arrow == std::string::npos) {  // implicit: the ellipsis, then labels used once, in order
    output = ellipsis_rank > 0 ? std::string(1, kEllipsis) : "";
    for (size_t c = 0; c < uses.size(); ++c) {
      if (uses[c] == 1) output += static_cast<char>(c);
    }
  } else {
    output = labels_of(equation, std::string_view(text).substr(arrow + 2));
    for (char c : output) {
      if (c != kEllipsis &&
          (uses[static_cast<size_t>(c)] == 0 || std::count(output.begin(), output.end(), c) > 1)) {
        throw Error("einsum result has a label that no term has, or one twice", {}, equation);
      }
    }
  }
  plan.result = expand(output, ellipsis_rank);
  return plan;
}

}  // namespace refrain
