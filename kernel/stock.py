#!/usr/bin/env python3
"""This project's tests on the distribution's own kernel, in a guest.

usage: stock.py --build-dir=DIR --project=DIR --report=FILE

The guest has the programs and libraries of this system and the CMake build in
--project, on a disk that is made here, so that only the kernel is another one.
Of the library's tests it runs those of warm templates: the guest is emulated,
and all of them would take an hour more. Writes a report; status 1 if a test
fails.
"""

import argparse
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Dict, List

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench"))
import env  # noqa: E402
import lab  # noqa: E402
import project  # noqa: E402

LIBRARY = "*Warm*:*/warm"
# Of ctest: what starts programs in every way there is, without compilers and sources.
TESTS = (
    "warm_probe|launcherd_(exec|faithful|launcher_sh|make|protocol|serve|serve_socket"
    "|wrapper)|bindings_python|ninja_(differences|shell)"
)
SYSTEM = ("bin", "sbin", "include", "lib64", "libexec", "lib/gcc", "lib/git-core", "lib/python3",
          "lib/x86_64-linux-gnu")  # fmt: skip
DRIVERS = ("virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
           "virtio_blk")  # fmt: skip

# The new root takes the place of the old one, as switch_root(8) does it: a process
# that only had another root could not make a user namespace.
SCRIPT = """
for time in 1 2; do  # One needs another.
    for module in /drivers/*; do insmod $module 2>/dev/null; done
done
mkdir /new && mount -t ext4 /dev/vda /new || exit
cd /new
for place in proc sys dev tmp; do mount -o move /$place $place; done
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
mount -t tmpfs shm dev/shm
mount -o move . /
echo "kernel: $(uname -r)"
setsid chroot . /bin/bash /tests </dev/null
echo "STATUS tests $?"
"""
RUN = """
export PATH=/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8
hostname guest
ip link set lo up 2>/dev/null
cd {build} || exit
bin/launcher_tests --gtest_brief=1 --gtest_filter='{library}'
library=$?
ctest --output-on-failure --timeout 3600 -R '^({tests})$' 2>&1 && [ $library = 0 ]
"""


def link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
    return target


def tree(source: Path, root: Path, *without: str) -> None:
    """Puts a directory, with links to its files, where it is here."""
    target = root / source.relative_to("/")
    if target.exists() or not source.is_dir():
        return

    def skip(directory: str, names: List[str]) -> List[str]:
        at_top = Path(directory) == source
        return [n for n in names if at_top and n in without or n == "__pycache__"]

    shutil.copytree(
        source, target, symlinks=True, ignore=skip, copy_function=link_or_copy,
        ignore_dangling_symlinks=True,
    )  # fmt: skip


def make_disk(where: Path, build: Path, log: Path) -> Path:
    root, disk = where / "root", where / "disk.img"
    shutil.rmtree(root, ignore_errors=True)
    disk.unlink(missing_ok=True)
    root.mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for name in ("proc", "sys", "dev", "tmp", "run", "root", "mnt", "var/tmp"):
        (root / name).mkdir(parents=True)
    for name in SYSTEM:
        tree(Path("/usr") / name, root)
    tree(Path("/etc"), root)
    for path in Path("/usr/lib").glob("python3.*"):
        tree(path, root)
    tree(Path(sys.base_prefix), root, "share")
    tree(build, root, "kernel", "bench", "demo", "ninja", "downloads")
    for name in ("docs", "launcherd", "ninja-patch", "tests"):
        tree(ROOT / name, root)
    (root / "tests").write_text(RUN.format(build=build, tests=TESTS, library=LIBRARY))
    lab.run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(disk), "12G"], log)
    shutil.rmtree(root)
    return disk


def drivers(directory: Path) -> Dict[str, Path]:
    found = {path.stem: path for path in directory.glob("lib/modules/**/*.ko")}
    return {f"/drivers/{name}.ko": found[name] for name in DRIVERS if name in found}


def write_report(path: Path, text: str, wrong: List[str], load: float) -> None:
    kernel = re.search(r"^kernel: (.*)$", text, re.M)
    tests = re.findall(r"Test +#\d+: (\S+) \.+ *(.*?) +[\d.]+ sec", text)
    lines = [
        "# The tests on the distribution's kernel",
        "",
        "Question   Does all that starts programs work on a kernel that is not this machine's?",
        f"Answer     {'FAILED.' if wrong else 'Passed.'}",
        "",
        *env.header(load),
        f"Guest      Linux {kernel[1] if kernel else '?'}; two CPUs, QEMU TCG; the programs and",
        "           libraries of this system",
        "",
        *(f"    launcher_tests, {LIBRARY}: {line}" for line in project.summary(text)),
        *(f"    {name:24}{result}" for name, result in tests),
        *(f"    {line}" for line in wrong[:20]),
        "",
        "Again      ./configure.py kernel-test --stock",
    ]
    path.write_text("\n".join(lines) + "\n")
    print(f"wrote {path}")


def main() -> int:
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS)
    parser.format_help = lambda: __doc__ or ""  # type: ignore[method-assign]
    for name in ("--build-dir", "--project", "--report"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args()
    where = args.build_dir.resolve() / "stock"
    where.mkdir(mode=0o700, parents=True, exist_ok=True)  # The disk has all of /etc.
    log = where / "make.log"
    log.write_text("")
    load = env.load()
    try:
        kernel = lab.distribution_kernel(where / "kernel", log)
        disk = make_disk(where, args.project.resolve(), log)
        drive = ["-drive", f"file={disk},if=virtio,format=raw"]
        guest = lab.Guest(memory=4096, seconds=3 * 3600, qemu=drive, places=drivers(where / "kernel"))
        text = lab.boot(kernel, [], SCRIPT, where / "guest.log", guest)
    except (lab.LabError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    wrong = lab.failures(text)
    if "STATUS tests" not in text:
        wrong.append("the guest did not come to the tests")
    write_report(args.report, text, wrong, load)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
