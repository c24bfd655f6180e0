// A case: a model with inputs and the outputs that it must give, in the layout of ONNX's backend
// tests.
//
//   CASE/model.onnx, or CASE/CASE.rfn
//   CASE/test_data_set_K/input_I.pb, output_I.pb     K and I from 0, in order of the model's inputs
//
// and, for models that carry state from step to step,
//
//   CASE/sequence.json                 {"state_in": NAME, "state_out": NAME, "steps": N}; names or
//   lists
//                                      of names of equal length
//   CASE/sequence/step_KKK/input_I.pb, output_I.pb
//
// where every state_in of step K > 0 is not read from its file but is state_out of step K-1.
#pragma once

#include <cstdint>
#include <string>

#include "frontend/driver/compare.h"
#include "frontend/driver/executable.h"
#include "frontend/driver/model.h"

namespace refrain {

struct CaseOptions {
  Backend backend = Backend::automatic;
  int threads = 1;
  bool optimize = true;  // run what the pipeline gives, not what was imported
  Tolerance tolerance;
  reference::Limits limits;
  int64_t max_file_bytes = kDefaultMaxBytes;
};

struct CaseResult {
  enum class Status { passed, failed, unsupported };
  Status status = Status::passed;
  std::string why;  // it failed, or the ops that are not supported with their counts; one line
  double max_abs = 0, max_rel = 0;
};

// Runs all data sets, and the sequence if there is one; ends at the first that fails. Throws
// nothing: whatever goes wrong, running out of memory included, is a failed case.
CaseResult run_case(const std::string& folder, const CaseOptions& options);

// The last part of the folder's path.
std::string case_name(const std::string& folder);

}  // namespace refrain
