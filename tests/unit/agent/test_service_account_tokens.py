"""Tokens of ServiceAccounts: signed, bound, and refused when anything about them is not so any more."""

from __future__ import annotations

import base64
import json
import stat

import pytest

from minikubelet.agent.service_account_tokens import ISSUER, Bound, ServiceAccountTokens, Where, bound
from minikubelet.store import Store
from minikubelet.v1 import Pod, from_dict


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "store")
    for resource, name in (("serviceaccounts", "robot"), ("pods", "web"), ("secrets", "s")):
        opened.create(resource, {"metadata": {"name": name, "namespace": "default"}})
    opened.create("nodes", {"metadata": {"name": "node"}})
    yield opened
    opened.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tokens(store, tmp_path, clock):
    return ServiceAccountTokens(store, tmp_path / "pki" / "sa.key", clock)


def the(store, resource, name, namespace="default"):
    return bound(store.get(resource, namespace, name))


def where(store, **more):
    return Where("default", the(store, "serviceaccounts", "robot"), **more)


def pod(store):
    obj = store.get("pods", "default", "web")
    return from_dict(Pod, {**obj, "spec": {"serviceAccountName": "robot", "nodeName": "node"}})


def claims_of(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def test_the_claims_are_those_of_kubernetes(tokens, store, clock):
    token, end = tokens.issue(where(store, pod=the(store, "pods", "web")), [], 3600)
    claims = claims_of(token)
    assert claims.pop("jti")
    assert claims.pop("kubernetes.io") == {
        "namespace": "default",
        "serviceaccount": {"name": "robot", "uid": the(store, "serviceaccounts", "robot").uid},
        "pod": {"name": "web", "uid": the(store, "pods", "web").uid},
    }
    now = int(clock.now)
    assert claims == {
        "aud": [ISSUER],
        "exp": now + 3600,
        "iat": now,
        "nbf": now,
        "iss": ISSUER,
        "sub": "system:serviceaccount:default:robot",
    }
    assert end == now + 3600
    assert tokens.check(token).sub == "system:serviceaccount:default:robot"


def test_openssl_knows_the_signature_too(tokens, store, tmp_path):
    """By the public key alone, with a library that is not ours."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    token, _ = tokens.issue(where(store), [], 3600)
    text, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    public = load_pem_private_key((tmp_path / "pki/sa.key").read_bytes(), None).public_key()
    r, s = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
    public.verify(utils.encode_dss_signature(r, s), text.encode(), ec.ECDSA(hashes.SHA256()))
    header = json.loads(base64.urlsafe_b64decode(text.split(".")[0] + "=="))
    assert header["alg"] == "ES256"
    assert header["kid"]


def test_the_key_is_private_and_outlives_the_agent(tokens, store, tmp_path, clock):
    token, _ = tokens.issue(where(store), [], 3600)
    key = tmp_path / "pki" / "sa.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert ServiceAccountTokens(store, key, clock).check(token) is not None
    assert ServiceAccountTokens(store, tmp_path / "other.key", clock).check(token) is None


def test_a_token_is_good_in_its_time_and_for_its_audience(tokens, store, clock):
    token, end = tokens.issue(where(store), ["vault"], 600)
    assert tokens.check(token, ["vault", "x"]) is not None
    assert tokens.check(token) is None
    clock.now = end
    assert tokens.check(token, ["vault"]) is None
    clock.now -= 10_000
    assert tokens.check(token, ["vault"]) is None


@pytest.mark.parametrize(
    ("resource", "name", "namespace", "kind"),
    [("serviceaccounts", "robot", "default", ""), ("pods", "web", "default", "pod"),
     ("secrets", "s", "default", "secret"), ("nodes", "node", "", "node")],
)  # fmt: skip
def test_a_token_ends_with_what_it_is_bound_to(tokens, store, resource, name, namespace, kind):
    more = {kind: the(store, resource, name, namespace)} if kind else {}
    token, _ = tokens.issue(where(store, **more), [], 3600)
    assert tokens.check(token) is not None
    store.delete(resource, namespace, name)
    assert tokens.check(token) is None
    store.create(resource, {"metadata": {"name": name, "namespace": namespace}})  # another of the same name
    assert tokens.check(token) is None


def test_a_token_outlives_the_deletion_of_its_pod_by_a_minute(tokens, store, clock):
    token, _ = tokens.issue(where(store, pod=the(store, "pods", "web")), [], 3600)
    ending = "2027-01-15T08:00:00Z"  # 1_800_000_000

    def end(obj):
        obj["metadata"]["deletionTimestamp"] = ending
        obj["metadata"]["finalizers"] = ["keep/it"]

    store.modify("pods", "default", "web", end)
    clock.now = 1_800_000_059.0
    assert tokens.check(token) is not None
    clock.now = 1_800_000_061.0
    assert tokens.check(token) is None


def forged(token):
    """Tokens that are not ours, made of one that is."""
    header, body, signature = token.split(".")

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    other = part({**claims_of(token), "sub": "system:serviceaccount:kube-system:admin"})
    yield f"{header}.{other}.{signature}"
    yield f"{part({'alg': 'none'})}.{body}."
    yield f"{part({'alg': 'none'})}.{body}.{signature}"
    yield f"{part({'alg': 'HS256'})}.{body}.{signature}"
    yield f"{header}.{body}.{signature[:-4]}"
    yield f"{header}.{body}.{'A' * 86}"
    yield f"{header}.{body}"
    yield f"{header}..{signature}"
    yield "a.b.c"
    yield ".."
    yield "é.ü.ö"
    yield f"{header}.{body}.{signature}" + "A" * 100_000


def test_nothing_forged_is_taken(tokens, store):
    token, _ = tokens.issue(where(store), [], 3600)
    assert tokens.check(token)
    for wrong in forged(token):
        assert tokens.check(wrong) is None, wrong[:100]


def test_a_volumes_token_is_renewed_when_four_fifths_of_its_life_are_over(tokens, store, clock):
    make = tokens.for_pod(pod(store))
    first = make("", 1000, "")
    clock.now += 799
    assert make("", 1000, first) == first
    assert make("other", 1000, first) != first
    clock.now += 1
    second = make("", 1000, first)
    assert second != first
    assert tokens.check(second).where.pod == the(store, "pods", "web")
    assert tokens.check(second).where.node == Bound("node", store.get("nodes", "", "node")["metadata"]["uid"])


def test_a_volumes_token_is_renewed_after_a_day_at_the_latest(tokens, store, clock):
    make = tokens.for_pod(pod(store))
    first = make("", 30 * 24 * 3600, "")
    clock.now += 24 * 3600 - 1
    assert make("", 30 * 24 * 3600, first) == first
    clock.now += 1
    assert make("", 30 * 24 * 3600, first) != first


def test_no_account_no_token(tokens, store):
    store.delete("serviceaccounts", "default", "robot")
    assert tokens.for_pod(pod(store)) is None
