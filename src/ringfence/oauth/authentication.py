"""Who a client is: Basic, form post, private_key_jwt, or a name alone for a public one (RFC 6749 2.3, RFC 7523)."""

from base64 import b64decode
from binascii import Error as BadBase64
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry
from joserfc.jws import JWSRegistry

from ringfence.fence.house import House
from ringfence.fence.view import ClientView
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault
from ringfence.kernel.shapes import Asked
from ringfence.store.db import DuplicateRow
from ringfence.store.statement import adding
from ringfence.store.tables.identity import assertions

from .clients import ASSERTION_ALGORITHMS
from .problems import INVALID_CLIENT, INVALID_REQUEST
from .remote_keys import remote_keys
from .tokens import SKEW, unpadded

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_ASSERTION = 3600  # seconds between now and its `exp`: what common clients write; its `jti` is kept as long
SECRET_MEMBERS = (
    "client_secret", "client_assertion", "code", "code_verifier", "refresh_token", "token", "password"
)  # fmt: skip
REGISTRY = JWSRegistry(algorithms=list(ASSERTION_ALGORITHMS))
BURN = adding(assertions, everywhere=True)


def members(asked: Asked, *, query: tuple[str, ...] = ()) -> dict[str, str]:
    """The form's members, each given once; those in `query` may come in the URL when there is no form."""
    if (
        asked.sent
        and not asked.form
        and not asked.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded")
    ):
        raise Fault(INVALID_REQUEST, "Send the parameters as application/x-www-form-urlencoded.")
    if leaked := [name for name in SECRET_MEMBERS if name in asked.query]:
        raise Fault(INVALID_REQUEST, f"{leaked[0]} must not be sent in the URL.")
    given = dict(asked.form)
    for name in query:
        if name in asked.query and not asked.form:
            given[name] = asked.query[name]
    for name, values in given.items():
        if len(values) > 1:
            raise Fault(INVALID_REQUEST, f"{name} was given more than once.")
    return {name: values[0] for name, values in given.items() if values[0] != ""}


def tenant(house: House, asked: Asked) -> str | None:
    """The account that the host's first label names, where base domains are configured."""
    for domain in filter(None, house.settings.identity_domains.replace(" ", "").split(",")):
        label, dot, rest = asked.host.partition(".")
        if dot and rest == domain:
            return house.view.account_names.get(label, "")
    return None


def _refused(why: str, basic: bool, house: House) -> Fault:
    headers = (("WWW-Authenticate", f'Basic realm="{house.gateway_base}"'),) if basic else ()
    return Fault(INVALID_CLIENT, why, headers=headers)


def _basic(header: str, house: House) -> tuple[str, str]:
    try:
        text = b64decode(header.split(" ", 1)[1].strip(), validate=True).decode()
        id, colon, secret = text.partition(":")
        if not colon:
            raise ValueError
    except (ValueError, IndexError, BadBase64, UnicodeDecodeError):
        raise _refused("The Basic credentials cannot be read.", True, house) from None
    return id, secret


def secret_holds(house: House, client: ClientView, secret: str) -> bool:
    """Whether the secret is one of the client's, in constant time."""
    now = house.world.time()
    held = [house.vault.matches(secret, hashed) and now < until for hashed, until in client.secrets]
    return any(held)


async def authenticate(ctx: Ctx, asked: Asked, form: dict[str, str], *, public: bool = True) -> ClientView:
    """The client that sends this request. `public` says whether one without credentials will do."""
    house: House = ctx.house
    await house.view_confirmed()
    header = asked.headers.get("authorization", "")
    basic = header[:6].lower() == "basic "
    ways = basic + ("client_secret" in form) + ("client_assertion" in form or "client_assertion_type" in form)
    if ways > 1:
        raise Fault(INVALID_REQUEST, "The client authenticated in more than one way.")
    if basic:
        id, secret = _basic(header, house)
        if "client_id" in form and form["client_id"] not in (id, unquote_plus(id)):
            raise Fault(INVALID_REQUEST, "client_id is not the client that authenticated.")
        client = _by_secret(house, id, secret, basic=True)
    elif "client_secret" in form:
        client = _by_secret(house, form.get("client_id", ""), form["client_secret"], basic=False)
    elif "client_assertion" in form or "client_assertion_type" in form:
        client = await _by_assertion(house, asked, form)
    else:
        found = house.view.clients.get(form.get("client_id", ""))
        if found is None or found.kind != "public" or not public:
            raise _refused("Send the client's credentials.", True, house)
        client = found
    named = tenant(house, asked)
    if named is not None and named != client.account:
        raise _refused("The client belongs to another account than this host.", basic, house)
    return client


def _by_secret(house: House, id: str, secret: str, *, basic: bool) -> ClientView:
    client = house.view.clients.get(id) or house.view.clients.get(unquote_plus(id))
    if client is None:
        house.vault.matches(secret, "0" * 64)
        raise _refused("The client or its secret is not right.", basic, house)
    if not (secret_holds(house, client, secret) or secret_holds(house, client, unquote_plus(secret))):
        raise _refused("The client or its secret is not right.", basic, house)
    return client


async def _by_assertion(house: House, asked: Asked, form: dict[str, str]) -> ClientView:
    """RFC 7523 section 3, OpenID Connect Core section 9."""
    if form.get("client_assertion_type") != JWT_BEARER:
        raise Fault(INVALID_REQUEST, f"client_assertion_type must be {JWT_BEARER}.")
    assertion = form.get("client_assertion", "")
    try:
        head, body = (msgspec.json.decode(unpadded(part)) for part in assertion.split(".")[:2])
        id, alg, kid = body["sub"], head["alg"], head.get("kid")
        client = house.view.clients.get(id)
    except (ValueError, KeyError, TypeError, IndexError, msgspec.DecodeError):
        raise _refused("The client assertion cannot be read.", False, house) from None
    if client is None or alg not in ASSERTION_ALGORITHMS:
        raise _refused("The client or its assertion is not right.", False, house)
    said = await _verified(house, client, assertion, alg, kid)
    _check_claims(house, client, said, form.get("client_id"))
    hashed = house.vault.hash(f"assertion {client.id} {said['jti']}")
    try:  # in a transaction of its own: whatever becomes of the request, the assertion is spent
        async with house.db.writing() as tx:
            until = datetime.fromtimestamp(said["exp"] + SKEW, UTC)
            await tx.run(BURN, hash=hashed, expires_at=until)
    except DuplicateRow:
        raise _refused("The client assertion was used before.", False, house) from None
    return client


async def _verified(house: House, client: ClientView, assertion: str, alg: str, kid: Any) -> dict[str, Any]:
    keys = list(client.keys)
    if client.jwks_uri:
        keys += await remote_keys(house, client.jwks_uri, kid)
    for jwk in keys:
        if (kid is not None and jwk.get("kid") != kid) or jwk.get("alg", alg) != alg:
            continue
        try:
            key = JWKRegistry.import_key(jwk)
            return jwt.decode(assertion, key, algorithms=[alg], registry=REGISTRY).claims
        except (JoseError, ValueError, TypeError):
            continue
    raise _refused("The client assertion is not signed with a key of this client.", False, house)


def _check_claims(house: House, client: ClientView, said: dict[str, Any], form_id: str | None) -> None:
    now = house.world.time()
    audience = said.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    base = house.issuer(client.account)
    why = ""
    if said.get("iss") != client.id or said.get("sub") != client.id or (form_id or client.id) != client.id:
        why = "iss, sub and client_id must all be the client's id"
    elif not isinstance(audience, str) or audience.rstrip("/") not in (f"{base}/oauth/token", base.rstrip("/")):
        why = f"aud must be {base}/oauth/token"
    elif not _number(said.get("exp")) or not now - SKEW < said["exp"] <= now + LONGEST_ASSERTION + SKEW:
        why = f"exp must lie at most {LONGEST_ASSERTION} seconds ahead"
    elif "iat" in said and not (_number(said["iat"]) and said["iat"] <= now + SKEW):
        why = "iat lies in the future"
    elif "nbf" in said and not (_number(said["nbf"]) and said["nbf"] <= now + SKEW):
        why = "nbf lies in the future"
    elif not isinstance(said.get("jti"), str) or not 1 <= len(said["jti"]) <= 255:
        why = "jti must be a text that is used once"
    if why:
        raise _refused(f"The client assertion is not acceptable: {why}.", False, house)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
