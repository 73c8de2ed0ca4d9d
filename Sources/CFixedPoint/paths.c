#include "fixed16.h"

#if defined(__x86_64__)
#define DECLARE(type, function, ...)                                                               \
  type portable_##function(__VA_ARGS__);                                                           \
  type avx2_##function(__VA_ARGS__);
#define CALL(path, function, ...)                                                                  \
  ((path) == FIXED16_AVX2 ? avx2_##function(__VA_ARGS__) : portable_##function(__VA_ARGS__))

fixed16_path fixed16_best_path(void) {
  return __builtin_cpu_supports("avx2") ? FIXED16_AVX2 : FIXED16_PORTABLE;
}
#else
#define DECLARE(type, function, ...) type portable_##function(__VA_ARGS__);
#define CALL(path, function, ...) ((void)(path), portable_##function(__VA_ARGS__))

fixed16_path fixed16_best_path(void) { return FIXED16_PORTABLE; }
#endif

DECLARE(int64_t, multiply, const fixed16_panel *, const fixed16_positions *, int64_t, int64_t)
DECLARE(int64_t, slide, const fixed16_panel *, const fixed16_positions *, int64_t, int64_t)
DECLARE(void, pack_pair, int16_t *, const int16_t *, const int16_t *, const fixed16_padding *)
DECLARE(void, pack_phases, int16_t *, const int16_t *, const fixed16_padding *, int64_t, int64_t)
DECLARE(int64_t, add, int16_t *, const int16_t *, const int16_t *, int64_t, int32_t, int32_t,
        int32_t, int16_t)
DECLARE(void, maximum, int16_t *, const int16_t *, int64_t, int64_t)
DECLARE(void, accumulate, int64_t *, const int16_t *, int64_t, int64_t)
DECLARE(int16_t, largest, const int16_t *, int64_t, int64_t)
DECLARE(int64_t, sum, const int16_t *, int64_t, int64_t)
DECLARE(void, raise, int16_t *, const int16_t *, int64_t, int16_t)

int64_t fixed16_multiply(fixed16_path path, const fixed16_panel *panel,
                         const fixed16_positions *positions, int64_t first, int64_t last) {
  return CALL(path, multiply, panel, positions, first, last);
}

int64_t fixed16_slide(fixed16_path path, const fixed16_panel *panel,
                      const fixed16_positions *positions, int64_t first_line, int64_t last_line) {
  return CALL(path, slide, panel, positions, first_line, last_line);
}

void fixed16_pack_pair(fixed16_path path, int16_t *result, const int16_t *first,
                       const int16_t *second, const fixed16_padding *padding) {
  CALL(path, pack_pair, result, first, second, padding);
}

void fixed16_pack_phases(fixed16_path path, int16_t *result, const int16_t *plane,
                         const fixed16_padding *padding, int64_t phases, int64_t phase_width) {
  CALL(path, pack_phases, result, plane, padding, phases, phase_width);
}

int64_t fixed16_add(fixed16_path path, int16_t *result, const int16_t *x, const int16_t *y,
                    int64_t count, int32_t left, int32_t right, int32_t shift, int16_t least) {
  return CALL(path, add, result, x, y, count, left, right, shift, least);
}

void fixed16_maximum(fixed16_path path, int16_t *result, const int16_t *x, int64_t stride,
                     int64_t count) {
  CALL(path, maximum, result, x, stride, count);
}

void fixed16_accumulate(fixed16_path path, int64_t *sums, const int16_t *x, int64_t stride,
                        int64_t count) {
  CALL(path, accumulate, sums, x, stride, count);
}

int16_t fixed16_largest(fixed16_path path, const int16_t *x, int64_t stride, int64_t count) {
  return CALL(path, largest, x, stride, count);
}

int64_t fixed16_sum(fixed16_path path, const int16_t *x, int64_t stride, int64_t count) {
  return CALL(path, sum, x, stride, count);
}

void fixed16_raise(fixed16_path path, int16_t *result, const int16_t *x, int64_t count,
                   int16_t least) {
  CALL(path, raise, result, x, count, least);
}
