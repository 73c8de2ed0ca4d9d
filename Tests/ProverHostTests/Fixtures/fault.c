/* A plugin that goes wrong in one way, chosen by -DFAULT_... when a test compiles it. Without one
 * it works: it copies its single input to its single output. */
#include <bourse_prover.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bourse_status supports(
    const bourse_backend *b, const bourse_call *c, const bourse_slice *s, const bourse_sink *r) {
  (void)b, (void)c, (void)s, (void)r;
  return BOURSE_OK;
}

static bourse_status estimate(
    const bourse_backend *b, const bourse_call *c, const bourse_slice *s, bourse_estimate *e) {
  (void)b, (void)c, (void)s, (void)e;
  return BOURSE_OK;
}

static bourse_status compile(
    const bourse_backend *b, const bourse_call *c, const bourse_compile *a, const bourse_sink *p,
    const bourse_sink *v) {
  (void)b, (void)c, (void)v;
#ifdef FAULT_COMPILES_SLOWLY
  usleep(2500 * 1000);
#endif
  /* The prover key is the options as they came. */
  p->write(p, (const uint8_t *)a->options, strlen(a->options));
#ifdef FAULT_TEN_GIGABYTES
  static uint8_t block[1 << 20];
  for (int i = 0; i < 10 * 1024; i++) p->write(p, block, sizeof block);
#endif
  return BOURSE_OK;
}

static bourse_status session_open(
    const bourse_backend *b, const bourse_call *c, const bourse_session_options *o,
    bourse_session **session) {
  (void)b, (void)c, (void)o;
  *session = malloc(1);
  return BOURSE_OK;
}

static void session_close(bourse_session *session) { free(session); }

static bourse_status execute(
    bourse_session *s, const bourse_call *c, const bourse_inference *i,
    const bourse_sink *const *outputs) {
  (void)s, (void)c;
  size_t length = i->inputs[0]->byte_length;
#ifdef FAULT_SHORT_OUTPUT
  length -= 1;
#elif defined(FAULT_LONG_OUTPUT)
  length = (size_t)1 << 62;
#elif defined(FAULT_HANG_UNTIL_CANCELLED)
  while (!c->is_cancelled(c)) usleep(1000);
  return BOURSE_CANCELLED;
#endif
#ifdef FAULT_RUNS_RIGHTLY_ONCE
  /* In the life of its process. */
  static int executed;
  if (executed++ > 0) {
    uint8_t wrong = i->inputs[0]->data[0] ^ 1;
    outputs[0]->write(outputs[0], &wrong, 1);
    outputs[0]->write(outputs[0], i->inputs[0]->data + 1, length - 1);
    return BOURSE_OK;
  }
#endif
  outputs[0]->write(outputs[0], i->inputs[0]->data, length);
  return BOURSE_OK;
}

/* Whether a proof polls in step k of its 25. */
#ifdef FAULT_NEVER_POLLS
#define POLLS 0
#elif defined(FAULT_POLLS_AT_FIRST)
#define POLLS (k < 10)
#elif defined(FAULT_POLLS_IN_EVERY_SECOND_PROOF)
#define POLLS (proofs % 2 == 0)
#endif

static bourse_status prove(
    bourse_session *s, const bourse_call *c, const bourse_inference *i, const uint8_t *context,
    const bourse_sink *proof) {
  (void)s, (void)c, (void)i, (void)context, (void)proof;
#ifdef FAULT_HANGS_IN_PROVE
  for (;;) pause();
#endif
#ifdef POLLS
  static int proofs;
  proofs++;
  for (int k = 0; k < 25; k++) {
    if (POLLS && c->is_cancelled(c)) return BOURSE_CANCELLED;
    usleep(10 * 1000);
  }
#endif
  return BOURSE_OK;
}

static bourse_status verify(
    bourse_session *s, const bourse_call *c, const bourse_inference *i, const uint8_t *context,
    bourse_bytes proof, int32_t *verdict) {
  (void)s, (void)c, (void)i, (void)context, (void)proof;
  *verdict = BOURSE_VALID;
#ifdef FAULT_TIRES
  /* Right once in the life of its process. */
  static int verified;
  if (verified++ > 0) *verdict = BOURSE_INVALID;
#endif
#ifdef FAULT_LEAKS
  memset(malloc(5 << 18), 1, 5 << 18);
#endif
#ifdef FAULT_CRASH_IN_VERIFY
  abort();
#elif defined(FAULT_HANG_IN_VERIFY)
  for (;;) pause();
#elif defined(FAULT_UNKNOWN_STATUS)
  return 4711;
#elif defined(FAULT_UNKNOWN_VERDICT)
  *verdict = 4711;
#elif defined(FAULT_GARBAGE_ON_THE_STREAM)
  if (write(3, "\xff\xff\xff\xff garbage", 12) < 0) return BOURSE_FAILED;
#elif defined(FAULT_SECRET_ENVIRONMENT)
  extern char **environ;
  if (environ[0]) *verdict = BOURSE_INVALID;
  for (int f = 4; f < 256; f++)
    if (close(f) == 0) *verdict = BOURSE_INVALID;
#endif
  return BOURSE_OK;
}

#ifndef FAULT_NO_BATCH
static bourse_status prove_batch(
    bourse_session *s, const bourse_call *c, const bourse_inference *const *i, uint32_t count,
    const uint8_t *contexts, const bourse_sink *proof) {
  (void)s, (void)c;
#ifdef FAULT_HANG_UNTIL_CANCELLED
  while (!c->is_cancelled(c)) usleep(1000);
  return BOURSE_CANCELLED;
#endif
  /* The proof: of each inference the first output byte and the first byte of its context. */
  for (uint32_t k = 0; k < count; k++) {
    uint8_t bytes[2] = {i[k]->outputs[0]->data[0], contexts[k * BOURSE_CONTEXT_LENGTH]};
    proof->write(proof, bytes, sizeof bytes);
  }
  return BOURSE_OK;
}

static bourse_status verify_batch(
    bourse_session *s, const bourse_call *c, const bourse_inference *const *i, uint32_t count,
    const uint8_t *contexts, bourse_bytes proof, int32_t *verdict) {
  (void)s, (void)c;
  *verdict = proof.length == 2 * (size_t)count ? BOURSE_VALID : BOURSE_INVALID;
#ifdef FAULT_CRASH_IN_BATCH
  abort();
#elif defined(FAULT_UNKNOWN_BATCH_VERDICT)
  *verdict = 4711;
#endif
  for (uint32_t k = 0; k < count && *verdict == BOURSE_VALID; k++)
    if (proof.data[2 * k] != i[k]->outputs[0]->data[0] ||
        proof.data[2 * k + 1] != contexts[k * BOURSE_CONTEXT_LENGTH])
      *verdict = BOURSE_INVALID;
  return BOURSE_OK;
}

static const bourse_batch batch = {
#ifdef FAULT_SMALL_BATCH
    8,
#else
    sizeof(bourse_batch),
#endif
    0, prove_batch, verify_batch};
#endif

static const void *get_extension(const bourse_backend *b, const char *id) {
  (void)b;
#ifndef FAULT_NO_BATCH
  if (strcmp(id, BOURSE_BATCH) == 0) return &batch;
#endif
  return NULL;
}

#ifdef FAULT_TIRES
#define SEMANTICS "fixed16/1" /* so that a broker serves it */
#else
#define SEMANTICS "none"
#endif
#ifndef FAULT_ID
#define FAULT_ID "fault"
#endif
static const bourse_backend fault = {
    sizeof(bourse_backend), 0, FAULT_ID, "1", SEMANTICS, "Goes wrong.", supports, estimate, compile,
    session_open, session_close, execute, prove, verify, get_extension};

#ifdef FAULT_CRASH_IN_CONSTRUCTOR
__attribute__((constructor)) static void crash(void) { abort(); }
#endif

static bourse_status init(const bourse_host *host) {
  (void)host;
#ifdef FAULT_REFUSES_TO_START
  return BOURSE_FAILED;
#else
  return BOURSE_OK;
#endif
}
static void deinit(void) {}
static uint32_t backend_count(void) { return 1; }
static const bourse_backend *backend(uint32_t index) {
  (void)index;
  return &fault;
}

static const bourse_prover_entry entry = {
#ifdef FAULT_SMALL_ENTRY
    8,
#else
    sizeof(bourse_prover_entry),
#endif
#ifdef FAULT_WRONG_ABI
    99,
#else
    BOURSE_PROVER_ABI_MAJOR,
#endif
    0, init, deinit, backend_count, backend};

#ifdef FAULT_NO_ENTRY
const bourse_prover_entry *some_other_symbol(void) { return &entry; }
#else
const bourse_prover_entry *bourse_prover_entry_v1(void) { return &entry; }
#endif
