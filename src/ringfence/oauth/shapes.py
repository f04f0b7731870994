"""What the authorization server's forms take and its endpoints answer, as the contract and the reference show it."""

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from ringfence.kernel.shapes import Shape

ClientId = Annotated[str | None, msgspec.Meta(description="unless the client authenticates by Basic")]
Secret = Annotated[str | None, msgspec.Meta(description="client_secret_post; Basic is better")]
AssertionType = Annotated[str | None, msgspec.Meta(description="private_key_jwt")]


class ClientForm(Shape):
    """How a client may authenticate in a form."""

    client_id: ClientId = None
    client_secret: Secret = None
    client_assertion_type: AssertionType = None
    client_assertion: Annotated[str | None, msgspec.Meta(description="a signed JWT, used once")] = None


class TokenForm(ClientForm, kw_only=True):
    """RFC 6749 section 4, and the opaque tokens of the contract."""

    grant_type: Literal["client_credentials", "authorization_code", "refresh_token"]
    scope: Annotated[
        str | None, msgspec.Meta(description="words apart by spaces; all that is effective without it")
    ] = None
    token_type: Annotated[str | None, msgspec.Meta(description="opaque, for a token that lives while it is used")] = (
        None
    )
    expires_in: Annotated[str | None, msgspec.Meta(description="seconds of idleness of an opaque token")] = None
    code: Annotated[str | None, msgspec.Meta(description="authorization_code")] = None
    redirect_uri: Annotated[str | None, msgspec.Meta(description="authorization_code: where the code was sent")] = None
    code_verifier: Annotated[str | None, msgspec.Meta(description="authorization_code with PKCE")] = None
    refresh_token: Annotated[str | None, msgspec.Meta(description="refresh_token")] = None
    example: ClassVar = {"grant_type": "client_credentials", "scope": "contacts:read"}


class TokenAnswer(Shape):
    """RFC 6749 section 5.1. The last three come with a person's login."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str
    refresh_token: str | msgspec.UnsetType = msgspec.UNSET
    sid: str | msgspec.UnsetType = msgspec.UNSET
    id_token: str | msgspec.UnsetType = msgspec.UNSET
    example: ClassVar = {
        "access_token": "eyJhbGciOiJFUzI1NiIs…",
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": "contacts:read",
    }


class AuthorizeQuery(Shape):
    """RFC 6749 section 4.1.1, RFC 7636, OpenID Connect Core section 3.1.2.1."""

    client_id: str
    redirect_uri: Annotated[str, msgspec.Meta(description="exactly as registered")]
    response_type: Annotated[str, msgspec.Meta(description="code")]
    scope: Annotated[str | None, msgspec.Meta(description="words apart by spaces")] = None
    state: Annotated[str | None, msgspec.Meta(description="given back untouched")] = None
    nonce: Annotated[str | None, msgspec.Meta(description="comes back in the id_token")] = None
    code_challenge: Annotated[str | None, msgspec.Meta(description="PKCE; required of public clients")] = None
    code_challenge_method: Annotated[str | None, msgspec.Meta(description="S256")] = None
    prompt: Annotated[str | None, msgspec.Meta(description="none, login, consent or select_account")] = None
    max_age: Annotated[str | None, msgspec.Meta(description="seconds since the login, at most")] = None
    login_hint: Annotated[str | None, msgspec.Meta(description="an e-mail address to begin with")] = None


class LoginForm(Shape):
    """What the login page sends."""

    query: str
    proof: str
    email: str
    password: str


class ConsentForm(Shape):
    """What the consent page sends."""

    query: str
    proof: str
    decision: Annotated[str, msgspec.Meta(description="allow, or anything else")]


class TokenToTell(ClientForm, kw_only=True):
    """A token to look at or to revoke."""

    token: str
    token_type_hint: Annotated[str | None, msgspec.Meta(description="not needed")] = None
    example: ClassVar = {"token": "eyJhbGciOiJFUzI1NiIs…"}


class Introspection(Shape):
    """RFC 7662 section 2.2, with the short names of the contract. Only `active` where the token is not."""

    active: bool
    scope: str | msgspec.UnsetType = msgspec.UNSET
    client_id: str | msgspec.UnsetType = msgspec.UNSET
    sub: str | msgspec.UnsetType = msgspec.UNSET
    exp: int | msgspec.UnsetType = msgspec.UNSET
    iat: int | msgspec.UnsetType = msgspec.UNSET
    aid: str | msgspec.UnsetType = msgspec.UNSET
    example: ClassVar = {"active": True, "scope": "contacts:read", "client_id": "01a20b90e13d4b5f8a7c6d5e4f3a2b1c"}


class Keys(Shape):
    """RFC 7517 section 5."""

    keys: list[dict[str, Any]]
    example: ClassVar = {"keys": [{"kty": "EC", "crv": "P-256", "kid": "01a2…", "alg": "ES256", "use": "sig"}]}


class EndSessionForm(Shape):
    """Whose sessions end."""

    user_id: Annotated[str, msgspec.Meta(min_length=24, max_length=24)]
    reason: Annotated[str | None, msgspec.Meta(description="force_logout")] = None
    example: ClassVar = {"user_id": "5f0000000000000000000001", "reason": "force_logout"}
