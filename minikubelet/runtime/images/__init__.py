"""Images on this node: their names (`reference`), what they say of themselves (`config`), where they are
(`store`, `records`), and how they get there (`loader`, `archive`, `layer`, `tree`: a process of its own).

Read `store` first; then `layer` and `tree`, which write a stranger's archive as root.
"""

from minikubelet.runtime.images.config import ImageConfig, signal_number
from minikubelet.runtime.images.reference import Reference
from minikubelet.runtime.images.store import HOST_IMAGE, Image, ImageStore

__all__ = ["HOST_IMAGE", "Image", "ImageConfig", "ImageStore", "Reference", "signal_number"]
