#include "ir/element_type.h"

#include <bit>
#include <cmath>

namespace refrain {
namespace {

constexpr std::pair<ElementType, std::string_view> kNames[] = {
    {ElementType::f32, "f32"},     {ElementType::f64, "f64"}, {ElementType::bf16, "bf16"},
    {ElementType::f16, "f16"},     {ElementType::i8, "i8"},   {ElementType::i16, "i16"},
    {ElementType::i32, "i32"},     {ElementType::i64, "i64"}, {ElementType::u8, "u8"},
    {ElementType::u16, "u16"},     {ElementType::u32, "u32"}, {ElementType::u64, "u64"},
    {ElementType::boolean, "bool"}};

}  // namespace

Float16::Float16(float value) {
  const uint32_t word = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (word >> 16) & 0x8000u;
  const uint32_t magnitude = word & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {  // NaN: quiet, payload's top bits kept
    bits = static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x1ffu));
  } else if (magnitude >= 0x477ff000u) {  // rounds to 65536 or beyond
    bits = static_cast<uint16_t>(sign | 0x7c00u);
  } else if (magnitude < 0x38800000u) {  // below 2^-14: subnormal, in units of 2^-24
    const float units = std::bit_cast<float>(magnitude) * 16777216.0f;  // exact, by a power of two
    bits = static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyintf(units)));
  } else {
    const uint32_t odd = (magnitude >> 13) & 1u;
    bits = static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
  }
}

Float16::operator float() const {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) / 16777216.0f;
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

BFloat16::BFloat16(float value) {
  const uint32_t word = std::bit_cast<uint32_t>(value);
  if ((word & 0x7fffffffu) > 0x7f800000u) {
    bits = static_cast<uint16_t>((word >> 16) | 0x40u);
  } else {
    bits = static_cast<uint16_t>((word + 0x7fffu + ((word >> 16) & 1u)) >> 16);
  }
}

BFloat16::operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

std::string_view name(ElementType type) {
  for (const auto& [candidate, text] : kNames) {
    if (candidate == type) return text;
  }
  return "?";
}

std::optional<ElementType> element_type_from_name(std::string_view name) {
  for (const auto& [type, text] : kNames) {
    if (text == name) return type;
  }
  return std::nullopt;
}

size_t size_of(ElementType type) {
  return visit(type, []<typename T>(std::type_identity<T>) { return sizeof(T); });
}

bool is_float(ElementType type) {
  return type == ElementType::f32 || type == ElementType::f64 || type == ElementType::bf16 ||
         type == ElementType::f16;
}

bool is_integer(ElementType type) { return !is_float(type) && type != ElementType::boolean; }

bool is_signed_integer(ElementType type) {
  return type == ElementType::i8 || type == ElementType::i16 || type == ElementType::i32 ||
         type == ElementType::i64;
}

}  // namespace refrain
