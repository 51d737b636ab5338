"""Turns musl's makefile into a build.ninja with the very same commands.

The commands are those `make -n` prints. Commands that write the same file
(cp, then sed >> it) become one edge.
"""

import os
import re
import shlex
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

# Would change the commands that configure writes down.
IGNORED_VARIABLES = ("CFLAGS", "CPPFLAGS", "LDFLAGS", "MAKEFLAGS", "CROSS_COMPILE")

PRODUCTS = ("obj", "lib")


class Step(NamedTuple):
    output: str
    inputs: List[str]
    command: str


def prepare(tarball: Path, area: Path, compiler: str = "clang") -> Path:
    """Unpacks and configures musl and writes build.ninja, once per `area`,
    which is for one compiler."""
    tree = area / "musl"
    if (tree / "build.ninja").is_file():
        return tree
    shutil.rmtree(area, ignore_errors=True)
    area.mkdir(parents=True)
    with tarfile.open(tarball) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(area)
    (root,) = area.iterdir()
    root.rename(tree)
    environment = {k: v for k, v in os.environ.items() if k not in IGNORED_VARIABLES}
    environment["CC"] = compiler
    output(["./configure", "--disable-shared"], tree, environment)
    plan = output(["make", "-n", "--no-print-directory"], tree, environment)
    manifest = to_manifest(plan, tree)
    partial = tree / "build.ninja.new"
    partial.write_text(manifest)
    partial.rename(tree / "build.ninja")
    return tree


def clean(tree: Path) -> None:
    """As after configuring."""
    for name in PRODUCTS:
        shutil.rmtree(tree / name, ignore_errors=True)
    for name in (".ninja_log", ".ninja_deps"):
        (tree / name).unlink(missing_ok=True)


def output(command: List[str], cwd: Path, environment: Dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{done.stdout[-4000:]}\n{' '.join(command)} failed")
    return done.stdout


def parse(line: str, tree: Path) -> Optional[Step]:
    """What one command of the makefile writes and reads; None: nothing."""
    words = shlex.split(line)
    if words[0] in ("mkdir", "make", "make:"):
        return None  # ninja makes the directories of outputs
    if "-o" in words:
        target = words[words.index("-o") + 1]
    elif words[0] == "rm":
        target = words[-1]
    elif words[0] == "ar":
        target = words[2]
    elif any(word in (">", ">>") for word in words):
        target = words[max(i for i, w in enumerate(words) if w in (">", ">>")) + 1]
    elif words[0] in ("cp", "ranlib", "chmod"):
        target = words[-1]
    else:
        raise ValueError(f"musl's makefile has a command of a new kind: {line}")
    built = re.compile(r"(\./)?(obj|lib)/.*\.(o|lo)$")
    inputs = [
        word
        for word in words[1:]
        if word != target and (built.match(word) or (tree / word).is_file())
    ]
    return Step(target, inputs, line)


def to_manifest(plan: str, tree: Path) -> str:
    steps: Dict[str, Step] = {}
    for line in plan.replace("\\\n", " ").splitlines():
        step = parse(line, tree) if line.strip() else None
        if step is None:
            continue
        same = steps.get(step.output)
        if same:
            inputs = same.inputs + [i for i in step.inputs if i not in same.inputs]
            step = Step(step.output, inputs, f"{same.command} && {step.command}")
        steps[step.output] = step
    # Any source may include a generated header: everything else waits for them.
    headers = [name for name in steps if name.endswith(".h")]
    lines = ["rule run", "  command = $line", "  description = $out", ""]
    for step in steps.values():
        waits = "" if step.output in headers else " || " + " ".join(headers)
        inputs = "".join(" " + escape(i) for i in step.inputs)
        lines.append(f"build {escape(step.output)}: run{inputs}{waits}")
        lines.append("  line = " + step.command.strip().replace("$", "$$"))
    return "\n".join(lines) + "\n"


def escape(path: str) -> str:
    return re.sub(r"([$ :])", r"$\1", path)
