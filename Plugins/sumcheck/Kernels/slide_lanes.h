// The sums of a sliding window modulo 2^16, by the compiler's vectors. All that a remainder of at
// most 16 bits needs of its accumulator, and the cheapest products there are.
#include <string.h>

typedef uint16_t shorts __attribute__((vector_size(32)));

enum { SHORTS = 16, SLIDE_ROWS = 4, SLIDE_VECTORS = 2 };

KERNEL_INLINE void slide_store(int32_t *sums, const shorts *value, size_t count) {
  uint16_t parts[SHORTS];
  memcpy(parts, value, sizeof parts);
  for (size_t i = 0; i < count; i++) sums[i] = parts[i];
}

/// `rows` rows, up to SLIDE_ROWS, and `vectors` vectors of positions, both known when inlined.
KERNEL_INLINE void slide_block(
  int32_t *sums, size_t sums_stride, const int16_t *operand, const uint32_t *offsets,
  const int16_t *weights, size_t columns, size_t rows, size_t vectors, size_t width) {
  shorts totals[SLIDE_ROWS][SLIDE_VECTORS] = {{{0}}};
  for (size_t k = 0; k < columns; k++) {
    shorts values[SLIDE_VECTORS];
    for (size_t v = 0; v < vectors; v++) {
      memcpy(&values[v], operand + offsets[k] + v * SHORTS, sizeof values[v]);
    }
    for (size_t row = 0; row < rows; row++) {
      uint16_t weight = (uint16_t)weights[row * columns + k];
      for (size_t v = 0; v < vectors; v++) totals[row][v] += values[v] * weight;
    }
  }
  for (size_t row = 0; row < rows; row++) {
    for (size_t v = 0; v < vectors && v * SHORTS < width; v++) {
      size_t left = width - v * SHORTS;
      slide_store(
        sums + row * sums_stride + v * SHORTS, &totals[row][v], left < SHORTS ? left : SHORTS);
    }
  }
}

static void PATH(slide_int16)(
  int32_t *sums, size_t sums_stride, const int16_t *operand, const uint32_t *offsets,
  const int16_t *weights, size_t columns, size_t row_count, size_t width) {
  for (size_t row = 0; row < row_count; row += SLIDE_ROWS) {
    size_t rows = row_count - row < SLIDE_ROWS ? row_count - row : SLIDE_ROWS;
    const int16_t *block = weights + row * columns;
    for (size_t x = 0; x < width; x += SLIDE_VECTORS * SHORTS) {
      int32_t *to = sums + row * sums_stride + x;
      size_t left = width - x, vectors = left > SHORTS ? 2 : 1;
      if (rows == SLIDE_ROWS && vectors == 2) {
        slide_block(to, sums_stride, operand + x, offsets, block, columns, SLIDE_ROWS, 2, left);
      } else if (rows == SLIDE_ROWS) {
        slide_block(to, sums_stride, operand + x, offsets, block, columns, SLIDE_ROWS, 1, left);
      } else {
        for (size_t r = 0; r < rows; r++) {
          slide_block(
            to + r * sums_stride, sums_stride, operand + x, offsets, block + r * columns, columns,
            1, vectors, left);
        }
      }
    }
  }
}
