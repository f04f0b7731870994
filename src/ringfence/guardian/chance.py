"""How likely it is that as much happens by chance: the statistics of a case.

What a rule counts (hits) is set against how often it could have happened (chances): calls answered, phones that rang,
hours in which somebody was there. Over the 30 days before today,

    peers'  rate  p = (hits of the peers + K u) / (chances of the peers + K)
    person's rate q = (own hits + K p) / (own chances + K)

where K = 20 chances speak for what is not known yet, and u is what the rule takes as usual before anybody was seen: the
mean of a Gamma prior. With c chances within the rule's window, the expected counts are c q and c p, and n hits have
the probability P(X >= n) of a Poisson variable of that mean. Confidence is 1 - probability.
"""

import math
from typing import NamedTuple

K = 20.0


class Odds(NamedTuple):
    expected: float  # hits of this person within the window
    expected_of_peers: float
    user_prob: float
    pop_prob: float


def rate(hits: float, chances: float, usual: float) -> float:
    """Hits per chance, drawn to what is usual while little is known."""
    return (hits + K * usual) / (chances + K)


def at_least(n: int, mean: float) -> float:
    """P(X >= n) for a Poisson variable: the upper tail, summed from its first term on; accurate where it is small."""
    if n <= 0:
        return 1.0
    if mean <= 0:
        return 0.0
    if n <= mean:
        term = math.exp(-mean + (n - 1) * math.log(mean) - math.lgamma(n))
        below, k = term, n - 1
        while k > 0 and term > below * 1e-17:
            term *= k / mean
            below += term
            k -= 1
        return min(1.0, max(0.0, 1.0 - below))
    term = math.exp(-mean + n * math.log(mean) - math.lgamma(n + 1))
    total, k = term, n
    while term > total * 1e-17 and term > 0:
        k += 1
        term *= mean / k
        total += term
    return min(1.0, total)


def odds(n: int, chances: float, own: tuple[float, float], peers: tuple[float, float], usual: float) -> Odds:
    """The statistics of n hits in so many chances; `own` and `peers` are (hits, chances) of the 30 days before."""
    of_peers = rate(*peers, usual)
    of_user = rate(*own, of_peers)
    chances = max(chances, 1.0)
    return Odds(
        round(of_user * chances, 4),
        round(of_peers * chances, 4),
        at_least(n, of_user * chances),
        at_least(n, of_peers * chances),
    )
