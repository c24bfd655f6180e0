// What code that must be fit for real time may not do: counted, or forbidden by the kernel.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace refrain::testing {

// Calls by all threads of this process since it began: of malloc and its kin and operator new,
// whoever makes them, of free, of mmap and munmap and of pthread's mutexes and condition variables.
// A program that links this counts them by taking the place of the C library's functions; where
// AddressSanitizer or ThreadSanitizer has done so already, only what they tell of is counted:
// memory, no maps and no locks.
struct CallCounts {
  int64_t allocations = 0, frees = 0, maps = 0, locks = 0;

  int64_t total() const { return allocations + frees + maps + locks; }
};
CallCounts operator-(const CallCounts& a, const CallCounts& b);
CallCounts calls_so_far();

// "2 allocations, 2 frees, 0 maps, 0 locks".
std::string to_string(const CallCounts& counts);

// Whether f() returns without a single system call: a copy of this process (fork) calls it under
// seccomp's strict mode, in which the kernel ends a process for any of them. f() should have run
// before, so that pages it writes are there. Unknown where seccomp is not to be had (sanitizers,
// other kernels).
enum class Syscalls : uint8_t { none, some, unknown };
Syscalls system_calls_of(const std::function<void()>& f);

}  // namespace refrain::testing
