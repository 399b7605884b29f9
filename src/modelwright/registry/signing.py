"""OpenSSF model signing with a key: a signature over the digests of all files of a bundle."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from modelwright.errors import UserError
from modelwright.runtime import libraries

MAKE_A_KEY = (
    "openssl ecparam -name prime256v1 -genkey -noout -out key.pem && "
    "openssl ec -in key.pem -pubout -out key.pub"
)


def sign(bundle: Path, key: Path, signature: Path) -> None:
    """Sign all files of a bundle.

    Args:
        bundle: its folder.
        key: elliptic curve private key (P-256, P-384 or P-521) in PEM, without a password.
        signature: the file that is written, a Sigstore bundle in JSON.

    Raises:
        UserError: MW-651 for a key that cannot sign, MW-801 without the library.
    """
    _library()
    from model_signing import signing

    _must_exist(key)
    try:
        config = signing.Config().use_elliptic_key_signer(private_key=key)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _bad_key(key, "private", error) from error
    config.set_hashing_config(_hashing()).sign(bundle, signature)


def verify(bundle: Path, key: Path, signature: Path) -> None:
    """Compare a bundle with its signature.

    Args:
        bundle: its folder.
        key: the public key in PEM.
        signature: the file that `sign` wrote.

    Raises:
        UserError: MW-651 for another key, another content, or a damaged signature.
    """
    _library()
    from model_signing import verifying

    _must_exist(key)
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=key)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _bad_key(key, "public", error) from error
    try:
        config.set_hashing_config(_hashing()).verify(bundle, signature)
    except Exception as error:  # a hostile signature may raise anything
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            "MW-651",
            f"the signature does not hold: {said[:300]}",
            expected=f"a bundle as the owner of {key} signed it",
            fix="do not use it; ask who pushed it, or verify with the key of who did",
        ) from error


def _library() -> None:
    logging.getLogger("model_signing").setLevel(logging.ERROR)
    libraries.require("model_signing", "registry")
    libraries.require("OpenSSL", "registry")


def _hashing() -> Any:
    """Every file of a bundle counts: nothing is left out, no link is followed."""
    from model_signing import hashing

    return hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False)


def _must_exist(key: Path) -> None:
    if not key.is_file():
        raise UserError(
            "MW-804", f"there is no key {key}", expected="a file in PEM", fix=MAKE_A_KEY
        )


def _bad_key(key: Path, kind: str, error: Exception) -> UserError:
    return UserError(
        "MW-651",
        f"{key} is no {kind} key that can be used: {str(error).splitlines()[0][:200]}",
        expected=f"an elliptic curve {kind} key (P-256, P-384, P-521) in PEM, without a password",
        fix=MAKE_A_KEY,
        file=str(key),
    )
