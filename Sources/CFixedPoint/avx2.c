#if defined(__x86_64__)
// Only what stands between the pragmas may use AVX2; the processor is asked before it is called.
#include <immintrin.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "fixed16.h"

#define FIXED16_SIMD
#define NAME(function) avx2_##function
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#include "loops.h"
#pragma clang attribute pop
#endif
