"""Bringing an account to what a file declares: a plan of changes, shown first, applied in one transaction."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from ringfence.apis.contacts import domain as contacts
from ringfence.apis.contacts.search import search
from ringfence.fence import grants
from ringfence.fence.house import House
from ringfence.floor import directory
from ringfence.guardian import networks
from ringfence.kernel.ctx import Ctx
from ringfence.oauth import clients, people
from ringfence.store.statement import Row

from .absences import plan_time_off
from .charges import plan_charges
from .declaration import AccountDeclared, ClientDeclared, ContactDeclared, UserDeclared, expanded
from .holdings import plan_apps, plan_attributes, plan_lists
from .reception import plan_flows, plan_hours, plan_numbers

EMPTY_CONTACT: dict[str, Any] = {"title": "", "address": "", "website": "", "integrations": []}
FACTS_OF_USERS = ("name", "active", "gender", "extension", "external_phone_number", "team", "roles")
Apply = Callable[[Ctx], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to do: `+` make, `~` change, `-` take away."""

    sign: Literal["+", "~", "-"]
    what: str
    detail: str
    apply: Apply


@dataclass(slots=True)
class Plan:
    """What it takes to bring one account to its declaration, and the secrets minted on the way."""

    account: str  # its name
    id: str
    changes: list[Change] = field(default_factory=list)
    secrets: dict[str, tuple[str, str]] = field(default_factory=dict)  # client name -> (id, secret)

    def add(self, sign: Literal["+", "~", "-"], what: str, detail: str, apply: Apply) -> None:
        self.changes.append(Change(sign, what, detail, apply))


@dataclass(frozen=True, slots=True)
class Given:
    """Where secrets come from, when not from the file: by client name or e-mail address. None: make one up."""

    client_secret: Callable[[str], str | None] = lambda name: None
    password: Callable[[str], str | None] = lambda email: None


async def plan(house: House, wanted: AccountDeclared, given: Given) -> Plan:
    """Compare the declaration with what is there. Hashes new passwords, so it may take a moment; writes nothing."""
    async with house.db.reading() as tx:
        found = await tx.one(directory.ACCOUNT_BY_NAME, name=wanted.name)
        made = Plan(wanted.name, found["id"] if found else house.world.new_id(24))
        ctx = house.ctx(tx, made.id, "plan")
        _plan_account(made, wanted, found)
        await _plan_roles(ctx, made, wanted)
        await _plan_ring_groups(ctx, made, wanted)
        await plan_hours(ctx, made.add, wanted)
        await _plan_users(ctx, made, wanted, given)
        for client in wanted.clients:
            await _plan_client(ctx, made, client, given)
        for contact in wanted.contacts:
            await _plan_contact(ctx, made, contact)
        await plan_attributes(ctx, made.add, wanted)
        await plan_flows(ctx, made.add, wanted)
        await plan_numbers(ctx, made.add, wanted)
        await plan_lists(ctx, made.add, wanted)
        await plan_apps(ctx, made.add, wanted)
        await _plan_networks(ctx, made, wanted)
        await plan_charges(ctx, made.add, wanted)
        await plan_time_off(ctx, made.add, wanted)
    return made


async def apply(house: House, made: Plan, actor: str, origin: str) -> None:
    """Carry out a plan, all of it or nothing."""
    if made.changes:
        async with house.db.writing() as tx:
            ctx = house.ctx(tx, made.id, actor, origin)
            for step in made.changes:
                await step.apply(ctx)
        await house.view.refresh()


def _plan_account(made: Plan, wanted: AccountDeclared, found: Row | None) -> None:
    facts = {"name": wanted.name, "company_name": wanted.company_name, "email": wanted.email}
    facts["timezone"] = wanted.timezone
    if found is None:
        made.add("+", f"account {wanted.name}", "", lambda ctx: directory.create_account(ctx, id=made.id, **facts))
    elif different := _differences(found, facts):
        made.add("~", f"account {wanted.name}", different, lambda ctx: directory.change_account(ctx, **facts))


def _differences(have: Row, want: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {have[name]!r} → {value!r}" for name, value in want.items() if have[name] != value)


async def _plan_roles(ctx: Ctx, made: Plan, wanted: AccountDeclared) -> None:
    have = {row["name"]: row for row in await ctx.db.all(directory.ALL_ROLES, account=made.id)}
    for role in wanted.roles:
        scopes = expanded(role.scopes, ctx.house.scopes)
        before = have.get(role.name)
        if before is None or before["scopes"] != scopes:
            detail = f"allows {', '.join(scopes) or 'nothing'}"
            made.add(
                "~" if before else "+",
                f"role {role.name}",
                detail,
                _later(directory.set_role, name=role.name, scopes=scopes),
            )


def _later(call: Callable[..., Awaitable[Any]], **facts: Any) -> Apply:
    async def run(ctx: Ctx) -> None:
        await call(ctx, **facts)

    return run


async def _plan_ring_groups(ctx: Ctx, made: Plan, wanted: AccountDeclared) -> None:
    have = {row["name"]: row for row in await ctx.db.all(directory.ALL_RING_GROUPS, account=made.id)}
    for group in wanted.ring_groups:
        facts = {
            "name": group.name,
            "short_abandoned_threshold": group.short_abandoned_threshold,
            "wait_time_threshold": group.wait_time_threshold,
        }
        before = have.get(group.name)
        if before is None or _differences(before, facts):
            detail = _differences(before, facts) if before else ""
            made.add(
                "~" if before else "+", f"ring group {group.name}", detail, _later(directory.set_ring_group, **facts)
            )


async def _plan_users(ctx: Ctx, made: Plan, wanted: AccountDeclared, given: Given) -> None:
    have = {row["email_key"]: row for row in await ctx.db.all(directory.ALL_USERS, account=made.id)}
    teams = {row["id"]: row["name"] for row in await ctx.db.all(directory.ALL_TEAMS, account=made.id)}
    groups: dict[str, set[str]] = {}
    for row in await ctx.db.all(directory.ALL_MEMBERS, account=made.id):
        groups.setdefault(row["user_id"], set()).add(row["ring_group"])
    for user in wanted.users:
        facts = {name: getattr(user, name) for name in FACTS_OF_USERS}
        before = have.get(user.email.casefold())
        password = user.password or (os.environ.get(user.password_env) if user.password_env else None)
        if before is None:
            hashed = await _hashed(password or given.password(user.email))
            made.add("+", f"user {user.email}", ", ".join(user.roles), _new_user(user, facts, hashed))
            continue
        if different := _differences(before | {"team": teams.get(before["team_id"])}, facts):
            made.add("~", f"user {user.email}", different, _changed_user(before, facts))
        if password and not await people.verify_password(before["password_hash"], password):
            hashed = await people.hash_password(password)
            made.add(
                "~", f"user {user.email}", "password", _later(directory.set_password, user=before, password_hash=hashed)
            )
        if groups.get(before["id"], set()) != set(user.ring_groups):
            join = _later(directory.set_membership, user=before["id"], ring_groups=user.ring_groups)
            made.add("~", f"user {user.email}", f"ring groups: {', '.join(user.ring_groups) or 'none'}", join)


async def _with_team(ctx: Ctx, facts: dict[str, Any]) -> dict[str, Any]:
    """A person's facts as the directory has them: with the id of a team, which is made where it is new."""
    known = dict(facts)
    team = known.pop("team")
    return known | {"team_id": await directory.team_of(ctx, team) if team is not None else None}


def _changed_user(before: Row, facts: dict[str, Any]) -> Apply:
    async def run(ctx: Ctx) -> None:
        known = await _with_team(ctx, facts)
        await directory.change_user(ctx, user=before["id"], email=before["email"], facts=known)

    return run


async def _hashed(password: str | None) -> str | None:
    return await people.hash_password(password) if password else None


def _new_user(user: UserDeclared, facts: dict[str, Any], hashed: str | None) -> Apply:
    async def run(ctx: Ctx) -> None:
        known = await _with_team(ctx, facts)
        id = await directory.create_user(ctx, email=user.email, password_hash=hashed, facts=known)
        await directory.set_membership(ctx, user=id, ring_groups=user.ring_groups)

    return run


async def _plan_networks(ctx: Ctx, made: Plan, wanted: AccountDeclared) -> None:
    """Networks are those of the file, where it has any: an address that is moved on must not stay where it was."""
    have = {row["cidr"]: row for row in await networks.declared(ctx)}
    for one in wanted.networks:
        facts = {"country": one.country, "latitude": float(one.latitude), "longitude": float(one.longitude)}
        before = have.pop(one.cidr, None)
        if before is None or _differences(before, facts):
            detail = _differences(before, facts) if before else one.country
            set_it = _later(networks.set_network, cidr=one.cidr, **facts)
            made.add("~" if before else "+", f"network {one.cidr}", detail, set_it)
    for cidr in have if wanted.networks else ():
        made.add("-", f"network {cidr}", "", _later(networks.drop_network, cidr=cidr))


async def _plan_client(ctx: Ctx, made: Plan, wanted: ClientDeclared, given: Given) -> None:
    scopes = expanded(wanted.scopes, ctx.house.scopes)
    found = await ctx.db.one(clients.BY_NAME, account=made.id, name=wanted.name)
    if found is None:
        secret = os.environ.get(wanted.secret_env) if wanted.secret_env else given.client_secret(wanted.name)

        async def create(ctx: Ctx) -> None:
            new = await clients.create(
                ctx,
                name=wanted.name,
                kind=wanted.kind,
                grant_types=wanted.grant_types,
                redirect_uris=wanted.redirect_uris,
                scopes=scopes,
                secret=secret,
                id_token_alg=wanted.id_token_alg,
            )
            made.secrets[wanted.name] = (new.row["id"], new.secret)

        made.add("+", f"client {wanted.name}", ", ".join(scopes), create)
        return
    facts = {"redirect_uris": wanted.redirect_uris, "grant_types": wanted.grant_types}
    if different := _differences(found, facts):
        made.add("~", f"client {wanted.name}", different, _later(clients.set_facts, client=found["id"], **facts))
    held = {row["scope"] for row in await ctx.db.all(grants.LIVE, account=made.id, client=found["id"])}
    if missing := [scope for scope in scopes if scope not in held]:
        add = _later(
            grants.add, client=found["id"], scopes=missing, known=ctx.house.scopes, reason="declared in the file"
        )
        made.add("+", f"client {wanted.name}", f"scopes {', '.join(missing)} (effective after the delay)", add)
    for scope in sorted(held - set(scopes)):
        remove = _later(grants.remove, client=found["id"], scope=scope, reason="no longer declared in the file")
        made.add("-", f"client {wanted.name}", f"scope {scope}", remove)


async def _plan_contact(ctx: Ctx, made: Plan, wanted: ContactDeclared) -> None:
    found = await search(
        ctx,
        page=1,
        per_page=1,
        include_deleted=True,
        ids=[],
        name=None,
        name_loose=None,
        company=None,
        company_loose=None,
        integration=None,
        emails=[wanted.email] if wanted.email else [],
        phones=[wanted.phone] if wanted.phone and not wanted.email else [],
    )
    if found.total:
        return
    facts = EMPTY_CONTACT | {
        "name": wanted.name,
        "company": wanted.company,
        "tags": wanted.tags,
        "emails": [{"label": "work", "email": wanted.email}] if wanted.email else [],
        "phones": [{"label": "mobile", "number": wanted.phone}] if wanted.phone else [],
    }
    made.add("+", f"contact {wanted.name}", wanted.email or wanted.phone or "", _later(contacts.create, facts=facts))
