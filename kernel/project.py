"""What of this project runs in the guest: launcher_tests, and a build by our ninja."""

import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Dict

FLAGS = (
    "-std=c99 -nostdinc -ffreestanding -O2 -D_XOPEN_SOURCE=700 -Iarch/x86_64 -Iarch/generic"
    " -Isrc/include -Isrc/internal -Iobj/include -Iinclude"
)

TESTS = """
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
ln -sf dash /bin/sh  # The library knows a shell by its name.
cd /tmp
launcher_tests --gtest_brief=1 --gtest_filter='*/kernel:*/auto:KernelQuestionTest.*'
echo "STATUS launcher_tests $?"
"""

# A job's label is that of its launch, by the library and by launcher-sh.
LABEL = """
mount -t securityfs security /sys/kernel/security
cat /profile >/sys/kernel/security/apparmor/.load
launcher_tests --gtest_brief=1 --gtest_filter=WarmStateTest.LabelOfASecurityModule >/tmp/out
grep -q 'PASSED *. 1 test' /tmp/out
status=$?
[ $status = 0 ] || cat /tmp/out
echo "STATUS label $status"
cat >/tmp/relabel <<'END'
echo exec launcher_test >/proc/self/attr/exec
exec /libexec/launcherd/sh -c "/usr/bin/cat /proc/self/attr/current"
END
launcherd --stats sh /tmp/relabel >/tmp/out 2>&1
grep -q '^launcher_test (enforce)' /tmp/out && grep -q 'other than launcherd: attr/current' /tmp/out
status=$?
[ $status = 0 ] || cat /tmp/out
echo "STATUS label-launcherd $status"
"""

PROFILE = """
abi <abi/3.0>,
profile launcher_test flags=(attach_disconnected,mediate_deleted) {
  file, capability, network, unix, signal, ptrace, mount, change_profile,
}
"""

# `LAUNCHER_ENGINE=kernel` is an error where there is no such engine.
BUILD = """
cd /musl
for engine in kernel clone3; do
    rm -rf out .ninja_log .ninja_deps
    LAUNCHER_ENGINE=$engine PATH=$PATH:/usr/bin ninja >/tmp/ninja.out 2>&1
    status=$?
    [ $status = 0 ] || tail -20 /tmp/ninja.out
    echo "STATUS ninja-$engine $status"
    (cd out && sha256sum *.o) >/tmp/objects.$engine
done
cmp /tmp/objects.kernel /tmp/objects.clone3 && [ -s /tmp/objects.kernel ]
echo "STATUS same-objects $?"
echo "ninja: $(wc -l </tmp/objects.kernel) objects"
"""


def repository(tarball: Path, where: Path) -> Path:
    """musl's string functions, the headers that its makefile makes, a manifest."""
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    with tarfile.open(tarball) as archive:
        archive.extractall(where)
    tree = next(path for path in where.iterdir() if path.is_dir())
    subprocess.run(["./configure", "--target=x86_64", "CC=gcc"], cwd=tree, check=True, capture_output=True)
    headers = ["obj/include/bits/alltypes.h", "obj/include/bits/syscall.h"]
    subprocess.run(["make", *headers], cwd=tree, check=True, capture_output=True)
    lines = ["rule cc", f"  command = gcc {FLAGS} -MD -MF $out.d -c $in -o $out"]
    lines += ["  depfile = $out.d", "  deps = gcc"]
    for source in sorted((tree / "src/string").glob("*.c")):
        lines.append(f"build out/{source.stem}.o: cc src/string/{source.name}")
    (tree / "build.ninja").write_text("\n".join(lines) + "\n")
    return tree


def tool(name: str) -> Path:
    return Path(shutil.which(name) or f"/usr/bin/{name}")


def places(build: Path) -> Dict[str, Path]:
    """Where in the guest each file of launcher_tests is."""
    found = {f"/b/{name}": build / "bin" / name for name in ("launcher_tests", "launcherd")}
    for path in sorted((build / "child").iterdir()):
        if path.is_file():  # The tests know their children by the path in the build directory.
            found[str(path)] = path
    found["/bin/dash"] = tool("dash")
    for name in ("/bin/bash", "/bin/true", "/usr/bin/timeout"):
        found[name] = Path(name)
    return found


def label(build: Path, where: Path) -> Dict[str, Path]:
    """What LABEL needs beside places()."""
    profile = where / "profile"
    command = ["apparmor_parser", "--skip-kernel-load", "--skip-cache", "--stdout"]
    profile.write_bytes(
        subprocess.run(command, input=PROFILE.encode(), check=True, capture_output=True).stdout
    )
    names = {"/profile": profile, "/libexec/launcherd/sh": build / "libexec/launcherd/sh"}
    return {**names, "/usr/bin/cat": Path("/usr/bin/cat")}


def compiler(build: Path, tree: Path) -> Dict[str, Path]:
    found = {"/b/ninja": build / "bin" / "ninja"}
    found["/usr/bin/gcc"], found["/usr/bin/as"] = tool("gcc"), tool("as")
    for name in ("cc1",):
        shown = subprocess.run(
            ["gcc", f"-print-prog-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        found[shown] = Path(shown)
    wanted = [tree / "build.ninja"]
    for folder in ("arch/x86_64", "arch/generic", "include", "obj/include", "src/include"):
        wanted += (tree / folder).rglob("*.h")
    wanted += [*(tree / "src/internal").glob("*.h"), *(tree / "src/string").glob("*.c")]
    for path in sorted(wanted):
        found[f"/musl/{path.relative_to(tree)}"] = path
    return found


def summary(text: str) -> list:
    return re.findall(r"^(?:\[ +(?:PASSED|SKIPPED) +\] \d+ tests?|ninja: .* objects)", text, re.M)
