"""URLs: read strictly, and shown without what may be secret.

A path may be shown; a query, a fragment, credentials and the parameters of a path (`;session=...`)
are not.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes, urlsplit

from tpssim.core.errors import InputError
from tpssim.core.types import record

PORTS = {"http": 80, "https": 443}
HIDDEN = "***"
#: Characters that a path and a query may contain as they are; all others are percent-encoded.
PATH = "/:@!$&'()*+,;=~"
QUERY = PATH + "?"
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_QUERY = re.compile(r"\?[^\s'\"<>]+")
_CREDENTIALS = re.compile(r"\b(Basic|Bearer)\s+[^\s'\"<>]+", re.IGNORECASE)
LONGEST = 200  # characters of a URL that is shown although it cannot be read


@record
class Address(NamedTuple):
    """Where a request goes, read from a URL."""

    scheme: str
    host: str  #: in ASCII, an IPv6 address without its brackets
    port: int
    path: str
    query: str  #: "" or with its question mark
    authorization: str  #: a header's value made of the URL's credentials; "" without

    @property
    def place(self) -> str:
        """Host and port, where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def sent(self) -> str:
        """The URL as it is sent: percent-encoded, without credentials and fragment."""
        return f"{self.scheme}://{self.place}{self.path}{self.query}"

    @property
    def shown(self) -> str:
        """The part of the URL that is never secret: scheme, host and path."""
        return f"{self.scheme}://{self.place}{self.path.partition(';')[0]}"

    @property
    def written(self) -> str:
        """As `shown`, with a mark where there is more."""
        credentials = f"{HIDDEN}@" if self.authorization else ""
        place = self.shown.removeprefix(f"{self.scheme}://")
        parameters = f";{HIDDEN}" if ";" in self.path else ""
        return (
            f"{self.scheme}://{credentials}{place}{parameters}{'?' + HIDDEN if self.query else ''}"
        )


def address(url: str) -> Address:
    """Read a URL; raises `InputError`, whose message contains nothing that may be secret.

    >>> address("http://me:pw@host:80/a%2fb?token=X#top").sent
    'http://host/a%2Fb?token=X'
    """
    if any(c.isspace() or not c.isprintable() for c in url):
        raise _bad(url, "a space or a control character", "percent-encoded ones, such as %20")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        if "ort" in str(error):
            raise _bad(url, "an invalid port", "1 to 65535") from None
        raise _bad(url, "an invalid host", "a name, 127.0.0.1, [::1]") from None
    if parts.scheme not in PORTS or not url.partition(":")[2].startswith("//"):
        raise _bad(url, "", "http://... or https://...")
    if port == 0:
        raise _bad(url, "an invalid port", "1 to 65535")
    user, at, _ = parts.netloc.rpartition("@")
    raw = b":".join(unquote_to_bytes(part) for part in (*user.split(":", 1), "")[:2])
    return Address(
        parts.scheme,
        _host(url, host),
        PORTS[parts.scheme] if port is None else port,
        _encoded(parts.path, PATH) or "/",
        f"?{_encoded(parts.query, QUERY)}" if parts.query else "",
        f"Basic {base64.b64encode(raw).decode()}" if at and user else "",
    )


def _host(url: str, host: str) -> str:
    if not host:
        raise _bad(url, "no host", "http://HOST/...")
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            raise _bad(url, "an invalid host", "a name, 127.0.0.1, [::1]") from None
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        name = ""
    labels = name.removesuffix(".").split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _bad(url, "an invalid host", "a name, 127.0.0.1, [::1]")
    return name


def _encoded(text: str, safe: str) -> str:
    """Percent-encoded where it still has to be, so that every client sends the same bytes."""
    text = re.sub("%(?![0-9A-Fa-f]{2})", "%25", text)
    text = re.sub("%[0-9A-Fa-f]{2}", lambda found: found[0].upper(), text)
    return quote(text, safe + "%")


def _bad(url: str, wrong: str, allowed: str) -> InputError:
    """What is wrong with a URL; only a part that is certainly no secret is shown."""
    shown = re.split("[?#;]", url)[0][:LONGEST]
    if "@" in url or re.search(r"//[^/]*:[^/]*[^0-9/\]]", shown):  # it may be NAME:PASSWORD
        shown = f"{url.partition('://')[0][:10] if '://' in url[:12] else ''}://{HIDDEN}"
    return InputError(f"url {shown!r}{': ' * bool(wrong)}{wrong}; allowed: {allowed}")


def written(url: str) -> str:
    """A URL as it may be written to files.

    >>> written("http://me:pw@host/a?token=X"), written("no url?token=X")
    ('http://***@host/a?***', '***')
    """
    try:
        return address(url).written
    except InputError:
        return HIDDEN


def masked(text: str) -> str:
    """A message of other code, without the secrets in its URLs.

    >>> masked("no answer from http://me:pw@host/a?token=X (path /a?token=X)")
    'no answer from http://***@host/a?*** (path /a?***)'
    """
    return _CREDENTIALS.sub(rf"\1 {HIDDEN}", _QUERY.sub(_hidden, _URL.sub(_hidden, text)))


def _hidden(found: re.Match[str]) -> str:
    """A URL or a query in a message, masked; a bracket or full stop after it belongs to the
    message.
    """
    inner = found[0].rstrip(").,;:]}")
    rest = found[0][len(inner) :]
    return f"?{HIDDEN}{rest}" if inner.startswith("?") else f"{written(inner)}{rest}"
