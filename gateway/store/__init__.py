"""Where everything lasting is kept: SQLite by default, PostgreSQL at scale.

Queries are functions named by intention, in one module per thing:

| module | what |
| --- | --- |
| `credentials` `numbers` `agents` | who calls, from where |
| `calls` `attempts` `events` `steps` `actions` | what happens to a call |
| `sip_links` `operations` | numbers that stay with another carrier; long work over many numbers |
| `analyses` `tombstones` | what is known of a call beside it, and what a deleted one leaves behind |
| `api_keys` `rates` | who may use the public API, and how often |
| `endpoints` `outbox` | where events go to the outside, and the events |
| `webhooks` | webhooks seen before |
| `upkeep` | leases, words not in any table, small facts about this database |

Each takes a `Tx` first when it writes or locks, a `Reader` (a `Store` or a `Tx`) when it only reads, and returns models
or `gateway.store.rows`, never database rows. A `load_x(id)` raises `NotFound`; a `find_…` and a `…_by_…` return None,
because what they look for was said by somebody outside. Statements are built once, when the module is imported.
This package is the only one that imports SQLAlchemy.
"""

from __future__ import annotations

from gateway.store.engine import Reader, Store, Tx

__all__ = ["Reader", "Store", "Tx"]
