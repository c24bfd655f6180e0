#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <tuple>

#include "frontend/weights/formats.h"
#include "ir/error.h"
#include "ir/shape.h"

namespace refrain {
namespace weights {
namespace {

constexpr size_t kLengthBytes = 8;
// What the format's own library allows.
constexpr uint64_t kMostHeaderBytes = 100'000'000;
constexpr std::string_view kMetadata = "__metadata__";

struct Known {
  std::string_view code;
  ElementType type;
};
constexpr Known kKnown[] = {
    {"BOOL", ElementType::boolean}, {"U8", ElementType::u8},   {"I8", ElementType::i8},
    {"U16", ElementType::u16},      {"I16", ElementType::i16}, {"F16", ElementType::f16},
    {"BF16", ElementType::bf16},    {"U32", ElementType::u32}, {"I32", ElementType::i32},
    {"F32", ElementType::f32},      {"U64", ElementType::u64}, {"I64", ElementType::i64},
    {"F64", ElementType::f64}};

struct Entry {
  std::string name;
  std::optional<ElementType> type;
  std::optional<std::vector<int64_t>> extents;
  bool has_offsets = false;
  std::vector<int64_t> offsets = {};  // begin and end in what follows the header
};

// Reads the header as the parser meets it, so that a name that comes twice is seen and nothing but
// what the format has is ever stored. The parser keeps no more than a bit a level of nesting, and
// deeper levels than the format's are refused here.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;

  bool start_object(std::size_t) override {
    switch (place_) {
      case Place::outside:
        place_ = Place::header;
        return true;
      case Place::entry_value:
        place_ = Place::entry;
        entries.push_back({.name = name_, .type = {}, .extents = {}});
        return true;
      case Place::metadata_value:
        place_ = Place::metadata;
        return true;
      default:
        unexpected("an object");
    }
  }

  bool end_object() override {
    switch (place_) {
      case Place::entry: {
        const Entry& entry = entries.back();
        for (const auto& [present, what] : {std::pair{entry.type.has_value(), "dtype"},
                                            {entry.extents.has_value(), "shape"},
                                            {entry.has_offsets, "data_offsets"}}) {
          if (!present) fail("no " + std::string(what));
        }
        place_ = Place::header;
        return true;
      }
      case Place::metadata:
        place_ = Place::header;
        return true;
      default:
        place_ = Place::outside;
        return true;
    }
  }

  bool key(string_t& text) override {
    switch (place_) {
      case Place::header:
        if (!names_.insert(text).second) {
          throw Error("a name comes twice in the header", "", tensor_text(text));
        }
        name_ = text;
        place_ = text == kMetadata ? Place::metadata_value : Place::entry_value;
        return true;
      case Place::metadata:
        if (!metadata.emplace(text, "").second) fail("a key comes twice: " + text.substr(0, 100));
        key_ = text;
        return true;
      case Place::entry: {
        Entry& entry = entries.back();
        if (text == "dtype" && !entry.type) {
          place_ = Place::type_value;
        } else if (text == "shape" && !entry.extents) {
          place_ = Place::shape_value;
        } else if (text == "data_offsets" && !entry.has_offsets) {
          place_ = Place::offsets_value;
        } else {
          fail("unknown or repeated key \"" + text.substr(0, 100) + "\"",
               "dtype, shape and data_offsets");
        }
        return true;
      }
      default:
        unexpected("a key");
    }
  }

  bool string(string_t& text) override {
    if (place_ == Place::metadata) {
      metadata[key_] = text;
      return true;
    }
    if (place_ != Place::type_value) unexpected("a string");
    for (const Known& known : kKnown) {
      if (known.code == text) entries.back().type = known.type;
    }
    if (!entries.back().type) {
      std::string codes;
      for (const Known& known : kKnown) (codes += codes.empty() ? "" : ", ") += known.code;
      fail("unsupported dtype", codes, text.substr(0, 100));
    }
    place_ = Place::entry;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::shape_value) {
      entries.back().extents.emplace();
      place_ = Place::shape;
    } else if (place_ == Place::offsets_value) {
      entries.back().has_offsets = true;
      place_ = Place::offsets;
    } else {
      unexpected("an array");
    }
    return true;
  }

  bool end_array() override {
    if (place_ == Place::offsets && entries.back().offsets.size() != 2) {
      fail("wrong number of data_offsets", "2", std::to_string(entries.back().offsets.size()));
    }
    place_ = Place::entry;
    return true;
  }

  bool number_unsigned(number_unsigned_t number) override {
    if (number > static_cast<uint64_t>(INT64_MAX)) fail("a number is too large", "", str(number));
    if (place_ == Place::shape) {
      if (entries.back().extents->size() == static_cast<size_t>(kMaxRank)) {
        fail("too many dimensions", "at most " + str(kMaxRank));
      }
      entries.back().extents->push_back(static_cast<int64_t>(number));
    } else if (place_ == Place::offsets) {
      if (entries.back().offsets.size() == 2) fail("more than two data_offsets");
      entries.back().offsets.push_back(static_cast<int64_t>(number));
    } else {
      unexpected("a number");
    }
    return true;
  }

  bool number_integer(number_integer_t number) override {
    return unexpected("the number " + str(number));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return unexpected("the number " + text.substr(0, 40));
  }
  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool binary(binary_t&) override { return unexpected("bytes"); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    throw Error("the header is not JSON: it breaks off or goes wrong at byte " + str(position));
  }

 private:
  // Where the parser is: inside what, or before the value of what.
  enum class Place {
    outside,
    header,
    entry_value,
    entry,
    type_value,
    shape_value,
    shape,
    offsets_value,
    offsets,
    metadata_value,
    metadata
  };

  template <typename T>
  static std::string str(T number) {
    return std::to_string(number);
  }

  [[noreturn]] void fail(const std::string& problem, const std::string& expected = {},
                         const std::string& found = {}) const {
    throw Error(tensor_text(name_) + ": " + problem, expected, found);
  }

  [[noreturn]] bool unexpected(const std::string& found) const {
    switch (place_) {
      case Place::outside:
      case Place::header:
        throw Error("malformed header", "an object of tensors", found);
      case Place::entry_value:
      case Place::entry:
        fail("malformed entry", "an object of dtype, shape and data_offsets", found);
      case Place::type_value:
        fail("malformed dtype", "a string", found);
      case Place::shape_value:
      case Place::shape:
        fail("malformed shape", "an array of whole numbers of at least 0", found);
      case Place::offsets_value:
      case Place::offsets:
        fail("malformed data_offsets", "two whole numbers of at least 0", found);
      case Place::metadata_value:
      case Place::metadata:
        break;
    }
    throw Error("malformed " + std::string(kMetadata), "an object of strings", found);
  }

  Place place_ = Place::outside;
  std::string name_;  // of the entry at hand
  std::string key_;   // of the metadata at hand
  std::set<std::string> names_;
};

uint64_t little_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// Tensors lie one after the other, without gaps, and fill the file; each has the bytes that its
// shape asks for.
void check_layout(const std::vector<Entry>& entries, uint64_t data_bytes) {
  uint64_t end_before = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    const auto begin = static_cast<uint64_t>(entry.offsets[0]),
               end = static_cast<uint64_t>(entry.offsets[1]);
    const auto fail = [&](const std::string& problem, const std::string& expected,
                          const std::string& found) {
      throw Error(tensor_text(entry.name) + ": " + problem, expected, found);
    };
    if (end < begin) {
      fail("it ends before it begins", "an end of at least " + std::to_string(begin),
           std::to_string(end));
    }
    if (end > data_bytes) {
      fail("it ends beyond the file", "an end of at most " + std::to_string(data_bytes),
           std::to_string(end));
    }
    if (begin != end_before) {
      fail(begin < end_before ? "it overlaps the tensor before it" : "a gap before its elements",
           "elements from byte " + std::to_string(end_before), std::to_string(begin));
    }
    int64_t wanted = 0;
    try {
      wanted = byte_count(*entry.type, *entry.extents);
    } catch (const Error&) {
      fail("its shape is too large", "at most 2^63 - 1 bytes",
           to_string(Shape::of_extents(*entry.extents)));
    }
    if (static_cast<uint64_t>(wanted) != end - begin) {
      fail("its shape and its data_offsets do not fit each other",
           std::to_string(wanted) + " bytes for " +
               to_string(ValueType::tensor(*entry.type, Shape::of_extents(*entry.extents))),
           std::to_string(end - begin));
    }
    end_before = end;
  }
  if (end_before != data_bytes) {
    throw Error("bytes after the last tensor", std::to_string(end_before) + " bytes of elements",
                std::to_string(data_bytes));
  }
}

}  // namespace

bool is_safetensors(std::string_view bytes) {
  return bytes.size() > kLengthBytes && bytes[kLengthBytes] == '{';
}

Contents decode_safetensors(std::string_view bytes, int64_t max_bytes) {
  if (!is_safetensors(bytes)) throw Error("not a safetensors file");
  const uint64_t length = little_endian(bytes.substr(0, kLengthBytes));
  if (length > kMostHeaderBytes || length > bytes.size() - kLengthBytes) {
    throw Error("the header is longer than the file or than the format allows",
                "at most " + std::to_string(
                                 std::min<uint64_t>(kMostHeaderBytes, bytes.size() - kLengthBytes)),
                std::to_string(length));
  }
  const std::string_view text = bytes.substr(kLengthBytes, length);
  const std::string_view data = bytes.substr(kLengthBytes + length);

  HeaderReader header;
  nlohmann::json::sax_parse(text.begin(), text.end(), &header);
  std::vector<Entry>& entries = header.entries;
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.offsets[0], a.offsets[1]) < std::tie(b.offsets[0], b.offsets[1]);
  });
  check_layout(entries, data.size());

  const auto budget = std::make_shared<MemoryBudget>(max_bytes);
  Contents contents;
  contents.metadata = std::move(header.metadata);
  for (Entry& entry : entries) {
    Tensor tensor(*entry.type, std::move(*entry.extents), budget);
    const std::string_view elements =
        data.substr(static_cast<size_t>(entry.offsets[0]), static_cast<size_t>(tensor.bytes()));
    auto* target = static_cast<char*>(tensor.raw());
    if (!elements.empty()) std::memcpy(target, elements.data(), elements.size());
    // Any byte but 0 is true; as a C++ bool it must be 1.
    if (*entry.type == ElementType::boolean) {
      for (size_t i = 0; i < elements.size(); ++i) target[i] = target[i] != 0;
    }
    contents.tensors.push_back(
        {std::move(entry.name), std::make_shared<const Tensor>(std::move(tensor))});
  }
  return contents;
}

}  // namespace weights

std::string safetensors_encode(std::span<const NamedTensor> tensors,
                               const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(weights::kMetadata)] = metadata;
  int64_t offset = 0;
  std::set<std::string_view> names = {weights::kMetadata};
  for (const NamedTensor& named : tensors) {
    if (!names.insert(named.name).second) {
      throw Error("two tensors of one name in a safetensors file", "",
                  weights::tensor_text(named.name));
    }
    const Tensor& tensor = *named.tensor;
    std::string_view code;
    for (const weights::Known& known : weights::kKnown) {
      if (known.type == tensor.type()) code = known.code;
    }
    header.emplace(named.name,
                   nlohmann::ordered_json{{"dtype", code},
                                          {"shape", tensor.extents()},
                                          {"data_offsets", {offset, offset + tensor.bytes()}}});
    offset += tensor.bytes();
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::type_error&) {
    throw Error("a name in a safetensors file is not UTF-8");
  }
  // Elements begin at a multiple of 8 bytes.
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string bytes;
  bytes.reserve(weights::kLengthBytes + text.size() + static_cast<size_t>(offset));
  for (size_t i = 0; i < weights::kLengthBytes; ++i)
    bytes += static_cast<char>(text.size() >> (8 * i) & 255);
  bytes += text;
  for (const NamedTensor& named : tensors) {
    bytes.append(static_cast<const char*>(named.tensor->raw()),
                 static_cast<size_t>(named.tensor->bytes()));
  }
  return bytes;
}

}  // namespace refrain
