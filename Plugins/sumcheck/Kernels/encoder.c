// Reed-Solomon encoding: a number-theoretic transform of several rows side by side, by decimation
// in frequency, so that the rows share each root of unity.
#include "field.h"

#include <stdlib.h>

/// Rows transformed together: one cache line of each position.
#define ENCODER_ROWS 8

struct sumcheck_encoder {
  unsigned message_log, code_log;
  /// Powers of w, the first half of its order.
  uint64_t *roots;
};

sumcheck_encoder *sumcheck_encoder_create(unsigned message_log, unsigned rate_log) {
  unsigned code_log = message_log + rate_log;
  if (rate_log < 1 || code_log > 32) return NULL;
  sumcheck_encoder *encoder = malloc(sizeof *encoder);
  if (encoder == NULL) return NULL;
  size_t half = (size_t)1 << (code_log - 1);
  encoder->message_log = message_log;
  encoder->code_log = code_log;
  encoder->roots = malloc(half * sizeof *encoder->roots);
  if (encoder->roots == NULL) {
    free(encoder);
    return NULL;
  }
  uint64_t root = field_power(FIELD_GENERATOR, (FIELD_P - 1) >> code_log), power = 1;
  for (size_t i = 0; i < half; i++) {
    encoder->roots[i] = power;
    power = field_multiply(power, root);
  }
  return encoder;
}

void sumcheck_encoder_destroy(sumcheck_encoder *encoder) {
  if (encoder == NULL) return;
  free(encoder->roots);
  free(encoder);
}

size_t sumcheck_encoder_scratch_size(const sumcheck_encoder *encoder) {
  return ((size_t)ENCODER_ROWS * sizeof(uint64_t)) << encoder->code_log;
}

static size_t reverse_bits(size_t index, unsigned bits) {
  size_t reversed = 0;
  for (unsigned k = 0; k < bits; k++) reversed |= ((index >> k) & 1) << (bits - 1 - k);
  return reversed;
}

/// Transforms the rows in `scratch`, and writes `count` of them out in natural order.
static void transform(
  const sumcheck_encoder *encoder, uint64_t *out, size_t out_stride, uint64_t *scratch,
  size_t count) {
  size_t length = (size_t)1 << encoder->code_log;
  for (size_t half = length / 2, step = 1; half > 0; half /= 2, step *= 2) {
    for (size_t block = 0; block < length; block += 2 * half) {
      for (size_t j = 0; j < half; j++) {
        uint64_t *low = scratch + (block + j) * ENCODER_ROWS, *high = low + half * ENCODER_ROWS;
        for (size_t row = 0; row < ENCODER_ROWS; row++) {
          uint64_t a = low[row], b = high[row];
          low[row] = field_add(a, b);
          high[row] = field_multiply(field_subtract(a, b), encoder->roots[j * step]);
        }
      }
    }
  }
  for (size_t j = 0; j < length; j++) {
    const uint64_t *values = scratch + reverse_bits(j, encoder->code_log) * ENCODER_ROWS;
    for (size_t row = 0; row < count; row++) out[j * out_stride + row] = values[row];
  }
}

#define ENCODE(kind, type, convert)                                                                \
  void sumcheck_encode_##kind(                                                                     \
    const sumcheck_encoder *encoder, uint64_t *out, size_t out_stride, const type *rows,           \
    size_t row_stride, size_t row_begin, size_t row_end, void *scratch) {                          \
    size_t length = (size_t)1 << encoder->code_log, message = (size_t)1 << encoder->message_log;   \
    uint64_t *values = scratch;                                                                    \
    for (size_t first = row_begin; first < row_end; first += ENCODER_ROWS) {                       \
      size_t count = row_end - first < ENCODER_ROWS ? row_end - first : ENCODER_ROWS;              \
      for (size_t i = 0; i < length * ENCODER_ROWS; i++) values[i] = 0;                            \
      for (size_t row = 0; row < count; row++) {                                                   \
        const type *from = rows + (first + row) * row_stride;                                      \
        for (size_t j = 0; j < message; j++) values[j * ENCODER_ROWS + row] = convert(from[j]);    \
      }                                                                                            \
      transform(encoder, out + first, out_stride, values, count);                                  \
    }                                                                                              \
  }
#define AS_IT_IS(value) (value)
ENCODE(int16, int16_t, field_from_integer)
ENCODE(int32, int32_t, field_from_integer)
ENCODE(base, uint64_t, AS_IT_IS)
