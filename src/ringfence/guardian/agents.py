"""What a User-Agent header says of browser and system, as far as it can be read without a catalogue of them."""

import re

# the first that is found names it: browsers claim to be one another, so the most particular ones come first
BROWSERS = (
    ("Edge", r"Edg(?:e|A|iOS)?/([\d.]+)"),
    ("Opera", r"(?:OPR|Opera)/([\d.]+)"),
    ("Samsung Internet", r"SamsungBrowser/([\d.]+)"),
    ("Firefox", r"(?:Firefox|FxiOS)/([\d.]+)"),
    ("Chrome", r"(?:Chrome|CriOS|HeadlessChrome)/([\d.]+)"),
    ("Safari", r"Version/([\d.]+)[^)]*Safari/"),
)
SYSTEMS = (
    ("Windows", r"Windows NT ([\d.]+)"),
    ("iOS", r"(?:iPhone|iPad|CPU) (?:iPhone )?OS ([\d_]+)"),
    ("Android", r"Android ?([\d.]*)"),
    ("macOS", r"Mac OS X ([\d_.]+)"),
    ("ChromeOS", r"CrOS \S+ ([\d.]+)"),
    ("Linux", r"Linux()"),
)
WINDOWS = {"10.0": "10", "6.3": "8.1", "6.2": "8", "6.1": "7"}
LONGEST = 60  # characters of a version


def browser(header: str) -> str | None:
    """`Firefox 128.0`; of a program its first word (`curl 8.5.0`). None: nothing was sent."""
    for name, pattern in BROWSERS:
        if found := re.search(pattern, header):
            return f"{name} {found[1][:LONGEST]}".strip()
    product = re.match(r"([\w.-]{1,40})(?:/([\w.-]{1,40}))?", header, re.ASCII)
    return " ".join(part for part in product.groups() if part) if product else None


def system(header: str) -> str | None:
    """`Windows 10`, `macOS 14.5`. None: it does not say."""
    for name, pattern in SYSTEMS:
        if found := re.search(pattern, header):
            version = found[1].replace("_", ".")[:LONGEST]
            return f"{name} {WINDOWS.get(version, version) if name == 'Windows' else version}".strip()
    return None
