// BLAKE3 as its specification defines it (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, 2020), with
// 32 bytes of output, in its plain and its keyed mode.
#include "bourse_sumcheck_kernels.h"

#include <string.h>

enum {
  BLOCK_SIZE = 64,
  CHUNK_SIZE = 1024,
  CHUNK_START = 1,
  CHUNK_END = 2,
  PARENT = 4,
  ROOT = 8,
  KEYED_HASH = 16,
};

static const uint32_t initial_value[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                          0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/// The order in which each round takes the words of the block: the permutation, applied again.
static const uint8_t schedule[7][16] = {
  {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
  {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
  {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
  {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
  {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
  {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
  {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

static inline uint32_t load_word(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16
    | (uint32_t)bytes[3] << 24;
}

static inline void store_words(uint8_t *out, const uint32_t words[8]) {
  for (int i = 0; i < 8; i++) {
    for (int k = 0; k < 4; k++) out[4 * i + k] = (uint8_t)(words[i] >> (8 * k));
  }
}

static inline uint32_t rotate(uint32_t x, int count) { return x >> count | x << (32 - count); }

static inline void mix(uint32_t v[16], int a, int b, int c, int d, uint32_t x, uint32_t y) {
  v[a] += v[b] + x;
  v[d] = rotate(v[d] ^ v[a], 16);
  v[c] += v[d];
  v[b] = rotate(v[b] ^ v[c], 12);
  v[a] += v[b] + y;
  v[d] = rotate(v[d] ^ v[a], 8);
  v[c] += v[d];
  v[b] = rotate(v[b] ^ v[c], 7);
}

/// Replaces the chaining value by the compression of a block of `length` bytes, padded with zeros.
static void compress(
  uint32_t value[8], const uint8_t *block, uint32_t length, uint64_t counter, uint32_t flags) {
  uint32_t words[16];
  for (int i = 0; i < 16; i++) words[i] = load_word(block + 4 * i);
  uint32_t v[16];
  memcpy(v, value, 32);
  memcpy(v + 8, initial_value, 16);
  v[12] = (uint32_t)counter;
  v[13] = (uint32_t)(counter >> 32);
  v[14] = length;
  v[15] = flags;
  for (int round = 0; round < 7; round++) {
    const uint8_t *s = schedule[round];
    mix(v, 0, 4, 8, 12, words[s[0]], words[s[1]]);
    mix(v, 1, 5, 9, 13, words[s[2]], words[s[3]]);
    mix(v, 2, 6, 10, 14, words[s[4]], words[s[5]]);
    mix(v, 3, 7, 11, 15, words[s[6]], words[s[7]]);
    mix(v, 0, 5, 10, 15, words[s[8]], words[s[9]]);
    mix(v, 1, 6, 11, 12, words[s[10]], words[s[11]]);
    mix(v, 2, 7, 8, 13, words[s[12]], words[s[13]]);
    mix(v, 3, 4, 9, 14, words[s[14]], words[s[15]]);
  }
  for (int i = 0; i < 8; i++) value[i] = v[i] ^ v[i + 8];
}

/// What the key makes of every compression.
typedef struct {
  uint32_t value[8];
  uint32_t flags;
} hash_mode;

static hash_mode mode_of(const uint8_t *key) {
  hash_mode mode;
  mode.flags = key ? KEYED_HASH : 0;
  for (int i = 0; i < 8; i++) mode.value[i] = key ? load_word(key + 4 * i) : initial_value[i];
  return mode;
}

/// The chaining value of a chunk of at most 1,024 bytes; `root` is ROOT where it is all there is.
static void hash_chunk(
  uint32_t value[8], const uint8_t *bytes, size_t length, uint64_t counter, hash_mode mode,
  uint32_t root) {
  memcpy(value, mode.value, 32);
  uint32_t flags = mode.flags | CHUNK_START;
  for (; length > BLOCK_SIZE; bytes += BLOCK_SIZE, length -= BLOCK_SIZE) {
    compress(value, bytes, BLOCK_SIZE, counter, flags);
    flags = mode.flags;
  }
  uint8_t last[BLOCK_SIZE] = {0};
  if (length > 0) memcpy(last, bytes, length);
  compress(value, last, (uint32_t)length, counter, flags | CHUNK_END | root);
}

/// left becomes the parent of left and right.
static void hash_parent(
  uint32_t left[8], const uint32_t right[8], hash_mode mode, uint32_t root) {
  uint8_t block[BLOCK_SIZE];
  store_words(block, left);
  store_words(block + 32, right);
  memcpy(left, mode.value, 32);
  compress(left, block, BLOCK_SIZE, 0, mode.flags | PARENT | root);
}

void sumcheck_blake3(uint8_t *out, const uint8_t *bytes, size_t length, const uint8_t *key) {
  hash_mode mode = mode_of(key);
  // Complete subtrees wait on a stack, as a binary counter: one for each bit of the chunk count.
  uint32_t stack[54][8];
  size_t depth = 0;
  uint32_t value[8];
  uint64_t counter = 0;
  for (; length > CHUNK_SIZE; bytes += CHUNK_SIZE, length -= CHUNK_SIZE) {
    hash_chunk(value, bytes, CHUNK_SIZE, counter, mode, 0);
    counter += 1;
    for (uint64_t bits = counter; (bits & 1) == 0; bits >>= 1) {
      depth -= 1;
      hash_parent(stack[depth], value, mode, 0);
      memcpy(value, stack[depth], 32);
    }
    memcpy(stack[depth], value, 32);
    depth += 1;
  }
  hash_chunk(value, bytes, length, counter, mode, depth == 0 ? ROOT : 0);
  while (depth > 0) {
    depth -= 1;
    hash_parent(stack[depth], value, mode, depth == 0 ? ROOT : 0);
    memcpy(value, stack[depth], 32);
  }
  store_words(out, value);
}

void sumcheck_blake3_many(
  uint8_t *out, const uint8_t *bytes, size_t stride, size_t length, const uint8_t *key,
  size_t begin, size_t end) {
  for (size_t i = begin; i < end; i++) {
    sumcheck_blake3(out + 32 * i, bytes + i * stride, length, key);
  }
}
