"""`ringfence flows`: what calls are handled by; checked, published, drawn and started."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .shared import AsJson, Stop, as_json, desk, moment, run, table, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text
    from rich.tree import Tree

    from ringfence.floor.flows import AnyStep, FlowDocument
    from ringfence.kernel.ctx import Ctx
    from ringfence.kernel.problems import Fault, FieldError

SHOWN = 60  # characters of a text in a drawing
app = typer.Typer(help="Flows: validate, publish, list, show, run.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="A flow as TOML, or as JSON in a file of that name; see docs/flows.md.")]
Which = Annotated[str, typer.Argument(metavar="FLOW", help="A flow's name or id.")]


def stopped(what: str, wrongs: "Sequence[FieldError]") -> Stop:
    """Why it did not go on, a line for each thing that is wrong."""
    return Stop("\n".join([what, *(f"  {one.name}: {one.description}" for one in wrongs)]))


def refused(what: str, why: "Fault") -> Stop:
    told = why.detail.description or why.problem.message
    return stopped(what, why.detail.fields) if why.detail.fields else Stop(f"{what} {told}")


def loaded(file: Path) -> "FlowDocument":
    """The flow in a file. Raises Stop with what is wrong."""
    from ringfence.kernel.problems import Fault
    from ringfence.sandbox import flow_files

    try:
        return flow_files.load(file)
    except Fault as why:
        raise refused(f"{file} is no flow:", why) from why


@app.command(epilog="Example: ringfence flows validate main.toml --names")
def validate(
    context: typer.Context,
    file: File,
    names: Annotated[
        bool, typer.Option("--names", help="Check too that the account has the ring groups, attributes and hours.")
    ] = False,
) -> None:
    """Check a flow without keeping it; what is wrong is said by step, one per line."""

    async def work() -> int:
        from ringfence.floor import flow_store
        from ringfence.floor.flow_checks import complaints

        document = loaded(file)
        known = await within(desk(context), flow_store.known) if names else None
        if wrongs := complaints(document, known):
            raise stopped(f"{file} cannot be published:", wrongs)
        return len(document.steps)

    typer.echo(f"{file} is fine: {run(work())} steps")


@app.command(epilog="Example: ringfence flows publish main.toml --name 'Main line'")
def publish(
    context: typer.Context,
    file: File,
    name: Annotated[
        str | None, typer.Option(help="The flow's name; by default the file's.", show_default=False)
    ] = None,
) -> None:
    """Make a flow, or a new version of one, and let executions begin with it from now on."""

    async def main() -> Any:
        from ringfence.floor import flow_store
        from ringfence.kernel.problems import Fault

        document = loaded(file)

        async def work(ctx: "Ctx") -> Any:
            flow = await flow_store.save(ctx, name=file.stem if name is None else name, document=document)
            return flow, await flow_store.publish(ctx, flow)

        try:
            return await within(desk(context), work)
        except Fault as why:
            raise refused(f"{file} cannot be published:", why) from why

    flow, version = run(main())
    if version["id"] == flow["published_id"]:
        typer.echo(f"{flow['name']}: nothing to change, version {version['number']} is the same")
    else:
        typer.echo(f"{flow['name']}: published version {version['number']}, flow {flow['id']}")


@app.command("list")
def list_flows(context: typer.Context, json: AsJson = False) -> None:
    """List the flows of the account, with the version that is published and the numbers that they answer."""

    async def work(ctx: "Ctx") -> Any:
        from ringfence.floor import directory, flow_store

        numbers = await ctx.db.all(directory.ALL_NUMBERS, account=ctx.account)
        found = []
        for row in await ctx.db.all(flow_store.ALL, account=ctx.account):
            version = await flow_store.published_of(ctx, row)
            found.append(
                {
                    "name": row["name"],
                    "id": row["id"],
                    "published_version": version["number"] if version else None,
                    "published_at": version["published_at"] if version else None,
                    "published_by": version["published_by"] if version else None,
                    "draft_number": row["draft_number"],
                    "steps": len(row["draft"]["steps"]),
                    "numbers": sorted(number["number"] for number in numbers if number["flow_id"] == row["id"]),
                }
            )
        return found

    found = run(within(desk(context), work))
    if json:
        as_json(found)
        return
    table(
        ("name", "id", "version", "published", "by", "steps", "answers"),
        [
            (f["name"], f["id"], f["published_version"] or "none", moment(f["published_at"]), f["published_by"] or "",
             f["steps"], ", ".join(f["numbers"])) for f in found
        ],
    )  # fmt: skip


@app.command(epilog="Example: ringfence flows show main --version 2")
def show(
    context: typer.Context,
    which: Which,
    version: Annotated[
        int | None, typer.Option(help="The number of a version; by default the published one.", show_default=False)
    ] = None,
    json: AsJson = False,
) -> None:
    """Draw a flow: its steps from the start on, and where their exits lead."""
    from ringfence.floor import flows

    async def work(ctx: "Ctx") -> Any:
        from ringfence.floor import flow_store

        flow = await flow_store.named(ctx, which)
        if version is not None:
            return flow, await flow_store.version_of(ctx, flow, version)
        return flow, await flow_store.published_of(ctx, flow)

    flow, row = run(within(desk(context), work))
    document = row["document"] if row else flow["draft"]
    if json:
        as_json(document)
        return
    title = f"version {row['number']}, {moment(row['published_at'])} by {row['published_by']}" if row else "a draft"
    from rich.console import Console

    Console().print(drawing(f"{flow['name']}  {title}", flows.read(document)))


def drawing(title: str, document: "FlowDocument") -> "Tree":
    """A flow as a tree: what follows a step stands below it, a step of several exits has a branch for each."""
    from rich.text import Text
    from rich.tree import Tree

    from ringfence.floor.flows import Start

    root = Tree(Text(title, "bold"))
    first = next((name for name, step in document.steps.items() if isinstance(step, Start)), None)
    seen: set[str] = set()
    left: list[tuple[Tree, Text, str | None]] = [(root, Text(), first)]
    while left:
        under, told, name = left.pop()
        while name in document.steps and name not in seen:
            seen.add(name)
            step = document.steps[name]
            told, ways = _line(name, step), step.ways()
            node, ends = under.add(told), not any(map(step.exits.get, ways))
            name = step.exits.get(ways[0]) if len(ways) == 1 else None
            if len(ways) > 1 and not ends:
                labels = [Text(_way(step, way), "cyan") for way in ways]
                branches = [(Tree(label), label, step.exits.get(way)) for label, way in zip(labels, ways, strict=True)]
                node.children += [branch for branch, _, _ in branches]
                left += reversed(branches)
                break
        else:
            told.append(f"  → {'hangs up' if name is None else name}", "dim")
            told.append(", which is missing" if name not in {None, *document.steps} else "", "red")
    return root


def _line(name: str, step: "AnyStep") -> "Text":
    from rich.text import Text

    from ringfence.floor.flows import type_of

    kind = type_of(step)
    said = _about(step)
    return Text.assemble((name, "bold"), ("" if kind == name else f"  {kind}", "dim"), f"  {said}" if said else "")


def _about(step: "AnyStep") -> str:
    """What there is to know of a step at a glance."""
    from ringfence.floor import flows
    from ringfence.floor.flows import Assign, BusinessHours, HttpRequest, Menu, PlaceCallback, Say, SetVariable, said

    match step:
        case Say(text=text) | Menu(prompt=text) | flows.BiometricsConsent(prompt=text):
            return f"“{text}”" if len(text) <= SHOWN else f"“{text[: SHOWN - 1]}…”"
        case BusinessHours():
            return step.hours
        case Assign() | PlaceCallback():
            asked = ", ".join(f"{name} {level}" for name, level in step.attributes.items())
            return ", ".join(step.ring_groups) + (f" with {asked}" if asked else "")
        case SetVariable():
            return f"{step.variable} = {said(step.value)[:SHOWN]}"
        case HttpRequest():
            return f"{step.method} {step.url[:SHOWN]}"
        case _:
            return step.title


def _way(step: "AnyStep", way: str) -> str:
    from ringfence.floor.flows import Decision, Menu, said

    if isinstance(step, Menu) and way in step.options:
        return f"{way}  {step.options[way]}"
    if isinstance(step, Decision):
        told = [
            f"{one.variable} {one.operator} {said(one.value)}".strip() for one in step.conditions if one.exit == way
        ]
        return f"{way}  {' or '.join(told)[:SHOWN]}".strip()
    return way


@app.command("run", epilog="Example: ringfence flows run sales --var tier=gold --from +351910000001")
def run_flow(
    context: typer.Context,
    which: Which,
    var: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A variable that the flow's start takes; repeatable.")
    ] = None,
    caller: Annotated[
        str, typer.Option("--from", help="Number of the contact; withheld where it is missing.", show_default=False)
    ] = "",
    to: Annotated[
        str | None, typer.Option(help="A number of the account; by default the flow's own.", show_default=False)
    ] = None,
) -> None:
    """Start an interaction that the published version handles; its ids are printed. A running server handles it."""

    async def main() -> Any:
        from ringfence.apis.flows import domain
        from ringfence.floor import flow_store
        from ringfence.kernel.problems import Fault

        given: dict[str, Any] = {}
        for one in var or ():
            name, mark, value = one.partition("=")
            if not mark:
                raise Stop(f"{one!r} is no variable; write NAME=VALUE.")
            given[name] = value
        given |= {domain.CONTACT: caller} if caller else {}
        given |= {domain.COMPANY: to} if to is not None else {}

        async def work(ctx: "Ctx") -> Any:
            return await domain.start(ctx, (await flow_store.named(ctx, which))["id"], given)

        try:
            return await within(desk(context), work)
        except Fault as why:
            raise refused(f"{which} was not started:", why) from why

    begun = run(main())
    typer.echo(f"interaction {begun.call}\nexecution   {begun.execution}\nversion     {begun.version}")
