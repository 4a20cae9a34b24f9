"""A site of the public API for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.store import Store
from tests.api.support import Client, Site


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "gateway.db"
    store = Store.open(f"sqlite:///{file}")
    store.upgrade()
    store.close()
    return file


@pytest.fixture
def make_site(tmp_path: Path, template: Path) -> Iterator[Callable[..., Site]]:
    """Makes the test's one site, with these settings."""
    made: list[Site] = []

    def make(**settings: Any) -> Site:
        made.append(Site(tmp_path, template, **settings))
        return made[-1]

    yield make
    for site in made:
        site.gw.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture
def client(site: Site) -> Client:
    """A client with an admin's key."""
    return site.client()
