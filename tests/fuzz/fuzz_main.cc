// Runs a fuzz target where there is no libFuzzer: over the corpus, then over
// what chance makes of it.
//
// usage: TARGET --runs N --seed N DIRECTORY
//
// SPDX-License-Identifier: Apache-2.0

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "fuzz.h"

namespace {

using Bytes = std::vector<uint8_t>;

std::vector<Bytes> ReadCorpus(const char* directory) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file),
                        std::istreambuf_iterator<char>());
  }
  return corpus;
}

class Mutator {
 public:
  explicit Mutator(uint32_t seed) : engine_(seed) {}

  Bytes Make(const std::vector<Bytes>& corpus) {
    Bytes made = corpus[Below(corpus.size())];
    for (size_t times = 1 + Below(4); times > 0; --times)
      Change(&made, corpus);
    return made;
  }

 private:
  size_t Below(size_t limit) { return engine_() % limit; }

  void Change(Bytes* bytes, const std::vector<Bytes>& corpus) {
    constexpr uint32_t kOdd[] = {0, 1, 3, 60, 61, 64, 65, 0x7fffffff, ~0u};
    const size_t at = Below(bytes->size() + 1);
    const size_t rest = bytes->size() - at;
    switch (Below(6)) {
      case 0:
        if (rest >= 1)
          (*bytes)[at] ^= static_cast<uint8_t>(1 << Below(8));
        break;
      case 1:
        if (rest >= 1)
          (*bytes)[at] = static_cast<uint8_t>(engine_());
        break;
      case 2:
        if (rest >= 4)
          memcpy(bytes->data() + at, &kOdd[Below(std::size(kOdd))], 4);
        break;
      case 3:
        bytes->resize(at);
        break;
      case 4:
        bytes->insert(bytes->begin() + static_cast<ptrdiff_t>(at),
                      static_cast<uint8_t>(engine_()));
        break;
      default: {
        const Bytes& other = corpus[Below(corpus.size())];
        bytes->resize(at);
        bytes->insert(
            bytes->end(),
            other.begin() + static_cast<ptrdiff_t>(std::min(at, other.size())),
            other.end());
      }
    }
  }

  std::mt19937 engine_;
};

}  // namespace

int main(int argc, char** argv) {
  unsigned long runs = 0, seed = 1;
  const char* directory = nullptr;
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc)
      runs = strtoul(argv[++i], nullptr, 10);
    else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
      seed = strtoul(argv[++i], nullptr, 10);
    else
      directory = argv[i];
  }
  std::vector<Bytes> corpus;
  if (directory)
    corpus = ReadCorpus(directory);
  if (corpus.empty()) {
    fprintf(stderr, "usage: %s --runs N --seed N DIRECTORY, not empty\n",
            argv[0]);
    return 2;
  }
  for (const Bytes& bytes : corpus)
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  Mutator mutator(static_cast<uint32_t>(seed));
  for (unsigned long i = 0; i < runs; ++i) {
    const Bytes bytes = mutator.Make(corpus);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  printf("%zu inputs and %lu made of them, seed %lu: good\n", corpus.size(),
         runs, seed);
  return 0;
}
