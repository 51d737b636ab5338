// SPDX-License-Identifier: Apache-2.0

#include "launch_params.h"

#include <signal.h>

#include <utility>

#include "encoding.h"
#include "result_json.h"

namespace launcherd {

namespace {

using launcher::Command;
using launcher::Result;
using launcher::Stdio;

// What the library can count with.
constexpr int64_t kMost = 1'000'000'000'000;

/// A text that the kernel can be given.
bool IsText(const Json& value) {
  return value.is_string() &&
         value.get_ref<const std::string&>().find('\0') == std::string::npos;
}

std::string ReadFlag(const Json& value, bool* flag) {
  if (!value.is_boolean())
    return " is true or false";
  *flag = value.get<bool>();
  return "";
}

std::string ReadNumber(const Json& value, int64_t least, int64_t* number) {
  if (!value.is_number_integer() || value < least || value > kMost)
    return " is an integer from " + std::to_string(least) + " to " +
           std::to_string(kMost);
  *number = value.get<int64_t>();
  return "";
}

}  // namespace

std::string LaunchParams::ReadWords(const Json& words) {
  if (!words.is_array() || words.empty())
    return " is an array of at least one string";
  for (const Json& word : words) {
    if (!IsText(word))
      return " has something that is no string, or has U+0000 in it";
    argv_.push_back(
        texts_.emplace_back(word.get_ref<const std::string&>()).c_str());
  }
  return "";
}

std::string LaunchParams::ReadEnvironment(const Json& variables) {
  if (!variables.is_object())
    return " is an object";
  for (const auto& [name, value] : variables.items()) {
    if (name.empty() ||
        name.find_first_of(std::string_view("=\0", 2)) != name.npos)
      return " has a name that is empty, or has = or U+0000 in it";
    if (!value.is_null() && !IsText(value))
      return " has a value that is neither null nor a string without U+0000";
    const char* stored = texts_.emplace_back(name).c_str();
    changes_.push_back(
        {stored, value.is_null()
                     ? nullptr
                     : texts_.emplace_back(value.get_ref<const std::string&>())
                           .c_str()});
  }
  return "";
}

std::string LaunchParams::ReadInput(const Json& input) {
  if (input.is_string()) {
    input_ = input.get<std::string>();
    return "";
  }
  const char* const kForm =
      " is a string, or {\"data\": ..., \"encoding\": \"base64\"}";
  if (!input.is_object() || input.size() != 2 || !input.contains("data") ||
      !input.contains("encoding") || !input["data"].is_string())
    return kForm;
  const std::string& data = input["data"].get_ref<const std::string&>();
  if (input["encoding"] == "utf-8")
    input_ = data;
  else if (input["encoding"] == "base64")
    input_ = FromBase64(data);
  else
    return kForm;
  return input_ ? "" : " is no base64";
}

std::string LaunchParams::ReadSurroundings(const std::string& name,
                                           const Json& value, bool* known) {
  *known = true;
  if (name == "argv")
    return ReadWords(value);
  if (name == "env")
    return ReadEnvironment(value);
  if (name == "clear_env")
    return ReadFlag(value, &clear_env_);
  if (name == "cwd") {
    if (!IsText(value) || value.get_ref<const std::string&>().empty())
      return " is a path";
    command_.cwd =
        texts_.emplace_back(value.get_ref<const std::string&>()).c_str();
    return "";
  }
  *known = false;
  return " is not known";
}

std::string LaunchParams::ReadMember(const std::string& name,
                                     const Json& value) {
  std::string wrong;
  int64_t number = 0;
  bool flag = false;
  if (name == "line") {
    if (!IsText(value))
      return " is a string without U+0000";
    line_ = texts_.emplace_back(value.get_ref<const std::string&>()).c_str();
    return "";
  }
  if (name == "stdin")
    return ReadInput(value);
  if (name == "wait")
    return ReadFlag(value, &wait_);
  if (name == "merge") {
    wrong = ReadFlag(value, &flag);
    if (flag)
      command_.err = Stdio::Merge();
    return wrong;
  }
  if (name == "keep") {
    wrong = ReadFlag(value, &flag);
    if (flag)
      command_.survivors = Command::Survivors::kTell;
    return wrong;
  }
  if (name == "cap") {
    wrong = ReadNumber(value, 0, &number);
    command_.output_cap = static_cast<size_t>(number);
    return wrong;
  }
  if (name == "timeout_ms") {
    wrong = ReadNumber(value, 1, &number);
    command_.timeout = std::chrono::milliseconds(number);
    return wrong;
  }
  return " is not known";
}

void LaunchParams::Complete() {
  static const char* const kEmpty[] = {nullptr};
  command_.argv = argv_;
  command_.env = clear_env_ ? kEmpty : nullptr;
  command_.env_changes = changes_;
}

std::string LaunchParams::Read(const Json& params) {
  command_.err = Stdio::Capture();
  command_.output_cap = kDefaultCap;
  command_.survivors = Command::Survivors::kKill;
  for (const auto& [name, value] : params.items()) {
    bool known;
    std::string wrong = ReadSurroundings(name, value, &known);
    if (!known)
      wrong = ReadMember(name, value);
    if (!wrong.empty())
      return "\"" + name + "\"" + wrong;
  }
  if (argv_.empty() == (line_ == nullptr))
    return "either \"argv\" or \"line\" is needed";
  Complete();
  return "";
}

std::string LaunchParams::ReadPrepare(const Json& params) {
  for (const auto& [name, value] : params.items()) {
    bool known;
    if (std::string wrong = ReadSurroundings(name, value, &known);
        !wrong.empty())
      return "\"" + name + "\"" + wrong;
  }
  if (argv_.empty())
    return "\"argv\" is missing";
  Complete();
  return "";
}

Result<void> LaunchParams::MakeInput() {
  if (!input_)
    return {};
  Result<launcher::Fd> made = launcher::MemoryInput(*input_);
  if (!made.ok())
    return made.error();
  input_fd_ = std::move(made.value());
  command_.in = Stdio::FromFd(input_fd_.get());
  return {};
}

std::optional<int> ReadSignal(const Json& signal) {
  for (int number = 1; number <= SIGRTMAX; ++number) {
    // Two between the others and SIGRTMIN are the C library's own.
    if (number >= 32 && number < SIGRTMIN)
      continue;
    if (signal == number || signal == SignalName(number))
      return number;
  }
  return std::nullopt;
}

}  // namespace launcherd
