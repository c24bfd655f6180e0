// Importers of products, convolution, pooling and dropout.
#include "frontend/onnx/lower.h"
#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

// ---- products

// alpha * A' * B' + beta * C
void import_gemm(NodeImport& node) {
  require_at_most_inputs(node, 3);
  Builder& b = node.builder();
  const auto scaled = [&](Value* x, double factor) { return factor == 1 ? x : mul(b, x, factor); };
  const auto matrix = [&](size_t i, const char* transposed) {
    Value* x = node.input(i);
    const Shape& shape = x->type().shape;
    if (shape.ranked() && shape.rank() != 2)
      throw Error("wrong rank of a matrix", "2", to_string(shape));
    return node.flag(transposed, false) ? b.transpose(x, {1, 0}) : x;
  };
  Value *left = matrix(0, "transA"), *right = matrix(1, "transB");
  const double alpha = node.real("alpha", 1), beta = node.real("beta", 1);
  Value* y = scaled(b.op(Op::matmul, {left, right}), alpha);
  if (!node.has_input(2)) {
    if (node.opset() < 11) node.input(2);  // throws: C was not optional yet
  } else {
    y = require_shape_kept(add(b, y, scaled(node.input(2), beta)), y, "C");
  }
  node.set_output(0, y);
}

void import_einsum(NodeImport& node) {
  std::vector<Value*> operands;
  for (size_t i = 0; i < node.input_count(); ++i) operands.push_back(node.input(i));
  const std::vector<Attribute> equation = {{AttributeName::equation, node.string("equation")}};
  node.set_output(0, node.builder().create(Op::einsum, operands, equation)->result());
}

// ---- windows

void import_conv(NodeImport& node) {
  require_at_most_inputs(node, 3);
  std::vector<Attribute> attributes = convolution_attributes(node, node.input(1));
  node.set_output(
      0, node.builder().op(Op::conv, {node.input(0), node.input(1), node.optional_input(2)},
                           std::move(attributes)));
}

void import_conv_transpose(NodeImport& node) {
  require_at_most_inputs(node, 3);
  std::vector<Attribute> attributes = convolution_attributes(node, node.input(1));
  if (auto padding = node.integers("output_padding")) {
    attributes.push_back({AttributeName::output_padding, std::move(*padding)});
  }
  if (auto shape = node.integers("output_shape")) {
    attributes.push_back({AttributeName::output_shape, std::move(*shape)});
  }
  node.set_output(0, node.builder().op(Op::conv_transpose,
                                       {node.input(0), node.input(1), node.optional_input(2)},
                                       std::move(attributes)));
}

std::vector<int64_t> kernel_shape(NodeImport& node) {
  auto kernel = node.integers("kernel_shape");
  if (!kernel) throw Error("pooling without a kernel", "attribute kernel_shape", "none");
  return std::move(*kernel);
}

void import_max_pool(NodeImport& node) {
  require_at_most_inputs(node, 1);
  std::vector<Attribute> attributes = window_attributes(node, node.opset() >= 10);
  attributes.push_back({AttributeName::kernel, kernel_shape(node)});
  if (node.opset() >= 10)
    attributes.push_back({AttributeName::ceil_mode, node.flag("ceil_mode", false)});
  const int64_t storage_order = node.opset() >= 8 ? node.integer("storage_order", 0) : 0;
  if (storage_order != 0 && storage_order != 1) {
    node.unsupported("storage_order = " + std::to_string(storage_order));
  }
  attributes.push_back({AttributeName::storage_order, storage_order});
  Value* x = node.input(0);
  node.set_outputs(*node.builder().create(Op::max_pool, {&x, 1}, std::move(attributes),
                                          node.wants_output(1) ? 2 : 1));
}

void import_average_pool(NodeImport& node) {
  require_at_most_inputs(node, 1);
  std::vector<Attribute> attributes = window_attributes(node, node.opset() >= 19);
  attributes.push_back({AttributeName::kernel, kernel_shape(node)});
  if (node.opset() >= 10)
    attributes.push_back({AttributeName::ceil_mode, node.flag("ceil_mode", false)});
  attributes.push_back({AttributeName::count_include_pad, node.flag("count_include_pad", false)});
  node.set_output(0, node.builder().op(Op::average_pool, {node.input(0)}, std::move(attributes)));
}

template <Op op>
void import_global_pool(NodeImport& node) {
  require_at_most_inputs(node, 1);
  const size_t rank = node.rank(0);
  if (rank < 2)
    throw Error("wrong rank of the input", "[batch, channels, spatial...]", std::to_string(rank));
  if (rank == 2) {  // nothing to pool over
    node.set_output(0, node.input(0));
    return;
  }
  std::vector<int64_t> axes;
  for (size_t i = 2; i < rank; ++i) axes.push_back(static_cast<int64_t>(i));
  node.set_output(0, reduce(node.builder(), op, node.input(0), node.builder().ints(axes), true));
}

// ---- dropout: the identity, as long as it is for inference

bool is_constant_zero(const Value* value) {
  const TensorPtr tensor = constant_tensor(value);
  return tensor && tensor->size() == 1 && tensor->view().as_doubles()[0] == 0;
}

void import_dropout(NodeImport& node) {
  Builder& b = node.builder();
  if (node.opset() < 12) {
    require_at_most_inputs(node, 1);
    node.ignore("ratio");
  } else {
    require_at_most_inputs(node, 3);
    node.ignore("seed");
    if (node.has_input(2) && !is_constant_zero(node.input(2)) &&
        !(node.has_input(1) && is_constant_zero(node.input(1)))) {
      node.unsupported("training_mode");
    }
  }
  Value* x = node.input(0);
  node.set_output(0, x);
  if (node.wants_output(1)) {  // what was kept: everything; a bool only since opset 10
    const ElementType type = node.opset() < 10 ? x->type().element : ElementType::boolean;
    auto kept = std::make_shared<const Tensor>(Tensor::scalar(type, 1));
    node.set_output(1,
                    b.op(Op::fill, {extents_of(b, x)}, {{AttributeName::value, std::move(kept)}}));
  }
}

}  // namespace

std::vector<OpEntry> network_ops() {
  return {
      {"MatMul", import_direct<Op::matmul>},
      {"Gemm", import_gemm},
      {"Einsum", import_einsum, 12},
      {"Conv", import_conv},
      {"ConvTranspose", import_conv_transpose},
      {"MaxPool", import_max_pool},
      {"AveragePool", import_average_pool},
      {"GlobalAveragePool", import_global_pool<Op::reduce_mean>},
      {"GlobalMaxPool", import_global_pool<Op::reduce_max>},
      {"Dropout", import_dropout},
  };
}

}  // namespace refrain::onnx_import
