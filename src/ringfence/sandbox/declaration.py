"""The format of `centre.toml`: what a contact centre consists of, read strictly and checked all at once."""

import tomllib
from collections.abc import Iterable
from datetime import date
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, dataclass_transform
from zoneinfo import available_timezones

import msgspec

from ringfence.floor import flows, hours
from ringfence.floor.flow_checks import Known, complaints
from ringfence.floor.flows import FlowDocument
from ringfence.kernel.problems import INVALID, Fault
from ringfence.metering import terms
from ringfence.oauth.clients import GRANT_TYPES, check_redirect_uri

from . import flow_files

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Slug = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
Mail = Annotated[str, msgspec.Meta(pattern=r"^[^@\s]{1,64}@[^@\s]{1,189}$", max_length=254)]
Number = Annotated[str, msgspec.Meta(pattern=r"^\+[1-9][0-9]{6,14}$")]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
ListName = Annotated[str, msgspec.Meta(pattern=r"\S", min_length=1, max_length=120)]
Proficiency = Literal[20, 40, 60, 80, 100]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=86400)]
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Clock = Annotated[str, msgspec.Meta(pattern=r"^(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)\Z")]


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; a key that it does not have is an error."""


class RoleDeclared(Declared):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
    scopes: list[str]  # `*` alone stands for all of the server's


class UserDeclared(Declared):
    email: Mail
    name: Name
    active: bool = True
    gender: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    extension: Annotated[int, msgspec.Meta(ge=0, le=999_999)] | None = None
    external_phone_number: Number | None = None
    team: Name | None = None  # which comes to be by being named
    roles: list[str] = []
    ring_groups: list[str] = []
    attributes: dict[str, Proficiency | None] = {}  # by name; without a level, the attribute's default
    password: Annotated[str, msgspec.Meta(min_length=8, max_length=1024)] | None = None
    password_env: str | None = None


class RingGroupDeclared(Declared):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    short_abandoned_threshold: Seconds = 10
    wait_time_threshold: Seconds = 20


class NumberDeclared(Declared):
    number: Number
    label: Annotated[str, msgspec.Meta(max_length=200)] = ""
    flow: str | None = None  # what answers a call to it
    business_hours: str | None = None


class HoursDeclared(Declared, kw_only=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    timezone: str | None = None  # the account's where it is not said
    week: dict[Day, list[tuple[Clock, Clock]]]
    closed_on: list[date] = []


class FlowDeclared(Declared):
    name: Annotated[str, msgspec.Meta(pattern=r"\S", min_length=1, max_length=255)]
    file: str | None = None  # beside the file that names it
    steps: dict[str, Any] | None = None  # or here


class ClientDeclared(Declared):
    name: Name
    kind: str = "confidential"
    grant_types: list[str] = msgspec.field(default_factory=lambda: ["client_credentials"])
    redirect_uris: list[str] = []
    scopes: list[str] = []  # `*` alone stands for all of the server's
    secret_env: str | None = None
    id_token_alg: str = "ES256"  # noqa: S105 - an algorithm


class ContactDeclared(Declared):
    name: Name
    company: Annotated[str, msgspec.Meta(max_length=255)] = ""
    email: Mail | None = None
    phone: Number | None = None
    tags: list[str] = []


class AttributeDeclared(Declared):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    category: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] = "General"
    active: bool = True
    proficiency: Literal["none", "five_stars_scale"] = "five_stars_scale"
    default_proficiency: Proficiency = 60


class TeamDeclared(Declared):
    id: Label
    name: Label


class CampaignDeclared(Declared):
    id: Label
    campaign_name: Label


class RecordDeclared(Declared):
    first_name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    last_name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    phone: Number
    timezone: str | None = None
    priority: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None


class RecordListDeclared(Declared):
    name: ListName
    unique: Literal["PHONE_NUMBER", "EXTERNAL", "NOTHING"] = "PHONE_NUMBER"
    teams: list[TeamDeclared] = []
    campaigns: list[CampaignDeclared] = []
    records: list[RecordDeclared] = []


class DoNotCallListDeclared(Declared):
    name: ListName
    teams: list[TeamDeclared] = []
    campaigns: list[CampaignDeclared] = []
    numbers: list[Number] = []


class AppDeclared(Declared):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    description: Annotated[str, msgspec.Meta(max_length=4000)] = ""
    scopes: list[str] = []
    redirect_uris: list[str] = []
    trial: bool = False  # offered on trial, and paid after that


class InstallationDeclared(Declared):
    app: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    scopes: list[str] | None = None  # what is granted; all that the app asks for where it is not said
    approved: bool = True


class TimeOffTypeDeclared(Declared):
    name: Annotated[str, msgspec.Meta(pattern=r"\S", min_length=1, max_length=100)]
    draws_balance: bool = False  # whether hours are taken from a balance


class TimeOffBalanceDeclared(Declared):
    agent_email: Mail
    event_type_name: str
    balance: Annotated[float, msgspec.Meta(ge=0, le=100_000)]  # hours, where there is none yet


class NetworkDeclared(Declared):
    """Where the addresses of a network are, for Guardian."""

    cidr: Annotated[str, msgspec.Meta(max_length=43)]
    country: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")]
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]


class AccountDeclared(Declared):
    name: Slug
    company_name: Name
    email: Mail
    timezone: str = "UTC"
    roles: list[RoleDeclared] = []
    users: list[UserDeclared] = []
    ring_groups: list[RingGroupDeclared] = []
    numbers: list[NumberDeclared] = []
    business_hours: list[HoursDeclared] = []
    flows: list[FlowDeclared] = []
    clients: list[ClientDeclared] = []
    contacts: list[ContactDeclared] = []
    attributes: list[AttributeDeclared] = []
    record_lists: list[RecordListDeclared] = []
    do_not_call_lists: list[DoNotCallListDeclared] = []
    apps: list[AppDeclared] = []
    installations: list[InstallationDeclared] = []
    networks: Annotated[list[NetworkDeclared], msgspec.Meta(max_length=500)] = []
    time_off_types: list[TimeOffTypeDeclared] = []
    time_off_balances: list[TimeOffBalanceDeclared] = []
    wallets: list[terms.WalletTerms] = []
    buckets: list[terms.BucketTerms] = []
    meters: list[terms.MeterTerms] = []


class CentreDeclared(Declared):
    accounts: list[AccountDeclared]


class BadDeclaration(Exception):
    """What is wrong with a file, each with the path of the key at fault."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__("\n".join(complaints))
        self.complaints = complaints


def read(text: str, scopes: Iterable[str], folder: Path | None = None) -> CentreDeclared:
    """A declaration out of TOML, or BadDeclaration with all that is wrong with it. Files it names are in `folder`."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as why:  # among them an integer that is too long
        raise BadDeclaration([f"This is not TOML: {why}"]) from why
    try:
        centre, wrongs = _with_flows(msgspec.convert(document, CentreDeclared), folder or Path())
        wrongs += [*_complaints(centre, set(scopes)), *_nul(document, "")]
    except (msgspec.ValidationError, RecursionError) as why:
        told, _, path = str(why).partition(" - at `$.")
        raise BadDeclaration([f"{path.rstrip('`')}: {told}" if path else told]) from why
    if wrongs:
        raise BadDeclaration(wrongs)
    return centre


def _with_flows(centre: CentreDeclared, folder: Path) -> tuple[CentreDeclared, list[str]]:
    """The declaration with every flow's steps in it, and what is wrong with them."""
    found: list[str] = []
    accounts = []
    for number, account in enumerate(centre.accounts):
        known = Known(
            ring_groups=frozenset(one.name for one in account.ring_groups),
            attributes=frozenset(one.name for one in account.attributes if one.active),
            business_hours=frozenset(one.name for one in account.business_hours),
        )
        made = []
        for index, flow in enumerate(account.flows):
            at = f"accounts[{number}].flows[{index}]"
            try:
                document = _document(flow, folder)
            except Fault as why:
                found.append(f"{at}.{'steps' if flow.file is None else 'file'}: {why.detail.description}")
                continue
            found += [f"{at}: {one.name}: {one.description}" for one in complaints(document, known)]
            made.append(msgspec.structs.replace(flow, file=None, steps=msgspec.to_builtins(document)["steps"]))
        accounts.append(msgspec.structs.replace(account, flows=made) if made else account)
    return msgspec.structs.replace(centre, accounts=accounts), found


def _document(flow: FlowDeclared, folder: Path) -> FlowDocument:
    if (flow.file is None) == (flow.steps is None):
        raise Fault(INVALID, "give a file or steps, one of the two")
    return flow_files.load(folder / flow.file) if flow.file is not None else flows.read({"steps": flow.steps})


def expanded(scopes: list[str], known: Iterable[str]) -> list[str]:
    """The scopes that a list stands for."""
    return sorted(known) if scopes == ["*"] else sorted(set(scopes))


def _nul(value: Any, path: str) -> list[str]:
    if isinstance(value, str):
        return [f"{path}: holds a NUL character"] if "\0" in value else []
    if isinstance(value, dict):
        return [c for name, inner in value.items() for c in _nul(inner, f"{path}.{name}".lstrip("."))]
    if isinstance(value, list):
        return [c for index, inner in enumerate(value) for c in _nul(inner, f"{path}[{index}]")]
    return []


def _twice(values: Iterable[str], path: str) -> list[str]:
    seen: set[str] = set()
    found = []
    for value in values:
        if value in seen:
            found.append(f"{path}: {value} is declared twice")
        seen.add(value)
    return found


def _complaints(centre: CentreDeclared, scopes: set[str]) -> list[str]:
    found = _twice((a.name for a in centre.accounts), "accounts")
    for index, account in enumerate(centre.accounts):
        found += _account(account, f"accounts[{index}]", scopes)
    return found


def _account(account: AccountDeclared, at: str, scopes: set[str]) -> list[str]:
    found = []
    if account.timezone not in available_timezones():
        found.append(f"{at}.timezone: {account.timezone!r} is not a time zone (such as Europe/Lisbon)")
    found += _twice((r.name for r in account.roles), f"{at}.roles")
    found += _twice((u.email.casefold() for u in account.users), f"{at}.users")
    found += _twice((g.name for g in account.ring_groups), f"{at}.ring_groups")
    found += _twice((n.number for n in account.numbers), f"{at}.numbers")
    found += _twice((h.name for h in account.business_hours), f"{at}.business_hours")
    found += _twice((f.name for f in account.flows), f"{at}.flows")
    found += _twice((c.name for c in account.clients), f"{at}.clients")
    found += _twice((a.name.casefold() for a in account.attributes), f"{at}.attributes")
    found += _twice((one.name for one in account.record_lists), f"{at}.record_lists")
    found += _twice((one.name for one in account.do_not_call_lists), f"{at}.do_not_call_lists")
    found += _twice((a.name.casefold() for a in account.apps), f"{at}.apps")
    found += _twice((i.app.casefold() for i in account.installations), f"{at}.installations")
    found += _networks(account, at)
    skills = {a.name for a in account.attributes}
    roles, groups = {r.name for r in account.roles}, {g.name for g in account.ring_groups}
    for index, role in enumerate(account.roles):
        found += _strange(role.scopes, scopes, f"{at}.roles[{index}].scopes", "a scope of this server")
    for index, user in enumerate(account.users):
        found += _strange(user.roles, roles, f"{at}.users[{index}].roles", "a role of the account")
        found += _strange(user.ring_groups, groups, f"{at}.users[{index}].ring_groups", "a ring group of the account")
        found += _strange(
            list(user.attributes), skills, f"{at}.users[{index}].attributes", "an attribute of the account"
        )
        if user.password and user.password_env:
            found.append(f"{at}.users[{index}]: give password or password_env, not both")
    found += _voice(account, at)
    found += _time_off(account, at)
    found += terms.complaints(account.wallets, account.buckets, account.meters, at)
    for index, client in enumerate(account.clients):
        where = f"{at}.clients[{index}]"
        found += _strange(client.scopes, scopes, f"{where}.scopes", "a scope of this server")
        found += _strange(client.grant_types, set(GRANT_TYPES), f"{where}.grant_types", "a grant type")
        if client.kind not in ("confidential", "public"):
            found.append(f"{where}.kind: must be confidential or public")
        for uri in client.redirect_uris:
            try:
                check_redirect_uri(uri)
            except (Fault, ValueError) as why:
                found.append(f"{where}.redirect_uris: {why}")
    for index, app in enumerate(account.apps):
        found += _strange(app.scopes, scopes, f"{at}.apps[{index}].scopes", "a scope of this server")
        for uri in app.redirect_uris:
            try:
                check_redirect_uri(uri)
            except (Fault, ValueError) as why:
                found.append(f"{at}.apps[{index}].redirect_uris: {why}")
    for index, contact in enumerate(account.contacts):
        if contact.email is None and contact.phone is None:
            found.append(f"{at}.contacts[{index}]: give an email or a phone, by which it is found again")
    return found


def _networks(account: AccountDeclared, at: str) -> list[str]:
    found = _twice((one.cidr for one in account.networks), f"{at}.networks")
    for index, one in enumerate(account.networks):
        try:
            if str(ip_network(one.cidr)) != one.cidr:
                raise ValueError(f"write it {ip_network(one.cidr)}")
        except ValueError as why:
            found.append(f"{at}.networks[{index}].cidr: {one.cidr!r} is not a network such as 198.51.100.0/24: {why}")
    return found


def _voice(account: AccountDeclared, at: str) -> list[str]:
    """What is wrong with business hours, and with what numbers name."""
    found = []
    for index, declared in enumerate(account.business_hours):
        where = f"{at}.business_hours[{index}]"
        if declared.timezone is not None and declared.timezone not in available_timezones():
            found.append(f"{where}.timezone: {declared.timezone!r} is not a time zone (such as Europe/Lisbon)")
        found += [f"{where}.week.{day}: {told}" for day, told in hours.complaints(declared.week)]
    flows, kept = {f.name for f in account.flows}, {h.name for h in account.business_hours}
    for index, number in enumerate(account.numbers):
        where = f"{at}.numbers[{index}]"
        found += _strange([number.flow] if number.flow else [], flows, f"{where}.flow", "a flow of the account")
        named = [number.business_hours] if number.business_hours else []
        found += _strange(named, kept, f"{where}.business_hours", "business hours of the account")
    return found


def _time_off(account: AccountDeclared, at: str) -> list[str]:
    """What is wrong with types of time off and with balances."""
    found = _twice((one.name.casefold() for one in account.time_off_types), f"{at}.time_off_types")
    kinds = {one.name.casefold() for one in account.time_off_types}
    people = {user.email.casefold() for user in account.users if user.active}
    seen: set[tuple[str, str]] = set()
    for index, one in enumerate(account.time_off_balances):
        where, key = f"{at}.time_off_balances[{index}]", (one.agent_email.casefold(), one.event_type_name.casefold())
        if key[0] not in people:
            found.append(f"{where}.agent_email: {one.agent_email!r} is not an active person of the account")
        if key[1] not in kinds:
            found.append(f"{where}.event_type_name: {one.event_type_name!r} is not a time off type of the account")
        if key in seen:
            found.append(f"{where}: this balance is declared twice")
        seen.add(key)
    return found


def _strange(given: list[str], known: set[str], path: str, what: str) -> list[str]:
    if given == ["*"] and path.endswith("scopes"):
        return []
    return [f"{path}: {value!r} is not {what}" for value in given if value not in known]
