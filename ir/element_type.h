// Element types of tensors and the C++ types that hold them.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace refrain {

enum class ElementType : uint8_t {
  f32,
  f64,
  bf16,
  f16,
  i8,
  i16,
  i32,
  i64,
  u8,
  u16,
  u32,
  u64,
  boolean
};

inline constexpr ElementType kAllElementTypes[] = {
    ElementType::f32, ElementType::f64, ElementType::bf16,   ElementType::f16, ElementType::i8,
    ElementType::i16, ElementType::i32, ElementType::i64,    ElementType::u8,  ElementType::u16,
    ElementType::u32, ElementType::u64, ElementType::boolean};

// Storage of IEEE binary16 and of bfloat16. Arithmetic is done in float; conversion from float
// rounds to nearest, ties to even, and keeps NaN a NaN.
struct Float16 {
  uint16_t bits = 0;
  Float16() = default;
  explicit Float16(float value);
  operator float() const;
};

struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float value);
  operator float() const;
};

// Names as the text form writes them: f32, f64, bf16, f16, i8, ..., u64, bool.
std::string_view name(ElementType type);
std::optional<ElementType> element_type_from_name(std::string_view name);

// Bytes of one element.
size_t size_of(ElementType type);

bool is_float(ElementType type);           // f32, f64, bf16, f16
bool is_integer(ElementType type);         // signed and unsigned integers, not bool
bool is_signed_integer(ElementType type);  // i8 .. i64

template <typename T>
struct ElementTypeOf;
template <>
struct ElementTypeOf<float> {
  static constexpr auto value = ElementType::f32;
};
template <>
struct ElementTypeOf<double> {
  static constexpr auto value = ElementType::f64;
};
template <>
struct ElementTypeOf<BFloat16> {
  static constexpr auto value = ElementType::bf16;
};
template <>
struct ElementTypeOf<Float16> {
  static constexpr auto value = ElementType::f16;
};
template <>
struct ElementTypeOf<int8_t> {
  static constexpr auto value = ElementType::i8;
};
template <>
struct ElementTypeOf<int16_t> {
  static constexpr auto value = ElementType::i16;
};
template <>
struct ElementTypeOf<int32_t> {
  static constexpr auto value = ElementType::i32;
};
template <>
struct ElementTypeOf<int64_t> {
  static constexpr auto value = ElementType::i64;
};
template <>
struct ElementTypeOf<uint8_t> {
  static constexpr auto value = ElementType::u8;
};
template <>
struct ElementTypeOf<uint16_t> {
  static constexpr auto value = ElementType::u16;
};
template <>
struct ElementTypeOf<uint32_t> {
  static constexpr auto value = ElementType::u32;
};
template <>
struct ElementTypeOf<uint64_t> {
  static constexpr auto value = ElementType::u64;
};
template <>
struct ElementTypeOf<bool> {
  static constexpr auto value = ElementType::boolean;
};

template <typename T>
inline constexpr ElementType element_type_of = ElementTypeOf<std::remove_cv_t<T>>::value;

// Calls f(std::type_identity<T>{}) with the C++ type T of `type`; returns what f returns.
template <typename F>
decltype(auto) visit(ElementType type, F&& f) {
  switch (type) {
    case ElementType::f32:
      return f(std::type_identity<float>{});
    case ElementType::f64:
      return f(std::type_identity<double>{});
    case ElementType::bf16:
      return f(std::type_identity<BFloat16>{});
    case ElementType::f16:
      return f(std::type_identity<Float16>{});
    case ElementType::i8:
      return f(std::type_identity<int8_t>{});
    case ElementType::i16:
      return f(std::type_identity<int16_t>{});
    case ElementType::i32:
      return f(std::type_identity<int32_t>{});
    case ElementType::i64:
      return f(std::type_identity<int64_t>{});
    case ElementType::u8:
      return f(std::type_identity<uint8_t>{});
    case ElementType::u16:
      return f(std::type_identity<uint16_t>{});
    case ElementType::u32:
      return f(std::type_identity<uint32_t>{});
    case ElementType::u64:
      return f(std::type_identity<uint64_t>{});
    case ElementType::boolean:
      break;
  }
  return f(std::type_identity<bool>{});
}

}  // namespace refrain
