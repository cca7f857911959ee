package main

import (
	"errors"
	"io/fs"
	"os"
)

// folders looks at the directories of modules that are made of files.
func (d *doctor) folders() {
	for _, m := range d.set.Module {
		if m.Installer != "files" {
			continue
		}
		check := "module " + m.Name
		_, there := os.Stat(m.Dir)
		switch err := writeCanary(m.Dir); {
		case errors.Is(there, fs.ErrNotExist):
			d.add(check, "warn", "otad run makes it", "%s does not exist yet", m.Dir)
		case err != nil:
			d.add(check, "fail", "mount it writable, or set dir of the module to another directory", "%s: %v", m.Dir, reasonOf(err))
		default:
			d.ok(check, "%s: written, synced and read back", m.Dir)
		}
	}
}
