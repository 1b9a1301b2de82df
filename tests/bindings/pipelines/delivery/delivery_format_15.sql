-- delivery.sqlite3 as it was made at format 15, statement by statement: without accounts and without when a sink was made.
CREATE TABLE lease (fence INTEGER NOT NULL, holder TEXT NOT NULL);
INSERT INTO lease VALUES (0, '');
CREATE TABLE inserts (
    id TEXT PRIMARY KEY, pipeline_id TEXT NOT NULL, position INTEGER NOT NULL, stream_id TEXT NOT NULL,
    sink_id TEXT NOT NULL, epoch INTEGER NOT NULL, failure TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE progress (
    insert_id TEXT NOT NULL, partition INTEGER NOT NULL, started INTEGER NOT NULL, committed INTEGER NOT NULL,
    delivered INTEGER NOT NULL CHECK (delivered >= 0), filtered INTEGER NOT NULL CHECK (filtered >= 0),
    dead INTEGER NOT NULL CHECK (dead >= 0), lost INTEGER NOT NULL CHECK (lost >= 0),
    PRIMARY KEY (insert_id, partition),
    CHECK (committed - started = delivered + filtered + dead + lost)
) WITHOUT ROWID;
CREATE TABLE intents (insert_id TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (
    insert_id TEXT NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (insert_id, name)
) WITHOUT ROWID;
CREATE TABLE errors (
    insert_id TEXT NOT NULL, minute INTEGER NOT NULL, family TEXT NOT NULL, kind TEXT NOT NULL,
    count INTEGER NOT NULL, PRIMARY KEY (insert_id, minute, family, kind)
) WITHOUT ROWID;
CREATE TABLE dead (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stream_id TEXT NOT NULL, partition INTEGER NOT NULL,
    offset INTEGER NOT NULL, insert_id TEXT NOT NULL, family TEXT NOT NULL, kind TEXT NOT NULL, path TEXT NOT NULL,
    message TEXT NOT NULL, record BLOB NOT NULL, ingested_at REAL NOT NULL, died_at REAL NOT NULL,
    UNIQUE (stream_id, partition, offset, insert_id, kind)
);
CREATE INDEX dead_by_age ON dead (stream_id, id);
CREATE TABLE dead_sizes (
    stream_id TEXT PRIMARY KEY, count INTEGER NOT NULL, size_bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER dead_kept AFTER INSERT ON dead BEGIN
    INSERT INTO dead_sizes VALUES (new.stream_id, 1, length(new.record))
    ON CONFLICT DO UPDATE SET count = count + 1, size_bytes = size_bytes + excluded.size_bytes;
END;
CREATE TRIGGER dead_forgotten AFTER DELETE ON dead BEGIN
    UPDATE dead_sizes SET count = count - 1, size_bytes = size_bytes - length(old.record)
    WHERE stream_id = old.stream_id;
END;
CREATE TABLE minutes (
    insert_id TEXT NOT NULL, minute INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (insert_id, minute, name)
) WITHOUT ROWID;
CREATE TABLE intake (
    stream_id TEXT NOT NULL, partition INTEGER NOT NULL, at INTEGER NOT NULL, record_count INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL, PRIMARY KEY (stream_id, partition, at)
) WITHOUT ROWID;
CREATE TABLE retired (
    insert_id TEXT NOT NULL, partition INTEGER NOT NULL, committed INTEGER NOT NULL, epoch INTEGER NOT NULL,
    PRIMARY KEY (insert_id, partition)
) WITHOUT ROWID;
