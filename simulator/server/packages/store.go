package packages

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leapslot/ota/platform/durable"
)

// In Dir stand
//
//	key              what URLs and forms are signed with, 32 bytes
//	files/ID         a whole file
//	files/ID.json    its File, written before it
//	files/ID.part    an upload that goes on
//
// A file gets its name when all of it, and its JSON, is on the medium: what has
// the name is whole.
const (
	keyFile  = "key"
	filesDir = "files"
	metaExt  = ".json"
	partExt  = ".part"
	keyLen   = 32
	idLen    = 26 // of crypto/rand.Text: 130 bits
)

// sweepGrace is what Sweep waits after ClaimWithin: a file that Lookup has just
// given is made a package in the meantime.
const sweepGrace = 10 * time.Minute

// Store is a directory of files. Its methods are safe for use by many
// goroutines.
type Store struct {
	config Config
	log    *slog.Logger
	dir    string // of the files
	keys   keys
	base   atomic.Pointer[string]
	slots  chan struct{} // one for each download that goes on; nil: no bound
	count  counters

	mu     sync.Mutex
	active map[string]bool // ids that are being uploaded
}

type counters struct {
	uploads, uploadsRefused, downloads, forbidden, busy, blocks, in, out, downloading atomic.Int64
}

// Open opens the directory, removes what broken uploads of an earlier process
// left, and reads or makes the key that URLs are signed with.
func Open(c Config) (*Store, error) {
	if c.MaxSize < 0 || c.MaxDownloads < 0 {
		return nil, errors.New("packages: MaxSize and MaxDownloads are 0 or more")
	}
	if c.MaxSize == 0 {
		c.MaxSize = DefaultMaxSize
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	s := &Store{config: c, log: c.Logger, dir: filepath.Join(c.Dir, filesDir), active: map[string]bool{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if c.MaxDownloads > 0 {
		s.slots = make(chan struct{}, c.MaxDownloads)
	}
	if err := s.SetBaseURL(c.BaseURL); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("packages: %w", err)
	}
	secret, err := loadKey(filepath.Join(c.Dir, keyFile))
	if err != nil {
		return nil, fmt.Errorf("packages: %w", err)
	}
	s.keys = newKeys(secret)
	return s, s.tidy()
}

// loadKey reads the key, or makes one. It outlives the process, so that the URLs
// that were given out do.
func loadKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, keyLen)
		rand.Read(key)
		return key, durable.WriteFile(path, key, 0o600)
	}
	if err == nil && len(key) != keyLen {
		err = fmt.Errorf("%s has %d bytes and not %d (remove it: a new one is made, and the URLs given out until now stop working)", path, len(key), keyLen)
	}
	return key, err
}

// tidy removes what an earlier process left half done.
func (s *Store) tidy() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("packages: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		id, meta := strings.CutSuffix(name, metaExt)
		if meta {
			_, err = os.Lstat(filepath.Join(s.dir, id))
			meta = errors.Is(err, fs.ErrNotExist)
		}
		if meta || strings.HasSuffix(name, partExt) || strings.HasSuffix(name, ".tmp") {
			if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
				return fmt.Errorf("packages: remove the rest of a broken upload: %w", err)
			}
		}
	}
	return nil
}

// validID reports whether id can name a file, and nothing else.
func validID(id string) bool { return len(id) == idLen && word(id, "") }

// word reports whether s is made of ASCII letters, digits and those in extra.
func word(s, extra string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(extra, c) >= 0) {
			return false
		}
	}
	return true
}

func (s *Store) path(id string) string { return filepath.Join(s.dir, id) }

// Get gives the file with an id, however old it is, or an error that wraps
// ErrNotFound.
func (s *Store) Get(id string) (File, error) {
	if !validID(id) {
		return File{}, fmt.Errorf("file id %.40q: %w", id, ErrNotFound)
	}
	st, err := os.Stat(s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return File{}, fmt.Errorf("file %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return File{}, err
	}
	b, err := os.ReadFile(s.path(id) + metaExt)
	if err != nil {
		return File{}, err
	}
	var f File
	if err := json.Unmarshal(b, &f); err != nil {
		return File{}, fmt.Errorf("%s: %w", s.path(id)+metaExt, err)
	}
	if f.ID != id || f.Size != st.Size() {
		return File{}, fmt.Errorf("%s has %d bytes and was %d when it was uploaded: it was changed by hand", s.path(id), st.Size(), f.Size)
	}
	return f, nil
}

// OpenFile opens the file with an id for reading, or gives an error that wraps
// ErrNotFound. The caller closes it.
func (s *Store) OpenFile(id string) (*os.File, error) {
	if !validID(id) {
		return nil, fmt.Errorf("file id %.40q: %w", id, ErrNotFound)
	}
	f, err := os.Open(s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("file %s: %w", id, ErrNotFound)
	}
	return f, err
}

// Sweep removes the files that were uploaded more than ClaimWithin (and ten
// minutes, so that one just looked up is safe) before now and that inUse does not
// hold for, and says how many. The model of packages is the only truth about
// which file is in use.
func (s *Store) Sweep(ctx context.Context, now time.Time, inUse func(fileID string) bool) (int, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return 0, fmt.Errorf("packages: sweep: %w", err)
	}
	removed := 0
	var errs []error
	for _, e := range entries {
		id := e.Name()
		if ctx.Err() != nil {
			errs = append(errs, ctx.Err())
			break
		}
		if !validID(id) || inUse(id) {
			continue
		}
		f, err := s.Get(id)
		if err == nil && now.Sub(f.Uploaded) <= ClaimWithin+sweepGrace {
			continue
		}
		if err == nil {
			err = s.remove(id)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		removed++
	}
	if len(errs) > 0 {
		return removed, fmt.Errorf("packages: sweep: %w", errors.Join(errs...))
	}
	return removed, nil
}

// remove takes a file away: its name first, since what has no name is not there.
// Who is reading it reads on.
func (s *Store) remove(id string) error {
	if err := os.Remove(s.path(id)); err != nil {
		return err
	}
	return os.Remove(s.path(id) + metaExt)
}

// Stats gives the counters, read one after the other.
func (s *Store) Stats() Stats {
	c := &s.count
	return Stats{
		Uploads: c.uploads.Load(), UploadsRefused: c.uploadsRefused.Load(),
		Downloads: c.downloads.Load(), DownloadsForbidden: c.forbidden.Load(), DownloadsBusy: c.busy.Load(), Blocks: c.blocks.Load(),
		BytesIn: c.in.Load(), BytesOut: c.out.Load(), Downloading: c.downloading.Load(),
	}
}
