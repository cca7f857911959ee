package store

import (
	"context"
	"database/sql"

	"github.com/leapslot/ota/simulator"
)

// Failure is how many tasks of a job failed with the same last step and reason.
type Failure struct {
	Step   int
	Reason string
	Tasks  int
}

// Ended is how many tasks of a job ended in a state within a span of time that begins
// at At.
type Ended struct {
	At     simulator.Stamp
	Status simulator.TaskStatus
	Tasks  int
}

// Sums counts the tasks of a job, for those who look at it. Safe for concurrent use,
// beside Commit too.
type Sums interface {
	Failures(ctx context.Context, job string, most int) ([]Failure, error)
	EndedTasks(ctx context.Context, job string, span int64) ([]Ended, error)
}

// Failures counts the failed tasks of a job by what they failed with, the most frequent
// first, at most most of them: devices give their reasons in words of their own.
func (s *SQLite) Failures(ctx context.Context, job string, most int) ([]Failure, error) {
	list, err := rows(ctx, s.read, func(r *sql.Rows, f *Failure) error { return r.Scan(&f.Step, &f.Reason, &f.Tasks) },
		"SELECT step, reason, count(*) FROM tasks WHERE job = ? AND status = 'FAILED' GROUP BY step, reason ORDER BY 3 DESC, 1, 2 LIMIT ?", job, most)
	return list, explain("counting failures", err)
}

// EndedTasks counts the tasks of a job that have ended, in spans of so many milliseconds,
// in the order of time.
func (s *SQLite) EndedTasks(ctx context.Context, job string, span int64) ([]Ended, error) {
	list, err := rows(ctx, s.read, func(r *sql.Rows, e *Ended) error { return r.Scan(&e.At, &e.Status, &e.Tasks) },
		"SELECT modified / ?1 * ?1, status, count(*) FROM tasks WHERE job = ?2 AND status IN ('SUCCEEDED', 'FAILED', 'CANCELED') GROUP BY 1, 2 ORDER BY 1, 2", span, job)
	return list, explain("counting ended tasks", err)
}

var _ Sums = (*SQLite)(nil)
