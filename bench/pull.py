"""Pull and unpack an image of about 150 MB from a registry on this machine, beside skopeo and umoci.

    ./dev bench pull [-n ROUNDS]

The image is made of this machine's own files (Python's library, a compiler), three layers, gzip; the registry
is Debian's docker-registry. Each round times both, one after the other; the medians and their ratio are
printed. The peer is `skopeo copy` into an OCI layout followed by `umoci unpack`.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.kernel.registries import RealRegistry, image_layout

FROM = ("/usr/lib/python3", "/usr/lib/python3.11", "/usr/lib/gcc", "/usr/share/perl", "/usr/share/doc")
LAYERS, LAYER_SIZE = 3, 50 << 20  # bytes before compression


def main() -> int:
    parser = argparse.ArgumentParser(description="pull and unpack, beside skopeo and umoci")
    parser.add_argument("-n", type=int, default=3, metavar="ROUNDS")
    rounds = parser.parse_args().n
    with tempfile.TemporaryDirectory(prefix="mk-bench-") as name:
        directory = Path(name)
        layers = make_layers()
        with RealRegistry(directory / "registry") as registry:
            registry.push(image_layout(directory / "image", layers), "bench/app:1")
            image = f"{registry.domain}/bench/app:1"
            ours, theirs = [], []
            for number in range(rounds):
                ours.append(pull(image, directory / f"store{number}"))
                theirs.append(peer(image, directory / f"peer{number}"))
                print(
                    f"round {number + 1}: minikubelet {ours[-1]:.2f} s, peer {theirs[-1]:.2f} s", flush=True
                )
    size = sum(map(len, layers)) >> 20
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"{size} MB in {LAYERS} layers, median of {rounds}: minikubelet {mine:.2f} s, "
          f"skopeo copy + umoci unpack {other:.2f} s: {mine / other:.2f} of it")  # fmt: skip
    return 0


def make_layers() -> list[bytes]:
    """Plain tars, each with different files."""
    files = (path for root in FROM for path in sorted(Path(root).rglob("*")) if path.is_file())
    layers = []
    for _ in range(LAYERS):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path in files:
                archive.add(path, str(path)[1:], recursive=False)
                if buffer.tell() > LAYER_SIZE:
                    break
        layers.append(buffer.getvalue())
    return layers


def pull(image: str, store: Path) -> float:
    """Seconds of the process that the agent would start."""
    request = f'{{"image": "{image}", "credentials": [], "certs_d": "{store}/none"}}'
    puller = [sys.executable, "-P", "-m", "minikubelet.runtime.images.puller", str(store)]
    return timed(puller, request)


def peer(image: str, directory: Path) -> float:
    copy = ["skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", f"docker://{image}",
            f"oci:{directory}/layout:1"]  # fmt: skip
    directory.mkdir()
    unpack = ["umoci", "unpack", "--image", f"{directory}/layout:1", f"{directory}/bundle"]
    return timed(copy) + timed(unpack)


def timed(command: list[str], text: str = "") -> float:
    began = time.monotonic()
    subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
