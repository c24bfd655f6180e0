#include "backends/executable/schedule.h"

#include <algorithm>
#include <map>
#include <utility>

namespace refrain::executable {
namespace {

// How many steps after a loop are looked at for one that follows it.
constexpr size_t kMostBetween = 64;

// Steps of the top level that run as one, and the buffers that they touch: true if written.
struct Unit {
  std::vector<size_t> steps;
  std::map<uint32_t, bool> touched;
};
using Units = std::vector<Unit>;

bool conflict(const Unit& a, const Unit& b) {
  return std::any_of(a.touched.begin(), a.touched.end(), [&b](const auto& entry) {
    const auto found = b.touched.find(entry.first);
    return found != b.touched.end() && (entry.second || found->second);
  });
}

Units units_of(const std::vector<OrderedStep>& ordered, size_t steps) {
  Units units(steps);
  for (size_t i = 0; i < steps; ++i) units[i].steps = {i};
  for (const OrderedStep& entry : ordered) {
    if (!entry.step) continue;
    for (const Step::Slot& slot : entry.step->slots()) {
      if (!slot.place.absent()) units[entry.top].touched[slot.place.buffer] |= slot.written;
    }
  }
  return units;
}

// From a loop on: the loops that follow it, and what lies between them and must run before or after
// all of them.
struct Chain {
  std::vector<LoopStep*> loops;
  Units members, before, after;
  size_t end = 0;  // of the units that are in it
};

// The unit's loop of more than one step; null if it is something else.
LoopStep* loop_of(const Steps& steps, const Unit& unit) {
  if (unit.steps.size() > 1) return nullptr;
  auto* loop = dynamic_cast<LoopStep*>(steps[unit.steps[0]].get());
  return loop && loop->shape().steps > 1 ? loop : nullptr;
}

Chain chain_from(const Steps& steps, const Units& units, size_t first) {
  Chain chain;
  chain.loops = {loop_of(steps, units[first])};
  chain.members = {units[first]};
  chain.end = first + 1;
  Units before, after;
  for (size_t i = first + 1; i < std::min(units.size(), first + 1 + kMostBetween); ++i) {
    const auto conflicts = [&unit = units[i]](const Unit& other) { return conflict(unit, other); };
    LoopStep* loop = loop_of(steps, units[i]);
    bool follows = loop && loop->follows(*chain.loops.back()) &&
                   std::none_of(after.begin(), after.end(), conflicts);
    for (size_t k = 0; k < chain.members.size() && follows; ++k) {
      follows = !conflicts(chain.members[k]) || loop->follows(*chain.loops[k]);
    }
    if (follows) {
      chain.loops.push_back(loop);
      chain.members.push_back(units[i]);
      chain.before = before;
      chain.after = after;
      chain.end = i + 1;
    } else if (std::any_of(chain.members.begin(), chain.members.end(), conflicts) ||
               std::any_of(after.begin(), after.end(), conflicts)) {
      after.push_back(units[i]);
    } else {
      before.push_back(units[i]);
    }
  }
  return chain;
}

// Makes one unit of the loops of a chain.
void contract(const Chain& chain, size_t first, Units& units) {
  Units replaced = chain.before;
  Unit& wave = replaced.emplace_back();
  for (const Unit& member : chain.members) {
    wave.steps.push_back(member.steps[0]);
    for (const auto& [buffer, written] : member.touched) wave.touched[buffer] |= written;
  }
  replaced.insert(replaced.end(), chain.after.begin(), chain.after.end());
  const auto begin = units.begin() + static_cast<std::ptrdiff_t>(first);
  const auto end = units.begin() + static_cast<std::ptrdiff_t>(chain.end);
  units.insert(units.erase(begin, end), replaced.begin(), replaced.end());
}

}  // namespace

Schedule make_schedule(const Steps& steps, const std::vector<OrderedStep>& ordered,
                       const Storage& storage, int threads) {
  Schedule schedule;
  Units units = units_of(ordered, steps.size());
  std::map<size_t, Step*> waves;  // by their first loop
  for (size_t i = 0; i < units.size(); ++i) {
    if (!loop_of(steps, units[i])) continue;
    const Chain chain = chain_from(steps, units, i);
    const int64_t chunk = chain.loops.size() > 1 ? wavefront_chunk(chain.loops, threads) : 0;
    if (chunk == 0) continue;
    schedule.uses_workers = true;
    schedule.wavefronts.push_back(std::make_unique<Wavefront>(chain.loops, chunk, threads));
    waves[units[i].steps[0]] = schedule.wavefronts.back().get();
    contract(chain, i, units);
    --i;  // what lies before the wavefront now hasn't been looked at
  }

  struct Access {
    int64_t written = -1, read = -1;  // levels
  };
  std::vector<Access> access(storage.buffers().size());
  schedule.level_of_step.resize(steps.size());
  for (const Unit& unit : units) {
    int64_t level = 0;
    for (const auto& [buffer, written] : unit.touched) {
      level = std::max(level, access[buffer].written + 1);
      if (written) level = std::max(level, access[buffer].read + 1);
    }
    for (const auto& [buffer, written] : unit.touched) {
      int64_t& last = written ? access[buffer].written : access[buffer].read;
      last = std::max(last, level);
    }
    for (const size_t step : unit.steps) schedule.level_of_step[step] = level;
    if (schedule.levels.size() <= static_cast<size_t>(level)) {
      schedule.levels.resize(static_cast<size_t>(level) + 1);
    }
    const auto wave = waves.find(unit.steps[0]);
    Step* step = wave == waves.end() ? steps[unit.steps[0]].get() : wave->second;
    Level& at = schedule.levels[static_cast<size_t>(level)];
    (step->worth_a_task() ? at.tasks : at.others).push_back(step);
    if (at.tasks.size() > 1) schedule.uses_workers = true;
  }
  for (const OrderedStep& entry : ordered) {
    if (entry.step && entry.step->uses_workers()) schedule.uses_workers = true;
  }
  return schedule;
}

}  // namespace refrain::executable
