"""Users, ServiceAccounts and tokens against the real API: what each may do, and what kubectl says of it."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import stat
import subprocess
import sys
import time

import pytest

from minikubelet.api.service_account import ACCOUNTS
from minikubelet.api.token_volume import MOUNT_PATH, PREFIX, ROOT_CA
from tests.stock_kubectl import KUBECTLS, Kubectl
from tests.unit.api.conftest import PODS, Answer, pod

ACCOUNT = f"/api/v1/namespaces/default/{ACCOUNTS}"
REVIEWS = "/apis/authorization.k8s.io/v1"
SYSTEM = "system:serviceaccount:"


class Client:
    """Requests over HTTPS with a token or with a user's kubeconfig."""

    def __init__(self, api):
        self.api = api
        self.ca = str(api.paths.etc / "pki" / "ca.crt")

    def request(self, method, path, body=None, kubeconfig=None, **headers):
        context = ssl.create_default_context(cafile=self.ca)
        if kubeconfig:
            user = json.loads(kubeconfig.read_text())["users"][0]["user"]
            pem = self.api.root / "client.pem"
            parts = (user["client-certificate-data"], user["client-key-data"])
            pem.write_bytes(b"".join(base64.b64decode(part) for part in parts))
            context.load_cert_chain(pem)
        address = self.api.server.https.removeprefix("https://")
        connection = http.client.HTTPSConnection(address, timeout=10, context=context)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, {"Content-Type": "application/json", **named})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def as_token(self, token, method, path, body=None, **headers):
        return self.request(method, path, body, Authorization=f"Bearer {token}", **headers)


@pytest.fixture
def client(https):
    return Client(https)


def user(api, name, *groups, **more):
    """A kubeconfig from our own command line."""
    words = [word for group in groups for word in ("--group", group)]
    words += [word for key, value in more.items() for word in (f"--{key}", value)]
    command = [sys.executable, "-m", "minikubelet", "--root", str(api.root), "kubeconfig", "--user", name]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60, check=True)
    return api.root / done.stdout.strip()


def account_token(api, name, **spec):
    path = f"{ACCOUNT}/{name}"
    if api.get(path).code == 404:
        assert api.post(ACCOUNT, {"metadata": {"name": name}}).code == 201
    answer = api.post(f"{path}/token", {"spec": spec})
    assert answer.code == 201, answer.body
    return answer.json["status"]["token"]


# Users


def test_a_user_of_a_role_gets_a_file_and_no_more_than_the_role(https, client):
    eve = user(https, "eve", "view")
    assert stat.S_IMODE(eve.stat().st_mode) == 0o600
    assert client.request("GET", PODS, kubeconfig=eve).code == 200
    secrets = client.request("GET", "/api/v1/namespaces/default/secrets", kubeconfig=eve)
    assert (secrets.code, secrets.json["message"]) == (
        403,
        'secrets is forbidden: User "eve" cannot list resource "secrets" in API group "" in the namespace '
        '"default"',
    )
    assert secrets.json["details"] == {"kind": "secrets"}
    made = client.request("POST", PODS, pod("x"), kubeconfig=eve)
    assert made.code == 403
    bob = user(https, "bob", "edit", days="7")
    assert client.request("POST", PODS, pod("x"), kubeconfig=bob).code == 201
    for path in ("/minikubelet/v1/images", "/metrics/probes", "/no/such/path"):
        answer = client.request("GET", path, kubeconfig=bob)
        assert answer.json["message"] == f'forbidden: User "bob" cannot get path "{path}"'
    assert client.request("POST", "/minikubelet/v1/kubeconfig", {"user": "x"}, kubeconfig=bob).code == 403


def test_the_certificate_has_the_days_it_was_given(https):
    path = user(https, "eve", "view", days="7", file=str(https.root / "mine"))
    assert path == https.root / "mine"
    data = json.loads(path.read_text())["users"][0]["user"]["client-certificate-data"]
    ask = ["openssl", "x509", "-noout", "-subject", "-checkend"]
    for seconds, code in ((6 * 86400, 0), (8 * 86400, 1)):
        done = subprocess.run([*ask, str(seconds)], input=base64.b64decode(data), capture_output=True)
        assert done.returncode == code
        assert b"O = view, CN = eve" in done.stdout
    assert not list((https.paths.etc / "pki").glob("user-*"))  # nothing of it stays


@pytest.mark.parametrize(
    "body",
    [
        {"user": ""},
        {"user": "a/O=system:masters"},
        {"user": "a+b"},
        {"user": "a\nb"},
        {"user": "x" * 65},
        {"user": 1},
        {"user": "a", "groups": "view"},
        {"user": "a", "groups": ["view/CN=root"]},
        {"user": "a", "groups": ["g"] * 33},
        {"user": "a", "days": 0},
        {"user": "a", "days": True},
        {"user": "a", "days": 10**9},
    ],
)
def test_what_cannot_be_in_a_certificate_is_refused(https, body):
    assert https.post("/minikubelet/v1/kubeconfig", body).code == 400


# ServiceAccounts


def test_an_account_may_nothing_but_ask_until_its_namespace_says_so(https, client):
    token = account_token(https, "robot")
    assert client.as_token(token, "GET", "/api/v1").code == 200
    refused = client.as_token(token, "GET", PODS)
    assert refused.json["message"].startswith(f'pods is forbidden: User "{SYSTEM}default:robot" cannot list')
    role = {"metadata": {"annotations": {"role.minikubelet.io/robot": "view"}}}
    https.request("PATCH", "/api/v1/namespaces/default", role, "application/merge-patch+json")
    assert client.as_token(token, "GET", PODS).code == 200
    assert client.as_token(token, "GET", "/api/v1/namespaces/kube-system/pods").code == 403
    assert client.as_token(token, "GET", "/api/v1/pods").code == 403


def test_a_token_ends_with_its_pod_and_its_account(https, client):
    token = account_token(https, "robot")
    https.post(PODS, {**pod("web"), "spec": {**pod("web")["spec"], "serviceAccountName": "robot"}})
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "web"}
    of_pod = account_token(https, "robot", boundObjectRef=reference)
    assert client.as_token(of_pod, "GET", "/api").code == 200
    https.request("DELETE", f"{PODS}/web", {"gracePeriodSeconds": 0})
    assert client.as_token(of_pod, "GET", "/api").code == 401
    assert client.as_token(token, "GET", "/api").code == 200
    https.request("DELETE", f"{ACCOUNT}/robot")
    assert client.as_token(token, "GET", "/api").code == 401


def test_a_token_for_others_is_none_for_the_api(https, client):
    assert client.as_token(account_token(https, "robot", audiences=["vault"]), "GET", "/api").code == 401


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ({"expirationSeconds": 599}, 422, "spec.expirationSeconds: Invalid value: 599: may not specify a "
         "duration less than 10 minutes"),
        ({"expirationSeconds": 2**33}, 422, "may not specify a duration larger than 2^32 seconds"),
        ({"boundObjectRef": {"kind": "Pod", "name": "no"}}, 404, 'pods "no" not found'),
        ({"boundObjectRef": {"kind": "Pod", "name": "web"}}, 400, "running with different serviceaccount"),
        ({"boundObjectRef": {"kind": "Pod", "name": "web", "uid": "x"}}, 409, "the UID in the bound object"),
        ({"boundObjectRef": {"kind": "ConfigMap", "name": "c"}}, 400, "cannot bind token to object of type"),
        ({"nonsense": 1}, 400, 'unknown field "spec.nonsense"'),
    ],
)  # fmt: skip
def test_tokens_that_are_not_given(https, spec, code, words):
    https.post(ACCOUNT, {"metadata": {"name": "robot"}})
    https.post(PODS, pod("web"))
    answer = https.post(f"{ACCOUNT}/robot/token", {"spec": spec})
    assert (answer.code, words in answer.json["message"]) == (code, True), answer.json
    assert https.post(f"{ACCOUNT}/nobody/token", {}).json["message"] == 'serviceaccounts "nobody" not found'


# Pods


def volumes(obj):
    return [volume for volume in obj["spec"].get("volumes", []) if volume["name"].startswith(PREFIX)]


def test_a_pod_finds_a_token_a_ca_and_its_namespace(https):
    body = pod("web")
    body["spec"]["initContainers"] = [{"name": "first", "image": "localhost/host"}]
    body["spec"]["containers"].append(
        {"name": "own", "image": "localhost/host", "volumeMounts": [{"name": "v", "mountPath": MOUNT_PATH}]}
    )
    body["spec"]["volumes"] = [{"name": "v", "emptyDir": {}}]
    made = https.post(PODS, body).json
    (volume,) = volumes(made)
    assert volume["projected"] == {
        "defaultMode": 420,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": ROOT_CA, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
            ]}},
        ],
    }  # fmt: skip
    mount = {"name": volume["name"], "readOnly": True, "mountPath": MOUNT_PATH}
    main, own = made["spec"]["containers"]
    assert main["volumeMounts"] == made["spec"]["initContainers"][0]["volumeMounts"] == [mount]
    assert own["volumeMounts"] == [{"name": "v", "mountPath": MOUNT_PATH}]
    assert https.request("PUT", f"{PODS}/web", body).code == 200  # the file it was made from


@pytest.mark.parametrize(
    ("of_account", "of_pod", "mounted"),
    [(None, None, True), (False, None, False), (None, False, False), (False, True, True)],
)
def test_pod_or_account_may_decline(https, of_account, of_pod, mounted):
    account = {"metadata": {"name": "robot"}}
    if of_account is not None:
        account["automountServiceAccountToken"] = of_account
    https.post(ACCOUNT, account)
    body = pod("web")
    body["spec"]["serviceAccountName"] = "robot"
    if of_pod is not None:
        body["spec"]["automountServiceAccountToken"] = of_pod
    assert bool(volumes(https.post(PODS, body).json)) is mounted


def test_where_there_is_no_port_there_is_no_token(api):
    assert not volumes(api.post(PODS, pod("web")).json)


def test_an_account_gives_its_pull_secrets_and_must_be_there(https):
    https.post(ACCOUNT, {"metadata": {"name": "robot"}, "imagePullSecrets": [{"name": "key"}]})
    body = pod("web")
    body["spec"]["serviceAccountName"] = "robot"
    assert https.post(PODS, body).json["spec"]["imagePullSecrets"] == [{"name": "key"}]
    body["metadata"]["name"], body["spec"]["imagePullSecrets"] = "own", [{"name": "other"}]
    assert https.post(PODS, body).json["spec"]["imagePullSecrets"] == [{"name": "other"}]
    body["spec"]["serviceAccountName"] = "x"
    answer = https.post(PODS, body)
    assert (answer.code, answer.json["message"]) == (
        403,
        'pods "own" is forbidden: error looking up service account default/x: serviceaccount "x" not found',
    )


def test_what_a_namespace_has_comes_back(https):
    for path in (f"/api/v1/namespaces/default/configmaps/{ROOT_CA}", f"{ACCOUNT}/default"):
        before = until(lambda path=path: https.get(path), lambda answer: answer.code == 200)
        https.request("DELETE", path)
        again = until(lambda path=path: https.get(path), lambda answer: answer.code == 200)
        assert again["metadata"]["uid"] != before["metadata"]["uid"]
    path = f"/api/v1/namespaces/default/configmaps/{ROOT_CA}"
    https.request("PATCH", path, {"data": {"ca.crt": "mine"}}, "application/merge-patch+json")
    ca = (https.paths.etc / "pki" / "ca.crt").read_text()
    until(lambda: https.get(path), lambda answer: answer.json["data"] == {"ca.crt": ca})


def until(ask, good):
    """The object in the first answer that is good."""
    limit = time.monotonic() + 30
    while not good(answer := ask()):
        assert time.monotonic() < limit, answer.body
    return answer.json


# Reviews


def review(api, kind, spec=None, path=f"{REVIEWS}/selfsubjectaccessreviews"):
    body = {"kind": kind, "apiVersion": "authorization.k8s.io/v1"}
    answer = api.post(path, body if spec is None else {**body, "spec": spec})
    assert answer.code in (201, 400, 422), answer.body
    return answer


def test_may_i_and_may_they(https):
    asked = {"resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "default"}}
    mine = review(https, "SelfSubjectAccessReview", asked).json
    assert mine["status"] == {
        "allowed": True,
        "reason": 'RBAC: allowed by ClusterRoleBinding "cluster-admin" of ClusterRole "cluster-admin" to '
        'Group "system:masters"',
    }
    assert mine["spec"] == asked
    for groups, allowed in ((["view"], False), (["edit"], True)):
        path = f"{REVIEWS}/subjectaccessreviews"
        theirs = review(https, "SubjectAccessReview", {**asked, "user": "eve", "groups": groups}, path).json
        assert theirs["status"]["allowed"] is allowed
    path = f"{REVIEWS}/namespaces/kube-system/localsubjectaccessreviews"
    wrong = review(https, "LocalSubjectAccessReview", {**asked, "user": "eve"}, path)
    assert "must match metadata.namespace" in wrong.json["message"]
    nothing = review(https, "SelfSubjectAccessReview", {})
    assert "exactly one of nonResourceAttributes or resourceAttributes" in nothing.json["message"]


def test_whose_token_is_this(https):
    path = "/apis/authentication.k8s.io/v1/tokenreviews"

    def status(token, **spec):
        body = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1"}
        return https.post(path, {**body, "spec": {"token": token, **spec}}).json["status"]

    good = status(account_token(https, "robot"))
    assert good["authenticated"] is True
    assert good["user"]["username"] == f"{SYSTEM}default:robot"
    assert good["user"]["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:default",
        "system:authenticated",
    ]
    other = account_token(https, "robot", audiences=["vault"])
    assert "authenticated" not in status(other)
    assert status(other, audiences=["vault", "x"])["audiences"] == ["vault"]
    assert status("nonsense") == {"user": {}, "error": "[invalid bearer token]"}


# kubectl


@pytest.fixture(params=KUBECTLS, ids=str)
def kubectl(request, https):
    return Kubectl(https.root / "home", https.paths.kubeconfig, request.param)


@pytest.mark.kubectl
def test_kubectl_auth_and_create_token(https, kubectl):
    kubectl("create", "serviceaccount", "robot")
    assert kubectl("auth", "can-i", "list", "pods") == "yes\n"
    robot = ["--as", f"{SYSTEM}default:robot"]
    assert kubectl.run("auth", "can-i", "list", "pods", *robot).stdout == "no\n"
    assert kubectl("auth", "can-i", "create", "pods/exec", "--as", "eve", "--as-group", "edit") == "yes\n"
    assert kubectl.run("auth", "can-i", "get", "secrets", "--as", "eve", "--as-group", "view").returncode == 1
    assert "*.*" in kubectl("auth", "can-i", "--list")
    refused = kubectl.fails("get", "pods", *robot)
    assert refused == (
        f'Error from server (Forbidden): pods is forbidden: User "{SYSTEM}default:robot" cannot list '
        'resource "pods" in API group "" in the namespace "default"\n'
    )
    if kubectl.minor >= 27:
        who = kubectl("auth", "whoami", *robot)
        assert f"Username    {SYSTEM}default:robot" in who.replace("   ", "   ")
        assert "system:serviceaccounts:default" in who
        token = kubectl("create", "token", "robot", "--duration=20m", "--audience=vault").strip()
        assert token.count(".") == 2
        less = kubectl.fails("create", "token", "robot", "--duration=1s")
        assert "may not specify a duration less than 10 minutes" in less


def test_only_who_may_acts_as_somebody_else(https, client):
    eve, bob = user(https, "eve", "view"), user(https, "bob", "edit")
    answer = client.request("GET", PODS, kubeconfig=eve, Impersonate_User="kubernetes-admin")
    assert answer.json["message"] == (
        'users "kubernetes-admin" is forbidden: User "eve" cannot impersonate resource "users" in API group '
        '"" at the cluster scope'
    )
    robot = f"{SYSTEM}default:robot"
    as_robot = client.request("GET", PODS, kubeconfig=bob, Impersonate_User=robot).json["message"]
    assert f'User "{robot}" cannot list' in as_robot
    masters = {"Impersonate_User": robot, "Impersonate_Group": "system:masters"}
    assert (
        'groups "system:masters" is forbidden'
        in client.request("GET", PODS, kubeconfig=bob, **masters).json["message"]
    )
    alone = client.request("GET", PODS, kubeconfig=bob, Impersonate_Group="view")
    assert alone.code == 400
