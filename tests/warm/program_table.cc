// Reads the table of programs: programs.txt says how it is written.
//
// SPDX-License-Identifier: Apache-2.0

#include <re2/re2.h>
#include <stdio.h>
#include <stdlib.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "entry.h"

namespace {

Strings Split(const std::string& text) {
  Strings words;
  std::string word;
  bool in_word = false, quoted = false;
  for (char c : text) {
    if (c == '\'') {
      quoted = !quoted;
      in_word = true;
    } else if (c == ' ' && !quoted) {
      if (in_word)
        words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (in_word)
    words.push_back(word);
  return words;
}

std::string Trim(const std::string& text) {
  size_t first = text.find_first_not_of(' ');
  size_t last = text.find_last_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

std::string OutputOf(const std::string& line) {
  std::string text;
  FILE* pipe = popen((line + " 2>/dev/null").c_str(), "re");
  if (!pipe)
    return text;
  char buffer[4096];
  while (size_t size = fread(buffer, 1, sizeof(buffer), pipe))
    text.append(buffer, size);
  pclose(pipe);
  return Trim(text.substr(0, text.find('\n')));
}

Entry Parse(const std::string& line) {
  Entry entry;
  size_t bar = line.find('|');
  size_t options = line.rfind(" %% ");
  if (bar == std::string::npos)
    Die("no command: " + line);
  entry.name = Trim(line.substr(0, bar));
  std::string command = line.substr(
      bar + 1, options == std::string::npos ? options : options - bar - 1);
  command = Trim(command);
  if (command.starts_with("$(")) {
    size_t end = command.find(')');
    // $(A)/B as well: the rest of the word follows.
    command = OutputOf(command.substr(2, end - 2)) + command.substr(end + 1);
  }
  entry.words = Split(command);
  if (!entry.words.empty() && entry.words.back().starts_with('<')) {
    entry.input = entry.words.back().substr(1);
    entry.words.pop_back();
  }
  if (entry.words.empty())
    Die("no words: " + line);
  if (options == std::string::npos)
    return entry;
  std::string rest = Trim(line.substr(options + 4));
  while (!rest.empty()) {
    if (rest.starts_with("mask=")) {  // To the end: it may have spaces.
      entry.mask = rest.substr(5);
      if (RE2 mask(entry.mask, RE2::Latin1); !mask.ok())
        Die(mask.error());
      break;
    }
    std::string word = rest.substr(0, rest.find(' '));
    rest = Trim(rest.substr(word.size()));
    if (word == "dir")
      entry.own_pwd = true;
    else if (word.starts_with("ignore="))
      entry.ignored.insert(word.substr(7));
    else
      Die("unknown: " + word);
  }
  return entry;
}

}  // namespace

void Die(const std::string& text) {
  fprintf(stderr, "run_pairs: %s\n", text.c_str());
  exit(2);
}

std::vector<Entry> ReadTable(const std::string& path) {
  std::ifstream in(path);
  if (!in)
    Die("cannot read " + path);
  std::vector<Entry> entries;
  for (std::string line; std::getline(in, line);)
    if (!line.empty() && line[0] != '#')
      entries.push_back(Parse(line));
  return entries;
}
