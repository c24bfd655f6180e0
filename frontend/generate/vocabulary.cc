#include "frontend/generate/vocabulary.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "frontend/io/file.h"
#include "ir/error.h"
#include "ir/identifier.h"

namespace refrain::generate {
namespace {

using nlohmann::json;

constexpr int64_t kMostBytes = 64 << 20;

std::string unescaped(std::string_view line) {
  if (line == "\\") return "\\";
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\') {
      out += line[i];
      continue;
    }
    constexpr std::string_view kCodes = "ntr\\", kMeanings = "\n\t\r\\";
    const size_t code = ++i < line.size() ? kCodes.find(line[i]) : std::string_view::npos;
    if (code == std::string_view::npos) {
      throw Error("unknown escape in a vocabulary", "\\n, \\t, \\r or \\\\", quote(line));
    }
    out += kMeanings[code];
  }
  return out;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> symbols;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    symbols.push_back(unescaped(line));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return symbols;
}

std::string string_of(const json& value, const char* what) {
  if (!value.is_string())
    throw Error(std::string("malformed vocabulary: ") + what, "a string", value.type_name());
  return value.get<std::string>();
}

std::vector<std::string> strings_of(const json& list) {
  if (!list.is_array()) throw Error("malformed vocabulary", "a list of symbols", list.type_name());
  std::vector<std::string> symbols;
  for (const json& symbol : list) symbols.push_back(string_of(symbol, "a symbol"));
  return symbols;
}

std::vector<std::string> numbered(const json& numbers) {
  std::vector<std::string> symbols(numbers.size());
  std::vector<bool> given(numbers.size());
  for (const auto& [symbol, number] : numbers.items()) {
    if (!number.is_number_unsigned() || number.get<uint64_t>() >= symbols.size() ||
        given[number.get<size_t>()]) {
      throw Error("malformed vocabulary: the number of symbol " + quote(symbol),
                  "every number from 0 to " + std::to_string(symbols.size() - 1) + " once",
                  number.dump());
    }
    given[number.get<size_t>()] = true;
    symbols[number.get<size_t>()] = symbol;
  }
  return symbols;
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> symbols, std::string separator)
    : symbols_(std::move(symbols)), separator_(std::move(separator)) {
  if (symbols_.empty()) throw Error("a vocabulary without symbols");
  for (size_t i = 0; i < symbols_.size(); ++i) {
    if (symbols_[i].empty()) {
      throw Error("symbol " + std::to_string(i) + " of the vocabulary is empty");
    }
    if (!index_.emplace(symbols_[i], i).second) {
      throw Error("a symbol is twice in the vocabulary", "", quote(symbols_[i]));
    }
    longest_ = std::max(longest_, symbols_[i].size());
  }
}

Vocabulary Vocabulary::parse(std::string_view text) {
  // A text of lines may begin with a bracket too. Depth is bounded because the parser, not being
  // recursive, meets what is no vocabulary below.
  json value;
  if (!text.empty() && (text[0] == '[' || text[0] == '{'))
    value = json::parse(text, nullptr, false);
  if (value.is_array()) return Vocabulary(strings_of(value));
  if (!value.is_object()) return Vocabulary(lines_of(text));
  if (!value.contains("symbols") || !value["symbols"].is_array()) {
    return Vocabulary(numbered(value));
  }
  std::string separator;
  if (value.contains("separator")) separator = string_of(value["separator"], "separator");
  Vocabulary vocabulary(strings_of(value["symbols"]), separator);
  for (const auto& [key, member] : value.items()) {
    if (key == "start") {
      vocabulary.start_ = vocabulary.at(string_of(member, "start"));
    } else if (key == "end") {
      vocabulary.end_ = vocabulary.at(string_of(member, "end"));
    } else if (key != "symbols" && key != "separator") {
      throw Error("unknown key in a vocabulary", "symbols, separator, start, end", quote(key));
    }
  }
  return vocabulary;
}

Vocabulary Vocabulary::open(const std::string& path) {
  const std::string text = read_file(path, kMostBytes);
  try {
    return parse(text);
  } catch (Error& error) {
    throw error.in_file(path);
  }
}

std::optional<size_t> Vocabulary::find(std::string_view symbol) const {
  const auto at = index_.find(symbol);
  if (at == index_.end()) return std::nullopt;
  return at->second;
}

size_t Vocabulary::at(std::string_view symbol) const {
  if (const std::optional<size_t> found = find(symbol)) return *found;
  throw Error("no such symbol in the vocabulary", "", quote(symbol));
}

std::vector<size_t> Vocabulary::encode(std::string_view text) const {
  std::vector<size_t> symbols;
  size_t at = 0;
  while (at < text.size()) {
    std::optional<size_t> found;
    size_t length = 0;
    if (!separator_.empty()) {
      length = std::min(text.find(separator_, at), text.size()) - at;
      // Separators at the begin, at the end and one after the other mean nothing.
      if (length > 0) found = find(text.substr(at, length));
      if (length == 0 || found) {
        at += length + (at + length < text.size() ? separator_.size() : 0);
        if (found) symbols.push_back(*found);
        continue;
      }
    } else {
      for (length = std::min(longest_, text.size() - at); length > 0 && !found; --length) {
        found = find(text.substr(at, length));
        if (found) break;
      }
    }
    if (!found) {
      throw Error("no symbol of the vocabulary fits the text at byte " + std::to_string(at),
                  std::to_string(size()) + " symbols",
                  quote(text.substr(at, separator_.empty() ? 8 : std::min<size_t>(length, 40))));
    }
    symbols.push_back(*found);
    at += length;
  }
  return symbols;
}

}  // namespace refrain::generate
