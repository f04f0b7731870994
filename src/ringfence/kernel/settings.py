"""Settings: one field per key, read from the environment (`RINGFENCE_*`) and an optional TOML file."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any


def key(default: Any, about: str, *, secret: bool = False) -> Any:
    """One setting: its default, its help, and whether its value must never be shown."""
    return field(default=default, metadata={"about": about, "secret": secret})


@dataclass(frozen=True, repr=False)
class Settings:
    """The values in force. Passed in, never imported."""

    database: str = key("sqlite:///ringfence.db", "Where state is kept: sqlite:///PATH or postgresql://…")
    secret_key: str = key("", "Master key, 64 hex digits; by default a key file beside the database.", secret=True)
    host: str = key("127.0.0.1", "Address to listen at.")
    port: int = key(8000, "Port to listen at; 0 picks a free one.")
    identity_base: str = key("", "Public base URL of /oauth; by default the server's own address.")
    gateway_base: str = key("", "Public base URL of the APIs; by default the server's own address.")
    identity_domains: str = key("", "Base domains whose first label is an account's name, separated by commas.")
    activation_delay: int = key(120, "Seconds before a scope added to a client takes effect.")
    staleness_limit: float = key(3.0, "Seconds without a confirmed view of the grants before requests are refused.")
    poll_interval: float = key(0.1, "Seconds between looks at the version of the grants.")
    token_lifetime: int = key(600, "Seconds that an access token lives.")
    token_algorithm: str = key("ES256", "Signature of access and id tokens: ES256 or RS256.")
    code_lifetime: int = key(60, "Seconds that an authorization code lives.")
    refresh_idle: int = key(30 * 86400, "Seconds after which an unused refresh token dies.")
    refresh_grace: int = key(10, "Seconds for which the predecessor of a refresh token is still taken.")
    session_lifetime: int = key(12 * 3600, "Seconds that a person stays logged in.")
    require_pkce: bool = key(False, "Refuse authorization requests without PKCE from every client.")
    require_if_match: bool = key(False, "Answer 428 to a change without If-Match.")
    rate_limit: int = key(50, "Requests per second that one client may make; 0 for no limit.")
    token_rate_limit: int = key(20, "Token requests per second that one client may make; 0 for no limit.")
    login_attempts: int = key(5, "Failed logins of one person within the window before a wait.")
    login_window: int = key(300, "Seconds over which failed logins are counted.")
    body_limit: int = key(1024 * 1024, "Bytes that a request's body may have.")
    header_limit: int = key(32 * 1024, "Bytes that a request's headers may have together.")
    idempotency_lifetime: int = key(86400, "Seconds for which an Idempotency-Key is remembered.")
    usage_flush: float = key(5.0, "Seconds between writes of what scopes were used for.")
    files: str = key("", "Where files are kept: a folder or s3://BUCKET/PREFIX; by default beside the database.")
    s3_endpoint: str = key("", "URL of an S3-compatible store; by default Amazon's.")
    s3_region: str = key("us-east-1", "Region of the bucket.")
    s3_access_key: str = key("", "Access key id for the bucket.")
    s3_secret_key: str = key("", "Secret access key for the bucket.", secret=True)
    upload_limit: int = key(32 * 1024 * 1024, "Bytes that an uploaded file may have.")
    upload_lifetime: int = key(3600, "Seconds for which a signed URL takes a file.")
    record_lists: int = key(200, "Record lists that an account may have.")
    list_records: int = key(250_000, "Records that a record list may hold.")
    do_not_call_lists: int = key(60, "Do-not-call lists that an account may have.")
    list_entries: int = key(1_000_000, "Entries that a do-not-call list may hold.")
    administrator_role: str = key("admin", "The role whose people administer their account.")
    ring_groups_deprecation: str = key("", "Day since which ring groups are deprecated, for a Deprecation header.")
    ring_groups_sunset: str = key("", "Day from which ring groups may be gone, for a Sunset header.")
    attribute_stars: bool = key(False, "Take proficiencies of 1 to 5 stars too, beside 20 to 100.")
    recordings_retention: int = key(0, "Seconds after which the audio of a recording is dropped; 0 for never.")
    recordings_encryption: bool = key(False, "Encrypt the audio of recordings where it is kept.")
    recordings_link_lifetime: int = key(3600, "Seconds for which a signed URL gives the audio of a recording.")
    report_jobs: int = key(100, "Jobs that write reports, not yet over, that an account may have.")
    reports_retention: int = key(30 * 86400, "Seconds after which the file of a report is deleted; 0 for never.")
    report_link_lifetime: int = key(3600, "Seconds for which a signed URL gives the file of a report.")
    private_receivers: bool = key(False, "Let callbacks call http and addresses that are not public.")
    event_subscriptions: int = key(100, "Subscriptions to events that an account may have.")
    delivery_patience: float = key(10.0, "Seconds that a receiver of events has to answer.")
    delivery_retention: int = key(30 * 86400, "Seconds for which the log of deliveries is kept.")
    secret_overlap: int = key(86400, "Seconds for which a replaced webhook secret still signs beside the new one.")
    flows_rate_limit: int = key(2, "Interactions per second that an account may start through flows; 0 for no limit.")
    callback_duplicates: bool = key(False, "Let there be several open callbacks between the same two numbers.")
    strict_contract: bool = key(False, "Refuse what the documented contract refuses, also where nothing is lost by it.")
    guardian_probability: float = key(0.001, "Chance below which what people did is out of the ordinary.")
    guardian_failed_logins: int = key(8, "Wrong passwords for one person within an hour that make a case.")
    guardian_travel_speed: int = key(900, "Kilometres per hour between two logins that nobody travels at.")
    guardian_unusual_hours: int = key(2, "Hours from any at which a person was ever active that make a case.")
    guardian_known_days: int = key(10, "Days with activity after which a person's hours are known.")
    guardian_exports: int = key(10, "Reports asked for by one person or client within an hour that make a case.")
    guardian_contact_changes: int = key(200, "Changes to contacts by one person or client in an hour that make a case.")
    guardian_contact_reads: int = key(5, "Hundreds of requests for contacts by one client in an hour that make a case.")
    guardian_recordings: int = key(30, "Recordings fetched by one person or client within a day that make a case.")
    guardian_holds: int = key(5, "Contacts that an agent put on hold and hung up on within a day that make a case.")
    guardian_short_talks: int = key(8, "Contacts that an agent hung up on at once, within a day that make a case.")
    guardian_flips: int = key(10, "Times that an agent was available for a moment only, within a day that make a case.")
    guardian_aways: int = key(5, "Times that an agent went away while callers waited, within a day that make a case.")
    guardian_refusals: int = key(10, "Calls that an agent rejected or ignored within a day that make a case.")
    guardian_scope_use: int = key(900, "Seconds after a new scope for reports within which using it makes a case.")
    guardian_day: str = key("07:00-20:00", "When flows are published from Monday to Friday; all else makes a case.")
    guardian_codec: str = key("G.711", "Codec whose impairments scores of call quality are computed with.")
    guardian_affected_mos: float = key(3.6, "Mean opinion score below which a call was affected.")
    guardian_retention: int = key(365 * 86400, "Seconds for which sessions and cases are kept; 0 for ever.")
    demo_calls: int = key(400, "Calls of an average day in the demo centre; 0 for a centre where nobody calls.")
    connections: int = key(10, "PostgreSQL connections of one process.")
    access_log: bool = key(False, "Log every request, not only those that failed on our side.")
    log_format: str = key("text", "Log lines as text or json.")

    def __repr__(self) -> str:
        shown = (f"{f.name}={'…' if f.metadata['secret'] else repr(getattr(self, f.name))}" for f in fields(self))
        return f"Settings({', '.join(shown)})"


WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
DAYS = ("ring_groups_deprecation", "ring_groups_sunset")
CHOICES = {
    "token_algorithm": ("ES256", "RS256"),
    "log_format": ("text", "json"),
    "guardian_codec": ("G.711", "G.711 with concealment", "G.729A", "G.723.1"),
}
SPANS = ("guardian_day",)


class BadSetting(Exception):
    """A setting that cannot be used; the message says which and what to write instead."""


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"RINGFENCE_{name.upper()}"


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _typed(name: str, kind: Any, value: Any, where: str) -> Any:
    try:
        if kind is bool:
            return value if isinstance(value, bool) else WORDS[str(value).strip().lower()]
        if isinstance(value, bool):
            raise ValueError
        typed = kind(value)
    except (ValueError, KeyError, TypeError):
        raise BadSetting(f"{where} must be a {kind.__name__}, not {value!r}.") from None
    if kind in (int, float) and not 0 <= typed < 2**31:
        raise BadSetting(f"{where} must be zero or more, not {value!r}.")
    if name in DAYS and typed and not _is_day(typed):
        raise BadSetting(f"{where} must be a day as in 2026-07-31, not {value!r}.")
    if name in SPANS and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d", typed):
        raise BadSetting(f"{where} must be a span of a day as in 07:00-20:00, not {value!r}.")
    if name in CHOICES and typed not in CHOICES[name]:
        raise BadSetting(f"{where} must be {' or '.join(CHOICES[name])}, not {value!r}.")
    return typed


def load(environment: Mapping[str, str] | None = None, file: Path | None = None, **given: Any) -> Settings:
    """What was given, else the environment, else the file (or RINGFENCE_CONFIG), else the default."""
    environment = os.environ if environment is None else environment
    path = file or (Path(environment["RINGFENCE_CONFIG"]) if environment.get("RINGFENCE_CONFIG") else None)
    written: dict[str, Any] = {}
    if path is not None:
        try:
            written = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as why:
            raise BadSetting(f"The settings file {path} cannot be read: {why}") from why
        if strange := set(written) - {f.name for f in fields(Settings)}:
            raise BadSetting(f"{path} has unknown settings: {', '.join(sorted(strange))}.")
    values: dict[str, Any] = {}
    for each in fields(Settings):
        name = each.name
        if given.get(name) is not None:
            values[name] = _typed(name, each.type, given[name], name)
        elif variable(name) in environment:
            values[name] = _typed(name, each.type, environment[variable(name)], variable(name))
        elif name in written:
            values[name] = _typed(name, each.type, written[name], f"{name} in {path}")
    return Settings(**values)


def as_markdown() -> str:
    """The table of settings in the README."""
    rows = ["| Variable | Default | What it is for |", "|---|---|---|"]
    for each in fields(Settings):
        default = f"`{each.default}`" if each.default != "" else ""
        rows.append(f"| `{variable(each.name)}` | {default} | {each.metadata['about']} |")
    return "\n".join(rows)
