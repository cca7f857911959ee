package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"github.com/leapslot/ota/simulator"
)

// Bounds of the samples of versions. After SamplesWhole one of a day is kept, the last.
const (
	SamplesWhole = 7 * day          // milliseconds
	SamplesAge   = 2 * 365 * day    // milliseconds that one is kept at all
	MaxSampled   = 20               // versions of a module; the rest are counted together
	OtherVersion = ""               // what they are counted under
	day          = 24 * 3600 * 1000 // milliseconds
)

// Sample is how many devices of a product ran which version at a moment, and from then
// until the next one.
type Sample struct {
	At     simulator.Stamp
	Counts []simulator.VersionCount // by module, the most frequent first
}

// Samples are the statistics of versions over time. Safe for concurrent use, beside
// Commit too.
type Samples interface {
	AddSample(ctx context.Context, product string, s Sample) error
	Samples(ctx context.Context, product string, since simulator.Stamp) ([]Sample, error)
}

// AddSample keeps a sample, unless it says what the one before it says, and drops those
// that are too old or too many.
func (s *SQLite) AddSample(ctx context.Context, product string, sample Sample) error {
	counts := body(frequent(sample.Counts))
	conn, err := s.side.Conn(ctx)
	if err != nil {
		return explain("keeping a sample", err)
	}
	defer conn.Close()
	return explain("keeping a sample", transact(ctx, conn, func() error {
		var last string
		err := conn.QueryRowContext(ctx, "SELECT body FROM version_samples WHERE product = ? AND at <= ? ORDER BY at DESC LIMIT 1", product, sample.At).Scan(&last)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if last == counts || last == "" && len(sample.Counts) == 0 {
			return nil
		}
		if _, err := conn.ExecContext(ctx, "INSERT OR REPLACE INTO version_samples (product, at, body) VALUES (?, ?, ?)", product, sample.At, counts); err != nil {
			return err
		}
		return thinOut(ctx, conn, product, int64(sample.At))
	}))
}

func thinOut(ctx context.Context, conn *sql.Conn, product string, now int64) error {
	if _, err := conn.ExecContext(ctx, "DELETE FROM version_samples WHERE product = ? AND at < ?", product, now-SamplesAge); err != nil {
		return err
	}
	_, err := conn.ExecContext(ctx, `DELETE FROM version_samples WHERE product = ?1 AND at < ?2 AND at NOT IN
		(SELECT max(at) FROM version_samples WHERE product = ?1 AND at < ?2 GROUP BY at / ?3)`, product, now-SamplesWhole, int64(day))
	return err
}

// frequent keeps the versions of each module that most devices run, and counts the
// others together.
func frequent(all []simulator.VersionCount) []simulator.VersionCount {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b simulator.VersionCount) int {
		return cmp.Or(cmp.Compare(a.Module, b.Module), cmp.Compare(b.Devices, a.Devices), cmp.Compare(a.Version, b.Version))
	})
	out := []simulator.VersionCount{}
	n := 0 // of this module
	for _, c := range sorted {
		if len(out) == 0 || out[len(out)-1].Module != c.Module {
			n = 0
		}
		if n++; n <= MaxSampled {
			out = append(out, c)
			continue
		}
		if n == MaxSampled+1 {
			out = append(out, simulator.VersionCount{Module: c.Module, Version: OtherVersion})
		}
		out[len(out)-1].Devices += c.Devices
	}
	return out
}

// Samples gives the samples of a product in the order of time: those since a moment, and
// the one that held then.
func (s *SQLite) Samples(ctx context.Context, product string, since simulator.Stamp) ([]Sample, error) {
	list, err := rows(ctx, s.read, func(r *sql.Rows, out *Sample) error {
		var b []byte
		if err := r.Scan(&out.At, &b); err != nil {
			return err
		}
		return json.Unmarshal(b, &out.Counts)
	}, `SELECT at, body FROM version_samples WHERE product = ?1 AND at >= coalesce(
		(SELECT max(at) FROM version_samples WHERE product = ?1 AND at <= ?2), 0) ORDER BY at`, product, since)
	return list, explain("reading samples", err)
}

var _ Samples = (*SQLite)(nil)
