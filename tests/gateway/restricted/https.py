"""Clients over HTTPS with certificates of their own, and what the tests of them share."""

from __future__ import annotations

import hashlib
import re
import ssl
from pathlib import Path

import aiohttp
from yarl import URL

from lxdpm_tui.hosts.identity import ensure_identity
from tests.gateway.client import Client

WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
OWN = {"features.images": "false", "features.profiles": "false"}


class HttpsClient(Client):
    """The same over HTTPS, with a certificate of its own."""

    def __init__(self, address: str, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        identity = ensure_identity(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(identity.cert_path, identity.key_path)
        self.certificate = ssl.PEM_cert_to_DER_cert(identity.cert_path.read_text())
        self.address = address
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0), timeout=aiohttp.ClientTimeout(total=120)
        )

    def url(self, path: str) -> URL:
        return URL(f"https://{self.address}{path}", encoded=True)


def path_of(pattern: str) -> str:
    return re.sub(r"\{\w+(\.\.\.)?\}", "x", pattern)


MARK = "zzhidden"  # in all that guests must not see


def fingerprint_of(client: HttpsClient) -> str:
    return hashlib.sha256(client.certificate).hexdigest()
