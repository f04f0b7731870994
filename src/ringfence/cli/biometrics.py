"""`ringfence biometrics`: who has agreed to be known by their voice, and proofs that prints were removed."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .shared import AsJson, as_json, desk, moment, run, table, within

if TYPE_CHECKING:
    from ringfence.kernel.ctx import Ctx

app = typer.Typer(help="Voice biometrics: consent, its history, proofs of removal.", no_args_is_help=True)
Contact = Annotated[str, typer.Argument(metavar="CONTACT", help="A contact's id.")]


@app.command()
def show(context: typer.Context, contact: Contact, json: AsJson = False) -> None:
    """Show the consent of a contact, and whether they are enrolled."""
    from ringfence.floor import biometrics

    async def work(ctx: "Ctx") -> dict[str, Any]:
        said, row = await biometrics.consent(ctx, contact), await biometrics.enrolment(ctx, contact)
        found = {"contact_id": contact, "status": said["status"], "consented_at": said["consented_at"]}
        if row is None:
            return found | {"enrolled_at": None, "phrase_id": None, "print": "none", "recordings": 0}
        made = "kept, sealed" if row["print"] else "waits for a recording"
        facts = {name: row[name] for name in ("enrolled_at", "phrase_id")}
        return found | facts | {"print": made, "recordings": len(row["recordings"])}

    found = run(within(desk(context), work))
    if json:
        as_json(found)
        return
    times = {name: moment(found[name]) for name in ("consented_at", "enrolled_at")}
    table(("what", "is"), [(name, "" if value is None else value) for name, value in (found | times).items()])


@app.command()
def history(context: typer.Context, contact: Contact, json: AsJson = False) -> None:
    """Show all that a contact has ever said, also when they have been erased."""
    from ringfence.floor import biometrics

    async def work(ctx: "Ctx") -> Any:
        return await biometrics.consent_history(ctx, contact)

    names = ("at", "previous", "status", "how", "actor", "interaction_id")
    rows = [{name: row[name] for name in names} for row in run(within(desk(context), work))]
    if json:
        as_json(rows)
        return
    shown = [
        (moment(r["at"]), r["previous"], r["status"], r["how"], r["actor"], r["interaction_id"] or "") for r in rows
    ]
    table(("when", "before", "then", "how", "by whom", "interaction"), shown)


@app.command()
def proof(
    context: typer.Context,
    contact: Contact,
    json: AsJson = False,
    jws: Annotated[bool, typer.Option("--jws", help="Print each as a JWS that anybody can verify.")] = False,
) -> None:
    """Show the proofs that a contact's voice print was removed, and check their signatures."""
    from ringfence.floor import biometrics

    async def work(ctx: "Ctx") -> Any:
        rows = await biometrics.proofs(ctx, contact)
        return [(row, good, await biometrics.attested(ctx, row) if jws and good else "") for row, good in rows]

    attested = run(within(desk(context), work))
    found = [(row, good) for row, good, _ in attested]
    if jws:
        for _, _, text in attested:
            typer.echo(text or "a proof that was changed")
        raise typer.Exit(0 if all(good for _, good in found) else 1)
    if json:
        as_json([row["removed"] | {"signature": row["signature"], "valid": good} for row, good in found])
    elif not found:
        typer.echo("no voice print of this contact was ever removed")
    for row, good in found if not json else ():
        facts = [*row["removed"].items(), ("signature", row["signature"]), ("valid", "yes" if good else "NO")]
        table(("proof", ""), [(name, "" if value is None else value) for name, value in facts])
    raise typer.Exit(0 if all(good for _, good in found) else 1)
