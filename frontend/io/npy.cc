#include "frontend/io/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

#include "ir/error.h"
#include "ir/shape.h"

namespace refrain {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

struct Header {
  ElementType type = ElementType::f32;
  bool swapped = false;  // big endian
  bool fortran = false;
  std::vector<int64_t> extents;
};

// The header is a Python dictionary of three entries whose values are a string, a boolean and a
// tuple of integers; this reads no more of Python than that.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  Header parse() {
    Header header;
    bool descr = false, order = false, shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr" && !descr) {
        descr = true;
        read_type(string(), header);
      } else if (key == "fortran_order" && !order) {
        order = true;
        header.fortran = boolean();
      } else if (key == "shape" && !shape) {
        shape = true;
        header.extents = tuple();
      } else {
        fail("unknown or repeated key \"" + std::string(key) + "\"");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!text_.empty()) fail("text after the dictionary");
    if (!descr || !order || !shape) fail("a key of descr, fortran_order, shape is missing");
    return header;
  }

 private:
  [[noreturn]] static void fail(const std::string& what) {
    throw Error("malformed .npy header: " + what);
  }

  void skip_space() {
    const size_t begin = text_.find_first_not_of(" \t\r\n");
    text_.remove_prefix(std::min(begin, text_.size()));
  }
  bool accept(char c) {
    skip_space();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(std::string("expected '") + c + "'");
  }
  bool accept_word(std::string_view word) {
    skip_space();
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }

  std::string_view string() {
    skip_space();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) fail("expected a string");
    const size_t end = text_.find(text_[0], 1);
    if (end == std::string_view::npos) fail("unterminated string");
    const std::string_view result = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return result;
  }

  bool boolean() {
    if (accept_word("True")) return true;
    if (accept_word("False")) return false;
    fail("expected True or False");
  }

  std::vector<int64_t> tuple() {
    std::vector<int64_t> extents;
    expect('(');
    while (!accept(')')) {
      skip_space();
      int64_t extent = -1;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), extent);
      if (error != std::errc() || extent < 0) fail("expected an extent");
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      accept_word("L");  // a long of Python 2
      extents.push_back(extent);
      if (static_cast<int64_t>(extents.size()) > kMaxRank) fail("too many dimensions");
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return extents;
  }

  static void read_type(std::string_view descr, Header& header) {
    struct Known {
      std::string_view code;
      ElementType type;
    };
    constexpr Known kKnown[] = {
        {"b1", ElementType::boolean}, {"i1", ElementType::i8},  {"i2", ElementType::i16},
        {"i4", ElementType::i32},     {"i8", ElementType::i64}, {"u1", ElementType::u8},
        {"u2", ElementType::u16},     {"u4", ElementType::u32}, {"u8", ElementType::u64},
        {"f2", ElementType::f16},     {"f4", ElementType::f32}, {"f8", ElementType::f64}};
    for (const Known& known : kKnown) {
      if (descr.size() == 3 && descr.substr(1) == known.code &&
          std::string_view("<>=|").find(descr[0]) != std::string_view::npos) {
        header.type = known.type;
        header.swapped = descr[0] == '>';
        return;
      }
    }
    throw Error("unsupported .npy element type", "bool, an integer or a float of 2, 4 or 8 bytes",
                std::string(descr));
  }

  std::string_view text_;
};

uint32_t little_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// Copies elements of `size` bytes from Fortran order (first index fastest) to C order.
void copy_from_fortran(const char* source, char* target, const std::vector<int64_t>& extents,
                       size_t size) {
  std::vector<int64_t> strides(extents.size());  // of the source, in elements
  int64_t count = 1;
  for (size_t i = 0; i < extents.size(); ++i) {
    strides[i] = count;
    count *= extents[i];
  }
  std::vector<int64_t> index(extents.size());
  int64_t offset = 0;
  for (int64_t n = 0; n < count; ++n) {
    std::memcpy(target + static_cast<size_t>(n) * size, source + static_cast<size_t>(offset) * size,
                size);
    for (size_t i = extents.size(); i-- > 0;) {
      offset += strides[i];
      if (++index[i] < extents[i]) break;
      offset -= strides[i] * extents[i];
      index[i] = 0;
    }
  }
}

std::string_view type_code(ElementType type) {
  switch (type) {
    case ElementType::boolean:
      return "|b1";
    case ElementType::i8:
      return "|i1";
    case ElementType::i16:
      return "<i2";
    case ElementType::i32:
      return "<i4";
    case ElementType::i64:
      return "<i8";
    case ElementType::u8:
      return "|u1";
    case ElementType::u16:
      return "<u2";
    case ElementType::u32:
      return "<u4";
    case ElementType::u64:
      return "<u8";
    case ElementType::f16:
      return "<f2";
    case ElementType::f64:
      return "<f8";
    case ElementType::f32:
    case ElementType::bf16:
      break;
  }
  return "<f4";
}

}  // namespace

Tensor npy_decode(std::string_view bytes) {
  if (!bytes.starts_with(kMagic) || bytes.size() < 10) throw Error("not a .npy file");
  const auto version = static_cast<unsigned char>(bytes[6]);
  if (version < 1 || version > 3) {
    throw Error("unsupported version of .npy", "1 to 3", std::to_string(version));
  }
  const size_t length_bytes = version == 1 ? 2 : 4, start = 8 + length_bytes;
  if (bytes.size() < start) throw Error("truncated .npy header");
  const size_t length = little_endian(bytes.substr(8, length_bytes));
  if (length > bytes.size() - start) throw Error("truncated .npy header");
  const Header header = HeaderParser(bytes.substr(start, length)).parse();
  const std::string_view data = bytes.substr(start + length);

  // Checked before anything is allocated.
  const int64_t wanted = byte_count(header.type, header.extents);
  if (static_cast<uint64_t>(wanted) != data.size()) {
    throw Error("wrong amount of data in a .npy file", std::to_string(wanted) + " bytes",
                std::to_string(data.size()));
  }
  Tensor tensor(header.type, header.extents);
  if (data.empty()) return tensor;
  const size_t size = size_of(header.type);
  auto* target = static_cast<char*>(tensor.raw());
  if (header.fortran) {
    copy_from_fortran(data.data(), target, header.extents, size);
  } else {
    std::memcpy(target, data.data(), data.size());
  }
  if (header.swapped) {
    for (size_t i = 0; i < data.size(); i += size) std::reverse(target + i, target + i + size);
  }
  // Any byte but 0 is true; as a C++ bool it must be 1.
  if (header.type == ElementType::boolean) {
    for (size_t i = 0; i < data.size(); ++i) target[i] = target[i] != 0;
  }
  return tensor;
}

std::string npy_encode(const Tensor& tensor) {
  std::string header = "{'descr': '" + std::string(type_code(tensor.type())) +
                       "', 'fortran_order': False, 'shape': (";
  for (const int64_t extent : tensor.extents()) header += std::to_string(extent) + ", ";
  header += "), }";
  // The data starts at a multiple of 64 bytes; the header ends in a newline.
  const size_t before = kMagic.size() + 4;
  header.append(63 - (before + header.size()) % 64, ' ');
  header += '\n';

  std::string bytes(kMagic);
  bytes += {'\x01', '\x00', static_cast<char>(header.size() & 255),
            static_cast<char>(header.size() >> 8)};
  bytes += header;
  if (tensor.type() == ElementType::bf16) {
    for (const BFloat16 element : tensor.data<BFloat16>()) {
      const float value = element;
      bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
  } else {
    bytes.append(static_cast<const char*>(tensor.raw()), static_cast<size_t>(tensor.bytes()));
  }
  return bytes;
}

}  // namespace refrain
