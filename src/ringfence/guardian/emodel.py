"""The E-model, ITU-T Recommendation G.107: how a conversation sounded, from its delay, its loss and its codec.

Values that nobody measured are the defaults of G.107 table 3; echo is taken as cancelled (Idte = Idle = 0).
"""

import math
from typing import NamedTuple

BASIC = 93.2  # R with every parameter at its default (G.107 clause 7.7): Ro - Is, and Id without delay
PACKET = 20.0  # milliseconds of speech in a packet, which are waited for before it is sent
BUFFERED = 2.0  # a jitter buffer holds this many times the average jitter


class Codec(NamedTuple):
    """Ie and Bpl of ITU-T Recommendation G.113 (appendix I) for random loss."""

    impairment: float
    robustness: float


CODECS = {
    "G.711": Codec(0.0, 4.3),
    "G.711 with concealment": Codec(0.0, 25.1),
    "G.729A": Codec(11.0, 19.0),
    "G.723.1": Codec(15.0, 16.1),
}


class Scores(NamedTuple):
    """Mean opinion scores, from 1 to 4.5."""

    avg: float
    max: float
    min: float


def delay_impairment(delay: float) -> float:
    """Idd of a one-way mouth-to-ear delay Ta in milliseconds.

    G.107 equations (7-27) and (7-28), with sT = 1 and mT = 100 ms: 0 up to 100 ms, beyond that
    Idd = 25 {(1 + X^6)^(1/6) - 3 (1 + (X/3)^6)^(1/6) + 2} with X = log2(Ta / 100).
    """
    if delay <= 100.0:
        return 0.0
    x = math.log2(delay / 100.0)
    found: float = 25.0 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2)
    return found


def loss_impairment(loss: float, codec: Codec) -> float:
    """Ie,eff of random packet loss in percent (BurstR = 1).

    G.107 equation (7-29): Ie,eff = Ie + (95 - Ie) Ppl / (Ppl / BurstR + Bpl).
    """
    return codec.impairment + (95.0 - codec.impairment) * loss / (loss + codec.robustness)


def rating(delay: float, loss: float, codec: Codec) -> float:
    """R = Ro - Is - Id - Ie,eff + A, G.107 equation (7-1), with the advantage A = 0."""
    return BASIC - delay_impairment(delay) - loss_impairment(loss, codec)


def opinion(r: float) -> float:
    """The mean opinion score of a rating, G.107 annex B equation (B-4).

    1 for R < 0, 4.5 for R > 100, between them 1 + 0.035 R + R (R - 60) (100 - R) 7e-6. The cubic dips below 1
    for 0 < R < 6.5; there it is 1, which is as bad as it gets.
    """
    if r < 0:
        return 1.0
    if r > 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def mouth_to_ear(round_trip: float, jitter: float) -> float:
    """One way in milliseconds: half the round trip, a packet's speech, and what the jitter buffer holds back."""
    return round_trip / 2 + PACKET + BUFFERED * jitter


def scores(
    *, jitter: float, jitter_max: float, rtt: float, rtt_min: float, rtt_max: float, loss: float, codec: Codec
) -> Scores:
    """Scores of a conversation: on average, at its best and at its worst delay (milliseconds, loss in percent)."""
    loss = min(max(loss, 0.0), 100.0)

    def heard(round_trip: float, shaken: float) -> float:
        return round(opinion(rating(mouth_to_ear(round_trip, shaken), loss, codec)), 2)

    return Scores(heard(rtt, jitter), heard(rtt_min, jitter), heard(rtt_max, jitter_max))
