"""The tables of a gallery file, as the steps that lead from an empty file to the newest layout.

A new layout is a new step at the end, never a change of an old one: files of every age go through the same steps.
"""

from __future__ import annotations

AUDIT_IS_APPEND_ONLY = (
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append only'); END",
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append only'); END",
)


def _moved(table: str, columns: str) -> tuple[str, ...]:
    """Statements that move rows from ``table`` into ``table``_2 with their numbering (numbers are never used again)."""
    return (
        f"INSERT INTO {table}_2 ({columns}) SELECT {columns} FROM {table}",  # noqa: S608
        f"DELETE FROM sqlite_sequence WHERE name = '{table}_2'",  # noqa: S608
        f"INSERT INTO sqlite_sequence (name, seq) SELECT '{table}_2', seq FROM sqlite_sequence WHERE name = '{table}'",  # noqa: S608
    )


_FIRST = (
    """CREATE TABLE identities (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
        enrolled_ns INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE templates (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        identity_id INTEGER NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
        fingerprint TEXT NOT NULL,
        parts INTEGER NOT NULL,
        dimensions INTEGER NOT NULL,
        embedding BLOB NOT NULL CHECK (length(embedding) = parts * dimensions * 4),
        checksum INTEGER NOT NULL,
        samples INTEGER NOT NULL,
        modalities INTEGER NOT NULL,
        median_range_m REAL NOT NULL,
        created_ns INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX templates_by_identity ON templates (identity_id)",
    "CREATE INDEX templates_by_fingerprint ON templates (fingerprint)",
    """CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ns INTEGER NOT NULL,
        action TEXT NOT NULL CHECK (action IN ('enroll', 'remove', 'rename', 'merge')),
        identity_id INTEGER NOT NULL,
        other_identity_id INTEGER,
        name TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT""",
    *AUDIT_IS_APPEND_ONLY,
)

# Room for encrypted names and templates, disabled people, quality reports, calibrations and undoing.
SECOND_TABLES = (
    """CREATE TABLE identities_2 (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 1024),
        enrolled_ns INTEGER NOT NULL,
        disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1))
    ) STRICT""",
    """CREATE TABLE templates_2 (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        identity_id INTEGER NOT NULL REFERENCES identities_2 (id) ON DELETE CASCADE,
        fingerprint TEXT NOT NULL,
        parts INTEGER NOT NULL,
        dimensions INTEGER NOT NULL,
        embedding BLOB NOT NULL CHECK (length(embedding) - parts * dimensions * 4 IN (0, 28)),
        checksum INTEGER NOT NULL,
        samples INTEGER NOT NULL,
        modalities INTEGER NOT NULL,
        median_range_m REAL NOT NULL,
        created_ns INTEGER NOT NULL,
        quality TEXT NOT NULL DEFAULT ''
    ) STRICT""",
    """CREATE TABLE audit_2 (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ns INTEGER NOT NULL,
        action TEXT NOT NULL,
        identity_id INTEGER NOT NULL,
        other_identity_id INTEGER,
        name TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT""",
    "CREATE TABLE properties (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    """CREATE TABLE calibrations (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        fingerprint TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        content TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE undo (
        change INTEGER PRIMARY KEY,
        content TEXT NOT NULL
    ) STRICT""",
)
"""Tables of the second layout; three of them replace those of the first, and get their names then."""

_SECOND = (
    *SECOND_TABLES,
    *_moved("identities", "id, name, enrolled_ns"),
    *_moved(
        "templates",
        "id, identity_id, fingerprint, parts, dimensions, embedding, checksum, samples, modalities, median_range_m, created_ns",
    ),
    *_moved("audit", "id, at_ns, action, identity_id, other_identity_id, name, detail"),
    "DROP TABLE templates",
    "DROP TABLE identities",
    "DROP TABLE audit",
    "ALTER TABLE identities_2 RENAME TO identities",
    "ALTER TABLE templates_2 RENAME TO templates",
    "ALTER TABLE audit_2 RENAME TO audit",
    "CREATE INDEX templates_by_identity ON templates (identity_id)",
    "CREATE INDEX templates_by_fingerprint ON templates (fingerprint)",
    *AUDIT_IS_APPEND_ONLY,
)

# Samples of enrolled walks, kept when that was asked for; those of one enrolment share ``created_ns`` with its templates.
WALK_TABLE = """CREATE TABLE saved_walks (
        created_ns INTEGER PRIMARY KEY,
        content BLOB NOT NULL
    ) STRICT"""
_THIRD = (WALK_TABLE, "CREATE INDEX templates_by_time ON templates (created_ns)")

# Changes that were one, as an import is, are taken back together: ``started`` is the first one's number.
UNDO_GROUPS = (
    "ALTER TABLE undo ADD COLUMN started INTEGER NOT NULL DEFAULT 0",
    "UPDATE undo SET started = change",
)

# A name is sealed on its person; expired people are kept hidden for some days before they are deleted.
EXPIRY_COLUMNS = (
    "ALTER TABLE identities ADD COLUMN seal TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE identities ADD COLUMN expired_ns INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE identities ADD COLUMN kept_ns INTEGER NOT NULL DEFAULT 0",
)

STEPS: tuple[tuple[str, ...], ...] = (_FIRST, _SECOND, _THIRD, UNDO_GROUPS, EXPIRY_COLUMNS)

TABLES = {
    "identities": "id, name, enrolled_ns, disabled, seal, expired_ns, kept_ns",
    "templates": "id, identity_id, fingerprint, parts, dimensions, embedding, checksum, samples, modalities, median_range_m,"
    " created_ns, quality",
    "audit": "id, at_ns, action, identity_id, other_identity_id, name, detail",
    "properties": "name, value",
    "calibrations": "id, fingerprint, created_ns, content",
    "undo": "change, content, started",
    "saved_walks": "created_ns, content",
}
"""All tables of the newest layout with their columns, in an order in which they can be filled."""
