#!/usr/bin/env python3
"""The manual pages say all there is, and nothing that is not: options, variables
of the environment, functions of C.
"""

import re
import shutil
import subprocess
import unittest
from pathlib import Path
from typing import Set

from support import LAUNCHERD, Test

ROOT = Path(__file__).parents[2]
MAN = ROOT / "launcherd" / "man"


def page(name: str) -> str:
    return (MAN / name).read_text().replace("\\-", "-")


def options(text: str) -> Set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


class Manual(Test):
    def help(self, *words: str) -> str:
        done = self.launcherd(*words, "--help")
        self.assertEqual(done.returncode, 0)
        return done.stdout

    def test_options(self) -> None:
        for name, words in (
            ("launcherd-exec.1", ["exec"]),
            ("launcherd-serve.1", ["serve"]),
        ):
            self.assertEqual(options(page(name)) | {"--help"}, options(self.help(*words)), name)
        ours = options(self.help()) | options(self.help("inspect"))
        self.assertEqual(options(page("launcherd.1")) | {"--help", "--version"}, ours)

    def test_variables(self) -> None:
        """Those that the sources read are in a page, and the other way round."""
        read = set()
        for path in (ROOT / "launcherd").rglob("*.cc"):
            read |= set(re.findall(r'(?:getenv|Environment)\("([A-Z_]+)"\)', path.read_text()))
            read |= set(re.findall(r'"(LAUNCHER_[A-Z_]+)"', path.read_text()))
        text = "".join(page(path.name) for path in MAN.iterdir())
        ours = {name for name in read if name.startswith("LAUNCHER_")}
        self.assertGreater(len(ours), 3)
        for name in sorted(ours | {"XDG_RUNTIME_DIR", "MAKEFILES"}):
            self.assertIn(name, text)
        for name in set(re.findall(r"\bLAUNCHER_[A-Z_]*[A-Z]\b", text)):
            if name.startswith(("LAUNCHER_EX", "LAUNCHER_COMMAND", "LAUNCHER_ABI")):
                continue  # Of c.h.
            self.assertIn(name, read | {"LAUNCHER_SERVER"}, "no source reads it")

    def test_functions(self) -> None:
        """The prototypes of launcher(3) are those of the header."""
        header = (ROOT / "launcherd/include/launcher/c.h").read_text()
        synopsis = page("launcher.3").split(".SH SYNOPSIS")[1].split(".SH DESCRIPTION")[0]
        lines = [line.removeprefix(".BI ") for line in synopsis.splitlines() if line.startswith(".BI")]
        # Words in quotes as they are; others are joined to what is before them.
        told = "".join(
            "".join(a or b for a, b in re.findall(r'"([^"]*)"|([^\s"]+)', line)) for line in lines
        )
        form = r"(?:int|void|size_t|uint32_t) launcher_[a-z_]+\([^)]*\)"

        def prototypes(text: str) -> Set[str]:
            return {re.sub(r"\s*([*,()])\s*|\s+", r"\1 ", found) for found in re.findall(form, text)}

        in_header = prototypes(re.sub(r"/\*.*?\*/", "", header, flags=re.S))
        self.assertGreater(len(in_header), 12)
        self.assertEqual(prototypes(told), in_header)
        names = page("launcher.3").split(".SH NAME")[1].split("- start")[0]
        for function in re.findall(r"launcher_[a-z_]+(?=\()", " ".join(in_header)):
            self.assertRegex(names, rf"\b{function}\b")
            self.assertIn(function, page("launcher.3").split(".SH DESCRIPTION")[1], function)

    def test_every_page_is_installed_and_refers_to_others_that_are_there(self) -> None:
        known = {path.name for path in MAN.iterdir()}
        description = (ROOT / "CMakeLists.txt").read_text()
        for name in known:
            self.assertIn(f"launcherd/man/{name}", description)
            for other, section in re.findall(r"^\.BR (launcher\S*) \((\d)\)", page(name), re.M):
                self.assertIn(f"{other}.{section}", known, name)

    @unittest.skipUnless(shutil.which("groff"), "no groff here")
    def test_form(self) -> None:
        for path in MAN.iterdir():
            done = subprocess.run(
                ["groff", "-man", "-Tascii", "-ww", "-z", str(path)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            self.assertEqual((done.returncode, done.stdout), (0, ""), path)


if __name__ == "__main__":
    unittest.main()
