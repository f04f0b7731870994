"""The vault: keyed hashes of secrets and tokens, and sealed private keys, all from one master key."""

import hashlib
import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ringfence.kernel.settings import BadSetting


class WrongKey(Exception):
    """The master key is not the one this database was made with."""


class Vault:
    """Derives one key per purpose from the master key, so that no value serves two."""

    def __init__(self, master: bytes) -> None:
        def derived(purpose: str) -> bytes:
            return hmac.digest(master, f"ringfence {purpose} 1".encode(), "sha256")

        self._hashing, self._naming = derived("hash"), derived("name")
        self._sealing = AESGCM(derived("seal"))

    def hash(self, secret: str) -> str:
        """Keyed SHA-256 in hex: for values of full entropy (secrets, tokens, codes), never for passwords."""
        return hmac.digest(self._hashing, secret.encode("utf-8", "surrogateescape"), "sha256").hex()

    def matches(self, secret: str, hashed: str) -> bool:
        """Constant-time comparison."""
        return hmac.compare_digest(self.hash(secret), hashed)

    def derive(self, name: str) -> str:
        """An unguessable text that is the same for the same name here, and nowhere stored."""
        return urlsafe_b64encode(hmac.digest(self._naming, name.encode(), "sha256")).decode().rstrip("=")

    def same(self, good: str, given: str) -> bool:
        """Constant-time comparison of two texts."""
        return hmac.compare_digest(good.encode(), given.encode("utf-8", "surrogateescape"))

    def seal(self, text: str, purpose: str) -> str:
        nonce = os.urandom(12)
        return urlsafe_b64encode(nonce + self._sealing.encrypt(nonce, text.encode(), purpose.encode())).decode()

    def unseal(self, sealed: str, purpose: str) -> str:
        raw = urlsafe_b64decode(sealed)
        try:
            return self._sealing.decrypt(raw[:12], raw[12:], purpose.encode()).decode()
        except InvalidTag as why:
            raise WrongKey("The master key is not the one this database's secrets were sealed with.") from why


def master_key(setting: str, database: str) -> bytes:
    """The key from the setting, else from the file beside the database, made on first use (mode 600)."""
    if setting:
        try:
            key = bytes.fromhex(setting)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise BadSetting("secret_key must be 64 hex digits; `ringfence keys master` prints a new one.")
        return key
    path = Path(database.removeprefix("sqlite:///") + ".key" if database.startswith("sqlite:///") else "ringfence.key")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(os.urandom(32).hex())
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass
    except OSError as why:
        raise BadSetting(
            f"The master key file {path} cannot be made: {why}. Set RINGFENCE_SECRET_KEY instead."
        ) from why
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as why:
        raise BadSetting(f"The master key file {path} cannot be read: {why}") from why
    if len(key) != 32:
        raise BadSetting(f"The master key file {path} must hold 64 hex digits.")
    return key


def digest(text: str | bytes) -> str:
    """Plain SHA-256 in hex: fingerprints, not secrets."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()
