// Importers of normalisations, all lowered to means and element-wise arithmetic.
#include "frontend/onnx/lower.h"
#include "frontend/onnx/tensor_proto.h"
#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

// (x - mean) over `axes`, and 1 / sqrt(variance + epsilon) there.
struct Standardized {
  Value *mean, *centered, *inverse;
};

Standardized standardize(Builder& b, Value* x, Value* axes, double epsilon) {
  Value* mean = reduce(b, Op::reduce_mean, x, axes, true);
  Value* centered = sub(b, x, mean);
  Value* variance = reduce(b, Op::reduce_mean, mul(b, centered, centered), axes, true);
  Value* deviation = b.op(Op::sqrt, {add(b, variance, epsilon)});
  return {mean, centered, div(b, scalar_like(b, x, 1), deviation)};
}

// A [C] tensor so that it broadcasts along axis 1 of a tensor of `rank`.
Value* per_channel(Builder& b, Value* x, size_t rank) {
  if (rank <= 2) return x;
  std::vector<int64_t> axes;
  for (size_t i = 1; i + 1 < rank; ++i) axes.push_back(static_cast<int64_t>(i));
  return b.op(Op::unsqueeze, {x, b.ints(axes)});
}

// The axes from `axis` to the last. Counted from the end, they need no rank.
Value* axes_from(NodeImport& node, int64_t axis) {
  const Shape& shape = node.input(0)->type().shape;
  if (axis >= 0 || shape.ranked()) {
    const size_t rank = node.rank(0);
    axis = static_cast<int64_t>(resolve_axis(axis, rank)) - static_cast<int64_t>(rank);
  }
  if (axis < -kMaxRank) {
    throw Error("axis out of range", "an axis in " + std::to_string(-kMaxRank) + "..-1",
                std::to_string(axis));
  }
  std::vector<int64_t> axes;
  for (; axis < 0; ++axis) axes.push_back(axis);
  return node.builder().ints(axes);
}

// The type in which an op with `stash_type` computes: at least that precise, and never less than
// x's own.
ElementType computing_type(NodeImport& node, ElementType stash) {
  const ElementType own = wide_type(node.input(0)->type().element);
  return own == ElementType::f64 ? own : wide_type(stash);
}

ElementType stash_type(NodeImport& node) {
  const int64_t number = node.integer("stash_type", 1);
  if (number < 1 || number > INT32_MAX) {
    throw Error("attribute stash_type out of range", "an ONNX data type", std::to_string(number));
  }
  const ElementType type = element_type_from_onnx(static_cast<int>(number));
  if (!is_float(type)) node.unsupported("stash_type = " + std::to_string(number));
  return type;
}

void import_batch_normalization(NodeImport& node) {
  require_at_most_inputs(node, 5);
  Builder& b = node.builder();
  Value* x = node.input(0);
  const size_t rank = node.rank(0);
  if (rank < 2)
    throw Error("wrong rank of the input", "[batch, channels, ...]", to_string(x->type().shape));
  if (node.opset() < 9 && !node.flag("spatial", true)) node.unsupported("spatial = 0");
  const bool training = node.opset() >= 14 && node.flag("training_mode", false);
  const double epsilon = node.real("epsilon", 1e-5), momentum = node.real("momentum", 0.9);
  if (!training) {
    for (size_t i = 1; i < node.output_count(); ++i) {
      if (node.wants_output(i)) node.unsupported("training outputs");
    }
  }

  const ElementType type = wide_type(x->type().element);
  const auto parameter = [&](size_t i) { return b.cast(node.input(i), type); };
  Value* wide = b.cast(x, type);
  Value *mean = parameter(3), *variance = parameter(4);
  if (training) {
    std::vector<int64_t> axes = {0};
    for (size_t i = 2; i < rank; ++i) axes.push_back(static_cast<int64_t>(i));
    Value *given_mean = mean, *given_variance = variance, *over = b.ints(axes);
    mean = reduce(b, Op::reduce_mean, wide, over, false);
    Value* centered = sub(b, wide, per_channel(b, mean, rank));
    variance = reduce(b, Op::reduce_mean, mul(b, centered, centered), over, false);
    const auto running = [&](Value* given, Value* current, size_t input) {
      Value* mixed = add(b, mul(b, given, momentum), mul(b, current, 1 - momentum));
      return b.cast(mixed, node.input(input)->type().element);
    };
    if (node.wants_output(1)) node.set_output(1, running(given_mean, mean, 3));
    if (node.wants_output(2)) node.set_output(2, running(given_variance, variance, 4));
  }
  // What depends on the parameters alone becomes one constant.
  Value* factor = div(b, parameter(1), b.op(Op::sqrt, {add(b, variance, epsilon)}));
  Value* y = mul(b, sub(b, wide, per_channel(b, mean, rank)), per_channel(b, factor, rank));
  y = add(b, y, per_channel(b, parameter(2), rank));
  node.set_output(0, b.cast(require_shape_kept(y, x, "a parameter"), x->type().element));
}

void import_instance_normalization(NodeImport& node) {
  require_at_most_inputs(node, 3);
  Builder& b = node.builder();
  Value* x = node.input(0);
  const size_t rank = node.rank(0);
  if (rank < 3)
    throw Error("wrong rank of the input", "[batch, channels, spatial...]",
                to_string(x->type().shape));
  const ElementType type = wide_type(x->type().element);
  std::vector<int64_t> axes;
  for (size_t i = 2; i < rank; ++i) axes.push_back(static_cast<int64_t>(i));
  const Standardized parts =
      standardize(b, b.cast(x, type), b.ints(axes), node.real("epsilon", 1e-5));
  const auto parameter = [&](size_t i) {
    return per_channel(b, b.cast(node.input(i), type), rank);
  };
  Value* y = mul(b, mul(b, parts.centered, parts.inverse), parameter(1));
  y = add(b, y, parameter(2));
  node.set_output(0, b.cast(require_shape_kept(y, x, "a parameter"), x->type().element));
}

void import_layer_normalization(NodeImport& node) {
  require_at_most_inputs(node, 3);
  Builder& b = node.builder();
  Value* x = node.input(0);
  const ElementType stash = stash_type(node), type = computing_type(node, stash);
  Value* axes = axes_from(node, node.integer("axis", -1));
  const Standardized parts = standardize(b, b.cast(x, type), axes, node.real("epsilon", 1e-5));
  Value* y = mul(b, mul(b, parts.centered, parts.inverse), b.cast(node.input(1), type));
  if (node.has_input(2)) y = add(b, y, b.cast(node.input(2), type));
  node.set_output(0, b.cast(require_shape_kept(y, x, "a parameter"), x->type().element));
  if (node.wants_output(1)) node.set_output(1, b.cast(parts.mean, stash));
  if (node.wants_output(2)) node.set_output(2, b.cast(parts.inverse, stash));
}

// x / sqrt(mean(x²) + epsilon) * scale
void import_rms_normalization(NodeImport& node) {
  require_at_most_inputs(node, 2);
  Builder& b = node.builder();
  const ElementType type = computing_type(node, stash_type(node));
  Value* x = b.cast(node.input(0), type);
  Value* axes = axes_from(node, node.integer("axis", -1));
  Value* square = reduce(b, Op::reduce_mean, mul(b, x, x), axes, true);
  Value* root = b.op(Op::sqrt, {add(b, square, node.real("epsilon", 1e-5))});
  Value* y = mul(b, div(b, x, root), b.cast(node.input(1), type));
  node.set_output(0, b.cast(require_shape_kept(y, x, "the scale"), node.input(0)->type().element));
}

// Instance normalisation over groups of channels. Scale and bias are per group before opset 21, per
// channel since.
void import_group_normalization(NodeImport& node) {
  require_at_most_inputs(node, 3);
  Builder& b = node.builder();
  Value* x = node.input(0);
  const size_t rank = node.rank(0);
  const Shape& shape = x->type().shape;
  if (rank < 2) throw Error("wrong rank of the input", "[batch, channels, ...]", to_string(shape));
  const int64_t groups = node.integer("num_groups");
  if (groups < 1)
    throw Error("attribute num_groups out of range", "1 or more", std::to_string(groups));
  if (shape[1].is_constant() && shape[1].extent() % groups != 0) {
    throw Error("channels don't divide into the groups", "a multiple of " + std::to_string(groups),
                to_string(shape[1]));
  }
  const ElementType type =
      node.opset() < 21 ? wide_type(x->type().element) : computing_type(node, stash_type(node));
  Value* grouped = b.reshape(b.cast(x, type), {0, groups, -1});
  const Standardized parts = standardize(b, grouped, b.ints({2}), node.real("epsilon", 1e-5));
  Value* y = mul(b, parts.centered, parts.inverse);
  const auto affine = [&](Value* normal, size_t at_rank) {
    const auto parameter = [&](size_t i) {
      return per_channel(b, b.cast(node.input(i), type), at_rank);
    };
    Value* scaled = add(b, mul(b, normal, parameter(1)), parameter(2));
    return require_shape_kept(scaled, normal, "a parameter");
  };
  if (node.opset() < 21) {
    y = reshape_like(b, affine(y, 3), x);
  } else {
    y = affine(reshape_like(b, y, x), rank);
  }
  node.set_output(0, b.cast(y, x->type().element));
}

// x / norm(x) along one axis, 0 where the norm is.
void import_lp_normalization(NodeImport& node) {
  require_at_most_inputs(node, 1);
  Builder& b = node.builder();
  Value* x = node.input(0);
  const int64_t p = node.integer("p", 2);
  if (p != 1 && p != 2) node.unsupported("p = " + std::to_string(p));
  Value* axes = b.ints({node.integer("axis", -1)});
  Value* norm = p == 1 ? reduce(b, Op::reduce_sum, b.op(Op::abs, {x}), axes, true)
                       : b.op(Op::sqrt, {reduce(b, Op::reduce_sum, mul(b, x, x), axes, true)});
  Value* zero = scalar_like(b, x, 0);
  node.set_output(0, b.op(Op::where, {b.op(Op::equal, {norm, zero}), zero, div(b, x, norm)}));
}

// (x - mean) / (standard deviation + 1e-9); the 1e-9 is the specification's.
void import_mean_variance_normalization(NodeImport& node) {
  require_at_most_inputs(node, 1);
  Builder& b = node.builder();
  Value* x = node.input(0);
  Value* axes = b.ints(node.integers("axes").value_or(std::vector<int64_t>{0, 2, 3}));
  Value* centered = sub(b, x, reduce(b, Op::reduce_mean, x, axes, true));
  Value* deviation =
      b.op(Op::sqrt, {reduce(b, Op::reduce_mean, mul(b, centered, centered), axes, true)});
  node.set_output(0, div(b, centered, add(b, deviation, 1e-9)));
}

}  // namespace

std::vector<OpEntry> normalization_ops() {
  return {
      {"BatchNormalization", import_batch_normalization},
      {"InstanceNormalization", import_instance_normalization},
      {"LayerNormalization", import_layer_normalization, 17},
      {"GroupNormalization", import_group_normalization, 18},
      {"RMSNormalization", import_rms_normalization, 23},
      {"LpNormalization", import_lp_normalization},
      {"MeanVarianceNormalization", import_mean_variance_normalization, 9},
  };
}

}  // namespace refrain::onnx_import
