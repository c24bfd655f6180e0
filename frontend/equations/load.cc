#include "frontend/equations/load.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "frontend/equations/decode.h"
#include "frontend/equations/parser.h"
#include "frontend/equations/scan.h"
#include "frontend/io/file.h"
#include "ir/verify.h"

namespace refrain::equations {
namespace {

using Kind = Statement::Kind;

bool names_batch(const std::string& name) { return name == "B" || name == "N" || name == "batch"; }

ScanInputs read_clauses(Evaluator& evaluator, const Clauses& clauses) {
  ScanInputs inputs;
  for (const ExpressionPtr& state : clauses.from) {
    inputs.initial.push_back(evaluator.tensor(*state));
    inputs.initial_ranges.push_back(state->range);
  }
  for (const ExpressionPtr& value : clauses.given) {
    inputs.given.push_back(evaluator.tensor(*value));
  }
  if (clauses.lengths) {
    const Tensored lengths = evaluator.tensor(*clauses.lengths);
    if (lengths.time || !lengths.batch || lengths.rank() != 0 ||
        (lengths.element() != ElementType::i64 && lengths.element() != ElementType::i32)) {
      fail(clauses.lengths->range, "lengths are one whole number a sequence",
           "expected i64[B], found " + to_string(lengths.value->type()));
    }
    inputs.lengths = lengths;
  }
  return inputs;
}

// What all inputs together say, before any statement is lowered.
void survey(const Program& program, Context& context) {
  bool any_batch = false, ordered = false;
  std::set<std::string> constants;
  for (const Statement& statement : program.statements) {
    if (statement.kind == Kind::constant) constants.insert(statement.name.text);
    if (statement.kind != Kind::input) continue;
    bool time = false, batch = false, batch_first = false;
    for (const Axis& axis : statement.type->axes) {
      const std::string& name = axis.name.text;
      if (name.empty() || (!axis.extent && constants.contains(name))) continue;
      if (names_batch(name)) {
        batch = true;
        batch_first = !time;
      } else {
        time = true;
      }
    }
    any_batch = any_batch || batch;
    if (time && batch && !ordered) {
      ordered = true;
      context.batch_first = batch_first;
    }
    if (statement.type->element.text == "f64") context.real = ElementType::f64;
  }
  context.single = !any_batch;
}

// Where each name of the model is defined first.
std::map<std::string, Place> definitions_of(const Program& program, const Source& source) {
  std::map<std::string, Place> places;
  const auto add = [&](const Name& name) {
    const uint32_t offset = name.range.begin;
    if (!name.text.empty()) places.emplace(name.text, Place{offset, source.line(offset)});
  };
  for (const Statement& statement : program.statements) {
    if (statement.equation) std::ranges::for_each(statement.equation->targets, add);
    if (statement.parameter) std::ranges::for_each(statement.parameter->names, add);
    const bool output = statement.kind == Kind::output && statement.value.range.end > 0;
    if (output || statement.kind == Kind::constant || statement.kind == Kind::input)
      add(statement.name);
  }
  return places;
}

class Loader final : public Evaluator {
 public:
  Loader(Context& context, Graph& graph, const LoadOptions& options)
      : Evaluator(context, graph.body()), graph_(graph), options_(options) {}

  void run(const Program& program) {
    for (const Statement& statement : program.statements) {
      if (context_.problems.size() >= kMaxProblems) break;
      try {
        add(statement);
      } catch (const Failure& failure) {
        context_.add(failure.problem);
        poison(statement);
      } catch (const Poisoned&) {
        poison(statement);
      } catch (const Error& error) {
        // What only the schema of a loop finds.
        context_.add({statement.range, error.what(), {}});
        poison(statement);
      }
    }
    if (!context_.problems.empty()) return;
    if (outputs_.empty()) {
      const Range end = program.statements.empty() ? Range{} : program.statements.back().range;
      context_.add({end, "the model has no output", "expected a statement: output NAME"});
      return;
    }
    graph_.set_outputs(outputs_, output_names_);
  }

  Tensored run_value(const RightSide& scan) override { return run_all(scan)[0]; }

  Value* weight(const Weight& weight, bool transposed) override {
    Value*& value = weights_[{weight.tensor.get(), transposed}];
    if (!value && !transposed) {
      value = builder().constant(weight.tensor);
      value->set_name(weight.name);
    } else if (!value) {
      value = builder().transpose(this->weight(weight, false), {1, 0});
    }
    return weights_[{weight.tensor.get(), transposed}];
  }

  bool computes(const std::string& name, Range before) const override {
    const auto at = values_.find(name);
    return at != values_.end() && at->second && !std::holds_alternative<Weight>(*at->second) &&
           context_.definitions.at(name).offset < before.begin;
  }
  bool is_cell(const std::string& name) const override { return cells_.contains(name); }

  std::string function_prefix(const std::string& function) override {
    return context_.parameters.next_prefix("function", function);
  }

 protected:
  Operand lookup(const std::string& name, Range range) override {
    if (const auto at = values_.find(name); at != values_.end()) {
      if (!at->second) throw Poisoned{};
      return *at->second;
    }
    if (const auto at = context_.constants.find(name); at != context_.constants.end()) {
      return at->second;
    }
    if (const auto at = context_.definitions.find(name); at != context_.definitions.end()) {
      fail(range, "'" + name + "' is used before line " + std::to_string(at->second.line) +
                      ", which defines it");
    }
    if (name.find('{') != std::string::npos) fail(range, "an index of time outside of a cell");
    std::vector<std::string> known;
    for (const auto& [value, unused] : values_) known.push_back(value);
    for (const auto& [constant, unused] : context_.constants) known.push_back(constant);
    std::string note = suggestion(name, known);
    if (note.empty() && poisoned_cells_.contains(name)) throw Poisoned{};
    if (note.empty())
      note = "a parameter outside of cells is declared: param " + name + ": f32[...]";
    fail(range, "unknown name '" + name + "'", note);
  }

 private:
  void poison(const Statement& statement) {
    if (statement.cell) poisoned_cells_.insert(statement.cell->name.text);
    if (statement.equation) {
      for (const Name& target : statement.equation->targets) values_[target.text] = std::nullopt;
    }
    if (statement.parameter) {
      for (const Name& name : statement.parameter->names) values_.emplace(name.text, std::nullopt);
    }
    if (!statement.name.text.empty()) values_.emplace(statement.name.text, std::nullopt);
  }

  void add(const Statement& statement) {
    builder().set_node_name({});
    switch (statement.kind) {
      case Kind::model:
        graph_.set_name(statement.name.text);
        break;
      case Kind::weights:
        add_weights(statement);
        break;
      case Kind::constant:
        add_constant(statement);
        break;
      case Kind::input:
        add_input(statement);
        break;
      case Kind::parameter:
        add_parameter(*statement.parameter);
        break;
      case Kind::cell:
        cells_.add(*statement.cell);
        break;
      case Kind::equation:
        add_equation(statement.equation->targets, statement.equation->value);
        break;
      case Kind::output:
        add_output(statement);
        break;
    }
  }

  void add_weights(const Statement& statement) {
    if (weights_given_) fail(statement.range, "a second statement 'weights'");
    weights_given_ = true;
    if (statement.string) {
      const std::filesystem::path file(statement.string->text);
      const std::filesystem::path path =
          file.is_absolute() ? file : std::filesystem::path(options_.folder) / file;
      try {
        context_.parameters.open(path.string());
      } catch (const Error& error) {
        fail(statement.string->range, error.what());
      }
      return;
    }
    int64_t seed = 0;
    std::optional<double> scale;
    for (const Argument& argument : statement.arguments) {
      if (argument.name.text == "seed") {
        seed = integer(*argument.value, 0, kMaxExtent);
      } else if (argument.name.text == "scale") {
        scale = number(*argument.value);
      } else {
        fail(argument.value->range, "expected seed = ... or scale = ...");
      }
    }
    context_.parameters.set_uniform(static_cast<uint64_t>(seed), scale);
  }

  void require_new(const Name& name) {
    if (values_.contains(name.text) || context_.constants.contains(name.text)) {
      fail(name.range, "'" + name.text + "' is there already, since line " +
                           std::to_string(context_.definitions.at(name.text).line));
    }
    if (name.text.find('{') != std::string::npos) {
      fail(name.range, "an index of time outside of a cell");
    }
    if (name.text == "true" || name.text == "false") {
      fail(name.range, "'" + name.text + "' is no name");
    }
  }

  void add_constant(const Statement& statement) {
    require_new(statement.name);
    const Operand value = evaluate(*statement.value.expression);
    if (std::holds_alternative<Tensored>(value) || std::holds_alternative<Weight>(value)) {
      fail(statement.value.expression->range, "expected a number or a tuple of numbers");
    }
    context_.constants[statement.name.text] = value;
  }

  void add_input(const Statement& statement) {
    require_new(statement.name);
    const TypeSyntax& syntax = *statement.type;
    const ElementType element = element_type(syntax.element);
    const InputAxes axes = read_axes(syntax);
    std::vector<Dim> dims = axes.dims;
    Value* value = graph_.add_input(ValueType::tensor(element, Shape(dims)), statement.name.text);
    Tensored result{value, axes.time, axes.batch};
    if (axes.time && axes.batch && axes.batch_first != context_.batch_first) {
      std::vector<int64_t> perm = {1, 0};
      for (size_t i = 2; i < dims.size(); ++i) perm.push_back(static_cast<int64_t>(i));
      result.value = builder().transpose(value, std::move(perm));
    }
    if (!axes.batch && context_.single && (axes.time || !dims.empty())) {
      // A model of one sequence is one of a batch of one.
      const int64_t axis = axes.time && !context_.batch_first ? 1 : 0;
      result.value = builder().op(Op::unsqueeze, {value, builder().ints({axis})});
      result.batch = true;
    }
    values_[statement.name.text] = result;
  }

  struct InputAxes {
    std::vector<Dim> dims;
    bool time = false, batch = false, batch_first = false;
  };

  InputAxes read_axes(const TypeSyntax& syntax) {
    InputAxes result;
    bool features = false;
    if (syntax.axes.size() > 8) fail(syntax.range, "too many axes", "expected at most 8");
    for (const Axis& axis : syntax.axes) {
      const std::string& name = axis.name.text;
      const bool feature = name.empty() || (!axis.extent && context_.constants.contains(name));
      if (feature) {
        features = true;
        if (axis.extent) {
          result.dims.emplace_back(size(*axis.extent));
        } else {
          Expression constant;
          constant.kind = Expression::Kind::name;
          constant.text = name;
          constant.range = axis.range;
          result.dims.emplace_back(size(constant));
        }
        continue;
      }
      if (features) {
        fail(axis.range, "axis '" + name + "' behind features",
             "time and batch come first; a number of features is a constant");
      }
      bool& present = names_batch(name) ? result.batch : result.time;
      if (present) {
        fail(axis.range,
             "a second axis of " + std::string(names_batch(name) ? "batch" : "time") + ": '" +
                 name + "'",
             "a number of features is a constant: const " + name + " = ...");
      }
      present = true;
      if (names_batch(name)) result.batch_first = !result.time;
      result.dims.push_back(axis.extent ? Dim(size(*axis.extent)) : Dim::symbol(name));
    }
    return result;
  }

  static ElementType element_type(const Name& name) {
    static const std::vector<std::string> kTypes = {"f32", "f64", "i32", "i64", "bool"};
    if (std::find(kTypes.begin(), kTypes.end(), name.text) == kTypes.end()) {
      const std::string note = suggestion(name.text, kTypes);
      fail(name.range, "unknown type '" + name.text + "'",
           note.empty() ? "expected f32, f64, i32, i64 or bool" : note);
    }
    return *element_type_from_name(name.text);
  }

  void add_parameter(const ParameterSyntax& syntax) {
    ParameterRequest request;
    request.parts = syntax.names.size();
    for (size_t i = 0; i < syntax.names.size(); ++i) {
      const Name& name = syntax.names[i];
      require_new(name);
      request.names = {syntax.file_name ? syntax.file_name->text : name.text};
      request.shown = name.text;
      request.part = i;
      request.use = name.range;
      request.element = context_.real;
      if (syntax.type) {
        const ElementType element = element_type(syntax.type->element);
        if (!is_float(element)) request.element = element;
        request.shape.clear();
        for (Dim dim : read_axes(*syntax.type).dims) {
          if (!dim.is_constant()) {
            fail(syntax.type->range, "'" + to_string(dim) + "' is no constant",
                 "expected numbers or constants");
          }
          request.shape.push_back(dim.extent());
        }
      } else {
        const auto shape = context_.parameters.shape(request.names, request.parts);
        if (!shape) fail(name.range, "no tensor '" + request.names[0] + "' to cut into parts");
        request.shape = *shape;
      }
      values_[name.text] = context_.parameters.get(request);
    }
  }

  void add_equation(const std::vector<Name>& targets, const RightSide& side) {
    for (const Name& target : targets) require_new(target);
    builder().set_node_name(targets[0].text);
    if (side.expression) {
      const Operand value = evaluate(*side.expression);
      if (targets.size() > 1) {
        fail(side.range, "one value for " + std::to_string(targets.size()) + " names",
             "a scan gives several");
      }
      assign(targets[0], value);
      return;
    }
    const std::vector<Tensored> results = run_all(side);
    if (targets.size() > results.size()) {
      fail(targets[results.size()].range, "there are " + std::to_string(results.size()) +
                                              " results, and here are " +
                                              std::to_string(targets.size()) + " names");
    }
    for (size_t i = 0; i < targets.size(); ++i) assign(targets[i], results[i]);
  }

  void assign(const Name& target, const Operand& value) {
    if (const auto* tensored = std::get_if<Tensored>(&value)) {
      Value& node = *tensored->value;
      if (!node.is_argument() && node.name().empty()) node.set_name(target.text);
    }
    values_[target.text] = value;
  }

  std::vector<Tensored> run_all(const RightSide& side) {
    return side.scan ? run_scan(*side.scan) : decoded(*side.decode);
  }

  std::vector<Tensored> decoded(const Decode& decode) {
    ScanInputs inputs = read_clauses(*this, decode.clauses);
    inputs.prefix = prefix_of(decode.clauses, core(cells_, decode.machine));
    return run_decode(*this, cells_, decode, std::move(inputs));
  }

  std::string prefix_of(const Clauses& clauses, const Cell& cell) {
    return clauses.weights ? clauses.weights->text
                           : context_.parameters.next_prefix("cell", cell.name.text);
  }

  std::vector<Tensored> run_scan(const Scan& scan) {
    std::vector<Tensored> scanned;
    for (const ExpressionPtr& over : scan.over) {
      const Tensored x = tensor(*over);
      if (!x.time) {
        fail(over->range, "what is scanned has no time axis", "expected f32[T, ...]");
      }
      scanned.push_back(x);
    }
    ScanInputs inputs = read_clauses(*this, scan.clauses);
    inputs.scanned = std::move(scanned);
    inputs.reverse = scan.reverse;
    const Cell& cell = core(cells_, scan.machine);
    if (cell.inputs.size() != inputs.scanned.size()) {
      fail(scan.over_range, "cell '" + cell.name.text + "' scans " +
                                std::to_string(cell.inputs.size()) + " values, and here are " +
                                std::to_string(inputs.scanned.size()));
    }
    inputs.prefix = prefix_of(scan.clauses, cell);
    ScanResults results = run_machine(*this, cells_, scan.machine, inputs);
    std::vector<Tensored> all = std::move(results.outputs);
    all.insert(all.end(), results.finals.begin(), results.finals.end());
    return all;
  }

  void add_output(const Statement& statement) {
    const std::string& name = statement.name.text;
    if (std::find(output_names_.begin(), output_names_.end(), name) != output_names_.end()) {
      fail(statement.name.range, "a second output '" + name + "'");
    }
    const bool defines = statement.value.range.end > 0;
    if (defines) add_equation({statement.name}, statement.value);
    const Operand operand = lookup(name, statement.name.range);
    Tensored value = tensor(operand, statement.name.range);
    if (context_.single && value.batch) {
      value.value = builder().squeeze(value.value, {algebra().batch_axis(value)});
    }
    outputs_.push_back(value.value);
    output_names_.push_back(name);
  }

  Graph& graph_;
  const LoadOptions& options_;
  Cells cells_;
  std::map<std::string, std::optional<Operand>> values_;  // none: poisoned
  std::set<std::string> poisoned_cells_;
  std::map<std::pair<const Tensor*, bool>, Value*> weights_;
  std::vector<Value*> outputs_;
  std::vector<std::string> output_names_;
  bool weights_given_ = false;
};

}  // namespace

std::unique_ptr<Graph> load(const std::string& name, std::string text, const LoadOptions& options) {
  const Source source(name, std::move(text));
  std::vector<Problem> problems;
  const Program program = parse(source, problems);
  Parameters parameters(options.max_bytes);
  Context context{parameters};
  auto graph = std::make_unique<Graph>();
  if (problems.empty()) {
    survey(program, context);
    context.definitions = definitions_of(program, source);
    Loader loader(context, *graph, options);
    loader.run(program);
    problems = std::move(context.problems);
  }
  if (!problems.empty()) throw_problems(source, std::move(problems));
  verify(*graph);
  return graph;
}

std::unique_ptr<Graph> load_file(const std::string& path, const LoadOptions& options) {
  LoadOptions here = options;
  if (here.folder.empty()) here.folder = std::filesystem::path(path).parent_path().string();
  return load(path, read_file(path, static_cast<int64_t>(kMaxTextBytes)), here);
}

bool looks_like_equations(std::string_view beginning) {
  size_t at = 0;
  while (at < beginning.size()) {
    const char c = beginning[at];
    if (c == '#') {
      at = std::min(beginning.find('\n', at), beginning.size());
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      ++at;
    } else {
      break;
    }
  }
  for (const std::string_view word :
       {"model ", "weights ", "const ", "input ", "param ", "cell "}) {
    if (beginning.substr(at).starts_with(word)) return true;
  }
  return false;
}

}  // namespace refrain::equations
