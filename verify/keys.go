package verify

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Limits of a directory of keys.
const (
	// MaxKeys is the largest number of keys: two for a rotation, and some more.
	MaxKeys = 16
	// MaxKeyFile is the longest key file, in bytes.
	MaxKeyFile = 16 << 10
	// KeyListName is the file name of the key list in a directory of keys.
	KeyListName = "keys.list"
	// keySuffix is how the names of key files end.
	keySuffix = ".pem"
)

// KeySet is the keys of a device. Its zero value has none.
type KeySet struct {
	// Keys are those that packages may be signed with.
	Keys []Key
	// Threshold is how many of them must have signed a manifest, at least 1.
	Threshold int
	// Revoked are the ids of keys that count for nothing.
	Revoked []string
	// ListVersion is the version of the key list that said so, 0 without one.
	// The caller remembers the highest, durably, for KeyOptions.
	ListVersion uint64
}

// KeyOptions say how a directory of keys is read. The zero value is right for a
// device that has never seen a key list.
type KeyOptions struct {
	// ListVersion is the highest version of a key list that this device has
	// used: an older one is refused, and so is the lack of one.
	ListVersion uint64
	// ListThreshold is how many of the directory's keys must have signed the
	// list; 0 means 1.
	ListThreshold int
	// Threshold is how many keys must have signed a manifest where no key list
	// says it; 0 means 1. A list can want more, never fewer.
	Threshold int
	// AllowTestKeys lets the keys in this project's testdata pass. It is for
	// tests and checks by hand, never for a device.
	AllowTestKeys bool
}

// LoadPublicKeys reads all files in the directory dir whose names end in .pem.
// One that cannot be used is an error, and so is a directory without any: keys
// that silently do not count are worse than none. Symbolic links are followed.
//
// Without a key list those are the keys of packages. With one, the file
// keys.list, they are the roots that must have signed the list, and the list
// alone says which keys are good for packages. What is wrong with the list is an
// error as well: it is not left out, or else to damage it were to undo it.
func LoadPublicKeys(dir string, o KeyOptions) (KeySet, error) {
	if o.Threshold < 0 || o.ListThreshold < 0 {
		return KeySet{}, errors.New("keys: a threshold below 1 (how many keys must have signed)")
	}
	keys, err := LoadRoots(dir, o)
	if err != nil {
		return KeySet{}, err
	}
	// Lstat: a link that leads nowhere is a list that is broken, not one that
	// is not there.
	_, err = os.Lstat(filepath.Join(dir, KeyListName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return KeySet{}, fmt.Errorf("keys: %w", err)
	}
	if err == nil {
		set, err := loadList(filepath.Join(dir, KeyListName), keys, o)
		if err != nil {
			return KeySet{}, fmt.Errorf("key list %s: %w", filepath.Join(dir, KeyListName), err)
		}
		return set, nil
	}
	if o.ListVersion > 0 {
		return KeySet{}, fmt.Errorf("keys: %s in %s is gone, and version %d of it was in use (bring it back, or a newer one)", KeyListName, dir, o.ListVersion)
	}
	return KeySet{Keys: keys, Threshold: max(1, o.Threshold)}, nil
}

// LoadRoots reads the .pem files alone, as LoadPublicKeys does, and no key list.
func LoadRoots(dir string, o KeyOptions) ([]Key, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	var keys []Key
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), keySuffix) {
			continue
		}
		if len(keys) == MaxKeys {
			return nil, fmt.Errorf("keys: more than %d in %s (remove those that are not in use)", MaxKeys, dir)
		}
		key, err := loadKey(filepath.Join(dir, e.Name()), o)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", filepath.Join(dir, e.Name()), err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("keys: no file named *%s in %s (put the product's public key there)", keySuffix, dir)
	}
	if err := noneTwice(keys); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return keys, nil
}

func loadKey(path string, o KeyOptions) (Key, error) {
	text, err := readFile(path, MaxKeyFile)
	if err != nil {
		return Key{}, err
	}
	pub, err := ParseKey(text)
	if err != nil {
		return Key{}, err
	}
	key := Key{Name: filepath.Base(path), Public: pub}
	return key, key.refuseTestKey(o)
}

// refuseTestKey refuses those of the project's own keys (fault T14).
func (k Key) refuseTestKey(o KeyOptions) error {
	id, err := k.ID()
	if err != nil {
		return err
	}
	if isTestKey(id) && !o.AllowTestKeys {
		return errors.New("is one of this project's test keys, which everybody has (make a pair of your own: otapack keygen)")
	}
	return nil
}

func loadList(path string, roots []Key, o KeyOptions) (KeySet, error) {
	text, err := readFile(path, MaxKeyList)
	if err != nil {
		return KeySet{}, err
	}
	list, err := OpenKeyList(strings.TrimSuffix(string(text), "\n"), roots, max(1, o.ListThreshold))
	if err != nil {
		return KeySet{}, err
	}
	if list.Version < o.ListVersion {
		return KeySet{}, fmt.Errorf("it has the version %d, and %d was in use: an old list does not come back", list.Version, o.ListVersion)
	}
	for _, k := range list.Keys {
		if err := k.refuseTestKey(o); err != nil {
			return KeySet{}, fmt.Errorf("the key %s %w", k.Name, err)
		}
	}
	return KeySet{Keys: list.Keys, Threshold: max(list.Threshold, o.Threshold), Revoked: list.Revoked, ListVersion: list.Version}, nil
}

// noneTwice refuses a key that stands there twice, under whatever name (T8).
func noneTwice(keys []Key) error {
	var ids []string
	for i, k := range keys {
		id, err := k.ID()
		if err != nil {
			return fmt.Errorf("key %s: %w", k.Name, err)
		}
		if j := slices.Index(ids, id); j >= 0 {
			return fmt.Errorf("%s and %s are the same key", keys[j].Name, keys[i].Name)
		}
		ids = append(ids, id)
	}
	return nil
}

// readFile reads a regular file of at most so many bytes.
func readFile(path string, most int64) ([]byte, error) {
	st, err := os.Stat(path) // before it is opened: to open a FIFO is to wait
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("longer than %d bytes", most)
	}
	return b, err
}

// check refuses sets that NewTrust must not take.
func (s KeySet) check() error {
	if len(s.Keys) > MaxKeys {
		return fmt.Errorf("%d keys, at most %d are allowed", len(s.Keys), MaxKeys)
	}
	if err := noneTwice(s.Keys); err != nil {
		return err
	}
	if s.Threshold < 0 {
		return fmt.Errorf("a threshold of %d signatures: want at least 1", s.Threshold)
	}
	if s.Threshold > 1 && s.Threshold > s.count(RoleManifest) {
		return fmt.Errorf("%d signatures are wanted of a manifest, and only %d keys may sign one", s.Threshold, s.count(RoleManifest))
	}
	return nil
}

// count is how many keys have the role.
func (s KeySet) count(r Role) (n int) {
	for _, k := range s.Keys {
		if k.signs(r) && (r != RoleDigestSign || k.rsa() != nil) {
			n++
		}
	}
	return n
}
