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
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
