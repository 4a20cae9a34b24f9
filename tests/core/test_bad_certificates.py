"""No bad certificate is accepted, by whatever speaks TLS (R86); its full figure in `tests/proof`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.interface import DialResult
from gateway.transport.connecting import tls_context
from tests.faultserver import Authority
from tests.tlsproofs import BAD, dial_bad_certificate, shake_hands


def test_no_bad_certificate_is_accepted_and_nothing_is_sent_to_its_server(tmp_path: Path) -> None:
    found = shake_hands(tmp_path, rounds=1)
    assert (found.accepted, found.requests) == (0, 0)
    assert found.endings.total() == found.tried.total() == len(BAD) * len(found.tried) == len(BAD) * 12
    assert all("ALERT" in ending for ending in found.endings), found.endings


@pytest.mark.parametrize("provider", ["plivo", "telnyx", "twilio"])
def test_a_dial_to_a_bad_certificate_was_not_sent(tmp_path: Path, provider: str) -> None:
    assert dial_bad_certificate(tmp_path, provider) is DialResult.NOT_SENT


def test_thousands_of_accounts_share_the_trusted_certificates_and_a_change_of_trust_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tls_context(None) is tls_context(None)
    before = tls_context(None)
    monkeypatch.setenv("SSL_CERT_FILE", Authority(tmp_path).ca_file)
    assert tls_context(None) is not before
    assert len(tls_context(None).get_ca_certs()) == 1
