// SPDX-License-Identifier: Apache-2.0

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "generate.h"

namespace shell_fuzz {
namespace {

constexpr const char* kEntries[] = {
    "A=1", "A=2", "A=", "B=a b", "C=\t\n", "lower=x", "Z_9=\xc3\xa4\xff\x81",
    "LC_ALL=C", "LC_ALL=C.UTF-8", "LC_ALL=", "LC_ALL=xx_XX", "LANG=C.UTF-8",
    "LC_CTYPE=C.UTF-8", "LC_ALL=C.UTF-8", "LANG=de_DE.UTF-8",
    // The shell's own.
    "SHLVL=0", "SHLVL=1", "SHLVL=999", "SHLVL=1000", "SHLVL=-5", "SHLVL=abc",
    "SHLVL=", "SHLVL= 3", "SHLVL=3x", "SHLVL=2147483647", "SHLVL=+1",
    "SHLVL=007", "SHLVL=99999999999999999999", "_=/bin/x", "_=", "_=x y",
    "OLDPWD=@W@", "OLDPWD=@W@/real", "OLDPWD=", "OLDPWD=/missing",
    "OLDPWD=real", "OLDPWD=@W@/file", "IFS= ", "IFS=x", "IFS=", "IFS=/",
    "IFS=0", "HOME=", "HOME=/", "HOME=@W@/real", "ENV=@W@/here.sh",
    "BASH_ENV=@W@/here.sh", "CDPATH=@W@/real", "CDPATH=:@W@",
    "CDPATH=", "CDPATH=.", "CDPATH=..", "POSIXLY_CORRECT=1",
    "POSIXLY_CORRECT=", "POSIX_PEDANTIC=1", "SHELLOPTS=braceexpand:hashall",
    "SHELLOPTS=xtrace", "SHELLOPTS=noexec", "SHELLOPTS=errexit",
    "SHELLOPTS=", "SHELLOPTS=posix", "SHELLOPTS=nounset:verbose",
    "SHELLOPTS=noglob", "SHELLOPTS=noclobber", "BASHOPTS=", "BASHOPTS=extglob",
    "BASHOPTS=xpg_echo:expand_aliases", "BASHOPTS=dotglob:nullglob",
    "BASH_XTRACEFD=2", "BASH_COMPAT=31", "BASH_COMPAT=x", "BASH_COMPAT=5.1",
    "PS1=$ ", "PS4=+ $(p0)", "PS4=x", "OPTIND=3", "OPTIND=x", "OPTERR=0",
    "OPTARG=x", "PPID=1", "UID=7", "EUID=7", "RANDOM=5", "SECONDS=5",
    "LINENO=9", "BASHPID=3", "GROUPS=3", "BASH=/x", "BASH_VERSION=4",
    "BASH_ARGV0=x", "HOSTNAME=h", "HOSTTYPE=x", "MACHTYPE=y", "OSTYPE=z",
    "DIRSTACK=x", "FUNCNAME=x", "PIPESTATUS=3", "HISTFILE=@W@/file",
    "HISTCMD=3", "HISTSIZE=3", "TMOUT=5", "MAIL=/x", "MAILPATH=/x",
    "MAILCHECK=0", "COLUMNS=10", "LINES=5", "TERM=dumb", "TERM=xterm",
    "INSIDE_EMACS=1", "EMACS=t", "GLOBIGNORE=*", "EXECIGNORE=*p0", "FIGNORE=x",
    "PROMPT_COMMAND=p0", "histchars=!^#", "TMPDIR=/x", "TIMEFORMAT=x",
    "BASH_LOADABLES_PATH=/x", "COMP_WORDBREAKS=x", "EPOCHSECONDS=5",
    "SRANDOM=5", "BASH_SUBSHELL=3", "BASH_COMMAND=x", "BASH_ALIASES=x",
    "BASH_CMDS=x", "BASH_REMATCH=x", "BASH_EXECUTION_STRING=x", "HISTCONTROL=x",
    "IGNOREEOF=1", "REPLY=x", "COPROC=x", "MAPFILE=x", "TZ=UTC", "ignoreeof=1",
    "FCEDIT=x", "PS2=> ", "allow_null_glob_expansion=1", "notify=1",
    "BASH_ARGC=1", "PATHX=1",
    // Functions that bash takes from its environment.
    "BASH_FUNC_x%%=() { p0 x; }", "BASH_FUNC_p0%%=() { p7 function; }",
    "BASH_FUNC_cc%%=() {  p0 \"$@\"\n}", "BASH_FUNC_cd%%=() { p0 cd; }",
    "BASH_FUNC_true%%=() { p1; }", "BASH_FUNC_:%%=() { p1; }",
    "BASH_FUNC_exit%%=() { p1; }", "BASH_FUNC_exec%%=() { p1; }",
    "BASH_FUNC_@R@/bin/p0%%=() { p7; }", "BASH_FUNC_p0%%=() { p7",
    "BASH_FUNC_p0%%=x", "BASH_FUNC_p0()=() { p7; }", "p0=() { p7; }",
    "BASH_FUNC_p0%%=() { :;}; p7", "BASH_FUNC_p0%%=", "BASH_FUNC_%%=() { p7; }",
    "BASH_FUNC_p1%%", "BASH_FUNC_a b%%=() { p7; }",
    // No names, and no entries.
    "1a=b", "a-b=c", "a.b=c", "a b=c", "=x", "=", "", "noequals", "A",
    "\xc3\xa4=b", "\x81=b", "A\x81=b", "a[0]=b", "a+=b", " A=b", "A =b",
    "a%%=b", "\t=x", "-=x", "?=x", "$=x", "!=x", "@=x", "*=x", "#=x", "0=x",
    "1=x", "__=x", "A==", "A=b=c", "PWD", "PATH", "OLDPWD", "SHLVL", "_",
    "LD_LIBRARY_PATH=/x", "MAKEFLAGS= -j2 --jobserver-auth=3,4",
    "GCC_COLORS=", "CCACHE_DIR=/x", "NINJA_STATUS=[%f/%t] "};

constexpr const char* kElements[] = {"@R@/bin",
                                     "@R@/bin",
                                     "@R@/bin2",
                                     "@R@/bin/",
                                     "@R@/bin//",
                                     "bin",
                                     "",
                                     ".",
                                     "./bin",
                                     "missing",
                                     "@W@",
                                     "@W@/shut",
                                     "@W@/dark",
                                     "@W@/file",
                                     "@R@/missing",
                                     "/",
                                     "~/bin",
                                     "~",
                                     "@W@/a b",
                                     "@W@/link",
                                     "@W@/loop",
                                     "@R@/bin%func",
                                     "%builtin",
                                     "@R@/bin%x",
                                     "..",
                                     "../../bin",
                                     "@R@/top/../bin"};

}  // namespace

std::string Generator::SearchPath() {
  if (rng_.OneIn(2))
    return "@R@/bin";
  std::string path = rng_.Pick(kElements);
  for (size_t i = rng_.Below(4); i-- > 0;)
    path += std::string(":") + rng_.Pick(kElements);
  if (!rng_.OneIn(4))
    path += ":@R@/bin";
  if (rng_.OneIn(40))
    path += ":" + std::string(10'000, 'x') + ":@R@/bin";
  if (rng_.OneIn(40))
    for (int i = 0; i < 500; ++i)
      path += ":@R@/missing/x";
  return path;
}

std::string Generator::PwdValue(Case::Start start) {
  static constexpr const char* kRight[] = {"@W@",     "@W@/real", "@W@/link",
                                           "@W@/a b", "@W@/dark", "@R@/gone"};
  static constexpr const char* kOthers[] = {
      "",           "/",           "@W@/",
      "@W@/.",      "@W@/../w",    "@W@//",
      "/@W@",       "@W@/abs/..",  "@W@/up/w",
      "@W@/link",   "@W@/abs",     "@W@/real",
      ".",          "w",           "real",
      "..",         "@W@/missing", "@W@/file",
      "@R@",        "@R@/top",     "@W@/real/deep/..",
      "@W@/./real", "@R@/top/./w", "x y",
      "@W@\n",      "~",           "@W@/a b",
      "@W@/shut",   "@R@//top/w",  "/proc"};
  if (rng_.OneIn(2))
    return kRight[static_cast<int>(start)];
  return rng_.OneIn(100) ? "/" + std::string(10'000, 'x') : rng_.Pick(kOthers);
}

std::string Generator::Entry() {
  switch (rng_.Weighted({20, 3, 1, 1})) {
    case 0:
      return rng_.Pick(kEntries);
    case 1:
      return Name() + "=" + Bytes(6);
    case 2:
      return Bytes(8);
    default:
      return Name() + "=" + std::string(10'000, 'a');
  }
}

std::vector<std::string> Generator::Environment(Case::Start start) {
  std::vector<std::string> env;
  if (rng_.OneIn(30))
    return env;
  if (!rng_.OneIn(40))
    env.push_back("PATH=" + (rng_.OneIn(5) ? SearchPath() : "@R@/bin"));
  if (!rng_.OneIn(4))
    env.push_back("HOME=@W@");
  if (!rng_.OneIn(5))
    env.push_back("PWD=" + PwdValue(start));
  // Many entries with rarely one that matters, or the same one twice.
  for (size_t i = rng_.OneIn(3) ? 0 : rng_.Below(7); i-- > 0;)
    if (std::string entry = Entry(); !entry.starts_with("LD_PRELOAD"))
      env.push_back(entry);  // It would change the shell: not a case.
  if (rng_.OneIn(8) && !env.empty()) {
    std::string again = rng_.Pick(env);
    env.push_back(rng_.OneIn(2)
                      ? again
                      : again.substr(0, again.find('=')) + "=" + Plain());
  }
  if (rng_.OneIn(30))
    for (int i = 0; i < 300; ++i)
      env.push_back("MANY_" + std::to_string(rng_.Below(200)) + "=x");
  if (rng_.OneIn(2))
    for (size_t i = env.size(); i > 1; --i)
      std::swap(env[i - 1], env[rng_.Below(i)]);
  return env;
}

}  // namespace shell_fuzz
