"""The API reference (placeholder while it is written)."""

from typing import Any

from ringfence.kernel.catalog import Api


def pages(apis: Any, version: str) -> Api:
    return Api(name="pages", title="Pages", about="", operations=())
