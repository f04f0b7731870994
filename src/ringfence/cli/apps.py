"""`ringfence apps`: apps of partners and their life in accounts."""

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from .shared import AsJson, Stop, as_json, desk, moment, run, table, within

if TYPE_CHECKING:
    from ringfence.kernel.ctx import Ctx
    from ringfence.store.statement import Row

app = typer.Typer(
    help="Apps of partners: create, install, approve, update, suspend, uninstall, rotate.", no_args_is_help=True
)
trial_app = typer.Typer(help="The trial of an installation: start, extend, end.", no_args_is_help=True)
app.add_typer(trial_app, name="trial")
App = Annotated[str, typer.Argument(metavar="APP", help="An app's id or name.")]
Which = Annotated[str, typer.Argument(metavar="APP", help="An app that is installed in the account, by id or name.")]
Why = Annotated[str, typer.Option("--reason", help="Why; kept in the history.")]
Plan = Annotated[str | None, typer.Option(help="The plan, one of those in which the app is offered.")]


async def installed(ctx: "Ctx", which: str) -> "Row":
    """The live installation of an app in the account."""
    from ringfence.apis.apps import domain, installations

    found = await ctx.db.one(domain.ANYWHERE, app=which, key=which.casefold())
    row: Row | None = None
    if found is not None:
        row = await ctx.db.one(installations.BY_APP, account=ctx.account, app=found["id"])
    if row is None:
        raise Stop(f"{which!r} is not installed in this account; `ringfence apps installations` shows what is.")
    return row


def _step(context: typer.Context, which: str, step: Any, *given: Any, **facts: Any) -> None:
    """Move the installation of an app on, and say where it is then."""

    async def work(ctx: "Ctx") -> Any:
        return await step(ctx, await installed(ctx, which), *given, **facts)

    row = run(within(desk(context), work, settle=True))
    due = f" until {moment(row['due'])}" if row["due"] else ""
    typer.echo(f"{row['id']}  {row['state']}{due}" + (f" ({row['step']})" if row["step"] else ""))


@app.command(epilog="Example: ringfence apps create Wallboard --scope users:read --redirect-uri https://w.example/back")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A name of its own across the platform.")],
    scope: Annotated[list[str] | None, typer.Option(help="What it asks for; repeatable.")] = None,
    redirect_uri: Annotated[list[str] | None, typer.Option(help="Where codes are sent; repeatable.")] = None,
    trial: Annotated[bool, typer.Option("--trial", help="Offer it on trial, and paid after that.")] = False,
    description: str = "",
) -> None:
    """Make an app of this account; its id is printed."""
    from ringfence.apis.apps import domain
    from ringfence.apis.apps.shapes import AppFacts, AppUrl, SubscriptionType

    plans = [SubscriptionType(type="trial", name="Trial"), SubscriptionType(type="paid", name="Paid")] if trial else []
    facts = AppFacts(
        name=name,
        description=description,
        scopes=scope or [],
        urls=[AppUrl(type="redirect_uri", url=uri) for uri in redirect_uri or ()],
        subscription_types=plans,
    )

    async def work(ctx: "Ctx") -> Any:
        return await domain.create(ctx, facts)

    typer.echo(run(within(desk(context), work))["id"])


@app.command("list")
def list_apps(context: typer.Context, json: AsJson = False) -> None:
    """List the account's apps, and those that are installed in it."""
    from ringfence.apis.apps import domain

    async def work(ctx: "Ctx") -> Any:
        return [
            {
                "name": row["name"],
                "id": row["id"],
                "version": row["version_number"],
                "active": row["active"],
                "scopes": row["facts"]["scopes"],
                "own": row["account_id"] == ctx.account,
            }
            for row in await ctx.db.all(domain.ALL, account=ctx.account)
        ]

    rows = run(within(desk(context), work))
    if json:
        as_json(rows)
        return
    shown = [(r["name"], r["id"], r["version"], "yes" if r["own"] else "no", ", ".join(r["scopes"])) for r in rows]
    table(("name", "id", "version", "own", "asks for"), shown)


@app.command()
def installations(context: typer.Context, json: AsJson = False) -> None:
    """List every installation in the account, also those that are over."""
    from ringfence.apis.apps import installations as life

    async def work(ctx: "Ctx") -> Any:
        rows = await ctx.db.all(life.ALL, account=ctx.account)
        names = ("id", "app_id", "state", "step", "reason", "scopes", "due", "trial", "created_at", "ended_at")
        return [{name: row[name] for name in names} for row in rows]

    rows = run(within(desk(context), work))
    if json:
        as_json(rows)
        return
    shown = [(r["id"], r["app_id"], r["state"], r["step"] or "", moment(r["due"]), r["reason"]) for r in rows]
    table(("installation", "app", "state", "waits for", "until", "reason"), shown)


@app.command(epilog="Example: ringfence apps install Wallboard --scope users:read")
def install(
    context: typer.Context,
    which: App,
    scope: Annotated[list[str] | None, typer.Option(help="What is granted; without it all that it asks for.")] = None,
    user: Annotated[list[str] | None, typer.Option(help="Whom it is for, by e-mail address; else everybody.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="Whom it is for, by role.")] = None,
    plan: Plan = None,
    licenses: Annotated[int, typer.Option(help="Seats.", min=0)] = 0,
) -> None:
    """Install an app in the account; it waits seven days for an approval."""
    from ringfence.apis.apps import installations as life

    from .people import found

    async def work(ctx: "Ctx") -> Any:
        users = [(await found(ctx, email))["id"] for email in user or ()]
        filters = [{"filter": "role", "match": one} for one in role or ()]
        given = {"users": users or None, "filters": filters or None, "plan": plan, "licenses": licenses}
        row = await life.install(ctx, app=which, scopes=scope, **cast(Any, given))
        await life.provision(ctx, life.Installed(installation=row["id"]))
        return await life.held(ctx, row["id"])

    row = run(within(desk(context), work, settle=True))
    typer.echo(f"{row['id']}  {row['state']} until {moment(row['due'])}")


@app.command()
def approve(context: typer.Context, which: Which, reason: Why = "") -> None:
    """Approve what waits: an installation, an update or an uninstallation."""
    from ringfence.apis.apps import installations as life

    _step(context, which, life.decide, "approve", reason)


@app.command()
def reject(context: typer.Context, which: Which, reason: Why = "") -> None:
    """Reject what waits: an installation, an update or an uninstallation."""
    from ringfence.apis.apps import installations as life

    _step(context, which, life.decide, "reject", reason)


@app.command()
def update(
    context: typer.Context,
    which: Which,
    add_user: Annotated[list[str] | None, typer.Option(help="A person by e-mail address; repeatable.")] = None,
    remove_user: Annotated[list[str] | None, typer.Option(help="A person by e-mail address; repeatable.")] = None,
    plan: Plan = None,
    licenses: Annotated[int | None, typer.Option(help="Seats.", min=0)] = None,
) -> None:
    """Propose other people, another plan, or just the app's newest version; it waits for an approval."""
    from ringfence.apis.apps import installations as life

    from .people import found

    async def work(ctx: "Ctx") -> Any:
        row = await installed(ctx, which)
        adding = [(await found(ctx, email))["id"] for email in add_user or ()]
        removing = [(await found(ctx, email))["id"] for email in remove_user or ()]
        return await life.change_later(ctx, row, adding=adding, removing=removing, plan=plan, licenses=licenses)

    row = run(within(desk(context), work))
    typer.echo(f"{row['id']}  {row['state']} until {moment(row['due'])}")


@app.command()
def suspend(context: typer.Context, which: Which, reason: Why = "") -> None:
    """Refuse an installation's tokens until it is resumed."""
    from ringfence.apis.apps import installations as life

    _step(context, which, life.suspend, reason)


@app.command()
def resume(context: typer.Context, which: Which, reason: Why = "") -> None:
    """Take a suspended installation's tokens again."""
    from ringfence.apis.apps import installations as life

    _step(context, which, life.resume, reason)


@app.command()
def uninstall(context: typer.Context, which: Which, reason: Why = "") -> None:
    """Ask for an uninstallation: done when it is approved, at the latest after seven days."""
    from ringfence.apis.apps import installations as life

    _step(context, which, life.uninstall, message=reason)


@app.command()
def rotate(
    context: typer.Context,
    which: Which,
    compromised: Annotated[bool, typer.Option("--compromised", help="The old credentials end now.")] = False,
) -> None:
    """Renew an installation's credentials; the old ones are taken for seven more days."""
    from ringfence.apis.apps import installations as life

    async def work(ctx: "Ctx") -> Any:
        return await life.rotate(ctx, await installed(ctx, which), compromised=compromised)

    typer.echo(f"client_id  {run(within(desk(context), work, settle=True)).client_id}")


@app.command("credentials")
def show_credentials(
    context: typer.Context,
    which: Which,
    secrets: Annotated[bool, typer.Option("--secrets", help="Show secrets and private keys too.")] = False,
) -> None:
    """Show an installation's valid credentials, as the event that tells of them delivers them."""
    from ringfence.apis.apps import credentials

    async def work(ctx: "Ctx") -> Any:
        row = await installed(ctx, which)
        found = []
        for one in await ctx.db.all(credentials.LIVE, account=ctx.account, installation=row["id"]):
            names = ("client_id", "key_id", "made_at", "ends_at", "acknowledged_at")
            hidden = await credentials.secrets_of(ctx, one["client_id"]) if secrets else None
            found.append({name: one[name] for name in names} | (hidden or {}))
        return found

    as_json(run(within(desk(context), work)))


Days = Annotated[int, typer.Option(min=1, max=365, help="Days.")]


@trial_app.command()
def start(context: typer.Context, which: Which, days: Days = 30) -> None:
    """Begin the trial of an installation, once."""
    from ringfence.apis.apps import trials

    _trial(context, which, trials.start, days)


@trial_app.command()
def extend(context: typer.Context, which: Which, days: Days) -> None:
    """Let a trial go on for some more days."""
    from ringfence.apis.apps import trials

    _trial(context, which, trials.extend, days)


@trial_app.command()
def end(context: typer.Context, which: Which) -> None:
    """End a trial now, as an upgrade to a paid plan does."""
    from ringfence.apis.apps import trials

    _trial(context, which, trials.end, "plan_upgraded", "user")


def _trial(context: typer.Context, which: str, step: Any, *given: Any) -> None:
    async def work(ctx: "Ctx") -> Any:
        return await step(ctx, await installed(ctx, which), *given)

    as_json(run(within(desk(context), work))["trial"])
