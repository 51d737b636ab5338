// Makes random cases, most of them near to what can be run without a shell.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SHELL_GENERATE_H_
#define TESTS_SHELL_GENERATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "case.h"
#include "rng.h"

namespace shell_fuzz {

class Generator {
 public:
  explicit Generator(uint64_t seed) : rng_(seed) {}

  Case Next();

 private:
  // Of generate_words.cc: what a line is made of.
  char Byte();
  std::string Bytes(size_t most);
  std::string Plain();
  std::string Path();
  std::string Piece();
  std::string Single();
  std::string Double();
  std::string Word();
  std::string Quoted(std::string_view word);
  std::string Program();
  std::string Name();
  std::string Assignment();
  std::string Redirection();
  std::string Blank();

  // Of generate.cc: lines.
  std::string Command();
  std::string Member();
  std::string Directory();
  std::string Sequence();
  std::string Mutated();
  void MutateTokens(std::vector<std::string>* tokens);
  void MutateBytes(std::string* line);

  // Of generate_env.cc: surroundings.
  std::vector<std::string> Environment(Case::Start start);
  std::string SearchPath();
  std::string PwdValue(Case::Start start);
  std::string Entry();

  Rng rng_;
};

}  // namespace shell_fuzz

#endif  // TESTS_SHELL_GENERATE_H_
