// Random numbers that are the same everywhere for the same seed.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SHELL_RNG_H_
#define TESTS_SHELL_RNG_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>

namespace shell_fuzz {

/// SplitMix64, Steele and others 2014: one addition and a mix.
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t x = state_ += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

  /// 0 to n - 1.
  size_t Below(size_t n) { return Next() % n; }

  /// True once in n times.
  bool OneIn(size_t n) { return Below(n) == 0; }

  /// An element of an array.
  template <class Array>
  const auto& Pick(const Array& array) {
    return std::data(array)[Below(std::size(array))];
  }

  /// The index of one of `weights`, each as often as its share says.
  size_t Weighted(std::initializer_list<size_t> weights) {
    size_t sum = 0;
    for (size_t weight : weights)
      sum += weight;
    size_t left = Below(sum), index = 0;
    for (size_t weight : weights) {
      if (left < weight)
        return index;
      left -= weight;
      ++index;
    }
    return 0;
  }

 private:
  uint64_t state_;
};

}  // namespace shell_fuzz

#endif  // TESTS_SHELL_RNG_H_
