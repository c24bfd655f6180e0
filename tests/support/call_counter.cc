#include "support/call_counter.h"

#include <dlfcn.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REFRAIN_SANITIZED 1
// Of the sanitizers' run-time library; GCC 12 installs no header with it.
extern "C" int __sanitizer_install_malloc_and_free_hooks(
    void (*malloc_hook)(const volatile void* pointer, size_t size),
    void (*free_hook)(const volatile void* pointer));
#else
#define REFRAIN_SANITIZED 0
#endif

namespace refrain::testing {
namespace {

// Constant-initialized: counted before any constructor runs.
constinit std::atomic<int64_t> allocations{0}, frees{0}, maps{0}, locks{0};

void count(std::atomic<int64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

#if REFRAIN_SANITIZED
const bool hooked = [] {
  return __sanitizer_install_malloc_and_free_hooks(
             [](const volatile void*, size_t) { count(allocations); },
             [](const volatile void*) { count(frees); }) != 0;
}();
#else
// The C library's own function of this name. dlsym allocates nothing when it finds what it looks
// for in a library that is loaded.
template <typename F>
F* next(const char* name, std::atomic<F*>& known) {
  F* found = known.load(std::memory_order_relaxed);
  if (found != nullptr) return found;
  found = reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
  known.store(found, std::memory_order_relaxed);
  return found;
}
#endif

}  // namespace

CallCounts operator-(const CallCounts& a, const CallCounts& b) {
  return {a.allocations - b.allocations, a.frees - b.frees, a.maps - b.maps, a.locks - b.locks};
}

CallCounts calls_so_far() { return {allocations.load(), frees.load(), maps.load(), locks.load()}; }

std::string to_string(const CallCounts& counts) {
  return std::to_string(counts.allocations) + " allocations, " + std::to_string(counts.frees) +
         " frees, " + std::to_string(counts.maps) + " maps, " + std::to_string(counts.locks) +
         " locks";
}

Syscalls system_calls_of(const std::function<void()>& f) {
  if (REFRAIN_SANITIZED != 0) return Syscalls::unknown;
  constexpr int kDone = 0, kRefused = 7;
  const pid_t child = fork();
  if (child < 0) return Syscalls::unknown;
  if (child == 0) {
    f();  // copies the pages that it writes
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(kRefused);
    f();
    syscall(SYS_exit, kDone);  // that of a thread: strict mode knows no other
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return Syscalls::unknown;
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == kDone) return Syscalls::none;
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? Syscalls::some : Syscalls::unknown;
}

}  // namespace refrain::testing

#if !REFRAIN_SANITIZED

using refrain::testing::allocations;
using refrain::testing::count;
using refrain::testing::frees;
using refrain::testing::locks;
using refrain::testing::maps;
using refrain::testing::next;

// operator new and delete of the C++ library call these.
extern "C" {

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* memory);

void* malloc(size_t size) {
  count(allocations);
  return __libc_malloc(size);
}

void* calloc(size_t number, size_t size) {
  count(allocations);
  return __libc_calloc(number, size);
}

void* realloc(void* memory, size_t size) {
  count(allocations);
  return __libc_realloc(memory, size);
}

void* memalign(size_t alignment, size_t size) {
  count(allocations);
  return __libc_memalign(alignment, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  count(allocations);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** memory, size_t alignment, size_t size) {
  count(allocations);
  if (alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0) return EINVAL;
  void* const made = __libc_memalign(alignment, size);
  if (made == nullptr) return ENOMEM;
  *memory = made;
  return 0;
}

void free(void* memory) {
  if (memory != nullptr) count(frees);
  __libc_free(memory);
}

void* mmap(void* address, size_t length, int protection, int flags, int file, off_t offset) {
  count(maps);
  return reinterpret_cast<void*>(
      syscall(SYS_mmap, address, length, protection, flags, file, offset));
}

int munmap(void* address, size_t length) {
  count(maps);
  return static_cast<int>(syscall(SYS_munmap, address, length));
}

int pthread_mutex_lock(pthread_mutex_t* mutex) {
  static constinit std::atomic<int (*)(pthread_mutex_t*)> known{nullptr};
  count(locks);
  return next("pthread_mutex_lock", known)(mutex);
}

int pthread_mutex_unlock(pthread_mutex_t* mutex) {
  static constinit std::atomic<int (*)(pthread_mutex_t*)> known{nullptr};
  count(locks);
  return next("pthread_mutex_unlock", known)(mutex);
}

}  // extern "C"

#endif
