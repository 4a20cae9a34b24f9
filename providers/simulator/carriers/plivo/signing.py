"""Sign requests as Plivo does: V3 and Ma-V3 over address and parameters, V2 over the bare address.

Written from the published algorithm and checked against its published vectors; shares nothing with the adapter.

The key of `V3` is the token of the account or subaccount that owns the call's number, the key of `Ma-V3` is always
the main account's. Neither scheme signs a time. What the live service does with percent-encoded text that is not
ASCII in a query is unconfirmed; here it is decoded as UTF-8. The opening request of a media WebSocket is a GET
signed over the `http://` form of its address, which one vendor observation confirmed on a live call.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

Pairs = Sequence[tuple[str, str]]

V3: Final = "X-Plivo-Signature-V3"
MA_V3: Final = "X-Plivo-Signature-Ma-V3"
V3_NONCE: Final = "X-Plivo-Signature-V3-Nonce"
V2: Final = "X-Plivo-Signature-V2"
MA_V2: Final = "X-Plivo-Signature-Ma-V2"
V2_NONCE: Final = "X-Plivo-Signature-V2-Nonce"


def canonical_v3(method: str, url: str, params: Pairs = ()) -> str:
    """Write the text that V3 signs, without the nonce.

    Args:
        method: GET or POST, in capitals.
        url: the address as dialed; a fragment is dropped, an explicit port is kept.
        params: decoded body parameters in any order; a name may repeat.
    """
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if method == "GET":
        named = {name for name, _ in query}
        query = [*query, *((name, value) for name, value in params if name not in named)]
        params = ()
    text = _joined(query)
    if params:
        body = "".join(name + value for name, value in sorted(params))
        return f"{_base(parts)}?{text}{'.' if text else ''}{body}"
    return _base(parts) + (f"?{text}" if text else "")


def signature_v3(method: str, url: str, params: Pairs, nonce: str, token: str) -> str:
    """Sign with V3: base64 of HMAC-SHA256 over `canonical.nonce`."""
    return _hmac(token, f"{canonical_v3(method, url, params)}.{nonce}")


def signature_v2(url: str, nonce: str, token: str) -> str:
    """Sign with V2: base64 of HMAC-SHA256 over the address without its query, then the nonce."""
    return _hmac(token, _base(urlsplit(url)) + nonce)


def signed_headers(
    method: str, url: str, params: Pairs, *, nonce: str, tokens: Iterable[str], main_token: str
) -> dict[str, str]:
    """Make the six signature headers of one request.

    Args:
        method: GET or POST.
        url: the address as dialed.
        params: decoded body parameters.
        nonce: digits, new for each request.
        tokens: the tokens of the account that owns the number; two of them while one is being rotated out, then
            the header holds both signatures separated by a comma.
        main_token: the main account's token.
    """
    keys = tuple(tokens)
    return {
        V3: ",".join(signature_v3(method, url, params, nonce, key) for key in keys),
        MA_V3: signature_v3(method, url, params, nonce, main_token),
        V3_NONCE: nonce,
        V2: ",".join(signature_v2(url, nonce, key) for key in keys),
        MA_V2: signature_v2(url, nonce, main_token),
        V2_NONCE: nonce,
    }


def upgrade_headers(url: str, *, nonce: str, tokens: Iterable[str], main_token: str) -> dict[str, str]:
    """Make the signature headers of a WebSocket's opening request: a GET over the `http://` form of `url`."""
    plain = "http://" + url.partition("://")[2]
    return signed_headers("GET", plain, (), nonce=nonce, tokens=tokens, main_token=main_token)


def _base(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _joined(pairs: Pairs) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _hmac(token: str, text: str) -> str:
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha256).digest()).decode()
