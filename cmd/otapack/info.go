package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/leapslot/ota/diff"
	"github.com/leapslot/ota/verify"
	"github.com/spf13/cobra"
)

func (e *env) infoCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "info FILE",
		Short: "Say what is in a patch, a manifest, a bundle, a key list or a key",
		Long: `Says what is in a file, which it tells by the content.

A patch: from its header and its records. The data itself is not looked at: only
applying proves it sound. A manifest, a bundle, a key list: what stands in it and
who is said to have signed; that it is so, otapack verify tells. A public key: its
id.`,
		Example: `  otapack info update.patch
  otapack info rootfs-1.1.udi
  otapack info update.patch -o json`,
		Args: exactly("FILE"),
	}
	output := outputFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		asJSON, err := wantJSON(c, *output)
		if err != nil {
			return err
		}
		return e.info(args[0], asJSON)
	}
	return c
}

func (e *env) info(path string, asJSON bool) error {
	f, size, err := open(path, "name a patch")
	if err != nil {
		return err
	}
	defer f.Close()
	switch kindOfFile(f, size) {
	case fileManifest:
		return e.infoManifest(path, asJSON)
	case fileBundle:
		return e.infoBundle(path, f, size, asJSON)
	case fileKeyList:
		doc, err := readSigned(path, verify.KindKeyList)
		if err != nil {
			return failed(path, err, "name a key list")
		}
		return e.showKeyList(path, doc, asJSON)
	case fileKey:
		return e.infoKey(path, asJSON)
	}
	return e.infoPatch(path, f, size, asJSON)
}

func (e *env) infoPatch(path string, f io.ReaderAt, size int64, asJSON bool) error {
	s, err := diff.Info(f, size)
	if err != nil {
		todo := "name a patch"
		head := make([]byte, 128)
		n, _ := f.ReadAt(head, 0)
		if kind := compressedKind(head[:n]); kind != "" {
			todo = "this is " + kind + " data; name a patch"
		}
		return failed(path, err, todo)
	}
	if asJSON {
		return printJSON(e.out, s)
	}
	old := "old image bytes, at least"
	if s.Format == diff.Native {
		old = "old image bytes"
	}
	rows := []row{
		{"format", s.Format},
		{"patch bytes", s.Size},
		{"new image bytes", s.NewSize},
		{old, s.OldAtLeast},
		{"control section bytes", s.ControlSection},
		{"diff section bytes", s.DiffSection},
		{"extra section bytes", s.ExtraSection},
		{"records", s.Records},
		{"bytes changed from the old image", s.DiffBytes},
		{"bytes sent as they are", s.ExtraBytes},
		{"memory to apply it, about", s.Memory},
	}
	if s.Format == diff.Native {
		rows = append(rows, row{"frames", s.Frames}, row{"old image SHA-256", s.OldSHA256}, row{"new image SHA-256", s.NewSHA256})
		for _, codec := range slices.Sorted(maps.Keys(s.Codecs)) {
			rows = append(rows, row{"bytes in " + codec, s.Codecs[codec]})
		}
	}
	return e.printRows(rows)
}

// row is a line of a table of two columns.
type row struct {
	name  string
	value any
}

func (e *env) printRows(rows []row) error {
	for _, r := range rows {
		if _, err := fmt.Fprintf(e.out, "%-34s%v\n", r.name, r.value); err != nil {
			return fmt.Errorf("printing: %w", err)
		}
	}
	return nil
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}
