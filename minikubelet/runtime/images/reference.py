"""Image names, read as containerd and Docker read them.

`busybox` is short for `docker.io/library/busybox:latest`; `localhost/host` has a domain already, as its first
part is `localhost` (a dot or a colon in it would do as well). The kubelet shows an unreadable name as
InvalidImageName, and so do we, in its words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from minikubelet.errors import ImageError

DEFAULT_DOMAIN = "docker.io"
LEGACY_DOMAIN = "index.docker.io"
OFFICIAL = "library"
DEFAULT_TAG = "latest"
MAX_NAME = 255

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_TAG = r"\w[\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
)
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A complete image name. It has a tag, a digest or both; the digest decides."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Raises ImageError, InvalidImageName."""
        if len(text) > 4 * MAX_NAME:
            raise _invalid(text[:MAX_NAME] + "…", "invalid reference format")
        if _IMAGE_ID.fullmatch(text):
            reason = f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
            raise _invalid(text, reason)
        domain, remainder = _split_domain(text)
        name = remainder.partition(":")[0].partition("@")[0]
        if name != name.lower():
            raise _invalid(text, f"invalid reference format: repository name ({name}) must be lowercase")
        match = _REFERENCE.fullmatch(f"{domain}/{remainder}")
        if match is None:
            raise _invalid(text, "invalid reference format")
        parts = match.groupdict(default="")
        if len(parts["domain"]) + 1 + len(parts["path"]) > MAX_NAME:
            raise _invalid(text, f"repository name must not be more than {MAX_NAME} characters")
        if parts["digest"] and not _SHA256.fullmatch(parts["digest"]):
            raise _invalid(text, "invalid checksum digest format")
        if not parts["tag"] and not parts["digest"]:
            parts["tag"] = DEFAULT_TAG
        return cls(**parts)

    @property
    def name(self) -> str:
        return f"{self.domain}/{self.path}"

    @property
    def tagged(self) -> str:
        """Under which a tag is kept: `docker.io/library/busybox:latest`. Empty without a tag."""
        return f"{self.name}:{self.tag}" if self.tag else ""

    @property
    def digested(self) -> str:
        """Under which a digest is kept. Empty without a digest."""
        return f"{self.name}@{self.digest}" if self.digest else ""

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def is_digest(text: str) -> bool:
    """Is this "sha256:" and 64 digits? An image id is one."""
    return _SHA256.fullmatch(text) is not None


def _split_domain(text: str) -> tuple[str, str]:
    """The first part is a domain if it looks like one: dot, colon, upper case letter, or `localhost`."""
    first, slash, rest = text.partition("/")
    if slash and (set(first) & set(".:[") or first == "localhost" or first != first.lower()):
        domain, remainder = first, rest
    else:
        domain, remainder = DEFAULT_DOMAIN, text
    if domain == LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = f"{OFFICIAL}/{remainder}"
    return domain, remainder


def _invalid(text: str, reason: str) -> ImageError:
    cause = f'couldn\'t parse image name "{text}": {reason}'
    return ImageError("InvalidImageName", f'Failed to apply default image tag "{text}": {cause}')
