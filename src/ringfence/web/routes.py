"""Finding an operation's endpoint by path: a dictionary for fixed paths, a small tree for those with members."""

from typing import Any

from .reading import decoded


class Node:
    """One level of the tree: what comes next literally, or as a named member."""

    __slots__ = ("endpoints", "fixed", "member", "name")

    def __init__(self) -> None:
        self.fixed: dict[str, Node] = {}
        self.member: Node | None = None
        self.name = ""
        self.endpoints: dict[str, Any] = {}


class Routes:
    """METHOD PATH to endpoint. A literal segment wins over a member (`/users/me` over `/users/{user_id}`)."""

    def __init__(self) -> None:
        self._root = Node()
        self._whole: dict[str, dict[str, Any]] = {}

    def add(self, method: str, path: str, endpoint: Any) -> None:
        node = self._root
        for part in path.strip("/").split("/") if path != "/" else []:
            if part.startswith("{"):
                name = part.strip("{}")
                node.member = node.member or Node()
                if node.member.name not in ("", name):
                    raise ValueError(f"{path}: this member is called {node.member.name} elsewhere")
                node.member.name = name
                node = node.member
            else:
                node = node.fixed.setdefault(part, Node())
        if method in node.endpoints:
            raise ValueError(f"{method} {path} is declared twice")
        node.endpoints[method] = endpoint
        if "{" not in path:
            self._whole[path] = node.endpoints

    def find(self, path: str) -> tuple[dict[str, Any], dict[str, str]] | None:
        """The endpoints at a raw (percent-encoded) path by method, and the members of the path."""
        whole = self._whole.get(path)
        if whole is not None:
            return whole, {}
        members: dict[str, str] = {}
        parts = path[1:].split("/")
        node: Node | None = self._root
        for part in parts:  # nearly always the first way down is the right one
            below = node.fixed.get(part) if node else None
            if below is None and node is not None and node.member is not None and part:
                below = node.member
                members[below.name] = decoded(part) if "%" in part else part
            node = below
        if node is None or not node.endpoints:
            members.clear()
            node = self._seek(self._root, parts, 0, members)
        return (node.endpoints, members) if node is not None and node.endpoints else None

    def _seek(self, node: Node, parts: list[str], index: int, members: dict[str, str]) -> Node | None:
        if index == len(parts):
            return node if node.endpoints else None
        part = parts[index]
        fixed = node.fixed.get(part)
        if fixed is not None:
            found = self._seek(fixed, parts, index + 1, members)
            if found is not None:
                return found
        if node.member is not None and part:
            found = self._seek(node.member, parts, index + 1, members)
            if found is not None:
                members[node.member.name] = decoded(part) if "%" in part else part
                return found
        return None
