// Timing several programs against each other.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace refrain {

struct Timing {
  double min_us = 0, median_us = 0;
  size_t runs = 0;
};

// Runs each program for about `seconds` altogether, at least three times, in turns: a slice of the
// time of the first, one of the second, and so on around again, so that whatever else the machine
// does slows all of them. A program of less than some microseconds runs several times between two
// readings of the clock, whose time would count otherwise; times are means of such groups. The
// beginning of a slice, when caches are still the last program's and its threads may still spin,
// does not count, unless a run is longer than a slice.
std::vector<Timing> time_in_turns(std::span<const std::function<void()>> programs, double seconds);

}  // namespace refrain
