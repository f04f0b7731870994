"""Pages for people: Jinja2 templates with everything escaped."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def environment() -> Environment:
    """The templates, read on first use."""
    return Environment(
        loader=PackageLoader("ringfence.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def draw(template: str, values: Mapping[str, Any]) -> str:
    return environment().get_template(template).render(values)
