"""Who runs: the manifest's numbers, the image's USER, and passwd and group files that are a stranger's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from minikubelet.errors import CreateContainerConfigError, CreateContainerError
from minikubelet.runtime.users import User, container_user, read_file
from minikubelet.v1 import Container, Pod, from_dict

PASSWD = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:1000:1001:Web:/:/bin/sh\nodd:x:abc:1:::\n"
GROUP = "root:x:0:\nadm:x:4:web,other\nweb:x:1001:\n"


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return [str(tmp_path)]


def user(
    layers: list[str], image_user: str, own: dict[str, Any], whole: dict[str, Any] | None = None
) -> User:
    container = {"name": "c", "securityContext": own}
    spec = {"containers": [container], "securityContext": whole or {}}
    pod = from_dict(Pod, {"metadata": {"name": "web", "namespace": "shop", "uid": "u-1"}, "spec": spec})
    return container_user(pod, pod.spec.containers[0], image_user, layers)


@pytest.mark.parametrize(
    ("image_user", "own", "whole", "expected"),
    [
        pytest.param("", {}, {}, User(0, 0, [0]), id="root by default"),
        pytest.param("web", {}, {}, User(1000, 1001, [1001, 4]), id="a name, with its groups"),
        pytest.param("web:adm", {}, {}, User(1000, 1001, [1001, 4]), id="the group of USER is not used"),
        pytest.param("1000", {}, {}, User(1000, 1001, [1001, 4]), id="a number passwd knows"),
        pytest.param("7", {}, {}, User(7, 0, [0]), id="a number nobody knows gets group 0"),
        pytest.param("web", {"runAsUser": 7}, {}, User(7, 0, [0]), id="runAsUser wins over the image"),
        pytest.param(
            "", {"runAsUser": 1000}, {"runAsUser": 5}, User(1000, 1001, [1001, 4]), id="container over pod"
        ),
        pytest.param("", {}, {"runAsUser": 7, "runAsGroup": 8}, User(7, 8, [8]), id="runAsGroup"),
        pytest.param(
            "web",
            {},
            {"supplementalGroups": [9, 4], "fsGroup": 50},
            User(1000, 1001, [1001, 4, 9, 50]),
            id="more",
        ),
        pytest.param(
            "web",
            {},
            {"supplementalGroupsPolicy": "Strict"},
            User(1000, 1001, [1001]),
            id="Strict: not the image's",
        ),
    ],
)
def test_user(
    layers: list[str], image_user: str, own: dict[str, Any], whole: dict[str, Any], expected: User
) -> None:
    assert user(layers, image_user, own, whole) == expected


WHO = '(pod: "web_shop(u-1)", container: c)'


@pytest.mark.parametrize(
    ("image_user", "own", "message"),
    [
        ("", {}, f"container has runAsNonRoot and image will run as root {WHO}"),
        ("0", {}, f"container has runAsNonRoot and image will run as root {WHO}"),
        (
            "web",
            {},
            "container has runAsNonRoot and image has non-numeric user (web), "
            f"cannot verify user is non-root {WHO}",
        ),
        ("1000", {"runAsUser": 0}, f"container's runAsUser breaks non-root policy {WHO}"),
    ],
    ids=["no user", "user 0", "a name", "runAsUser 0"],
)
def test_run_as_non_root_refuses(
    layers: list[str], image_user: str, own: dict[str, Any], message: str
) -> None:
    with pytest.raises(CreateContainerConfigError) as caught:
        user(layers, image_user, {**own, "runAsNonRoot": True})
    assert str(caught.value) == message


@pytest.mark.parametrize(("image_user", "own"), [("1000", {}), ("web", {"runAsUser": 5})])
def test_run_as_non_root_accepts_a_number_that_is_not_root(
    layers: list[str], image_user: str, own: dict[str, Any]
) -> None:
    assert user(layers, image_user, {**own, "runAsNonRoot": True}).uid != 0


def test_a_name_that_passwd_does_not_know_cannot_run(layers: list[str]) -> None:
    with pytest.raises(
        CreateContainerError, match="unable to find user no: no matching entries in passwd file"
    ):
        user(layers, "no", {})


def test_a_number_no_kernel_takes_is_refused(layers: list[str]) -> None:
    with pytest.raises(CreateContainerError, match="uids must be in range"):
        user(layers, "99999999999999999999", {})


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_loop(path: Path) -> None:
    path.symlink_to("passwd")


def make_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2 << 30)


def make_crowded(path: Path) -> None:
    """A million users; ours is the last, far behind what is read."""
    with path.open("w") as file:
        for number in range(1_000_000):
            file.write(f"u{number}:x:{number + 2000}:9::/:/bin/sh\n")
        file.write("web:x:1000:9::/:/bin/sh\n")


def test_a_fifo_is_not_read_though_somebody_speaks_into_it(tmp_path: Path) -> None:
    """A18. The defence: in `users._read`, `stat.S_ISREG`."""
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    speaker = os.open(tmp_path / "etc/passwd", os.O_RDWR)
    os.write(speaker, b"web:x:1000:55::/:/bin/sh\n")
    try:
        assert user([str(tmp_path)], "1000", {}) == User(1000, 0, [0])
    finally:
        os.close(speaker)


@pytest.mark.parametrize("make", [make_fifo, make_endless, make_loop, make_large, make_crowded, Path.mkdir])
def test_a_hostile_passwd_is_bounded_and_knows_nobody(tmp_path: Path, make: Any) -> None:
    """A18, CVE-2024-9676. The defence: `users.MAX_FILE`, and that links are resolved within the layers."""
    (tmp_path / "etc").mkdir()
    make(tmp_path / "etc/passwd")
    assert user([str(tmp_path)], "1000", {}) == User(1000, 0, [0])
    assert len(read_file([str(tmp_path)], "/etc/passwd")) <= 1 << 20


def test_links_stay_inside_the_image(tmp_path: Path) -> None:
    outside, image = tmp_path / "outside", tmp_path / "image"
    outside.mkdir()
    (outside / "passwd").write_text("secret")
    (image / "usr").mkdir(parents=True)
    (image / "usr/passwd").write_text("inside")
    (image / "etc").mkdir()
    for target in ("/usr/passwd", "../usr/passwd", "../../../../../usr/passwd"):
        (image / "etc/passwd").unlink(missing_ok=True)
        (image / "etc/passwd").symlink_to(target)
        assert read_file([str(image)], "/etc/passwd") == b"inside"
    (image / "etc/passwd").unlink()
    (image / "etc/passwd").symlink_to(outside / "passwd")
    assert read_file([str(image)], "/etc/passwd") == b""


def test_layers_are_merged_from_the_top(tmp_path: Path) -> None:
    top, bottom = tmp_path / "top", tmp_path / "bottom"
    for layer, name in ((top, "passwd"), (bottom, "passwd"), (bottom, "group")):
        (layer / "etc").mkdir(parents=True, exist_ok=True)
        (layer / "etc" / name).write_text(layer.name)
    both = [str(top), str(bottom)]
    assert read_file(both, "/etc/passwd") == b"top"
    assert read_file(both, "/etc/group") == b"bottom"
    assert read_file([str(top / "etc/passwd" / ".." / ".."), str(bottom)][1:], "/etc/group") == b"bottom"


def test_a_file_hides_a_directory_of_a_lower_layer(tmp_path: Path) -> None:
    top, bottom = tmp_path / "top", tmp_path / "bottom"
    top.mkdir()
    (top / "etc").write_text("a file")
    (bottom / "etc").mkdir(parents=True)
    (bottom / "etc/passwd").write_text("bottom")
    assert read_file([str(top), str(bottom)], "/etc/passwd") == b""


def test_home_is_the_users_own_and_the_root_directory_for_strangers(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/srv/web:/bin/sh\n")
    pod, container = Pod(), Container(name="c")
    homes = [container_user(pod, container, user, [str(tmp_path)]).home for user in ("", "web", "7")]
    assert homes == ["/root", "/srv/web", "/"]
