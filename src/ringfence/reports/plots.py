"""Pictures as SVG: one file, without script or font of its own, for light and dark screens."""

import re
from collections.abc import Iterator
from html import escape

from .charts import ALL, Picture

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 640, 48, 16, 62, 30
HEIGHT = 150  # of the field of columns
BAR, NAMES = 24, 150  # height of a bar, width of its name
TICKS = 4
STYLE = (
    "svg{{--i:#1b2430;--s:#566272;--p:#fff;--l:#dfe4ea;{light}}}"
    "@media(prefers-color-scheme:dark){{svg{{--i:#e4e9ef;--s:#9ba8b7;--p:#171e26;--l:#2a343f;{dark}}}}}"
    "text{{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:var(--s)}}"
    ".t{{font-size:15px;font-weight:650;fill:var(--i)}}.e{{text-anchor:end}}.m{{text-anchor:middle}}.v{{fill:var(--i)}}"
    ".p{{fill:var(--p)}}.g{{stroke:var(--l)}}{series}"
)
UNKNOWN = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")
LIGHT = ("#0f766e", "#d98a1f", "#5b6ee1", "#c2417c", "#94a3b8")
DARK = ("#4fd1c0", "#f5b860", "#a3b0ff", "#f29ac0", "#64748b")


def svg(picture: Picture) -> str:
    """The whole file."""
    bars = picture.marks is None
    field = max(1, len(picture.labels)) * BAR if bars else HEIGHT
    top = TOP - 18 if bars or list(picture.series) == [ALL] else TOP
    height = top + field + BOTTOM
    lines = list(_bars(picture, top, field) if bars else _columns(picture, top))
    light, dark = (";".join(f"--{n}:{c}" for n, c in enumerate(colours)) for colours in (LIGHT, DARK))
    series = "".join(f".s{n}{{stroke:var(--{n})}}.f{n}{{fill:var(--{n})}}" for n in range(len(LIGHT)))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
            ' role="img" aria-labelledby="title about">',
            f'<title id="title">{clean(picture.title)}</title>',
            f'<desc id="about">{clean(told(picture))}</desc>',
            f"<style>{STYLE.format(light=light, dark=dark, series=series)}</style>",
            f'<rect class="p" width="{WIDTH}" height="{height}" rx="10"/>',
            f'<text class="t" x="16" y="26">{clean(picture.title)}</text>',
            f'<text class="e" x="{WIDTH - RIGHT}" y="26">{clean(picture.about)}</text>',
            *lines,
            "</svg>\n",
        ]
    )


def told(picture: Picture) -> str:
    """The figures in a sentence, for who does not see them."""
    if picture.marks is None:
        figures = dict(zip(picture.labels, picture.series[ALL], strict=True))
    else:
        figures = {name: sum(values) for name, values in picture.series.items()}
    named = ", ".join(f"{name} {shown(value)}" for name, value in figures.items())
    return f"{picture.about}; {picture.unit}: {named or 'none'}."


def _columns(picture: Picture, top: int) -> Iterator[str]:
    """Stacked columns over time."""
    count, base = len(picture.labels), top + HEIGHT
    width = (WIDTH - LEFT - RIGHT) / count
    step, most = scale(max(map(sum, zip(*picture.series.values(), strict=True))))
    for number in range(round(most / step) + 1):
        y = base - round(number * step / most * HEIGHT)
        yield f'<path class="g" d="M{LEFT} {y}.5H{WIDTH - RIGHT}"/>'
        yield f'<text class="e" x="{LEFT - 6}" y="{y + 4}">{shown(number * step)}</text>'
    yield f'<text x="{LEFT}" y="{top - 8}">{clean(picture.unit)}</text>'
    for number, mark in picture.marks or ():
        x = LEFT + width * number
        place = "m" if number and x < WIDTH - RIGHT - 20 else "e" if number else "b"
        yield f'<text class="{place}" x="{x:.0f}" y="{base + 18}">{clean(mark)}</text>'
    if list(picture.series) != [ALL]:
        yield from _legend(list(picture.series))
    below = [0.0] * count
    for order, values in enumerate(picture.series.values()):
        parts = []
        for number, value in enumerate(values):
            low = base - round(below[number] / most * HEIGHT)
            below[number] += value
            if (high := base - round(below[number] / most * HEIGHT)) < low:
                parts.append(f"M{LEFT + width * (number + 0.5):.0f} {low}V{high}")
        if parts:
            yield f'<path class="s{order}" stroke-width="{max(1, int(width * 0.78))}" d="{"".join(parts)}"/>'


def _legend(names: list[str]) -> Iterator[str]:
    x = 110.0
    for order, name in enumerate(names):
        name = short(name, 22)
        yield f'<rect class="f{order}" x="{x:.0f}" y="{TOP - 17}" width="10" height="10" rx="2"/>'
        yield f'<text x="{x + 14:.0f}" y="{TOP - 8}">{clean(name)}</text>'
        x += 32 + 6.2 * len(name) + 3 * sum(map(str.isupper, name))


def _bars(picture: Picture, top: int, field: int) -> Iterator[str]:
    """A bar for each category."""
    values = picture.series[ALL]
    step, most = scale(max(values, default=0))
    room = WIDTH - NAMES - 16 - 56
    for number in range(round(most / step) + 1):
        x = NAMES + round(number * step / most * room)
        yield f'<path class="g" d="M{x}.5 {top}V{top + field}"/>'
        yield f'<text class="m" x="{x}" y="{top + field + 18}">{shown(number * step)}</text>'
    yield f'<text class="e" x="{NAMES - 16}" y="{top + field + 18}">{clean(picture.unit)}</text>'
    for order, (name, value) in enumerate(zip(picture.labels, values, strict=True)):
        y, long = top + order * BAR, max(1, round(value / most * room))
        yield f'<text class="e" x="{NAMES - 8}" y="{y + 16}">{clean(short(name, 22))}</text>'
        yield f'<rect class="f0" x="{NAMES}" y="{y + 4}" width="{long}" height="{BAR - 8}" rx="2"/>'
        yield f'<text class="v" x="{NAMES + long + 6}" y="{y + 16}">{shown(value)}</text>'


def scale(most: float) -> tuple[float, float]:
    """The step of an axis and its end: round numbers."""
    if most <= 0:
        return 1.0, 1.0
    power = 10.0 ** len(str(int(most / TICKS))) / 10 if most >= TICKS else 0.1 if most < 1 else 1.0
    step = next(power * n for n in (1, 2, 2.5, 5, 10) if power * n * TICKS >= most and (n != 2.5 or power > 1))
    ticks = 1
    while step * ticks < most:
        ticks += 1
    return step, step * ticks


def shown(value: float) -> str:
    """`1,234`, `12.5`."""
    return f"{value:,.0f}" if value >= 100 or abs(value - round(value)) < 0.05 else f"{value:,.1f}"


def short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def clean(text: str) -> str:
    """As XML has it: nothing in it is markup, and no character that XML knows not."""
    return escape(UNKNOWN.sub(" ", text))
