"""What the login and consent pages send back."""

from urllib.parse import parse_qs

from ringfence.fence.house import House
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.problems import Fault
from ringfence.kernel.shapes import Asked, See, Sheet

from . import people
from .authorize import (
    COOKIE,
    PRELOGIN,
    Wish,
    check,
    cookie_header,
    grant_code,
    login_sheet,
    once,
    proof_holds,
    refused,
    wish,
)
from .problems import ACCESS_DENIED, INVALID_REQUEST
from .scopes import for_person, granted

LONGEST_PASSWORD = 1024


async def _restored(ctx: Ctx, asked: Asked) -> tuple[dict[str, str], Wish]:
    """The form, and the authorization request that it belongs to."""
    form = once(asked.form)
    query = once(parse_qs(form.get("query", ""), keep_blank_values=True, max_num_fields=50))
    wanted = await wish(ctx, asked, query)
    check(ctx.house, wanted)
    return form, wanted


async def login(ctx: Ctx, asked: Asked) -> See | Sheet:
    """Log a person in and go on with the authorization request."""
    house: House = ctx.house
    form, wanted = await _restored(ctx, asked)
    if not proof_holds(house, "login", asked.cookies.get(PRELOGIN, ""), wanted.query, form.get("proof", "")):
        return login_sheet(house, wanted, problem="The page had grown old. Please log in again.", status=400)
    email, password = form.get("email", "")[:254], form.get("password", "")
    async with house.db.reading() as tx:  # the password is checked outside any transaction: it takes long
        reading = house.ctx(tx, ctx.account, ctx.actor, ctx.origin)
        try:
            await people.check_throttle(reading, email)
        except people.Throttled as why:
            told = f"Too many attempts. Please wait {why.wait} seconds and try again."
            return login_sheet(house, wanted, email=email, problem=told, status=429, wait=why.wait)
        who = await people.find_person(reading, email)
    hashed = who["password_hash"] if who else None
    right = await people.verify_password(hashed, password[:LONGEST_PASSWORD])
    using = people.device(ctx, asked.headers.get("user-agent", ""))
    if not right or who is None or not who["active"]:
        await people.note_failure(ctx, email, who["id"] if who else None, using)
        return login_sheet(house, wanted, email=email, problem="E-mail or password is not right.", status=401)
    ctx.actor = f"user:{who['id']}"
    session = await people.start_session(ctx, who["id"], email, using)
    lifetime = house.settings.session_lifetime
    cookies = (
        cookie_header(house, COOKIE, session.cookie, path="/", lifetime=lifetime),
        cookie_header(house, PRELOGIN, "", lifetime=0),
        ("cache-control", "no-store"),
    )
    return See(f"/oauth/authorize?{_without_login(wanted)}", 303, cookies)


def _without_login(wanted: Wish) -> str:
    """The request again, now that the login that it may have asked for has happened."""
    prompts = [word for word in wanted.given.get("prompt", "").split() if word not in ("login", "select_account")]
    given = {name: value for name, value in wanted.given.items() if name != "prompt"}
    return Wish(wanted.client, wanted.redirect_uri, given | ({"prompt": " ".join(prompts)} if prompts else {})).query


async def consent(ctx: Ctx, asked: Asked) -> See:
    """Take the person's decision back to the client."""
    house: House = ctx.house
    form, wanted = await _restored(ctx, asked)
    cookie = asked.cookies.get(COOKIE, "")
    session = await people.session(ctx, cookie)
    if session is None or not proof_holds(house, "consent", cookie, wanted.query, form.get("proof", "")):
        raise Fault(INVALID_REQUEST, "The page had grown old; go back to the application and start again.")
    if form.get("decision") != "allow":
        return refused(house, wanted, ACCESS_DENIED, "The person said no.")
    try:
        scopes = granted(house, wanted.client, wanted.given.get("scope"), "authorization_code")
    except Fault as fault:
        return refused(house, wanted, fault.problem, fault.detail.description or fault.problem.message)
    person = await house.view.person(ctx.account, session.user)
    allowed = for_person(house, scopes, person) if person else frozenset()
    if not allowed:
        return refused(house, wanted, ACCESS_DENIED, "The person's roles allow none of the scopes.")
    ctx.actor = f"user:{session.user}"
    await people.consent(ctx, session.user, wanted.client.id, allowed)
    return await grant_code(ctx, wanted, session, allowed)
