package store

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations[n] brings a database from user_version n to n+1. They are never changed
// once released, only added to. Values that nothing is selected by stand in a JSON
// body under their Go names.
func migrations() []string {
	return []string{`
CREATE TABLE sequence (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL);
INSERT INTO sequence VALUES (1, 0);
CREATE TABLE products (
	key TEXT PRIMARY KEY, account TEXT NOT NULL, created INTEGER NOT NULL, body TEXT NOT NULL, rev INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX products_account ON products (account, created);
CREATE TABLE modules (
	product TEXT NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL, body TEXT NOT NULL, rev INTEGER NOT NULL,
	PRIMARY KEY (product, name)
) WITHOUT ROWID;
CREATE TABLE devices (
	id INTEGER PRIMARY KEY, product TEXT NOT NULL, name TEXT NOT NULL, iot_id TEXT NOT NULL, secret TEXT NOT NULL,
	nickname TEXT NOT NULL, disabled INTEGER NOT NULL, versions TEXT NOT NULL,
	registered INTEGER NOT NULL, activated INTEGER NOT NULL, last_online INTEGER NOT NULL, rev INTEGER NOT NULL
);
CREATE UNIQUE INDEX devices_name ON devices (product, name);
CREATE INDEX devices_product ON devices (product, id);
CREATE INDEX devices_iot_id ON devices (iot_id);
CREATE TABLE packages (
	id TEXT PRIMARY KEY, account TEXT NOT NULL, product TEXT NOT NULL, module TEXT NOT NULL, version TEXT NOT NULL,
	body TEXT NOT NULL, rev INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE jobs (
	id TEXT PRIMARY KEY, account TEXT NOT NULL, product TEXT NOT NULL, package TEXT NOT NULL, status TEXT NOT NULL,
	body TEXT NOT NULL, rev INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX jobs_package ON jobs (package, id);
CREATE TABLE tasks (
	id TEXT PRIMARY KEY, job TEXT NOT NULL, package TEXT NOT NULL, product TEXT NOT NULL, device TEXT NOT NULL,
	module TEXT NOT NULL, source TEXT NOT NULL, version TEXT NOT NULL,
	status TEXT NOT NULL, phase INTEGER NOT NULL, attempt INTEGER NOT NULL, step INTEGER NOT NULL, reason TEXT NOT NULL,
	created INTEGER NOT NULL, modified INTEGER NOT NULL, notified_at INTEGER NOT NULL, begun_at INTEGER NOT NULL,
	retry_at INTEGER NOT NULL, rev INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tasks_job ON tasks (job, id);
CREATE INDEX tasks_status ON tasks (job, status, id);
CREATE INDEX tasks_device ON tasks (product, device, id);
CREATE INDEX tasks_active ON tasks (id) WHERE phase <> 0;
`, `
ALTER TABLE tasks ADD COLUMN first_begun INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN more TEXT NOT NULL DEFAULT '';
`, `
CREATE TABLE device_groups (
	id TEXT PRIMARY KEY, account TEXT NOT NULL, body TEXT NOT NULL, rev INTEGER NOT NULL
) WITHOUT ROWID;
`, `
CREATE TABLE seal (id INTEGER PRIMARY KEY CHECK (id = 1), proof TEXT NOT NULL);
CREATE TABLE access_keys (
	id TEXT PRIMARY KEY, account TEXT NOT NULL, role TEXT NOT NULL, secret TEXT NOT NULL, note TEXT NOT NULL, created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE audit (
	id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, key TEXT NOT NULL, action TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE INDEX audit_account ON audit (account, id);
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, body TEXT NOT NULL, at INTEGER NOT NULL);
`, `
CREATE TABLE users (
	name TEXT PRIMARY KEY, account TEXT NOT NULL, role TEXT NOT NULL, hash TEXT NOT NULL, created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tasks_failed ON tasks (job, step, reason) WHERE status = 'FAILED';
`, `
CREATE INDEX tasks_ended ON tasks (job, status, modified) WHERE status IN ('SUCCEEDED', 'FAILED', 'CANCELED');
`, `
CREATE TABLE version_samples (product TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (product, at)) WITHOUT ROWID;
`}
}

// migrate brings the database to the newest version, one step a transaction.
func migrate(ctx context.Context, db *sql.Conn) error {
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return explain("reading the database's version", err)
	}
	steps := migrations()
	if version > len(steps) {
		return fmt.Errorf("database has version %d, this program knows %d: %w", version, len(steps), ErrVersion)
	}
	for ; version < len(steps); version++ {
		err := transact(ctx, db, func() error {
			if _, err := db.ExecContext(ctx, steps[version]); err != nil {
				return err
			}
			_, err := db.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version+1))
			return err
		})
		if err != nil {
			return explain(fmt.Sprintf("bringing the database to version %d", version+1), err)
		}
	}
	return nil
}

// transact runs do in one transaction, which is whole or not there at all.
func transact(ctx context.Context, db *sql.Conn, do func() error) error {
	if _, err := db.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := do()
	if err == nil {
		if _, err = db.ExecContext(ctx, "COMMIT"); err == nil {
			return nil
		}
	}
	// SQLite may have rolled back on its own (disk full): then this one fails, and
	// there is nothing left to do.
	_, _ = db.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	return err
}
