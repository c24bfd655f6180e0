/* The same as consumer.cc, in C. */
#include <refrain/refrain_c.h>
#include <stdio.h>
#include <string.h>

static int failed(const char* what) {
  fprintf(stderr, "%s: %s\n", what, refrain_last_error());
  return 1;
}

static size_t count(const refrain_tensor* tensor) {
  size_t elements = 1;
  for (int32_t i = 0; i < tensor->rank; ++i) elements *= (size_t)tensor->extents[i];
  return elements;
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  refrain_model* model = NULL;
  if (refrain_model_load("no such file", NULL, &model) != REFRAIN_ERROR || model ||
      !strstr(refrain_last_error(), "no such file"))
    return failed("a missing file");
  if (refrain_model_load(argv[1], NULL, &model) != REFRAIN_OK) return failed("load");

  refrain_session* session = NULL;
  if (refrain_session_create(model, NULL, &session) != REFRAIN_OK) return failed("session");
  const refrain_extent symbols[] = {{"T", 5}, {"B", 2}};
  refrain_setup setup = REFRAIN_INIT(refrain_setup);
  setup.symbols = symbols;
  setup.symbol_count = 2;
  if (refrain_session_prepare(session, &setup) != REFRAIN_OK) return failed("prepare");

  refrain_tensor_info info = REFRAIN_INIT(refrain_tensor_info);
  refrain_tensor tensor = REFRAIN_INIT(refrain_tensor);
  if (refrain_session_info(session, REFRAIN_INPUT, 0, &info) != REFRAIN_OK ||
      refrain_session_buffer(session, REFRAIN_INPUT, info.name, &tensor) != REFRAIN_OK)
    return failed("input");
  for (size_t i = 0; i < count(&tensor); ++i) ((float*)tensor.data)[i] = 0.01F * (float)i;
  if (refrain_session_run(session) != REFRAIN_OK) return failed("run");

  size_t outputs = 0;
  if (refrain_session_count(session, REFRAIN_OUTPUT, &outputs) != REFRAIN_OK)
    return failed("count");
  for (size_t k = 0; k < outputs; ++k) {
    if (refrain_session_info(session, REFRAIN_OUTPUT, k, &info) != REFRAIN_OK ||
        refrain_session_buffer(session, REFRAIN_OUTPUT, info.name, &tensor) != REFRAIN_OK)
      return failed("output");
    double sum = 0;
    for (size_t i = 0; i < count(&tensor); ++i) sum += (double)((const float*)tensor.data)[i];
    printf("%s %.4f\n", info.name, sum);
  }
  refrain_session_free(session);
  refrain_model_free(model);
  return 0;
}
