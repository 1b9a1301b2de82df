"""The tables of the journal in SQLite. A released statement is never changed: add another one behind it."""

from __future__ import annotations

MIGRATIONS = (
    # A number is never given twice: an owner that lost a deleted instance must not find another one under it.
    """
    CREATE TABLE instance (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        workflow TEXT NOT NULL,
        id TEXT NOT NULL,
        status TEXT NOT NULL,
        generation INTEGER NOT NULL DEFAULT 1,
        created_ms INTEGER NOT NULL,
        started_ms INTEGER,
        ended_ms INTEGER,
        modified_ms INTEGER NOT NULL,
        paused_ms INTEGER,
        ready_ms INTEGER,
        expires_ms INTEGER,
        success_retention_ms INTEGER NOT NULL,
        error_retention_ms INTEGER NOT NULL,
        owner TEXT,
        fence INTEGER NOT NULL DEFAULT 0,
        crash_count INTEGER NOT NULL DEFAULT 0,
        is_terminating INTEGER NOT NULL DEFAULT 0,
        parent INTEGER,
        is_cascading INTEGER NOT NULL DEFAULT 0,
        version TEXT NOT NULL,
        created_by TEXT NOT NULL,
        cron TEXT,
        fired_ms INTEGER,
        error_name TEXT,
        error_message TEXT,
        params BLOB NOT NULL,
        output BLOB,
        UNIQUE (workflow, id)
    )
    """,
    """
    CREATE INDEX instance_ready ON instance (workflow, status = 'queued', ready_ms)
        WHERE owner IS NULL AND ready_ms IS NOT NULL
    """,
    """
    CREATE INDEX instance_scheduled ON instance (workflow, status = 'queued', ready_ms)
        WHERE cron IS NOT NULL AND owner IS NULL AND ready_ms IS NOT NULL
    """,
    "CREATE INDEX instance_owned ON instance (owner, workflow) WHERE owner IS NOT NULL",
    "CREATE INDEX instance_expiring ON instance (expires_ms) WHERE expires_ms IS NOT NULL",
    "CREATE INDEX instance_child ON instance (parent) WHERE parent IS NOT NULL",
    "CREATE INDEX instance_listed ON instance (workflow, created_ms)",
    "CREATE INDEX instance_by_status ON instance (workflow, status, created_ms)",
    """
    CREATE TABLE step (
        instance INTEGER NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        count INTEGER NOT NULL,
        place INTEGER NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        is_nested INTEGER NOT NULL,
        due_ms INTEGER,
        event_type TEXT,
        error_name TEXT,
        error_message TEXT,
        result BLOB,
        UNIQUE (instance, kind, name, count)
    )
    """,
    """
    CREATE TABLE chunk (
        instance INTEGER NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        count INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        place INTEGER NOT NULL,
        content BLOB NOT NULL,
        PRIMARY KEY (instance, kind, name, count, attempt, place)
    )
    """,
    """
    CREATE TABLE inbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        instance INTEGER NOT NULL,
        type TEXT NOT NULL,
        sent_ms INTEGER NOT NULL,
        payload BLOB NOT NULL
    )
    """,
    "CREATE INDEX inbox_by_type ON inbox (instance, type, number)",
    # In order of writing, found by an index: kept by instance, a commit for 200 of them would write 200 pages.
    """
    CREATE TABLE history (
        instance INTEGER NOT NULL,
        number INTEGER NOT NULL,
        types TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        started_ms INTEGER,
        kind TEXT,
        name TEXT,
        count INTEGER,
        attempt INTEGER,
        told TEXT,
        UNIQUE (instance, number)
    )
    """,
    "CREATE TABLE owner (name TEXT PRIMARY KEY, alive_until_ms INTEGER NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE workflow (
        name TEXT PRIMARY KEY,
        class_name TEXT NOT NULL,
        script_name TEXT NOT NULL,
        version TEXT NOT NULL,
        steps_max INTEGER,
        concurrency_max INTEGER,
        success_retention_ms INTEGER,
        error_retention_ms INTEGER,
        schedules TEXT NOT NULL,
        manifest TEXT,
        created_ms INTEGER NOT NULL,
        modified_ms INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE version (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL,
        workflow TEXT NOT NULL,
        class_name TEXT NOT NULL,
        language TEXT NOT NULL,
        code_hash TEXT NOT NULL,
        manifest TEXT,
        graph TEXT,
        created_ms INTEGER NOT NULL,
        UNIQUE (workflow, id)
    )
    """,
    """
    CREATE TABLE fired (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        workflow TEXT NOT NULL,
        cron TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        UNIQUE (workflow, cron, at_ms)
    )
    """,
    """
    CREATE TABLE termination (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        workflow TEXT NOT NULL UNIQUE,
        statuses TEXT NOT NULL,
        newest INTEGER NOT NULL
    )
    """,
    # Why an instance is rolled back: kept from then on, until it is restarted.
    "ALTER TABLE instance ADD COLUMN undoing_name TEXT",
    "ALTER TABLE instance ADD COLUMN undoing_message TEXT",
    # Who ordered it.
    "ALTER TABLE termination ADD COLUMN terminator TEXT",
)
