"""An integration of the demo: it enrols the contacts who agree to be known by their voice. Some of them opt out."""

from contextlib import suppress
from hashlib import blake2b

from sqlalchemy import select

from ringfence.fence.house import House
from ringfence.floor import biometrics
from ringfence.kernel.problems import Fault
from ringfence.store.query import ACCOUNT, Statement, all_rows, mine
from ringfence.store.tables.biometrics import biometric_consents as consents
from ringfence.store.tables.biometrics import voice_prints

LOOK = 5.0  # seconds between looks for who has agreed
PHRASE = 1
LEAVING = 6  # of so many who were heard, one opts out
AGREED = Statement(
    select(consents.c.contact_id)
    .outerjoin(
        voice_prints,
        (voice_prints.c.account_id == consents.c.account_id) & (voice_prints.c.contact_id == consents.c.contact_id),
    )
    .where(consents.c.account_id == ACCOUNT, consents.c.status == "CONSENTED", voice_prints.c.contact_id.is_(None))
    .limit(20),
    everywhere=True,  # both tables are cut to the one :account
)
HEARD = Statement(mine(voice_prints, voice_prints.c.contact_id).where(voice_prints.c.print.is_not(None)))


async def live(house: House, account: str) -> None:
    """Until cancelled."""
    while True:
        await look(house, account)
        await house.world.sleep(LOOK)


async def look(house: House, account: str) -> None:
    """Enrol who has agreed, and let opt out who is one to do so."""
    async with house.db.reading() as tx:
        ctx = house.ctx(tx, account, "demo", "demo")
        agreed = [row["contact_id"] for row in await all_rows(ctx, AGREED)]
        heard = [row["contact_id"] for row in await all_rows(ctx, HEARD)]
    for contact in (*agreed, *filter(leaves, heard)):
        with suppress(Fault):  # they changed their mind meanwhile
            async with house.db.writing() as tx:
                ctx = house.ctx(tx, account, "demo", "demo")
                if contact in agreed:
                    await biometrics.enrol(ctx, contact, PHRASE)
                else:
                    await biometrics.opt_out(ctx, contact)


def leaves(contact: str) -> bool:
    """Whether somebody is one to opt out."""
    return blake2b(contact.encode()).digest()[0] % LEAVING == 0
