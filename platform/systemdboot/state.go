package systemdboot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/leapslot/ota/platform/internal/disk"
)

// maxFiles is how many files the directory of entries may have.
const maxFiles = 1024

// tempFile is what a new entry is called while it is made. systemd-boot passes
// over names that begin with a dot.
const tempFile = ".otad.tmp"

// state is what the directory of entries says, and what is changed in it.
type state struct {
	b       *Boot
	running string
	files   []entryFile
	strange []string // names of files that are ours by their beginning alone
}

// entryFile is one entry file of ours.
type entryFile struct {
	name
	file    string // its name as it is on the disk
	data    []byte
	version uint64 // 0 for one that systemd-boot would not start, or sort elsewhere
}

// load reads all entries of ours.
func (b *Boot) load() (*state, error) {
	running, err := b.Running()
	if err != nil {
		return nil, err
	}
	names, err := b.d.List(b.cfg.Entries)
	if err != nil {
		return nil, fmt.Errorf("systemd-boot's entries: %w (is the partition mounted?)", err)
	}
	if len(names) > maxFiles {
		return nil, fmt.Errorf("%s has %d files, at most %d", b.cfg.Entries, len(names), maxFiles)
	}
	s := &state{b: b, running: running}
	for _, file := range names {
		n, ok := parseName(file)
		if lower := strings.ToLower(file); !ok && strings.HasPrefix(lower, prefix) && strings.HasSuffix(lower, suffix) {
			s.strange = append(s.strange, file)
		}
		if !ok {
			continue
		}
		data, err := b.read(file)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return nil, err
		}
		version, _ := parseVersion(data)
		s.files = append(s.files, entryFile{name: n, file: file, data: data, version: version})
	}
	return s, nil
}

func (b *Boot) read(file string) ([]byte, error) {
	f, err := b.d.OpenFile(b.path(file), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("entry %s: %w", file, err)
	}
	if len(data) > MaxFile {
		return nil, fmt.Errorf("entry %s has more than %d bytes: %w", file, MaxFile, ErrDamaged)
	}
	return data, nil
}

// current is the slot's newest entry.
func (s *state) current(slot string) (best entryFile, ok bool) {
	for _, f := range s.files {
		if f.slot == slot && (!ok || f.version > best.version) {
			best, ok = f, true
		}
	}
	return best, ok
}

// good is the entry that is started when nothing is on trial.
func (s *state) good() (best entryFile, ok bool) {
	for _, f := range s.files {
		if !f.counted && f.version > best.version {
			best, ok = f, true
		}
	}
	return best, ok
}

// newest is the highest version there is.
func (s *state) newest() uint64 {
	var v uint64
	for _, f := range s.files {
		v = max(v, f.version)
	}
	return v
}

// kept is the slot that is started when nothing is on trial: the running one,
// unless its entry has a counter. Somebody may have chosen in the menu what runs,
// so the order of the good entries alone does not tell.
func (s *state) kept() string {
	if f, ok := s.current(s.running); ok && f.counted {
		if good, ok := s.good(); ok && s.b.known(good.slot) == nil {
			return good.slot
		}
	}
	return s.running
}

// isAsConfigured tells whether an entry is newer than every good one, and says
// what is configured.
func (s *state) isAsConfigured(f entryFile) bool {
	if good, ok := s.good(); ok && f.version <= good.version {
		return false
	}
	return bytes.Equal(f.data, s.b.cfg.Entry[f.slot].file(f.slot, f.version))
}

// raise makes the slot's good entry the first of them. One that is there keeps
// what it says, since that is known to start.
func (s *state) raise(slot string) error {
	if good, ok := s.good(); ok && good.slot == slot {
		return nil
	}
	version := s.newest() + 1
	data := s.b.cfg.Entry[slot].file(slot, version)
	for _, f := range s.files {
		if f.slot != slot || f.counted {
			continue
		}
		if again := stamp(f.data, version); len(again) <= MaxFile {
			if _, ok := parseVersion(again); ok {
				data = again
			}
		}
	}
	return s.write(name{slot: slot}, data)
}

// endTrials gives up the starts that are left of every trial but that of the
// file but.
func (s *state) endTrials(but string) error {
	for _, f := range slices.Clone(s.files) {
		if f.onTrial() && f.file != but {
			if err := s.rename(f, name{slot: f.slot, counted: true, done: f.done}); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweep removes older entries of the slot, which only has one at a time.
func (s *state) sweep(slot string) error {
	newest, _ := s.current(slot)
	var rest []entryFile
	for _, f := range s.files {
		if f.slot != slot || f.file == newest.file {
			rest = append(rest, f)
			continue
		}
		if err := s.b.d.Remove(s.b.path(f.file)); err != nil {
			return err
		}
	}
	if len(rest) == len(s.files) {
		return nil
	}
	s.files = rest
	return s.sync()
}

// rename gives an entry another name, durably.
func (s *state) rename(f entryFile, to name) error {
	if f.name == to {
		return nil
	}
	if err := s.b.d.Rename(s.b.path(f.file), s.b.path(to.String())); err != nil {
		return err
	}
	if err := s.sync(); err != nil {
		return err
	}
	s.forget(f.file)
	f.name, f.file = to, to.String()
	s.put(f)
	return nil
}

// write makes an entry, or replaces it, durably: old or new.
func (s *state) write(n name, data []byte) error {
	d, temp := s.b.d, s.b.path(tempFile)
	if err := s.b.create(data); err != nil {
		d.Remove(temp) // best effort: the next one removes it, too
		return err
	}
	if err := d.Rename(temp, s.b.path(n.String())); err != nil {
		return err
	}
	if err := s.sync(); err != nil {
		return err
	}
	version, _ := parseVersion(data)
	s.put(entryFile{name: n, file: n.String(), data: data, version: version})
	return nil
}

// create writes the temporary file, synced and read back.
func (b *Boot) create(data []byte) error {
	if err := b.d.Remove(b.path(tempFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the rest of an interrupted write: %w", err)
	}
	f, err := b.d.OpenFile(b.path(tempFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", b.path(tempFile), err)
	}
	got, err := b.read(tempFile)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return fmt.Errorf("%s reads otherwise than it was written: %w", b.path(tempFile), ErrDamaged)
	}
	return nil
}

func (s *state) sync() error {
	if err := disk.SyncDir(s.b.d, s.b.cfg.Entries); err != nil {
		return fmt.Errorf("sync directory %s: %w", s.b.cfg.Entries, err)
	}
	return nil
}

// forget takes a file off the list. On FAT names that differ in capital letters
// are one file.
func (s *state) forget(file string) {
	s.files = slices.DeleteFunc(s.files, func(f entryFile) bool { return strings.EqualFold(f.file, file) })
}

// put notes a file that was made, in the place of one of that name.
func (s *state) put(f entryFile) {
	s.forget(f.file)
	s.files = append(s.files, f)
}
