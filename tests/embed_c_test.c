/* The C API from C11, by its functions and by the table that refrain_get_api gives. A line for each
 * check that fails; exit code 1 if any did. */
#include <refrain/refrain_c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

static void check(int ok, const char* what, int line) {
  if (ok) return;
  ++failures;
  printf("embed_c_test.c:%d: %s; last error: %s\n", line, what, refrain_last_error());
}
#define CHECK(condition) check((condition), #condition, __LINE__)
#define CHECK_OK(call) check((call) == REFRAIN_OK, #call, __LINE__)
#define CHECK_ERROR(call, status, text) \
  check((call) == (status) && strstr(refrain_last_error(), text), #call " " text, __LINE__)

/* A running sum over x, with the sum as state. */
static const char kModel[] =
    "graph @sum (%x: f32[T, B], %s: f32[B]) {\n"
    "  %last, %y = scan state(%a = %s: f32[B]) scanned(%b = %x[0]: f32[B]) stacked([0]) {\n"
    "    %n = add(%a, %b) : f32[B]\n"
    "    yield %n, %n\n"
    "  } : f32[B], f32[T, B]\n"
    "  yield \"y\" = %y, \"sum\" = %last\n"
    "}\n";

static refrain_tensor tensor(int32_t rank, const int64_t* extents, void* data) {
  refrain_tensor made = REFRAIN_INIT(refrain_tensor);
  made.type = REFRAIN_F32;
  made.rank = rank;
  made.extents = extents;
  made.data = data;
  return made;
}

static void test_model(const refrain_model* model) {
  size_t count = 0;
  refrain_tensor_info info = REFRAIN_INIT(refrain_tensor_info);
  refrain_streaming streaming = REFRAIN_INIT(refrain_streaming);
  const char* warning = NULL;
  CHECK_OK(refrain_model_count(model, REFRAIN_INPUT, &count));
  CHECK(count == 2);
  CHECK_OK(refrain_model_info(model, REFRAIN_INPUT, 0, &info));
  CHECK(strcmp(info.name, "x") == 0 && info.type == REFRAIN_F32 && info.rank == 2);
  CHECK(info.extents[0] == -1 && strcmp(info.symbols[0], "T") == 0);
  CHECK_OK(refrain_model_info(model, REFRAIN_STATE, 0, &info));
  CHECK(strcmp(info.input, "s") == 0 && strcmp(info.output, "sum") == 0);
  CHECK_OK(refrain_model_streaming(model, &streaming));
  CHECK(streaming.supported == 1 && strcmp(streaming.batch, "B") == 0);
  CHECK_OK(refrain_model_warning_count(model, &count));
  CHECK(count == 0);
  CHECK_ERROR(refrain_model_warning(model, 0, &warning), REFRAIN_ERROR, "no such warning");
  CHECK_ERROR(refrain_model_info(model, REFRAIN_INPUT, 2, &info), REFRAIN_ERROR, "no such index");
  CHECK_ERROR(refrain_model_info(model, 7, 0, &info), REFRAIN_INVALID_ARGUMENT,
              "no such kind of port");
}

/* Structs of other versions. */
static void test_structs(const refrain_model* model) {
  struct {
    refrain_session_options options;
    int64_t later;
  } newer;
  refrain_session* session = NULL;
  refrain_tensor_info info;
  memset(&newer, 0, sizeof(newer));
  newer.options.struct_size = sizeof(newer);
  CHECK_OK(refrain_session_create(model, &newer.options, &session));
  refrain_session_free(session);
  newer.later = 1;
  CHECK_ERROR(refrain_session_create(model, &newer.options, &session), REFRAIN_INVALID_ARGUMENT,
              "fields that this version");
  newer.options.struct_size = 0;
  CHECK_ERROR(refrain_session_create(model, &newer.options, &session), REFRAIN_INVALID_ARGUMENT,
              "struct_size is 0");
  /* An older program knows no more than the name: the rest is not touched. */
  memset(&info, 0x55, sizeof(info));
  info.struct_size = offsetof(refrain_tensor_info, type);
  CHECK_OK(refrain_model_info(model, REFRAIN_INPUT, 0, &info));
  CHECK(strcmp(info.name, "x") == 0 && info.rank == 0x55555555);
}

static void test_session(const refrain_model* model) {
  refrain_session *session = NULL, *fork = NULL;
  refrain_setup setup = REFRAIN_INIT(refrain_setup);
  refrain_tensor x = REFRAIN_INIT(refrain_tensor), y = REFRAIN_INIT(refrain_tensor);
  refrain_extent batch = {"B", 2};
  const int64_t two[] = {1, 2};
  float bound[2] = {10, 20}, value[2] = {0, 0};
  refrain_tensor bound_tensor = tensor(2, two, bound), state = tensor(1, two + 1, value);
  const char* why = NULL;
  size_t count = 0;
  int32_t guaranteed = 0;

  CHECK_OK(refrain_session_create(model, NULL, &session));
  CHECK_ERROR(refrain_session_step(session), REFRAIN_ERROR, "not prepared");
  CHECK_ERROR(refrain_session_count(session, REFRAIN_INPUT, &count), REFRAIN_ERROR, "not prepared");
  setup.symbols = &batch;
  setup.symbol_count = 1;
  CHECK_OK(refrain_session_prepare_step(session, &setup));
  CHECK_OK(refrain_session_real_time(session, &guaranteed, &why));
  CHECK(guaranteed == 1 && why[0] == 0);
  CHECK_OK(refrain_session_count(session, REFRAIN_INPUT, &count));
  CHECK(count == 1);
  CHECK_OK(refrain_session_buffer(session, REFRAIN_INPUT, "x", &x));
  CHECK(x.rank == 2 && x.extents[1] == 2);
  CHECK_OK(refrain_session_buffer(session, REFRAIN_OUTPUT, "y", &y));
  ((float*)x.data)[0] = 1;
  ((float*)x.data)[1] = 2;
  CHECK_OK(refrain_session_step(session));
  CHECK_OK(refrain_session_step(session));
  CHECK(((float*)y.data)[0] == 2 && ((float*)y.data)[1] == 4);

  CHECK_OK(refrain_session_fork(session, &fork));
  CHECK_OK(refrain_session_bind(session, REFRAIN_INPUT, "x", &bound_tensor));
  CHECK_OK(refrain_session_step(session));
  CHECK(((float*)y.data)[0] == 12);
  CHECK_OK(refrain_session_read_state(fork, "s", &state));
  CHECK(value[0] == 2 && value[1] == 4);
  CHECK_OK(refrain_session_reset(session));
  CHECK_OK(refrain_session_write_state(session, "s", &state));
  CHECK_OK(refrain_session_bind(session, REFRAIN_INPUT, "x", NULL));
  CHECK_OK(refrain_session_step(session));
  CHECK(((float*)y.data)[0] == 3);

  CHECK_ERROR(refrain_session_run(session), REFRAIN_ERROR, "run() of a session");
  CHECK_ERROR(refrain_session_buffer(session, REFRAIN_INPUT, "z", &x), REFRAIN_ERROR,
              "no input \"z\": expected \"x\"");
  CHECK_ERROR(refrain_session_bind(session, REFRAIN_STATE, "s", &state), REFRAIN_INVALID_ARGUMENT,
              "only inputs and outputs");
  bound_tensor.type = 77;
  CHECK_ERROR(refrain_session_bind(session, REFRAIN_INPUT, "x", &bound_tensor), REFRAIN_ERROR,
              "no such element type");
  bound_tensor.rank = -1;
  CHECK_ERROR(refrain_session_bind(session, REFRAIN_INPUT, "x", &bound_tensor),
              REFRAIN_INVALID_ARGUMENT, "rank is -1");
  state.data = NULL;
  CHECK_ERROR(refrain_session_write_state(session, "s", &state), REFRAIN_ERROR, "null");
  CHECK_ERROR(refrain_session_read_state(session, "s", &state), REFRAIN_INVALID_ARGUMENT, "null");
  CHECK_ERROR(refrain_session_step(NULL), REFRAIN_INVALID_ARGUMENT, "session is null");
  CHECK_ERROR(refrain_session_buffer(session, REFRAIN_INPUT, NULL, &x), REFRAIN_INVALID_ARGUMENT,
              "name is null");
  refrain_session_free(session);
  refrain_session_free(fork);
  refrain_session_free(NULL);
}

static void count_done(void* context, const char* message) {
  if (!message) ++*(int*)context;
}

static void test_batcher(const refrain_model* model) {
  refrain_batcher* batcher = NULL;
  refrain_stream* stream = NULL;
  refrain_batcher_options options = REFRAIN_INIT(refrain_batcher_options);
  refrain_batcher_statistics statistics = REFRAIN_INIT(refrain_batcher_statistics);
  refrain_transfer transfer = REFRAIN_INIT(refrain_transfer);
  const float x[3] = {1, 2, 3};
  float y[3] = {0, 0, 0}, sum = 0;
  const int64_t one = 1;
  const void* inputs[] = {x};
  void* outputs[] = {y, NULL};
  refrain_tensor state = tensor(1, &one, &sum);
  int done = 0;
  size_t count = 0;
  options.max_batch = 4;
  options.max_delay_us = -1;
  CHECK_OK(refrain_batcher_create(model, &options, &batcher));
  CHECK_OK(refrain_batcher_count(batcher, REFRAIN_OUTPUT, &count));
  CHECK(count == 2);
  CHECK_OK(refrain_stream_open(batcher, &stream));
  transfer.inputs = inputs;
  transfer.outputs = outputs;
  transfer.steps = 3;
  transfer.done = count_done;
  transfer.context = &done;
  CHECK_OK(refrain_stream_submit(stream, &transfer));
  CHECK_OK(refrain_batcher_drain(batcher));
  CHECK(done == 1 && y[0] == 1 && y[1] == 3 && y[2] == 6);
  CHECK_OK(refrain_stream_read_state(stream, "s", &state));
  CHECK(sum == 6);
  CHECK_OK(refrain_stream_reset(stream));
  sum = 5;
  CHECK_OK(refrain_stream_write_state(stream, "s", &state));
  CHECK_OK(refrain_stream_try_submit(stream, &transfer));
  CHECK_OK(refrain_batcher_drain(batcher));
  CHECK(done == 2 && y[2] == 11);
  CHECK_OK(refrain_batcher_get_statistics(batcher, &statistics));
  CHECK(statistics.steps == 6);
  CHECK_ERROR(refrain_stream_submit(stream, NULL), REFRAIN_INVALID_ARGUMENT, "transfer is null");
  CHECK_OK(refrain_batcher_shutdown(batcher, 1));
  CHECK_ERROR(refrain_stream_submit(stream, &transfer), REFRAIN_ERROR, "shut down");
  refrain_batcher_free(batcher);
  refrain_stream_close(stream);
  refrain_stream_close(NULL);
}

static void test_table(void) {
  const refrain_api* api = refrain_get_api(REFRAIN_API_VERSION);
  refrain_model* model = NULL;
  void* const* entries = NULL;
  size_t i = 0;
  CHECK(api && api->struct_size == sizeof(*api) && api->version == REFRAIN_API_VERSION);
  CHECK(refrain_get_api(REFRAIN_API_VERSION + 1) == NULL && refrain_get_api(0) == NULL);
  CHECK(strcmp(api->library_version(), refrain_version()) == 0);
  /* Every entry is there. */
  entries = (void* const*)(const void*)&api->library_version;
  for (; i < (sizeof(*api) - offsetof(refrain_api, library_version)) / sizeof(void*); ++i) {
    CHECK(entries[i] != NULL);
  }
  CHECK_ERROR(api->model_load("/no/such/file", NULL, &model), REFRAIN_ERROR, "no such file");
  CHECK(model == NULL);
  CHECK_ERROR(api->model_load(NULL, NULL, &model), REFRAIN_INVALID_ARGUMENT, "path is null");
  CHECK_ERROR(api->model_from_memory("nonsense", 8, NULL, &model), REFRAIN_ERROR, "memory");
  CHECK_ERROR(api->model_from_memory(kModel, sizeof(kModel) - 1, NULL, NULL),
              REFRAIN_INVALID_ARGUMENT, "model is null");
}

int main(void) {
  refrain_model* model = NULL;
  CHECK(refrain_api_version() == REFRAIN_API_VERSION);
  CHECK(strcmp(refrain_last_error(), "") == 0);
  CHECK_OK(refrain_model_from_memory(kModel, sizeof(kModel) - 1, NULL, &model));
  if (!model) return EXIT_FAILURE;
  test_model(model);
  test_structs(model);
  test_session(model);
  test_batcher(model);
  test_table();
  refrain_model_free(model);
  if (failures == 0) printf("all checks passed\n");
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
