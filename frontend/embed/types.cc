#include <algorithm>
#include <cstring>
#include <new>

#include "frontend/embed/convert.h"
#include "ir/error.h"

namespace refrain {

static_assert(static_cast<int>(DataType::f32) == static_cast<int>(ElementType::f32) &&
              static_cast<int>(DataType::bf16) == static_cast<int>(ElementType::bf16) &&
              static_cast<int>(DataType::f16) == static_cast<int>(ElementType::f16) &&
              static_cast<int>(DataType::i8) == static_cast<int>(ElementType::i8) &&
              static_cast<int>(DataType::u8) == static_cast<int>(ElementType::u8) &&
              static_cast<int>(DataType::u64) == static_cast<int>(ElementType::u64) &&
              static_cast<int>(DataType::boolean) == static_cast<int>(ElementType::boolean));

const char* version() { return REFRAIN_VERSION; }

size_t size_of(DataType type) { return size_of(embed::element_type(type)); }

const char* name_of(DataType type) { return name(embed::element_type(type)).data(); }

Extents::Extents(std::span<const int64_t> extents) : rank_(extents.size()) {
  if (rank_ > kMaxRank) {
    throw Error("too many axes", std::to_string(kMaxRank) + " at most", std::to_string(rank_));
  }
  element_count(extents);  // that there is one
  std::copy(extents.begin(), extents.end(), extents_);
}

int64_t Extents::count() const {
  int64_t count = 1;
  for (const int64_t extent : *this) count *= extent;
  return count;
}

bool operator==(const Extents& a, const Extents& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

namespace detail {

void wrong_type(DataType held, size_t size_of_asked) {
  throw Error("these elements are of another type", name_of(held),
              "a C++ type of " + std::to_string(size_of_asked) + " bytes");
}

}  // namespace detail

namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

Array::Array(DataType type, const Extents& extents) {
  const size_t bytes = static_cast<size_t>(byte_count(embed::element_type(type), extents.span()));
  // Something is there even if nothing is in it, so that no array is null.
  void* data = ::operator new(std::max<size_t>(bytes, 1), kAlignment);
  std::memset(data, 0, bytes);
  view_ = View(type, extents, data);
}

Array::Array(const ConstView& view) : Array(view.type(), view.extents()) {
  const int64_t bytes = embed::bytes_of(view);
  if (bytes == 0) return;
  if (!view.raw()) throw Error("a view of nothing", "elements", "null");
  std::memcpy(view_.raw(), view.raw(), static_cast<size_t>(bytes));
}

Array::Array(Array&& other) noexcept : view_(std::exchange(other.view_, View())) {}

Array& Array::operator=(Array other) noexcept {
  std::swap(view_, other.view_);
  return *this;
}

Array::~Array() { ::operator delete(view_.raw(), kAlignment); }

namespace embed {

ElementType element_type(DataType type) {
  if (type < DataType::f32 || type > DataType::boolean) {
    throw Error("no such element type", "0 to 12", std::to_string(static_cast<int>(type)));
  }
  return static_cast<ElementType>(type);
}

DataType data_type(ElementType type) { return static_cast<DataType>(type); }

std::vector<int64_t> to_vector(const Extents& extents) { return {extents.begin(), extents.end()}; }

Extents to_extents(const std::vector<int64_t>& extents) {
  return Extents(std::span<const int64_t>(extents));
}

TensorInfo tensor_info(const std::string& name, const ValueType& type) {
  TensorInfo info;
  info.name = name;
  info.type = data_type(type.element);
  info.ranked = type.shape.ranked();
  info.text = to_string(type);
  if (!info.ranked) return info;
  for (const Dim dim : type.shape.dims()) {
    Dimension& made = info.dimensions.emplace_back();
    if (dim.is_constant()) made.extent = dim.extent();
    if (dim.is_symbol()) made.symbol = dim.name();
  }
  return info;
}

TensorInfo tensor_info(const std::string& name, DataType type, const Extents& extents) {
  return tensor_info(name,
                     ValueType::tensor(element_type(type), Shape::of_extents(extents.span())));
}

std::string text_of(const ConstView& view) {
  return tensor_info({}, view.type(), view.extents()).text;
}

int64_t bytes_of(const ConstView& view) {
  return byte_count(element_type(view.type()), view.extents().span());
}

void check_view(const ConstView& view, DataType type, const Extents& extents,
                const std::string& what) {
  if (view.type() != type || !(view.extents() == extents)) {
    throw Error("wrong type or shape of " + what, tensor_info({}, type, extents).text,
                text_of(view));
  }
  if (!view.raw() && bytes_of(view) > 0) throw Error("no memory for " + what, "elements", "null");
  const size_t alignment = size_of(type);
  if (reinterpret_cast<uintptr_t>(view.raw()) % alignment != 0) {
    throw Error(
        "the memory for " + what + " is not aligned",
        "a multiple of " + std::to_string(alignment) + " bytes",
        std::to_string(reinterpret_cast<uintptr_t>(view.raw()) % alignment) + " beyond one");
  }
}

std::string list_names(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "\"" : ", \"") + name + "\"";
  return list.empty() ? "none" : list;
}

}  // namespace embed
}  // namespace refrain
