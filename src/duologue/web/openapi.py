"""The room's JSON interface, described: OpenAPI 3.1, made from the pages and their types.

It describes; it reads no run.
"""

import re
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from duologue.web.answering import Page, Problem, json_path

_REF = "#/components/schemas/{name}"
_PLACE = re.compile(r"\{(\w+)(?::\w+)?\}")


async def description(_request: Request) -> Response:
    """The description, for whoever asks."""
    from duologue.web.pages import PAGES  # noqa: PLC0415 - the pages import nothing of this module

    return JSONResponse(describe(PAGES))


def describe(pages: tuple[Page, ...]) -> dict[str, Any]:
    """Every page with data, its parameters and what it answers."""
    described = [(page, page.data) for page in pages if page.data is not None]
    types = [*(data for _, data in described), Problem]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    paths = {
        _PLACE.sub(r"{\1}", json_path(page.path)): {"get": _operation(page, schema, schemas[-1])}
        for (page, _), schema in zip(described, schemas, strict=False)
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "duologue's reading room", "version": "1"},
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(page: Page, schema: dict[str, Any], problem: dict[str, Any]) -> dict[str, Any]:
    """One page's data."""
    inside = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PLACE.findall(page.path)
    ]
    asked = [
        {"name": each.name, "in": "query", "description": each.about, "schema": each.schema}
        for each in page.query
    ]
    return {
        "summary": page.about,
        "parameters": [*inside, *asked],
        "responses": {
            "200": _content("the page's data", schema),
            "400": _content("asked wrongly", problem),
            "404": _content("not there", problem),
            "500": _content("the record is damaged", problem),
        },
    }


def _content(about: str, schema: dict[str, Any]) -> dict[str, Any]:
    """An answer."""
    return {"description": about, "content": {"application/json": {"schema": schema}}}
