"""Env files as the kubelet reads them (9.3), and as a container may try to abuse them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.runtime.env_file import MAX_BYTES, read_inside, value_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("K='v'", "v", id="one line without an end"),
        pytest.param("\n \t\n# K='no'\n  K='v'  # a comment\n", "v", id="blanks and comments"),
        pytest.param("K=''\n", "", id="empty"),
        pytest.param("K='a \"b\" $c \\n'\n", 'a "b" $c \\n', id="taken as it is"),
        pytest.param("K='two\nlines'\n", "two\nlines", id="over lines"),
        pytest.param("A='K=1\nK='\nK='v'\n", "v", id="not inside another's quotes"),
        pytest.param("K='first'\nK='second'\n", "first", id="the first counts"),
        pytest.param("K= 'v'\n", "", id="a blank after the equals sign, as in a shell"),
        pytest.param("K='v'\r\n", "v", id="a line end of another system"),
        pytest.param("OTHER='x'\n", None, id="absent"),
        pytest.param("", None, id="empty file"),
        pytest.param("K='v'\nnonsense\n", "v", id="what comes after it is not looked at"),
    ],
)
def test_what_a_key_is(text: str, value: str | None) -> None:
    assert value_of("K", text) == value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("nonsense\n", 1, id="no equals sign"),
        pytest.param("A='1'\nK=v\n", 2, id="no quotes"),
        pytest.param('K="v"\n', 1, id="other quotes"),
        pytest.param("K ='v'\n", 1, id="a blank before the equals sign"),
        pytest.param("='v'\n", 1, id="no name"),
        pytest.param("K=\n", 1, id="nothing"),
        pytest.param("A='1\n2'\nK='v", 3, id="never closed"),
        pytest.param("K='v' x\n", 1, id="more after the quote"),
    ],
)
def test_what_is_no_env_file(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"at line {line}: "):
        value_of("K", text)


@given(st.text(alphabet="K=' \t\n#a\\\"\r", max_size=60))
def test_no_text_takes_long_or_fails_in_another_way(text: str) -> None:
    with suppress(ValueError):
        value_of("K", text)


def test_a_file_is_opened_inside_its_volume(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (tmp_path / "secret").write_text("K='of the node'")
    (volume / "secret").write_text("K='of the volume'")
    (volume / "up").symlink_to("../secret")
    (volume / "absolute").symlink_to("/secret")
    assert read_inside(volume, "up") == read_inside(volume, "absolute") == "K='of the volume'"


def test_what_cannot_be_read_is_an_error_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    for name, message in (
        ("fifo", "not a regular file"),
        ("zero", "No such file"),
        ("folder", "not a regular file"),
        ("huge", "larger than"),
        ("none", "No such file"),
    ):
        with pytest.raises(OSError, match=message):
            read_inside(tmp_path, name)
