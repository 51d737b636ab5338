// SPDX-License-Identifier: Apache-2.0

#include "case.h"

#include <charconv>
#include <cstddef>
#include <iterator>

namespace shell_fuzz {
namespace {

constexpr const char* kStarts[] = {"work",  "real", "link",
                                   "space", "dark", "gone"};
constexpr const char* kEnters[] = {"chdir", "cwd", "fd"};

/// The index of `text` among `names`.
template <class Enum, size_t size>
bool Find(const char* const (&names)[size], std::string_view text,
          Enum* result) {
  for (size_t i = 0; i < size; ++i)
    if (text == names[i]) {
      *result = static_cast<Enum>(i);
      return true;
    }
  return false;
}

template <class Integer>
bool ParseNumber(std::string_view text, int base, Integer* number) {
  const char* end = text.data() + text.size();
  auto done = std::from_chars(text.data(), end, *number, base);
  return done.ec == std::errc() && done.ptr == end;
}

bool Set(std::string_view name, std::string_view value, Case* result) {
  if (name == "start")
    return Find(kStarts, value, &result->start);
  if (name == "enter")
    return Find(kEnters, value, &result->enter);
  if (name == "umask")
    return ParseNumber(value, 8, &result->umask);
  if (name == "ignore")
    return ParseNumber(value, 10, &result->ignored);
  if (name == "block")
    return ParseNumber(value, 10, &result->blocked);
  if (name == "input")
    return result->file_input = value == "file";
  if (name == "errors")
    return result->split_errors = value == "split";
  if (name == "fd7")
    return result->extra_fd = value == "open";
  return false;
}

void AppendHex(unsigned char byte, std::string* text) {
  text->push_back("0123456789abcdef"[byte / 16]);
  text->push_back("0123456789abcdef"[byte % 16]);
}

}  // namespace

std::string Escape(std::string_view bytes) {
  std::string text;
  for (char c : bytes) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '\n')
      text += "\\n";
    else if (c == '\t')
      text += "\\t";
    else if (c == '\r')
      text += "\\r";
    else if (c == '\\')
      text += "\\\\";
    else if (byte >= ' ' && byte <= '~')
      text.push_back(c);
    else
      AppendHex(byte, &(text += "\\x"));
  }
  return text;
}

bool Unescape(std::string_view text, std::string* bytes) {
  bytes->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes->push_back(text[i]);
      continue;
    }
    if (++i == text.size())
      return false;
    unsigned byte = 0;
    switch (text[i]) {
      case 'n':
        bytes->push_back('\n');
        break;
      case 't':
        bytes->push_back('\t');
        break;
      case 'r':
        bytes->push_back('\r');
        break;
      case '\\':
        bytes->push_back('\\');
        break;
      case 'x':
        if (i + 2 >= text.size() ||
            !ParseNumber(text.substr(i + 1, 2), 16, &byte) || byte == 0)
          return false;
        bytes->push_back(static_cast<char>(byte));
        i += 2;
        break;
      default:
        return false;
    }
  }
  return true;
}

std::string Replace(std::string_view text, std::string_view from,
                    std::string_view to) {
  std::string result;
  for (;;) {
    size_t at = text.find(from);
    result += text.substr(0, at);
    if (at == std::string_view::npos)
      return result;
    result += to;
    text.remove_prefix(at + from.size());
  }
}

std::vector<std::string> Case::DefaultEnvironment() {
  return {"PATH=@R@/bin", "HOME=@W@", "PWD=@W@"};
}

std::string Case::ToText() const {
  std::string text;
  auto setting = [&text](const char* name, std::string_view value) {
    text += name;
    text += '=';
    text += value;
    text += '\t';
  };
  if (start != Start::kWork)
    setting("start", kStarts[static_cast<int>(start)]);
  if (enter != Enter::kChdir)
    setting("enter", kEnters[static_cast<int>(enter)]);
  if (umask != 022) {
    char digits[8];
    char* end = std::to_chars(digits, std::end(digits), umask, 8).ptr;
    setting("umask", std::string_view(digits, end - digits));
  }
  if (ignored != 0)
    setting("ignore", std::to_string(ignored));
  if (blocked != 0)
    setting("block", std::to_string(blocked));
  if (file_input)
    setting("input", "file");
  if (split_errors)
    setting("errors", "split");
  if (extra_fd)
    setting("fd7", "open");
  if (env != DefaultEnvironment()) {
    if (env.empty())
      text += "noenv\t";
    for (const std::string& entry : env)
      setting("env", Escape(entry));
  }
  return text + Escape(line);
}

bool Case::FromText(std::string_view text, Case* result, std::string* error) {
  *result = Case();
  bool own_env = false;
  for (size_t tab; (tab = text.find('\t')) != std::string_view::npos;) {
    std::string_view setting = text.substr(0, tab);
    text.remove_prefix(tab + 1);
    if (!own_env && (setting == "noenv" || setting.starts_with("env="))) {
      own_env = true;
      result->env.clear();
    }
    if (setting == "noenv")
      continue;
    size_t equals = setting.find('=');
    std::string value;
    bool good = equals != std::string_view::npos &&
                Unescape(setting.substr(equals + 1), &value);
    if (good && setting.starts_with("env="))
      result->env.push_back(value);
    else
      good = good && Set(setting.substr(0, equals), value, result);
    if (!good) {
      *error = "what is '" + std::string(setting) + "'?";
      return false;
    }
  }
  if (!Unescape(text, &result->line)) {
    *error = "bad escape in '" + std::string(text) + "'";
    return false;
  }
  return true;
}

}  // namespace shell_fuzz
