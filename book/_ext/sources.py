"""What this book cites of other people's work, and whether we ran it or only read it.

`book/sources.yml` lists the files of code, each in one version, with what we did with it. `book/references.bib` lists
threads and papers, which can only be read. Both are looked up by the address of a link, without its lines.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from pybtex.database import parse_file
from pybtex.richtext import Text

SOURCES = "book/sources.yml"
REFERENCES = "book/references.bib"
MARKS = ("ran", "read")
LINES = re.compile(r"L(\d+)(?:-L(\d+))?")


@dataclass(frozen=True)
class Source:
    """One thing that is cited.

    Attributes:
        name: what it is called, such as "GR00T N1.5 in LeRobot 0.4.4".
        how: "ran" or "read".
        what: what it is, after the word "this": code, thread or paper.
        file: the name of the file, or "" for what is no file.
        title: the title of a thread or a paper, or "".
        ran_as: the version that we ran in place of this one, or "".
        ran_lines: the first and the last line of each part that ran; empty = all of it.
    """

    name: str
    how: str
    what: str = "code"
    file: str = ""
    title: str = ""
    ran_as: str = ""
    ran_lines: tuple[tuple[int, int], ...] = ()

    def mark(self, lines: str = "") -> str:
        """What a page has to say of these lines, "L12-L34", or of the whole, ""."""
        if self.how == "ran" and self.ran_lines and (found := LINES.fullmatch(lines)):
            first, last = int(found[1]), int(found[2] or found[1])
            return "ran" if any(start <= first and last <= end for start, end in self.ran_lines) else "read"
        return self.how

    def means(self, mark: str) -> str:
        """The mark in words, for a reader who meets it."""
        if self.what != "code":
            return f"we read this {self.what}"
        if mark == "read":
            return "we read this code and did not run it"
        return f"we ran this code, as {self.ran_as}" if self.ran_as else "we ran this code"


class SourceError(ValueError):
    """An entry of `book/sources.yml` that breaks a rule."""


def load(root: Path) -> dict[str, Source]:
    """Every source by its address; a file of a tagged version has two.

    Raises:
        SourceError: an entry of `book/sources.yml` breaks a rule.
    """
    repositories = yaml.safe_load((root / SOURCES).read_text(encoding="utf-8"))
    found = threads_and_papers(root)
    for repository, versions in repositories.items():
        for version in versions:
            found |= files_of(repository, version)
    return found


def files_of(repository: str, version: dict) -> dict[str, Source]:
    where = f"{SOURCES}, {repository}, version {version.get('version')}"
    if unknown := set(version) - {"version", "commit", "name", "ran_as", "how", "files"}:
        raise SourceError(f"{where}: got the fields {sorted(unknown)}, which nothing reads")
    base, found = f"https://github.com/{repository}", {}
    for reference in {version["version"], version.get("commit", version["version"])}:
        if "how" in version:
            whole = Source(version["name"], version["how"])
            found |= {f"{base}/commit/{reference}": whole, f"{base}/tree/{reference}": whole}
        for path, entry in version["files"].items():
            if set(entry) - {"of", "lines"} != {"how"} or entry["how"] not in MARKS:
                raise SourceError(f"{where}: {path} has {entry}, expected `how: ran` or `how: read`")
            found[f"{base}/blob/{reference}/{path}"] = Source(
                name=f"{entry['of']} in {version['name']}" if "of" in entry else version["name"],
                how=entry["how"],
                file=path.rsplit("/", 1)[-1],
                ran_as=version.get("ran_as", ""),
                ran_lines=tuple(ranges_of(str(entry.get("lines", "")))),
            )
    return found


def ranges_of(lines: str) -> Iterator[tuple[int, int]]:
    """First and last line of each part of "12, 30-34"."""
    for part in lines.split(", ") if lines else ():
        first, _, last = part.partition("-")
        yield int(first), int(last or first)


def threads_and_papers(root: Path) -> dict[str, Source]:
    found = {}
    for entry in parse_file(root / REFERENCES).entries.values():
        kind, authors = entry.fields["keywords"], entry.persons["author"]
        if kind in ("thread", "paper"):
            name = plain(str(authors[0])).split(",")[0] + (" and others" if len(authors) > 1 else "")
            found[entry.fields["url"]] = Source(name, "read", what=kind, title=plain(entry.fields["title"]))
    return found


def plain(latex: str) -> str:
    return str(Text.from_latex(latex))


def fault(sources: dict[str, Source], mark: str, address: str) -> str | None:
    """What is wrong with a link whose text is `mark`, and what to do about it; None if nothing is."""
    place, _, lines = address.partition("#")
    source = sources.get(place)
    if source is None and (code := re.match(r"https://github\.com/([^/]+/[^/]+)/blob/([^/]+)/(.+)", place)):
        repository, version, path = code.groups()
        return (
            f"[{mark}]({address}) leads to a file that {SOURCES} does not have. Add `{path}: {{how: {mark}}}` there, "
            f"under {repository}, version {version}; say ran only if our tests or `python -m evidence` run the file"
        )
    if source is None:
        return f"[{mark}]({address}) leads to a thread or a paper that {REFERENCES} does not have. Add it there"
    if lines and source.file and not LINES.fullmatch(lines):
        return f"[{mark}]({address}): expected the lines as #L12 or #L12-L34, got #{lines}"
    if (expected := source.mark(lines)) != mark:
        return (
            f"[{mark}]({address}) says {mark}, and {SOURCES} says {expected} of these lines. Write [{expected}] here; "
            f"or, if what we did with this file has changed, change its `how` or its `lines` there"
        )
    return None


def lines_of(address: str) -> str:
    """The lines that an address names, as a reader writes them: `303–339`."""
    found = LINES.fullmatch(address.partition("#")[2])
    return "–".join(number for number in found.groups() if number) if found else ""
