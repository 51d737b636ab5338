"""Obtains a pinned source tarball and verifies it.

A source is a paragraph of a file such as UPSTREAM: name, version, sha256 and
where it can be had. Ways are tried in this order: the cache, the Debian
source package, the release tarball. Whatever comes is accepted only if its
sha256 is the pinned one.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Tuple

Paragraph = Dict[str, str]
Say = Callable[[str], None]


class SourceError(Exception):
    """A source cannot be had; the text is for the user."""


class Unavailable(Exception):
    """One way of getting a source does not work here; the next is tried."""


class Source(NamedTuple):
    name: str
    version: str
    sha256: str
    package: str  # Debian source package
    suites: List[str]  # Debian suites that carry this version
    url: str  # release tarball; empty: only the package has this one

    @property
    def tarball(self) -> str:
        return f"{self.name}-{self.version}.tar.gz"


# --- files of paragraphs (UPSTREAM and apt's *.sources share the format)


def parse_paragraphs(text: str) -> List[Paragraph]:
    """Splits "Key: value" paragraphs; keys come back in lower case."""
    paragraphs: List[Paragraph] = [{}]
    key = ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if not line.strip():
            paragraphs.append({})
        elif line[0].isspace():
            if key in paragraphs[-1]:
                paragraphs[-1][key] += "\n" + line
        elif ":" in line:
            key, value = line.split(":", 1)
            key = key.strip().lower()
            paragraphs[-1][key] = value.strip()
    return [paragraph for paragraph in paragraphs if paragraph]


def read_source(path: Path, name: str) -> Source:
    for paragraph in parse_paragraphs(path.read_text()):
        if paragraph["name"] == name:
            return Source(
                name=name,
                version=paragraph["version"],
                sha256=paragraph["sha256"],
                package=paragraph["package"],
                suites=paragraph["suites"].split(),
                url=paragraph.get("url", ""),
            )
    raise SourceError(f"{path} does not describe {name}")


# --- verification


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def verify(path: Path, source: Source, ours: bool) -> None:
    """Raises SourceError unless `path` is the pinned tarball.

    A bad file that we downloaded (`ours`) is removed so that the next run
    does not find it; a file the user named is left alone.
    """
    actual = sha256_of(path)
    if actual == source.sha256:
        return
    if ours:
        path.unlink()
    raise SourceError(
        f"{path} is not {source.name} {source.version}: wrong sha256"
        + (" (file removed)" if ours else "")
        + f"\n  expected {source.sha256}\n  actual   {actual}"
    )


def use_given(given: Path, source: Source, say: Say) -> Path:
    """Checks a tarball or directory that the user named."""
    if given.is_file():
        verify(given, source, ours=False)
        return given
    version_file = given / "src" / "version.cc"
    if not version_file.is_file():
        raise SourceError(f"{given} is neither a tarball nor a ninja source directory")
    found = re.search(r'kNinjaVersion\s*=\s*"([^"]*)"', version_file.read_text())
    version = found.group(1) if found else "unknown"
    if version != source.version:
        raise SourceError(f"{given} is ninja {version}; {source.version} is needed")
    say(f"note: {given} is a directory: only its version was checked, not its content")
    return given


# --- Debian's archive


def archive_entries(apt_dir: Path, codename: str) -> List[Paragraph]:
    """The machine's own entries for the Debian archive, as paragraphs.

    An entry counts when it offers the suite named like the running release
    with a component "main": its server then has the other suites too.
    """
    entries: List[Paragraph] = []
    parts = apt_dir / "sources.list.d"
    for path in [apt_dir / "sources.list", *sorted(parts.glob("*.list"))]:
        if path.is_file():
            entries += one_line_entries(path.read_text())
    for path in sorted(parts.glob("*.sources")):
        entries += parse_paragraphs(path.read_text())
    return [
        entry
        for entry in entries
        if codename in entry.get("suites", "").split()
        and "main" in entry.get("components", "").split()
        and entry.get("enabled", "yes").lower() != "no"
    ]


def one_line_entries(text: str) -> List[Paragraph]:
    """Parses "deb [option=value ...] uri suite component..." lines."""
    entries = []
    for line in text.splitlines():
        found = re.match(r"\s*deb(?:-src)?\s+(?:\[([^\]]*)\]\s*)?([^#]+)", line)
        fields = found.group(2).split() if found else []
        if len(fields) < 3:
            continue
        entry = {
            "uris": fields[0],
            "suites": fields[1],
            "components": " ".join(fields[2:]),
        }
        for option in (found.group(1) or "").split():
            key, _, value = option.partition("=")
            entry[key.lower()] = value.replace(",", " ")
        entries.append(entry)
    return entries


def machine_codename(os_release: Path = Path("/etc/os-release")) -> str:
    if os_release.is_file():
        for word in shlex.split(os_release.read_text(), comments=True):
            if word.startswith("VERSION_CODENAME="):
                return word.split("=", 1)[1]
    return ""


def apt_configuration(area: Path, entry: Paragraph, suite: str) -> Path:
    """Writes an apt configuration that knows one source suite and nothing
    else, and keeps all its state in `area`: the machine's apt set-up (lists,
    caches, hooks that run after an update) is neither used nor touched.

    A mirror that has not been updated for a while will do: signatures are
    checked as always, and what we take from it is pinned by its sha256."""
    for part in ("sources", "lists/partial", "cache/archives/partial"):
        (area / part).mkdir(parents=True, exist_ok=True)
    uris = [uri for uri in entry["uris"].split() if not uri.startswith("cdrom:")]
    lines = [
        "Types: deb-src",
        "URIs: " + " ".join(uris),
        f"Suites: {suite}",
        "Components: main",
    ]
    for option in ("signed-by", "trusted"):
        if option in entry:
            lines.append(f"{option.title()}: {entry[option]}")
    (area / "sources" / "upstream.sources").write_text("\n".join(lines) + "\n")
    configuration = area / "apt.conf"
    configuration.write_text(
        f"""\
#clear APT::Update;
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "{area}/sources";
Dir::State::Lists "{area}/lists";
Dir::Cache "{area}/cache";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
APT::Sandbox::User "{'root' if os.geteuid() == 0 else ''}";
"""
    )
    return configuration


def run_apt(command: List[str], configuration: Path, cwd: Path) -> str:
    """Runs one apt command; its last error line explains a failure."""
    command = [command[0], "-c", str(configuration), *command[1:]]
    environment = dict(os.environ, LC_ALL="C.UTF-8", DEBIAN_FRONTEND="noninteractive")
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=600,
        )
    except FileNotFoundError:
        raise Unavailable(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} did not end within ten minutes") from None
    problems = re.findall(r"^[EW]: (.*)", done.stderr, re.MULTILINE)
    if done.returncode != 0 or (problems and "update" in command):
        raise Unavailable(problems[0] if problems else f"status {done.returncode}")
    return done.stdout


def from_apt(source: Source, entry: Paragraph, suite: str, area: Path) -> Path:
    """Downloads the original tarball of a Debian source package."""
    area = area.resolve()
    configuration = apt_configuration(area, entry, suite)
    run_apt(["apt-get", "update", "-q"], configuration, area)
    records = run_apt(
        ["apt-cache", "showsrc", "--only-source", source.package], configuration, area
    )
    versions = [record.get("version", "") for record in parse_paragraphs(records)]
    # Less the epoch, which file names do not have either.
    wanted = [v for v in versions if v.rsplit("-", 1)[0].split(":")[-1] == source.version]
    if not wanted:
        has = ", ".join(versions) or "no such package"
        raise Unavailable(f"{suite} has {has}, not {source.version}")
    run_apt(
        ["apt-get", "source", "-q", "--download-only", "--tar-only"]
        + [f"{source.package}={wanted[0]}"],
        configuration,
        area,
    )
    tarballs = list(area.glob(f"{source.package}_{source.version}.orig.tar.*[!c]"))
    if not tarballs:
        raise Unavailable(f"{suite}: the package has no original tarball")
    return tarballs[0]


def from_url(source: Source, area: Path) -> Path:
    area.mkdir(parents=True, exist_ok=True)
    target = area / source.tarball
    try:
        with urllib.request.urlopen(source.url, timeout=60) as answer:
            target.write_bytes(answer.read())
    except OSError as error:
        raise Unavailable(str(getattr(error, "reason", error))) from None
    return target


# --- all ways together


def cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "launcherd"


def remote_ways(
    source: Source, area: Path, apt_dir: Path
) -> List[Tuple[str, Callable[[], Path]]]:
    """(description, function that downloads or raises Unavailable)"""
    ways: List[Tuple[str, Callable[[], Path]]] = []
    entries = archive_entries(apt_dir, machine_codename())
    for suite in source.suites:
        # Entries differ by server; the same server is not asked twice.
        for uri, entry in {entry["uris"]: entry for entry in entries}.items():
            ways.append(
                (
                    f"apt-get source {source.package} from {suite} at {uri}",
                    lambda e=entry, s=suite: from_apt(source, e, s, area / "apt"),
                )
            )
    if not entries:

        def no_archive() -> Path:
            raise Unavailable(f"no Debian archive is configured in {apt_dir}")

        ways.append((f"apt-get source {source.package}", no_archive))
    if source.url:
        ways.append((source.url, lambda: from_url(source, area)))
    return ways


def fetch(source: Source, downloads: Path, say: Say, apt_dir: Path) -> Path:
    """Returns the verified tarball of `source`, kept in `downloads`."""
    kept = downloads / source.tarball
    cached = cache_directory() / source.tarball
    for place in (kept, cached):
        if place.is_file():
            verify(place, source, ours=True)
            say(f"{source.name} {source.version}: using {place}")
            return keep(place, kept)
    failures = [f"{cached}: not there"]
    area = downloads / "fetch"
    try:
        for way, download in remote_ways(source, area, apt_dir):
            say(f"{source.name} {source.version}: trying {way}")
            try:
                tarball = download()
            except Unavailable as reason:
                say(f"  no: {reason}")
                failures.append(f"{way}: {reason}")
                continue
            verify(tarball, source, ours=True)
            try:
                keep(tarball, cached)
            except OSError as error:
                say(f"note: not cached: {error}")
            return keep(tarball, kept)
    finally:
        shutil.rmtree(area, ignore_errors=True)
    raise SourceError(
        f"cannot obtain {source.name} {source.version}; tried\n"
        + "\n".join(f"  {failure}" for failure in failures)
    )


def keep(tarball: Path, target: Path) -> Path:
    """Copies a verified tarball so that a half-written one is never seen."""
    if tarball != target:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copyfile(tarball, partial)
        partial.rename(target)
    return target
