/* Refrain in a C program (C11): the same as <refrain/refrain.h>, which says more of what each call
 * does.
 *
 * Handles are opaque. Every function that can fail returns a refrain_status and leaves its results
 * alone unless that is REFRAIN_OK; refrain_last_error() then says what was wrong, for the calling
 * thread. No function throws, exits or aborts; null where it is not allowed is an error. Structs
 * start with struct_size: set it to sizeof the struct (REFRAIN_INIT does, and makes the rest zero,
 * which is the default everywhere), so that a program and a library of different versions
 * understand each other: what the caller's struct does not have is taken as zero; what the
 * library's does not have must be zero. Functions and fields are only ever added;
 * REFRAIN_API_VERSION counts that. Structs without struct_size never change.
 *
 * A program that loads the library at run time looks up one symbol, refrain_get_api.
 *
 * After refrain_session_prepare_* and with refrain_session_real_time saying so, refrain_session_run
 * and refrain_session_step allocate nothing, take no lock and make no system call. */
#ifndef REFRAIN_REFRAIN_C_H
#define REFRAIN_REFRAIN_C_H

#include <stddef.h>
#include <stdint.h>

#ifndef REFRAIN_API
#define REFRAIN_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
#define REFRAIN_NOEXCEPT noexcept
extern "C" {
#else
#define REFRAIN_NOEXCEPT
#endif

#define REFRAIN_API_VERSION 1

/* refrain_tensor t = REFRAIN_INIT(refrain_tensor); */
#ifdef __cplusplus
#define REFRAIN_INIT(type)           \
  ([]() noexcept {                   \
    type made{};                     \
    made.struct_size = sizeof(type); \
    return made;                     \
  }())
#else
#define REFRAIN_INIT(type) ((type){.struct_size = sizeof(type)})
#endif

/* Enumerations are int32_t, whatever a compiler makes of an enum; any other value is refused. */
typedef int32_t refrain_status;
enum {
  REFRAIN_OK = 0,
  REFRAIN_ERROR = 1,            /* of the model or of what was asked of it; see the message */
  REFRAIN_INVALID_ARGUMENT = 2, /* null, a wrong struct_size, an enumerator that does not exist */
  REFRAIN_OUT_OF_MEMORY = 3,
  REFRAIN_QUEUE_FULL = 4, /* refrain_stream_try_submit: nothing was taken */
  REFRAIN_INTERNAL = 5    /* a fault of the library */
};

typedef int32_t refrain_type;
enum {
  REFRAIN_F32 = 0,
  REFRAIN_F64 = 1,
  REFRAIN_BF16 = 2,
  REFRAIN_F16 = 3,
  REFRAIN_I8 = 4,
  REFRAIN_I16 = 5,
  REFRAIN_I32 = 6,
  REFRAIN_I64 = 7,
  REFRAIN_U8 = 8,
  REFRAIN_U16 = 9,
  REFRAIN_U32 = 10,
  REFRAIN_U64 = 11,
  REFRAIN_BOOL = 12 /* one byte, 0 or 1 */
};

typedef int32_t refrain_kernels;
enum {
  REFRAIN_KERNELS_HIGHWAY = 0,
  REFRAIN_KERNELS_AUTOMATIC = 1,
  REFRAIN_KERNELS_ONEDNN = 2,
  REFRAIN_KERNELS_REFERENCE = 3
};

typedef struct refrain_model refrain_model;     /* immutable; any thread */
typedef struct refrain_session refrain_session; /* one thread at a time */
typedef struct refrain_batcher refrain_batcher; /* any thread */
typedef struct refrain_stream refrain_stream;   /* any thread; freed before its batcher or after */

/* A tensor: dense, row-major. */
typedef struct refrain_tensor {
  size_t struct_size;
  refrain_type type;
  int32_t rank;           /* at most 8 */
  const int64_t* extents; /* [rank]; null if rank is 0 */
  void* data;             /* only read where the tensor is an input */
} refrain_tensor;

/* An input, output or state. Everything it points at lives as long as the handle that was asked,
 * or, for a session, until it is prepared anew. */
typedef struct refrain_tensor_info {
  size_t struct_size;
  const char* name;
  refrain_type type;
  int32_t rank;               /* -1: not known */
  const int64_t* extents;     /* [rank]; -1: chosen when a session is prepared */
  const char* const* symbols; /* [rank]; the name of an extent of -1; "" if it has none */
  const char* input;          /* of a state: the model's input that it is, or "" */
  const char* output;         /* of a state: the model's output that it is, or "" */
} refrain_tensor_info;

typedef struct refrain_state_pair {
  const char* input;
  const char* output;
} refrain_state_pair;

typedef struct refrain_load_options {
  size_t struct_size;
  const refrain_state_pair* states; /* [state_count] */
  size_t state_count;
  int32_t dynamic_time; /* not 0: free the time axis that tracing froze */
  refrain_kernels kernels;
  int64_t max_bytes;      /* 0: 4 GiB */
  int64_t max_iterations; /* 0: 200000 */
} refrain_load_options;

typedef struct refrain_streaming {
  size_t struct_size;
  int32_t supported;
  const char* why;   /* it is not; "" if it is */
  const char* time;  /* symbol of the number of steps in a block; "": a run is one step */
  const char* batch; /* symbol of the batch; "": its rows are not known to be independent */
} refrain_streaming;

typedef struct refrain_shape { /* of an input */
  const char* name;
  const int64_t* extents; /* [rank] */
  int32_t rank;
} refrain_shape;

typedef struct refrain_extent { /* of a symbol */
  const char* symbol;
  int64_t extent;
} refrain_extent;

typedef struct refrain_named_tensor {
  const char* name;
  const refrain_tensor* tensor;
} refrain_named_tensor;

typedef struct refrain_setup {
  size_t struct_size;
  const refrain_shape* shapes; /* [shape_count] */
  size_t shape_count;
  const refrain_extent* symbols; /* [symbol_count] */
  size_t symbol_count;
  const refrain_named_tensor* values; /* [value_count]: inputs that keep one value; copied */
  size_t value_count;
  int64_t block;      /* of steps only; 0: 1 */
  int64_t look_ahead; /* of steps only */
} refrain_setup;

typedef struct refrain_session_options {
  size_t struct_size;
  int32_t threads; /* 0: 1 */
} refrain_session_options;

typedef struct refrain_batcher_options {
  size_t struct_size;
  int64_t max_batch;          /* 0: 64 */
  int64_t max_delay_us;       /* 0: 200; negative: none */
  int32_t threads;            /* 0: 1 */
  size_t queue_capacity;      /* 0: 4096 */
  size_t max_streams;         /* 0: 65536 */
  const refrain_setup* setup; /* for one stream; may be null */
} refrain_batcher_options;

typedef struct refrain_batcher_statistics {
  size_t struct_size;
  uint64_t steps;   /* of streams */
  uint64_t batches; /* that they ran in */
} refrain_batcher_statistics;

/* `message` is null if all went well, and is only valid during the call. Called by a worker, or by
 * whoever closes a stream or frees a batcher. It must not wait for the batcher. */
typedef void (*refrain_done)(void* context, const char* message);

typedef struct refrain_transfer {
  size_t struct_size;
  const void* const* inputs; /* [inputs]: its steps one after the other; the caller's until done */
  void* const* outputs;      /* [outputs], likewise; null (the array or one): not wanted */
  int64_t steps;             /* 0: 1 */
  refrain_done done;         /* may be null */
  void* context;
} refrain_transfer;

/* What a handle has of inputs, outputs and states. */
typedef int32_t refrain_port;
enum { REFRAIN_INPUT = 0, REFRAIN_OUTPUT = 1, REFRAIN_STATE = 2 };

/* The library's REFRAIN_API_VERSION: functions of later ones are not there. */
REFRAIN_API uint32_t refrain_api_version(void) REFRAIN_NOEXCEPT;
REFRAIN_API const char* refrain_version(void) REFRAIN_NOEXCEPT; /* "major.minor.patch" */
/* What was wrong with the last call of this thread that failed; "" if none did. Valid until the
 * thread's next call. */
REFRAIN_API const char* refrain_last_error(void) REFRAIN_NOEXCEPT;

/* Models. Options may be null everywhere. */
REFRAIN_API refrain_status refrain_model_load(const char* path, const refrain_load_options* options,
                                              refrain_model** model) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_model_from_memory(const void* bytes, size_t size,
                                                     const refrain_load_options* options,
                                                     refrain_model** model) REFRAIN_NOEXCEPT;
/* Sessions and batchers that were made of it stay whole. Null is fine, here and in all of these. */
REFRAIN_API void refrain_model_free(refrain_model* model) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_model_count(const refrain_model* model, refrain_port port,
                                               size_t* count) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_model_info(const refrain_model* model, refrain_port port,
                                              size_t index,
                                              refrain_tensor_info* info) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_model_streaming(const refrain_model* model,
                                                   refrain_streaming* streaming) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_model_warning_count(const refrain_model* model,
                                                       size_t* count) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_model_warning(const refrain_model* model, size_t index,
                                                 const char** warning) REFRAIN_NOEXCEPT;

/* Sessions. */
REFRAIN_API refrain_status refrain_session_create(const refrain_model* model,
                                                  const refrain_session_options* options,
                                                  refrain_session** session) REFRAIN_NOEXCEPT;
REFRAIN_API void refrain_session_free(refrain_session* session) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_session_prepare(refrain_session* session,
                                                   const refrain_setup* setup) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status
refrain_session_prepare_step(refrain_session* session, const refrain_setup* setup) REFRAIN_NOEXCEPT;
/* 1 or 0 in `guaranteed`; `why` not, or "", valid until the session is prepared anew. Either may be
 * null. */
REFRAIN_API refrain_status refrain_session_real_time(const refrain_session* session,
                                                     int32_t* guaranteed,
                                                     const char** why) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_session_count(const refrain_session* session, refrain_port port,
                                                 size_t* count) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_session_info(const refrain_session* session, refrain_port port,
                                                size_t index,
                                                refrain_tensor_info* info) REFRAIN_NOEXCEPT;
/* The buffer of an input (unless it is bound to the caller's memory), output or state. Its extents
 * live until this is asked again or the session is prepared anew. Outputs are only to be read. */
REFRAIN_API refrain_status refrain_session_buffer(refrain_session* session, refrain_port port,
                                                  const char* name,
                                                  refrain_tensor* tensor) REFRAIN_NOEXCEPT;
/* From now on the caller's memory is the buffer of an input or output. A null tensor gives back the
 * session's own. */
REFRAIN_API refrain_status refrain_session_bind(refrain_session* session, refrain_port port,
                                                const char* name,
                                                const refrain_tensor* tensor) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_session_run(refrain_session* session) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_session_step(refrain_session* session) REFRAIN_NOEXCEPT;
/* Copies; type and extents must be the state's. */
REFRAIN_API refrain_status refrain_session_read_state(const refrain_session* session,
                                                      const char* name,
                                                      const refrain_tensor* into) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_session_write_state(
    refrain_session* session, const char* name, const refrain_tensor* value) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_session_reset(refrain_session* session) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_session_fork(const refrain_session* session,
                                                refrain_session** fork) REFRAIN_NOEXCEPT;

/* Batchers. */
REFRAIN_API refrain_status refrain_batcher_create(const refrain_model* model,
                                                  const refrain_batcher_options* options,
                                                  refrain_batcher** batcher) REFRAIN_NOEXCEPT;
/* Runs what waits, then ends. Streams that are left can only be freed. */
REFRAIN_API void refrain_batcher_free(refrain_batcher* batcher) REFRAIN_NOEXCEPT;
/* One step of one stream. */
REFRAIN_API refrain_status refrain_batcher_count(const refrain_batcher* batcher, refrain_port port,
                                                 size_t* count) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_batcher_info(const refrain_batcher* batcher, refrain_port port,
                                                size_t index,
                                                refrain_tensor_info* info) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_batcher_drain(refrain_batcher* batcher) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_batcher_shutdown(refrain_batcher* batcher,
                                                    int32_t cancel) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_batcher_get_statistics(
    const refrain_batcher* batcher, refrain_batcher_statistics* statistics) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_stream_open(refrain_batcher* batcher,
                                               refrain_stream** stream) REFRAIN_NOEXCEPT;
/* Cancels what has not run. */
REFRAIN_API void refrain_stream_close(refrain_stream* stream) REFRAIN_NOEXCEPT;
/* The transfer itself is copied; what it points at is not. */
REFRAIN_API refrain_status refrain_stream_submit(refrain_stream* stream,
                                                 const refrain_transfer* transfer) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_stream_try_submit(
    refrain_stream* stream, const refrain_transfer* transfer) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_stream_reset(refrain_stream* stream) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_stream_read_state(refrain_stream* stream, const char* name,
                                                     const refrain_tensor* into) REFRAIN_NOEXCEPT;
REFRAIN_API refrain_status refrain_stream_write_state(refrain_stream* stream, const char* name,
                                                      const refrain_tensor* value) REFRAIN_NOEXCEPT;

/* All of the above in one table, for programs that load the library at run time:
 *
 *   const refrain_api* (*get)(uint32_t) = (...)dlsym(library, "refrain_get_api");
 *   const refrain_api* api = get(REFRAIN_API_VERSION);
 *
 * Null if the library is older than the version that is asked for. */
typedef struct refrain_api {
  size_t struct_size;
  uint32_t version;
  const char* (*library_version)(void);
  const char* (*last_error)(void);
  refrain_status (*model_load)(const char*, const refrain_load_options*, refrain_model**);
  refrain_status (*model_from_memory)(const void*, size_t, const refrain_load_options*,
                                      refrain_model**);
  void (*model_free)(refrain_model*);
  refrain_status (*model_count)(const refrain_model*, refrain_port, size_t*);
  refrain_status (*model_info)(const refrain_model*, refrain_port, size_t, refrain_tensor_info*);
  refrain_status (*model_streaming)(const refrain_model*, refrain_streaming*);
  refrain_status (*model_warning_count)(const refrain_model*, size_t*);
  refrain_status (*model_warning)(const refrain_model*, size_t, const char**);
  refrain_status (*session_create)(const refrain_model*, const refrain_session_options*,
                                   refrain_session**);
  void (*session_free)(refrain_session*);
  refrain_status (*session_prepare)(refrain_session*, const refrain_setup*);
  refrain_status (*session_prepare_step)(refrain_session*, const refrain_setup*);
  refrain_status (*session_real_time)(const refrain_session*, int32_t*, const char**);
  refrain_status (*session_count)(const refrain_session*, refrain_port, size_t*);
  refrain_status (*session_info)(const refrain_session*, refrain_port, size_t,
                                 refrain_tensor_info*);
  refrain_status (*session_buffer)(refrain_session*, refrain_port, const char*, refrain_tensor*);
  refrain_status (*session_bind)(refrain_session*, refrain_port, const char*,
                                 const refrain_tensor*);
  refrain_status (*session_run)(refrain_session*);
  refrain_status (*session_step)(refrain_session*);
  refrain_status (*session_read_state)(const refrain_session*, const char*, const refrain_tensor*);
  refrain_status (*session_write_state)(refrain_session*, const char*, const refrain_tensor*);
  refrain_status (*session_reset)(refrain_session*);
  refrain_status (*session_fork)(const refrain_session*, refrain_session**);
  refrain_status (*batcher_create)(const refrain_model*, const refrain_batcher_options*,
                                   refrain_batcher**);
  void (*batcher_free)(refrain_batcher*);
  refrain_status (*batcher_count)(const refrain_batcher*, refrain_port, size_t*);
  refrain_status (*batcher_info)(const refrain_batcher*, refrain_port, size_t,
                                 refrain_tensor_info*);
  refrain_status (*batcher_drain)(refrain_batcher*);
  refrain_status (*batcher_shutdown)(refrain_batcher*, int32_t);
  refrain_status (*batcher_get_statistics)(const refrain_batcher*, refrain_batcher_statistics*);
  refrain_status (*stream_open)(refrain_batcher*, refrain_stream**);
  void (*stream_close)(refrain_stream*);
  refrain_status (*stream_submit)(refrain_stream*, const refrain_transfer*);
  refrain_status (*stream_try_submit)(refrain_stream*, const refrain_transfer*);
  refrain_status (*stream_reset)(refrain_stream*);
  refrain_status (*stream_read_state)(refrain_stream*, const char*, const refrain_tensor*);
  refrain_status (*stream_write_state)(refrain_stream*, const char*, const refrain_tensor*);
} refrain_api;

REFRAIN_API const refrain_api* refrain_get_api(uint32_t version) REFRAIN_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif /* REFRAIN_REFRAIN_C_H */
