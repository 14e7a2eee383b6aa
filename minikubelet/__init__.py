"""Kubernetes pods on one Linux machine, exactly as a kubelet would run them, without a cluster."""

__version__ = "0.1.0"
