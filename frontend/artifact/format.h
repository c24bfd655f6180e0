// The header of a compiled model's file; artifact.fbs says what follows it, and how versions may
// differ.
#pragma once

#include <cstddef>
#include <cstdint>

namespace refrain::artifact {

// As in PNG: a byte that is no text, the name, and line ends that a transfer as text would change.
inline constexpr unsigned char kMagic[8] = {0x89, 'R', 'F', 'R', '\r', '\n', 0x1a, '\n'};
inline constexpr uint32_t kFormatVersion = 1;
inline constexpr size_t kAlignment = 64;  // of blobs and of the metadata

struct Header {
  unsigned char magic[8];
  uint32_t version;
  uint32_t header_bytes;
  uint64_t file_bytes;
  uint64_t metadata_offset;
  uint64_t metadata_bytes;
  uint64_t metadata_checksum;
  uint64_t reserved;         // 0
  uint64_t header_checksum;  // of all before it
};
static_assert(sizeof(Header) == kAlignment && offsetof(Header, header_checksum) == 56);

}  // namespace refrain::artifact
