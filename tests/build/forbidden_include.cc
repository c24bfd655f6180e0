// Linked like a file of `passes`, which may not see a backend; see tests/CMakeLists.txt.
#include "backends/reference/executor.h"
