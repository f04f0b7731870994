"""The carriers that there are, by name."""

from .carrier import Simulated
from .telephony import Carrier

CARRIERS: dict[str, Carrier] = {Simulated.name: Simulated()}


def set_speed(speed: float) -> None:
    """Let people on the simulated telephone live so many times as fast, in this process."""
    carrier = CARRIERS[Simulated.name]
    if isinstance(carrier, Simulated):
        carrier.speed = speed
