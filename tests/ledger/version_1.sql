-- A ledger as version 1 of the schema left it: written by the program of that time, then dumped.
PRAGMA application_id = 1768254513;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE attempts (
            id TEXT PRIMARY KEY NOT NULL,
            edit_id TEXT NOT NULL,
            run_id TEXT NOT NULL,
            number INTEGER NOT NULL,
            fingerprint TEXT NOT NULL,
            status TEXT NOT NULL,
            started_at REAL NOT NULL,
            finished_at REAL,
            images INTEGER NOT NULL,
            reserved_usd REAL,
            cost_usd REAL,
            cost_source TEXT NOT NULL DEFAULT 'none',
            http_status INTEGER,
            inference_id TEXT,
            error_code TEXT,
            error_message TEXT
        ) STRICT;
INSERT INTO "attempts" VALUES('run-1.0','shoe-0','run-1',1,'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','succeeded',1769828400.0,1769828405.0,1,0.042,0.042,'none',NULL,NULL,NULL,NULL);
INSERT INTO "attempts" VALUES('run-1.1','shoe-1','run-1',1,'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','refused',1769828400.0,1769828405.0,1,0.042,0.042,'none',NULL,NULL,NULL,NULL);
INSERT INTO "attempts" VALUES('run-1.2','shoe-2','run-1',1,'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','failed',1769828400.0,1769828405.0,1,0.042,0.042,'none',NULL,NULL,NULL,NULL);
INSERT INTO "attempts" VALUES('run-1.9','shoe-9','run-1',1,'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','started',1769828400.0,NULL,1,0.042,NULL,'none',NULL,NULL,NULL,NULL);
CREATE TABLE columns (
            position INTEGER PRIMARY KEY NOT NULL,
            name TEXT UNIQUE NOT NULL,
            label TEXT NOT NULL
        ) STRICT;
INSERT INTO "columns" VALUES(1,'colour','colour');
INSERT INTO "columns" VALUES(2,'note','note');
INSERT INTO "columns" VALUES(3,'Decision','Decision');
CREATE TABLE edits (
            id TEXT PRIMARY KEY NOT NULL,
            status TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            prompt TEXT NOT NULL,
            model TEXT NOT NULL,
            parameters TEXT NOT NULL,
            variables TEXT NOT NULL,
            inputs TEXT NOT NULL,
            place TEXT NOT NULL,
            variant INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            cost_usd REAL,
            error_code TEXT,
            error_message TEXT,
            started_at REAL NOT NULL,
            finished_at REAL NOT NULL,
            run_id TEXT NOT NULL
        ) STRICT;
INSERT INTO "edits" VALUES('shoe-0','succeeded','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','Put the shoe on pure white.','google/gemini-2.5-flash-image-edit','{"num_images":1}','{"colour":"red","note":"row 0","Decision":"x"}','["images/shoe.jpg"]','shoes.csv:2',1,1,0.042,NULL,NULL,1769828400.0,1769828405.25,'run-1');
INSERT INTO "edits" VALUES('shoe-1','refused','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','Put the shoe on pure white.','google/gemini-2.5-flash-image-edit','{"num_images":1}','{"colour":"red","note":"row 1","Decision":"x"}','["images/shoe.jpg"]','shoes.csv:3',1,1,0.042,'refused','said so',1769828400.0,1769828405.25,'run-1');
INSERT INTO "edits" VALUES('shoe-2','failed','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','Put the shoe on pure white.','google/gemini-2.5-flash-image-edit','{"num_images":1}','{"colour":"red","note":"row 2","Decision":"x"}','["images/shoe.jpg"]','shoes.csv:4',1,1,0.042,'server_error','said so',1769828400.0,1769828405.25,'run-1');
CREATE TABLE images (
            edit_id TEXT NOT NULL,
            position INTEGER NOT NULL,
            path TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            size INTEGER NOT NULL,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            format TEXT NOT NULL,
            PRIMARY KEY (edit_id, position)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "images" VALUES('shoe-0',1,'images/shoe-0.png','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',1250000,1024,1024,'png');
CREATE TABLE inputs (
            path TEXT PRIMARY KEY NOT NULL,
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            digest TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;
INSERT INTO "inputs" VALUES('/in/shoe.jpg',10,20,'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd');
CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('note pace','slow');
INSERT INTO "meta" VALUES('origin','https://api.example.com');
CREATE TABLE runs (
            id TEXT PRIMARY KEY NOT NULL,
            started_at REAL NOT NULL,
            finished_at REAL,
            ended TEXT,
            exit_code INTEGER,
            pid INTEGER NOT NULL,
            host TEXT NOT NULL,
            version TEXT NOT NULL,
            job TEXT NOT NULL,
            totals TEXT NOT NULL DEFAULT '{}'
        ) STRICT;
INSERT INTO "runs" VALUES('run-1',1769828400.0,1769828460.0,'finished',3,4711,'studio','0.1.0','catalog-white','{"succeeded":1}');
CREATE INDEX attempts_by_edit ON attempts (edit_id);
CREATE INDEX attempts_by_start ON attempts (started_at);
CREATE INDEX attempts_unsettled ON attempts (status) WHERE status IN ('started', 'unknown');
CREATE VIEW results AS SELECT e.id AS id, e.status AS status, e.attempts AS attempts, e.prompt AS prompt, e.model AS model, (SELECT group_concat(path, ';') FROM (SELECT path FROM images WHERE edit_id = e.id ORDER BY position)) AS images, round(e.cost_usd, 9) AS cost_usd, e.error_code AS error_code, e.error_message AS error_message, round(e.finished_at - e.started_at, 3) AS duration_s, strftime('%Y-%m-%dT%H:%M:%fZ', e.started_at, 'unixepoch') AS started_at, strftime('%Y-%m-%dT%H:%M:%fZ', e.finished_at, 'unixepoch') AS finished_at, e.fingerprint AS fingerprint, e.run_id AS run_id, json_extract(e.variables, '$."colour"') AS "colour", json_extract(e.variables, '$."note"') AS "note", json_extract(e.variables, '$."Decision"') AS "Decision" FROM edits AS e;
COMMIT;
