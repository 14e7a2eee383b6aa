"""`kubeconfig`: the admin's file, and files for others. What those may do: unit/api/test_accounts.py."""

from __future__ import annotations


def test_what_is_about_a_user_wants_one(cli):
    for words in (["--group", "view"], ["--days", "7"], ["--file", "x"]):
        complaint = cli.fails("kubeconfig", *words, code=2)
        assert "--group, --days and --file want a --user" in complaint


def test_without_a_port_there_is_nothing_to_connect_to(cli):
    assert cli.fails("kubeconfig", "--user", "eve", "--group", "view") == (
        "Error from server (ServiceUnavailable): this agent has no port for kubectl: start it with --listen\n"
    )


def test_a_name_that_cannot_stand_in_a_certificate(cli):
    complaint = cli.fails("kubeconfig", "--user", "eve/O=system:masters")
    assert complaint.startswith(
        "Error from server (BadRequest): user: 'eve/O=system:masters': must be 1 to 64 "
    )
