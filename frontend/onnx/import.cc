#include "frontend/onnx/import.h"

#include <google/protobuf/io/coded_stream.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "frontend/onnx/graph_import.h"
#include "frontend/onnx/node_import.h"
#include "frontend/onnx/wire.h"
#include "ir/verify.h"

namespace refrain::onnx_import {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMinIrVersion = 3;

std::string list(const UnsupportedError::Items& items) {
  std::string text;
  for (const auto& [item, count] : items) {
    text += (text.empty() ? "" : ", ") + item + " (" + std::to_string(count) + ")";
  }
  return text;
}

onnx::ModelProto parse_model(std::string_view bytes, int64_t max_bytes) {
  if (bytes.empty()) throw Error("the file is empty", "an ONNX model");
  check_wire_format(bytes, max_bytes);
  if (bytes.size() > std::numeric_limits<int>::max()) {
    throw Error("the file is too large for protobuf",
                "at most 2 GiB; larger tensors as external data",
                std::to_string(bytes.size()) + " bytes");
  }
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  stream.SetRecursionLimit(protobuf_recursion_limit());
  onnx::ModelProto model;
  if (!model.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
    throw Error("the file is not an ONNX model", "a serialised ModelProto", "malformed data");
  }
  if (!model.has_ir_version() || !model.has_graph()) {
    throw Error("the file is not an ONNX model", "an IR version and a graph",
                model.has_graph() ? "no IR version" : "no graph");
  }
  if (model.ir_version() < kMinIrVersion) {
    throw Error("the model's IR version is too old", std::to_string(kMinIrVersion) + " or newer",
                std::to_string(model.ir_version()));
  }
  return model;
}

class RootImport {
 public:
  RootImport(const onnx::ModelProto& proto, TensorSource source)
      : proto_(proto.graph()),
        model_(proto, std::move(source)),
        graph_(
            std::make_unique<Graph>(proto.graph().name().empty() ? "main" : proto.graph().name())),
        importer_(model_, graph_->body()) {}

  Imported run() {
    add_inputs();
    importer_.import(proto_);
    std::vector<Value*> values;
    try {
      values = importer_.outputs(proto_);
    } catch (const PoisonedNode&) {
      // The report below says why.
    }
    model_.throw_if_unsupported();
    std::vector<std::string> names;
    std::unordered_set<std::string_view> seen;
    for (const auto& output : proto_.output()) {
      if (!seen.insert(output.name()).second) {
        throw Error("two graph outputs of one name", "distinct names", "\"" + output.name() + "\"");
      }
      names.push_back(output.name());
      Value*& value = values[names.size() - 1];
      value = checked_output(output, value);
    }
    for (const auto& info : proto_.value_info()) check_claim(info);
    graph_->set_outputs(values, std::move(names));
    verify(*graph_);
    return {std::move(graph_), std::move(warnings_)};
  }

 private:
  void add_inputs() {
    std::unordered_set<std::string_view> initializers;
    for (const auto& tensor : proto_.initializer()) initializers.insert(tensor.name());
    for (const auto& tensor : proto_.sparse_initializer())
      initializers.insert(tensor.values().name());
    for (const auto& input : proto_.input()) {
      // The initializer of an input is its default value; nearly all such inputs are weights.
      if (initializers.contains(input.name())) continue;
      try {
        if (input.name().empty()) throw Error("a graph input has no name");
        importer_.define(input.name(),
                         graph_->add_input(value_type_from_proto(input.type()), input.name()));
      } catch (const UnsupportedNode& unsupported) {
        model_.report_unsupported(&input, "input: " + unsupported.what);
        importer_.poison(input.name());
      } catch (const Error& error) {
        throw Error("graph input \"" + input.name() + "\": " + error.problem(), error.expected(),
                    error.found());
      }
    }
  }

  // What the file claims of an output's type is checked, and not believed, but for one thing: a
  // loop whose state starts as an optional gives an optional, for it may run no iteration; a model
  // that knows better declares what is inside.
  Value* checked_output(const onnx::ValueInfoProto& output, Value* value) {
    if (output.type().value_case() == onnx::TypeProto::VALUE_NOT_SET) return value;
    const std::string label = "output \"" + output.name() + "\"";
    ValueType declared;
    try {
      declared = value_type_from_proto(output.type());
    } catch (const UnsupportedNode& unsupported) {
      throw Error("wrong declared type of " + label, to_string(value->type()), unsupported.what);
    } catch (const Error& error) {
      throw Error(label + ": " + error.problem(), error.expected(), error.found());
    }
    if (value->type().optional && !declared.optional) {
      importer_.builder().set_node_name(output.name());
      value = importer_.builder().op(Op::get_element, {value});
    }
    const ValueType& type = value->type();
    if (declared.element != type.element || declared.kind != type.kind ||
        declared.optional != type.optional) {
      throw Error("wrong declared type of " + label, to_string(type), to_string(declared));
    }
    if (!agree(type.shape, declared.shape)) warn(label, declared, type);
    return value;
  }

  // Nothing depends on what the file claims of inner values, so it may even be nonsense.
  void check_claim(const onnx::ValueInfoProto& info) {
    const Value* value = importer_.value(info.name());
    if (!value) return;
    try {
      const ValueType declared = value_type_from_proto(info.type());
      const ValueType& type = value->type();
      if (declared.element != type.element || declared.kind != type.kind ||
          !agree(type.shape, declared.shape)) {
        warn("value \"" + info.name() + "\"", declared, type);
      }
    } catch (const UnsupportedNode&) {
      warnings_.push_back("value \"" + info.name() +
                          "\" is declared with a type that it can't have");
    } catch (const Error&) {
      warnings_.push_back("value \"" + info.name() + "\" is declared with a malformed type");
    }
  }

  static bool agree(const Shape& a, const Shape& b) {
    try {
      meet(a, b);
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  void warn(const std::string& label, const ValueType& declared, const ValueType& found) {
    warnings_.push_back(label + " is declared as " + to_string(declared) + ", but is " +
                        to_string(found));
  }

  const onnx::GraphProto& proto_;
  ModelImport model_;
  std::unique_ptr<Graph> graph_;
  GraphImporter importer_;
  std::vector<std::string> warnings_;
};

Imported import_model(const onnx::ModelProto& model, const fs::path& folder,
                      const ImportOptions& options) {
  return RootImport(model, {folder, std::make_shared<MemoryBudget>(options.max_bytes)}).run();
}

std::string read_file(const std::string& path, int64_t max_bytes) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) throw Error("no such file");
  if (fs::is_directory(status)) throw Error("not a file", "an ONNX model", "a directory");
  if (!fs::is_regular_file(status)) throw Error("not a regular file", "an ONNX model");
  const auto size = static_cast<int64_t>(fs::file_size(path, error));
  std::ifstream file(path, std::ios::binary);
  if (error || !file) throw Error("can't read the file");
  if (size > max_bytes) {
    throw Error("the file is too large", "at most " + std::to_string(max_bytes) + " bytes",
                std::to_string(size));
  }
  std::string bytes(static_cast<size_t>(size), '\0');
  file.read(bytes.data(), size);
  if (file.gcount() != size) throw Error("can't read the file");
  return bytes;
}

}  // namespace

UnsupportedError::UnsupportedError(Items items)
    : Error("unsupported: " + list(items)), items_(std::move(items)) {}

Imported import_file(const std::string& path, const ImportOptions& options) {
  try {
    fs::path folder = fs::path(path).parent_path();
    if (folder.empty()) folder = ".";
    // The bytes are gone before tensors are made of the messages.
    const onnx::ModelProto model =
        parse_model(read_file(path, options.max_bytes), options.max_bytes);
    return import_model(model, folder, options);
  } catch (Error& error) {
    error.in_file(path);
    throw;
  }
}

Imported import_bytes(std::string_view bytes, const std::string& name,
                      const ImportOptions& options) {
  try {
    return import_model(parse_model(bytes, options.max_bytes), {}, options);
  } catch (Error& error) {
    error.in_file(name);
    throw;
  }
}

}  // namespace refrain::onnx_import
