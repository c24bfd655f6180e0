// Loads compiled models: `refrain compile -o FILE` writes them, artifact.fbs describes the file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/weights/weight_store.h"
#include "frontend/artifact/mapping.h"
#include "frontend/artifact/targets.h"
#include "ir/graph.h"

namespace refrain::artifact {

// True if the bytes begin like a compiled model, of whatever version.
bool is_artifact(const char* begin, size_t size);
// The same for a file; false if it can't be read.
bool is_artifact(const std::string& path);

struct Info {
  uint32_t version = 0;
  std::string producer;
  std::vector<Target> targets;  // that weights are packed for
  int64_t file_bytes = 0, metadata_bytes = 0, graph_bytes = 0;
  int64_t constants = 0, constant_bytes = 0;
  struct Packed {
    uint32_t lanes = 0;
    int64_t blocks = 0, bytes = 0;
  };
  std::vector<Packed> packed;  // by vectors' sizes
};

struct Artifact {
  std::unique_ptr<Graph> graph;  // optimized; its large constants lie in the file
  // The graph's constants, and blocks packed for the file's targets. Keeps the file mapped, as
  // everything does that came from it.
  std::shared_ptr<WeightStore> weights;
  Info info;
};

// The header and the metadata are checked now, the graph is verified; large constants and packed
// weights are checked when a graph is prepared that uses them, or by weights->check_all(). Nothing
// that the file holds is copied but the graph. Throws Error with `name`, the file.
//
// Bytes that don't lie at a multiple of 64 are copied first.
Artifact read_artifact(Bytes bytes, const std::string& name);
Artifact read_artifact(const std::string& path, int64_t max_bytes);

}  // namespace refrain::artifact
