#include "frontend/onnx/wire.h"

#include <algorithm>
#include <string>
#include <vector>

#include "ir/error.h"
#include "ir/graph.h"

namespace refrain::onnx_import {
namespace {

// Messages that are looked into. What is not one of them is left to protobuf.
enum class Message : uint8_t {
  model,
  function,
  graph,
  node,
  attribute,
  tensor,
  sparse_tensor,
  opaque
};

// Field numbers of onnx.proto.
Message field_message(Message message, uint64_t field) {
  switch (message) {
    case Message::model:
      return field == 7 ? Message::graph : field == 25 ? Message::function : Message::opaque;
    case Message::function:
      return field == 7 ? Message::node : Message::opaque;
    case Message::graph:
      return field == 1    ? Message::node
             : field == 5  ? Message::tensor
             : field == 15 ? Message::sparse_tensor
                           : Message::opaque;
    case Message::node:
      return field == 5 ? Message::attribute : Message::opaque;
    case Message::attribute:
      switch (field) {
        case 5:
        case 10:
          return Message::tensor;
        case 6:
        case 11:
          return Message::graph;
        case 22:
        case 23:
          return Message::sparse_tensor;
        default:
          return Message::opaque;
      }
    case Message::sparse_tensor:
      return field == 1 || field == 2 ? Message::tensor : Message::opaque;
    case Message::tensor:
    case Message::opaque:
      break;
  }
  return Message::opaque;
}

// What a message costs in memory at least: a std::string or the smallest of the parsed messages
// with the pointer to it, and the allocator's header.
constexpr int64_t kBytesPerMessage = 64;
// The walk itself may not use unbounded memory either.
constexpr size_t kMaxReportedDepth = 1'000'000;

class Walker {
 public:
  Walker(std::string_view bytes, int64_t max_bytes)
      : bytes_(bytes), max_messages_(max_bytes / kBytesPerMessage) {}

  void walk() {
    stack_.push_back({Message::model, bytes_.size()});
    while (!stack_.empty()) {
      if (offset_ == stack_.back().end) {
        if (stack_.back().message == Message::graph) --graphs_;
        stack_.pop_back();
      } else {
        field();
      }
    }
    // The model's own graph is not a sub-graph.
    if (deepest_ > static_cast<size_t>(kMaxRegionDepth) + 1)
      fail_nesting(std::to_string(deepest_ - 1));
  }

 private:
  struct Frame {
    Message message;
    size_t end;
  };

  void field() {
    const size_t start = offset_;
    const uint64_t tag = varint();
    const uint64_t number = tag >> 3;
    if (number == 0 || number > 0x1fffffff) fail("malformed field tag", start);
    switch (tag & 7) {
      case 0:
        varint();
        return;
      case 1:
        skip(8, start);
        return;
      case 2:
        delimited(number, start);
        return;
      case 5:
        skip(4, start);
        return;
      // Groups (3 and 4) are no part of ONNX.
      default:
        fail("malformed field tag", start);
    }
  }

  void delimited(uint64_t number, size_t start) {
    const uint64_t length = varint();
    if (length > stack_.back().end - offset_) {
      throw Error("the file is truncated or not an ONNX model: the field at byte " +
                      std::to_string(start) + " goes past the end of what holds it",
                  "at most " + std::to_string(stack_.back().end - offset_) + " bytes",
                  "a length of " + std::to_string(length));
    }
    if (++messages_ > max_messages_) {
      throw Error("the model has too many parts to fit the memory limit",
                  "at most " + std::to_string(max_messages_));
    }
    const Message message = field_message(stack_.back().message, number);
    if (message == Message::opaque) {
      offset_ += length;
      return;
    }
    stack_.push_back({message, offset_ + static_cast<size_t>(length)});
    if (message == Message::graph) {
      deepest_ = std::max(deepest_, ++graphs_);
      if (graphs_ > kMaxReportedDepth)
        fail_nesting("more than " + std::to_string(kMaxReportedDepth - 1));
    }
  }

  void skip(size_t count, size_t start) {
    if (count > stack_.back().end - offset_) fail("truncated field", start);
    offset_ += count;
  }

  uint64_t varint() {
    const size_t start = offset_;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
      if (offset_ == stack_.back().end) fail("truncated number", start);
      const auto byte = static_cast<unsigned char>(bytes_[offset_++]);
      value |= static_cast<uint64_t>(byte & 0x7f) << std::min(shift, 63u);
      if (byte < 0x80) return value;
    }
    fail("malformed number", start);
  }

  [[noreturn]] static void fail(const std::string& problem, size_t offset) {
    throw Error("the file is truncated or not an ONNX model: " + problem + " at byte " +
                std::to_string(offset));
  }

  [[noreturn]] static void fail_nesting(const std::string& found) {
    throw Error("sub-graphs are nested too deeply", "at most " + std::to_string(kMaxRegionDepth),
                found);
  }

  std::string_view bytes_;
  int64_t max_messages_;
  size_t offset_ = 0;
  int64_t messages_ = 0;
  size_t graphs_ = 0, deepest_ = 0;  // graphs that are open now, and at most
  std::vector<Frame> stack_;
};

}  // namespace

void check_wire_format(std::string_view bytes, int64_t max_bytes) {
  Walker(bytes, max_bytes).walk();
}

int protobuf_recursion_limit() { return 3 * (kMaxRegionDepth + 1) + 32; }

}  // namespace refrain::onnx_import
