"""Made-up recordings: stereo WAV of two people who take turns, the contact on the left and the agent on the right.

Nobody says anything, but it sounds like speech: vowels with formants and a melody, consonants, pauses. One person has
one voice (a pitch and the length of a throat), so that voices can be told from each other.
"""

import math
import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

RATE = 8000  # frames a second
FRAME = 4  # bytes: two channels of 16 bits
HEADER = 44
LONGEST = (2**32 - HEADER) // (RATE * FRAME)  # seconds: a WAV file counts its bytes in 32 bits
PERIOD = 512  # samples of the table that holds one period of a vowel
SINE = [math.sin(2 * math.pi * i / PERIOD) for i in range(PERIOD)]
VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))  # formants, Hz
WIDTHS = (90.0, 110.0, 170.0)
LOUDNESS = (1.0, 0.5, 0.25)
MELODY = (0.94, 1.0, 1.07)  # a vowel is said at each of these pitches
PEAK = 9000  # of 32767
HUSH = 6  # of a line on which nobody speaks
LOWEST, HIGHEST = 85.0, 255.0  # Hz


@dataclass(frozen=True, slots=True)
class Voice:
    """How a person sounds: the pitch in Hz, and how much higher the formants are than an average man's."""

    pitch: float
    throat: float


def voice_of(person: str) -> Voice:
    """The voice of a person; every name has its own."""
    digest = blake2b(person.encode(), digest_size=8, person=b"ringfence voice").digest()
    pitch, throat = (int.from_bytes(part, "big") / 2**32 for part in (digest[:4], digest[4:]))
    return Voice(LOWEST * (HIGHEST / LOWEST) ** pitch, 0.9 + 0.3 * throat)


def length(seconds: int) -> int:
    """Bytes of a recording of this many seconds."""
    return HEADER + seconds * RATE * FRAME


def conversation(seed: str, seconds: int, *, kind: str, voice: str = "", agent: str = "") -> Iterator[bytes]:
    """A recording as WAV, a second at a time, the same for the same arguments. In a voicemail only the contact speaks.

    `voice` and `agent` name who speaks; where nobody is named, the voice belongs to the recording.
    """
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"a recording may have {LONGEST} seconds")
    yield header(seconds)
    digest = blake2b(seed.encode(), digest_size=8, person=b"ringfence talk").digest()
    chance = Random(int.from_bytes(digest, "big"))  # noqa: S311 - nothing to guess
    hush = array("h", (int((chance.random() - 0.5) * 2 * HUSH) for _ in range(RATE)))
    spoken = turns(chance, voice or f"{seed} contact", agent or f"{seed} agent", hush, alone=kind == "voicemail")
    channels = (array("h"), array("h"))
    for _ in range(seconds):
        while len(channels[0]) < RATE:
            speaker, sound = next(spoken)
            channels[speaker].extend(sound)
            channels[1 - speaker].extend(hush[: len(sound)])
        both = array("h", bytes(RATE * FRAME))
        for place, channel in enumerate(channels):
            both[place::2] = channel[:RATE]
            del channel[:RATE]
        if sys.byteorder == "big":
            both.byteswap()
        yield both.tobytes()


def header(seconds: int) -> bytes:
    """The first 44 bytes: RIFF, one format chunk of PCM, and the data chunk's length."""
    size = length(seconds) - HEADER
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, RATE, RATE * FRAME, FRAME, 16)
    return struct.pack("<4sI4s", b"RIFF", HEADER - 8 + size, b"WAVE") + form + struct.pack("<4sI", b"data", size)


def turns(
    chance: Random, contact: str, agent: str, hush: "array[int]", *, alone: bool
) -> Iterator[tuple[int, "array[int]"]]:
    """Who makes which sound, without end: channel and samples, none longer than a second."""
    mouths = [syllables(voice_of(name), chance) for name in ((contact,) if alone else (contact, agent))]
    speaker = len(mouths) - 1  # whoever answers speaks first
    while True:
        vowels, consonants = mouths[speaker]
        words = 3 + int(chance.random() * 9)
        for word in range(words):
            for _ in range(1 + int(chance.random() * 3)):
                if chance.random() < 0.4:
                    yield speaker, consonants[int(chance.random() * len(consonants))]
                # the melody falls towards the end of a turn
                tone = min(2, max(0, int(chance.random() * 3) - (word > words - 3)))
                yield speaker, vowels[int(chance.random() * len(VOWELS)) * len(MELODY) + tone]
            yield speaker, hush[: int(RATE * (0.03 + 0.12 * chance.random()))]
        yield speaker, hush[: int(RATE * (0.2 + 0.7 * chance.random()))]
        speaker = (speaker + 1) % len(mouths)


def syllables(voice: Voice, chance: Random) -> tuple[list["array[int]"], list["array[int]"]]:
    """What a mouth can say: each vowel at each pitch of the melody, and a few consonants."""
    today = voice.pitch * (0.985 + 0.03 * chance.random())  # nobody sounds quite the same every day
    vowels = []
    for formants in VOWELS:
        period = one_period(today, [f * voice.throat for f in formants])
        for tone in MELODY:
            count = int(RATE * (0.11 + 0.1 * chance.random()))
            step = PERIOD * today * tone / RATE
            swell = faded(count, int(0.02 * RATE), int(0.04 * RATE))
            vowels.append(array("h", (int(period[int(i * step) % PERIOD] * swell[i]) for i in range(count))))
    consonants = []
    for loud in (0.05, 0.1, 0.16):
        count = int(RATE * (0.03 + 0.05 * chance.random()))
        swell, before, samples = faded(count, count // 3, count // 2), 0.0, array("h")
        for i in range(count):
            now = chance.random() - 0.5
            samples.append(int((now - 0.7 * before) * 2 * PEAK * loud * swell[i]))
            before = now
        consonants.append(samples)
    return vowels, consonants


def one_period(pitch: float, formants: list[float]) -> list[float]:
    """One period of a vowel: harmonics of the pitch, louder near the formants, none above what 8 kHz can carry."""
    table = [0.0] * PERIOD
    for n in range(1, int(0.47 * RATE / (pitch * max(MELODY))) + 1):
        near = sum(
            loud / (1 + ((n * pitch - formant) / width) ** 2)
            for formant, width, loud in zip(formants, WIDTHS, LOUDNESS, strict=True)
        )
        strength = (near + 0.02) / n**0.5 + (0.25 if n == 1 else 0.0)
        table = [value + strength * SINE[(n * i) % PERIOD] for i, value in enumerate(table)]
    most = max(abs(value) for value in table)
    return [value * PEAK / most for value in table]


def faded(count: int, rise: int, fall: int) -> list[float]:
    """From nothing to full loudness and back, without a click."""
    up = [0.5 - 0.5 * math.cos(math.pi * i / rise) for i in range(rise)]
    down = [0.5 + 0.5 * math.cos(math.pi * i / fall) for i in range(fall)]
    return [*up, *([1.0] * (count - rise - fall)), *down]
