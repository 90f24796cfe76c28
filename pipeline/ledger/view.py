"""The view `results`: one row per edit, the manifest's own columns at the end.

Those columns are not known when the ledger is made. Each record brings its variables as JSON; a
name that is new gets a row in `columns`, and the view is made again in the same transaction.
"""

# ruff: noqa: S608 - names from manifests are quoted, everything else is from this file

import sqlite3
from collections.abc import Collection, Iterable

FIXED = (
    "id",
    "status",
    "attempts",
    "prompt",
    "model",
    "images",
    "cost_usd",
    "error_code",
    "error_message",
    "duration_s",
    "started_at",
    "finished_at",
    "fingerprint",
    "run_id",
    "variant",
    "decision",
    "note",
    "finished",
    "checks",
)
"""The columns that are always there, in this order."""

LONGEST_LABEL = 200

_EXPRESSIONS = {
    "images": (
        "(SELECT group_concat(path, ';') FROM "
        "(SELECT path FROM images WHERE edit_id = e.id ORDER BY position))"
    ),
    "cost_usd": "round(e.cost_usd, 9)",  # sums of cents: 0.126, not 0.12600000000000003
    "duration_s": "round(e.finished_at - e.started_at, 3)",
    "started_at": "strftime('%Y-%m-%dT%H:%M:%fZ', e.started_at, 'unixepoch')",
    "finished_at": "strftime('%Y-%m-%dT%H:%M:%fZ', e.finished_at, 'unixepoch')",
    # Not a join: with one, SQLite would make the whole view before it gives the first row.
    "decision": "(SELECT decision FROM decisions WHERE edit_id = e.id)",
    "note": "(SELECT nullif(note, '') FROM decisions WHERE edit_id = e.id)",
    # Only while its picture is the record's own: one that was set aside leaves its row behind.
    "finished": (
        "(SELECT group_concat(path, ';') FROM (SELECT f.path FROM finished AS f "
        "JOIN images AS i ON i.edit_id = f.edit_id AND i.position = f.position "
        "AND i.sha256 = f.source_sha256 WHERE f.edit_id = e.id ORDER BY f.position))"
    ),
    "checks": (
        "(SELECT group_concat(name, ';') FROM "
        "(SELECT DISTINCT name FROM checks WHERE edit_id = e.id AND NOT passed ORDER BY name))"
    ),
}


def label_for(name: str, taken: Collection[str]) -> str:
    """The view's column for a manifest column, unlike any that is there.

    ``taken``: labels in lower case, because SQLite ignores case.
    """
    plain = name[:LONGEST_LABEL].strip() or "column"
    wanted = label = f"row_{plain}" if plain.lower() in FIXED else plain
    count = 1
    while label.lower() in taken:
        count += 1
        label = f"{wanted}_{count}"
    return label


def known_columns(connection: sqlite3.Connection) -> dict[str, str]:
    """Manifest columns by name, with their labels, in the order of their first appearance."""
    rows = connection.execute("SELECT name, label FROM columns ORDER BY position")
    return dict(rows.fetchall())


def add_columns(
    connection: sqlite3.Connection, known: dict[str, str], names: Iterable[str]
) -> dict[str, str]:
    """`known` and the new ones among `names`. Call inside a transaction.

    Where SQLite's limit of columns is reached (2,000 unless it was built otherwise), further names
    get none: their values stay in `edits.variables`, and nothing that was paid for fails.
    """
    columns = dict(known)
    taken = {label.lower() for label in columns.values()}
    room = connection.getlimit(sqlite3.SQLITE_LIMIT_COLUMN) - len(FIXED)
    for name in names:
        if name in columns or len(columns) >= room:
            continue
        label = label_for(name, taken)
        taken.add(label.lower())
        connection.execute("INSERT INTO columns (name, label) VALUES (?, ?)", (name, label))
        columns[name] = label
    return columns


def make_view(connection: sqlite3.Connection, columns: dict[str, str]) -> None:
    """Makes the view anew, unless it is like that already. Call inside a transaction."""
    statement = view_statement(columns)
    row = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'results'").fetchone()
    if row != (statement,):
        connection.execute("DROP VIEW IF EXISTS results")
        connection.execute(statement)


def view_statement(columns: dict[str, str]) -> str:
    """The text of the view."""
    fixed = [f"{_EXPRESSIONS.get(name, f'e.{name}')} AS {name}" for name in FIXED]
    extra = [f"{_value(name)} AS {_identifier(label)}" for name, label in columns.items()]
    return f"CREATE VIEW results AS SELECT {', '.join(fixed + extra)} FROM edits AS e"


def _value(name: str) -> str:
    if name.isprintable() and not set(name) & {'"', "\\"}:
        return "json_extract(e.variables, " + _literal('$."' + name + '"') + ")"
    # A path cannot spell every name, and how much it can differs between SQLite's versions.
    return f"(SELECT value FROM json_each(e.variables) WHERE key = {_literal(name)})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
