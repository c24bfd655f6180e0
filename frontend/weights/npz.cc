#include <zlib.h>

#include <algorithm>
#include <memory>

#include "frontend/io/npy.h"
#include "frontend/weights/formats.h"
#include "ir/error.h"

namespace refrain::weights {
namespace {

// Sizes and signatures of the archive's records, without what is of variable length.
constexpr size_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22;
constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50;
constexpr uint32_t kStored = 0, kDeflated = 8;
constexpr uint32_t kEncrypted = 1;  // a bit of the flags
// Deflate codes at most 258 bytes in two bits.
constexpr uint64_t kMostRatio = 1032;

uint32_t number(std::string_view bytes, size_t at, size_t size) {
  uint32_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

struct Entry {
  std::string_view name;
  uint32_t method = 0, crc = 0;
  uint64_t packed = 0, size = 0;  // bytes in the archive, and inflated
  uint64_t offset = 0;            // of the local record
  std::string_view data;          // as packed
};

[[noreturn]] void fail(const Entry& entry, const std::string& problem,
                       const std::string& expected = {}, const std::string& found = {}) {
  throw Error(tensor_text(entry.name) + ": " + problem, expected, found);
}

// The record at the archive's end; what follows it is its comment, to the last byte.
size_t find_end(std::string_view bytes) {
  if (bytes.size() >= kEndBytes) {
    const size_t last = bytes.size() - kEndBytes;
    const size_t first = last > 0xffff ? last - 0xffff : 0;
    for (size_t at = last + 1; at-- > first;) {
      if (number(bytes, at, 4) == kEnd && number(bytes, at + 20, 2) == last - at) return at;
    }
  }
  throw Error("truncated .npz file", "the record that ends a ZIP archive", "none");
}

std::vector<Entry> read_directory(std::string_view bytes) {
  const size_t end = find_end(bytes);
  const uint32_t count = number(bytes, end + 10, 2);
  const uint64_t size = number(bytes, end + 12, 4), begin = number(bytes, end + 16, 4);
  if (count == 0xffff || size == 0xffffffff || begin == 0xffffffff) {
    throw Error("unsupported .npz file", "less than 65535 arrays in less than 4 GB", "ZIP64");
  }
  if (number(bytes, end + 4, 4) != 0 || number(bytes, end + 8, 2) != count) {
    throw Error("unsupported .npz file", "one file", "an archive in parts");
  }
  if (begin + size != end) {
    throw Error("malformed .npz file", "a directory that ends where its end is recorded",
                "another place");
  }
  std::vector<Entry> entries;
  size_t at = begin;
  for (uint32_t i = 0; i < count; ++i) {
    if (end - at < kCentralBytes || number(bytes, at, 4) != kCentral) {
      throw Error("malformed .npz file: its directory breaks off",
                  std::to_string(count) + " entries", std::to_string(i));
    }
    const uint64_t name = number(bytes, at + 28, 2),
                   rest = number(bytes, at + 30, 2) + number(bytes, at + 32, 2);
    if (name + rest > end - at - kCentralBytes) {
      throw Error("malformed .npz file: its directory breaks off",
                  std::to_string(count) + " entries", std::to_string(i));
    }
    Entry entry{.name = bytes.substr(at + kCentralBytes, name),
                .method = number(bytes, at + 10, 2),
                .crc = number(bytes, at + 16, 4),
                .packed = number(bytes, at + 20, 4),
                .size = number(bytes, at + 24, 4),
                .offset = number(bytes, at + 42, 4),
                .data = {}};
    if (number(bytes, at + 8, 2) & kEncrypted) fail(entry, "it is encrypted");
    if (entry.method != kStored && entry.method != kDeflated) {
      fail(entry, "unsupported compression", "0 (stored) or 8 (deflated)",
           std::to_string(entry.method));
    }
    if (entry.packed == 0xffffffff || entry.size == 0xffffffff || entry.offset == 0xffffffff) {
      fail(entry, "unsupported size", "less than 4 GB", "ZIP64");
    }
    if (entry.method == kStored ? entry.size != entry.packed
                                : entry.size > (entry.packed + 1) * kMostRatio) {
      fail(entry, "its sizes do not fit each other", std::to_string(entry.packed) + " bytes packed",
           std::to_string(entry.size) + " bytes");
    }
    entries.push_back(entry);
    at += kCentralBytes + name + rest;
  }
  if (at != end) throw Error("malformed .npz file: bytes after its directory");
  return entries;
}

// Finds each entry's data. They may not overlap: one piece of data for many entries is how small
// archives become huge.
void find_data(std::vector<Entry>& entries, std::string_view bytes) {
  for (Entry& entry : entries) {
    if (bytes.size() < kLocalBytes || entry.offset > bytes.size() - kLocalBytes ||
        number(bytes, entry.offset, 4) != kLocal) {
      fail(entry, "nothing where the archive's directory says that it begins");
    }
    const uint64_t name = number(bytes, entry.offset + 26, 2),
                   begin = entry.offset + kLocalBytes + name + number(bytes, entry.offset + 28, 2);
    if (begin > bytes.size() || entry.packed > bytes.size() - begin) {
      fail(entry, "it ends beyond the file");
    }
    if (bytes.substr(entry.offset + kLocalBytes, name) != entry.name) {
      fail(entry, "another name in the archive's directory than where it lies");
    }
    entry.data = bytes.substr(begin, entry.packed);
  }
  std::vector<const Entry*> sorted;
  for (const Entry& entry : entries) sorted.push_back(&entry);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Entry* a, const Entry* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < sorted.size(); ++i) {
    const Entry& before = *sorted[i - 1];
    if (before.data.data() + before.data.size() > bytes.data() + sorted[i]->offset) {
      fail(*sorted[i], "it overlaps " + tensor_text(before.name));
    }
  }
}

std::string inflate(const Entry& entry) {
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw Error("zlib has no memory");  // raw deflate
  const std::unique_ptr<z_stream, int (*)(z_streamp)> owner(&stream, inflateEnd);
  std::string out(entry.size, '\0');
  // zlib does not write to what it reads, but takes a pointer to non-const.
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(entry.data.data()));
  stream.avail_in = static_cast<uInt>(entry.data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = ::inflate(&stream, Z_FINISH);
  if (status != Z_STREAM_END || stream.avail_in != 0 || stream.avail_out != 0) {
    fail(entry, "its compressed data is damaged", std::to_string(entry.size) + " bytes",
         status == Z_STREAM_END ? std::to_string(stream.total_out) : "data that breaks off");
  }
  return out;
}

Tensor read_array(const Entry& entry) {
  std::string inflated;
  std::string_view bytes = entry.data;
  if (entry.method == kDeflated) bytes = inflated = inflate(entry);
  const uLong crc =
      crc32_z(crc32_z(0, nullptr, 0), reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  if (crc != entry.crc) fail(entry, "its checksum is wrong: the file is damaged");
  try {
    return npy_decode(bytes);
  } catch (const Error& error) {
    fail(entry, error.problem(), error.expected(), error.found());
  }
}

}  // namespace

bool is_zip(std::string_view bytes) {
  if (bytes.size() < 4) return false;
  // An archive begins with its first file, or if it has none with its end. A safetensors file that
  // begins with the same bytes has `{` where the compression is.
  const uint32_t signature = number(bytes, 0, 4);
  return (signature == kLocal && (bytes.size() <= 8 || bytes[8] != '{')) || signature == kEnd;
}

Contents decode_npz(std::string_view bytes, int64_t max_bytes) {
  std::vector<Entry> entries = read_directory(bytes);
  find_data(entries, bytes);
  uint64_t total = 0;
  constexpr std::string_view kExtension = ".npy";
  for (const Entry& entry : entries) {
    if (entry.name.ends_with("data.pkl")) {
      throw Error("unsupported file of weights", "safetensors, or a .npz file of NumPy",
                  "a pickle of PyTorch (torch.save), which may run any code when it is read; save "
                  "its tensors with numpy.savez or safetensors");
    }
    if (!entry.name.ends_with(kExtension)) fail(entry, "not an array", "a name that ends in .npy");
    total += entry.size;
  }
  if (total > static_cast<uint64_t>(max_bytes)) {
    throw Error("the arrays are too large", "at most " + std::to_string(max_bytes) + " bytes",
                std::to_string(total));
  }
  Contents contents;
  for (const Entry& entry : entries) {
    contents.tensors.push_back(
        {std::string(entry.name.substr(0, entry.name.size() - kExtension.size())),
         std::make_shared<const Tensor>(read_array(entry))});
  }
  return contents;
}

}  // namespace refrain::weights
