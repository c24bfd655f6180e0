// Importers of the control ops and what they share.
#pragma once

#include <span>
#include <vector>

#include "frontend/onnx/graph_import.h"
#include "frontend/onnx/node_import.h"

namespace refrain::onnx_import {

void import_scan(NodeImport& node);          // ops_scan.cc; opset 9 and later
void import_scan_opset8(NodeImport& node);   // ops_scan.cc
void import_sequence_map(NodeImport& node);  // ops_sequence_map.cc

// Adds one argument a captured value to a region and returns them.
std::vector<Value*> add_invariants(Region& region, const Captures& captures);

// A tensor of one element as a scalar of the given type.
Value* to_scalar(Builder& builder, Value* value, ElementType type);

// Inputs from `begin` to `end`, none of which may be absent.
std::vector<Value*> required_inputs(const NodeImport& node, size_t begin, size_t end);

}  // namespace refrain::onnx_import
