// SPDX-License-Identifier: Apache-2.0

#include "minimize.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace shell_fuzz {
namespace {

constexpr int kMostTries = 3000;
constexpr std::chrono::seconds kMostTime{60};

class Minimizer {
 public:
  Minimizer(Case best, const std::function<bool(const Case&)>& still)
      : best_(std::move(best)), still_(still) {}

  Case Run() {
    Settings();
    for (size_t before = 0; before != Size();) {
      before = Size();
      Environment();
      Words();
      Bytes();
    }
    Simplify();
    return std::move(best_);
  }

 private:
  size_t Size() const {
    size_t size = best_.line.size();
    for (const std::string& entry : best_.env)
      size += 1 + entry.size();
    return size;
  }

  /// Keeps `smaller` if it will do.
  bool Try(const Case& smaller) {
    if (tries_ == kMostTries || std::chrono::steady_clock::now() > end_)
      return false;
    ++tries_;
    if (!still_(smaller))
      return false;
    best_ = smaller;
    return true;
  }

  /// Tries the best case with one field as in a plain one.
  template <class Field>
  void Default(Field Case::*field) {
    Case next = best_;
    next.*field = Case().*field;
    if (next.*field != best_.*field)
      Try(next);
  }

  void Settings() {
    Default(&Case::env);
    Default(&Case::start);
    Default(&Case::enter);
    Default(&Case::umask);
    Default(&Case::ignored);
    Default(&Case::blocked);
    Default(&Case::file_input);
    Default(&Case::split_errors);
    Default(&Case::extra_fd);
  }

  void Environment() {
    if (best_.env == Case().env)
      return;
    for (size_t i = best_.env.size(); i-- > 0;) {
      Case next = best_;
      next.env.erase(next.env.begin() + i);
      if (Try(next))
        continue;
      // A shorter value.
      std::string entry = best_.env[i];
      for (size_t size = entry.size() / 2; size > 0; size /= 2) {
        entry = best_.env[i];
        if (size >= entry.size())
          continue;
        next = best_;
        next.env[i] = entry.substr(0, entry.size() - size);
        Try(next);
      }
    }
  }

  /// Leaves out what stands between two blanks, and the blank.
  void Words() {
    auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\n'; };
    for (size_t end = best_.line.size(); end > 0;) {
      size_t from = end;
      while (from > 0 && !blank(best_.line[from - 1]))
        --from;
      Case next = best_;
      next.line.erase(from, end - from + 1);
      Try(next);
      end = from > 0 ? from - 1 : 0;
    }
  }

  void Bytes() {
    for (size_t size = std::max<size_t>(best_.line.size() / 2, 1); size > 0;
         size /= 2)
      for (size_t at = 0; at < best_.line.size();) {
        Case next = best_;
        next.line.erase(at, size);
        if (!Try(next))
          at += size;
      }
  }

  /// The plainest program or word for what stands for any, then letters for
  /// what stands for any letter.
  void Simplify() {
    constexpr const char* kEnds = " \t\n&|;<>()'\"\\";
    for (size_t at = 0; at < best_.line.size();) {
      size_t end =
          std::min(best_.line.find_first_of(kEnds, at), best_.line.size());
      for (const char* word : {"p0", "a"}) {
        Case next = best_;
        next.line.replace(at, end - at, word);
        if (end > at && next.line != best_.line && Try(next)) {
          end = at + strlen(word);
          break;
        }
      }
      at = end + 1;
    }
    for (size_t at = 0; at < best_.line.size(); ++at) {
      if (strchr("ap0 ", best_.line[at]))
        continue;
      Case next = best_;
      next.line[at] = 'a';
      Try(next);
    }
  }

  Case best_;
  const std::function<bool(const Case&)>& still_;
  int tries_ = 0;
  const std::chrono::steady_clock::time_point end_ =
      std::chrono::steady_clock::now() + kMostTime;
};

}  // namespace

Case Minimize(const Case& that, const std::function<bool(const Case&)>& still) {
  return Minimizer(that, still).Run();
}

}  // namespace shell_fuzz
