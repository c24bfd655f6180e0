// Internal to `passes`: integers that grow by the same amount in every iteration of a loop.
#pragma once

#include <cstdint>
#include <optional>

#include "ir/builder.h"
#include "ir/control.h"
#include "ir/graph.h"

namespace refrain::passes::internal {

// rate * iteration + constant + base, where the base is nothing, the extent that a symbol stands
// for, or a value of one element from before the loop.
struct Affine {
  int64_t rate = 0, constant = 0;
  Dim symbol = {};  // unknown: none
  Value* value = nullptr;
  Value* source =
      nullptr;  // with a symbol: a value from before the loop that is it, if there is one

  bool has_base() const { return value || !symbol.is_unknown(); }
  bool same_base(const Affine& other) const {
    return symbol == other.symbol && value == other.value;
  }
  bool is_constant() const { return rate == 0 && !has_base(); }
  friend bool operator==(const Affine& a, const Affine& b) {
    return a.rate == b.rate && a.constant == b.constant && a.same_base(b);
  }
};

// a - b; none if it is not affine or overflows.
std::optional<Affine> difference(const Affine& a, const Affine& b);
// a - b, if it is a constant.
std::optional<int64_t> constant_difference(const Affine& a, const Affine& b);
std::optional<Affine> plus(const Affine& a, int64_t constant);

// Reads integers (i64, of one element, whatever their rank) of a loop's body and before it. A state
// that starts as such an integer and grows by a constant counts too. The loop must not change
// meanwhile.
class AffineReader {
 public:
  explicit AffineReader(const LoopView& loop) : loop_(loop) {}

  // Of a value of the body, or of the region that holds the loop. None if it changes otherwise.
  std::optional<Affine> read(Value* value) const { return read(value, 0); }
  // Makes a scalar of a number that does not change (rate 0), where `builder` stands: before the
  // loop.
  static Value* make(Builder& builder, const Affine& number);

 private:
  std::optional<Affine> read(Value* value, int depth) const;
  std::optional<Affine> read_argument(Value* argument, int depth) const;

  const LoopView& loop_;
};

}  // namespace refrain::passes::internal
