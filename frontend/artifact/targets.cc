#include "frontend/artifact/targets.h"

#include <algorithm>
#include <cctype>

#include "backends/highway/recurrent.h"
#include "ir/error.h"

namespace refrain::artifact {
namespace {

const std::vector<Target> kTargets = {{"sse4", 4}, {"neon", 4}, {"avx2", 8}, {"avx3", 16}};

}  // namespace

Target native_target() {
  const highway::LoopTarget target = highway::loop_target();
  std::string name = target.name;
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return {std::move(name), static_cast<uint32_t>(target.lanes)};
}

std::vector<Target> parse_targets(std::string_view list) {
  std::vector<Target> targets;
  const auto add = [&](const Target& target) {
    const auto same = [&](const Target& t) { return t.name == target.name; };
    if (std::ranges::none_of(targets, same)) targets.push_back(target);
  };
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string name(list.substr(begin, end - begin));
    begin = end + 1;
    const auto known = std::ranges::find(kTargets, name, &Target::name);
    if (name == "native") {
      add(native_target());
    } else if (name == "all") {
      for (const Target& target : kTargets) add(target);
    } else if (known != kTargets.end()) {
      add(*known);
    } else {
      throw Error("no such target to pack weights for", "native, all, sse4, neon, avx2 or avx3",
                  name);
    }
  }
  return targets;
}

}  // namespace refrain::artifact
