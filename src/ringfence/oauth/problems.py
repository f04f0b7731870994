"""The refusals of the authorization server, in the words of RFC 6749, RFC 6750 and OpenID Connect."""

from ringfence.kernel.problems import Problem

INVALID_REQUEST = Problem("invalid_request", 400, "The request is malformed.")
INVALID_CLIENT = Problem("invalid_client", 401, "Client authentication failed.")
INVALID_GRANT = Problem("invalid_grant", 400, "The code or refresh token is not valid.")
UNAUTHORIZED_CLIENT = Problem("unauthorized_client", 400, "The client may not use this grant.")
UNSUPPORTED_GRANT_TYPE = Problem("unsupported_grant_type", 400, "This grant is not offered.")
INVALID_SCOPE = Problem("invalid_scope", 400, "The scope cannot be granted.")
PENDING_SCOPE = Problem("invalid_scope", 401, "The scope is granted but not effective yet.")
UNSUPPORTED_RESPONSE_TYPE = Problem("unsupported_response_type", 400, "Only response_type=code is offered.")
ACCESS_DENIED = Problem("access_denied", 400, "The request was refused.")
LOGIN_REQUIRED = Problem("login_required", 400, "A person must log in.")
CONSENT_REQUIRED = Problem("consent_required", 400, "A person must consent.")
SLOW_DOWN = Problem("temporarily_unavailable", 429, "Too many requests; wait for the seconds in Retry-After.")
UNAVAILABLE = Problem("temporarily_unavailable", 503, "The server cannot answer safely just now.")
NO_PERSON = Problem("no_user", 400, "The token stands for a client, not for a person; /users/me needs a person.")
