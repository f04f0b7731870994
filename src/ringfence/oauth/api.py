"""The authorization server as the world sees it."""

from typing import Any, ClassVar

from ringfence.fence.house import House
from ringfence.kernel.catalog import PUBLIC, Api, Errors, Operation, Scope
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import INVALID, NOT_FOUND, Fault, wrong
from ringfence.kernel.shapes import Asked, Plain, Shape

from . import clients, grants, keys, people
from .authentication import members
from .authorize import authorize
from .clients import ASSERTION_ALGORITHMS
from .forms import consent, login
from .grants import token
from .inspection import introspect, revoke_token
from .problems import (
    INVALID_CLIENT,
    INVALID_GRANT,
    INVALID_REQUEST,
    INVALID_SCOPE,
    NO_PERSON,
    PENDING_SCOPE,
    SLOW_DOWN,
    UNAUTHORIZED_CLIENT,
    UNSUPPORTED_GRANT_TYPE,
)
from .shapes import (
    AuthorizeQuery,
    ConsentForm,
    EndSessionForm,
    Introspection,
    Keys,
    LoginForm,
    TokenAnswer,
    TokenForm,
    TokenToTell,
)
from .sweep import SWEEP

OPENID = Scope("openid", "See who you are: your name and e-mail address", via=("authorization_code",))
END_SESSION = Scope("user-session-public:end", "End the sessions of people of your account")

FORM = ("application/x-www-form-urlencoded",)
CACHED = (("cache-control", "public, max-age=300"), ("access-control-allow-origin", "*"))


class Me(Shape):
    """The person behind a token (OpenID Connect Core section 5.3)."""

    id: str
    sub: str
    name: str
    email: str
    links: ClassVar = {"self": "/users/{id}"}
    example: ClassVar = {
        "id": "5f0000000000000000000001",
        "sub": "5f0000000000000000000001",
        "name": "Ana Sol",
        "email": "ana@example.com",
    }


async def get_me(ctx: Ctx) -> Me:
    """See the person behind the token"""
    user = ctx.caller.user
    if user is None:
        raise Fault(NO_PERSON)
    row = await people.person(ctx, user)
    if row is None:
        raise Fault(NOT_FOUND)
    return Me(id=row["id"], sub=row["id"], name=row["name"], email=row["email"])


async def end_user_session(ctx: Ctx, asked: Asked) -> None:
    """End all sessions of a person

    Their access and refresh tokens are refused from the next request on.
    """
    try:
        form = members(asked)
    except Fault as fault:
        raise Fault(INVALID, fault.detail.description) from fault
    user = form.get("user_id", "")
    if len(user) != 24:
        raise wrong("user_id", "must have exactly 24 characters")
    reason = form.get("reason", "force_logout")
    if reason != "force_logout":
        raise wrong("reason", "can only be force_logout")
    await people.end_sessions(ctx, user, reason)


async def get_certs(ctx: Ctx) -> Plain:
    """Get the public keys that tokens are verified with (RFC 7517)"""
    ring = ctx.house.keys
    await ring.load_if_stale()
    return Plain({"keys": ring.published}, headers=CACHED)


def _metadata(ctx: Ctx, asked: Asked) -> dict[str, Any]:
    """RFC 8414 section 2, OpenID Connect Discovery section 3."""
    house: House = ctx.house
    label = asked.host.partition(".")[0]
    base = house.issuer(house.view.account_names.get(label, ""))
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
    confidential = methods[:3]
    return {
        "issuer": base,
        "authorization_endpoint": f"{base}/oauth/authorize",
        "token_endpoint": f"{base}/oauth/token",
        "revocation_endpoint": f"{base}/oauth/revoke",
        "introspection_endpoint": f"{base}/oauth/introspect",
        "jwks_uri": f"{base}/oauth/certs",
        "userinfo_endpoint": f"{house.gateway_base}/users/me",
        "scopes_supported": sorted(house.scopes),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(grants.GRANTS),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": confidential,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(keys.ALGORITHMS),
        "claims_supported": ["sub", "name", "email", "iss", "aud", "exp", "iat", "auth_time", "nonce", "sid"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "service_documentation": f"{house.gateway_base}/docs",
    }


async def get_server_metadata(ctx: Ctx, asked: Asked) -> Plain:
    """Discover the authorization server (RFC 8414, OpenID Connect Discovery)"""
    return Plain(_metadata(ctx, asked), headers=CACHED)


async def get_resource_metadata(ctx: Ctx, asked: Asked) -> Plain:
    """Discover which authorization server guards the APIs (RFC 9728)"""
    house: House = ctx.house
    return Plain(
        {
            "resource": house.gateway_base,
            "authorization_servers": [_metadata(ctx, asked)["issuer"]],
            "scopes_supported": sorted(house.scopes),
            "bearer_methods_supported": ["header"],
            "resource_documentation": f"{house.gateway_base}/docs",
        },
        headers=CACHED,
    )


CLIENT_PROBLEMS = (INVALID_REQUEST, INVALID_CLIENT, SLOW_DOWN)
PAGE_PROBLEMS = (INVALID_REQUEST, INVALID_CLIENT)
API = Api(
    name="oauth",
    title="Authorization server",
    about="Tokens for clients and people: OAuth 2.0 and OpenID Connect.",
    scopes=(OPENID, END_SESSION),
    events=(*clients.EVENTS, *people.EVENTS, keys.KEY_ROTATED, grants.GRANT_REVOKED),
    jobs=(SWEEP,),
    operations=(
        Operation(
            "POST",
            "/oauth/token",
            PUBLIC,
            token,
            errors=Errors.OAUTH,
            media=FORM,
            problems=(
                *CLIENT_PROBLEMS,
                INVALID_GRANT,
                INVALID_SCOPE,
                PENDING_SCOPE,
                UNAUTHORIZED_CLIENT,
                UNSUPPORTED_GRANT_TYPE,
            ),
            takes=TokenForm,
            gives=TokenAnswer,
        ),
        Operation(
            "GET",
            "/oauth/authorize",
            PUBLIC,
            authorize,
            errors=Errors.PAGE,
            problems=PAGE_PROBLEMS,
            writes=True,
            takes=AuthorizeQuery,
        ),
        Operation(
            "POST",
            "/oauth/authorize",
            PUBLIC,
            authorize,
            errors=Errors.PAGE,
            media=FORM,
            problems=PAGE_PROBLEMS,
            takes=AuthorizeQuery,
        ),
        Operation(
            "POST",
            "/oauth/login",
            PUBLIC,
            login,
            errors=Errors.PAGE,
            media=FORM,
            problems=(*PAGE_PROBLEMS, SLOW_DOWN),
            takes=LoginForm,
        ),
        Operation(
            "POST",
            "/oauth/consent",
            PUBLIC,
            consent,
            errors=Errors.PAGE,
            media=FORM,
            problems=PAGE_PROBLEMS,
            takes=ConsentForm,
        ),
        Operation(
            "POST",
            "/oauth/revoke",
            PUBLIC,
            revoke_token,
            errors=Errors.OAUTH,
            media=FORM,
            problems=CLIENT_PROBLEMS,
            takes=TokenToTell,
        ),
        Operation(
            "POST",
            "/oauth/introspect",
            PUBLIC,
            introspect,
            errors=Errors.OAUTH,
            media=FORM,
            problems=CLIENT_PROBLEMS,
            takes=TokenToTell,
            gives=Introspection,
        ),
        Operation(
            "GET",
            "/oauth/certs",
            PUBLIC,
            get_certs,
            gives=Keys,
        ),
        Operation(
            "GET",
            "/oauth/2023-10/certs",
            PUBLIC,
            get_certs,
            gives=Keys,
        ),
        Operation("GET", "/.well-known/openid-configuration", PUBLIC, get_server_metadata),
        Operation("GET", "/.well-known/oauth-authorization-server", PUBLIC, get_server_metadata),
        Operation("GET", "/.well-known/oauth-protected-resource", PUBLIC, get_resource_metadata),
        Operation(
            "POST",
            "/oauth/end_user_session",
            END_SESSION,
            end_user_session,
            status=204,
            media=FORM,
            problems=(INVALID, NOT_FOUND),
            takes=EndSessionForm,
        ),
        Operation("GET", "/users/me", OPENID, get_me, problems=(NO_PERSON, NOT_FOUND)),
    ),
)
