#!/usr/bin/env python3
"""launcherd make against make: the same output, files and statuses, of builds
that use whatever make has that touches its shell.
"""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Dict, List

from support import ENVIRONMENT, LAUNCHER_SH, LAUNCHERD, PROBE, Test, Told, warm_is_possible

MAKEFILES: Dict[str, Dict[str, str]] = {
    "statuses and deaths": {
        "Makefile": """
all: ; @echo end
all: a b c d e f g h i
.PHONY: all a b c d e f g h i
a: ; -$P exit 3
b: ; -$P raise 9
c: ; -$P raise 15 >out
d: ; -false
e: ; -exit 4
f: ; -$P exit 5 2>&1
g: ; -true && $P raise 11
h: ; -@:
i: ; -./script && echo never
""",
        "script": "exit 6\n",
    },
    "a failure ends it": {"Makefile": "all: a b\na: ; $P exit 3\nb: ; $P argv never\n"},
    "a death ends it": {"Makefile": "all: a b\na: ; $P raise 9\nb: ; $P argv never\n"},
    "what is not there": {
        "Makefile": """
all: a b c d e f g
.PHONY: all a b c d e f g
a: ; -nonexistent a b
b: ; -./nonexistent a
c: ; -./script a
d: ; -./forbidden a
e: ; -sub
f: ; -./interpreter
g: ; @+-$(MAKE) --no-print-directory -C sub
$(info $(shell nonexistent) $(.SHELLSTATUS) $(shell ./forbidden) $(.SHELLSTATUS))
""",
        "script": "echo in a script $1\n",
        "forbidden": "echo never\n",
        "interpreter": "#!/nonexistent\n",
        "sub/Makefile": "$(info $(shell nonexistent) $(.SHELLSTATUS))\nall: ; nonexistent\n",
    },
    "what is not there, on other ways": {
        "Makefile": """
export PATH := .:$(PATH)::sub/:/%x
all: ; -nonexistent a
\t-program a
\t-other a
""",
        "program": "#!/bin/sh\necho program $1\n",
        "sub/other": "#!/bin/sh\necho other $1\n",
    },
    "what is not there, in no English": {
        "Makefile": "export LC_ALL := xx_XX\nall: ; $P argv a\n\tnonexistent 2>/dev/null\n",
    },
    "environment": {
        "Makefile": """
export X := x y
unexport Y
all: Z := z
all: export Z
all: ; $P env cwd sig
\t$P env cwd sig >out; cat out
\tA=b $P env "x"
\tcd sub && $P env cwd
\t@$P limit \\
\t   argv 'a \\
\tb' "c \\
\td"
""",
        "sub/x": "",
    },
    "descriptors": {"Makefile": "all: ; $P fds\n\t$P fds 2>&1 >out </dev/null\n\tcat out\n"},
    "own shell": {
        "Makefile": """
SHELL := /bin/bash
all: a b
a: ; @[[ x == x ]] && echo $$BASH
b: SHELL := /bin/sh
b: ; @echo $$BASH; $P argv b
""",
    },
    "the default shell, by name": {
        "Makefile": """
SHELL = /bin/sh
VPATH = sub
export
unexport SHELL
all: a b c d; @$P env 2>&1
a: ; @$P argv a; echo $$0 | sed 's,.*/,,'
b: SHELL := /bin/bash
b: ; @[[ x == x ]] && echo $$BASH
c: made.mk ; @$P argv $(GPATH) $(V) $(origin SHELL)
d: found ; @$P argv $<
include made.mk
made.mk: ; echo 'V := x' >$@
""",
        "sub/found": "",
    },
    "its GPATH": {
        "Makefile": """
SHELL := /bin/sh
VPATH = sub
GPATH = sub
all: file ; @$P argv $(GPATH) $(wildcard file sub/file)
file: Makefile ; @echo more >>$@
""",
        "sub/file": "old",
    },
    "shell on the command line": {
        "arguments": "SHELL=/bin/bash",
        "Makefile": "all: ; @[[ x == x ]] && echo $$BASH\n",
    },
    "one shell": {
        "Makefile": """
.ONESHELL:
all: ; @echo a
\t@x=1
\t-+echo $$x
\t$P argv b
""",
    },
    "one shell, other flags": {
        "Makefile": ".ONESHELL:\n.SHELLFLAGS = -e -x -c\nall:\n\t@echo a\n\t@false\n\techo b\n",
    },
    "flags": {"Makefile": ".SHELLFLAGS := -ec\nall:\n\t@$P argv a; false; $P argv b\n"},
    "posix": {"Makefile": ".POSIX:\nall:\n\t@$P argv a\n\t@false; echo b\n"},
    "functions": {
        "Makefile": """
x := $(shell $P argv x)
y := $(shell $P argv y | cat; exit 3)
$(info $x $y $(.SHELLSTATUS))
z != $P exit 5
$(info $z $(.SHELLSTATUS) $(shell ls nowhere 2>/dev/null) $(.SHELLSTATUS))
all: ; @echo $(shell $P env)
""",
    },
    "makefiles": {
        "Makefile": """
here := $(MAKEFILE_LIST)
first := $(firstword $(MAKEFILE_LIST))
include part.mk
$(info $(here) $(first) $(words $(MAKEFILE_LIST)) $(lastword $(MAKEFILE_LIST)))
$(info $(.DEFAULT_GOAL) $(origin MAKEFILE_LIST) $(flavor SHELL))
first: ; @echo $(.DEFAULT_GOAL)
%: ; @echo any $@
""",
        "part.mk": "part: ; @echo part\n",
    },
    "made makefiles": {
        "Makefile": "-include made.mk\nall: ; @echo $(X)\nmade.mk: ; echo X = made >$@\n",
    },
    "sub-makes": {
        "Makefile": """
all: a b c
a b c: ; +@$(MAKE) --no-print-directory -C $@ X=$@ here
""",
        **{
            f"{name}/Makefile": """
here: 1 2 3
1 2 3: ; @$P argv $(X) $@ $(MAKELEVEL) >$@.out
\t@echo "$(filter-out --%,$(MAKEFLAGS))" >>$@.out
"""
            for name in "abc"
        },
    },
    "dry run": {"arguments": "-n", "Makefile": "all: ; $P argv a\n\t+$P argv b\n"},
    "question": {"arguments": "-q", "Makefile": "all: ; $P argv a\n"},
    "own makefiles": {
        "MAKEFILES": "extra.mk",
        "Makefile": "$(info $(MAKEFILE_LIST) $(X))\nall: ; @echo $(X)\n",
        "extra.mk": "X := extra\nextra: ; @echo extra\n",
    },
    "special characters": {
        "Makefile": r"""
all:
	$P argv a\ b 'c  d' e\\f '' ''
	$P argv 'a"b' g=h --x=y -i '#' \#
	$P argv "a'b" ~root a~b x! %
	$P argv $$HOME $$$$ | sed s/[0-9]//g
	$P argv a	b	 c  
	echo 'a\tb'
	printf '%s\n' a\ b
	test -f Makefile
	[ -f Makefile ]
	''$P argv x
""",
    },
}


class Make(Test):
    def build(self, words: List[str], files: Dict[str, str], arguments: List[str]) -> tuple:
        with tempfile.TemporaryDirectory() as name:
            # The same path for both.
            area = self.area / "build"
            area.symlink_to(name)
            try:
                for path, text in files.items():
                    (area / path).parent.mkdir(parents=True, exist_ok=True)
                    (area / path).write_text(text)
                    (area / path).chmod(0o644 if path == "forbidden" else 0o755)
                environment = dict(ENVIRONMENT)
                if "MAKEFILES" in files:
                    environment["MAKEFILES"] = files["MAKEFILES"]
                done = subprocess.run(
                    [*words, "make", "-C", str(area), *arguments],
                    cwd=self.area,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    timeout=120,
                )
                told = Told(done)
                found = {
                    str(path.relative_to(area)): self.clean(path.read_text())
                    for path in sorted(area.resolve().rglob("*"))
                    for path in [area / path.relative_to(area.resolve())]
                    if path.is_file()
                }
                self.told = told
                return done.returncode, self.clean(told.stdout, arguments), self.clean(
                    told.stderr, arguments
                ), found
            finally:
                area.unlink()

    @staticmethod
    def clean(text: str, arguments: List[str] = []) -> str:
        """Without what is different each time, and our own variables."""
        text = re.sub(r"(?m)^(LAUNCHER_SERVER|MAKEFILES)=\S*\n", "", text)
        text = re.sub(r" (LAUNCHER_SERVER|MAKEFILES)=\S*", "", text)
        text = re.sub(r"/tmp/tmp\w+", "AREA", text)
        text = re.sub(r"\[\d{4,}\]", "[N]", text)
        lines = text.splitlines()
        return "\n".join(sorted(lines) if "-j4" in arguments else lines)

    def expect_same(self, name: str, jobs: List[str]) -> Told:
        files = {path: text.replace("$P", PROBE) for path, text in MAKEFILES[name].items()}
        arguments = files.pop("arguments", "").split() + jobs
        plain = self.build([], files, arguments)
        ours = self.build([LAUNCHERD, "--stats"], files, arguments)
        self.assertEqual(plain, ours, name)
        return self.told

    def test_builds(self) -> None:
        warm = 0
        for name in MAKEFILES:
            with self.subTest(name):
                warm += self.expect_same(name, []).warm
        if warm_is_possible():
            self.assertGreater(warm, 15)

    def test_builds_with_jobs(self) -> None:
        for name in MAKEFILES:
            with self.subTest(name):
                # Which line comes last is not certain: -k.
                self.expect_same(name, ["-j4", "-k"])

    def test_shells_that_makefiles_name(self) -> None:
        """What counts is how many lines have come to launcher-sh."""
        for start, arguments, caught in (
            ("", [], 2),
            ("SHELL = /bin/sh", [], 2),
            ("SHELL := /bin/sh", [], 2),
            ("SH = /bin/sh\nSHELL = $(SH)", [], 0),
            ("SHELL = /bin/bash", [], 0),
            ("override SHELL = /bin/sh", [], 0),
            ("all: SHELL = /bin/sh", [], 0),
            ("SHELL = /bin/sh\nGPATH = x", [], 0),
            ("", ["SHELL=/bin/sh"], 0),
            ("SHELL = /bin/bash", [f"SHELL={LAUNCHER_SH}"], 2),
        ):
            with self.subTest(start, arguments=arguments):
                files = {"Makefile": f"{start}\nall: ; @{PROBE} argv a\n\t@{PROBE} argv b 2>&1\n"}
                plain = self.build([], files, arguments)
                self.assertEqual(plain, self.build([LAUNCHERD, "--stats"], files, arguments))
                self.assertEqual(self.told.lines, caught, self.told.all)

    def test_fifo_of_a_jobserver(self) -> None:
        """The style of make 4.4; the variable is what a sub-make would get."""
        fifo = self.area / "fifo"
        os.mkfifo(fifo)
        fd = os.open(fifo, os.O_RDWR)
        self.addCleanup(os.close, fd)
        script = (
            f'export MAKEFLAGS=" -j --jobserver-auth=fifo:{fifo}"\n'
            f'printf "all: ; @{PROBE} env fds\\n" >Makefile; make --version >/dev/null\n'
            f'"$S" -c "{PROBE} env fds"'
        )
        told = self.with_statistics(script)
        self.assertEqual(told.status, 0)
        self.assertIn(f"MAKEFLAGS= -j --jobserver-auth=fifo:{fifo}\n", told.stdout)

    def test_the_jobserver_is_kept(self) -> None:
        """Never more jobs at a time than make was told, and not one by one."""
        script = self.area / "job"
        script.write_text(
            "#!/bin/sh\nmkdir running/$1\nls running | wc -l >count/$1\n"
            f"{PROBE} burn 20\nrmdir running/$1\n"
        )
        script.chmod(0o755)
        for name in ("running", "count", "sub"):
            (self.area / name).mkdir()
        (self.area / "Makefile").write_text(
            "all: one two\none two: ; +@$(MAKE) -f sub/Makefile NAME=$@ jobs\n"
        )
        (self.area / "sub/Makefile").write_text(
            "jobs: $(addprefix k,1 2 3 4 5 6)\nk%: ; @./job $(NAME)$*\n"
        )
        done = self.launcherd("make", "-j3")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        counts = [int(path.read_text()) for path in (self.area / "count").iterdir()]
        self.assertEqual(len(counts), 12)
        self.assertLessEqual(max(counts), 3)
        self.assertGreater(max(counts), 1)

    def test_objects(self) -> None:
        """What cc and ar make is the same byte for byte."""
        makefile = (
            "N := 1 2 3 4 5 6 7 8\n"
            "all: lib.a\n"
            "lib.a: $(N:%=o%.o) ; rm -f $@ && ar rc $@ $^\n"
            "o%.o: o%.c ; $(CC) -O1 -c -o $@ $<\n"
        )
        files = {"Makefile": makefile}
        for number in range(1, 9):
            files[f"o{number}.c"] = f"int f{number}(int a) {{ return a * {number}; }}\n"
        results = []
        for words in ([], [LAUNCHERD]):
            area = self.area / "w"
            area.mkdir()
            for path, text in files.items():
                (area / path).write_text(text)
            done = self.run_in_area([*words, "make", "-s", "-j2", "-C", str(area)])
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            results.append(
                {path.name: path.read_bytes() for path in area.glob("*.o")}
            )
            self.assertGreater((area / "lib.a").stat().st_size, 8 * 1000)
            area.rename(self.area / f"done{len(results)}")
        self.assertEqual(len(results[0]), 8)
        self.assertEqual(results[0], results[1])


if __name__ == "__main__":
    unittest.main()
