// What one core of this machine can do at most, measured.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace refrain::machine {

// Bytes a second that one core reads from a working set of this size.
struct Bandwidth {
  int64_t bytes;
  double gb_per_s;
};

struct Profile {
  std::string target;  // the instruction set that was measured, the best that Highway knows here
  double peak_gflops;  // float32, an FMA counted as two
  std::vector<Bandwidth> bandwidths;  // by rising working set, from L1 to memory
};

// Measures one core for about `seconds` (the fastest of short runs each, so that a busy machine
// disturbs little). Allocates up to 64 MiB for that long.
Profile measure(double seconds = 0.2);

// Bandwidth of the smallest measured working set that holds `bytes`, or of the largest.
double bandwidth_of(const Profile& profile, int64_t bytes);

}  // namespace refrain::machine
