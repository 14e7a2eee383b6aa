"""Server-side apply without a server: sets of fields, who owns them, and what is always true of them."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.errors import ApiError, BadRequest, Conflict
from minikubelet.v1 import Pod, managed_fields
from minikubelet.v1.managed_fields import LAST_APPLIED, Writer, managers, paths, values
from minikubelet.v1.topology import root

NODE = root(Pod)


class Clock:
    """A second later each time."""

    def __init__(self):
        self.seconds = 0

    def __call__(self):
        self.seconds += 1
        return f"2026-01-01T00:{self.seconds // 60:02}:{self.seconds % 60:02}Z"


clock = Clock()


def config(spec=None, **metadata):
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default", **metadata},
    }
    return made if spec is None else {**made, "spec": spec}


def containers(**images):
    return {"containers": [{"name": name, "image": image} for name, image in images.items()]}


def writer(name, subresource=""):
    return Writer(Pod, name, subresource, clock())


def apply(obj, configuration, by="alice", force=False, subresource=""):
    return managed_fields.apply(writer(by, subresource), obj, copy.deepcopy(configuration), force=force)


def update(obj, new, by="bob", subresource=""):
    return managed_fields.track(writer(by, subresource), obj, copy.deepcopy(new))


def changed(obj, **parts):
    new = copy.deepcopy(obj)
    for key, value in parts.items():
        (new["metadata"] if key in ("labels", "annotations", "finalizers") else new)[key] = value
    return new


def owners(obj):
    """Manager → FieldsV1."""
    return {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"].get("managedFields", [])}


def entry_of(obj, name):
    (entry,) = [one for one in obj["metadata"]["managedFields"] if one["manager"] == name]
    return entry


# What the documentation says (Server-Side Apply, and KEP-555).


def test_an_applied_object_belongs_to_its_applier():
    """The first example of the documentation: what was applied, and nothing else."""
    obj = apply(None, config(containers(main="nginx"), labels={"test-label": "test"}), "kubectl")
    assert entry_of(obj, "kubectl") == {
        "manager": "kubectl",
        "operation": "Apply",
        "apiVersion": "v1",
        "time": entry_of(obj, "kubectl")["time"],
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:labels": {"f:test-label": {}}},
            "f:spec": {"f:containers": {'k:{"name":"main"}': {".": {}, "f:image": {}, "f:name": {}}}},
        },
    }


def test_who_updates_a_field_takes_it():
    obj = apply(None, config(labels={"a": "1"}))
    obj = update(obj, changed(obj, labels={"a": "2"}))
    assert owners(obj) == {"bob": {"f:metadata": {"f:labels": {"f:a": {}}}}}


def test_a_created_object_belongs_to_its_maker_with_its_lists_and_maps():
    """As a cluster shows it: a dot where the maker also made what the fields are in."""
    made = update(
        None,
        config(
            {
                "containers": [
                    {"name": "main", "image": "nginx", "ports": [{"containerPort": 80, "protocol": "TCP"}]}
                ],
                "restartPolicy": "Always",
                "nodeSelector": {"a": "b"},
                "volumes": [{"name": "v", "emptyDir": {}}],
            },
            labels={"run": "web"},
            finalizers=["example.com/x"],
        ),
        "kubectl-run",
    )
    assert owners(made)["kubectl-run"] == {
        "f:metadata": {
            "f:finalizers": {".": {}, 'v:"example.com/x"': {}},
            "f:labels": {".": {}, "f:run": {}},
        },
        "f:spec": {
            "f:containers": {
                'k:{"name":"main"}': {
                    ".": {},
                    "f:image": {},
                    "f:name": {},
                    "f:ports": {
                        ".": {},
                        'k:{"containerPort":80,"protocol":"TCP"}': {
                            ".": {},
                            "f:containerPort": {},
                            "f:protocol": {},
                        },
                    },
                    "f:resources": {},
                }
            },
            "f:nodeSelector": {},
            "f:restartPolicy": {},
            "f:volumes": {".": {}, 'k:{"name":"v"}': {".": {}, "f:emptyDir": {}, "f:name": {}}},
        },
    }


def test_a_conflict_names_every_field_and_its_manager():
    obj = apply(None, config(containers(main="one"), labels={"a": "1", "b": "1"}))
    obj = update(obj, changed(obj, labels={"a": "2", "b": "1"}), "kubectl-label")
    with pytest.raises(Conflict) as one:
        apply(obj, config(labels={"a": "1"}), "alice")
    assert one.value.message == (
        'Apply failed with 1 conflict: conflict with "kubectl-label" using v1: .metadata.labels.a'
    )
    assert one.value.status()["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-label" using v1',
            "field": ".metadata.labels.a",
        }
    ]
    with pytest.raises(Conflict) as several:
        apply(obj, config(containers(main="two"), labels={"a": "3", "b": "3"}), "carol")
    assert several.value.message == (
        "Apply failed with 3 conflicts: "
        'conflicts with "alice":\n'
        "- .metadata.labels.b\n"
        '- .spec.containers[name="main"].image\n'
        'conflicts with "kubectl-label" using v1:\n'
        "- .metadata.labels.a"
    )


def test_force_takes_what_is_in_conflict():
    obj = apply(None, config(labels={"a": "1", "b": "1"}))
    obj = apply(obj, config(labels={"a": "2"}), "carol", force=True)
    assert obj["metadata"]["labels"] == {"a": "2", "b": "1"}
    assert owners(obj) == {
        "alice": {"f:metadata": {"f:labels": {"f:b": {}}}},
        "carol": {"f:metadata": {"f:labels": {"f:a": {}}}},
    }


def test_the_same_value_is_no_conflict_but_shared():
    obj = apply(None, config(labels={"a": "1"}))
    obj = apply(obj, config(labels={"a": "1"}), "carol")
    assert owners(obj)["alice"] == owners(obj)["carol"]
    assert "a" in apply(obj, config(labels={}), "carol")["metadata"]["labels"], "alice still wants it"


def test_what_is_no_longer_applied_is_removed():
    obj = apply(None, config(containers(main="x", side="y"), labels={"a": "1", "b": "2"}))
    obj = apply(obj, config(containers(main="x"), labels={"a": "1"}))
    assert obj["metadata"]["labels"] == {"a": "1"}
    assert obj["spec"] == containers(main="x")


def test_an_item_stays_as_long_as_one_applier_lists_it():
    obj = apply(None, config(containers(main="x", side="y")))
    obj = apply(obj, config({"containers": [{"name": "side", "workingDir": "/tmp"}]}), "carol")
    obj = apply(obj, config(containers(main="x")))
    assert obj["spec"]["containers"][1] == {"name": "side", "workingDir": "/tmp"}


def test_an_item_goes_with_what_updates_have_put_into_it():
    """As structured-merge-diff has it: only appliers hold an item, since only they list it."""
    obj = apply(None, config(containers(main="x", side="y")))
    new = copy.deepcopy(obj)
    new["spec"]["containers"][1]["workingDir"] = "/tmp"
    obj = apply(update(obj, new), config(containers(main="x")))
    assert obj["spec"] == containers(main="x")
    assert set(owners(obj)) == {"alice"}


def test_what_nobody_applied_stays():
    obj = update(None, config(containers(main="x"), labels={"a": "1"}))
    obj = apply(obj, config(containers(side="y")))
    assert [one["name"] for one in obj["spec"]["containers"]] == ["main", "side"]
    assert obj["metadata"]["labels"] == {"a": "1"}


def test_an_applier_gives_up_a_field_to_a_controller():
    """The documentation's way to let an autoscaler have `replicas`: leave it out once it is shared."""
    obj = apply(None, config(containers(main="x"), labels={"size": "3"}))
    obj = apply(obj, config(labels={"size": "3"}), "scaler")
    obj = apply(obj, config(containers(main="x")))
    assert obj["metadata"]["labels"] == {"size": "3"}
    obj = apply(obj, config(labels={"size": "5"}), "scaler")
    assert obj["metadata"]["labels"] == {"size": "5"}


def test_the_status_has_owners_of_its_own():
    obj = apply(None, {**config(containers(main="x")), "status": {"phase": "Failed"}})
    assert "f:status" not in owners(obj)["alice"]
    assert "status" not in obj, "it is not set through the object"
    obj = apply(obj, {**config(), "status": {"phase": "Running"}}, "node", subresource="status")
    assert entry_of(obj, "node")["subresource"] == "status"
    with pytest.raises(Conflict, match=r'conflict with "node" with subresource "status": \.status'):
        apply(obj, {**config(), "status": {"phase": "Failed"}}, "other", subresource="status")


def test_an_object_that_nobody_tracked_had_owners_before():
    """As from a server before managedFields, or from the node itself."""
    obj = config(containers(main="x"), labels={"a": "1"})
    assert update(obj, changed(obj, labels={"a": "2"}))["metadata"].get("managedFields") is None
    with pytest.raises(Conflict, match='conflict with "before-first-apply" using v1'):
        apply(obj, config(labels={"a": "2"}))
    assert set(owners(apply(obj, config(labels={"b": "2"})))) == {"alice", "before-first-apply"}


def test_entries_can_be_taken_away_by_hand():
    obj = apply(None, config(labels={"a": "1"}))
    for reset in ([], [{}]):
        new = copy.deepcopy(obj)
        new["metadata"]["managedFields"] = reset
        assert "managedFields" not in update(obj, new)["metadata"]


def test_entries_that_are_left_out_or_make_no_sense_stay_as_they_were():
    obj = apply(None, config(labels={"a": "1"}))
    for bad in (None, [{"manager": "x"}], [{**entry_of(obj, "alice"), "fieldsV1": {"q": {}}}], ["x"]):
        new = copy.deepcopy(obj)
        new["metadata"]["managedFields"] = bad
        assert owners(update(obj, new)) == owners(obj), bad


def test_times_move_only_with_something_else():
    obj = apply(None, config(containers(main="x"), labels={"a": "1"}))
    assert apply(obj, config(containers(main="x"), labels={"a": "1"})) == obj
    assert update(obj, obj) == obj
    later = apply(obj, config(containers(main="x"), labels={"a": "2"}))
    assert entry_of(later, "alice")["time"] > entry_of(obj, "alice")["time"]


def test_more_than_ten_updaters_become_ancient():
    obj = update(None, config(labels={"l0": "0"}), "m0")
    for n in range(1, 15):
        obj = update(obj, changed(obj, labels={**obj["metadata"]["labels"], f"l{n}": str(n)}), f"m{n}")
    assert list(owners(obj)) == ["ancient-changes", *(f"m{n}" for n in range(6, 15))]
    ancient = owners(obj)["ancient-changes"]["f:metadata"]["f:labels"]
    assert set(ancient) == {".", "f:l0", "f:l1", "f:l2", "f:l3", "f:l4", "f:l5"}


# kubectl's way from the client's side to the server's.


def client_applied(configuration):
    text = '{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"a":"1"},"name":"web"}}'
    made = changed(configuration, annotations={LAST_APPLIED: text})
    return update(None, made, "kubectl-client-side-apply")


def test_what_kubectl_applied_before_is_no_conflict_for_it():
    obj = client_applied(config(labels={"a": "1", "b": "1"}))
    with pytest.raises(Conflict):
        apply(obj, config(labels={"a": "2"}), "somebody")
    with pytest.raises(Conflict, match=r"1 conflict: .* \.metadata\.labels\.b"):
        apply(obj, config(labels={"a": "2", "b": "2"}), "kubectl")
    obj = apply(obj, config(labels={"a": "2"}), "kubectl")
    assert '"labels":{"a":"2"}' in obj["metadata"]["annotations"][LAST_APPLIED], "it is kept up to date"


def test_an_annotation_that_is_none_of_kubectls_helps_nobody():
    for text in ("", "{", "[]", '{"apiVersion":"v9"}', '{"apiVersion":"v1","metadata":3}', "[" * 5000):
        obj = update(None, config(labels={"a": "1"}, annotations={LAST_APPLIED: text}), "x")
        with pytest.raises(Conflict):
            apply(obj, config(labels={"a": "2"}), "kubectl")


# What a configuration may not be.


@pytest.mark.parametrize(
    ("configuration", "text"),
    [
        pytest.param(
            config(managedFields=[{"manager": "x"}]), "metadata.managedFields must be nil", id="managed"
        ),
        pytest.param(
            config({"containers": [{"name": "a"}, {"name": "a"}]}),
            "failed to create typed patch object (default/web; /v1, Kind=Pod): .spec.containers: duplicate "
            'entries for key [name="a"]',
            id="twice",
        ),
        pytest.param(
            config({"containers": [{"name": "a", "ports": [{"protocol": "TCP"}]}]}),
            'failed to create typed patch object (default/web; /v1, Kind=Pod): .spec.containers[name="a"]'
            ".ports: element 0: associative list with keys has an element that omits key field "
            '"containerPort" (and doesn\'t have default value)',
            id="no key",
        ),
        pytest.param(
            config(finalizers=["a", "a"]),
            "failed to create typed patch object (default/web; /v1, Kind=Pod): .metadata.finalizers: "
            'duplicate entries for key [="a"]',
            id="a set with a value twice",
        ),
    ],
)
def test_a_configuration_that_is_ambiguous_is_refused(configuration, text):
    with pytest.raises(BadRequest) as refused:
        apply(None, configuration)
    assert refused.value.message == text


def test_items_that_cannot_be_told_apart_are_one():
    """A pod may name a variable twice; who changes one of the two changes both."""

    def pod(*numbers):
        env = [{"name": "A", "value": number} for number in numbers]
        return config({"containers": [{"name": "main", "env": env}]})

    obj = update(None, pod("1", "2"))
    later = update(obj, {**pod("1", "3"), "metadata": obj["metadata"]}, "carol")
    assert owners(later)["carol"] == {
        "f:spec": {"f:containers": {'k:{"name":"main"}': {"f:env": {'k:{"name":"A"}': {}}}}}
    }
    kept = apply(later, config({"containers": [{"name": "main", "image": "x"}]}), "alice")
    assert kept["spec"]["containers"][0]["env"] == pod("1", "3")["spec"]["containers"][0]["env"]


def test_the_order_of_a_list_is_the_configurations():
    obj = update(None, config(containers(a="1", server="1", b="1")))
    obj = apply(obj, config(containers(b="1", new="1", a="1")), force=True)
    assert [one["name"] for one in obj["spec"]["containers"]] == ["server", "b", "new", "a"]


@pytest.mark.parametrize(
    ("given", "agent", "name"),
    [
        ("kubectl-edit", "kubectl/v1.33", "kubectl-edit"),
        ("", "kubectl/v1.33 (linux/amd64)", "kubectl"),
        ("", "curl", "curl"),
        ("", "a\x00b\nc/1", "abc"),
        ("", "ü" * 100, "ü" * 64),
        ("", "", ""),
    ],
)
def test_the_manager_of_a_request_without_one_is_its_client(given, agent, name):
    assert managed_fields.manager_name(given, agent) == name


# What is always true.


def bare(obj):
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": metadata}


def drop_nulls(value):
    if isinstance(value, dict):
        return {key: drop_nulls(item) for key, item in value.items() if item is not None}
    return [drop_nulls(item) for item in value] if isinstance(value, list) else value


def full(value):
    """Without what is empty: in Go it cannot be told from what is not there."""
    if isinstance(value, dict):
        kept = {key: full(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, {}, [])}
    return [full(item) for item in value] if isinstance(value, list) else value


NAMES, VALUES = st.sampled_from("abc"), st.sampled_from("12")
LABELS = st.dictionaries(NAMES, VALUES, max_size=3)
PORTS = st.lists(
    st.builds(lambda port, name: {"containerPort": port, "name": name}, st.sampled_from([80, 443]), VALUES),
    unique_by=lambda port: port["containerPort"], max_size=2,
)  # fmt: skip
CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": NAMES},
        optional={
            "image": VALUES,
            "args": st.lists(VALUES, max_size=2),
            "ports": PORTS,
            "resources": st.dictionaries(st.just("limits"), st.dictionaries(NAMES, VALUES, max_size=2)),
            "securityContext": st.dictionaries(st.just("privileged"), st.booleans()),
        },
    ),
    unique_by=lambda container: container["name"],
    max_size=3,
)
CONFIGS = st.builds(
    lambda labels, finalizers, spec: full(config(spec, labels=labels, finalizers=finalizers)),
    LABELS,
    st.lists(NAMES, unique=True, max_size=3),
    st.fixed_dictionaries({}, optional={"containers": CONTAINERS, "nodeSelector": LABELS}),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["apply", "force", "update"]), st.sampled_from("xyz"), CONFIGS), max_size=7
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_what_is_always_true_of_owners(steps):
    obj = update(None, config(containers(a="1")), "maker")
    for verb, who, configuration in steps:
        before = copy.deepcopy(obj)
        if verb == "update":
            given_metadata = {**configuration["metadata"], "managedFields": None}
            obj = update(obj, {**configuration, "metadata": given_metadata}, who)
            changes = values.compare(bare(before), bare(obj), NODE)
            mine = managers.decode(obj["metadata"].get("managedFields")).get(managers.updater(who, "", "v1"))
            owned = mine.fields if mine else frozenset()
            taken = Writer(Pod, who, "", "").tracked(frozenset(changes.added | changes.modified))
            # An object that has lost all its owners is one that nobody tracks.
            assert taken <= owned or "managedFields" not in before["metadata"]
        else:
            try:
                obj = drop_nulls(apply(obj, configuration, who, force=verb == "force"))
            except Conflict:
                assert verb == "apply"
                continue
            assert full(values.merge(bare(obj), configuration, NODE)) == full(bare(obj)), "all is as applied"
            mine = managers.decode(obj["metadata"].get("managedFields")).get(managers.applier(who, ""))
            said = Writer(Pod, who, "", "").tracked(values.field_set(configuration, NODE))
            assert (mine.fields if mine else frozenset()) == said, "who applies owns what it says"
            assert drop_nulls(apply(obj, configuration, who)) == obj, "once more is nothing"
            if verb == "apply":
                kept_by_others(before, obj, who)
        entries = managers.decode(obj["metadata"].get("managedFields"))
        assert managers.encode(entries) == obj["metadata"].get("managedFields", [])


def kept_by_others(before, after, who):
    """Without force nothing that another manager owns has another value."""
    changes = values.compare(bare(before), bare(after), NODE)
    touched = changes.modified | changes.added
    for manager, owned in managers.decode(before["metadata"].get("managedFields")).items():
        if manager != managers.applier(who, ""):
            assert not owned.fields & touched


@given(CONFIGS, CONFIGS)
def test_a_merge_has_all_of_both_and_taking_it_away_leaves_nothing(live, configuration):
    merged = values.merge(live, configuration, NODE)
    assert values.field_set(merged, NODE) >= values.field_set(configuration, NODE)
    assert not values.compare(live, merged, NODE).removed
    everything = values.named_fields(values.field_set(merged, NODE), NODE)
    assert values.without(merged, everything, NODE) is None


@given(CONFIGS)
def test_fields_v1_says_what_the_set_says(configuration):
    fields = values.field_set(configuration, NODE)
    assert paths.from_fields(paths.to_fields(fields)) == fields


ELEMENTS = st.sampled_from([".", "f:a", "k:{}", 'k:{"b":1,"a":2}', "v:1", "v:", "i:0", "x", ""])
TREES = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(ELEMENTS, inner),
)


@given(TREES)
def test_fields_v1_of_a_client_does_no_harm(tree):
    obj = apply(None, config(labels={"a": "1"}))
    new = copy.deepcopy(obj)
    new["metadata"]["managedFields"] = [
        {
            "manager": "x",
            "operation": "Update",
            "apiVersion": "v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": tree,
        }
    ]
    stored = update(obj, new)
    try:
        apply(stored, config(labels={"a": "2"}), "other", force=True)
    except ApiError:
        pytest.fail("force knows no conflict")
