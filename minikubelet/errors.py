"""Every error this program raises on purpose, as one tree.

MinikubeletError
├─ ApiError                        to the client, as a Kubernetes Status object: HTTP code, reason, details
│  ├─ BadRequest                   400  cannot decode, unknown field, unknown kind
│  ├─ Unauthorized, Forbidden      401, 403
│  ├─ NotFound                     404  pods "web" not found
│  ├─ MethodNotAllowed             405
│  ├─ AlreadyExists, Conflict      409  name taken; uid or resourceVersion does not match
│  ├─ Expired                      410  too old resource version
│  ├─ RequestEntityTooLarge        413
│  ├─ UnsupportedMediaType         415
│  ├─ Invalid                      422  every field error as a cause
│  ├─ TooManyRequests              429
│  └─ InternalError                500
├─ ManifestError                   a file that holds no readable manifests; names file and line
├─ RuntimeServiceError             never to HTTP: a waiting.reason + an Event, then retried with back-off
│  ├─ CreatePodSandboxError        shim or network of the pod
│  │  └─ CreatePodCgroupError      its cgroup
│  ├─ ImageError                   ErrImagePull, ErrImageNeverPull, InvalidImageName, ImageInspectError
│  ├─ FailedMount                  a volume cannot be set up; the containers stay ContainerCreating
│  ├─ CreateContainerConfigError   e.g. a missing ConfigMap key, a user that cannot be used
│  ├─ CreateContainerError         preparation failed
│  ├─ RunContainerError            the child failed before execve
│  ├─ PortForwardError             no connection to a port of a pod, or no longer; told on its error stream
│  └─ KillContainerError           still alive after the grace period and KILL
├─ ShimError
│  ├─ ShimUnavailable              socket gone: the sandbox is lost, the worker replaces it
│  ├─ ShimRequestError             refused or failed: step, errno, text
│  └─ ProtocolError                a bug or a version mismatch: loud
└─ NodeNotFit                      the node lacks something the agent cannot do without

OSError from `linux/` stays OSError, with the call and the path; `runtime.service` wraps it, cause chained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class MinikubeletError(Exception):
    """Base of everything raised on purpose."""


# API errors. The texts are the API server's (kubelet-behaviour 8.2, kubectl's wire format).


@dataclass(frozen=True, slots=True)
class FieldError:
    """One mistake in one field, as the API server's `field.Error`.

    `type` is one of Required, Invalid, Duplicate, Unsupported, Forbidden, NotFound, TooLong, TooMany;
    `message` is everything behind the path ("Required value", 'Invalid value: "x": must be …').
    """

    path: str
    type: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


CAUSE_REASONS = {
    "Required": "FieldValueRequired",
    "Invalid": "FieldValueInvalid",
    "Duplicate": "FieldValueDuplicate",
    "Unsupported": "FieldValueNotSupported",
    "Forbidden": "FieldValueForbidden",
    "NotFound": "FieldValueNotFound",
    "TooLong": "FieldValueTooLong",
    "TooMany": "FieldValueTooMany",
}


class ApiError(MinikubeletError):
    """An answer other than success; carries what a Status object needs."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __init__(self, message: str, *, name: str = "", group: str = "", kind: str = "", uid: str = "",
                 causes: Sequence[dict[str, str]] = ()) -> None:  # fmt: skip
        super().__init__(message)
        self.message = message
        self.details: dict[str, object] = {
            key: value
            for key, value in (("name", name), ("group", group), ("kind", kind), ("uid", uid))
            if value
        }
        if causes:
            self.details["causes"] = list(causes)

    def status(self) -> dict[str, object]:
        """The error as a `meta/v1.Status` object."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"


class NotFound(ApiError):
    code, reason = 404, "NotFound"

    @classmethod
    def of(cls, resource: str, name: str) -> NotFound:
        kind, _, group = resource.partition(".")
        return cls(f'{resource} "{name}" not found', name=name, kind=kind, group=group)


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"

    @classmethod
    def of_resource(cls) -> MethodNotAllowed:
        return cls("the server does not allow this method on the requested resource")


class AlreadyExists(ApiError):
    code, reason = 409, "AlreadyExists"

    @classmethod
    def of(cls, resource: str, name: str) -> AlreadyExists:
        kind, _, group = resource.partition(".")
        return cls(f'{resource} "{name}" already exists', name=name, kind=kind, group=group)


class Conflict(ApiError):
    code, reason = 409, "Conflict"


class Expired(ApiError):
    code, reason = 410, "Expired"


class RequestEntityTooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(ApiError):
    """422 with one cause per field error; kubectl builds its text from the causes."""

    code, reason = 422, "Invalid"

    @classmethod
    def of(cls, kind: str, name: str, errors: Sequence[FieldError], *, group: str = "") -> Invalid:
        listed = ", ".join(str(error) for error in errors)
        text = listed if len(errors) == 1 else f"[{listed}]"
        causes = [
            {"reason": CAUSE_REASONS[error.type], "message": error.message, "field": error.path}
            for error in errors
        ]
        qualified = f"{kind}.{group}" if group else kind
        return cls(
            f'{qualified} "{name}" is invalid: {text}', name=name, group=group, kind=kind, causes=causes
        )


class TooManyRequests(ApiError):
    code, reason = 429, "TooManyRequests"


class InternalError(ApiError):
    code, reason = 500, "InternalError"


class ServiceUnavailable(ApiError):
    code, reason = 503, "ServiceUnavailable"


class ManifestError(MinikubeletError):
    """A file that holds no readable manifests: file, line, cause and remedy."""


# Errors of the runtime. `reason` is what the container's waiting state shows.


class RuntimeServiceError(MinikubeletError):
    """Something could not be done for a pod; the pod worker shows it and tries again."""

    reason: str = "RuntimeServiceError"


class CreatePodSandboxError(RuntimeServiceError):
    reason = "CreatePodSandboxError"


class CreatePodCgroupError(CreatePodSandboxError):
    """The kubelet calls the cgroup of a pod the pod container, and has an Event of its own for it."""

    reason = "CreatePodCgroupError"


class ImageError(RuntimeServiceError):
    """`reason` is ErrImagePull, ErrImageNeverPull, InvalidImageName or ImageInspectError."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class FailedMount(RuntimeServiceError):
    """Of one volume or of several; each of `messages` is the whole text of an Event."""

    reason = "FailedMount"

    def __init__(self, *messages: str) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


class CreateContainerConfigError(RuntimeServiceError):
    reason = "CreateContainerConfigError"


class CreateContainerError(RuntimeServiceError):
    reason = "CreateContainerError"


class RunContainerError(RuntimeServiceError):
    reason = "RunContainerError"


class PortForwardError(RuntimeServiceError):
    """Told to the client of a port-forward, in full."""

    reason = "PortForwardError"


class KillContainerError(RuntimeServiceError):
    reason = "KillContainerError"


class ResizeError(RuntimeServiceError):
    """A pod's or a container's cgroup did not take its new values; the message says which and why."""


class ShimError(MinikubeletError):
    """The conversation with a shim failed."""


class ShimUnavailable(ShimError):
    """The shim's socket is gone."""


class ShimRequestError(ShimError):
    """The shim could not do what it was asked: the step that failed, its errno, its text."""

    def __init__(self, step: str, errno: int, text: str) -> None:
        super().__init__(text)
        self.step = step
        self.errno = errno


class ProtocolError(ShimError):
    """A message that should not exist: a bug or another version on the other side."""


class NodeNotFit(MinikubeletError):
    """The node lacks something; the message ends with the remedy."""
