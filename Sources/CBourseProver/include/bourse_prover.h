/*
 * The plugin interface of Bourse's prover backends, version 1.0.
 *
 * A plugin is a shared library that exports one symbol, bourse_prover_entry_v1. It offers one or
 * more backends; a backend compiles a slice of a model into keys, executes it, proves what it
 * executed, and verifies such proofs. docs/plugin-author.md is the guide to this file, and
 * Plugins/example-c a whole plugin to start from.
 *
 * THE PROCESS. A plugin never runs inside the exchange. A small host process, without environment,
 * open files or privileges to gain, opens it and calls it. When a call takes too long the process
 * is killed; when it crashes, nothing else does. Do not rely on deinit or session_close being
 * reached: keep what must outlive a session in its keys.
 *
 * OWNERSHIP. Whoever allocates, frees. Everything the host passes is borrowed and lives until the
 * call returns, unless the declaration says otherwise. Everything the plugin returns by pointer
 * (the entry, backends, their strings) is constant and lives until deinit. Results leave a plugin
 * only through sinks, which copy.
 *
 * THREADS AND STATES. Each declaration carries one of these marks:
 *   [main]    on the process's first thread, while no other call is running.
 *   [backend] between init and deinit, on any thread; such calls may overlap.
 *   [session] between the session's open and its close, on any thread; two calls on one session
 *             never overlap, calls on two sessions may.
 *   [in call] by the plugin, on any thread it likes, while the call that handed the object over
 *             has not returned.
 *
 * GROWTH. Structs begin with struct_size, as their maker knew them, and grow only at the end; read
 * a later field only if struct_size covers it. Arrays of structs are arrays of pointers, so that
 * growth moves nothing. A major version may change anything and has an entry symbol of its own.
 * No exception, longjmp or foreign runtime error may cross this boundary.
 */
#ifndef BOURSE_PROVER_H
#define BOURSE_PROVER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BOURSE_PROVER_ABI_MAJOR 1
#define BOURSE_PROVER_ABI_MINOR 0

#if defined(_WIN32)
#define BOURSE_PROVER_EXPORT __declspec(dllexport)
#else
#define BOURSE_PROVER_EXPORT __attribute__((visibility("default")))
#endif

/* ---- Status codes ------------------------------------------------------------------------- */

/* What a call came to. Any other value is treated as BOURSE_FAILED. Explain each status but
 * BOURSE_OK with one sentence through bourse_call.diagnose. */
typedef int32_t bourse_status;
#define BOURSE_OK 0
/* The backend itself failed. */
#define BOURSE_FAILED 1
/* bourse_call.is_cancelled answered true and the call gave up. */
#define BOURSE_CANCELLED 2
/* The slice has an operator, a type or a size that the backend does not offer. */
#define BOURSE_UNSUPPORTED 3
/* Arguments contradict each other or the session: a tensor's length, a shape, a count. */
#define BOURSE_MALFORMED 4
/* The key is not one that this backend compiled. */
#define BOURSE_BAD_KEY 5
/* With these inputs the semantics has no value: an intermediate leaves its range. This is a result
 * that anyone can reproduce, not a failure; name the node and the element in the diagnostic. */
#define BOURSE_RANGE_FAULT 6
/* A sink refused more bytes, or a budget is exhausted. */
#define BOURSE_LIMIT 7
/* Memory could not be had. */
#define BOURSE_OUT_OF_MEMORY 8

/* ---- Tensors and slices ------------------------------------------------------------------- */

/* Element types: little-endian two's complement integers. */
#define BOURSE_INT8 1
#define BOURSE_INT16 2
#define BOURSE_INT32 3
#define BOURSE_INT64 4

/* What a tensor is: value = integer * 2^-exponent. */
typedef struct bourse_boundary {
  uint32_t struct_size;
  uint32_t element_type; /* BOURSE_INT8 .. BOURSE_INT64 */
  const char *name;      /* UTF-8 */
  const uint32_t *shape; /* rank axes, outermost first, each at least 1 */
  uint32_t rank;         /* 0 (a scalar) to 8 */
  int32_t exponent;
} bourse_boundary;

/* A view of a tensor: row-major, packed, at no particular alignment. */
typedef struct bourse_tensor {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  const bourse_boundary *boundary;
  const uint8_t *data;
  size_t byte_length; /* always elements * element size: the host has checked it */
} bourse_tensor;

/* A view of bytes that mean something to one party only. data may be NULL where length is 0. */
typedef struct bourse_bytes {
  const uint8_t *data;
  size_t length;
} bourse_bytes;

/* One slice of a model: its ONNX sub-model, the integer program that fixes its meaning under
 * fixed16/1 (docs/program.md; empty under a foreign semantics), and its boundary. */
typedef struct bourse_slice {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  bourse_bytes onnx;
  bourse_bytes program;
  const bourse_boundary *const *inputs;
  const bourse_boundary *const *outputs;
  uint32_t input_count;
  uint32_t output_count;
} bourse_slice;

/* ---- What the host provides --------------------------------------------------------------- */

/* Takes a call's results. */
typedef struct bourse_sink {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  void *context;     /* the host's */
  /* Appends a copy of length bytes. BOURSE_LIMIT: nothing was appended, nothing more ever will be,
   * and the call's results are void; return soon. [in call], one thread at a time. */
  bourse_status (*write)(const struct bourse_sink *sink, const uint8_t *bytes, size_t length);
} bourse_sink;

/* Levels of bourse_host.log. */
#define BOURSE_LOG_DEBUG 1
#define BOURSE_LOG_INFO 2
#define BOURSE_LOG_WARNING 3
#define BOURSE_LOG_ERROR 4

/* Services that last from init to deinit. */
typedef struct bourse_host {
  uint32_t struct_size;
  uint32_t thread_budget; /* threads, with the calling one, that a call should keep busy at most */
  void *context;          /* the host's */
  /* An empty directory for this process alone, removed after it: UTF-8, no trailing slash. */
  const char *scratch_directory;
  /* Hands one UTF-8 line to the operator's log, where it may be cut, or dropped when there are
   * many. Any thread, init to deinit. */
  void (*log)(const struct bourse_host *host, int32_t level, const char *message);
  /* An optional power of the host by its id, such as "bourse.gpu/1", or NULL. The answer lives
   * until deinit. Any thread, init to deinit. */
  const void *(*get_extension)(const struct bourse_host *host, const char *id);
} bourse_host;

/* Services of one running call. Never keep it. */
typedef struct bourse_call {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  void *context;     /* the host's */
  /* True once nobody wants the result. Poll it about every 10 ms of work and return
   * BOURSE_CANCELLED; a call that does not is killed a second later. [in call] */
  int32_t (*is_cancelled)(const struct bourse_call *call);
  /* phase: a short UTF-8 name; fraction: of this phase, 0 to 1. [in call] */
  void (*progress)(const struct bourse_call *call, const char *phase, double fraction);
  /* One UTF-8 sentence on why the status is what it is; the last one counts. [in call] */
  void (*diagnose)(const struct bourse_call *call, const char *sentence);
} bourse_call;

/* ---- A backend ---------------------------------------------------------------------------- */

/* bourse_backend.flags */
#define BOURSE_BINDS_CONTEXT 1u       /* a proof verifies under its own context only */
#define BOURSE_ZERO_KNOWLEDGE 2u      /* a proof hides the model's weights */
#define BOURSE_TRANSPARENT 4u         /* no reference string whose maker could forge */
#define BOURSE_DETERMINISTIC_KEYS 8u  /* compile gives the same bytes everywhere */
#define BOURSE_REEXECUTES 16u         /* verify runs the slice again: nothing is proven */

/* A guess at what proving a slice costs. Zero: unknown. */
typedef struct bourse_estimate {
  uint32_t struct_size; /* set by the host */
  uint32_t reserved;    /* 0 */
  uint64_t cost_units;
  uint64_t peak_memory_bytes;
  uint64_t proof_bytes;
} bourse_estimate;

/* Arguments of compile. */
typedef struct bourse_compile {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  const bourse_slice *slice;
  /* sample_count samples, each slice->input_count tensors, for backends that choose ranges of
   * their own. May be 0. */
  const bourse_tensor *const *const *samples;
  uint32_t sample_count;
  uint32_t reserved2; /* 0 */
  /* The backend's own options as the operator wrote them: UTF-8, pairs "key=value" separated by
   * spaces, at most 4096 bytes, "" by default. Refuse, by name, an option that you do not know. */
  const char *options;
} bourse_compile;

/* What a session is for. A verifier's session must need nothing but the verifier key. */
#define BOURSE_PROVER 1
#define BOURSE_VERIFIER 2

/* Arguments of session_open. The key comes from strangers: parse it as hostile. */
typedef struct bourse_session_options {
  uint32_t struct_size;
  uint32_t role; /* BOURSE_PROVER or BOURSE_VERIFIER */
  bourse_bytes key;
  /* The boundary that tensors of this session will have. */
  const bourse_boundary *const *inputs;
  const bourse_boundary *const *outputs;
  uint32_t input_count;
  uint32_t output_count;
} bourse_session_options;

/* The tensors of one inference, in the slice's order: as many, and of the shapes, as the session
 * was opened with. */
typedef struct bourse_inference {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  const bourse_tensor *const *inputs;
  const bourse_tensor *const *outputs;
  uint32_t input_count;
  uint32_t output_count; /* 0 in execute */
} bourse_inference;

#define BOURSE_CONTEXT_LENGTH 32

/* Verdicts. INVALID condemns a prover, so it must hold for anyone who runs verify again;
 * whatever else goes wrong is INCONCLUSIVE, or a status. */
#define BOURSE_VALID 1
#define BOURSE_INVALID 2
#define BOURSE_INCONCLUSIVE 3

/* The plugin's own. */
typedef struct bourse_session bourse_session;

typedef struct bourse_backend {
  uint32_t struct_size;
  uint32_t flags;
  const char *id;          /* a-z, 0-9, '-' and '.', at most 64 characters */
  const char *version;     /* at most 64 bytes */
  const char *semantics;   /* "fixed16/1", or the backend's own meaning of a slice */
  const char *description; /* one sentence */

  /* BOURSE_OK, or BOURSE_UNSUPPORTED and one line "operator: reason" per obstacle. [backend] */
  bourse_status (*supports)(
      const struct bourse_backend *backend, const bourse_call *call, const bourse_slice *slice,
      const bourse_sink *reasons);

  /* Fills *estimate without compiling. [backend] */
  bourse_status (*estimate)(
      const struct bourse_backend *backend, const bourse_call *call, const bourse_slice *slice,
      bourse_estimate *estimate);

  /* Makes the two keys. The verifier key is published; it must fix the slice. With BOURSE_OK, the
   * diagnostic may tell the options in effect, in the form of bourse_compile.options, with what the
   * backend chose itself. [backend] */
  bourse_status (*compile)(
      const struct bourse_backend *backend, const bourse_call *call,
      const bourse_compile *arguments, const bourse_sink *prover_key,
      const bourse_sink *verifier_key);

  /* Loads a key once, for many calls. On BOURSE_OK *session is the plugin's until session_close,
   * otherwise it is ignored. [backend] */
  bourse_status (*session_open)(
      const struct bourse_backend *backend, const bourse_call *call,
      const bourse_session_options *options, bourse_session **session);

  /* Frees the session; no call on it is running and none follows. [session] */
  void (*session_close)(bourse_session *session);

  /* Writes output i, whole, to outputs[i]. A prover's session may keep the witness of its latest
   * execution for prove. [session], prover */
  bourse_status (*execute)(
      bourse_session *session, const bourse_call *call, const bourse_inference *inference,
      const bourse_sink *const *outputs);

  /* Proves that the inputs give the outputs, bound to the context: BOURSE_CONTEXT_LENGTH bytes.
   * Works without an execute before it. [session], prover */
  bourse_status (*prove)(
      bourse_session *session, const bourse_call *call, const bourse_inference *inference,
      const uint8_t *context, const bourse_sink *proof);

  /* With BOURSE_OK sets *verdict. All arguments are hostile. [session], verifier */
  bourse_status (*verify)(
      bourse_session *session, const bourse_call *call, const bourse_inference *inference,
      const uint8_t *context, bourse_bytes proof, int32_t *verdict);

  /* An optional power by its id, such as "bourse.batch/1", or NULL; it lives until deinit. The
   * field itself may be NULL. [backend] */
  const void *(*get_extension)(const struct bourse_backend *backend, const char *id);
} bourse_backend;

/* ---- Extensions --------------------------------------------------------------------------- */

/* bourse_backend.get_extension gives a bourse_batch for this id: one proof for many inferences of
 * one slice. */
#define BOURSE_BATCH "bourse.batch/1"
/* Inferences of one batch. */
#define BOURSE_BATCH_LIMIT 4096

/* How many inferences a proof covers may be fixed by the key: any other count is then
 * BOURSE_MALFORMED. The order of the inferences is part of what is proven. */
typedef struct bourse_batch {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */

  /* Proves that each inference's inputs give its outputs. count is 1 to BOURSE_BATCH_LIMIT;
   * contexts are count * BOURSE_CONTEXT_LENGTH bytes, and inference i is bound to those that start
   * at i * BOURSE_CONTEXT_LENGTH. [session], prover */
  bourse_status (*prove)(
      bourse_session *session, const bourse_call *call,
      const bourse_inference *const *inferences, uint32_t count, const uint8_t *contexts,
      const bourse_sink *proof);

  /* With BOURSE_OK sets *verdict, one for the whole batch. All arguments are hostile. [session],
   * verifier */
  bourse_status (*verify)(
      bourse_session *session, const bourse_call *call,
      const bourse_inference *const *inferences, uint32_t count, const uint8_t *contexts,
      bourse_bytes proof, int32_t *verdict);
} bourse_batch;

/* ---- The entry ---------------------------------------------------------------------------- */

typedef struct bourse_prover_entry {
  uint32_t struct_size;
  uint16_t abi_major; /* BOURSE_PROVER_ABI_MAJOR as the plugin was compiled with */
  uint16_t abi_minor;
  /* Once, before all else. The host lives until deinit. [main] */
  bourse_status (*init)(const bourse_host *host);
  /* Once, after all sessions are closed, or never. [main] */
  void (*deinit)(void);
  /* 1 to 64. Between init and deinit. [main] */
  uint32_t (*backend_count)(void);
  /* The backend of an index below the count; never NULL. Between init and deinit. [main] */
  const bourse_backend *(*backend)(uint32_t index);
} bourse_prover_entry;

/* The exported symbol. May be called before init, more than once, and does nothing else than
 * return the address of a constant. [main] */
BOURSE_PROVER_EXPORT const bourse_prover_entry *bourse_prover_entry_v1(void);

#ifdef __cplusplus
}
#endif
#endif
