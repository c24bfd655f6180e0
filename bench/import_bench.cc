// How the cost of importing, verifying, printing and parsing grows with the number of nodes.
//
// The model is what tracing makes of a hand-written LSTM of eight matrix products: one step is a
// Gather of the time step from the input, eight MatMul, adds and activations; weights are shared by
// all steps.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "frontend/onnx/import.h"
#include "frontend/onnx/proto.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace refrain {
namespace {

constexpr int kNodesPerStep = 23;
constexpr int kHidden = 4;

class TracedLstm {
 public:
  explicit TracedLstm(int64_t nodes) {
    model_.set_ir_version(8);
    model_.add_opset_import()->set_version(13);
    add_input("x", {nodes / kNodesPerStep, 1, kHidden});
    add_input("h0", {1, kHidden});
    add_input("c0", {1, kHidden});
    for (const char* gate : {"i", "f", "g", "o"}) {
      add_weight(std::string("W") + gate);
      add_weight(std::string("U") + gate);
    }
    std::string h = "h0", c = "c0";
    for (int64_t t = 0; t < nodes / kNodesPerStep; ++t) step(t, h, c);
    graph().add_output()->set_name(h);
  }

  std::string bytes() const { return model_.SerializeAsString(); }

 private:
  onnx::GraphProto& graph() { return *model_.mutable_graph(); }

  void add_input(const std::string& name, std::vector<int64_t> extents) {
    onnx::ValueInfoProto& input = *graph().add_input();
    input.set_name(name);
    onnx::TypeProto::Tensor& type = *input.mutable_type()->mutable_tensor_type();
    type.set_elem_type(onnx::TensorProto::FLOAT);
    for (int64_t extent : extents) type.mutable_shape()->add_dim()->set_dim_value(extent);
  }

  void add_weight(const std::string& name) {
    onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    tensor.add_dims(kHidden);
    tensor.add_dims(kHidden);
    for (int i = 0; i < kHidden * kHidden; ++i) tensor.add_float_data(0.1f);
  }

  std::string node(const char* op, std::vector<std::string> inputs) {
    onnx::NodeProto& proto = *graph().add_node();
    proto.set_op_type(op);
    for (std::string& input : inputs) proto.add_input(std::move(input));
    return *proto.add_output() = "v" + std::to_string(count_++);
  }

  std::string index(int64_t t) {
    onnx::NodeProto& proto = *graph().add_node();
    proto.set_op_type("Constant");
    onnx::AttributeProto& value = *proto.add_attribute();
    value.set_name("value_int");
    value.set_type(onnx::AttributeProto::INT);
    value.set_i(t);
    return *proto.add_output() = "v" + std::to_string(count_++);
  }

  void step(int64_t t, std::string& h, std::string& c) {
    const std::string x = node("Gather", {"x", index(t)});
    std::vector<std::string> gates;
    for (const char* gate : {"i", "f", "g", "o"}) {
      const std::string from_x = node("MatMul", {x, std::string("W") + gate});
      const std::string from_h = node("MatMul", {h, std::string("U") + gate});
      gates.push_back(node(*gate == 'g' ? "Tanh" : "Sigmoid", {node("Add", {from_x, from_h})}));
    }
    c = node("Add", {node("Mul", {gates[1], c}), node("Mul", {gates[0], gates[2]})});
    h = node("Mul", {gates[3], node("Tanh", {c})});
  }

  onnx::ModelProto model_;
  int64_t count_ = 0;
};

void import_bytes(benchmark::State& state) {
  const std::string bytes = TracedLstm(state.range(0)).bytes();
  for (auto _ : state) benchmark::DoNotOptimize(onnx_import::import_bytes(bytes, "traced"));
  state.SetComplexityN(state.range(0));
}

std::unique_ptr<Graph> imported(int64_t nodes) {
  return onnx_import::import_bytes(TracedLstm(nodes).bytes(), "traced").graph;
}

void verify(benchmark::State& state) {
  const std::unique_ptr<Graph> graph = imported(state.range(0));
  for (auto _ : state) refrain::verify(*graph);
  state.SetComplexityN(state.range(0));
}

void print(benchmark::State& state) {
  const std::unique_ptr<Graph> graph = imported(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(refrain::print(*graph));
  state.SetComplexityN(state.range(0));
}

void parse(benchmark::State& state) {
  const std::string text = refrain::print(*imported(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(refrain::parse(text));
  state.SetComplexityN(state.range(0));
}

void sizes(benchmark::internal::Benchmark* benchmark) {
  for (int64_t nodes : {1'000, 10'000, 100'000, 1'000'000}) benchmark->Arg(nodes);
  benchmark->Unit(benchmark::kMillisecond)->Complexity(benchmark::oNLogN);
}

BENCHMARK(import_bytes)->Apply(sizes);
BENCHMARK(verify)->Apply(sizes);
BENCHMARK(print)->Apply(sizes);
BENCHMARK(parse)->Apply(sizes);

}  // namespace
}  // namespace refrain

BENCHMARK_MAIN();
