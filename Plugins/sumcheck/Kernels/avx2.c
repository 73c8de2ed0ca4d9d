#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#include "lanes_avx2.h"
#include "blake3_lanes.h"
#include "encoder_lanes.h"
#include "slide_lanes.h"
#include "loops.h"
#pragma clang attribute pop
#endif
