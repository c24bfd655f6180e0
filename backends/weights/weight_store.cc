#include "backends/weights/weight_store.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "backends/weights/checksum.h"
#include "hwy/aligned_allocator.h"
#include "ir/error.h"

namespace refrain {
namespace {

void for_each_constant(const Region& region, const auto& visit) {
  for (const Node* node = region.first(); node; node = node->next()) {
    if (node->op() == Op::constant) visit(node->attribute<TensorPtr>(AttributeName::value));
    for (size_t i = 0; i < node->region_count(); ++i) for_each_constant(node->region(i), visit);
  }
}

int64_t bytes_of(int64_t floats) { return floats * static_cast<int64_t>(sizeof(float)); }

}  // namespace

void WeightStore::add(const TensorPtr& constant, std::optional<uint64_t> sum) {
  if (constant->bytes() == 0) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto index = static_cast<int64_t>(constants_.size());
  if (by_address_.emplace(static_cast<const char*>(constant->raw()), index).second) {
    constants_.push_back({constant, sum, !sum});
  }
}

void WeightStore::add(const Graph& graph) {
  for_each_constant(graph.body(), [&](const TensorPtr& tensor) { add(tensor); });
}

// Under the store's lock.
WeightStore::Constant* WeightStore::holder(const void* data, size_t bytes) const {
  const char* const at = static_cast<const char*>(data);
  auto after = by_address_.upper_bound(at);
  if (after == by_address_.begin()) return nullptr;
  const auto& [begin, index] = *std::prev(after);
  Constant& found = constants_[static_cast<size_t>(index)];
  const auto offset = static_cast<size_t>(at - begin);
  const auto size = static_cast<size_t>(found.tensor->bytes());
  return offset < size && bytes <= size - offset ? &found : nullptr;
}

std::optional<WeightStore::Source> WeightStore::find(const void* data, size_t bytes) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Constant* const found = holder(data, bytes);
  if (!found) return {};
  const auto* const begin = static_cast<const char*>(found->tensor->raw());
  return Source{by_address_.at(begin), static_cast<const char*>(data) - begin};
}

const TensorPtr& WeightStore::constant(int64_t index) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (index < 0 || index >= static_cast<int64_t>(constants_.size())) {
    throw Error("no such constant of the model", "below " + std::to_string(constants_.size()),
                std::to_string(index));
  }
  return constants_[static_cast<size_t>(index)].tensor;
}

int64_t WeightStore::constants() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int64_t>(constants_.size());
}

void WeightStore::check(Constant& constant, int64_t index) {
  if (constant.checked) return;
  const Tensor& tensor = *constant.tensor;
  if (checksum(tensor.raw(), static_cast<size_t>(tensor.bytes())) != *constant.checksum) {
    throw Error("constant " + std::to_string(index) + " is damaged", "elements of its checksum",
                "others");
  }
  constant.checked = true;
}

void WeightStore::check(const void* data) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (Constant* const found = holder(data, 0)) {
    check(*found, by_address_.at(static_cast<const char*>(found->tensor->raw())));
  }
}

void WeightStore::check(Entry& entry) {
  if (entry.checked) return;
  if (checksum(entry.served.get(), static_cast<size_t>(bytes_of(entry.floats))) != entry.checksum) {
    throw Error(entry.name + " are damaged", "elements of their checksum", "others");
  }
  entry.checked = true;
}

void WeightStore::check_all() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (size_t i = 0; i < constants_.size(); ++i) check(constants_[i], static_cast<int64_t>(i));
  }
  for (const auto& [key, entry] : entries()) {
    const std::lock_guard<std::mutex> lock(entry->mutex);
    if (entry->served) check(*entry);
  }
}

void WeightStore::check_absent(const Graph& graph) {
  std::unordered_set<const void*> present;
  for_each_constant(graph.body(), [&](const TensorPtr& tensor) { present.insert(tensor->raw()); });
  const std::lock_guard<std::mutex> lock(mutex_);
  for (size_t i = 0; i < constants_.size(); ++i) {
    if (!present.contains(constants_[i].tensor->raw())) {
      check(constants_[i], static_cast<int64_t>(i));
    }
  }
}

WeightStore::Entry& WeightStore::entry(const Key& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::unique_ptr<Entry>& found = entries_[key];
  if (!found) found = std::make_unique<Entry>();
  return *found;
}

std::vector<std::pair<const WeightStore::Key*, WeightStore::Entry*>> WeightStore::entries() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::pair<const Key*, Entry*>> all;
  for (const auto& [key, entry] : entries_) all.emplace_back(&key, entry.get());
  return all;
}

WeightStore::Block WeightStore::block(const Key& key, int64_t floats,
                                      const std::function<void(float*)>& make) {
  Entry& found = entry(key);
  const std::lock_guard<std::mutex> lock(found.mutex);
  found.asked = true;
  if (found.served) {
    if (found.floats != floats) {
      throw Error(found.name + " have a wrong size", std::to_string(floats) + " elements",
                  std::to_string(found.floats));
    }
    check(found);
    return found.served;
  }
  if (Block block = found.made.lock()) return block;
  Block block = unshared(floats, make);
  found.made = block;
  found.floats = floats;
  return block;
}

void WeightStore::serve(Key key, Block block, int64_t floats, uint64_t sum, std::string name) {
  Entry& found = entry(key);
  const std::lock_guard<std::mutex> lock(found.mutex);
  if (found.served) return;
  found.served = std::move(block);
  found.floats = floats;
  found.checksum = sum;
  found.name = std::move(name);
}

std::vector<WeightStore::Key> WeightStore::asked() const {
  std::vector<Key> keys;
  for (const auto& [key, entry] : entries()) {
    const std::lock_guard<std::mutex> lock(entry->mutex);
    if (entry->asked) keys.push_back(*key);
  }
  return keys;
}

WeightStore::Block WeightStore::unshared(int64_t floats, const std::function<void(float*)>& make) {
  auto memory = hwy::AllocateAligned<float>(static_cast<size_t>(floats));
  if (!memory) throw Error("packed weights", "memory", std::to_string(bytes_of(floats)) + " bytes");
  std::memset(memory.get(), 0, static_cast<size_t>(bytes_of(floats)));
  make(memory.get());
  const std::shared_ptr<float[]> shared = std::move(memory);
  return {shared, shared.get()};
}

WeightStore::Statistics WeightStore::statistics() const {
  Statistics statistics;
  for (const auto& [key, entry] : entries()) {
    const std::lock_guard<std::mutex> lock(entry->mutex);
    if (entry->served && entry->asked) {
      ++statistics.served_blocks;
      statistics.served_bytes += bytes_of(entry->floats);
    } else if (!entry->made.expired()) {
      ++statistics.packed_blocks;
      statistics.packed_bytes += bytes_of(entry->floats);
    }
  }
  return statistics;
}

}  // namespace refrain
