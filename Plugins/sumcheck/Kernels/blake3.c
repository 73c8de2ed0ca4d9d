// BLAKE3 as its specification defines it (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, 2020), with
// 32 bytes of output, in its plain and its keyed mode.
#include "blake3.h"

#include "path.h"

#include <string.h>

#define BLAKE3_ROTATE(x, count) ((x) >> (count) | (x) << (32 - (count)))

static inline uint32_t load_word(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16
    | (uint32_t)bytes[3] << 24;
}

static inline void store_words(uint8_t *out, const uint32_t words[8]) {
  for (int i = 0; i < 8; i++) {
    for (int k = 0; k < 4; k++) out[4 * i + k] = (uint8_t)(words[i] >> (8 * k));
  }
}

static inline void load_words(uint32_t words[8], const uint8_t *bytes) {
  for (int i = 0; i < 8; i++) words[i] = load_word(bytes + 4 * i);
}

/// Replaces the chaining value by the compression of a block of `length` bytes, padded with zeros.
static void compress(
  uint32_t value[8], const uint8_t *block, uint32_t length, uint64_t counter, uint32_t flags) {
  uint32_t m[16], v[16];
  for (int i = 0; i < 16; i++) m[i] = load_word(block + 4 * i);
  memcpy(v, value, 32);
  memcpy(v + 8, blake3_initial, 16);
  v[12] = (uint32_t)counter;
  v[13] = (uint32_t)(counter >> 32);
  v[14] = length;
  v[15] = flags;
  BLAKE3_ROUNDS(BLAKE3_MIX)
  for (int i = 0; i < 8; i++) value[i] = v[i] ^ v[i + 8];
}

static blake3_mode mode_of(const uint8_t *key) {
  blake3_mode mode;
  mode.flags = key ? BLAKE3_KEYED : 0;
  memcpy(mode.value, blake3_initial, sizeof mode.value);
  if (key) load_words(mode.value, key);
  return mode;
}

/// The chaining value of a chunk of at most 1,024 bytes; `root` is ROOT where it is all there is.
static void hash_chunk(
  uint32_t value[8], const uint8_t *bytes, size_t length, uint64_t index, const blake3_mode *mode,
  uint32_t root) {
  memcpy(value, mode->value, 32);
  uint32_t flags = mode->flags | BLAKE3_CHUNK_START;
  for (; length > BLAKE3_BLOCK; bytes += BLAKE3_BLOCK, length -= BLAKE3_BLOCK) {
    compress(value, bytes, BLAKE3_BLOCK, index, flags);
    flags = mode->flags;
  }
  uint8_t last[BLAKE3_BLOCK] = {0};
  if (length > 0) memcpy(last, bytes, length);
  compress(value, last, (uint32_t)length, index, flags | BLAKE3_CHUNK_END | root);
}

/// left becomes the parent of left and right.
static void hash_parent(
  uint32_t left[8], const uint32_t right[8], const blake3_mode *mode, uint32_t root) {
  uint8_t block[BLAKE3_BLOCK];
  store_words(block, left);
  store_words(block + 32, right);
  memcpy(left, mode->value, 32);
  compress(left, block, BLAKE3_BLOCK, 0, mode->flags | BLAKE3_PARENT | root);
}

/// Complete subtrees that wait for their sibling, the largest first: a binary counter of chunks.
typedef struct {
  uint32_t values[BLAKE3_DEPTH][8];
  size_t depth;
  uint64_t chunks;
} subtrees;

/// Adds a complete subtree of `chunks` chunks, a power of two that divides the number before it.
static void subtrees_add(
  subtrees *trees, uint32_t value[8], uint64_t chunks, const blake3_mode *mode) {
  trees->chunks += chunks;
  for (uint64_t bits = trees->chunks / chunks; (bits & 1) == 0; bits >>= 1) {
    trees->depth -= 1;
    hash_parent(trees->values[trees->depth], value, mode, 0);
    memcpy(value, trees->values[trees->depth], 32);
  }
  memcpy(trees->values[trees->depth], value, 32);
  trees->depth += 1;
}

enum { GROUP = 64 };

void sumcheck_blake3(uint8_t *out, const uint8_t *bytes, size_t length, const uint8_t *key) {
  const sumcheck_table *table = sumcheck_table_selected();
  blake3_mode mode = mode_of(key);
  subtrees trees = {.depth = 0, .chunks = 0};
  uint32_t value[8];
  // The last chunk stays apart, even where it is whole: it may be the root.
  for (; length > GROUP * BLAKE3_CHUNK; length -= GROUP * BLAKE3_CHUNK) {
    uint8_t values[GROUP * 32];
    for (size_t i = 0; i < GROUP; i += 8) {
      table->blake3_chunks(values + 32 * i, bytes, trees.chunks + i, &mode);
      bytes += 8 * BLAKE3_CHUNK;
    }
    // In place: eight parents are written below where their sixteen children were read.
    for (size_t count = GROUP; count > 8; count /= 2) {
      for (size_t i = 0; i < count; i += 16) {
        table->blake3_parents(values + 16 * i, values + 32 * i, &mode);
      }
    }
    for (size_t i = 0; i < 8; i++) {
      load_words(value, values + 32 * i);
      subtrees_add(&trees, value, GROUP / 8, &mode);
    }
  }
  for (; length > 8 * BLAKE3_CHUNK; length -= 8 * BLAKE3_CHUNK, bytes += 8 * BLAKE3_CHUNK) {
    uint8_t values[8 * 32];
    table->blake3_chunks(values, bytes, trees.chunks, &mode);
    for (size_t i = 0; i < 8; i++) {
      load_words(value, values + 32 * i);
      subtrees_add(&trees, value, 1, &mode);
    }
  }
  for (; length > BLAKE3_CHUNK; length -= BLAKE3_CHUNK, bytes += BLAKE3_CHUNK) {
    hash_chunk(value, bytes, BLAKE3_CHUNK, trees.chunks, &mode, 0);
    subtrees_add(&trees, value, 1, &mode);
  }
  hash_chunk(value, bytes, length, trees.chunks, &mode, trees.depth == 0 ? BLAKE3_ROOT : 0);
  while (trees.depth > 0) {
    trees.depth -= 1;
    hash_parent(trees.values[trees.depth], value, &mode, trees.depth == 0 ? BLAKE3_ROOT : 0);
    memcpy(value, trees.values[trees.depth], 32);
  }
  store_words(out, value);
}

void sumcheck_blake3_many(
  uint8_t *out, const uint8_t *bytes, size_t stride, size_t length, const uint8_t *key,
  size_t begin, size_t end) {
  const sumcheck_table *table = sumcheck_table_selected();
  blake3_mode mode = mode_of(key);
  for (; end - begin >= 8; begin += 8) {
    table->blake3_inputs(out + 32 * begin, bytes + begin * stride, stride, length, &mode);
  }
  for (; begin < end; begin++) {
    sumcheck_blake3(out + 32 * begin, bytes + begin * stride, length, key);
  }
}
