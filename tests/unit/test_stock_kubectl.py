"""Which kubectls tests find, and how a transcript is read and compared."""

from __future__ import annotations

from pathlib import Path

from tests import transcript
from tests.stock_kubectl import Stock, found


def a_kubectl(path: Path, minor: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho \'{{"clientVersion": {{"minor": "{minor}"}}}}\'\n')
    path.chmod(0o755)
    return path


def test_versioned_binaries_are_taken_and_not_the_dispatcher_beside_them(tmp_path: Path) -> None:
    sdk, debian = tmp_path / "sdk/bin", tmp_path / "debian/kubectl"
    a_kubectl(sdk / "kubectl", "27")
    for minor in ("9", "27", "33"):
        a_kubectl(sdk / f"kubectl.1.{minor}", minor)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/kubectl").symlink_to(sdk / "kubectl")
    a_kubectl(debian, "20+")
    assert found({"PATH": f"{tmp_path}/nothing:{tmp_path}/bin"}, debian) == [
        Stock(9, f"{sdk}/kubectl.1.9"),
        Stock(20, str(debian)),
        Stock(27, f"{sdk}/kubectl.1.27"),
        Stock(33, f"{sdk}/kubectl.1.33"),
    ]


def test_what_is_named_takes_the_place_of_what_is_found(tmp_path: Path) -> None:
    named = a_kubectl(tmp_path / "mine", "30")
    environ = {"PATH": str(tmp_path / "bin"), "MK_KUBECTLS": str(named)}
    a_kubectl(tmp_path / "bin/kubectl", "31")
    assert found(environ, tmp_path / "none") == [Stock(30, str(named))]
    assert found({"PATH": str(tmp_path / "bin")}, tmp_path / "none") == [
        Stock(31, str(tmp_path / "bin/kubectl"))
    ]


SESSION = """\
## Files

```text greeting
hello
```

## reading (since 1.9)

```console
$ cat greeting; echo no >&2
> exit 3
hello
! no
[3]
$ echo 'a    b 12s'
(<1.20) something else
(>=1.20) a  b <age>
$ seq 9
1
...
9
$ false  # since 1.40
```
"""


def test_a_transcript_is_read_and_played(tmp_path: Path) -> None:
    file = tmp_path / "session.md"
    file.write_text(SESSION)
    (section,) = transcript.read(file)
    assert (str(section), section.since, len(section.steps)) == ("reading", 9, 4)
    outcomes = transcript.play(section, transcript.Shell(tmp_path / "work", {}), minor=20)
    assert [outcome.code for outcome in outcomes] == [3, 0, 0]


def test_a_transcript_is_compared_whole() -> None:
    assert transcript.matches(["a  b", "..."], ["a     b", "c", "d"])
    assert not transcript.matches(["a"], ["a", "b"])
    assert not transcript.matches(["a <age>"], ["a <none>"])
    assert not transcript.matches(["a.c"], ["abc"])
