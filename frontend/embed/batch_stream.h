// Internal to `embed`: streams whose rows are told apart only where shapes are known.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "frontend/driver/program.h"
#include "ir/graph.h"
#include "passes/stream.h"

namespace refrain::embed {

// All that dimensions of the inputs are called.
std::set<std::string> input_symbols(const Graph& graph);

// Branches and paddings that hang on the length of a chunk hide what becomes of the rows. So the
// stream is made once more of `graph` with `extents` put in for its symbols, save those of time and
// of the rows, and with what these decide gone. (Rows are along a symbol of a state, of extent 1 or
// not in `extents`, or else of a fixed number.)
//
// `form` is what passes::make_stream gave for the graph. Null if rows are still not known to be
// independent; `why` is then told more.
std::unique_ptr<passes::StreamForm> batch_stream_at(const Graph& graph,
                                                    const passes::StreamForm& form,
                                                    const passes::StreamOptions& stream_options,
                                                    const std::map<std::string, int64_t>& extents,
                                                    const ExecutableOptions& options,
                                                    std::string& why);

}  // namespace refrain::embed
