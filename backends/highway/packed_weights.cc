#include "backends/highway/packed_weights.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "ir/error.h"

namespace refrain::highway {
namespace {

// Units that a block of `vectors` vectors holds, and such blocks that are full.
int64_t block_units(const PackedForm& form) {
  return static_cast<int64_t>(BlockVectors(form.gates.size()) * form.lanes);
}

// Vectors of the last block, if that isn't full.
size_t tail_vectors(const PackedForm& form) {
  const auto lanes = static_cast<int64_t>(form.lanes);
  return static_cast<size_t>((form.units % block_units(form) + lanes - 1) / lanes);
}

class Packer {
 public:
  explicit Packer(const PackedForm& form) : form_(form) {
    for (const PackedForm::Product& product : form.products) {
      std::vector<std::vector<const WeightTerm*>>& gates = terms_.emplace_back(form.gates.size());
      for (const WeightTerm& term : product.weights) {
        for (size_t g = 0; g < form.gates.size(); ++g)
          if (form.gates[g] == term.gate) gates[g].push_back(&term);
      }
    }
  }

  void pack(float* out) const {
    const size_t vectors = BlockVectors(form_.gates.size());
    const PackedBlock block = packed_block(form_, vectors);
    int64_t unit = 0;
    for (; unit + block_units(form_) <= form_.units; unit += block_units(form_)) {
      pack(block, vectors, unit, out);
      out += block.floats;
    }
    const size_t rest = tail_vectors(form_);
    if (rest > 0) pack(packed_block(form_, rest), rest, unit, out);
  }

 private:
  void pack(const PackedBlock& block, size_t vectors, int64_t first_unit, float* out) const {
    for (const ColumnGroup& group : block.groups) {
      for (size_t p = 0; p < form_.products.size(); ++p) {
        for (int64_t k = 0; k < form_.products[p].depth; ++k) {
          for (size_t column = group.first; column < group.first + group.count; ++column) {
            const std::vector<const WeightTerm*>& terms = terms_[p][column / vectors];
            if (form_.skewed && terms.empty()) continue;
            const auto lanes = static_cast<int64_t>(form_.lanes);
            const int64_t unit = first_unit + static_cast<int64_t>(column % vectors) * lanes;
            add_up(terms, k, unit, std::clamp<int64_t>(form_.units - unit, 0, lanes), out);
            out += lanes;
          }
        }
      }
    }
  }

  // Into zeros.
  static void add_up(const std::vector<const WeightTerm*>& terms, int64_t k, int64_t unit,
                     int64_t count, float* out) {
    for (const WeightTerm* term : terms) {
      const float* const from = term->data + k * term->row_stride + unit;
      if (term == terms[0]) {
        std::copy(from, from + count, out);
      } else {
        for (int64_t n = 0; n < count; ++n) out[n] += from[n];
      }
    }
  }

  const PackedForm& form_;
  std::vector<std::vector<std::vector<const WeightTerm*>>> terms_;  // by product and gate
};

// [kind, lanes, units, skewed, gates, products, then for each product its depth and for each gate
// the number of terms and each one's constant, offset and row stride]
constexpr size_t kLanesOfKey = 1;

// None if some weights are no constants of the store's model.
std::optional<WeightStore::Key> key_of(const PackedForm& form, const WeightStore& store) {
  WeightStore::Key key = {WeightStore::kLoopWeights,
                          static_cast<int64_t>(form.lanes),
                          form.units,
                          form.skewed ? 1 : 0,
                          static_cast<int64_t>(form.gates.size()),
                          static_cast<int64_t>(form.products.size())};
  for (const PackedForm::Product& product : form.products) {
    key.push_back(product.depth);
    if (!product.origin.empty()) {
      key[0] = WeightStore::kComputedLoopWeights;
      key.push_back(static_cast<int64_t>(product.origin.size()));
      key.insert(key.end(), product.origin.begin(), product.origin.end());
      continue;
    }
    for (const size_t gate : form.gates) {
      const size_t count_at = key.size();
      key.push_back(0);
      for (const WeightTerm& term : product.weights) {
        if (term.gate != gate) continue;
        if (term.row_stride < 0 || product.depth == 0) return {};
        const int64_t last = (product.depth - 1) * term.row_stride + form.units;
        const auto source = store.find(term.data, static_cast<size_t>(last) * sizeof(float));
        if (!source) return {};
        key.insert(key.end(), {source->constant, source->offset, term.row_stride});
        ++key[count_at];
      }
    }
  }
  return key;
}

PackedForm form_of(const WeightStore::Key& key, const WeightStore& store) {
  size_t at = 0;
  const auto next = [&]() -> int64_t {
    if (at >= key.size()) throw Error("a key of packed weights ends too early");
    return key[at++];
  };
  if (next() != WeightStore::kLoopWeights) throw Error("not a key of packed weights of a loop");
  PackedForm form;
  form.lanes = static_cast<size_t>(next());
  form.units = next();
  form.skewed = next() != 0;
  const int64_t gates = next(), products = next();
  for (int64_t g = 0; g < gates; ++g) form.gates.push_back(static_cast<size_t>(g));
  for (int64_t p = 0; p < products; ++p) {
    PackedForm::Product& product = form.products.emplace_back();
    product.depth = next();
    for (const size_t gate : form.gates) {
      for (int64_t count = next(); count > 0; --count) {
        const int64_t constant = next(), offset = next();
        const auto* const data = static_cast<const char*>(store.constant(constant)->raw());
        const void* const first = data + offset;
        product.weights.push_back({gate, static_cast<const float*>(first), next()});
      }
    }
  }
  return form;
}

}  // namespace

int64_t PackedForm::depth() const {
  int64_t sum = 0;
  for (const Product& product : products) sum += product.depth;
  return sum;
}

PackedBlock packed_block(const PackedForm& form, size_t vectors) {
  PackedBlock block;
  const size_t columns = form.gates.size() * vectors;
  const size_t count = (columns + kMaxColumns - 1) / kMaxColumns;
  size_t first = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t size = columns / count + (i < columns % count ? 1 : 0);
    block.groups.push_back({first, size, block.floats});
    const size_t at_once = form.skewed ? size - 1 : size;
    block.floats += form.depth() * static_cast<int64_t>(at_once * form.lanes);
    first += size;
  }
  return block;
}

int64_t packed_floats(const PackedForm& form) {
  const int64_t full =
      form.units / block_units(form) * packed_block(form, BlockVectors(form.gates.size())).floats;
  const size_t rest = tail_vectors(form);
  return rest > 0 ? full + packed_block(form, rest).floats : full;
}

WeightStore::Block packed_weights(const PackedForm& form, WeightStore* store) {
  const int64_t floats = packed_floats(form);
  if (floats == 0) return nullptr;
  const auto make = [&](float* out) {
    if (store) {
      for (const PackedForm::Product& product : form.products)
        for (const WeightTerm& term : product.weights) store->check(term.data);
    }
    Packer(form).pack(out);
  };
  if (store) {
    if (const auto key = key_of(form, *store)) return store->block(*key, floats, make);
  }
  return WeightStore::unshared(floats, make);
}

WeightStore::Key with_lanes(WeightStore::Key key, size_t lanes) {
  if (key.size() <= kLanesOfKey || key[0] != WeightStore::kLoopWeights) {
    throw Error("not a key of packed weights of a loop");
  }
  key[kLanesOfKey] = static_cast<int64_t>(lanes);
  return key;
}

std::vector<float> pack(const WeightStore::Key& key, const WeightStore& store) {
  const PackedForm form = form_of(key, store);
  std::vector<float> packed(static_cast<size_t>(packed_floats(form)), 0.0F);
  Packer(form).pack(packed.data());
  return packed;
}

}  // namespace refrain::highway
