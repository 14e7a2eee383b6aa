"""DNS messages about the node's own names. Pure: bytes in, bytes out; dnspython does the wire format.

It is imported with the first question: a node whose pods never ask does without its 25 ms and 2.6 MiB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dns.message import Message, QueryMessage
    from dns.name import Name
    from dns.rrset import RRset

TTL = 5  # seconds; as CoreDNS says for pods and services
HEADER = 12
PLAIN_UDP, LARGEST_UDP = 512, 1232  # bytes: without EDNS, and what passes everywhere unfragmented
RESPONSE_BIT = 0x80


class Names(Protocol):
    """Where the records come from. Names are lower case, without the domain and its dot."""

    domain: str  # such as cluster.local

    def addresses(self, name: str) -> Sequence[str] | None:
        """IPv4 addresses; empty: the name exists without any; None: it does not exist."""

    def name_of(self, address: str) -> str | None:
        """The full name that belongs to an address of the pod network."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question, looked at: whose business is it?"""

    message: bytes
    local: bool  # ours to answer, even if the answer is no


def read_question(message: bytes, domain: str, network: IPv4Network) -> Question | None:
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
    ours = name.is_subdomain(dns.name.from_text(domain)) or _reversed(name, network) is not None
    return Question(message, ours)


def answer(question: Question, names: Names, network: IPv4Network, *, udp: bool) -> bytes | None:
    """The answer to a local question; over UDP cut to what the asker can take. None: it was malformed."""
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
    found = _records(asked.name, names, network)
    kind, values = found if found is not None else ("A", ())
    if values and asked.rdtype in (dns.rdatatype.from_text(kind), dns.rdatatype.ANY):
        response.answer.append(dns.rrset.from_text_list(asked.name, TTL, "IN", kind, values))
    else:
        response.authority.append(_start_of_authority(names.domain))
        if found is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
    return _wire(response, query, udp)


def failure(message: bytes) -> bytes:
    """SERVFAIL, for a question that nobody could answer; the header and the question come back."""
    import dns.message
    import dns.rcode

    response = dns.message.make_response(dns.message.from_wire(message, question_only=True))
    response.set_rcode(dns.rcode.SERVFAIL)
    return response.to_wire()


def _records(name: Name, names: Names, network: IPv4Network) -> tuple[str, Sequence[str]] | None:
    """(kind, values); without values when the name exists all the same."""
    address = _reversed(name, network)
    if address is not None:
        owner = names.name_of(str(address))
        return None if owner is None else ("PTR", (f"{owner}.",))
    text = name.to_text(omit_final_dot=True).lower()
    found = names.addresses(text.removesuffix(names.domain).removesuffix("."))
    return None if found is None else ("A", found)


def _reversed(name: Name, network: IPv4Network) -> IPv4Address | None:
    """The address a name in in-addr.arpa is about, if it is one of the pod network's."""
    labels = name.to_text(omit_final_dot=True).lower().split(".")
    if labels[-2:] != ["in-addr", "arpa"] or len(labels) != 6:
        return None
    try:
        address = IPv4Address(".".join(reversed(labels[:4])))
    except ValueError:
        return None
    return address if address in network else None


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
