// Reads wav files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace examples {

struct Wav {
  uint32_t rate = 0;           // samples a second
  std::vector<float> samples;  // -1 to 1; channels averaged
};

// 16-bit PCM. Throws std::runtime_error.
inline Wav read_wav(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const auto u16 = [&](size_t at) {
    uint16_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof(value));
    return value;
  };
  const auto u32 = [&](size_t at) {
    uint32_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof(value));
    return value;
  };
  if (bytes.size() < 12 || bytes.compare(0, 4, "RIFF") != 0 || bytes.compare(8, 4, "WAVE") != 0)
    throw std::runtime_error(path + ": not a wav file");

  Wav wav;
  size_t channels = 0;
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const std::string kind = bytes.substr(at, 4);
    const size_t start = at + 8, size = std::min<size_t>(u32(at + 4), bytes.size() - start);
    if (kind == "fmt " && size >= 16) {
      if (u16(start) != 1 || u16(start + 14) != 16)
        throw std::runtime_error(path + ": only 16-bit PCM is read");
      channels = u16(start + 2);
      wav.rate = u32(start + 4);
    } else if (kind == "data" && channels > 0) {
      for (size_t frame = 0; (frame + 1) * channels * 2 <= size; ++frame) {
        float sum = 0;
        for (size_t c = 0; c < channels; ++c)
          sum += static_cast<float>(static_cast<int16_t>(u16(start + (frame * channels + c) * 2)));
        wav.samples.push_back(sum / 32768.0F / static_cast<float>(channels));
      }
    }
    at = start + size + size % 2;
  }
  if (wav.samples.empty() || wav.rate == 0) throw std::runtime_error(path + ": no samples");
  return wav;
}

}  // namespace examples
