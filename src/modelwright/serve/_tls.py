"""TLS from two files, read again when they change, so that certificates are renewed while serving."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import final

from modelwright.errors import UserError

LOOK_S = 5.0
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
        self._stamp = self._now()
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

    def _now(self) -> tuple[object, ...]:
        try:
            found = [path.stat() for path in (self._cert, self._key)]
        except OSError:
            return ()
        return tuple((one.st_mtime_ns, one.st_ino, one.st_size) for one in found)


def _no_passphrase() -> str:
    raise ValueError("the private key has a passphrase")
