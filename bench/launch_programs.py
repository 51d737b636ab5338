"""The programs that launch.py starts, and copies of them that send their clock
with their first instructions."""

import shutil
import subprocess
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

import launch_tax
import measure


class Program(NamedTuple):
    name: str
    words: List[str]
    sender: List[str]  # the same, of the copy


NOTHING = "int main(void) { return 0; }\n"
# Its own system call; room for those of the copy.
NO_LIBC = """
__asm__(".globl _start\\n_start:\\tmov $231, %eax\\n\\txor %edi, %edi\\n\\tsyscall\\n.skip 64\\n");
"""
# Name: (compiler and source) or (program and arguments).
COMPILED: Dict[str, Tuple[List[str], str]] = {
    "no libc": (["cc", "-static", "-nostdlib", "-x", "c"], NO_LIBC),
    "static C": (["cc", "-O2", "-static", "-x", "c"], NOTHING),
    "dynamic C": (["cc", "-O2", "-x", "c"], NOTHING),
    "dynamic C++": (["c++", "-O2", "-Wl,--no-as-needed", "-x", "c++"], NOTHING),
}
FOUND = {
    "clang --version": ["clang", "--version"],
    "git --version": ["git", "--version"],
    "python3 -S": [launch_tax.PYTHON, "-I", "-S", "-c", "pass"],
}
PROGRAMS = (*COMPILED, *FOUND)

# lea -32(%rsp), %rsi; clock_gettime(CLOCK_MONOTONIC, %rsi); write(1, %rsi, 16);
# exit_group(0)
SEND = bytes.fromhex(
    "488d7424e0 bf01000000 b8e4000000 0f05"
    "b801000000 bf01000000 ba10000000 0f05"
    "b8e7000000 31ff 0f05"
)


def compile_program(words: Sequence[str], source: str, path: Path) -> None:
    done = subprocess.run(
        [*words, "-", "-o", str(path)],
        input=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise measure.MeasureError(done.stdout)


def make_programs(directory: Path, names: Sequence[str]) -> List[Program]:
    """Those that are here."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    programs = []
    for name in names:
        words = list(FOUND.get(name, [str(directory / name.replace(" ", "-"))]))
        if name in COMPILED:
            compile_program(*COMPILED[name], Path(words[0]))
        path = launch_tax.find(Path(words[0]).name) if name in FOUND else Path(words[0])
        if not path.is_file():
            continue
        words[0] = str(path)
        # Beside nothing of its own: it may look for its libraries there.
        copy = directory / f"send-{path.name}"
        copy.write_bytes(launch_tax.with_code_at_entry(path.read_bytes(), SEND))
        copy.chmod(0o755)
        sent = subprocess.run([str(copy)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if sent.returncode == 0 and len(sent.stdout) == 16:
            programs.append(Program(name, words, [str(copy), *words[1:]]))
    return programs
