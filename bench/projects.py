"""The projects that repositories.py builds: from a source package to a tree in
which ninja or make has everything to do."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

import corpus
import env
import musl

sys.path.insert(0, str(env.ROOT / "ninja-patch"))
import fetch  # noqa: E402

REPOSITORIES = env.ROOT / "bench" / "REPOSITORIES"
UNICODE = Path("/usr/share/unicode")
LINUX = Path("/usr/src/linux-source-6.12.tar.xz")
CCACHE = Path("/usr/lib/ccache")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
# What would otherwise be the time and the place of a build, and get into it.
FIXED = {
    "SOURCE_DATE_EPOCH": "1",
    "KBUILD_BUILD_TIMESTAMP": "1970-01-01",
    "KBUILD_BUILD_USER": "bench",
    "KBUILD_BUILD_HOST": "bench",
    "LC_ALL": "C.UTF-8",
    "HOME": "/nonexistent",
    # What is built would tell the commit of this repository, which is around it.
    "GIT_DIR": "/nonexistent",
}


class ProjectError(Exception):
    """It cannot be had or configured here; the others still count."""


class Tree(NamedTuple):
    """Ready to be built: all that is not there yet is a product."""

    build: Path
    source: Path
    make: Optional[List[str]] = None  # arguments; None: ninja builds it
    names_shell: bool = False  # The makefile names its shell: ours is set over that.


class Project(NamedTuple):
    """`prepare` gets the build directory, the area that is the project's own
    and the variables to configure with."""

    name: str
    what: str
    prepare: Callable[[Path, Path, Dict[str, str]], Tree]
    normal: bool = True  # Not only with --full.
    volatile: Sequence[str] = ()  # Files that differ from build to build by plain make.


def variables(ccache: Optional[Path]) -> Dict[str, str]:
    """Of configuring and building; `ccache`: where it keeps what it knows."""
    if not ccache:
        return {**FIXED, "PATH": SYSTEM_PATH}
    return {**FIXED, "PATH": f"{CCACHE}:{SYSTEM_PATH}", "CCACHE_DIR": str(ccache)}


def indented(text: str) -> None:
    print("      " + text, flush=True)


def obtain(build_dir: Path, name: str, described_in: Path = REPOSITORIES) -> Path:
    try:
        source = fetch.read_source(described_in, name)
        return fetch.fetch(source, build_dir / "downloads", indented, Path("/etc/apt"))
    except fetch.SourceError as error:
        raise ProjectError(str(error)) from None


def unpack(tarball: Path, area: Path) -> Path:
    """Anew each time: a make build may change files that were there."""
    shutil.rmtree(area, ignore_errors=True)
    area.mkdir(parents=True)
    with tarfile.open(tarball) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(area)
    (root,) = area.iterdir()
    return root


def configure(command: List[str], directory: Path, settings: Dict[str, str]) -> None:
    kept = {k: v for k, v in os.environ.items() if k not in corpus.IGNORED_VARIABLES}
    done = subprocess.run(
        command,
        cwd=directory,
        env={**kept, **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        raise ProjectError(f"{done.stdout[-2000:]}\n{' '.join(command)} failed")


def with_make(
    name: str, arguments: List[str], command: Optional[List[str]] = None, names_shell: bool = False
) -> Callable[[Path, Path, Dict[str, str]], Tree]:
    def prepare(build_dir: Path, area: Path, settings: Dict[str, str]) -> Tree:
        tree = unpack(obtain(build_dir, name), area)
        if command:
            configure(command, tree, settings)
        return Tree(tree, tree, arguments, names_shell)

    return prepare


def with_ninja(name: str, *options: str) -> Callable[[Path, Path, Dict[str, str]], Tree]:
    """One of CORPUS, configured as there, or with other options after those."""

    def prepare(build_dir: Path, area: Path, settings: Dict[str, str]) -> Tree:
        listed = corpus.read_corpus(env.ROOT / "bench" / "CORPUS")
        project = next(each for each in listed if each.name == name)
        project = project._replace(options=[*project.options, *options])
        tarballs = corpus.obtain([project], build_dir / "downloads")
        if project.source.tarball not in tarballs:
            raise ProjectError("its source cannot be had")
        return generate(project, tarballs[project.source.tarball], build_dir, area, settings)

    return prepare


def re2(build_dir: Path, area: Path, settings: Dict[str, str]) -> Tree:
    """Its source package lacks what is generated from Unicode's tables."""
    if not (UNICODE / "CaseFolding.txt").is_file():
        raise ProjectError("as root: apt-get install unicode-data")
    source = unpack(obtain(build_dir, "re2"), area)
    tables = source / "re2"
    reader = tables / "unicode.py"
    place = re.compile(r"^_UNICODE_DIR = .*$", re.MULTILINE)
    reader.write_text(place.sub(f'_UNICODE_DIR = "{UNICODE}"', reader.read_text()))
    for script in ("make_perl_groups.pl", "make_unicode_groups.py", "make_unicode_casefold.py"):
        made = tables / script.replace("make_", "", 1).replace(".pl", ".cc").replace(".py", ".cc")
        interpreter = "perl" if script.endswith(".pl") else "/usr/bin/python3"
        with made.open("w") as file:
            subprocess.run([interpreter, script], cwd=tables, stdout=file, check=True)
    build = area / "build"
    command = ["cmake", "-G", "Ninja", "-S", str(source), "-B", str(build)]
    command += [f"-DCMAKE_MAKE_PROGRAM={build_dir / 'bin' / 'ninja-upstream'}"]
    configure([*command, "-DCMAKE_BUILD_TYPE=Release", "-DRE2_BUILD_TESTING=OFF"], area, settings)
    return Tree(build, source)


def generate(
    project: corpus.Project, tarball: Path, build_dir: Path, area: Path, settings: Dict[str, str]
) -> Tree:
    shutil.rmtree(area, ignore_errors=True)
    try:
        ninja = build_dir / "bin" / "ninja-upstream"
        tree = corpus.generate(project, tarball, area, ninja, settings)
    except corpus.CorpusError as error:
        raise ProjectError(str(error)) from None
    return Tree(tree, area / "source")


def musl_with(compiler: str) -> Callable[[Path, Path, Dict[str, str]], Tree]:
    def prepare(build_dir: Path, area: Path, settings: Dict[str, str]) -> Tree:
        tree = musl.prepare(obtain(build_dir, "musl"), area, compiler)
        musl.clean(tree)
        return Tree(tree, tree / "src")

    return prepare


def linux(build_dir: Path, area: Path, settings: Dict[str, str]) -> Tree:
    if not LINUX.is_file():
        raise ProjectError(f"{LINUX} is not there; as root: apt-get install linux-source-6.12")
    source = build_dir / "bench" / "linux-source"
    if not (source / "configured").is_file():
        shutil.rmtree(source, ignore_errors=True)
        unpack(LINUX, source).rename(source / "tree")
        (source / "configured").touch()
    shutil.rmtree(area, ignore_errors=True)
    area.mkdir(parents=True)
    # syncconfig: or the first build alone would make files of what tinyconfig has set.
    for target in ("tinyconfig", "syncconfig"):
        configure(["make", "-C", str(source / "tree"), f"O={area}", target], area, settings)
    return Tree(area, source / "tree", [])


GIT = [f"NO_{part}=1" for part in "OPENSSL CURL EXPAT GETTEXT TCLTK PERL PYTHON".split()]
PROJECTS = [
    Project("lua", "C, make", with_make("lua", ["linux"])),
    Project("zlib", "C, make", with_make("zlib", [], ["./configure"], True)),
    Project("libpng1.6", "C, CMake", with_ninja("libpng1.6")),
    Project("wayland", "C and generated code, Meson", with_ninja("wayland")),
    Project("re2", "C++, CMake", re2),
    Project("musl with gcc", "many small C files", musl_with("gcc")),
    Project("ninja", "C++, configure.py", with_ninja("ninja")),
    Project("curl", "C, CMake", with_ninja("curl")),
    Project("libzstd", "C, CMake", with_ninja("libzstd"), False),
    Project("musl with clang", "many small C files", musl_with("clang"), False),
    Project(
        "sqlite",
        "one large C file, make and libtool",
        with_make("sqlite", ["sqlite3.c", "all"], ["./configure"], True),
        False,
    ),
    # Made by the second make in a tree.
    Project("redis", "C, make", with_make("redis", ["MALLOC=libc"]), False, ["Makefile.dep"]),
    # It has the time in it.
    Project(
        "git", "C and shell, make", with_make("git", GIT, None, True), False, ["boilerplates.made"]
    ),
    # Its tests of gmock alone would be four minutes for each build.
    Project(
        "googletest",
        "large C++ files, CMake",
        with_ninja("googletest", "-Dgmock_build_tests=OFF", "-Dgtest_build_tests=OFF"),
        False,
    ),
    Project("flatbuffers", "C++ and generated code, CMake", with_ninja("flatbuffers"), False),
    Project("linux tinyconfig", "C, kbuild", linux, False),
]
QUICK = ("lua", "libpng1.6")
