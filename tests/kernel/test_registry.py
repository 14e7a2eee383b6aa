"""Images from a real registry, and from one whose answers are spoilt on the way."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from minikubelet.config import Paths
from minikubelet.errors import ImageError
from minikubelet.runtime.cri import ImageRef
from minikubelet.runtime.images import ImageStore
from minikubelet.runtime.images import registry as registry_module
from minikubelet.runtime.images.archive import architecture
from minikubelet.runtime.images.credentials import Credentials
from minikubelet.runtime.images.hosts import Host
from minikubelet.runtime.images.manifest import Descriptor
from minikubelet.runtime.images.registry import Registry
from tests.kernel.registries import PASSWORD, USER, Handler, RealRegistry, Stranger, free_port, image_layout
from tests.kernel.test_images import digest, docker_archive, entry, files_of, folder, tar

NOISE = random.Random(1).randbytes(3 << 20)  # does not shrink: a blob of a few connections
LAYERS = [
    tar([folder("etc"), (entry("etc/one"), b"one"), (entry("noise"), NOISE)]),
    tar([(entry("etc/two"), b"two"), (entry(".wh.noise"), b"")]),
]
ANN = Credentials(USER, PASSWORD)
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """With the image team/app:1 in it."""
    directory = tmp_path_factory.mktemp("plain")
    with RealRegistry(directory / "registry") as registry:
        registry.push(image_layout(directory / "image", LAYERS), "team/app:1")
        yield registry


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    directory = tmp_path_factory.mktemp("secure")
    with RealRegistry(directory / "registry", secure=True) as registry:
        registry.push(image_layout(directory / "image", LAYERS), "private/app:1")
        yield registry


@pytest.fixture
def stranger(plain: RealRegistry) -> Iterator[Stranger]:
    made = Stranger(plain.port)
    yield made
    made.close()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths.under(tmp_path / "root")
    for directory in (made.images, made.etc):
        directory.mkdir(parents=True)
    return made


def trust(paths: Paths, domain: str, ca: Path, **keys: Any) -> None:
    """`hosts.toml` for a registry."""
    folder = paths.etc / "certs.d" / domain
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f'server = "https://{domain}"', f'ca = "{ca}"']
    lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    (folder / "hosts.toml").write_text("\n".join(lines))


def pull(paths: Paths, name: str, *known: Credentials, policy: str = "IfNotPresent") -> ImageRef:
    async def ensure() -> ImageRef:
        store = ImageStore(paths)
        await store.start()
        return await store.ensure(name, policy, lambda: known)

    return asyncio.run(ensure())


def refused(paths: Paths, name: str, *known: Credentials) -> str:
    with pytest.raises(ImageError) as caught:
        pull(paths, name, *known)
    assert caught.value.reason == "ErrImagePull"
    return str(caught.value)


def content(paths: Paths, image: ImageRef) -> list[dict[str, bytes]]:
    """Layer by layer, top first: the small files."""
    store = ImageStore(paths)
    asyncio.run(store.start())
    found = store.find(image.image_id)
    return [
        {name: (Path(layer) / name).read_bytes() for name in ("etc/one", "etc/two")
         if (Path(layer) / name).exists()}
        for layer in found.layers
    ]  # fmt: skip


def test_an_image_is_pulled_unpacked_and_known_by_tag_and_digest(paths: Paths, plain: RealRegistry) -> None:
    name = f"{plain.domain}/team/app:1"
    image = pull(paths, name)
    assert image.pulled
    assert image.image == name
    assert content(paths, image) == [{"etc/two": b"two"}, {"etc/one": b"one"}]
    store = ImageStore(paths)
    asyncio.run(store.start())
    (digested,) = store.find(name).digests
    assert pull(paths, digested).image_id == image.image_id
    assert not pull(paths, name).pulled, "it is here"
    assert files_of(paths.images / "partial") == [], "nothing is left aside"


def test_always_asks_and_fetches_nothing_that_is_here(paths: Paths, stranger: Stranger) -> None:
    name = f"{stranger.domain}/team/app:1"
    first = pull(paths, name)
    fetched = len(stranger.blobs_asked_for())
    again = pull(paths, name, policy="Always")
    assert again.image_id == first.image_id
    assert again.pulled
    assert len(stranger.blobs_asked_for()) == fetched


def test_by_digest(paths: Paths, plain: RealRegistry, tmp_path: Path) -> None:
    pushed = plain.push(image_layout(tmp_path / "image", LAYERS), "team/digested:1")
    image = pull(paths, f"{plain.domain}/team/digested@{pushed}")
    assert content(paths, image)[0] == {"etc/two": b"two"}
    wrong = f"{plain.domain}/team/digested@{digest(b'other')}"
    assert refused(paths, wrong).endswith(f'failed to resolve reference "{wrong}": {wrong}: not found')


def test_layers_may_be_packed_by_zstd(paths: Paths, plain: RealRegistry, tmp_path: Path) -> None:
    plain.push(image_layout(tmp_path / "image", LAYERS, zstd.compress), "team/zstd:1")
    name = f"{plain.domain}/team/zstd:1"
    assert content(paths, pull(paths, name)) == [{"etc/two": b"two"}, {"etc/one": b"one"}]
    layers = skopeo("inspect", "--raw", f"oci-archive:{saved(paths, name, tmp_path / 'app.tar')}")["layers"]
    assert {layer["mediaType"].rpartition("+")[2] for layer in layers} == {"zstd"}


def test_status_shows_the_name_that_was_asked_for(paths: Paths, plain: RealRegistry, tmp_path: Path) -> None:
    plain.push(image_layout(tmp_path / "image", LAYERS), "team/named:1")
    names = [f"{plain.domain}/team/{tag}" for tag in ("app:1", "named:1")]
    assert [pull(paths, name).image for name in names] == names
    assert [pull(paths, name).image for name in names] == names, "they are here"
    store = ImageStore(paths)
    asyncio.run(store.start())
    assert store.find(names[0]).name == names[1], "people call it what it was called last"


def test_what_is_not_there_is_not_found_in_containerds_words(paths: Paths, plain: RealRegistry) -> None:
    name = f"{plain.domain}/team/none:1"
    assert refused(paths, name) == (
        f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": {name}: not found'
    )


def test_nobody_listens(paths: Paths) -> None:
    assert "failed to do request: Get" in refused(paths, f"127.0.0.1:{free_port()}/a:1")


def test_a_certificate_that_is_missing_is_named(paths: Paths, secure: RealRegistry) -> None:
    trust(paths, secure.domain, Path("/nowhere/ca.crt"))
    assert "(/nowhere/ca.crt): [Errno 2]" in refused(paths, f"{secure.domain}/private/app:1")


# Passwords


def test_a_private_image_needs_the_right_password(paths: Paths, secure: RealRegistry) -> None:
    name = f"{secure.domain}/private/app:1"
    assert "certificate verify failed" in refused(paths, name, ANN)
    trust(paths, secure.domain, secure.ca)
    assert "pull access denied" in refused(paths, name)
    assert "pull access denied" in refused(paths, name, Credentials(USER, "wrong"))
    assert content(paths, pull(paths, name, Credentials(USER, "wrong"), ANN))[0] == {"etc/two": b"two"}


def test_the_nodes_own_configuration_is_used(
    paths: Paths, secure: RealRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(paths, secure.domain, secure.ca)
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (paths.etc / "config.json").write_text(json.dumps({"auths": {secure.domain: {"auth": auth}}}))

    async def ensure() -> ImageRef:
        from minikubelet.runtime.images.reference import Reference

        store = ImageStore(paths)
        await store.start()
        name = f"{secure.domain}/private/app:1"
        return await store.ensure(name, "Always", lambda: store.node_credentials(Reference.parse(name)))

    assert asyncio.run(ensure()).pulled


def realm(port: int) -> Callable[[Handler], bool]:
    """A registry that sends its clients elsewhere for a token."""

    def spoil(handler: Handler) -> bool:
        if handler.path.startswith("/token"):
            handler.give(200, {"Content-Type": "application/json"}, b'{"token": "t0ken"}')
        elif handler.headers.get("Authorization") != "Bearer t0ken":
            challenge = f'Bearer realm="http://127.0.0.1:{port}/token",service="s",scope="repository:a:pull"'
            handler.give(401, {"WWW-Authenticate": challenge}, b"")
        else:
            return False
        return True

    return spoil


def test_a_token_is_fetched_and_the_password_shown_to_the_registry_itself(
    paths: Paths, stranger: Stranger
) -> None:
    stranger.spoil = realm(stranger.server_address[1])
    assert pull(paths, f"{stranger.domain}/team/app:1", ANN).pulled
    tokens = [headers for path, headers in stranger.requests if path.startswith("/token")]
    assert tokens[0]["Authorization"].startswith("Basic ")


def test_another_host_is_not_shown_the_password_a35(
    paths: Paths, stranger: Stranger, plain: RealRegistry
) -> None:
    """The defence: `authorization.Authorization._may_see_password`; and HTTP realms are refused at all."""
    thief = Stranger(plain.port)
    thief.spoil = realm(thief.server_address[1])
    stranger.spoil = realm(thief.server_address[1])
    try:
        said = refused(paths, f"{stranger.domain}/team/app:1", ANN)
    finally:
        thief.close()
    assert "does not speak HTTPS" in said
    assert [headers for _, headers in thief.requests if "Authorization" in headers] == []


def test_a_redirect_takes_no_authorization_along_a35(
    paths: Paths, stranger: Stranger, plain: RealRegistry
) -> None:
    """The defence: `transport.Transport._follow`, `is_own`."""
    storage = Stranger(plain.port)
    own = realm(stranger.server_address[1])

    def spoil(handler: Handler) -> bool:
        if "/blobs/" in handler.path and handler.headers.get("Authorization") == "Bearer t0ken":
            handler.give(307, {"Location": f"http://{storage.domain}{handler.path}"}, b"")
            return True
        return own(handler)

    stranger.spoil = spoil
    try:
        assert pull(paths, f"{stranger.domain}/team/app:1", ANN).pulled
    finally:
        storage.close()
    assert storage.requests
    assert not [headers for _, headers in storage.requests if "Authorization" in headers]


def test_who_has_no_password_cannot_use_what_another_has_pulled(paths: Paths, secure: RealRegistry) -> None:
    """KubeletEnsureSecretPulledImages. The defence: `store.ImageStore.ensure`, `may_use`."""
    name = f"{secure.domain}/private/app:1"
    trust(paths, secure.domain, secure.ca)
    assert pull(paths, name, ANN).pulled
    assert not pull(paths, name, ANN).pulled, "it is here"
    assert "pull access denied" in refused(paths, name)
    with pytest.raises(ImageError) as caught:
        pull(paths, name, policy="Never")
    assert caught.value.reason == "ErrImageNeverPull"


def test_an_expired_token_is_fetched_anew(paths: Paths, stranger: Stranger) -> None:
    tokens = iter(["old", "new"])
    valid = {"old": 2, "new": 1000}  # requests it is good for

    def spoil(handler: Handler) -> bool:
        if handler.path.startswith("/token"):
            handler.give(200, {}, json.dumps({"access_token": next(tokens)}).encode())
            return True
        token = handler.headers.get("Authorization", "Bearer ").partition(" ")[2]
        valid[token] = valid.get(token, 0) - 1
        if valid[token] >= 0:
            return False
        port = stranger.server_address[1]
        handler.give(401, {"WWW-Authenticate": f'Bearer realm="http://127.0.0.1:{port}/token"'}, b"")
        return True

    stranger.spoil = spoil
    assert pull(paths, f"{stranger.domain}/team/app:1").pulled
    assert valid["new"] < 1000


# Mirrors, proxies, platforms


def test_a_mirror_is_asked_first_and_the_server_when_it_has_nothing(
    paths: Paths, plain: RealRegistry, stranger: Stranger
) -> None:
    folder = paths.etc / "certs.d" / plain.domain
    folder.mkdir(parents=True)
    (folder / "hosts.toml").write_text(
        f'server = "http://{plain.domain}"\n[host."http://{stranger.domain}"]\n'
    )

    def nothing(handler: Handler) -> bool:
        handler.give(404, {}, b"")
        return True

    stranger.spoil = nothing
    assert pull(paths, f"{plain.domain}/team/app:1").pulled
    assert stranger.requests[0][0] == f"/v2/team/app/manifests/1?ns={plain.domain.replace(':', '%3A')}"


def test_the_proxy_of_the_environment_is_used(
    paths: Paths, plain: RealRegistry, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = paths.etc / "certs.d" / plain.domain
    folder.mkdir(parents=True)
    (folder / "hosts.toml").write_text(f'server = "http://{plain.domain}"\n')
    monkeypatch.setenv("http_proxy", f"http://ann:secret@{stranger.domain}")
    monkeypatch.setenv("no_proxy", "")

    def whole_address(handler: Handler) -> bool:
        handler.path = handler.path.removeprefix(f"http://{plain.domain}")
        return False

    stranger.spoil = whole_address
    assert pull(paths, f"{plain.domain}/team/app:1").pulled
    assert stranger.requests[0][0].startswith(f"http://{plain.domain}/v2/")
    shown = {name.lower(): value for name, value in stranger.requests[0][1].items()}
    assert shown["proxy-authorization"].startswith("Basic ")


def in_an_index(platform: dict[str, str]) -> Callable[[Handler], bool]:
    """The tag leads to an index of one."""

    def spoil(handler: Handler) -> bool:
        if not handler.path.endswith("/manifests/1"):
            return False
        _, headers, body = handler.ask()
        entry = {
            "digest": digest(body),
            "size": len(body),
            "mediaType": headers["Content-Type"],
            "platform": platform,
        }
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]}
        handler.give(200, {"Content-Type": INDEX_TYPE}, json.dumps(index).encode())
        return True

    return spoil


def test_an_index_leads_to_the_image_for_this_machine(paths: Paths, stranger: Stranger) -> None:
    stranger.spoil = in_an_index({"os": "linux", "architecture": architecture()})
    image = pull(paths, f"{stranger.domain}/team/app:1")
    assert content(paths, image)[0] == {"etc/two": b"two"}
    stranger.spoil = in_an_index({"os": "plan9", "architecture": architecture()})
    other = Paths.under(paths.images.parent / "other")
    other.images.mkdir(parents=True)
    assert "no match for platform" in refused(other, f"{stranger.domain}/team/app:1")


def test_a_server_that_drips_is_given_up(
    stranger: Stranger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "STALLED_AFTER", 0.2)
    monkeypatch.setattr(registry_module, "CHUNK", 1)

    def drip(handler: Handler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"x")
                time.sleep(0.02)
        return True

    stranger.spoil = drip
    registry = Registry(Host(f"http://{stranger.domain}"), "a", stranger.domain)
    with (
        (tmp_path / "blob").open("a+b", buffering=0) as file,
        pytest.raises(ImageError, match="bytes in 0 s"),
    ):
        registry.blob(Descriptor(digest(b""), 1000000), file, lambda _: None)


# Faults


def blob_spoilt(change: Callable[[bytes], bytes]) -> Callable[[Handler], bool]:
    def spoil(handler: Handler) -> bool:
        if "/blobs/" not in handler.path:
            return False
        status, headers, body = handler.ask()
        handler.give(status, headers, change(body))
        return True

    return spoil


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda body: b"x" + body[1:], "unexpected commit digest", id="corrupted"),
        pytest.param(lambda body: body + b"x", "larger than the size stated", id="too long"),
        pytest.param(lambda body: body[:-1], "failed to copy", id="too short, for ever"),
    ],
)
def test_a_spoilt_blob_is_never_used(
    paths: Paths, stranger: Stranger, change: Callable[[bytes], bytes], message: str
) -> None:
    stranger.spoil = blob_spoilt(change)
    assert message in refused(paths, f"{stranger.domain}/team/app:1")
    assert files_of(paths.images / "layers") == []
    assert files_of(paths.images / "images") == []
    stranger.spoil = lambda _: False
    assert pull(paths, f"{stranger.domain}/team/app:1").pulled, "and it does no harm afterwards"


def test_a_blob_that_breaks_off_goes_on_where_it_stopped(paths: Paths, stranger: Stranger) -> None:
    def spoil(handler: Handler) -> bool:
        if "/blobs/" not in handler.path:
            return False
        status, headers, body = handler.ask()
        handler.give(status, headers, body, cut=1 << 20 if len(body) > 1 << 20 else None)
        return True

    stranger.spoil = spoil
    assert pull(paths, f"{stranger.domain}/team/app:1").pulled
    ranges = [headers["Range"] for _, headers in stranger.blobs_asked_for() if "Range" in headers]
    assert ranges == [f"bytes={1 << 20}-", f"bytes={2 << 20}-", f"bytes={3 << 20}-"][: len(ranges)]
    assert len(ranges) >= 2


def test_a_server_that_cannot_go_on_is_asked_for_all_of_it(paths: Paths, stranger: Stranger) -> None:
    cut = iter([True])

    def spoil(handler: Handler) -> bool:
        if "/blobs/" not in handler.path:
            return False
        del handler.headers["Range"]
        status, headers, body = handler.ask()
        large = len(body) > 1 << 20
        handler.give(status, headers, body, cut=1 << 20 if large and next(cut, False) else None)
        return True

    stranger.spoil = spoil
    assert pull(paths, f"{stranger.domain}/team/app:1").pulled


def test_a_layer_that_fails_does_not_wait_for_the_others(paths: Paths, stranger: Stranger) -> None:
    """Two layers: one is refused, the other comes when we let it."""
    blobs = [layer["digest"] for layer in json.loads(asked(stranger, "manifests/1"))["layers"]]
    go_on, waited = threading.Event(), []

    def spoil(handler: Handler) -> bool:
        if handler.path.endswith(blobs[0]):
            waited.append(go_on.wait(60))
        if not handler.path.endswith(blobs[1]):
            return False
        handler.give(403, {}, b"")
        return True

    stranger.spoil = spoil
    said = refused(paths, f"{stranger.domain}/team/app:1")
    still_waiting = not waited
    go_on.set()
    assert "pull access denied" in said
    assert still_waiting


def asked(stranger: Stranger, path: str) -> bytes:
    return (
        Registry(Host(f"http://{stranger.domain}"), "team/app", stranger.domain)
        .manifest(path.rpartition("/")[2])
        .content
    )


@pytest.mark.parametrize("location", ["http://[", "http://a b/"])
def test_an_address_that_is_none_is_told(paths: Paths, stranger: Stranger, location: str) -> None:
    def spoil(handler: Handler) -> bool:
        handler.give(307, {"Location": location}, b"")
        return True

    stranger.spoil = spoil
    assert "the puller was killed" not in refused(paths, f"{stranger.domain}/team/app:1")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_registry_is_asked_again(paths: Paths, stranger: Stranger, status: int) -> None:
    busy = iter([True, True])

    def spoil(handler: Handler) -> bool:
        if not next(busy, False):
            return False
        handler.give(status, {"Retry-After": "0"}, b"")
        return True

    stranger.spoil = spoil
    assert pull(paths, f"{stranger.domain}/team/app:1").pulled


def test_a_registry_that_stays_busy_is_told_as_it_is(paths: Paths, stranger: Stranger) -> None:
    def spoil(handler: Handler) -> bool:
        handler.give(503, {"Retry-After": "0"}, b"")
        return True

    stranger.spoil = spoil
    said = refused(paths, f"{stranger.domain}/team/app:1")
    assert said.endswith("/v2/team/app/manifests/1: 503 Service Unavailable")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"manifests": []}, "ambiguous", id="image and index in one"),
        pytest.param({"mediaType": INDEX_TYPE}, "says that it is", id="another type"),
        pytest.param({"layers": 5}, "must be a list", id="layers is a number"),
        pytest.param({"config": {"digest": "sha256:x", "size": 1}}, "is not a sha256", id="no digest"),
        pytest.param({"schemaVersion": 1}, "schema 1", id="schema 1"),
    ],
)  # fmt: skip
def test_a_manifest_is_one_thing_and_nothing_else(
    paths: Paths, stranger: Stranger, change: dict[str, Any], message: str
) -> None:
    def spoil(handler: Handler) -> bool:
        if "/manifests/" not in handler.path:
            return False
        status, headers, body = handler.ask()
        handler.give(status, headers, json.dumps(json.loads(body) | change).encode())
        return True

    stranger.spoil = spoil
    assert message in refused(paths, f"{stranger.domain}/team/app:1")


# Many at once


def test_one_pull_serves_all_who_wait_and_ends_with_the_last(paths: Paths, stranger: Stranger) -> None:
    name = f"{stranger.domain}/team/app:1"
    reached, go_on = threading.Event(), threading.Event()

    def spoil(handler: Handler) -> bool:
        if "/blobs/" in handler.path:
            reached.set()
            go_on.wait(30)
        return False

    stranger.spoil = spoil

    async def many() -> list[ImageRef]:
        store = ImageStore(paths)
        await store.start()
        waiting = [asyncio.create_task(store.ensure(name, "IfNotPresent")) for _ in range(5)]
        await asyncio.to_thread(reached.wait, 30)
        waiting[0].cancel()
        go_on.set()
        return await asyncio.gather(*waiting[1:])

    assert len({image.image_id for image in asyncio.run(many())}) == 1
    manifests = [path for path, _ in stranger.requests if "/manifests/" in path]
    assert len(manifests) == len(set(manifests)), "the registry was asked once"


def test_a_pull_that_nobody_waits_for_any_more_is_ended(paths: Paths, stranger: Stranger) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def spoil(handler: Handler) -> bool:
        if "/blobs/" in handler.path:
            reached.set()
            go_on.wait(30)
        return False

    stranger.spoil = spoil

    async def cancelled() -> None:
        store = ImageStore(paths)
        await store.start()
        waiting = asyncio.create_task(store.ensure(f"{stranger.domain}/team/app:1", "IfNotPresent"))
        await asyncio.to_thread(reached.wait, 30)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        pulls = [task for task in asyncio.all_tasks() if task.get_name().startswith("pull ")]
        await asyncio.gather(*pulls, return_exceptions=True)

    asyncio.run(cancelled())
    go_on.set()
    assert files_of(paths.images / "images") == []


def test_who_comes_after_a_pull_that_was_ended_shares_the_next_one(paths: Paths, stranger: Stranger) -> None:
    """The end of the first one's process must not make the second one forgotten (`Pulls`)."""
    reached, go_on = threading.Event(), threading.Event()

    def spoil(handler: Handler) -> bool:
        if "/blobs/" in handler.path:
            reached.set()
            go_on.wait(60)
        return False

    stranger.spoil = spoil

    async def story() -> None:
        store = ImageStore(paths)
        await store.start()

        def ask() -> asyncio.Task[ImageRef]:
            return asyncio.create_task(store.ensure(f"{stranger.domain}/team/app:1", "Always"))

        first = ask()
        await asyncio.to_thread(reached.wait, 60)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        ending = [task for task in asyncio.all_tasks() if task.get_name().startswith("pull ")]
        second = ask()
        await asyncio.gather(*ending, return_exceptions=True)
        third = ask()
        go_on.set()
        await asyncio.gather(second, third)

    asyncio.run(story())
    assert len([path for path, _ in stranger.requests if "/manifests/" in path]) == 2


def test_a_full_disk_is_told_and_gets_its_space_back(
    tmp_path: Path, plain: RealRegistry, small_disk: Path
) -> None:
    paths = Paths.under(small_disk)
    paths.images.mkdir(parents=True)
    assert "No space left" in refused(paths, f"{plain.domain}/team/app:1")
    space = os.statvfs(small_disk)
    assert space.f_bavail > 0.5 * space.f_blocks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


# Handing on


def saved(paths: Paths, name: str, file: Path) -> Path:
    async def save() -> None:
        store = ImageStore(paths)
        await store.start()
        with file.open("wb") as stream:
            async for chunk in store.save(name):
                stream.write(chunk)

    asyncio.run(save())
    return file


def skopeo(*arguments: str) -> Any:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_what_was_pulled_is_saved_with_the_same_digests(
    paths: Paths, plain: RealRegistry, tmp_path: Path, form: str
) -> None:
    name = f"{plain.domain}/team/app:1"
    pull(paths, name)
    file = saved(paths, name, tmp_path / "app.tar")
    original = skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{name}")
    copied = skopeo("inspect", "--raw", f"{form}:{file}")
    assert copied["config"]["digest"] == original["config"]["digest"]
    if form == "oci-archive":
        assert copied == original
        target = tmp_path / "copy"
        skopeo("copy", "-q", "--insecure-policy", f"{form}:{file}", f"dir:{target}")
        for layer in original["layers"]:
            assert digest((target / layer["digest"][7:]).read_bytes()) == layer["digest"]


def test_what_was_saved_loads_elsewhere_under_its_names(
    paths: Paths, plain: RealRegistry, tmp_path: Path
) -> None:
    name = f"{plain.domain}/team/app:1"
    image = pull(paths, name)
    file = saved(paths, name, tmp_path / "app.tar")
    other = Paths.under(tmp_path / "other")
    other.images.mkdir(parents=True)

    async def load() -> list[str]:
        store = ImageStore(other)
        await store.start()
        (loaded,) = await store.load(file)
        return [loaded.id, loaded.name]

    store = ImageStore(paths)
    asyncio.run(store.start())
    assert asyncio.run(load()) == [store.find(image.image_id).id, name]
    assert saved(other, name, tmp_path / "again.tar").read_bytes() == file.read_bytes()


def test_what_docker_save_wrote_can_be_saved_again(paths: Paths, tmp_path: Path) -> None:
    source = tmp_path / "docker.tar"
    source.write_bytes(docker_archive(LAYERS, Cmd=["/bin/app"]))

    async def load() -> str:
        store = ImageStore(paths)
        await store.start()
        return (await store.load(source))[0].id

    file = saved(paths, asyncio.run(load())[7:], tmp_path / "again.tar")
    config = skopeo("inspect", "--raw", f"oci-archive:{file}")["config"]["digest"]
    assert config == skopeo("inspect", "--raw", f"docker-archive:{source}")["config"]["digest"]


def test_a_removed_image_leaves_no_blobs(paths: Paths, plain: RealRegistry) -> None:
    name = f"{plain.domain}/team/app:1"
    pull(paths, name)

    async def remove() -> None:
        store = ImageStore(paths)
        await store.start()
        await store.remove(name, [])

    asyncio.run(remove())
    assert files_of(paths.images / "blobs") == []
