// A look at a model's bytes before protobuf parses them.
#pragma once

#include <cstdint>
#include <string_view>

namespace refrain::onnx_import {

// Walks the protobuf wire format of a ModelProto through graphs, nodes, attributes, sub-graphs,
// functions and tensors. Throws Error, which gives the byte offset, for a field that is truncated
// or malformed; for sub-graphs nested deeper than kMaxRegionDepth; and for more messages than would
// fit `max_bytes` once parsed (an empty message takes two bytes in a file and hundreds in memory).
// Iterative, so that no file can overflow the stack; linear in the bytes.
void check_wire_format(std::string_view bytes, int64_t max_bytes);

// Protobuf's recursion limit that lets every model through that check_wire_format accepts: a
// sub-graph is a graph in an attribute in a node; what lies in the innermost nests no deeper than
// the rest.
int protobuf_recursion_limit();

}  // namespace refrain::onnx_import
