// What an encoder precomputes, and the rows of a matrix by groups.
#include "encoder.h"

#include "field.h"
#include "path.h"

#include <stdlib.h>

/// Of a block of 2^log positions: its first quarter's transform holds the indices that are 0 modulo
/// 4, the next those that are 1, and so on.
static void fill_order(uint32_t *order, unsigned log, uint32_t first, uint32_t step) {
  if (log < 2) {
    for (uint32_t k = 0; k <= log; k++) order[k] = first + k * step;
    return;
  }
  for (uint32_t k = 0; k < 4; k++) {
    fill_order(order + ((size_t)k << (log - 2)), log - 2, first + k * step, 4 * step);
  }
}

static void fill_powers(uint64_t *powers, uint64_t base, size_t count, size_t stride) {
  uint64_t power = 1;
  for (size_t j = 0; j < count; j++) {
    powers[j * stride] = power;
    power = field_multiply(power, base);
  }
}

static uint64_t root_of_order(unsigned log) {
  return field_power(FIELD_GENERATOR, (FIELD_P - 1) >> log);
}

sumcheck_encoder *sumcheck_encoder_create(unsigned message_log, unsigned rate_log) {
  if (rate_log < 1 || message_log + rate_log > 32) return NULL;
  size_t message = (size_t)1 << message_log, cosets = (size_t)1 << rate_log;
  sumcheck_encoder *encoder = malloc(sizeof *encoder);
  if (encoder == NULL) return NULL;
  encoder->message_log = message_log;
  encoder->rate_log = rate_log;
  encoder->row_limit = message_log <= 11 ? 16 : 8;
  encoder->shifts = malloc((cosets - 1) * message * sizeof *encoder->shifts);
  encoder->roots = malloc(message * sizeof *encoder->roots);
  encoder->order = malloc(message * sizeof *encoder->order);
  if (encoder->shifts == NULL || encoder->roots == NULL || encoder->order == NULL) {
    sumcheck_encoder_destroy(encoder);
    return NULL;
  }
  fill_order(encoder->order, message_log, 0, 1);
  uint64_t root = root_of_order(message_log + rate_log), shift = root;
  for (size_t coset = 1; coset < cosets; coset++) {
    fill_powers(encoder->shifts + (coset - 1) * message, shift, message, 1);
    shift = field_multiply(shift, root);
  }
  uint64_t *roots = encoder->roots;
  for (unsigned log = message_log; log >= 2; log -= 2) {
    size_t quarter = (size_t)1 << (log - 2);
    uint64_t u = root_of_order(log), power = u;
    for (size_t k = 0; k < 3; k++) {
      fill_powers(roots + k, power, quarter, 3);
      power = field_multiply(power, u);
    }
    roots += 3 * quarter;
  }
  return encoder;
}

void sumcheck_encoder_destroy(sumcheck_encoder *encoder) {
  if (encoder == NULL) return;
  free(encoder->shifts);
  free(encoder->roots);
  free(encoder->order);
  free(encoder);
}

size_t sumcheck_encoder_scratch_size(const sumcheck_encoder *encoder) {
  return (encoder->row_limit * sizeof(uint64_t)) << encoder->message_log;
}

#define ENCODE(kind, type)                                                                         \
  void sumcheck_encode_##kind(                                                                     \
    const sumcheck_encoder *encoder, uint64_t *out, size_t out_stride, const type *rows,           \
    size_t row_stride, size_t row_begin, size_t row_end, void *scratch) {                          \
    const sumcheck_table *table = sumcheck_table_selected();                                       \
    if (((size_t)1 << encoder->message_log) < table->lanes) table = &sumcheck_table_portable;      \
    size_t limit = encoder->row_limit;                                                             \
    for (size_t row = row_begin; row < row_end; row += limit) {                                    \
      size_t count = row_end - row < limit ? row_end - row : limit;                                \
      table->encode_##kind(                                                                        \
        encoder, out + row, out_stride, rows + row * row_stride, row_stride, count, scratch);      \
    }                                                                                              \
  }
ENCODE(int16, int16_t)
ENCODE(int32, int32_t)
ENCODE(base, uint64_t)
