/* Loads librefrain.so while it runs, as a plug-in would that must start without it too, and runs a
 * model on a ramp.
 *
 *   dynamic LIBRARY MODEL [SYMBOL=EXTENT...]
 *
 * Nothing is linked: one symbol is looked up, and everything is in the table that it gives. */
#include <dlfcn.h>
#include <refrain/refrain_c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kMostSymbols = 8 };

typedef const refrain_api* (*get_api)(uint32_t);

static int failed(const refrain_api* api, const char* what) {
  fprintf(stderr, "dynamic: %s: %s\n", what, api->last_error());
  return 2;
}

static size_t elements_of(const refrain_tensor* tensor) {
  size_t elements = 1;
  for (int32_t i = 0; i < tensor->rank; ++i) elements *= (size_t)tensor->extents[i];
  return elements;
}

static int run(const refrain_api* api, refrain_session* session, const refrain_setup* setup) {
  if (api->session_prepare(session, setup) != REFRAIN_OK) return failed(api, "prepare");

  size_t count = 0;
  refrain_tensor_info info = REFRAIN_INIT(refrain_tensor_info);
  refrain_tensor tensor = REFRAIN_INIT(refrain_tensor);
  if (api->session_count(session, REFRAIN_INPUT, &count) != REFRAIN_OK)
    return failed(api, "inputs");
  for (size_t k = 0; k < count; ++k) {
    if (api->session_info(session, REFRAIN_INPUT, k, &info) != REFRAIN_OK ||
        api->session_buffer(session, REFRAIN_INPUT, info.name, &tensor) != REFRAIN_OK)
      return failed(api, "input");
    if (tensor.type != REFRAIN_F32) continue; /* stays zero */
    float* values = tensor.data;
    for (size_t i = 0; i < elements_of(&tensor); ++i) values[i] = 0.01F * (float)i;
  }

  if (api->session_run(session) != REFRAIN_OK) return failed(api, "run");

  if (api->session_count(session, REFRAIN_OUTPUT, &count) != REFRAIN_OK)
    return failed(api, "outputs");
  for (size_t k = 0; k < count; ++k) {
    if (api->session_info(session, REFRAIN_OUTPUT, k, &info) != REFRAIN_OK ||
        api->session_buffer(session, REFRAIN_OUTPUT, info.name, &tensor) != REFRAIN_OK)
      return failed(api, "output");
    printf("%s:", info.name);
    const float* values = tensor.data;
    for (size_t i = 0; tensor.type == REFRAIN_F32 && i < elements_of(&tensor) && i < 4; ++i)
      printf(" %.6f", (double)values[i]);
    printf(" (%zu elements)\n", elements_of(&tensor));
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc < 3 || argc > 3 + kMostSymbols) {
    fprintf(stderr, "usage: dynamic LIBRARY MODEL [SYMBOL=EXTENT...]\n");
    return 2;
  }
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "dynamic: %s\n", dlerror());
    return 2;
  }
  get_api get = NULL;
  void* symbol = dlsym(library, "refrain_get_api");
  memcpy(&get, &symbol, sizeof(get)); /* ISO C has no cast for it */
  const refrain_api* api = get ? get(REFRAIN_API_VERSION) : NULL;
  if (!api) {
    fprintf(stderr, "dynamic: %s has no version %d of the interface\n", argv[1],
            REFRAIN_API_VERSION);
    return 2;
  }
  printf("refrain %s\n", api->library_version());

  refrain_extent symbols[kMostSymbols];
  refrain_setup setup = REFRAIN_INIT(refrain_setup);
  setup.symbols = symbols;
  for (int i = 3; i < argc; ++i) {
    char* equals = strchr(argv[i], '=');
    if (!equals) {
      fprintf(stderr, "dynamic: not SYMBOL=EXTENT: %s\n", argv[i]);
      return 2;
    }
    *equals = '\0';
    symbols[setup.symbol_count].symbol = argv[i];
    symbols[setup.symbol_count++].extent = strtoll(equals + 1, NULL, 10);
  }

  refrain_model* model = NULL;
  refrain_session* session = NULL;
  int status = 0;
  if (api->model_load(argv[2], NULL, &model) != REFRAIN_OK)
    status = failed(api, "load");
  else if (api->session_create(model, NULL, &session) != REFRAIN_OK)
    status = failed(api, "session");
  else
    status = run(api, session, &setup);
  api->session_free(session);
  api->model_free(model);
  dlclose(library);
  return status;
}
