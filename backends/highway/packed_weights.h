// The packed weights of a stage of the loop kernel: their layout, and their making.
//
// The units of a stage are cut into blocks of V vectors. The columns of a block are its V vectors
// of each of the G gates, column g * V + v; weights are packed as
//
//   [block][group of columns][product][k][column of the group][lane]
//
// so that the sums of a group (at most kMaxColumns) fit into registers, beside each other for all
// gates of a unit, and reading them is one ascending stream. Missing units of the last vector are
// zeros. In a skewed stage there is one group, and of each k a product has the columns of its own
// gates only.
//
// Files hold such blocks: what changes the bytes for the same PackedForm needs another
// WeightStore::BlockKind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "backends/highway/recurrent.h"
#include "backends/weights/weight_store.h"

namespace refrain::highway {

inline constexpr size_t kMaxColumns = 4;

// Columns [first, first + count) of a block, multiplied at once.
struct ColumnGroup {
  size_t first, count;
  int64_t weights;  // offset within the packed block, in floats
};

// Vectors of one gate in a block.
constexpr size_t BlockVectors(size_t gates) {
  if (gates == 0) return kMaxColumns;
  return gates < kMaxColumns ? kMaxColumns / gates : 1;
}

// All that decides the bytes, but for the weights' own.
struct PackedForm {
  size_t lanes = 0;
  int64_t units = 0;
  bool skewed = false;
  std::vector<size_t> gates;  // those of the products, in the order of the columns
  struct Product {
    int64_t depth = 0;
    std::vector<WeightTerm> weights;
    std::vector<int64_t> origin = {};  // see highway::Product
  };
  std::vector<Product> products;

  int64_t depth() const;  // of all products
};

// How the columns of a block of `vectors` vectors are grouped, in groups of nearly equal size, and
// how many floats the block takes.
struct PackedBlock {
  std::vector<ColumnGroup> groups;
  int64_t floats = 0;
};
PackedBlock packed_block(const PackedForm& form, size_t vectors);

int64_t packed_floats(const PackedForm& form);

// The packed weights, from the store if it is not null and all of them are constants of its model.
WeightStore::Block packed_weights(const PackedForm& form, WeightStore* store);

// A key of the kind kLoopWeights, of such a store, for vectors of another number of lanes; and the
// block that it stands for. Throws Error if the key is none of that.
WeightStore::Key with_lanes(WeightStore::Key key, size_t lanes);
std::vector<float> pack(const WeightStore::Key& key, const WeightStore& store);

}  // namespace refrain::highway
