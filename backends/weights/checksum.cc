#include "backends/weights/checksum.h"

#include <bit>
#include <cstring>

namespace refrain {
namespace {

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87, kPrime2 = 0xC2B2AE3D27D4EB4F,
                   kPrime3 = 0x165667B19E3779F9, kPrime4 = 0x85EBCA77C2B2AE63,
                   kPrime5 = 0x27D4EB2F165667C5;

template <typename T>
uint64_t read(const unsigned char* from) {
  static_assert(std::endian::native == std::endian::little);
  T word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

uint64_t mix(uint64_t sum, uint64_t word) { return std::rotl(sum + word * kPrime2, 31) * kPrime1; }

}  // namespace

uint64_t checksum(const void* data, size_t bytes) {
  constexpr size_t kLanes = 4, kStripe = kLanes * sizeof(uint64_t);
  const auto* at = static_cast<const unsigned char*>(data);
  const unsigned char* const end = at + bytes;
  uint64_t hash = kPrime5;
  if (bytes >= kStripe) {
    uint64_t sums[kLanes] = {kPrime1 + kPrime2, kPrime2, 0, 0 - kPrime1};
    for (; end - at >= static_cast<ptrdiff_t>(kStripe); at += kStripe) {
      for (size_t i = 0; i < kLanes; ++i) sums[i] = mix(sums[i], read<uint64_t>(at + 8 * i));
    }
    hash = std::rotl(sums[0], 1) + std::rotl(sums[1], 7) + std::rotl(sums[2], 12) +
           std::rotl(sums[3], 18);
    for (const uint64_t sum : sums) hash = (hash ^ mix(0, sum)) * kPrime1 + kPrime4;
  }
  hash += bytes;
  for (; end - at >= 8; at += 8) {
    hash = std::rotl(hash ^ mix(0, read<uint64_t>(at)), 27) * kPrime1 + kPrime4;
  }
  if (end - at >= 4) {
    hash = std::rotl(hash ^ read<uint32_t>(at) * kPrime1, 23) * kPrime2 + kPrime3;
    at += 4;
  }
  for (; at < end; ++at) hash = std::rotl(hash ^ *at * kPrime5, 11) * kPrime1;
  hash = (hash ^ hash >> 33) * kPrime2;
  hash = (hash ^ hash >> 29) * kPrime3;
  return hash ^ hash >> 32;
}

}  // namespace refrain
