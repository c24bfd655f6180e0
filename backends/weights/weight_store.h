// Packed weights that all executables of one model share, and where they come from.
//
// Kernels want weights in layouts of their own. A store keeps one copy of each layout of each part
// of a model's constants, however many graphs are prepared of the model, and may have been given
// some of them ready made (by a mapped file), which are then used in place.
//
// Thread-safe: any number of threads may prepare graphs with one store at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"
#include "ir/tensor.h"

namespace refrain {

class WeightStore {
 public:
  // What a block holds: its kind (BlockKind), the layout, and the parts of constants that it is
  // made of, as numbers. Equal keys stand for equal bytes.
  using Key = std::vector<int64_t>;
  enum BlockKind : int64_t {
    // See backends/highway/packed_weights.h.
    kLoopWeights = 1,
    kComputedLoopWeights = 2,  // of constants in some other order; not for files
  };
  // Read-only, 64-byte aligned. Whoever has it keeps the memory alive, the store not needed.
  using Block = std::shared_ptr<const float>;

  // A part of a constant: which, in the order of add(), and from which byte on.
  struct Source {
    int64_t constant = 0;
    int64_t offset = 0;
  };

  WeightStore() = default;
  WeightStore(const WeightStore&) = delete;
  WeightStore& operator=(const WeightStore&) = delete;

  // A constant of the model's graph, kept alive as long as the store, so that its address stays its
  // identity. With a checksum, the elements are checked when they are used first. Does nothing if
  // it is there.
  void add(const TensorPtr& constant, std::optional<uint64_t> checksum = {});
  // All constants of a graph, in the order of its nodes and those inside them.
  void add(const Graph& graph);

  // The constant that holds these bytes; none if they lie in no constant of the model.
  std::optional<Source> find(const void* data, size_t bytes) const;
  // The other way round. Throws Error if there is no such constant.
  const TensorPtr& constant(int64_t index) const;
  int64_t constants() const;

  // The elements of a constant, given by any address in it, are about to be read: throws Error if
  // their checksum is wrong. Addresses outside all constants are fine. A check is done once.
  void check(const void* data);
  // The same for all of them, and all blocks that serve() brought.
  void check_all();
  // Checks those constants that are in none of the graph's regions: passes have read them.
  void check_absent(const Graph& graph);

  // The block of `floats` elements for this key: that which some executable has, or the one that
  // was served, otherwise made by `make`, which fills it (zeros before). One thread makes it while
  // others that ask for it wait. Kept while somebody has it. Throws Error if a served block's
  // checksum or size is wrong, or memory is short.
  Block block(const Key& key, int64_t floats, const std::function<void(float*)>& make);
  // Gives a block ready made. `name` is for messages. Ignored if there is one for the key.
  void serve(Key key, Block block, int64_t floats, uint64_t checksum, std::string name);
  // The keys of all blocks that were asked for so far, in a fixed order.
  std::vector<Key> asked() const;

  // A block for weights that are no constants of the model.
  static Block unshared(int64_t floats, const std::function<void(float*)>& make);

  struct Statistics {
    int64_t packed_blocks = 0, packed_bytes = 0;  // made here, and in use now
    int64_t served_blocks = 0, served_bytes = 0;  // of those given ready made, the ones asked for
  };
  Statistics statistics() const;

 private:
  struct Constant {
    TensorPtr tensor;
    std::optional<uint64_t> checksum;
    bool checked = false;
  };
  struct Entry {
    std::mutex mutex;  // of what follows; whoever has it may take the store's own, not vice versa
    std::weak_ptr<const float> made;
    Block served;
    int64_t floats = 0;
    uint64_t checksum = 0;
    std::string name;
    bool checked = false, asked = false;
  };

  Constant* holder(const void* data, size_t bytes) const;
  static void check(Constant& constant, int64_t index);
  static void check(Entry& entry);
  Entry& entry(const Key& key);
  // Stay where they are.
  std::vector<std::pair<const Key*, Entry*>> entries() const;

  mutable std::mutex mutex_;  // of what follows, not of what entries hold
  mutable std::deque<Constant> constants_;
  std::map<const char*, int64_t> by_address_;
  std::map<Key, std::unique_ptr<Entry>> entries_;
};

}  // namespace refrain
