"""DNS messages about the node's own names. Pure: bytes in, bytes out; dnspython does the wire format.

It is imported with the first question: a node whose pods never ask does without its 25 ms and 2.6 MiB.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from dns.message import Message, QueryMessage
    from dns.name import Name
    from dns.rrset import RRset

TTL = 5  # seconds; as CoreDNS says for pods and services
LONGEST_CHAIN = 8  # aliases of aliases
HEADER = 12
PLAIN_UDP, LARGEST_UDP = 512, 1232  # bytes: without EDNS, and what passes everywhere unfragmented
RESPONSE_BIT = 0x80


class Record(NamedTuple):
    """What a name stands for; `value` as in a zone file."""

    kind: str  # A, CNAME, SRV
    value: str


class Names(Protocol):
    """Where the records come from. Names are lower case, without the domain and its dot."""

    domain: str  # such as cluster.local
    networks: Sequence[IPv4Network]  # whose addresses have names here

    def records(self, name: str) -> Sequence[Record] | None:
        """Empty: the name exists without any; None: it does not exist. An alias is the only one of a name."""

    def name_of(self, address: str) -> str | None:
        """The full name that belongs to an address of these networks."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question, looked at: whose business is it?"""

    message: bytes
    local: bool  # ours to answer, even if the answer is no


def read_question(message: bytes, names: Names) -> Question | None:
    """None when it is nothing to answer: no question, or no DNS at all."""
    if len(message) < HEADER or message[2] & RESPONSE_BIT:
        return None
    import dns.exception
    import dns.message
    import dns.name

    try:
        query = dns.message.from_wire(message, question_only=True)
    except dns.exception.DNSException:
        return None
    if len(query.question) != 1 or query.opcode() != dns.opcode.QUERY:
        return None
    name = query.question[0].name
    return Question(message, _is_ours(name, names))


def question_about_alias(question: Question, names: Names) -> bytes | None:
    """What others must be asked before a local question can be answered in full: what the name stands for
    that ours is an alias of. None: nothing.
    """
    import dns.message
    import dns.rdatatype

    query = dns.message.from_wire(question.message, question_only=True)
    asked = query.question[0]
    *_, (target, found) = _chain(asked.name, asked.rdtype, names)
    if found is not None or target == asked.name or _is_inside(target, names.domain):
        return None
    further = dns.message.make_query(target, asked.rdtype, use_edns=0, payload=LARGEST_UDP)
    further.id = query.id
    return further.to_wire()


def answer(question: Question, names: Names, *, udp: bool, about_alias: bytes | None = None) -> bytes | None:
    """The answer to a local question; over UDP cut to what the asker can take. None: it was malformed.
    `about_alias` is what others said to `question_about_alias`.
    """
    import dns.exception
    import dns.flags
    import dns.message
    import dns.rcode
    import dns.rdataclass
    import dns.rdatatype
    import dns.rrset

    try:
        query = dns.message.from_wire(question.message)
    except dns.exception.DNSException:
        return None
    assert isinstance(query, dns.message.QueryMessage)
    response = dns.message.make_response(query, recursion_available=True)
    asked = query.question[0]
    response.flags |= dns.flags.AA
    if asked.rdclass != dns.rdataclass.IN or asked.rdtype in (dns.rdatatype.AXFR, dns.rdatatype.IXFR):
        response.set_rcode(dns.rcode.REFUSED)
        return response.to_wire()
    for name, found in _chain(asked.name, asked.rdtype, names):
        for kind in dict.fromkeys(record.kind for record in found or ()):
            if kind == "CNAME" or asked.rdtype in (dns.rdatatype.from_text(kind), dns.rdatatype.ANY):
                values = [record.value for record in found or () if record.kind == kind]
                response.answer.append(dns.rrset.from_text_list(name, TTL, "IN", kind, values))
    if about_alias is not None:
        _add_foreign(response, about_alias)
    elif found is None and _is_ours(name, names):
        response.set_rcode(dns.rcode.NXDOMAIN)
    if not response.answer:
        response.authority.append(_start_of_authority(names.domain))
    return _wire(response, query, udp)


def _add_foreign(response: Message, said: bytes) -> None:
    """What others said; if it cannot be read the alias has to do."""
    import dns.exception
    import dns.message

    with contextlib.suppress(dns.exception.DNSException):
        foreign = dns.message.from_wire(said)
        response.answer.extend(foreign.answer)
        response.set_rcode(foreign.rcode())


def failure(message: bytes) -> bytes:
    """SERVFAIL, for a question that nobody could answer; the header and the question come back."""
    import dns.message
    import dns.rcode

    response = dns.message.make_response(dns.message.from_wire(message, question_only=True))
    response.set_rcode(dns.rcode.SERVFAIL)
    return response.to_wire()


def _chain(name: Name, kind: int, names: Names) -> Iterator[tuple[Name, Sequence[Record] | None]]:
    """The name and what it stands for; then, if it is an alias, the same for its target, and so on. The last
    one may be a name that is not ours, of which we know nothing.
    """
    import dns.name
    import dns.rdatatype

    for _ in range(LONGEST_CHAIN):
        found = _records(name, names) if _is_ours(name, names) else None
        yield name, found
        is_alias = found is not None and [record.kind for record in found] == ["CNAME"]
        if not is_alias or kind in (dns.rdatatype.CNAME, dns.rdatatype.ANY):
            return
        assert found is not None
        name = dns.name.from_text(found[0].value)


def _records(name: Name, names: Names) -> Sequence[Record] | None:
    """Empty when the name exists all the same."""
    address = _reversed(name, names.networks)
    if address is not None:
        owner = names.name_of(str(address))
        return None if owner is None else (Record("PTR", f"{owner}."),)
    text = name.to_text(omit_final_dot=True).lower()
    return names.records(text.removesuffix(names.domain).removesuffix("."))


def _is_ours(name: Name, names: Names) -> bool:
    return _is_inside(name, names.domain) or _reversed(name, names.networks) is not None


def _is_inside(name: Name, domain: str) -> bool:
    import dns.name

    return name.is_subdomain(dns.name.from_text(domain))


def _reversed(name: Name, networks: Sequence[IPv4Network]) -> IPv4Address | None:
    """The address a name in in-addr.arpa is about, if it is one of ours."""
    labels = name.to_text(omit_final_dot=True).lower().split(".")
    if labels[-2:] != ["in-addr", "arpa"] or len(labels) != 6:
        return None
    try:
        address = IPv4Address(".".join(reversed(labels[:4])))
    except ValueError:
        return None
    return address if any(address in network for network in networks) else None


def _start_of_authority(domain: str) -> RRset:
    """With its last number, for how long a resolver may remember that there is nothing."""
    import dns.rrset

    text = f"ns.dns.{domain}. hostmaster.{domain}. 1 7200 1800 86400 {TTL}"
    return dns.rrset.from_text(f"{domain}.", TTL, "IN", "SOA", text)


def _wire(response: Message, query: QueryMessage, udp: bool) -> bytes:
    import dns.exception
    import dns.flags

    if not udp:
        return response.to_wire()
    try:
        return response.to_wire(max_size=min(max(query.payload, PLAIN_UDP), LARGEST_UDP))
    except dns.exception.TooBig:
        response.answer.clear()
        response.flags |= dns.flags.TC
        return response.to_wire()
