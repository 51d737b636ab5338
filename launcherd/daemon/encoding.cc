// SPDX-License-Identifier: Apache-2.0

#include "encoding.h"

#include <algorithm>
#include <cstdint>

namespace launcherd {

namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What may follow a first byte, RFC 3629 section 4: how many bytes in all, and
/// the range of the second one.
struct Sequence {
  size_t size = 0;  ///< 0: nothing starts like that.
  unsigned char least = 0x80, most = 0xbf;
};

Sequence SequenceOf(unsigned char first) {
  if (first < 0x80)
    return {1};
  if (first < 0xc2 || first > 0xf4)
    return {};
  if (first < 0xe0)
    return {2};
  if (first < 0xf0)
    return {3, static_cast<unsigned char>(first == 0xe0 ? 0xa0 : 0x80),
            static_cast<unsigned char>(first == 0xed ? 0x9f : 0xbf)};
  return {4, static_cast<unsigned char>(first == 0xf0 ? 0x90 : 0x80),
          static_cast<unsigned char>(first == 0xf4 ? 0x8f : 0xbf)};
}

/// How many bytes of `text`, at most `sequence.size`, agree with it.
size_t Agreeing(std::string_view text, const Sequence& sequence) {
  size_t count = std::min<size_t>(1, sequence.size);
  for (; count < sequence.size && count < text.size(); ++count) {
    const auto byte = static_cast<unsigned char>(text[count]);
    if (byte < (count == 1 ? sequence.least : 0x80) ||
        byte > (count == 1 ? sequence.most : 0xbf))
      break;
  }
  return count;
}

}  // namespace

size_t Utf8Prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Sequence sequence = SequenceOf(static_cast<unsigned char>(text[at]));
    if (sequence.size == 0 ||
        Agreeing(text.substr(at, 4), sequence) < sequence.size)
      break;
    at += sequence.size;
  }
  return at;
}

bool IsCutUtf8(std::string_view tail) {
  if (tail.empty())
    return false;
  const Sequence sequence = SequenceOf(static_cast<unsigned char>(tail[0]));
  return tail.size() < sequence.size && Agreeing(tail, sequence) == tail.size();
}

std::string ToBase64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const std::string_view group = bytes.substr(at, 3);
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i)
      bits = bits << 8 |
             (i < group.size() ? static_cast<unsigned char>(group[i]) : 0);
    for (size_t i = 0; i < 4; ++i)
      text += i <= group.size() ? kAlphabet[bits >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

std::optional<std::string> FromBase64(std::string_view text) {
  if (text.size() % 4 != 0)
    return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && padding < text.size() &&
         text[text.size() - 1 - padding] == '=')
    ++padding;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    size_t value = 0;
    if (at < text.size() - padding)
      value = kAlphabet.find(text[at]);
    if (value == kAlphabet.npos)
      return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (at % 4 == 3)
      for (int shift : {16, 8, 0})
        bytes += static_cast<char>(bits >> shift);
  }
  bytes.resize(bytes.size() - padding);
  // The bits that padding stands for are zero.
  if (ToBase64(bytes) != text)
    return std::nullopt;
  return bytes;
}

}  // namespace launcherd
