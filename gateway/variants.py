"""What a webhook may have been when it was signed: the address and the body, changed as proxies change them. Pure.

Each variant says in which aspects it differs from what arrived; fewer changes come first. True for every carrier; what
only one of them does is its adapter's to guess (`Provider.diagnose_webhook`).
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

from gateway.captures import Capture
from gateway.interface import Aspect, WebhookRequest
from gateway.wire import FORM, JSON

MOST_URLS: Final = 4000
_MOST_CHANGES: Final = 3
_MOST_PERMUTED: Final = 5  # 120 orders of a query
_DEFAULT_PORT: Final = {"https": 443, "http": 80}
_USUAL_PORTS: Final = (443, 80, 8080, 8443, 5000, 8000)
_AUTHORITY: Final = re.compile(
    r"(?:[^@/]*@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII
)
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")

Changes = tuple[Aspect, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An absolute URL, taken apart; `port` is None where the URL has none, `query` where it has no "?"."""

    scheme: str
    host: str
    port: int | None
    path: str
    query: str | None

    @classmethod
    def of(cls, url: str) -> Address | None:
        """Read a URL as it is spelt; None when it is not absolute."""
        scheme, found, rest = url.partition("#")[0].partition("://")
        start = re.search(r"[/?]|$", rest)
        authority = _AUTHORITY.fullmatch(rest[: start.start()] if start else rest)
        if not found or scheme not in _DEFAULT_PORT or authority is None or start is None:
            return None
        path, asks, query = rest[start.start() :].partition("?")
        port = int(authority[2]) if authority[2] else None
        return cls(scheme=scheme, host=authority[1], port=port, path=path, query=query if asks else None)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{self.scheme}://{self.host}" + ("" if self.port is None else f":{self.port}")

    @property
    def url(self) -> str:
        """The URL again."""
        return self.origin + self.path + ("" if self.query is None else f"?{self.query}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One request that may be what was signed, and in what it differs from what came."""

    changes: Changes
    request: WebhookRequest


def variants(
    request: WebhookRequest, capture: Capture, *, prefix: str, bind: str, hints: Iterable[str] = ()
) -> Iterator[Variant]:
    """Yield what may have been signed, the fewest changes first; `request` itself is not among them.

    Args:
        request: as the gateway judges it: under the public URL.
        prefix: the path under which the webhooks are mounted.
        bind: host:port of our own server.
        hints: further addresses that may be the carrier's, such as the one entered there.
    """
    urls = list(_urls(request, capture, prefix, bind, hints))
    bodies = list(_bodies(request))
    for changes, url in urls:
        if len(changes) == 1:
            yield Variant(changes=changes, request=replace(request, url=url))
    for changes, changed in bodies:
        yield Variant(changes=changes, request=changed)
    for changes, url in urls:
        if len(changes) > 1:
            yield Variant(changes=changes, request=replace(request, url=url))
    for changes, url in urls:
        if len(changes) == 1:
            for more, changed in bodies:
                yield Variant(changes=(*changes, *more), request=replace(changed, url=url))


# -- the address -----------------------------------------------------------------------------------------------------


def _urls(
    request: WebhookRequest, capture: Capture, prefix: str, bind: str, hints: Iterable[str]
) -> list[tuple[Changes, str]]:
    own = Address.of(request.url)
    if own is None:
        return []
    known = [each for hint in (*_addresses_told(capture), *hints) if (each := Address.of(hint)) is not None]
    parts: Sequence[Sequence[tuple[Changes, Any]]] = (
        _choices(own.scheme, Aspect.SCHEME, _DEFAULT_PORT),
        _choices(
            own.host, Aspect.HOST, (*(each.host for each in known), own.host.lower(), *_with_www(own.host))
        ),
        _choices(own.port, Aspect.PORT, _ports(capture, bind, known)),
        _paths(own, capture, prefix, known),
        _queries(own, capture, known),
    )
    found: dict[str, Changes] = {}
    for several in itertools.product(*parts):
        changes = tuple(aspect for said, _ in several for aspect in said)
        if not 0 < len(changes) <= _MOST_CHANGES:
            continue
        scheme, host, port, path, query = (value for _, value in several)
        url = Address(scheme=scheme, host=host, port=port, path=path, query=query).url
        if url != request.url and len(changes) < len(found.get(url, (*changes, *changes))):
            found[url] = changes
    ordered = sorted(((changes, url) for url, changes in found.items()), key=lambda each: len(each[0]))
    return ordered[:MOST_URLS]


def _choices(own: Any, aspect: Aspect, others: Iterable[Any]) -> list[tuple[Changes, Any]]:
    different = dict.fromkeys(each for each in others if each != own)
    return [((), own), *(((aspect,), each) for each in different)]


def _with_www(host: str) -> tuple[str, ...]:
    return (host.removeprefix("www."), f"www.{host}")


def _addresses_told(capture: Capture) -> Iterator[str]:
    """What the request itself says about where it was sent. Never believed for itself: a signature must fit."""
    scheme = capture.header("X-Forwarded-Proto").partition(",")[0].strip() or "https"
    forwarded = re.search(r'host="?([^";,]+)', capture.header("Forwarded"), re.IGNORECASE)
    told = [capture.header(name) for name in ("Host", "X-Forwarded-Host", "X-Original-Host")]
    told += [forwarded[1]] if forwarded else []
    for host in told:
        yield f"{scheme}://{host.partition(',')[0].strip()}{capture.target}"
    if capture.origin:
        yield capture.origin + capture.target


def _ports(capture: Capture, bind: str, known: Sequence[Address]) -> list[int | None]:
    said = capture.header("X-Forwarded-Port"), bind.rpartition(":")[2]
    told = [int(each) for each in said if each.isascii() and each.isdecimal() and len(each) <= 5]
    return [None, *(each.port for each in known), *told, *_USUAL_PORTS]


def _paths(
    own: Address, capture: Capture, prefix: str, known: Sequence[Address]
) -> list[tuple[Changes, str]]:
    path, tail = own.path, urlsplit(capture.target).path
    outer = capture.header("X-Forwarded-Prefix").rstrip("/")
    told = [each.partition("?")[0] for each in _originals(capture)]
    paths = [
        path.rstrip("/") if path.endswith("/") else path + "/",
        tail,
        *(each.path for each in known),
        *told,
        *((outer + path, outer + tail) if outer.startswith("/") else ()),
        *((tail.removeprefix(prefix), path.replace(prefix + "/", "/", 1)) if tail.startswith(prefix) else ()),
        prefix + path,
        re.sub("/{2,}", "/", path),
    ]
    spelt = [*_spellings(path), quote(unquote(path), safe="/:@!$&'()*+,;=~")]
    others = {each: (Aspect.PATH,) for each in paths if each.startswith("/") and each != path}
    return [
        ((), path),
        *((changes, each) for each, changes in others.items()),
        *(((Aspect.ENCODING,), each) for each in dict.fromkeys(spelt) if each != path and each not in others),
    ]


def _originals(capture: Capture) -> list[str]:
    names = ("X-Original-URI", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri")
    return [value for name in names if (value := capture.header(name)).startswith("/")]


def _queries(own: Address, capture: Capture, known: Sequence[Address]) -> list[tuple[Changes, str | None]]:
    query = own.query
    told = [each.partition("?")[2] or None for each in _originals(capture)]
    others: dict[str | None, Changes] = {}
    pieces = (query or "").split("&") if query else []
    many = itertools.permutations(pieces) if len(pieces) <= _MOST_PERMUTED else (sorted(pieces), pieces[::-1])
    if len(pieces) > 1:
        others |= {"&".join(each): (Aspect.QUERY_ORDER,) for each in many}
    if query:
        spelt = [
            *_spellings(query),
            query.replace("+", "%20"),
            query.replace("%20", "+"),
            query.replace("+", "%2B"),
        ]
        others |= {each: (Aspect.ENCODING,) for each in spelt if each not in others}
    left = ["&".join(pieces[:at] + pieces[at + 1 :]) or None for at in range(len(pieces))]
    for each in (*(address.query for address in known), *told, None, *left):
        others.setdefault(each, (Aspect.QUERY,))
    return [((), query), *((changes, each) for each, changes in others.items() if each != query)]


def _spellings(text: str) -> list[str]:
    """The same text with its %-escapes in capitals, in small letters, and decoded."""
    upper = _ESCAPE.sub(lambda found: found[0].upper(), text)
    lower = _ESCAPE.sub(lambda found: found[0].lower(), text)
    return [upper, lower, unquote(text)]


# -- the body --------------------------------------------------------------------------------------------------------


def _bodies(request: WebhookRequest) -> Iterator[tuple[Changes, WebhookRequest]]:
    body = request.body
    seen = {body}
    for aspect, changed in (*_ends(body), *_form_bodies(body), *_json_bodies(body)):
        if changed not in seen:
            seen.add(changed)
            yield (aspect,), replace(request, body=changed)
    as_form = tuple(pair for pair in request.headers if pair[0].lower() != "content-type")
    for kind in (FORM, JSON):
        yield (Aspect.HEADERS,), replace(request, headers=(*as_form, ("Content-Type", kind)))
    yield (Aspect.METHOD,), replace(request, method="POST" if request.method == "GET" else "GET")
    if body and b"{" not in body[:1]:
        joined = request.url + ("&" if "?" in request.url else "?") + body.decode("latin-1")
        yield (Aspect.METHOD,), replace(request, method="GET", url=joined, body=b"")
    flat = _flat_form(body)
    if flat is not None:
        yield (Aspect.ENCODING,), replace(request, body=flat, headers=(*as_form, ("Content-Type", FORM)))


def _ends(body: bytes) -> Iterator[tuple[Aspect, bytes]]:
    for changed in (body.strip(), body + b"\n", body + b"\r\n", body.replace(b"\r\n", b"\n")):
        yield Aspect.BODY, changed


def _form_bodies(body: bytes) -> Iterator[tuple[Aspect, bytes]]:
    """What a middleware that decodes and encodes again does to a form, undone."""
    yield Aspect.ENCODING, body.replace(b"+", b"%2B")
    yield Aspect.ENCODING, body.replace(b"%20", b"%2B")
    yield Aspect.ENCODING, body.replace(b"=+", b"=%2B").replace(b"=%20", b"=%2B")
    yield Aspect.ENCODING, body.replace(b"%25", b"%")
    for read, write in (("latin-1", "utf-8"), ("utf-8", "latin-1"), ("cp1252", "utf-8"), ("utf-8", "cp1252")):
        try:
            yield Aspect.ENCODING, b"&".join(_recoded(piece, read, write) for piece in body.split(b"&"))
        except UnicodeError:
            continue


def _recoded(piece: bytes, read: str, write: str) -> bytes:
    name, equals, value = piece.partition(b"=")
    text = unquote_to_bytes(value.replace(b"+", b" ")).decode(read)
    return name + equals + quote(text, safe="", encoding=write, errors="strict").encode()


def _json_bodies(body: bytes) -> Iterator[tuple[Aspect, bytes]]:
    """A JSON document as other libraries write it."""
    value = _json(body)
    if value is None:
        return
    forms: list[tuple[Aspect, dict[str, Any]]] = [
        (Aspect.BODY, {"separators": (",", ":"), "ensure_ascii": False}),
        (Aspect.BODY, {"separators": (", ", ": "), "ensure_ascii": False}),
        (Aspect.ENCODING, {"separators": (",", ":"), "ensure_ascii": True}),
        (Aspect.ENCODING, {"separators": (", ", ": "), "ensure_ascii": True}),
        (Aspect.BODY, {"indent": 2, "ensure_ascii": False}),
    ]
    orders: tuple[tuple[tuple[Aspect, ...], bool], ...] = (((), False), ((Aspect.PARAMETER_ORDER,), True))
    for order, is_sorted in orders:
        for aspect, form in forms:
            text = json.dumps(value, sort_keys=is_sorted, **form)
            yield (order or (aspect,))[0], text.encode("utf-8", "surrogatepass")
            yield (order or (Aspect.ENCODING,))[0], text.replace("/", "\\/").encode("utf-8", "surrogatepass")


def _flat_form(body: bytes) -> bytes | None:
    """Return a flat JSON object of texts as a form, or None."""
    value = _json(body)
    if value is None or not all(isinstance(each, str) for each in value.values()):
        return None
    return "&".join(f"{quote(name, safe='')}={quote(said, safe='')}" for name, said in value.items()).encode()


def _json(body: bytes) -> dict[str, Any] | None:
    if not body.lstrip().startswith(b"{"):
        return None
    try:
        value = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
