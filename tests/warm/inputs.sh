#!/bin/sh
# Makes, in the current directory, what the commands of programs.txt read, and
# in ../programs some that they run.
# What a missing tool cannot make is missing too: its users are not there.
#
# SPDX-License-Identifier: Apache-2.0

set -u
LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=1000000000
export LC_ALL TZ SOURCE_DATE_EPOCH
have() { command -v "$1" > /dev/null 2>&1; }

cat > util.h <<'END'
#ifndef UTIL_H
#define UTIL_H
int twice(int value);
#endif
END
cat > util.c <<'END'
#include "util.h"
#include <stdio.h>
static int calls;
int twice(int value) {
  if (++calls < 0)
    puts("never");
  return 2 * value;
}
END
cat > hello.c <<'END'
#include <stdio.h>
#include "util.h"
int main(int argc, char** argv) {
  for (int i = 0; i < argc; ++i)
    printf("%d %s %d\n", i, i ? argv[i] : "", twice(i));
  return 0;
}
END
cat > wrong.c <<'END'
int main(void) { int unused; return undeclared; }
END
cat > hello.cc <<'END'
#include <map>
#include <string>
int Count(const std::string& text) {
  std::map<char, int> seen;
  for (char c : text)
    ++seen[c];
  return static_cast<int>(seen.size());
}
END
cat > empty.s <<'END'
	.text
	.globl answer
answer:
	mov $42, %eax
	ret
END
cat > gram.y <<'END'
%{
int yylex(void);
void yyerror(const char *text);
%}
%token NUMBER
%left '+'
%left '*'
%%
sum: sum '+' sum | sum '*' sum | NUMBER;
%%
END
cat > scan.l <<'END'
%option noyywrap
%%
[0-9]+  return 1;
.|\n    ;
%%
END
printf '%s\n' '%%' one two three '%%' > keys.gperf
cat > macros.m4 <<'END'
define(`twice', `$1 and $1')dnl
twice(`once') len(`12345') eval(6*7)
END
cat > Makefile <<'END'
all: out.txt
out.txt: text.txt
	@sort -r text.txt > $@ && echo sorted
END
echo '{"b": [1, 2, {"c": null}], "a": "text"}' > data.json
echo '<?xml version="1.0"?><a><b c="d">text</b></a>' > data.xml
awk 'BEGIN { for (i = 0; i < 400; ++i) print (i * 7919) % 1000, "line", i }' \
  > text.txt
sed 's/line 1/LINE 1/' text.txt > other.txt
sort text.txt > sorted.txt
cat > script.py <<'END'
import json, os, re, sys
print(sys.argv[1:], os.getcwd() == os.environ.get("PWD"))
print(json.dumps({"a": [1, 2], "b": re.sub("x", "y", "xyz")}))
print(os.getpid() > 1, sorted(os.listdir("."))[:3])
with open("made.txt", "w") as made:
    made.write("by python\n")
END
cat > script.pl <<'END'
use strict;
use warnings;
my %seen;
while (<>) { $seen{$1}++ if /^(\d)/; }
print "$_ $seen{$_}\n" for sort keys %seen;
print "$0 @ARGV ", $$ > 1 ? "pid" : "", "\n";
END
cat > script.js <<'END'
const fs = require('fs');
console.log(process.argv.slice(2), process.title.length > 0);
fs.writeFileSync('made.txt', fs.readFileSync('text.txt', 'utf8').slice(0, 99));
END
cat > script.tcl <<'END'
puts "[lsort $argv] [expr {6 * 7}] [expr {[pid] > 1}]"
END
cat > CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.10)
project(small NONE)
add_custom_target(all-of-it ALL COMMAND ${CMAKE_COMMAND} -E echo made)
END
echo 'message(STATUS "six times seven")
math(EXPR answer "6 * 7")
file(WRITE made.txt "${answer}\n")' > script.cmake
printf 'msgid "one"\nmsgstr "eins"\n' > words.po
diff -u text.txt other.txt > change.diff
mkdir -p tree/a/b tree/c
echo one > tree/a/one.txt
echo two > tree/a/b/two.txt
echo three > tree/c/three.c

have gcc && {
  gcc -O1 -c util.c && gcc -O1 -c hello.c && gcc -o hello hello.o util.o
  ar rcsD libutil.a util.o
  cp hello ../programs
  gcc -shared -fPIC -o libutil.so util.c
}
have clang && clang -O1 -emit-llvm -c util.c -o util.bc
have rustc && {
  echo 'fn main() { for a in std::env::args().skip(1) { println!("{}", a); }
    println!("{:?}", std::thread::spawn(|| 42).join().unwrap()); }' > rust.rs
  rustc -O -o ../programs/rust-program rust.rs
}
have go && {
  mkdir go && printf '%s\n' 'package main' 'import ("fmt"; "os")' \
    'func main() { fmt.Println(os.Args[1:], os.Getpid() > 1) }' > go/main.go
  printf '%s\n' 'package main' '// #include <stdlib.h>' 'import "C"' \
    'import ("fmt"; "os")' \
    'func main() { fmt.Println(C.abs(-7), os.Args[1:], os.Getenv("HOME")) }' \
    > go/cgo.go
  (cd go && export HOME=${HOME:-$PWD} && for name in main cgo; do
    go build -o ../../programs/go-$name $name.go
  done)
}
have musl-gcc && musl-gcc -o ../programs/musl-program hello.c util.c
have gcc && gcc -static -o ../programs/static-program hello.c util.c
have gcc && gcc -static-pie -o ../programs/static-pie-program hello.c util.c
have gcc && gcc -no-pie -o ../programs/no-pie-program hello.c util.c
have g++ && {
  cat > throws.cc <<'END'
#include <iostream>
#include <stdexcept>
#include <thread>
static struct Global {
  Global() { std::cout << "made\n"; }
  ~Global() { std::cout << "gone\n"; }
} global;
thread_local int mine = 7;
int main(int argc, char** argv) {
  try {
    if (argc > 1)
      throw std::runtime_error(argv[1]);
  } catch (const std::exception& e) {
    std::cout << "caught " << e.what() << "\n";
  }
  std::thread([] { std::cout << ++mine << "\n"; }).join();
  std::cout << mine << std::endl;
}
END
  g++ -O1 -pthread -o ../programs/throws throws.cc
}
have javac && {
  echo 'class Hello { public static void main(String[] a) {
    System.out.println(String.join(",", a)); } }' > Hello.java
  javac Hello.java
}
have git && (
  export GIT_CONFIG_NOSYSTEM=1 HOME=/nonexistent
  export GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000000 +0000'
  export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b
  export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
  git init -q -b main repo && cd repo && rm -rf .git/hooks
  cp ../text.txt ../util.c . && git add . && git commit -qm first
  cp ../other.txt text.txt && git add . && git commit -qm second
  sed 's/2/3/' ../util.c > util.c && echo new > new.txt
)
tar --sort=name --mtime=@0 --owner=0 --group=0 -cf tree.tar tree
gzip -nk9 tree.tar
have xz && xz -k text.txt
have zstd && zstd -q -k text.txt
have bzip2 && bzip2 -k text.txt
have zip && (cd tree && zip -qrX ../tree.zip .)
have sqlite3 && sqlite3 small.db \
  'create table t(a, b); insert into t values (1, "x"), (2, "y");'
exit 0
