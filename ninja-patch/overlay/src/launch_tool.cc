// SPDX-License-Identifier: Apache-2.0

#include "launch_tool.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "graph.h"
#include "launcher/launcher.h"
#include "state.h"
#include "util.h"

using launcher::Launcher;
using launcher::Result;
using launcher::Stdio;

bool g_explain_launch = false;
State* g_launch_state = nullptr;

bool MayBeOutput(const std::string& path) {
  struct stat file, made;
  if (!g_launch_state || stat(path.c_str(), &file) != 0)
    return true;
  // By its name and then by its inode: the manifest may lead to it through
  // other directories and links.
  auto name_of = [](const std::string& of) {
    return of.substr(of.rfind('/') + 1);
  };
  std::string name = name_of(path), real_name = name;
  if (char* real = realpath(path.c_str(), nullptr)) {
    real_name = name_of(real);
    free(real);
  }
  for (const auto& [node_path, node] : g_launch_state->paths_) {
    if (!node->in_edge())
      continue;
    std::string node_name = name_of(node->path());
    if ((node_name == name || node_name == real_name) &&
        stat(node->path().c_str(), &made) == 0 && made.st_dev == file.st_dev &&
        made.st_ino == file.st_ino)
      return true;
  }
  return false;
}

launcher::Command JobSurroundings(bool use_console) {
  launcher::Command job;
  job.inherit_fds = true;  // A jobserver may be among them.
  if (use_console) {
    // It talks to the terminal, and gets the terminal's signals, itself.
    job.in = job.out = job.err = Stdio::Inherit();
    job.group = launcher::Command::Group::kInherit;
  }
  return job;
}

namespace {

/// The edges that `node` is made by, inputs first.
void Collect(Node* node, std::set<Edge*>* seen, std::vector<Edge*>* edges) {
  Edge* edge = node->in_edge();
  if (!edge || !seen->insert(edge).second)
    return;
  for (Node* input : edge->inputs_)
    Collect(input, seen, edges);
  edges->push_back(edge);
}

/// All edges if no target is named.
bool CollectEdges(State* state, int argc, char* argv[],
                  std::vector<Edge*>* edges) {
  if (argc == 0)
    *edges = state->edges_;
  std::set<Edge*> seen;
  for (int i = 0; i < argc; ++i) {
    std::string path = argv[i];
    uint64_t slash_bits;
    CanonicalizePath(&path, &slash_bits);
    Node* node = state->LookupNode(path);
    if (!node) {
      Error("unknown target '%s'", argv[i]);
      return false;
    }
    Collect(node, &seen, edges);
  }
  return true;
}

void PrintCounts(const std::map<std::string, size_t>& counts) {
  size_t total = 0;
  std::vector<std::pair<std::string, size_t>> sorted(counts.begin(),
                                                     counts.end());
  for (const auto& [how, count] : sorted)
    total += count;
  std::stable_sort(
      sorted.begin(), sorted.end(),
      [](const auto& a, const auto& b) { return a.second > b.second; });
  for (const auto& [how, count] : sorted)
    printf("%8zu  %5.1f %%  %s\n", count,
           100.0 * static_cast<double>(count) / static_cast<double>(total),
           how.c_str());
}

}  // namespace

int LaunchTool(State* state, int argc, char* argv[]) {
  // getopt expects argv[0] to be the name of the tool.
  ++argc;
  --argv;
  bool each = false;
  optind = 1;
  for (int opt; (opt = getopt(argc, argv, const_cast<char*>("hv"))) != -1;) {
    if (opt != 'v') {
      printf(
          "usage: ninja -t launch [options] [targets]\n\n"
          "counts how many commands start without a shell, and what the others "
          "need it for\n\n"
          "options:\n"
          "  -v     first the same for each command, with its first output\n");
      return 1;
    }
    each = true;
  }
  std::vector<Edge*> edges;
  if (!CollectEdges(state, argc - optind, argv + optind, &edges))
    return 1;

  signal(SIGCHLD, SIG_DFL);  // As for a build.
  Result<Launcher::Options> options = Launcher::Options::FromEnvironment();
  if (!options.ok())
    Fatal("%s", options.error().ToString().c_str());
  Result<std::unique_ptr<Launcher>> launcher =
      Launcher::Create(options.value());
  if (!launcher.ok())
    Fatal("%s", launcher.error().ToString().c_str());

  std::map<std::string, size_t> counts;
  for (Edge* edge : edges) {
    if (edge->is_phony())
      continue;
    std::string how = launcher.value()->WhyShell(
        edge->EvaluateCommand().c_str(), JobSurroundings(edge->use_console()));
    if (how.empty())
      how = "without a shell";
    if (each)
      printf("%s\t%s\n", how.c_str(), edge->outputs_[0]->path().c_str());
    ++counts[how];
  }
  PrintCounts(counts);
  return 0;
}
