"""Voice prints: what is kept of how somebody sounds. A port, and a simple implementation of it.

The built-in one is for seeing that enrolment and removal act on something real, not for letting people in: how high a
voice is and how its energy is spread over the bands of a telephone line. Another engine is a class like it.
"""

import io
import math
import sys
import wave
from array import array
from collections.abc import Sequence
from operator import mul
from typing import Any, Protocol

FRAME = 0.05  # seconds that are looked at together
FRAMES = 120  # of them, the most
LAGS = 33  # of the autocorrelation, whose cosine transform is the spectrum
LOWEST, HIGHEST = 80.0, 270.0  # Hz of a voice
BANDS = 18  # from 150 to 3600 Hz, each wider than the one before
VOICED = 0.4  # of a frame's energy that comes again after one period
QUIET = 0.1  # of the loudest energy: what is below it is silence
FLOOR = 1e-4


class NoSpeech(Exception):
    """Nothing that could be heard; the message says why."""


class Sound:
    """One voice: samples of 16 bits, and how many there are in a second."""

    def __init__(self, samples: "array[int]", rate: int) -> None:
        self.samples, self.rate = samples, rate


class Engine(Protocol):
    """What makes prints. A print is plain numbers; it is sealed before it is kept."""

    name: str

    def listen(self, sounds: Sequence[Sound]) -> dict[str, Any]:
        """A print of one person. Raises NoSpeech. Takes a while: for a thread."""
        ...

    def distance(self, one: dict[str, Any], other: dict[str, Any]) -> float:
        """How different two voices are: 0 for the same."""
        ...


def left_of(content: bytes, seconds: int) -> Sound:
    """The left channel of the beginning of a WAV file, which may be cut off. Raises NoSpeech."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            if width != 2 or not 4000 <= rate <= 48_000:
                raise NoSpeech(f"{8 * width} bits, {rate} Hz")
            frames = file.readframes(min(file.getnframes(), seconds * rate))
    except (wave.Error, EOFError) as why:
        raise NoSpeech(f"not WAV: {why}") from why
    both = array("h", frames[: len(frames) // (2 * channels) * 2 * channels])
    if sys.byteorder == "big":
        both.byteswap()
    return Sound(both[::channels], rate)


class Bands:
    """The built-in engine: pitch, and energy by bands, in decibels."""

    name = "bands-1"

    def listen(self, sounds: Sequence[Sound]) -> dict[str, Any]:
        pitches: list[float] = []
        spectrum = [0.0] * BANDS
        for samples, rate in _loud(sounds):
            energy = [sum(map(mul, samples, samples[lag:])) for lag in range(LAGS)]
            lags = range(int(rate / HIGHEST), int(rate / LOWEST) + 1)
            again = [sum(map(mul, samples, samples[lag:])) / energy[0] for lag in lags]
            best = max(range(len(again)), key=again.__getitem__)
            if again[best] < VOICED:
                continue
            pitches.append(rate / lags[best])
            for band, hertz in enumerate(_centres()):
                spectrum[band] += _power([value / energy[0] for value in energy], hertz, rate)
        if not pitches:
            raise NoSpeech("nobody speaks")
        levels = [10 * math.log10(max(value / len(pitches), FLOOR)) for value in spectrum]
        middle = sum(levels) / BANDS
        return {
            "pitch": round(sorted(pitches)[len(pitches) // 2], 2),
            "bands": [round(level - middle, 3) for level in levels],
            "frames": len(pitches),
        }

    def distance(self, one: dict[str, Any], other: dict[str, Any]) -> float:
        """An octave of pitch counts as much as 12 decibels in every band."""
        apart = [(a - b) ** 2 for a, b in zip(one["bands"], other["bands"], strict=True)]
        octaves: float = math.log2(one["pitch"] / other["pitch"])
        return math.sqrt(sum(apart) / len(apart) + (12 * octaves) ** 2)


def _centres() -> list[float]:
    return [float(150.0 * (3600 / 150) ** (band / (BANDS - 1))) for band in range(BANDS)]


def _loud(sounds: Sequence[Sound]) -> "list[tuple[array[int], int]]":
    """Frames in which somebody speaks, spread over all that there is."""
    found = []
    for sound in sounds:
        size = int(FRAME * sound.rate)
        pieces = [sound.samples[at : at + size] for at in range(0, len(sound.samples) - size + 1, size)]
        found += [(sum(map(mul, piece, piece)) / size, piece, sound.rate) for piece in pieces]
    least = QUIET * max((energy for energy, _, _ in found), default=0.0)
    spoken = [(piece, rate) for energy, piece, rate in found if energy > max(least, 1000.0)]
    return spoken[:: max(1, math.ceil(len(spoken) / FRAMES))]


def _power(lags: list[float], hertz: float, rate: int) -> float:
    """Power at a frequency: the cosine transform of the autocorrelation under a Hann window."""
    turn = 2 * math.pi * hertz / rate
    return lags[0] + 2 * sum(
        (0.5 + 0.5 * math.cos(math.pi * n / LAGS)) * lags[n] * math.cos(turn * n) for n in range(1, LAGS)
    )


ENGINE: Engine = Bands()
