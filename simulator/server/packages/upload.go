package packages

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/leapslot/ota/platform/durable"
)

// refusal is an answer other than success. Its text is for the uploader.
type refusal struct {
	XMLName xml.Name `xml:"Error"`
	Code    string   // as OSS spells them
	Message string
	status  int

	format string // of Message
	args   []any
}

func (r *refusal) Error() string { return r.Message }

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{Code: code, Message: fmt.Sprintf(format, args...), status: status, format: format, args: args}
}

func (s *Store) tooLarge() *refusal {
	return refuse(http.StatusRequestEntityTooLarge, "EntityTooLarge", "the file is larger than %d bytes (%d MB)", s.config.MaxSize, s.config.MaxSize>>20)
}

// upload answers a POST.
func (s *Store) upload(w http.ResponseWriter, r *http.Request) {
	f, form, err := s.takeForm(w, r)
	if err == nil {
		s.count.uploads.Add(1)
		s.log.Info("file uploaded", "file", f.ID, "size", f.Size, "sha256", f.SHA256)
		answerUpload(w, form, f)
		return
	}
	s.count.uploadsRefused.Add(1)
	var no *refusal
	if !errors.As(err, &no) {
		// Ours, not the uploader's: it is told no path.
		s.log.Error("upload failed", "why", err.Error())
		no = refuse(http.StatusInternalServerError, "InternalError", "the file could not be stored: see the server's log")
	} else {
		s.log.Warn("upload refused", "remote", r.RemoteAddr, "why", no.Message)
	}
	w.Header().Set("Connection", "close") // the rest of the body is not wanted
	writeXML(w, no.status, no)
}

func answerUpload(w http.ResponseWriter, form map[string]string, f File) {
	w.Header().Set("ETag", `"`+strings.ToUpper(f.MD5)+`"`) // what clients of OSS compare
	switch form[fieldStatus] {
	case "200":
		w.WriteHeader(http.StatusOK)
	case "201":
		writeXML(w, http.StatusCreated, struct {
			XMLName xml.Name `xml:"PostResponse"`
			Key     string
			ETag    string
		}{Key: form[fieldKey], ETag: strings.ToUpper(f.MD5)})
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func writeXML(w http.ResponseWriter, status int, v any) {
	b, err := xml.Marshal(v)
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	w.Write(append([]byte(xml.Header), b...))
}

// takeForm reads a form in one pass, the file straight to the disk.
func (s *Store) takeForm(w http.ResponseWriter, r *http.Request) (File, map[string]string, error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return File{}, nil, refuse(http.StatusBadRequest, "InvalidArgument", "the Content-Type is not multipart/form-data with a boundary")
	}
	if r.ContentLength > s.config.MaxSize+maxFormLen {
		return File{}, nil, s.tooLarge() // before the first byte is sent, when the client waits for 100 Continue
	}
	body := http.MaxBytesReader(w, idleReader{r.Body, http.NewResponseController(w)}, s.config.MaxSize+maxFormLen)
	parts := multipart.NewReader(body, params["boundary"])
	form := map[string]string{}
	for range maxFields {
		// The raw one: a file is bytes, whatever encoding its part claims.
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return File{}, nil, refuse(http.StatusBadRequest, "InvalidArgument", "the form has no file")
		}
		if err != nil {
			return File{}, nil, s.broken(err)
		}
		name, file, err := partName(part)
		if err != nil {
			return File{}, nil, err
		}
		if name != fieldFile {
			if err := readField(form, name, part); err != nil {
				return File{}, nil, s.orBroken(err)
			}
			continue
		}
		if err := checkFileName(file); err != nil {
			return File{}, nil, err
		}
		f, err := s.takeFile(form, part, parts)
		return f, form, err
	}
	return File{}, nil, refuse(http.StatusBadRequest, "InvalidArgument", "the form has more than %d fields", maxFields)
}

// broken is what the uploader is told when its form cannot be read on.
func (s *Store) broken(err error) error {
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return s.tooLarge()
	}
	// The error's own text would quote the form, and with it a signature.
	return refuse(http.StatusBadRequest, "IncompleteBody", "the form ends early or is malformed")
}

func (s *Store) orBroken(err error) error {
	var no *refusal
	if errors.As(err, &no) {
		return err
	}
	return s.broken(err)
}

// takeFile stores the file of a form whose other fields were read. The form's
// time is checked now, before the file: an upload begun in time may finish.
func (s *Store) takeFile(form map[string]string, part io.Reader, parts *multipart.Reader) (File, error) {
	id, err := s.checkForm(form, s.config.Clock())
	if err != nil {
		return File{}, err
	}
	used := refuse(http.StatusConflict, "FileAlreadyExists", "this form was used already: ask for a new one")
	s.mu.Lock()
	busy := s.active[id]
	s.active[id] = true
	s.mu.Unlock()
	if busy {
		return File{}, used
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.active, id)
	}()
	if _, err := os.Lstat(s.path(id)); !errors.Is(err, fs.ErrNotExist) {
		return File{}, used
	}
	return s.storeOrNot(id, part, func() error { return s.formEnds(parts) })
}

// formEnds: nothing comes after the file.
func (s *Store) formEnds(parts *multipart.Reader) error {
	if _, err := parts.NextRawPart(); err == nil {
		return refuse(http.StatusBadRequest, "InvalidArgument", "the form has a field after the file, which has to be the last")
	} else if err != io.EOF { // not errors.Is: a cut form ends with an error that wraps io.EOF
		return s.broken(err)
	}
	return nil
}

func (s *Store) storeOrNot(id string, part io.Reader, ends func() error) (File, error) {
	f, err := s.store(id, part, ends)
	if err != nil {
		os.Remove(s.path(id) + partExt) // best effort: Open removes it, too
	}
	return f, err
}

// store writes the file and gives it its name. The order is the point: all bytes
// and the end of what they came in, fsync, the JSON, the name, fsync of the directory.
func (s *Store) store(id string, part io.Reader, ends func() error) (File, error) {
	temp := s.path(id) + partExt
	out, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return File{}, err
	}
	defer out.Close()
	f := File{ID: id}
	if err := s.receive(&f, out, part); err != nil {
		return File{}, err
	}
	if err := ends(); err != nil {
		return File{}, err
	}
	if err := out.Sync(); err != nil {
		return File{}, err
	}
	if err := out.Close(); err != nil {
		return File{}, err
	}
	f.Uploaded = s.config.Clock()
	b, err := json.Marshal(f)
	if err != nil {
		return File{}, err
	}
	if err := durable.WriteFile(s.path(id)+metaExt, b, 0o600); err != nil {
		return File{}, err
	}
	if err := os.Rename(temp, s.path(id)); err != nil {
		os.Remove(s.path(id) + metaExt)
		return File{}, err
	}
	if err := syncDir(s.dir); err != nil {
		s.remove(id) // it may or may not be there after a power cut: it was not acknowledged
		return File{}, err
	}
	return f, nil
}

// receive copies the file and computes its size and digests on the way.
func (s *Store) receive(f *File, out io.Writer, part io.Reader) error {
	md, sha := md5.New(), sha256.New()
	buf := make([]byte, copyLen)
	for {
		n, rerr := part.Read(buf)
		f.Size += int64(n)
		if f.Size > s.config.MaxSize {
			return s.tooLarge()
		}
		s.count.in.Add(int64(n))
		md.Write(buf[:n])
		sha.Write(buf[:n])
		if _, err := out.Write(buf[:n]); err != nil {
			return err
		}
		if rerr == io.EOF {
			break
		}
		if rerr != nil {
			return s.broken(rerr)
		}
	}
	if f.Size == 0 {
		return refuse(http.StatusBadRequest, "InvalidArgument", "the file is empty")
	}
	f.MD5, f.SHA256 = hex.EncodeToString(md.Sum(nil)), hex.EncodeToString(sha.Sum(nil))
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// idleReader ends an upload that brings nothing for uploadIdle, however long one
// that goes on takes.
type idleReader struct {
	io.ReadCloser
	rc *http.ResponseController
}

func (r idleReader) Read(p []byte) (int, error) {
	r.rc.SetReadDeadline(time.Now().Add(uploadIdle)) // not possible: as the server is configured
	return r.ReadCloser.Read(p)
}
