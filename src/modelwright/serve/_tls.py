"""TLS from two files, read again when they change, so that certificates are renewed while serving."""

from __future__ import annotations

import asyncio
import base64
import datetime
import logging
import math
import ssl
from pathlib import Path
from typing import final

from modelwright.errors import UserError

LOOK_S = 5.0
_VERSION, _SHORT_YEAR = 0xA0, 0x17
"""DER tags: the certificate's version, and a time with a year of two digits."""
_LOG = logging.getLogger("modelwright.serve")


@final
class Certificate:
    """A server's certificate and key.

    Args:
        cert: the chain in PEM.
        key: the private key in PEM, without a passphrase.

    Raises:
        UserError: MW-713 when they cannot be used.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert, self._key = cert, key
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._stamp, self._ends = self._now(), math.nan
        try:
            self._load()
        except (OSError, ValueError) as error:
            raise UserError(
                "MW-713",
                f"the TLS files cannot be used: {error}",
                expected="a certificate chain and its private key, both in PEM",
                fix="check --tls-cert and --tls-key",
                file=str(cert),
            ) from error

    def refresh(self) -> bool:
        """Use new files for new connections; True where that was done. Broken ones are left."""
        stamp = self._now()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._load()
        except (OSError, ValueError) as error:
            _LOG.error("the TLS files changed and cannot be used, the old ones stay: %s", error)
            return False
        _LOG.info("TLS files read again")
        return True

    @property
    def ends(self) -> float:
        """When the certificate that is used ends, in seconds since 1970; NaN where not understood."""
        return self._ends

    async def watch(self) -> None:
        """`refresh` every few seconds, forever."""
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.refresh)

    def _load(self) -> None:
        """Try on a context of its own, so that half a pair never replaces a whole one."""
        trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for context in (trial, self.context):
            context.load_cert_chain(self._cert, self._key, password=_no_passphrase)
        self._ends = end_of(self._cert.read_text(encoding="latin-1"))

    def _now(self) -> tuple[object, ...]:
        try:
            found = [path.stat() for path in (self._cert, self._key)]
        except OSError:
            return ()
        return tuple((one.st_mtime_ns, one.st_ino, one.st_size) for one in found)


def end_of(chain: str) -> float:
    """When the first certificate of a chain in PEM ends, in seconds since 1970; NaN if unknown.

    `Certificate ::= SEQUENCE {TBSCertificate ...}` with the validity as the fifth member, the
    fourth where no version stands first (RFC 5280, 4.1).
    """
    start, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    body = chain.partition(start)[2].partition(end)[0]
    try:
        certificate = base64.b64decode("".join(body.split()), validate=True)
        fields = _members(_members(_members(certificate)[0][1])[0][1])
        validity = fields[4 if fields[0][0] == _VERSION else 3][1]
        kind, value = _members(validity)[1]
        text = value.decode("ascii")
        if kind == _SHORT_YEAR:
            text = ("19" if text >= "50" else "20") + text
        ends = datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.UTC)
        return ends.timestamp()
    except (ValueError, IndexError):
        return math.nan


def _members(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each member of a DER sequence's content."""
    found, place = [], 0
    while place < len(data):
        tag, size = data[place], data[place + 1]
        place += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[place : place + count], "big")
            place += count
        found.append((tag, data[place : place + size]))
        place += size
    return found


def _no_passphrase() -> str:
    raise ValueError("the private key has a passphrase")
