from __future__ import annotations

import pytest

from lxdpm_tui.config import Address, HttpsAddress, SshAddress, UnixAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address", "canonical"),
    [
        ("unix:///run/x/unix.socket", UnixAddress("/run/x/unix.socket"), "unix:///run/x/unix.socket"),
        ("https://h1", HttpsAddress("h1"), "https://h1:8443"),
        ("https://h1/", HttpsAddress("h1"), "https://h1:8443"),
        ("https://10.0.0.1:443", HttpsAddress("10.0.0.1", 443), "https://10.0.0.1:443"),
        ("https://[fd00::1]", HttpsAddress("fd00::1"), "https://[fd00::1]:8443"),
        ("https://[fd00::1]:9", HttpsAddress("fd00::1", 9), "https://[fd00::1]:9"),
        ("ssh://h1", SshAddress("h1"), "ssh://h1"),
        ("ssh://Alias", SshAddress("Alias"), "ssh://Alias"),
        ("ssh://root@h1:2222", SshAddress("h1", "root", 2222), "ssh://root@h1:2222"),
        ("ssh://a.b@h1/s", SshAddress("h1", "a.b", None, "/s"), "ssh://a.b@h1/s"),
        ("ssh://[fd00::1]:22/a/b", SshAddress("fd00::1", None, 22, "/a/b"), "ssh://[fd00::1]:22/a/b"),
        ("  https://h1 ", HttpsAddress("h1"), "https://h1:8443"),
    ],
)
def test_every_form_is_read_and_written(text: str, address: Address, canonical: str) -> None:
    assert parse_address(text) == address
    assert str(address) == canonical
    assert parse_address(canonical) == address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected unix:///path"),
        ("h1", "expected unix:///path"),
        ("http://h1", "expected unix:///path"),
        ("unix:/run/x", "expected unix:///path"),
        ("unix://run/x", "absolute socket path"),
        ("unix:///run/", "absolute socket path"),
        ("https://", "expected host[:port] after https://"),
        ("https://h1:", "expected host[:port] after https://"),
        ("https://h1:x", "expected host[:port] after https://"),
        ("https://h1:0", "port from 1 to 65535"),
        ("https://h1:65536", "port from 1 to 65535"),
        ("https://me@h1", "no user before it"),
        ("https://h1/1.0", "no path after it"),
        ("https://fd00::1", "expected host[:port]"),
        ("ssh://", "expected [user@]host[:port] after ssh://"),
        ("ssh://me:secret@h1", "keys and agents only"),
        ("ssh://h1/", "path of a socket"),
        ("ssh://h1/run/", "path of a socket"),
    ],
)
def test_a_bad_address_says_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        parse_address(text)
    assert expected in str(caught.value)
