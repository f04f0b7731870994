"""Finding what there is on a running server as a stranger would: by its contract, its examples and its links."""

import re
import time
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx2 as httpx

Members = dict[str, str]
ROUNDS = 3
PAUSE = 1.0  # seconds, for what is done a moment later
MANY = 6  # of one kind that are enough
PARAMETER = re.compile(r"{(\w+)}")
ALIKE = {"call_id": ("interaction_id",), "interaction_id": ("call_id",)}
TOGETHER = {  # members of a path that mean something else in another
    "/live-subscriptions/{subscription_id}": "live",
    "/events/subscriptions/{subscription_id}": "events",
}


class Walk:
    """What was found: for each path of the contract, members that lead to something."""

    def __init__(self, http: httpx.Client, document: dict[str, Any]) -> None:
        self.http, self.document = http, document
        self.found: dict[str, list[Members]] = {path: [] for path in document["paths"]}
        self._seen: set[str] = set()
        self._exact = [(path, re.compile(PARAMETER.sub(r"(?P<\1>[^/]+)", path) + r"\Z")) for path in self.found]
        self._exact.sort(key=lambda one: one[0].count("{"))

    def add(self, path: str, members: Members) -> None:
        held = self.found[path]
        if members not in held and len(held) < MANY:
            held.append(members)

    def walk(self) -> None:
        """Look around, send every example, and look again, some times over."""
        for number in range(ROUNDS):
            time.sleep(PAUSE * number)
            self.look_around()
            for path, operations in self.document["paths"].items() if number < ROUNDS - 1 else ():
                for method in ("post", "put"):
                    if method in operations:
                        self._send(method, path, operations[method])

    def look_around(self) -> None:
        """Get whatever can be got, and follow its links."""
        for path, operations in self.document["paths"].items():
            if "get" in operations and not streams(operations["get"]):
                for url in self._urls(path):
                    self._look(url)
        self._spread()

    def _urls(self, path: str) -> list[str]:
        if "{" not in path:
            return [path]
        return [_filled(path, members) for members in self.found[path]]

    def _look(self, url: str) -> None:
        try:
            answer = self.http.get(url)
        except httpx.TimeoutException as why:
            raise AssertionError(f"GET {url} was not answered") from why
        if "json" in answer.headers.get("content-type", ""):
            body = answer.json()
            self._read(body)
            held = body.get("_embedded", {}) if isinstance(body, dict) else {}
            for items in held.values() if isinstance(held, dict) else [held]:
                for one in items if isinstance(items, list) else ():
                    if isinstance(one, dict) and isinstance(one.get("id"), str):
                        self._link(f"{urlsplit(url).path}/{one['id']}")

    def _send(self, method: str, path: str, operation: dict[str, Any]) -> None:
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" not in content or path.startswith("/oauth"):
            return
        for url in self._urls(path)[:2]:
            if f"{method} {url}" not in self._seen:
                self._seen.add(f"{method} {url}")
                answer = self.http.request(method.upper(), url, json=content["example"])
                if answer.status_code < 400 and "json" in answer.headers.get("content-type", ""):
                    self._read(answer.json())
                    own = answer.json().get("id") if isinstance(answer.json(), dict) else None
                    if isinstance(own, str):
                        self._link(f"{url}/{own}")

    def _read(self, body: Any) -> None:
        if isinstance(body, list):
            for one in body:
                self._read(one)
        elif isinstance(body, dict):
            if isinstance(href := body.get("href"), str):
                self._link(href)
            for one in body.values():
                if isinstance(one, dict | list):
                    self._read(one)

    def _link(self, href: str) -> None:
        path = urlsplit(href).path
        for template, exact in self._exact:
            if match := exact.match(path):
                if "{" in template:
                    self.add(template, {name: unquote(value) for name, value in match.groupdict().items()})
                return

    def _spread(self) -> None:
        """Members that lead to one thing lead to what is below it, and to what else is named alike."""
        known = [(path, members) for path, held in list(self.found.items()) for members in held]
        for path in self.found:
            wanted = set(PARAMETER.findall(path))
            if not wanted or len(self.found[path]) >= MANY:
                continue
            for source, members in known:
                more = {other: value for name, value in members.items() for other in ALIKE.get(name, ())} | members
                alike = path.startswith(source) or not wanted & {"id", "type", "name"}
                if wanted <= more.keys() and alike and _kind(source) == _kind(path):
                    self.add(path, {name: more[name] for name in wanted})


def _kind(path: str) -> str:
    return next((kind for begin, kind in TOGETHER.items() if path.startswith(begin)), "")


def _filled(path: str, members: Members) -> str:
    return PARAMETER.sub(lambda match: quote(members[match[1]], safe=""), path)


def streams(operation: dict[str, Any]) -> bool:
    return "text/event-stream" in str(operation["responses"])
