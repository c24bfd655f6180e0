// The SIMD targets that kernels are compiled for: all of Highway's but those whose vectors have a
// size that the compiler doesn't know, because such vectors can't be members or be captured by
// lambdas. On Arm that leaves NEON.
//
// Include before anything that includes hwy/highway.h or hwy/targets.h, whose lists of targets it
// shortens.
#pragma once

#ifdef HWY_DISABLED_TARGETS
#error "include backends/highway/targets.h before Highway's headers"
#endif
#ifdef REFRAIN_FEW_TARGETS
// Sanitizers make one target's loop kernel take minutes and gigabytes to compile: AVX2 and the
// portable one see the same source.
#define HWY_DISABLED_TARGETS \
  (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_AVX3_DL | HWY_AVX3 | HWY_SSE4 | HWY_SSSE3)
#else
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#endif
