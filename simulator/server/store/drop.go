package store

import (
	"context"
	"fmt"

	"github.com/leapslot/ota/simulator"
)

// drops are the statements that delete a value of a kind. Its key is ?1, and its name
// ?2 where it has one. A value that is not there was made and deleted in one batch.
func drops() map[simulator.Kind][]string {
	return map[simulator.Kind][]string{
		simulator.KindProduct: {"DELETE FROM products WHERE key = ?1", "DELETE FROM version_samples WHERE product = ?1"},
		simulator.KindModule:  {"DELETE FROM modules WHERE product = ?1 AND name = ?2"},
		simulator.KindDevice:  {"DELETE FROM devices WHERE product = ?1 AND name = ?2"},
		simulator.KindGroup:   {"DELETE FROM device_groups WHERE id = ?1"},
		simulator.KindPackage: {"DELETE FROM packages WHERE id = ?1"},
		simulator.KindJob:     {"DELETE FROM tasks WHERE job = ?1", "DELETE FROM jobs WHERE id = ?1"},
	}
}

// drop deletes what is gone. It is done before anything is put: a device that was
// deleted may have been registered again in the same batch.
func (s *SQLite) drop(ctx context.Context, gone []simulator.Gone) error {
	if len(gone) == 0 {
		return nil
	}
	byKind := drops()
	for _, g := range gone {
		queries, ok := byKind[g.Kind]
		if !ok {
			return fmt.Errorf("a %q cannot be deleted", g.Kind)
		}
		for _, q := range queries {
			args := []any{g.Key}
			if g.Name != "" {
				args = append(args, g.Name)
			}
			if _, err := s.conn.ExecContext(ctx, q, args...); err != nil {
				return fmt.Errorf("deleting the %s %s %s: %w", g.Kind, g.Key, g.Name, err)
			}
		}
	}
	return nil
}

func (s *SQLite) putGroups(ctx context.Context, groups []simulator.Group) error {
	for i := range groups {
		g := &groups[i]
		if err := s.stmts.groups.put(ctx, g.Revision, "group "+g.ID, 4, g.Account, body(g), g.Revision, g.ID); err != nil {
			return err
		}
	}
	return nil
}
