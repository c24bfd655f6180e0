// Internal to executables: how the form of a loop is found (see loop_form.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "backends/executable/loop_form.h"
#include "backends/executable/lowering.h"
#include "backends/executable/stage_writer.h"
#include "ir/control.h"

namespace refrain::executable {

inline bool is_f32(const Value& value) { return value.type().element == ElementType::f32; }

// Follows what a body yields back to its arguments, piece by piece: columns [offset, offset +
// width) of a value are one expression.
class LoopFinder {
 public:
  // `take_feeds` makes the products that feed the loop its own.
  LoopFinder(const Lowering& lowering, const Node& node, int64_t steps, bool take_feeds)
      : lowering_(lowering), node_(node), view_(node), steps_(steps), take_feeds_(take_feeds) {}

  std::optional<LoopForm> run();

 private:
  struct Piece {
    const Value* value;
    int64_t offset, width;
    auto operator<=>(const Piece&) const = default;
  };

  bool find_rows();
  void find_chunk();
  bool find_sequences();
  // Something that callers may go on with, until somebody looks.
  size_t fail() {
    failed_ = true;
    return writer_.constant(0, 1);
  }
  size_t buffer(const Value* value, bool written);
  std::optional<highway::Stream> whole_stream(const Value* whole, ScanSlot slot, int64_t width,
                                              bool written);

  size_t expression(const Value* value, int64_t offset, int64_t width);
  size_t make(const Piece& piece);
  size_t argument(const Value* value, const Piece& piece);
  const Lowering::Group* taken_feed(const Value* slice);
  size_t fed(const Value* value, const Lowering::Group& feed, bool reverse, const Piece& piece);
  size_t outside(const Value* inner, const Value* outer, const Piece& piece);
  size_t operation(const Node& node, const Piece& piece);
  size_t sum(const Node& node, const Piece& piece);
  void addends(const Value* value, const Piece& piece, bool root, std::vector<size_t>& terms);
  size_t operand(const Value* value, const Value* result, const Piece& piece);
  std::optional<float> number(const Value* value) const;
  size_t widened(const Value* value, const Piece& piece);
  size_t widened_operation(const Node& node, const Piece& piece);
  size_t product(const Node& node, const Piece& piece);
  bool vanishes(const Value* left, const Tensor& weights) const;
  bool add_terms(const Value* left, int64_t row, const Tensor& weights, int64_t column,
                 Expression& gate);
  size_t concatenation(const Node& node, const Piece& piece);
  size_t split(const Node& node, const Value* result, const Piece& piece);
  size_t slice(const Node& node, const Piece& piece);

  const Lowering& lowering_;
  const Node& node_;
  const ScanView view_;
  const int64_t steps_;
  const bool take_feeds_;
  int64_t rows_ = 0;
  int64_t chunk_ = 0;
  bool backward_ = false;
  bool failed_ = false;
  int depth_ = 0;
  // Left sides of products from before the loop, forward or in reverse, as streams.
  std::map<std::pair<const Value*, bool>, size_t> fed_;
  StageWriter writer_;
  LoopForm form_;
  std::map<Piece, size_t> known_;
  std::map<std::pair<const Value*, bool>, size_t> buffers_;
  std::map<std::pair<const Value*, int64_t>, size_t> widened_;  // by how often elements repeat
};

}  // namespace refrain::executable
