#!/usr/bin/env python3
"""Builds the kernel with the series and boots it.

usage: lab.py [--debug-kernel] [--shell] [--each-patch] [--seed=N]
              [--project=DIR --musl=TARBALL] --build-dir=DIR

Unpacks the source named in BASE, applies patches/, builds, boots it in QEMU
with an initramfs made here, and runs the selftest, the fuzzer and the test of
growth in it; with --project also launcher_tests of the CMake build in DIR, and
by its ninja a build of a part of musl with engine kernel and with clone3. Then
the same tests on the distribution's own kernel, where they must skip, and one of
the labels that jobs get there. What the guests print is kept in DIR/NAME.log. A
test that fails, a guest that does not come to its end, or a line in the log that
is in SPLATS: status 1.

--each-patch instead builds the kernel without the series, boots it, where all
tests must skip, compiles for arm64 what the series touches, and then builds and
boots it again after each patch.
"""

import argparse
import gzip
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

sys.dont_write_bytecode = True
import project  # noqa: E402

HERE = Path(__file__).resolve().parent
TARBALL = Path("/usr/src/linux-source-6.12.tar.xz")

SPLATS = re.compile(
    r"BUG:|WARNING:|KASAN|UBSAN|Kernel panic|Oops|possible recursive locking|"
    r"inconsistent lock state|possible circular locking|suspicious RCU|INFO: task .* blocked|"
    r"refcount_t:|unreferenced object|sleeping function called|rcu.*stall|general protection"
)


class LabError(Exception):
    """A step failed; the text is all the user needs to see."""


def run(command: List[str], log: Path, cwd: Optional[Path] = None) -> None:
    with log.open("a") as file:
        status = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, cwd=cwd
        ).returncode
    if status != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise LabError(f"{tail}\nfailed with status {status}: {' '.join(command)}\nlog: {log}")


def jobs() -> str:
    return f"-j{len(os.sched_getaffinity(0))}"


# --- source


def base() -> Dict[str, str]:
    lines = (HERE / "BASE").read_text().splitlines()
    pairs = (line.split(": ", 1) for line in lines if line and not line.startswith("#"))
    return dict(pairs)


def patches() -> List[Path]:
    return sorted(
        path for path in (HERE / "patches").glob("*.patch") if not path.name.startswith("0000")
    )


def describe_source() -> str:
    """The version of the installed source, and whether it is the one of BASE."""
    package = base()["Package"]
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True
    ).stdout
    digest = hashlib.sha256(TARBALL.read_bytes()).hexdigest()
    same = digest == base()["Sha256"]
    return f"{package} {shown}, " + ("the one of BASE" if same else "not the one of BASE")


def unpack(where: Path, log: Path, series: List[Path]) -> Path:
    """The source tree with these patches; from one with others, what is different.

    A file that is the same afterwards keeps its time, or make would compile all
    that includes it.
    """
    tree = where / TARBALL.name[: -len(".tar.xz")]
    applied, stamp = where / "applied", where / "tarball"
    tarball = str(TARBALL.stat().st_mtime_ns)
    if not stamp.exists() or stamp.read_text() != tarball:
        shutil.rmtree(where, ignore_errors=True)
        applied.mkdir(parents=True)
        run(["tar", "xf", str(TARBALL), "-C", str(where)], log)
        stamp.write_text(tarball)
    present = sorted(applied.iterdir())
    same = 0
    while same < min(len(present), len(series)) and (
        present[same].read_text() == series[same].read_text()
    ):
        same += 1
    before = {path: (path.read_bytes(), path.stat()) for path in patched(tree, present[same:])}
    for patch in reversed(present[same:]):
        run(["patch", "-s", "-p1", "-R", "-i", str(patch)], log, cwd=tree)
        patch.unlink()
    for patch in series[same:]:
        run(["patch", "-s", "-p1", "-i", str(patch)], log, cwd=tree)
        shutil.copy(patch, applied)
    for path, (content, times) in before.items():
        if path.exists() and path.read_bytes() == content:
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return tree


def patched(tree: Path, series: List[Path]) -> List[Path]:
    names = re.findall(r"^\+\+\+ b/(\S+)", "".join(p.read_text() for p in series), re.M)
    return [tree / name for name in sorted(set(names))]


def configure(make: List[str], tree: Path, out: Path, fragments: List[str], log: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    run(make + ["tinyconfig"], log)
    merge = [str(tree / "scripts/kconfig/merge_config.sh"), "-m", "-O", str(out)]
    merge += [str(out / ".config")] + [str(HERE / "config" / name) for name in fragments]
    run(merge, log, cwd=tree)
    run(make + ["olddefconfig"], log)


def build(tree: Path, out: Path, fragments: List[str], log: Path) -> Path:
    make = ["make", "-s", "-C", str(tree), f"O={out}"]
    configure(make, tree, out, fragments, log)
    run(make + [jobs(), "vmlinux"], log)
    run(make + ["headers"], log)
    return out / "vmlinux"


# --- what runs in the guest


class Program(NamedTuple):
    name: str
    source: Path
    static: bool = True
    flags: List[str] = []


def programs(tree: Path) -> List[Program]:
    selftests = tree / "tools/testing/selftests"
    return [
        Program(
            "spawn_template",
            selftests / "exec/spawn_template.c",
            flags=["-pthread", f"-I{selftests}"],
        ),
        Program("spawn_fuzz", HERE / "tests/spawn_fuzz.c"),
        Program("spawn_growth", HERE / "tests/spawn_growth.c"),
        Program("spawn_cost", HERE / "tests/spawn_cost.c"),
        Program("noop_tiny", HERE / "tests/noop_tiny.c", flags=["-nostdlib"]),
        Program("noop_static", HERE / "tests/noop.c"),
        Program("noop_dynamic", HERE / "tests/noop.c", static=False),
    ]


def compile_programs(tree: Path, kernel_out: Path, out: Path, log: Path) -> List[Path]:
    out.mkdir(parents=True, exist_ok=True)
    for program in programs(tree):
        command = ["gcc", "-O2", "-Wall", "-isystem", str(kernel_out / "usr/include")]
        command += ["-static"] if program.static else []
        command += program.flags + ["-o", str(out / program.name), str(program.source)]
        run(command, log)
    return [out / program.name for program in programs(tree)]


class Archive:
    """An initramfs: a cpio archive in the "newc" format, the same bytes each time."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.count = 0

    def add(self, name: str, mode: int, content: bytes = b"", device: tuple = (0, 0)) -> None:
        self.count += 1
        fields = [self.count, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0]
        self.data += b"070701" + b"".join(b"%08X" % field for field in fields)
        self.data += name.encode() + b"\0"
        self.data += b"\0" * (-len(self.data) % 4) + content
        self.data += b"\0" * (-len(self.data) % 4)

    def directory(self, name: str) -> None:
        self.add(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, content: bytes, mode: int = 0o755) -> None:
        self.add(name, stat.S_IFREG | mode, content)

    def finish(self) -> bytes:
        self.add("TRAILER!!!", 0)
        return gzip.compress(bytes(self.data), 1, mtime=0)


INIT = """#!/bin/busybox sh
PATH=/bin:/b HOME=/ TERM=dumb
export PATH HOME TERM
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t debugfs debug /sys/kernel/debug 2>/dev/null
mount -t tmpfs tmp /tmp
sh /run.sh </dev/null
echo "GUEST ENDS"
sync
reboot -f
"""


def libraries(program: Path) -> List[str]:
    shown = subprocess.run(["ldd", str(program)], capture_output=True, text=True).stdout
    return re.findall(r"(/\S+) \(0x", shown)


def initramfs(files: List[Path], script: str, places: Optional[Dict[str, Path]] = None) -> bytes:
    """`files` go to /b, those of `places` where it says, with their libraries."""
    archive = Archive()
    made = set()
    for name in ("bin", "b", "dev", "proc", "sys", "tmp"):
        archive.directory(name)
        made.add(f"/{name}")
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
    archive.file("init", INIT.encode())
    archive.file("run.sh", script.encode())
    contents = {"/bin/busybox": Path(shutil.which("busybox") or "/bin/busybox")}
    contents.update({f"/b/{path.name}": path for path in files}, **(places or {}))
    for path in [*contents.values()]:
        if os.access(path, os.X_OK):
            for library in libraries(path):
                contents.setdefault(library, Path(library))
    for place, path in contents.items():
        for parent in [str(folder) for folder in reversed(Path(place).parents[:-1])]:
            if parent not in made:
                made.add(parent)
                archive.directory(parent[1:])
        archive.file(place[1:], path.read_bytes())
    return archive.finish()


class Guest(NamedTuple):
    cpus: int = 2
    memory: int = 768  # MiB
    seconds: int = 900
    cpu: str = "max"
    qemu: List[str] = []
    kernel: str = ""
    places: Dict[str, Path] = {}


def qemu_command(vmlinux: Path, initrd: Path, guest: Guest) -> List[str]:
    command = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", guest.cpu]
    command += ["-m", str(guest.memory), "-smp", str(guest.cpus), "-display", "none"]
    command += ["-no-reboot", "-nodefaults", "-no-user-config", "-serial", "stdio"]
    command += ["-kernel", str(vmlinux), "-initrd", str(initrd), *guest.qemu]
    return command + ["-append", f"console=ttyS0 panic=-1 reboot=t {guest.kernel}"]


def boot(vmlinux: Path, files: List[Path], script: str, log: Path, guest: Guest) -> str:
    """Runs `script` in the guest; what it printed, kernel messages among it."""
    initrd = log.with_suffix(".cpio.gz")
    initrd.write_bytes(initramfs(files, script, guest.places))
    with log.open("wb") as file:
        try:
            subprocess.run(
                qemu_command(vmlinux, initrd, guest),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=guest.seconds,
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"the guest took more than {guest.seconds} s; log: {log}") from None
    return log.read_text(errors="replace").replace("\r", "")


# --- results


def failures(text: str) -> List[str]:
    """What is wrong with a run; the selftest prints TAP, each part a status."""
    found = [line for line in text.splitlines() if SPLATS.search(line)]
    found += [line for line in text.splitlines() if line.startswith(("not ok", "[  FAILED"))]
    found += [line for line in text.splitlines() if re.match(r"STATUS \S+ [1-9]", line)]
    if "GUEST ENDS" not in text:
        found.append("the guest did not come to its end")
    return found


def summary(text: str) -> str:
    totals = re.findall(r"^# Totals: (.*)$", text, re.M)
    calls = re.findall(r"^spawn_fuzz: .*$", text, re.M)
    return "; ".join(totals + calls + project.summary(text))


TEST = """
spawn_template
echo "STATUS selftest $?"
spawn_fuzz {calls} {seed}
echo "STATUS fuzzer $?"
spawn_growth {spawns}
echo "STATUS growth $?"
if [ -e /sys/kernel/debug/kmemleak ]; then
    sleep 6
    echo scan > /sys/kernel/debug/kmemleak
    sleep 1
    echo scan > /sys/kernel/debug/kmemleak
    cat /sys/kernel/debug/kmemleak
    echo "kmemleak: $(grep -c '^unref' /sys/kernel/debug/kmemleak) leaks"
fi
"""


def distribution_kernel(where: Path, log: Path) -> Path:
    """The distribution's newest kernel for a guest; it is not installed."""
    where.mkdir(parents=True, exist_ok=True)
    for image in where.glob("boot/vmlinuz-*"):
        return image
    try:
        package = download_kernel(where, log)
    except LabError:
        # Lists of packages that are absent or old.
        if os.geteuid() != 0:
            raise
        run(["apt-get", "update"], log)
        package = download_kernel(where, log)
    run(["dpkg", "-x", str(package), str(where)], log)
    package.unlink()
    return next(where.glob("boot/vmlinuz-*"))


def download_kernel(where: Path, log: Path) -> Path:
    shown = subprocess.run(
        ["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True
    ).stdout
    found = re.search(r"Depends: (linux-image-\S+)", shown)
    if not found:
        raise LabError("apt knows no package linux-image-cloud-amd64")
    run(["apt-get", "-o", "Acquire::Retries=3", "download", found[1]], log, cwd=where)
    return next(where.glob(f"{found[1]}_*.deb"))


def test_without(
    kernel: Path, files: List[Path], places: Dict[str, Path], log: Path, more: str = ""
) -> List[str]:
    """What is wrong with the tests on a kernel that has no such calls, and with
    `more`."""
    script = TEST.format(calls=100, spawns=1, seed=1) + (project.TESTS if places else "") + more
    text = boot(kernel, files, script, log, Guest(memory=2048, places=places))
    print(f"      {summary(text)}; log: {log}", flush=True)
    wrong = failures(text)
    if re.search(r"^ok (?!.* # SKIP)", text, re.M):
        wrong.append("a selftest ran on a kernel without the calls")
    for program in ("spawn_fuzz: no", "1..0 # SKIP no"):
        if f"{program} spawn templates in this kernel" not in text:
            wrong.append(f"not skipped: {program}")
    return wrong


def compile_for_arm64(tree: Path, out: Path, log: Path) -> None:
    """What the series touches, and the table of system calls."""
    make = ["make", "-s", "-C", str(tree), f"O={out}", "ARCH=arm64"]
    make += ["CROSS_COMPILE=aarch64-linux-gnu-"]
    configure(make, tree, out, ["guest.config"], log)
    changed = "".join(patch.read_text() for patch in patches())
    sources = set(re.findall(r"^\+\+\+ b/((?:fs|kernel)/\S+)\.c$", changed, re.M))
    objects = sorted(f"{name}.o" for name in sources | {"arch/arm64/kernel/sys"})
    run(make + [jobs(), *objects], log)
    symbols = subprocess.run(
        ["aarch64-linux-gnu-nm", str(out / "arch/arm64/kernel/sys.o")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for call in ("create", "spawn"):
        if f"__arm64_sys_spawn_template_{call}" not in symbols:
            raise LabError(f"arm64 has no number for spawn_template_{call}()")
    print(f"      arm64: {', '.join(objects)} compiled, both calls in the table", flush=True)


def each_patch(where: Path, log: Path, places: Dict[str, Path]) -> int:
    tree, out = unpack(where / "each-source", log, []), where / "each-kernel"
    vmlinux = build(tree, out, ["guest.config"], log)
    print("      without the series: built", flush=True)
    patched = unpack(where / "source", log, patches())
    headers = where / "plain-kernel"
    build(patched, headers, ["guest.config"], log)
    files = compile_programs(patched, headers, where / "programs", log)
    wrong = test_without(vmlinux, files, places, where / "unpatched.log")
    compile_for_arm64(patched, where / "arm64-kernel", log)
    for count, patch in enumerate(patches(), 1):
        tree = unpack(where / "each-source", log, patches()[:count])
        vmlinux = build(tree, out, ["guest.config"], log)
        text = boot(vmlinux, files, "noop_dynamic\n", where / "each.log", Guest())
        wrong += [f"{patch.name}: {what}" for what in failures(text)]
        print(f"      {patch.name}: built and booted", flush=True)
    return report(wrong)


def report(wrong: List[str]) -> int:
    for line in wrong[:40]:
        print(f"      {line}")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS)
    parser.format_help = lambda: __doc__ or ""  # type: ignore[method-assign]
    parser.add_argument("--build-dir", type=Path, required=True)
    parser.add_argument("--debug-kernel", action="store_true")
    parser.add_argument("--shell", action="store_true")
    parser.add_argument("--each-patch", action="store_true")
    parser.add_argument("--project", type=Path)
    parser.add_argument("--musl", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    where = args.build_dir.resolve()
    where.mkdir(parents=True, exist_ok=True)
    name = "debug" if args.debug_kernel else "plain"
    log = where / f"{name}-build.log"
    log.write_text("")
    try:
        print(f"      {describe_source()}", flush=True)
        places = project.places(args.project.resolve()) if args.project else {}
        if args.each_patch:
            return each_patch(where, log, places)
        tree = unpack(where / "source", log, patches())
        print(f"      {len(patches())} patches applied, building ({name})", flush=True)
        fragments = ["guest.config"] + (["kasan.config", "debug.config"] if args.debug_kernel else [])
        vmlinux = build(tree, where / f"{name}-kernel", fragments, log)
        files = compile_programs(tree, where / f"{name}-kernel", where / "programs", log)
        if args.shell:
            guest = Guest()
            initrd = where / "shell.cpio.gz"
            initrd.write_bytes(initramfs(files, "setsid cttyhack sh </dev/ttyS0 2>&1 >/dev/ttyS0"))
            return subprocess.run(qemu_command(vmlinux, initrd, guest)).returncode
        # The debug kernel is some ten times as slow.
        calls, spawns = (2000, 300) if args.debug_kernel else (20000, 3000)
        script = TEST.format(calls=calls, spawns=spawns, seed=args.seed)
        if args.project and not args.debug_kernel:
            script += project.TESTS + project.BUILD
            musl = project.repository(args.musl.resolve(), where / "musl")
            places.update(project.compiler(args.project.resolve(), musl))
        guest = Guest(seconds=3600, memory=2048, places=places)
        text = boot(vmlinux, files, script, where / f"{name}.log", guest)
        print(f"      {summary(text)}; log: {where}/{name}.log", flush=True)
        wrong = failures(text)
        if not args.debug_kernel:
            print("      the distribution's kernel, which has no such calls", flush=True)
            kernel = distribution_kernel(where / "distribution", log)
            more = ""
            if args.project:
                more = project.LABEL
                places.update(project.label(args.project.resolve(), where))
            wrong += test_without(kernel, files, places, where / "distribution.log", more)
        return report(wrong)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
