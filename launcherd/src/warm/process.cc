// SPDX-License-Identifier: Apache-2.0

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace launcher::warm {

namespace {

constexpr uint64_t kPage = 4096;

// proc(5), /proc/PID/pagemap.
constexpr uint64_t kPresent = uint64_t{1} << 63;
constexpr uint64_t kSwapped = uint64_t{1} << 62;
constexpr uint64_t kOfFile = uint64_t{1} << 61;

}  // namespace

std::string ReadAll(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  ssize_t size;
  while (fd && (size = read(fd.get(), buffer, sizeof(buffer))) > 0)
    text.append(buffer, static_cast<size_t>(size));
  return text;
}

std::string_view StatusField(std::string_view status, std::string_view field) {
  for (size_t at = 0; at < status.size();) {
    size_t end = status.find('\n', at);
    std::string_view line = status.substr(at, end - at);
    if (line.starts_with(field) && line.substr(field.size()).starts_with(":\t"))
      return line.substr(field.size() + 2);
    at = end == status.npos ? end : end + 1;
  }
  return {};
}

Result<void> Process::OpenMemory() {
  std::string path = "/proc/" + std::to_string(pid_) + "/mem";
  memory_.Reset(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!memory_)
    return Error{errno, "open", path};
  return {};
}

Result<void> Process::ReadMemory(uint64_t address, void* to,
                                 size_t size) const {
  for (size_t done = 0; done < size;) {
    ssize_t got = pread(memory_.get(), static_cast<char*>(to) + done,
                        size - done, static_cast<off_t>(address + done));
    if (got <= 0)
      return Error{got < 0 ? errno : EIO, "memory", "read"};
    done += static_cast<size_t>(got);
  }
  return {};
}

Result<void> Process::WriteMemory(uint64_t address, const void* from,
                                  size_t size) const {
  for (size_t done = 0; done < size;) {
    ssize_t got = pwrite(memory_.get(), static_cast<const char*>(from) + done,
                         size - done, static_cast<off_t>(address + done));
    if (got <= 0)
      return Error{got < 0 ? errno : EIO, "memory", "write"};
    done += static_cast<size_t>(got);
  }
  return {};
}

Result<std::string> Process::ReadText(uint64_t address) const {
  std::string text;
  while (text.size() < PATH_MAX) {
    // To the end of the page: the next one may not be there.
    char buffer[256];
    size_t size = std::min<size_t>(sizeof(buffer), kPage - address % kPage);
    if (Result<void> read = ReadMemory(address, buffer, size); !read.ok())
      return read.error();
    size_t length = strnlen(buffer, size);
    text.append(buffer, length);
    if (length < size)
      return text;
    address += size;
  }
  return Error{ENAMETOOLONG, "memory", "text"};
}

std::string Process::File(const char* name) const {
  return ReadAll("/proc/" + std::to_string(pid_) + "/" + name);
}

Result<std::vector<Mapping>> Process::Mappings() const {
  std::string text = File("maps");
  if (text.empty())
    return Error{EIO, "maps", std::to_string(pid_)};
  std::vector<Mapping> mappings;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    std::string line = text.substr(at, end - at);
    at = end == text.npos ? end : end + 1;
    Mapping mapping;
    char rights[8];
    int path = 0;
    if (sscanf(line.c_str(),
               "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %" SCNu64 " %n",
               &mapping.start, &mapping.end, rights, &mapping.offset,
               &mapping.inode, &path) != 5)
      return Error{EIO, "maps", line};
    mapping.readable = rights[0] == 'r';
    mapping.writable = rights[1] == 'w';
    mapping.executable = rights[2] == 'x';
    mapping.shared = rights[3] == 's';
    mapping.path = line.substr(static_cast<size_t>(path));
    mappings.push_back(std::move(mapping));
  }
  return mappings;
}

Result<std::vector<uint64_t>> Process::OwnPages(const Mapping& mapping) const {
  Fd fd(open(("/proc/" + std::to_string(pid_) + "/pagemap").c_str(),
             O_RDONLY | O_CLOEXEC));
  std::vector<uint64_t> entries((mapping.end - mapping.start) / kPage);
  const size_t size = entries.size() * sizeof(uint64_t);
  const off_t from =
      static_cast<off_t>(mapping.start / kPage * sizeof(uint64_t));
  if (!fd ||
      pread(fd.get(), entries.data(), size, from) != static_cast<ssize_t>(size))
    return Error{EIO, "pagemap", mapping.path};
  std::vector<uint64_t> pages;
  for (size_t i = 0; i < entries.size(); ++i)
    if ((entries[i] & (kPresent | kSwapped)) && !(entries[i] & kOfFile))
      pages.push_back(mapping.start + i * kPage);
  return pages;
}

Result<prctl_mm_map> Process::MemoryMap() const {
  std::string text = File("stat");
  // The name in parentheses may hold anything; field 3 comes behind it.
  size_t at = text.rfind(')');
  std::vector<uint64_t> fields(4);
  const char* p = at == text.npos ? "" : text.c_str() + at + 3;
  for (char* end; *p == ' '; p = end)
    fields.push_back(strtoull(p + 1, &end, 10));
  if (fields.size() < 53)
    return Error{EIO, "stat", std::to_string(pid_)};
  prctl_mm_map map = {};
  map.start_code = fields[26];
  map.end_code = fields[27];
  map.start_stack = fields[28];
  map.start_data = fields[45];
  map.end_data = fields[46];
  map.start_brk = fields[47];
  map.arg_start = fields[48];
  map.arg_end = fields[49];
  map.env_start = fields[50];
  map.env_end = fields[51];
  map.exe_fd = static_cast<uint32_t>(-1);
  // Zeros are shown of one that has ended, and of one that we may not look
  // into.
  if (map.env_end == 0)
    return Error{ESRCH, "stat", std::to_string(pid_)};
  return map;
}

std::chrono::nanoseconds Process::CpuTime() const {
  std::string text = File("schedstat");
  int64_t ns = 0;
  std::from_chars(text.data(), text.data() + text.size(), ns);
  return std::chrono::nanoseconds(ns);
}

Result<uint64_t> Process::PrivateKib() const {
  std::string text = File("smaps_rollup");
  size_t at = text.find("\nPrivate_Dirty:");
  if (at == text.npos)
    return Error{EIO, "smaps_rollup", std::to_string(pid_)};
  return strtoull(text.c_str() + at + strlen("\nPrivate_Dirty:"), nullptr, 10);
}

std::string Process::Executable() const {
  char buffer[PATH_MAX];
  std::string link = "/proc/" + std::to_string(pid_) + "/exe";
  ssize_t size = readlink(link.c_str(), buffer, sizeof(buffer));
  return size > 0 ? std::string(buffer, static_cast<size_t>(size)) : "";
}

char Process::State() const {
  std::string text = File("stat");
  size_t at = text.rfind(')');
  return at == text.npos || at + 2 >= text.size() ? '\0' : text[at + 2];
}

}  // namespace launcher::warm
