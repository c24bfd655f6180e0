// Writes compiled models (artifact.fbs describes the file).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/weights/weight_store.h"
#include "frontend/artifact/targets.h"
#include "ir/graph.h"

namespace refrain::artifact {

// A store of those constants of a graph that its file keeps beside its text, in the file's order.
// What is prepared with it leaves in WeightStore::asked() which weights are to be packed.
std::shared_ptr<WeightStore> constants_of(const Graph& graph);

// The graph with its constants, and what the store was asked for packed for the targets. `weights`
// is constants_of(graph); `producer` names the program and its version. The file is written under
// another name beside it and then takes its place, so that whoever has an older one mapped keeps
// that. Equal arguments give equal files. Throws Error, with the file.
void write_artifact(const std::string& path, const Graph& graph, const WeightStore& weights,
                    const std::vector<Target>& targets, const std::string& producer);

}  // namespace refrain::artifact
