"""Scripts of SQL, statement by statement: `executescript` would commit the migration's transaction."""

from __future__ import annotations

from sqlite_utils import Database


def run(db: Database, *scripts: str) -> None:
    """Run scripts whose statements end with `;` at the end of a line."""
    for script in scripts:
        for statement in script.split(";\n"):
            if statement.strip():
                db.conn.execute(statement)
