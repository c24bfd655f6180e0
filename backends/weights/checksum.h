// Checksums of blocks of weights.
#pragma once

#include <cstddef>
#include <cstdint>

namespace refrain {

// XXH64 of the bytes with seed 0 (the algorithm's public specification, version 0.1.1): any change
// of one aligned word of eight bytes changes it, and it runs about as fast as memory is read.
uint64_t checksum(const void* data, size_t bytes);

}  // namespace refrain
