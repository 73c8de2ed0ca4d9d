/*
 * A whole prover plugin: one backend, `example-c`, for one kind of slice, an elementwise Relu.
 * Like `reexec` it proves nothing: its proof is empty and its verifier computes again.
 *
 * Read it from the bottom up: the entry, the backend's table, its functions, the slice's meaning.
 */
#include <bourse_prover.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The slice: what it means ------------------------------------------------------------- */

/* Reads the canonical codec (docs/codec.md): little-endian integers, counted lists and texts. */
typedef struct reader {
  const uint8_t *next;
  size_t left;
  int failed;
} reader;

static const uint8_t *take(reader *r, size_t count) {
  if (r->failed || count > r->left) {
    r->failed = 1;
    return NULL;
  }
  const uint8_t *taken = r->next;
  r->next += count;
  r->left -= count;
  return taken;
}

static uint32_t take_u32(reader *r) {
  const uint8_t *b = take(r, 4);
  return b ? b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24 : 0;
}

static void skip_counted(reader *r) { take(r, take_u32(r)); }

/* Passes over one boundary specification and gives its element count, or 0. */
static uint64_t boundary_elements(reader *r) {
  skip_counted(r); /* name */
  const uint8_t *type = take(r, 1);
  uint32_t rank = take_u32(r);
  uint64_t count = 1;
  if (!type || *type != BOURSE_INT16 || rank > 8) r->failed = 1;
  for (uint32_t axis = 0; axis < rank && !r->failed; axis++) {
    count *= take_u32(r);
    if (count == 0 || count > (1u << 28)) r->failed = 1;
  }
  take(r, 1); /* exponent: Relu keeps it */
  return r->failed ? 0 : count;
}

/* The tag of Relu among the operators of docs/program.md. It has no parameters. */
enum { RELU = 3 };

/* The element count of a fixed16/1 program that is exactly one Relu, or 0 for any other bytes. */
static uint64_t relu_elements(bourse_bytes program) {
  static const char semantics[] = "fixed16/1";
  reader r = {program.data, program.length, 0};
  uint32_t length = take_u32(&r);
  const uint8_t *name = take(&r, length);
  if (!name || length != sizeof semantics - 1 || memcmp(name, semantics, length) != 0) return 0;

  if (take_u32(&r) != 1) return 0; /* inputs */
  uint64_t input = boundary_elements(&r);

  if (take_u32(&r) != 1) return 0; /* operations */
  skip_counted(&r);                /* its name */
  if (take_u32(&r) != 1 || take_u32(&r) != 0) return 0; /* it reads tensor 0, the input */
  const uint8_t *operator_tag = take(&r, 1);
  if (!operator_tag || *operator_tag != RELU) return 0;

  if (take_u32(&r) != 1 || take_u32(&r) != 1) return 0; /* the output is tensor 1, its result */
  if (take_u32(&r) != 1) return 0;                      /* outputs */
  uint64_t output = boundary_elements(&r);
  return !r.failed && r.left == 0 && input == output ? input : 0;
}

/* Output byte i of Relu: a negative int16 (bit 7 of its high byte) becomes zero. */
static uint8_t relu_byte(const uint8_t *input, size_t i) {
  return input[i | 1] & 0x80 ? 0 : input[i];
}

/* ---- The backend: its functions ----------------------------------------------------------- */

struct bourse_session {
  size_t byte_length; /* of the input, and of the output */
};

static bourse_status fail(const bourse_call *call, bourse_status status, const char *sentence) {
  call->diagnose(call, sentence);
  return status;
}

static bourse_status supports(
    const bourse_backend *backend, const bourse_call *call, const bourse_slice *slice,
    const bourse_sink *reasons) {
  (void)backend, (void)call;
  static const char reason[] = "program: it is not exactly one Relu on int16\n";
  if (relu_elements(slice->program) > 0) return BOURSE_OK;
  reasons->write(reasons, (const uint8_t *)reason, sizeof reason - 1);
  return BOURSE_UNSUPPORTED;
}

static bourse_status estimate(
    const bourse_backend *backend, const bourse_call *call, const bourse_slice *slice,
    bourse_estimate *estimate) {
  (void)backend;
  uint64_t elements = relu_elements(slice->program);
  if (elements == 0) return fail(call, BOURSE_UNSUPPORTED, "The slice is not one Relu.");
  estimate->cost_units = elements;
  estimate->peak_memory_bytes = 2 * elements;
  estimate->proof_bytes = 0;
  return BOURSE_OK;
}

/* Both keys are the program. */
static bourse_status compile(
    const bourse_backend *backend, const bourse_call *call, const bourse_compile *arguments,
    const bourse_sink *prover_key, const bourse_sink *verifier_key) {
  (void)backend;
  bourse_bytes program = arguments->slice->program;
  if (relu_elements(program) == 0)
    return fail(call, BOURSE_UNSUPPORTED, "The slice is not one Relu.");
  if (arguments->options[0] != 0) {
    char sentence[128];
    snprintf(sentence, sizeof sentence, "example-c takes no options, so not '%.64s'.",
             arguments->options);
    return fail(call, BOURSE_UNSUPPORTED, sentence);
  }
  bourse_status status = prover_key->write(prover_key, program.data, program.length);
  if (status != BOURSE_OK) return status;
  return verifier_key->write(verifier_key, program.data, program.length);
}

static bourse_status session_open(
    const bourse_backend *backend, const bourse_call *call, const bourse_session_options *options,
    bourse_session **session) {
  (void)backend;
  uint64_t elements = relu_elements(options->key);
  if (elements == 0) return fail(call, BOURSE_BAD_KEY, "The key is not a program of one Relu.");
  if (options->input_count != 1 || options->output_count != 1)
    return fail(call, BOURSE_BAD_KEY, "A Relu has one input and one output.");
  *session = malloc(sizeof **session);
  if (!*session) return BOURSE_OUT_OF_MEMORY;
  (*session)->byte_length = (size_t)elements * 2;
  return BOURSE_OK;
}

static void session_close(bourse_session *session) { free(session); }

/* The host has checked the tensors against the boundaries; this checks those against the key. */
static int fits(const bourse_session *session, const bourse_tensor *tensor) {
  return tensor->byte_length == session->byte_length;
}

static bourse_status execute(
    bourse_session *session, const bourse_call *call, const bourse_inference *inference,
    const bourse_sink *const *outputs) {
  const bourse_tensor *input = inference->inputs[0];
  if (!fits(session, input)) return fail(call, BOURSE_MALFORMED, "The input has another length.");
  uint8_t chunk[4096];
  for (size_t start = 0; start < input->byte_length; start += sizeof chunk) {
    if (call->is_cancelled(call)) return BOURSE_CANCELLED;
    size_t count = input->byte_length - start;
    if (count > sizeof chunk) count = sizeof chunk;
    for (size_t i = 0; i < count; i++) chunk[i] = relu_byte(input->data, start + i);
    bourse_status status = outputs[0]->write(outputs[0], chunk, count);
    if (status != BOURSE_OK) return status;
  }
  return BOURSE_OK;
}

static bourse_status prove(
    bourse_session *session, const bourse_call *call, const bourse_inference *inference,
    const uint8_t *context, const bourse_sink *proof) {
  (void)session, (void)call, (void)inference, (void)context, (void)proof;
  return BOURSE_OK; /* the proof is empty */
}

static bourse_status verify(
    bourse_session *session, const bourse_call *call, const bourse_inference *inference,
    const uint8_t *context, bourse_bytes proof, int32_t *verdict) {
  (void)context;
  const bourse_tensor *input = inference->inputs[0], *output = inference->outputs[0];
  if (!fits(session, input) || !fits(session, output))
    return fail(call, BOURSE_MALFORMED, "A tensor has another length than the key's.");
  *verdict = BOURSE_INVALID;
  if (proof.length != 0) return fail(call, BOURSE_OK, "A proof of example-c is empty.");
  for (size_t i = 0; i < input->byte_length; i++)
    if (output->data[i] != relu_byte(input->data, i))
      return fail(call, BOURSE_OK, "The output differs from its re-execution.");
  *verdict = BOURSE_VALID;
  return BOURSE_OK;
}

/* ---- The backend's table and the entry ---------------------------------------------------- */

static const bourse_backend example = {
    .struct_size = sizeof(bourse_backend),
    .flags = BOURSE_TRANSPARENT | BOURSE_DETERMINISTIC_KEYS | BOURSE_REEXECUTES,
    .id = "example-c",
    .version = "1.0.0",
    .semantics = "fixed16/1",
    .description = "The template for plugins in C: one Relu, computed again by its verifier.",
    .supports = supports,
    .estimate = estimate,
    .compile = compile,
    .session_open = session_open,
    .session_close = session_close,
    .execute = execute,
    .prove = prove,
    .verify = verify,
    .get_extension = NULL,
};

static bourse_status init(const bourse_host *host) {
  (void)host;
  return BOURSE_OK;
}

static void deinit(void) {}

static uint32_t backend_count(void) { return 1; }

static const bourse_backend *backend(uint32_t index) {
  (void)index;
  return &example;
}

static const bourse_prover_entry entry = {
    .struct_size = sizeof(bourse_prover_entry),
    .abi_major = BOURSE_PROVER_ABI_MAJOR,
    .abi_minor = BOURSE_PROVER_ABI_MINOR,
    .init = init,
    .deinit = deinit,
    .backend_count = backend_count,
    .backend = backend,
};

const bourse_prover_entry *bourse_prover_entry_v1(void) { return &entry; }
