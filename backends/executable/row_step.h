// Internal to executables: row programs as steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backends/executable/step.h"
#include "backends/executable/storage.h"
#include "backends/highway/rows.h"

namespace refrain::executable {

// A row program over all rows. Slots: inputs, outputs, then scratch of scratch_bytes().
class RowStep final : public Step {
 public:
  // Throws Error if the program passes a limit of the kernel.
  RowStep(highway::RowProgram program, int64_t rows, int threads);

  int64_t scratch_bytes() const;

  void run() override;
  std::string describe() const override;
  bool uses_workers() const override { return parts_ > 1; }

 private:
  highway::RowKernel kernel_;
  int64_t rows_, parts_;
};

}  // namespace refrain::executable
