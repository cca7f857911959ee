package systemdboot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// loaderOwner owns systemd-boot's EFI variables (Boot Loader Interface).
const loaderOwner = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

// What systemd-boot says that it can do, in LoaderFeatures.
const (
	featureCounting = 1 << 4
	featureSortKey  = 1 << 8
)

// defaultPattern is the only default that leaves the counters their say: of the
// entries that match, the first in systemd-boot's order is started.
const defaultPattern = prefix + "*"

// overruling are the variables that choose an entry whatever its counter says.
// They are set in the menu, or by bootctl set-default.
func overruling() []string { return []string{"LoaderEntryDefault", "LoaderEntryPreferred"} }

// Check implements [platform.Checkable]: the kept slot's entry is there and
// whole, nothing overrules the counters, and the directory can be written.
func (b *Boot) Check() error {
	s, err := b.load()
	if err != nil {
		return err
	}
	wrong := []error{s.checkEntries(), b.checkLoader(), b.checkVariables()}
	// The canary last, so that the text begins with what is wrong on the disk.
	err = b.create([]byte("# canary\n"))
	if err == nil {
		err = b.d.Remove(b.path(tempFile))
	}
	if err != nil {
		wrong = append(wrong, fmt.Errorf("no entry can be written (is the partition full, or mounted read-only?): %w", err))
	}
	return errors.Join(wrong...)
}

func (s *state) checkEntries() error {
	var wrong []error
	for _, file := range s.strange {
		wrong = append(wrong, fmt.Errorf("%s is no entry's name: %w", file, ErrDamaged))
	}
	for _, f := range s.files {
		if f.version == 0 {
			wrong = append(wrong, fmt.Errorf("%s starts nothing, or has no version and no sort key %s: %w", f.file, sortKey, ErrDamaged))
		}
	}
	kept := s.kept()
	if good, ok := s.good(); !ok || good.slot != kept {
		wrong = append(wrong, fmt.Errorf("the kept slot %s has no entry that comes first: %w", kept, ErrDamaged))
	}
	return errors.Join(wrong...)
}

// checkLoader looks at loader.conf, and at entries that are not ours.
func (b *Boot) checkLoader() error {
	loader := filepath.Dir(b.cfg.Entries)
	set, err := b.readLoader("../loader.conf")
	if err != nil {
		return err
	}
	for _, key := range []string{"preferred", "default"} {
		if v := set[key]; v != "" && v != defaultPattern {
			return fmt.Errorf("%s says %s %s, which overrules the counters: make it %s", filepath.Join(loader, "loader.conf"), key, v, defaultPattern)
		}
	}
	if set["default"] == defaultPattern {
		return nil
	}
	other, err := b.otherEntry()
	if err != nil || other == "" {
		return err
	}
	return fmt.Errorf("%s is an entry of somebody else that may come first: write \"default %s\" into %s",
		other, defaultPattern, filepath.Join(loader, "loader.conf"))
}

func (b *Boot) readLoader(file string) (map[string]string, error) {
	data, err := b.read(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	set := map[string]string{}
	for line := range strings.Lines(string(data)) {
		key, value := cut(line)
		set[key] = value
	}
	return set, nil
}

// otherEntry names an entry, or a unified kernel image, that is not ours.
func (b *Boot) otherEntry() (string, error) {
	root := filepath.Dir(filepath.Dir(b.cfg.Entries))
	for dir, suffix := range map[string]string{b.cfg.Entries: suffix, filepath.Join(root, "EFI", "Linux"): ".efi"} {
		names, err := b.d.List(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		for _, name := range names {
			lower := strings.ToLower(name)
			if strings.HasSuffix(lower, suffix) && !strings.HasPrefix(lower, prefix) && !strings.HasPrefix(lower, ".") {
				return filepath.Join(dir, name), nil
			}
		}
	}
	return "", nil
}

func (b *Boot) checkVariables() error {
	if b.vars == nil {
		return nil
	}
	_, data, err := b.vars.Read("LoaderFeatures", loaderOwner)
	if err != nil {
		return fmt.Errorf("the machine was not started by systemd-boot: %w", err)
	}
	if len(data) != 8 || ^binary.LittleEndian.Uint64(data)&(featureCounting|featureSortKey) != 0 {
		return fmt.Errorf("this systemd-boot cannot count starts, or does not know sort keys (features %x): version 250 can", data)
	}
	for _, name := range overruling() {
		if b.overrules(name) {
			return fmt.Errorf("the EFI variable %s overrules the counters: %w", name, ErrDamaged)
		}
	}
	return nil
}

// overrules tells whether the variable is there and says something else than the
// pattern.
func (b *Boot) overrules(name string) bool {
	var want []byte
	for _, c := range defaultPattern + "\x00" {
		want = binary.LittleEndian.AppendUint16(want, uint16(c))
	}
	_, data, err := b.vars.Read(name, loaderOwner)
	return !errors.Is(err, fs.ErrNotExist) && !slices.Equal(data, want)
}

// Mend implements [platform.Checkable]. It removes entries of ours that cannot be
// read, and EFI variables that overrule the counters; loader.conf and the entries
// of others are their owner's.
func (b *Boot) Mend() error {
	s, err := b.load()
	if err != nil {
		return err
	}
	if err := s.keep(); err != nil {
		return err
	}
	remove := s.strange
	for _, f := range s.files {
		if f.version == 0 {
			remove = append(remove, f.file)
		}
	}
	for _, file := range remove {
		if err := b.d.Remove(b.path(file)); err != nil {
			return err
		}
	}
	if err := s.sync(); err != nil || b.vars == nil {
		return err
	}
	for _, name := range overruling() {
		if b.overrules(name) {
			if err := b.vars.Delete(name, loaderOwner); err != nil {
				return err
			}
		}
	}
	return nil
}
