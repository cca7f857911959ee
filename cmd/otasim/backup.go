package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/leapslot/ota/simulator/server"
)

// newBackupCommand makes `otasim backup`.
func newBackupCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "backup --data DIR FILE",
		Short: "Copy everything into one file, while the cloud runs or not",
		Long: `Writes the data directory, as it is at one moment, into FILE as a tar archive; the
cloud may run on it and goes on working. FILE is there only when it is whole. It
holds every secret that the directory holds: keep it as you keep that. For the time
of the backup there must be room for the database once more beside FILE.

To restore it, extract it into a new directory and serve that.`,
		Example: `  otasim backup --data /var/lib/otasim /backup/ota.tar
  mkdir -m 700 restored && tar -xf /backup/ota.tar -C restored && otasim serve --data restored ...`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("backup takes one file to write (see %s --help)", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if data == "" {
				return usagef("--data is missing (see otasim backup --help)")
			}
			done, err := backup(cmd.Context(), data, args[0])
			if err != nil {
				return fmt.Errorf("backup: %w", err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "otasim: backup: %d files of packages, %d bytes in all\n", done.Files, done.Bytes)
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "directory of the cloud")
	return cmd
}

// backup writes the archive beside its place, and gives it its name when it is on the
// medium: a broken backup never looks like a backup, and the former one stays.
func backup(ctx context.Context, data, path string) (server.Backed, error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".otasim-backup-*.part")
	if err != nil {
		return server.Backed{}, err
	}
	defer os.Remove(f.Name()) // it has another name when all went well
	defer f.Close()
	done, err := server.Backup(ctx, data, dir, func() (io.Writer, error) {
		_, err := f.Seek(0, io.SeekStart)
		return f, errors.Join(err, f.Truncate(0))
	})
	if err != nil {
		return done, err
	}
	if err := f.Sync(); err != nil {
		return done, err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return done, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return done, err
	}
	defer d.Close()
	return done, d.Sync()
}
