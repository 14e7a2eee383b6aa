"""What is read in threads is read in many at once, from the first time on.

msgspec looks at a struct's fields when it first makes one, and crashes when two threads do that at once. So
each reader gets a process of its own, whose threads change places at every step.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

AT_ONCE = """
import sys, threading
sys.setswitchinterval(1e-6)
barrier = threading.Barrier(8)
failures = []

def go():
    barrier.wait()
    try:
        for _ in range(10):
            read()
    except BaseException as error:
        failures.append(error)

threads = [threading.Thread(target=go) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(str(failures) if failures else 0)
"""

READERS = {
    "an object": """
from minikubelet.v1 import Pod
from minikubelet.v1.wire import from_dict, learn

learn([Pod])

container = {"name": "main", "image": "a", "livenessProbe": {"exec": {"command": ["true"]}}}
volumes = [{"name": "v", "projected": {"sources": [{"configMap": {"name": "c"}}]}}]
pod = {"metadata": {"name": "web"}, "spec": {"containers": [container], "volumes": volumes}}

def read():
    from_dict(Pod, pod)
""",
    "a token": """
import tempfile
from pathlib import Path
from minikubelet.agent.service_account_tokens import Bound, ServiceAccountTokens, Where

folder = tempfile.TemporaryDirectory()
tokens = ServiceAccountTokens(None, Path(folder.name) / "sa.key")
where = Where("default", Bound("default", "1"), pod=Bound("web", "2"))
token, _ = tokens.issue(where, (), 3600)

def read():
    assert tokens._read(token).where == where
""",
    "a seccomp profile": """
from minikubelet.runtime.seccomp.profile import Circumstances, read_profile

here = Circumstances(machine="x86_64", capabilities=frozenset(), kernel=(6, 1))
argument = b'{"index": 0, "op": "SCMP_CMP_EQ", "value": 1}'
rules = b'[{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [' + argument + b']}]'

def read():
    read_profile(b'{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": ' + rules + b'}', here)
""",
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_the_first_reading_by_many_threads_at_once(reader: str) -> None:
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", reader + AT_ONCE], capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
