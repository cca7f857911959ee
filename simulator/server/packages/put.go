package packages

import (
	"crypto/rand"
	"errors"
	"io"
)

// ErrRefused means that a file cannot be taken: it is empty, too large, or what it is
// read from broke off. The text says which and is fit to be shown.
var ErrRefused = errors.New("the file was refused")

// Put takes a file in that did not come with a signed form: from a console's own upload,
// or made here. It is stored as an uploaded one is, whole or not at all, and must come
// into use within ClaimWithin. Errors: ErrRefused, those of the disk.
func (s *Store) Put(r io.Reader) (File, error) {
	id := rand.Text()
	s.mu.Lock()
	s.active[id] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.active, id)
	}()
	f, err := s.storeOrNot(id, r, func() error { return nil })
	var no *refusal
	if errors.As(err, &no) {
		s.count.uploadsRefused.Add(1)
		return File{}, &refused{no}
	}
	if err == nil {
		s.count.uploads.Add(1)
		s.log.Info("file stored", "file", f.ID, "size", f.Size, "sha256", f.SHA256)
	}
	return f, err
}

type refused struct{ no *refusal }

func (r *refused) Error() string { return r.no.Message }
func (r *refused) Unwrap() error { return ErrRefused }

// Sentence gives the English pattern of the text, which is also its code where it is said
// in another language, and what is put into it.
func (r *refused) Sentence() (format string, args []any) { return r.no.format, r.no.args }
