// The programs that lines may name.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SHELL_PROGRAMS_H_
#define TESTS_SHELL_PROGRAMS_H_

namespace shell_fuzz {

/// Witnesses that end in all the ways there are. No signal that stops.
inline constexpr const char* kEnding[] = {
    "p1",  "p2",  "p7",  "p126", "p127", "p128", "p130", "p139", "p255", "k1",
    "k2",  "k3",  "k4",  "k5",   "k6",   "k7",   "k8",   "k9",   "k10",  "k11",
    "k12", "k13", "k14", "k15",  "k16",  "k17",  "k18",  "k23",  "k24",  "k25",
    "k26", "k27", "k28", "k29",  "k30",  "k31",  "k34",  "k50",  "k64"};

/// Witnesses named as tools are. Several are applets of busybox.
inline constexpr const char* kTools[] = {
    "cc",     "c++",   "gcc-12",       "x86_64-linux-gnu-g++",
    "clang",  "ar",    "gcc-ar",       "ranlib",
    "ld.lld", "cmake", "ninja",        "python3.0",
    "touch",  "cp",    "rm",           "mkdir",
    "ln",     "cat",   "env",          "gn",
    "meson",  "moc",   "glib-mkenums", "msgfmt",
    "perl",   "rustc", "windres",      "install",
    "sort",   "strip", "true",         "false"};

/// Witnesses named as what a shell does itself, if the name is not quoted, or
/// quoted too, or one shell and not another.
inline constexpr const char* kWords[] = {
    "!",        "[",        "[[",        "]]",       "{",       "}",
    ":",        "alias",    "bg",        "bind",     "break",   "builtin",
    "caller",   "case",     "cd",        "chdir",    "command", "compgen",
    "complete", "continue", "coproc",    "declare",  "dirs",    "disown",
    "do",       "done",     "echo",      "elif",     "else",    "enable",
    "esac",     "eval",     "exec",      "exit",     "export",  "fc",
    "fg",       "fi",       "for",       "function", "getopts", "hash",
    "help",     "history",  "if",        "in",       "jobs",    "let",
    "local",    "logout",   "mapfile",   "popd",     "printf",  "pushd",
    "pwd",      "read",     "readarray", "readonly", "return",  "select",
    "set",      "shift",    "shopt",     "source",   "test",    "then",
    "time",     "times",    "trap",      "type",     "typeset", "ulimit",
    "umask",    "unalias",  "unset",     "until",    "wait",    "while"};

/// Witnesses whose names a careless reader of command lines takes for something
/// else.
inline constexpr const char* kOdd[] = {"^",
                                       "%",
                                       "@",
                                       "+",
                                       ",",
                                       "]",
                                       "~",
                                       "#",
                                       "=",
                                       "-",
                                       "--",
                                       "-e",
                                       "1",
                                       "2",
                                       "A=b",
                                       "=b",
                                       "1a=b",
                                       "a+=b",
                                       "a[0]=b",
                                       "#x",
                                       "~x",
                                       "x~",
                                       "x#",
                                       "a:~",
                                       "%p",
                                       "^p",
                                       "p^",
                                       "x!",
                                       "!x",
                                       "{x}",
                                       "{a,b}",
                                       "x{",
                                       "}x",
                                       "a b",
                                       " ",
                                       "\t",
                                       "\n",
                                       "*",
                                       "?",
                                       "[x]",
                                       "a*b",
                                       "$",
                                       "$x",
                                       "x$",
                                       "`",
                                       "'",
                                       "\"",
                                       "\\",
                                       "\\x",
                                       "a;b",
                                       "&",
                                       "&&",
                                       "|",
                                       "(",
                                       "<",
                                       ">",
                                       "2>",
                                       "\x01",
                                       "\x01p",
                                       "\x7f",
                                       "p\x7f",
                                       "\x81",
                                       "\x82p",
                                       "\x84",
                                       "p\x88",
                                       "\x88",
                                       "\x80",
                                       "\xa0",
                                       "\xff",
                                       "\xc3\xa4",
                                       "\xe2\x82\xac",
                                       "\xc2\xa0",
                                       "\r",
                                       "p\r",
                                       "...",
                                       "+x",
                                       "@x",
                                       ",x",
                                       "x,",
                                       "x=",
                                       "if=",
                                       "cdx",
                                       "p0 "};

/// Relative to the directory lines are run in: what cannot be started as it
/// stands there, or only in a way of its own.
inline constexpr const char* kUnusual[] = {
    "missing",     "real/missing", "missing/x", "real",
    "dangling",    "loop",         "shut/x",    "dark/x",
    "file",        "file/x",       "here.sh",   "bang",
    "bangmissing", "bangrel",      "empty",     "badformat",
    "noexec",      "unreadable",   "decoydir",  "decoyfile",
    "decoyformat", "decoylink",    "decoydead", "",
    ".",           "..",           "/",         "real/deep/",
    "link/",       "file/"};

/// In bin and bin2 alike, but something else in bin2.
inline constexpr const char* kDecoys[] = {
    "decoydir", "decoyfile", "decoyformat", "decoylink", "decoydead"};

}  // namespace shell_fuzz

#endif  // TESTS_SHELL_PROGRAMS_H_
