// ONNX's messages.
#pragma once

// Debian's onnx_pb.h would define these; the generated headers alone don't.
#ifndef ONNX_API
#define ONNX_API
#endif
#ifndef ONNX_ML
#define ONNX_ML 1
#endif

#include <onnx/onnx-data.pb.h>
#include <onnx/onnx-ml.pb.h>
