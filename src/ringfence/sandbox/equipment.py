"""What agents of a simulated centre work with: a browser and a softphone on a computer in the office."""

from ringfence.floor.inbox import Phone

OFFICE = "198.51.100."  # declared in demo.toml
SYSTEMS = ("Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "Macintosh; Intel Mac OS X 10_15_7")
BROWSERS = (  # one for each system
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5"
    " Safari/605.1.15",
)
SOFTPHONES = ("4.2.1", "4.2.1", "4.2.1", "4.1.0")  # not everybody has the last version


def address(number: int) -> str:
    """Of the computer of the agent with a number."""
    return f"{OFFICE}{10 + number % 200}"


def browser(number: int) -> str:
    return BROWSERS[number % len(BROWSERS)]


def softphone(number: int) -> Phone:
    version = SOFTPHONES[number % len(SOFTPHONES)]
    return Phone(address(number), f"Softphone/{version} ({SYSTEMS[number % len(SYSTEMS)]})")
