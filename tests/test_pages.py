"""The pages for people: complete, in order, and safe with whatever people are called."""

import json
import re
import shlex
from html import escape, unescape
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, cast

import msgspec
import pytest

from ringfence.apis.all import APIS
from ringfence.kernel import problems
from ringfence.kernel.catalog import PUBLIC, Api, EventType, Operation, Scope, operation_name
from ringfence.kernel.ctx import Ctx
from ringfence.kernel.patch import Patch
from ringfence.kernel.problems import NO_SUCH_PATH, NOT_FOUND, Fault, Problem
from ringfence.kernel.shapes import IfMatch, Page, PageQuery, Shape, Sheet, Versioned, Wrapped
from ringfence.web.openapi import contract, problems_of
from ringfence.web.pages import draw
from ringfence.web.reference import STATIC, pages
from tests.conftest import Centre

HOSTILE = '<script>alert("1")</script>'
REAL = [api for api in APIS if api.operations]
PLACES = ["/docs", "/docs/errors", "/docs/event-types", *(f"/docs/{api.name}" for api in REAL)]

READ, WRITE = Scope("posts:read", f"See {HOSTILE}"), Scope("posts:write", "Set posts", via=("authorization_code",))
FULL = Problem("fence_full", 409, "No `post` fits any more.")


class Rail(Shape):
    length: Annotated[int, msgspec.Meta(ge=1, le=12_000)]


class NewPost(Shape):
    """Give `rails` from the left."""

    name: Annotated[str, msgspec.Meta(max_length=20)]
    note: Annotated[str, msgspec.Meta(pattern=r"^\S+$(?!\n)")] | None = None
    rails: list[Rail] = []
    example: ClassVar = {"name": "it's", "rails": [{"length": 3}]}


class Post(Shape):
    id: str
    name: str
    links: ClassVar = {"self": "/posts/{id}"}
    example: ClassVar = {"id": "p1", "name": HOSTILE}


class PostQuery(PageQuery):
    """`name` is matched exactly."""

    name: Annotated[str, msgspec.Meta(max_length=20)] | None = None


class PostFacts(Shape):
    post_id: str
    rails: list[Rail]


async def list_posts(ctx: Ctx, query: PostQuery) -> Page[Post]:
    """Find <b>posts</b>

    From left to right.
    """
    raise NotImplementedError


async def add_post(ctx: Ctx, body: NewPost) -> Versioned[Wrapped[Post]]:
    """Add a post"""
    raise NotImplementedError


async def change_post(ctx: Ctx, id: str, body: Patch[NewPost], if_match: IfMatch) -> Post:
    """Change a post"""
    raise NotImplementedError


async def drop_post(ctx: Ctx, id: str) -> None:
    """Drop a post"""


async def gate(ctx: Ctx) -> Post:
    """See the gate"""
    raise NotImplementedError


POSTS = Api(
    name="posts",
    title=f"Posts {HOSTILE}",
    about="Of the `fence`.",
    scopes=(READ, WRITE),
    events=(EventType("post.added", PostFacts, "A post was added"),),
    operations=(
        Operation("GET", "/posts", READ, list_posts),
        Operation("POST", "/posts", WRITE, add_post, status=201, problems=(FULL,)),
        Operation("PATCH", "/posts/{id}", WRITE, change_post, problems=(NOT_FOUND,)),
        Operation("DELETE", "/posts/{id}", WRITE, drop_post, status=204, problems=(NOT_FOUND,)),
        Operation("GET", "/gate", PUBLIC, gate),
    ),
)
SILENT = Api(name="silent", title="Nothing to see", about="Only events.", operations=())
HOUSE = SimpleNamespace(gateway_base="http://api.test", identity_base="http://login.test")


async def shown(path: str, **members: str) -> str:
    """A page of the reference of a small made-up catalogue."""
    found = {op.path: op for op in pages((POSTS, SILENT), "9.9").operations}
    sheet = await found[path].run(cast(Ctx, SimpleNamespace(house=HOUSE)), **members)
    assert isinstance(sheet, Sheet)
    return draw(sheet.template, sheet.values)


def words(page: str) -> str:
    """What a page says, without its marks."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def part(page: str, anchor: str) -> str:
    found: str = page.partition(f'<section id="{anchor}"')[2].partition("</section>")[0]
    assert found, f"nothing at #{anchor}"
    return found


def blocks(page: str) -> list[str]:
    return [unescape(text) for text in re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", page, re.DOTALL)]


def typed(command: str) -> list[str]:
    """The words of a command as the shell would take them."""
    return shlex.split(command.replace("\\\n", ""))


async def test_the_overview_leads_to_every_api_that_has_operations() -> None:
    page = await shown("/docs")
    assert 'href="/docs/posts"' in page
    assert "Nothing to see" not in page
    assert 'href="/docs/posts#patch-posts-id"' in page
    assert "only by authorization_code" in page
    script = blocks(page)[0]
    assert "http://login.test/oauth/token" in script
    assert "http://api.test/" in script


async def test_an_operation_shows_its_fence_and_all_it_takes() -> None:
    page = await shown("/docs/{api}", api="posts")
    found = words(part(page, "get-posts"))
    assert "GET /posts Required scope posts:read" in found
    assert "From left to right." in found
    assert "name is matched exactly." in found
    assert "per_page integer, in the query at least 1; at most 200; default 50" in found
    assert "name string, in the query at most 20 characters" in found
    assert "public No token is needed." in words(part(page, "get-gate"))
    assert "id required string, in the path" in words(part(page, "delete-posts-id"))
    assert "Answer 204 Nothing in the body." in words(part(page, "delete-posts-id"))


async def test_a_body_is_shown_down_to_its_inner_members() -> None:
    page = await shown("/docs/{api}", api="posts")
    found = words(part(page, "post-posts"))
    assert "Give rails from the left." in found
    assert "name required string at most 20 characters" in found
    assert r"note string matches ^\S+$ " in found  # and not what only machines read
    assert "rails list of Rail" in found
    assert "rails[].length required integer at least 1; at most 12,000" in found
    assert "409 fence_full No post fits any more." in found
    changed = words(part(page, "patch-posts-id").partition("<h3>Body")[2])
    assert "name string at most 20 characters" in changed  # a change need not name it again


async def test_examples_are_commands_and_answers_as_they_would_be() -> None:
    page = await shown("/docs/{api}", api="posts")
    made, answer = blocks(part(page, "post-posts"))
    command = typed(made)
    assert command[:3] == ["curl", "-X", "POST"]
    assert json.loads(command[command.index("-d") + 1]) == NewPost.example
    assert command[-1] == "http://api.test/posts"
    link = {"self": {"href": "http://api.test/posts/p1"}}
    assert json.loads(answer) == {"post": {"id": "p1", "name": HOSTILE, "_links": link}}
    change, _ = blocks(part(page, "patch-posts-id"))
    assert 'If-Match: "1"' in typed(change)
    assert typed(change)[-1] == "http://api.test/posts/$ID"
    _, listed = blocks(part(page, "get-posts"))
    assert json.loads(listed)["_embedded"]["posts"][0]["_links"] == link


async def test_an_unknown_api_is_not_found() -> None:
    with pytest.raises(Fault) as fault:
        await shown("/docs/{api}", api="silent")
    assert fault.value.problem is NO_SUCH_PATH


async def test_events_and_errors_are_all_told() -> None:
    events = words(await shown("/docs/event-types"))
    assert "post.added A post was added post_id string rails list of Rail rails[].length integer" in events
    errors = words(await shown("/docs/errors"))
    assert "409 fence_full" in errors
    for problem in vars(problems).values():
        if isinstance(problem, Problem):
            assert f"{problem.status} {problem.code} {problem.message}" in errors


@pytest.mark.parametrize("path", ["/docs", "/docs/{api}", "/docs/errors", "/docs/event-types"])
async def test_the_reference_escapes_what_it_is_told(path: str) -> None:
    page = await shown(path, **({"api": "posts"} if "{" in path else {}))
    assert "<script" not in page
    assert "<b>posts" not in page
    assert escape(HOSTILE) in page.replace("&#34;", "&quot;")


LOGIN: dict[str, Any] = {
    "client": HOSTILE, "account": HOSTILE, "email": f'">{HOSTILE}', "problem": HOSTILE, "query": f'a=1&b="{HOSTILE}',
    "proof": f'">{HOSTILE}',
}  # fmt: skip
CONSENT: dict[str, Any] = {
    "client": HOSTILE, "account": HOSTILE, "person": HOSTILE, "target": HOSTILE, "query": LOGIN["query"],
    "proof": LOGIN["proof"], "scopes": [{"name": f"{HOSTILE}:{new}", "title": HOSTILE, "new": new} for new in (0, 1)],
}  # fmt: skip
PROBLEM = dict.fromkeys(("title", "message", "code"), HOSTILE) | {"description": f"{HOSTILE}!"}


@pytest.mark.parametrize(
    "template, values", [("login.html", LOGIN), ("consent.html", CONSENT), ("problem.html", PROBLEM)]
)
def test_nothing_that_people_chose_is_taken_for_markup(template: str, values: dict[str, Any]) -> None:
    page = draw(template, values)
    assert "<script" not in page
    assert page.count("alert(&#34;1&#34;)") >= len(values)
    for name in {"query", "proof", "email"} & set(values):
        told = re.search(rf'name="{name}"[^>]* value="([^"]*)"', page)
        assert told is not None
        assert unescape(told[1]) == values[name]


def test_the_login_page_can_be_used_without_looking_at_it() -> None:
    page = draw("login.html", LOGIN | {"problem": "No.", "email": ""})
    for name, filled in (("email", "username"), ("password", "current-password")):
        assert f'<label for="{name}">' in page
        assert re.search(rf'<input id="{name}" [^>]*autocomplete="{filled}"[^>]*aria-describedby=problem', page)
    assert 'id="problem" role="alert"' in page
    quiet = draw("login.html", LOGIN | {"problem": ""})
    assert "role=" not in quiet
    assert "aria-describedby" not in quiet


def test_the_consent_page_marks_what_is_new_beside_what_was_allowed_before() -> None:
    def marks(*new: bool) -> list[bool]:
        scopes = [{"name": f"s{n}", "title": f"Do {n}", "new": one} for n, one in enumerate(new)]
        page = draw("consent.html", CONSENT | {"scopes": scopes})
        assert 'name="decision" value="allow"' in page
        assert 'name="decision" value="deny"' in page
        return ['class="new"' in line for line in page.splitlines() if "<li>" in line]

    assert marks(False, True) == [False, True]
    assert marks(False, False) == [False, False]
    assert marks(True, True) == [False, False]  # the first time all is new: nothing to tell apart


async def test_the_real_reference_shows_every_operation_with_its_scope_and_errors(centre: Centre) -> None:
    async with centre.http() as http:
        overview = words((await http.get("/docs")).text)
        for api in REAL:
            page = (await http.get(f"/docs/{api.name}")).text
            sections = page.split("<section ")[1:]
            assert len(sections) == len(api.operations)
            for op, section in zip(api.operations, sections, strict=True):
                fence = "public" if op.fence is PUBLIC else f"Required scope {cast(Scope, op.fence).name}"
                assert f"{operation_name(op)} {fence}" in words(section)
                for problem in problems_of(op):
                    assert f"{problem.status} {problem.code}" in words(section)
                if op.fence is not PUBLIC:
                    assert operation_name(op) in overview
            for scope in api.scopes:
                assert f"{scope.name} {scope.title}" in overview


async def test_every_page_is_whole_and_every_link_leads_somewhere(centre: Centre) -> None:
    async with centre.http() as http:
        told = {path: await http.get(path) for path in PLACES}
        for path, answer in told.items():
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert "style-src 'self'" in answer.headers["content-security-policy"]
            page = answer.text
            assert re.search(r"<script|<style|\sstyle=|\son\w+=", page) is None  # the policy would refuse them
            anchors = re.findall(r'\sid="([^"]+)"', page)
            assert len(anchors) == len(set(anchors))
            for target in re.findall(r'(?:href|src)="([^"]*)"', page):
                place, _, anchor = unescape(target).partition("#")
                there = told.get(place or path) or await http.get(place)
                assert there.status_code == 200, target
                assert not anchor or f' id="{anchor}"' in there.text, target
        assert (await http.get("/")).headers["location"] == "/docs"


async def test_every_example_request_is_a_command(centre: Centre) -> None:
    async with centre.http() as http:
        for api in REAL:
            for section in (await http.get(f"/docs/{api.name}")).text.split("<section ")[1:]:
                for command in [typed(text) for text in blocks(section) if text.startswith("curl")]:
                    assert command[-1].startswith("http://ringfence.test/")
                    assert "{" not in command[-1]
                    assert "-d" not in command or isinstance(json.loads(command[command.index("-d") + 1]), dict | list)


async def test_an_unknown_page_is_a_page_that_says_so(centre: Centre) -> None:
    async with centre.http() as http:
        answer = await http.get("/docs/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "no_such_path" in answer.text


async def test_the_contract_is_served(centre: Centre) -> None:
    async with centre.http() as http:
        answer = await http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    expected = json.loads(msgspec.json.encode(contract(APIS, document["info"]["version"])))
    assert document == expected


async def test_static_files_are_served_by_exact_name(centre: Centre) -> None:
    async with centre.http() as http:
        for name, media in (("ringfence.css", "text/css; charset=utf-8"), ("mark.svg", "image/svg+xml")):
            answer = await http.get(f"/static/{name}")
            assert answer.text == (STATIC / name).read_text("utf-8")
            assert answer.headers["content-type"] == media
            assert answer.headers["cache-control"] == "public, max-age=3600"
        for name in ("nothing.css", "..%2Freference.py", "%2e%2e", "RINGFENCE.CSS"):
            assert (await http.get(f"/static/{name}")).status_code == 404
    assert (STATIC / "ringfence.css").stat().st_size < 12 * 1024
