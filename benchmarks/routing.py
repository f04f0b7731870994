"""Routing: what a decision costs with ten thousand waiting callers and two thousand agents.

python -m benchmarks.routing [--callers N] [--agents N]

The baseline decides by looking at every caller, or every agent, each time.
"""

import argparse
import random
import statistics
import sys
import time

from ringfence.floor.board import Board, Demand, fits

GROUPS = [f"group {n}" for n in range(40)]
SKILLS = [f"skill {n}" for n in range(20)]
DECISIONS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=10_000)
    parser.add_argument("--agents", type=int, default=2_000)
    given = parser.parse_args()
    rng = random.Random(7)
    board = Board()
    demands = [
        Demand(
            frozenset(rng.sample(GROUPS, rng.randint(1, 2))),
            frozenset((skill, rng.choice((20, 60, 80))) for skill in rng.sample(SKILLS, rng.randint(0, 2))),
        )
        for _ in range(200)
    ]
    names = [f"agent {n}" for n in range(given.agents)]
    for name in names:
        board.set_agent(name, rng.sample(GROUPS, 3), {skill: rng.choice((40, 80, 100)) for skill in SKILLS[:10]})
    for number in range(given.callers):
        board.wait(f"call {number}", rng.choice(demands), priority=rng.randint(1, 10), since=float(number))
    freed, arrived = [], []
    for number in range(DECISIONS):
        name, now = rng.choice(names), float(given.callers + number)
        begun = time.perf_counter()
        found = board.release(name, now)
        freed.append(time.perf_counter() - begun)
        demand, call = rng.choice(demands), found.call if found else f"more {number}"
        begun = time.perf_counter()
        board.wait(call, demand, priority=5, since=now)
        arrived.append(time.perf_counter() - begun)
    plain = []
    for name in rng.sample(names, 50):
        agent = board.agents[name]
        begun = time.perf_counter()
        min((entry[1:] for entry in board.callers.values() if fits(entry[0].demand, agent)), default=None)
        plain.append(time.perf_counter() - begun)
    for what, took in (("agent freed", freed), ("caller arrived", arrived), ("looking at every caller", plain)):
        took.sort()
        micro = [1e6 * took[int(len(took) * share)] for share in (0.5, 0.99)]
        sys.stdout.write(f"{what:<26} median {micro[0]:8.1f} µs   p99 {micro[1]:8.1f} µs\n")
    ratio = statistics.median(freed) / statistics.median(plain)
    sys.stdout.write(f"{'freed / every caller':<26} {ratio:.4f}\n")


if __name__ == "__main__":
    main()
