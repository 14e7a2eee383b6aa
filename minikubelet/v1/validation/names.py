"""Which texts may be names (kubelet-behaviour 8.5).

Every function answers with the list of what is wrong, in the API server's words; an empty list means the name
is good.
"""

from __future__ import annotations

import ipaddress
import re

LABEL_PATTERN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
LABEL_1035_PATTERN = "[a-z]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN_PATTERN = rf"{LABEL_PATTERN}(\.{LABEL_PATTERN})*"
QNAME_PATTERN = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
LVALUE_PATTERN = f"({QNAME_PATTERN})?"
CONFIG_KEY_PATTERN = "[-._a-zA-Z0-9]+"
HEADER_PATTERN = "[-A-Za-z0-9]+"
UNDERSCORE_LABEL_PATTERN = "[a-z0-9_]([-_a-z0-9]*[a-z0-9])?"
UNDERSCORE_SUBDOMAIN_PATTERN = rf"{UNDERSCORE_LABEL_PATTERN}(\.{UNDERSCORE_LABEL_PATTERN})*"

LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
    "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    f"'{LABEL_PATTERN}')"
)
LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
    f"validation is '{LABEL_1035_PATTERN}')"
)
SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    f"'{SUBDOMAIN_PATTERN}')"
)
UNDERSCORE_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and "
    "must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    f"'{UNDERSCORE_SUBDOMAIN_PATTERN}')"
)
QNAME_CORE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    f"'{QNAME_PATTERN}')"
)
LVALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
    f"for validation is '{LVALUE_PATTERN}')"
)
CONFIG_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
    f"'KEY_NAME',  or 'key-name', regex used for validation is '{CONFIG_KEY_PATTERN}')"
)
HEADER_TEXT = (
    "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used "
    f"for validation is '{HEADER_PATTERN}')"
)
ENV_NAME_TEXT = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)
IP_TEXT = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"


def dns_label(name: str) -> list[str]:
    """RFC 1123 label: one part of a host name."""
    return _too_long(name, 63) + _unlike(LABEL_PATTERN, name, LABEL_TEXT)


def dns_label_1035(name: str) -> list[str]:
    """RFC 1035 label: as above, beginning with a letter."""
    return _too_long(name, 63) + _unlike(LABEL_1035_PATTERN, name, LABEL_1035_TEXT)


def dns_subdomain(name: str) -> list[str]:
    """RFC 1123 subdomain: labels with dots between them."""
    return _too_long(name, 253) + _unlike(SUBDOMAIN_PATTERN, name, SUBDOMAIN_TEXT)


def dns_subdomain_with_underscores(name: str) -> list[str]:
    """As DNS search paths may be."""
    return _too_long(name, 253) + _unlike(UNDERSCORE_SUBDOMAIN_PATTERN, name, UNDERSCORE_SUBDOMAIN_TEXT)


def name_prefix(name: str) -> list[str]:
    """`generateName`: what follows will end it properly, so a dash at the end is fine."""
    return dns_subdomain(name[:-1] + "a" if name.endswith("-") else name)


def qualified_name(name: str) -> list[str]:
    """`name` or `prefix/name`, as keys of labels and annotations are."""
    prefix, slash, local = name.rpartition("/")
    if "/" in prefix:
        return [
            f"a qualified name {QNAME_CORE} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        ]
    found = []
    if slash:
        found += (
            [f"prefix part {text}" for text in dns_subdomain(prefix)]
            if prefix
            else ["prefix part must be non-empty"]
        )
    if not local:
        found.append("name part must be non-empty")
    elif len(local) > 63:
        found.append("name part must be no more than 63 characters")
    return found + _unlike(QNAME_PATTERN, local, f"name part {QNAME_CORE}")


def label_value(value: str) -> list[str]:
    """The value of a label; may be empty."""
    return _too_long(value, 63) + _unlike(LVALUE_PATTERN, value, LVALUE_TEXT)


def config_key(key: str) -> list[str]:
    """A key of a ConfigMap or Secret: it becomes a file name."""
    found = _too_long(key, 253) + _unlike(CONFIG_KEY_PATTERN, key, CONFIG_KEY_TEXT)
    if key == ".":
        found.append("must not be '.'")
    elif key == "..":
        found.append("must not be '..'")
    elif key.startswith(".."):
        found.append("must not start with '..'")
    return found


def env_name(name: str) -> list[str]:
    """The name of an environment variable."""
    return [] if all(" " <= char <= "~" and char != "=" for char in name) else [ENV_NAME_TEXT]


def header_name(name: str) -> list[str]:
    """The name of an HTTP header."""
    return _unlike(HEADER_PATTERN, name, HEADER_TEXT)


def port_name(name: str) -> list[str]:
    """RFC 6335 service name."""
    found = _too_long(name, 15)
    if not re.fullmatch("[-a-z0-9]+", name):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", name):
        found.append("must contain at least one letter (a-z)")
    if "--" in name:
        found.append("must not contain consecutive hyphens")
    if name and "-" in (name[0], name[-1]):
        found.append("must not begin or end with a hyphen")
    return found


def port_number(port: int) -> list[str]:
    """1 to 65535."""
    return between(port, 1, 65535)


def user_id(number: int) -> list[str]:
    """A user or group id."""
    return between(number, 0, 2**31 - 1)


def between(number: int, low: int, high: int) -> list[str]:
    """A number in a range, both ends included."""
    return [] if low <= number <= high else [f"must be between {low} and {high}, inclusive"]


def ip_address(text: str) -> list[str]:
    """IPv4 or IPv6; leading zeros in IPv4 are taken as decimal, as in old manifests."""
    plain = re.sub(r"(?<![0-9])0+(?=[0-9])", "", text) if ":" not in text else text
    try:
        ipaddress.ip_address(plain)
    except ValueError:
        return [IP_TEXT]
    return [IP_TEXT] if "%" in text else []


def relative_path(path: str) -> list[str]:
    """A path that stays below where it starts."""
    found = ["must be a relative path"] if path.startswith("/") else []
    return found + no_backsteps(path)


def no_backsteps(path: str) -> list[str]:
    """No `..` between slashes."""
    return ["must not contain '..'"] if ".." in path.split("/") else []


def volume_file_path(path: str) -> list[str]:
    """A file inside a ConfigMap-like volume; names that begin with `..` belong to the kubelet."""
    found = relative_path(path)
    if path.startswith("..") and not path.startswith("../") and "must not contain '..'" not in found:
        found.append("must not start with '..'")
    return found


def _too_long(name: str, limit: int) -> list[str]:
    return [f"must be no more than {limit} characters"] if len(name) > limit else []


def _unlike(pattern: str, name: str, text: str) -> list[str]:
    return [] if re.fullmatch(pattern, name, re.ASCII) else [text]
